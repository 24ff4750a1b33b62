//! How much memory the process holds, as Linux tells it.

/// Bytes of memory held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Now.
    pub resident_bytes: u64,
    /// The most it ever was.
    pub peak_bytes: u64,
}

/// Reads `/proc/self/status`; zeros where the system has none.
pub fn memory() -> Memory {
    std::fs::read_to_string("/proc/self/status").map(|status| parse(&status)).unwrap_or_default()
}

fn parse(status: &str) -> Memory {
    let kibibytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()
    };
    let bytes = |key| kibibytes(key).unwrap_or(0).saturating_mul(1024);
    Memory { resident_bytes: bytes("VmRSS"), peak_bytes: bytes("VmHWM") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_words_are_understood() {
        let status = "Name:\tVmRSS\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n";
        assert_eq!(parse(status), Memory { resident_bytes: 10_485_760, peak_bytes: 20_971_520 });
        assert_eq!(parse("VmRSS: much\n"), Memory::default());
    }

    #[test]
    fn this_process_holds_memory() {
        let memory = memory();
        assert!(0 < memory.resident_bytes && memory.resident_bytes <= memory.peak_bytes, "{memory:?}");
    }
}

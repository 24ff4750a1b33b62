//! A stretch of text looked at all at once: what of it is letters, and what needs a look.
//!
//! The loops below are over whole blocks and without branches, which is what compilers
//! turn into vector instructions on any processor.

/// Bytes in a block.
const BLOCK: usize = 64;
/// Bytes copied together.
const STEP: usize = 16;

/// Up to [`BLOCK`] bytes of text; bits stand for bytes, the first for the first.
pub(super) struct Block {
    bytes: [u8; BLOCK],
    lower: [u8; BLOCK + STEP],
    length: usize,
    /// Letters and digits.
    word: u64,
    /// Looked at one by one: apostrophes, `#`, `@`, all that is not ASCII.
    special: u64,
}

impl Block {
    /// The first bytes of a text.
    pub(super) fn of(text: &[u8]) -> Self {
        let mut padded = [0; BLOCK];
        let bytes = text.first_chunk().unwrap_or_else(|| {
            for (to, from) in padded.iter_mut().zip(text) {
                *to = *from;
            }
            &padded
        });
        let lower = bytes.map(|byte| byte | u8::from(byte.is_ascii_uppercase()) << 5);
        let word = lower.map(|byte| u8::from(byte.is_ascii_lowercase()) | u8::from(byte.is_ascii_digit()));
        let special = bytes.map(|byte| {
            byte >> 7
                | u8::from(byte == b'\'')
                | u8::from(byte == b'`')
                | u8::from(byte == b'#')
                | u8::from(byte == b'@')
        });
        let mut padded = [0; BLOCK + STEP];
        if let Some(first) = padded.first_chunk_mut() {
            *first = lower;
        }
        Self { bytes: *bytes, lower: padded, length: text.len().min(BLOCK), word: bits(&word), special: bits(&special) }
    }

    /// How many bytes from there on need no look.
    #[inline]
    pub(super) fn plain_from(&self, from: usize) -> usize {
        let rest = self.length.saturating_sub(from);
        let special = shifted(self.special, from);
        rest.min(special.trailing_zeros() as usize)
    }

    /// The byte there, if it needs a look; none behind the block.
    #[inline]
    pub(super) fn special_at(&self, place: usize) -> Option<u8> {
        if shifted(self.special, place) & 1 == 0 { None } else { self.bytes.get(place).copied() }
    }

    /// Appends so many bytes from there on, in lower case.
    #[inline]
    pub(super) fn append_lower(&self, from: usize, run: usize, text: &mut Vec<u8>) {
        let end = text.len() + run;
        // In steps of a fixed length, what is too much taken off again: most runs are a few
        // words, for which calling somebody to copy them costs more than they do.
        let steps = self.lower.get(from..).unwrap_or_default().chunks_exact(STEP);
        steps
            .take(run.div_ceil(STEP))
            .filter_map(|step| step.first_chunk::<STEP>())
            .for_each(|step| text.extend_from_slice(step));
        text.truncate(end);
    }

    /// Where in a run words begin and end, counted from its beginning, in turn; `open` if a
    /// word goes on from before it.
    #[inline]
    pub(super) fn edges(&self, from: usize, run: usize, open: bool) -> impl Iterator<Item = u32> + use<> {
        let word = shifted(self.word, from);
        let within = shifted(!0, BLOCK.saturating_sub(run));
        let mut edges = (word ^ (word << 1 | u64::from(open))) & within;
        std::iter::from_fn(move || {
            let edge = edges.trailing_zeros();
            edges &= edges.wrapping_sub(1);
            (edge < u64::BITS).then_some(edge)
        })
    }
}

/// Without the first bits; none left behind the last.
#[inline]
const fn shifted(bits: u64, by: usize) -> u64 {
    if by < BLOCK { bits >> by } else { 0 }
}

/// A bit for each byte that is 1, of bytes that are 0 or 1.
fn bits(flags: &[u8; BLOCK]) -> u64 {
    let (eights, _) = flags.as_chunks::<8>();
    // The product moves the flag of byte n to bit n of the highest byte.
    let gathered = eights.iter().map(|eight| u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56);
    gathered.rev().fold(0, |bits, eight| bits << 8 | eight)
}

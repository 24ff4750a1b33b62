//! The `stormbell` program: arguments in, exit code out.

use std::process::ExitCode;

/// A daemon runs for months, its threads free what others allocated, and a little of it stays for days: glibc's allocator,
/// which has areas for its threads, then holds more than is used, and more by the hour.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    stormbell::cli::main(std::env::args_os())
}

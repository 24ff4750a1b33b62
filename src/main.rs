//! The `stormbell` program: arguments in, exit code out.

use std::process::ExitCode;

/// A daemon runs for months, its threads free what others allocated, and a little of it stays for days: glibc's allocator,
/// which has an area for each of twelve threads, then holds a third more than is used, and more by the hour
/// (BENCHMARKS.md, the soak).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    stormbell::cli::main(std::env::args_os())
}

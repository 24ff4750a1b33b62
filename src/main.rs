//! The `stormbell` program: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    stormbell::cli::main(std::env::args_os())
}

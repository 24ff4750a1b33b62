//! The `stormbell` program.

fn main() {}

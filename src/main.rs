//! The `jobbell` program: arguments in, exit code out.

fn main() {}

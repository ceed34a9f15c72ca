//! `println!` and `eprintln!` of the command line. Whoever closes the other end (`jobbell queue list | head`) has seen enough: what the command does
//! goes on without its words, where the standard library's macros would end it with a panic.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

macro_rules! println {
    () => { $crate::cli::out::line(std::io::stdout().lock(), format_args!("")) };
    ($($words:tt)*) => { $crate::cli::out::line(std::io::stdout().lock(), format_args!($($words)*)) };
}

macro_rules! eprintln {
    ($($words:tt)*) => { $crate::cli::out::line(std::io::stderr().lock(), format_args!($($words)*)) };
}

/// Writes a line to one who may have gone.
pub(super) fn line(mut to: impl Write, words: Arguments<'_>) {
    if let Err(error) = writeln!(to, "{words}")
        && error.kind() != ErrorKind::BrokenPipe
    {
        tracing::error!("output cannot be written: {error}");
    }
}

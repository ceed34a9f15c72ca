//! `print!`, `println!` and `eprintln!` of the command line, where the standard library's macros
//! would end it with a panic.
//!
//! Whoever closes the other end (`jobbell queue list | head`) has seen enough: what the command
//! does goes on without its words. Output that is lost for any other reason (a full disk) is told,
//! and the exit status says so.

use std::fmt::Arguments;
use std::io::{Error, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::telemetry::terminal::escaped;

macro_rules! print {
    ($($words:tt)*) => { $crate::cli::out::tr(format_args!($($words)*)) };
}

macro_rules! println {
    () => { $crate::cli::out::tr(format_args!("\n")) };
    ($($words:tt)*) => { $crate::cli::out::tr(format_args!("{}\n", format_args!($($words)*))) };
}

macro_rules! eprintln {
    ($($words:tt)*) => { $crate::cli::out::complain(format_args!($($words)*)) };
}

static LOST: AtomicBool = AtomicBool::new(false);

/// Writes to standard output.
///
/// Words of others are among them, so nothing in them may steer the terminal.
pub(super) fn tr(words: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out
        .write_all(escaped(&words.to_string()).as_bytes())
        .and_then(|()| out.flush())
    {
        lost(&error);
    }
}

/// Notes that output did not get where it should, and says so once, unless nobody reads it.
pub(super) fn lost(error: &Error) {
    if error.kind() != ErrorKind::BrokenPipe && !LOST.swap(true, Ordering::Relaxed) {
        complain(format_args!("jobbell: output cannot be written: {error}"));
    }
}

/// Writes a line to standard error; there is nobody left to tell when that fails.
pub(super) fn complain(words: Arguments<'_>) {
    drop(writeln!(
        std::io::stderr().lock(),
        "{}",
        escaped(&words.to_string())
    ));
}

/// Whether output was lost that somebody was waiting for.
pub(super) fn is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

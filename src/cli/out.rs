//! `print!`, `println!` and `eprintln!` for the command line; the standard library's macros panic
//! on a closed pipe.
//!
//! A reader that closes the pipe early (`jobbell queue list | head`) does not stop the command.
//! Output lost for any other reason, such as a full disk, is reported and changes the exit status.

use std::fmt::Arguments;
use std::io::{Error, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::telemetry::terminal::escaped;

macro_rules! print {
    ($($words:tt)*) => { $crate::cli::out::write(format_args!($($words)*)) };
}

macro_rules! println {
    () => { $crate::cli::out::write(format_args!("\n")) };
    ($($words:tt)*) => { $crate::cli::out::write(format_args!("{}\n", format_args!($($words)*))) };
}

macro_rules! eprintln {
    ($($words:tt)*) => { $crate::cli::out::complain(format_args!($($words)*)) };
}

static LOST: AtomicBool = AtomicBool::new(false);

/// Writes to standard output.
///
/// Output includes text from third parties, so control characters are escaped.
pub(super) fn write(words: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out
        .write_all(escaped(&words.to_string()).as_bytes())
        .and_then(|()| out.flush())
    {
        lost(&error);
    }
}

/// Records lost output and reports it once, unless the reader closed the pipe.
pub(super) fn lost(error: &Error) {
    if error.kind() != ErrorKind::BrokenPipe && !LOST.swap(true, Ordering::Relaxed) {
        complain(format_args!("jobbell: cannot write output: {error}"));
    }
}

/// Writes a line to standard error. A failure cannot be reported anywhere and is ignored.
pub(super) fn complain(words: Arguments<'_>) {
    drop(writeln!(
        std::io::stderr().lock(),
        "{}",
        escaped(&words.to_string())
    ));
}

/// Whether output was lost other than through a closed pipe.
pub(super) fn is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

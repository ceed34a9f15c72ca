//! Parameters of long runs, and the figures that `tests/run.sh` shows.

use std::io::Write as _;

/// Where the figures go.
const FILE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/conservation");

/// Prints a line of figures and appends it to the file that `tests/run.sh` shows.
pub fn record(line: &str) {
    println!("{line}");
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(FILE)
        .unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// An environment variable that holds a number, if set and not empty.
pub fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable)
        .ok()
        .filter(|text| !text.is_empty())?;
    Some(
        text.parse()
            .unwrap_or_else(|error| panic!("{variable}={text}: {error}")),
    )
}

//! Messages between parent and child: a four-byte length, then the message.

use std::io::{self, Read, Write};

/// Writes one message.
pub(super) fn write(to: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(message)?;
    to.flush()
}

/// Reads one message of at most `most` bytes; `None` at the end of the stream.
///
/// # Errors
/// If the message is longer or incomplete.
pub(super) fn read(from: &mut impl Read, most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > most {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    from.read_exact(&mut message)?;
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip_and_long_or_cut_ones_are_errors() {
        let mut pipe = Vec::new();
        for message in [&b"one"[..], b"", b"three"] {
            write(&mut pipe, message).unwrap();
        }
        let mut from = pipe.as_slice();
        for expected in [&b"one"[..], b"", b"three"] {
            assert_eq!(read(&mut from, 5).unwrap().unwrap(), expected);
        }
        assert!(read(&mut from, 5).unwrap().is_none());
        assert!(read(&mut &pipe[..], 2).is_err(), "longer than allowed");
        assert!(read(&mut &pipe[..5], 5).is_err(), "cut off");
        assert!(
            read(&mut &u32::MAX.to_be_bytes()[..], 5).is_err(),
            "nothing is allocated for it"
        );
    }
}

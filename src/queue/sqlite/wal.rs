//! Examines the write-ahead log before SQLite reads it.
//!
//! SQLite reads the WAL up to the first invalid frame and treats the rest as the torn tail of a
//! power cut. If a later commit follows, the WAL was damaged after it was written, and acknowledged
//! commits would be lost silently. Every commit is fsynced before the next one begins, so a valid
//! commit after an invalid frame proves damage. So does the index (`-shm`) of a killed process if
//! it counts more frames than the WAL contains: it is written after the fsync.
//!
//! Formats: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log> and
//! <https://www.sqlite.org/walformat.html#the_wal_index_file_format>.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use super::OpenError;
use super::path::with_suffix;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The magic number; its lowest bit selects big-endian checksums.
const MAGIC: u32 = 0x377f_0682;
/// Two copies of the index header, then the number of checkpointed frames.
const INDEX: usize = 100;
const INDEX_HEADER: usize = 48;

type Sum = (u32, u32);
type Salt = [u8; 8];

/// Fails if the WAL of the database at `path` has lost commits. No other process may write at the
/// same time.
pub(super) fn examine(path: &Path) -> Result<(), OpenError> {
    // Both are beside the target of a symbolic link.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (log, index) = (with_suffix(&path, "-wal"), with_suffix(&path, "-shm"));
    let found = walk(&log).and_then(|walk| Ok((walk, ShmHeader::read(&index)?)));
    let (walk, promised) = found.map_err(|source| OpenError::NotWritable {
        path: log.clone(),
        source,
    })?;
    if let Some(behind) = walk.damaged_at {
        let found = format!("the frame at byte {behind} does not fit, and commits follow it");
        return Err(OpenError::Log {
            way_out: format!("truncate -s {behind} {}", log.display()),
            path: log,
            found,
        });
    }
    match promised {
        Some(promised) if promised.is_missing_from(&walk) => {
            let found = format!(
                "{} of the {} frames that were written are there",
                walk.frames, promised.frames
            );
            Err(OpenError::Log {
                way_out: format!("rm {}", index.display()),
                path: log,
                found,
            })
        }
        _ => Ok(()),
    }
}

/// The result of a scan of the WAL.
#[derive(Debug, Default, PartialEq, Eq)]
struct WalScan {
    /// The salt of the header; `None` if the header is invalid.
    salt: Option<Salt>,
    /// The number of valid frames from the start.
    frames: u32,
    /// The offset of the first invalid frame, if a valid commit follows it.
    damaged_at: Option<u64>,
}

fn walk(path: &Path) -> io::Result<WalScan> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(WalScan::default()),
        Err(error) => return Err(error),
    };
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut header = [0; HEADER];
    if !fill(&mut reader, &mut header)? {
        return Ok(WalScan::default());
    }
    let magic = word(&header, 0);
    let big_endian = magic & 1 == 1;
    let sum = checksum((0, 0), big_endian, &header[..24]);
    let fits = magic & !1 == MAGIC && sum == (word(&header, 24), word(&header, 28));
    let page =
        match word(&header, 8) {
            size if fits || (size.is_power_of_two() && (512..=32_768).contains(&size)) => {
                if size == 1 { 65_536 } else { size }
            }
            // The page size is lost with the header; this is the size that we use.
            _ => 4096,
        };
    let mut walk = WalScan {
        salt: fits.then(|| salt(&header, 16)),
        ..WalScan::default()
    };
    frames(
        &mut reader,
        &mut walk,
        Frame {
            big_endian,
            sum,
            bytes: vec![0; FRAME_HEADER + page as usize],
        },
    )?;
    Ok(walk)
}

/// The last frame read.
struct Frame {
    big_endian: bool,
    /// The checksum stored in it; at first that of the header.
    sum: Sum,
    bytes: Vec<u8>,
}

impl Frame {
    /// Reads the next frame. Returns whether it continues the checksum chain; `None` at the end.
    fn next(&mut self, reader: &mut impl Read) -> io::Result<Option<bool>> {
        if !fill(reader, &mut self.bytes)? {
            return Ok(None);
        }
        let (head, page) = self.bytes.split_at(FRAME_HEADER);
        let sum = checksum(
            checksum(self.sum, self.big_endian, head.get(..8).unwrap_or_default()),
            self.big_endian,
            page,
        );
        self.sum = (word(head, 16), word(head, 20));
        Ok(Some(sum == self.sum))
    }

    fn salt(&self) -> Salt {
        salt(&self.bytes, 8)
    }

    fn is_commit(&self) -> bool {
        word(&self.bytes, 4) > 0
    }
}

fn frames(reader: &mut impl Read, walk: &mut WalScan, mut frame: Frame) -> io::Result<()> {
    let length = frame.bytes.len() as u64;
    // Without a valid header no frame is valid; the salt of the first frame is used then.
    let (mut torn_at, mut salt) = (walk.salt.is_none().then_some(0), walk.salt);
    let (mut at, mut after_commit) = (HEADER as u64, false);
    while let Some(linked) = frame.next(reader)? {
        let salt = *salt.get_or_insert_with(|| frame.salt());
        let fits = frame.salt() == salt && linked;
        match torn_at {
            None if fits => walk.frames += 1,
            None => torn_at = Some(at),
            Some(torn_at) if fits && after_commit => {
                walk.damaged_at = Some(torn_at);
                return Ok(());
            }
            Some(_) => {}
        }
        after_commit = torn_at.is_some() && frame.salt() == salt && frame.is_commit();
        at += length;
    }
    Ok(())
}

/// The header of the index that a killed process left.
#[derive(Debug)]
struct ShmHeader {
    salt: Salt,
    frames: u32,
    /// How many of them are checkpointed.
    copied: u32,
}

impl ShmHeader {
    /// Reads the header; `None` if there is no index or it was being changed.
    fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = [0; INDEX];
        if !fill(&mut file, &mut bytes)? {
            return Ok(None);
        }
        let (first, second) = bytes[..2 * INDEX_HEADER].split_at(INDEX_HEADER);
        let native = |at| u32::from_ne_bytes(word(&bytes, at).to_be_bytes());
        let complete = first == second
            && first.get(12) == Some(&1)
            && checksum(
                (0, 0),
                cfg!(target_endian = "big"),
                first.get(..40).unwrap_or_default(),
            ) == (native(40), native(44));
        Ok(complete.then(|| Self {
            salt: salt(first, 32),
            frames: native(16),
            copied: native(2 * INDEX_HEADER),
        }))
    }

    /// A WAL with another salt was restarted later, which happens only after a full checkpoint.
    fn is_missing_from(&self, walk: &WalScan) -> bool {
        self.frames > self.copied
            && walk.salt.is_none_or(|salt| salt == self.salt)
            && walk.frames < self.frames
    }
}

/// Fills the buffer; returns `false` at the end of the file.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn salt(bytes: &[u8], at: usize) -> Salt {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .copied()
        .unwrap_or_default()
}

/// SQLite's checksum over pairs of words.
fn checksum((mut first, mut second): Sum, big_endian: bool, bytes: &[u8]) -> Sum {
    let read = if big_endian {
        u32::from_be_bytes
    } else {
        u32::from_le_bytes
    };
    for [one, other] in bytes.as_chunks().0.as_chunks().0 {
        first = first.wrapping_add(read(*one)).wrapping_add(second);
        second = second.wrapping_add(read(*other)).wrapping_add(first);
    }
    (first, second)
}

//! Unpacks compressed images: some storage services send `Content-Encoding: gzip` although it was
//! not requested.

use std::io::Read;

use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::MAX_BYTES;
use crate::domain::MissingReason;

/// Whether a file starts like gzip, or like zlib (`Content-Encoding: deflate`). No image format does.
pub(super) fn is_packed(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0x1F, 0x8B, ..] | [0x78, 0x01 | 0x5E | 0x9C | 0xDA, ..]
    )
}

/// Unpacks a compressed file; any other file is returned unchanged.
///
/// # Errors
/// [`MissingReason::TooLarge`] if the content exceeds the size limit of images,
/// [`MissingReason::NotAPicture`] if it is damaged.
pub(super) fn unpacked(bytes: Vec<u8>) -> Result<Vec<u8>, MissingReason> {
    match bytes.first() {
        _ if !is_packed(&bytes) => Ok(bytes),
        Some(0x1F) => inflate(MultiGzDecoder::new(bytes.as_slice())),
        _ => inflate(ZlibDecoder::new(bytes.as_slice())),
    }
}

fn inflate(inside: impl Read) -> Result<Vec<u8>, MissingReason> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    inside
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| MissingReason::NotAPicture)?;
    if bytes.len() > MAX_BYTES {
        Err(MissingReason::TooLarge)
    } else {
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    #[test]
    fn gzipped_image_is_unpacked_up_to_the_size_limit() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(b"picture").unwrap();
        let gzip = gzip.finish().unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"picture").unwrap();
        for packed in [gzip.clone(), zlib.finish().unwrap(), b"picture".to_vec()] {
            assert_eq!(unpacked(packed).unwrap(), b"picture");
        }
        assert_eq!(
            unpacked(gzip[..gzip.len() / 2].to_vec()),
            Err(MissingReason::NotAPicture)
        );
        let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
        bomb.write_all(&vec![0; MAX_BYTES + 1]).unwrap();
        assert_eq!(
            unpacked(bomb.finish().unwrap()),
            Err(MissingReason::TooLarge)
        );
    }
}

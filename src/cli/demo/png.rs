//! The smallest PNG writer that will do: truecolour, stored and not compressed, made for pictures
//! that are painted in memory.
//!
//! Formats: PNG (third edition) sections 5 and 11, zlib (RFC 1950), DEFLATE stored blocks (RFC 1951
//! section 3.2.4).

/// The most bytes of one stored block: its length has 16 bits.
const BLOCK: usize = 65_535;

/// Writes a picture of `width` times `height` pixels; `rgb` has three bytes for each pixel, row by
/// row from the top.
///
/// What is missing at the end of `rgb` is left out, so that the picture would not be whole; the
/// caller gives it all.
pub(super) fn write(width: u16, height: u16, rgb: &[u8]) -> Vec<u8> {
    let row = usize::from(width) * 3;
    let mut rows = Vec::with_capacity(rgb.len() + usize::from(height));
    for line in rgb.chunks(row.max(1)) {
        // Each row says how it is filtered: not at all.
        rows.push(0);
        rows.extend_from_slice(line);
    }
    let mut header = Vec::with_capacity(13);
    header.extend_from_slice(&u32::from(width).to_be_bytes());
    header.extend_from_slice(&u32::from(height).to_be_bytes());
    // Eight bits for each of three colours; the only compression, the only filtering, no
    // interlacing.
    header.extend_from_slice(&[8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut png, *b"IHDR", &header);
    chunk(&mut png, *b"IDAT", &stored(&rows));
    chunk(&mut png, *b"IEND", &[]);
    png
}

fn chunk(png: &mut Vec<u8>, name: [u8; 4], content: &[u8]) {
    png.extend_from_slice(
        &u32::try_from(content.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    png.extend_from_slice(&name);
    png.extend_from_slice(content);
    png.extend_from_slice(&crc32(name.iter().chain(content)).to_be_bytes());
}

/// A zlib stream that stores its bytes as they are.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut stream = Vec::with_capacity(bytes.len() + bytes.len() / BLOCK * 5 + 16);
    stream.extend_from_slice(&[0x78, 0x01]);
    let mut blocks = bytes.chunks(BLOCK).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend_from_slice(&length.to_le_bytes());
        stream.extend_from_slice(&(!length).to_le_bytes());
        stream.extend_from_slice(block);
    }
    stream.extend_from_slice(&adler32(bytes).to_be_bytes());
    stream
}

fn crc32<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    let table: [u32; 256] = std::array::from_fn(|at| {
        let start = u32::try_from(at).unwrap_or(0);
        (0..8).fold(start, |value, _| {
            if value & 1 == 1 {
                0xedb8_8320 ^ (value >> 1)
            } else {
                value >> 1
            }
        })
    });
    let last = bytes.fold(u32::MAX, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        table.get(usize::from(low ^ byte)).copied().unwrap_or(0) ^ (crc >> 8)
    });
    !last
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (1_u32, 0_u32);
    // So many additions fit before a sum can overflow.
    for part in bytes.chunks(5_552) {
        for byte in part {
            low += u32::from(*byte);
            high += low;
        }
        low %= 65_521;
        high %= 65_521;
    }
    (high << 16) | low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_the_standards_hold() {
        assert_eq!(crc32(b"123456789".iter()), 0xcbf4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn one_red_pixel_is_written_byte_for_byte() {
        let png = write(1, 1, &[255, 0, 0]);
        let idat = [0x78, 1, 1, 4, 0, 0xfb, 0xff, 0, 255, 0, 0, 3, 0, 1, 0];
        assert_eq!(
            &png[..33],
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90\x77\x53\xde"
        );
        assert_eq!(&png[33..41], b"\0\0\0\x0fIDAT");
        assert_eq!(png[41..52], idat[..11]);
        assert!(png.ends_with(b"\0\0\0\0IEND\xae\x42\x60\x82"));
    }

    #[test]
    fn long_content_is_split_into_blocks_of_which_one_is_the_last() {
        let stream = stored(&vec![7; BLOCK + 1]);
        assert_eq!(stream[2..7], [0, 0xff, 0xff, 0, 0]);
        assert_eq!(
            stream[2 + 5 + BLOCK..2 + 5 + BLOCK + 6],
            [1, 1, 0, 0xfe, 0xff, 7]
        );
    }
}

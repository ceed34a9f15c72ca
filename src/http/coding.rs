//! Content codings of request bodies: only `gzip` is supported.

use std::io::{ErrorKind, Read as _};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use flate2::bufread::MultiGzDecoder;

use super::Problem;
use super::body_budget::Reservation;

/// Bytes that are inflated at a time, and counted before they are kept.
const PIECE: usize = 16 * 1_024;
/// Number of pieces after which the task yields.
const TURN: usize = 16;
/// Maximum length of a coding's name in a response.
const MAX_NAME: usize = 40;

/// The content coding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// None.
    Identity,
    /// RFC 1952.
    Gzip,
}

/// Reads `Content-Encoding`.
///
/// # Errors
/// 415 for any other coding, and for several.
pub(super) fn of(headers: &HeaderMap) -> Result<Coding, Problem> {
    let mut found = Coding::Identity;
    for line in headers.get_all(header::CONTENT_ENCODING) {
        for name in line.to_str().unwrap_or("?").split(',').map(str::trim) {
            // "x-gzip" is the same (RFC 9110 §8.4.1.3).
            match name.to_ascii_lowercase().as_str() {
                "" | "identity" => {}
                "gzip" | "x-gzip" if found == Coding::Identity => found = Coding::Gzip,
                _ => return Err(unsupported(name)),
            }
        }
    }
    Ok(found)
}

fn unsupported(name: &str) -> Problem {
    let name: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
        .take(MAX_NAME)
        .collect();
    let detail = format!(
        "unsupported content coding \"{name}\"; send the body with gzip (once) or without a content coding"
    );
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
        .with_header(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))
}

/// Why inflating fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Invalid or truncated gzip.
    Damaged,
    /// The result exceeds the limit.
    TooLarge,
    /// The budget is exhausted.
    Exhausted,
}

/// Inflates gzip data to at most `max` bytes, counting each piece in the budget.
///
/// # Errors
/// If the data are damaged or become too large.
pub(super) async fn inflate(
    data: &[u8],
    max: usize,
    reservation: &mut Reservation,
) -> Result<Vec<u8>, Failure> {
    let mut decoder = MultiGzDecoder::new(data);
    let (mut inflated, mut piece, mut turn) = (Vec::new(), vec![0; PIECE], 0_usize);
    loop {
        let read = match decoder.read(&mut piece) {
            Ok(0) => return Ok(inflated),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return Err(Failure::Damaged),
        };
        if inflated.len().saturating_add(read) > max {
            return Err(Failure::TooLarge);
        }
        reservation
            .add(read)
            .await
            .map_err(|_| Failure::Exhausted)?;
        inflated.extend_from_slice(piece.get(..read).unwrap_or_default());
        turn += 1;
        if turn.is_multiple_of(TURN) {
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::http::body_budget::BodyBudget;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    async fn inflated(data: &[u8], max: usize) -> Result<Vec<u8>, Failure> {
        inflate(data, max, &mut BodyBudget::new(1 << 20).reserve(true)).await
    }

    #[tokio::test]
    async fn gzip_members_are_joined_and_damage_is_detected() {
        let whole = [gzip(b"one,"), gzip(b"two")].concat();
        assert_eq!(inflated(&whole, 7).await.unwrap(), b"one,two");
        assert_eq!(inflated(&whole, 6).await, Err(Failure::TooLarge));
        let mut flipped = whole.clone();
        flipped[20] ^= 0xff;
        for damaged in [
            &whole[..whole.len() - 1],
            &whole[..5],
            b"{}",
            &[whole.as_slice(), b"x"].concat(),
            &flipped,
        ] {
            assert_eq!(
                inflated(damaged, 1_000).await,
                Err(Failure::Damaged),
                "{damaged:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn gzip_bomb_stops_at_the_limit_or_the_budget() {
        let bomb = gzip(&vec![b' '; 8 << 20]);
        assert!(bomb.len() < 10_000);
        assert_eq!(inflated(&bomb, 100_000).await, Err(Failure::TooLarge));
        let budget = BodyBudget::new(1 << 20);
        let mut reservation = budget.reserve(false);
        assert_eq!(
            inflate(&bomb, 64 << 20, &mut reservation).await,
            Err(Failure::Exhausted)
        );
        assert!(budget.held() <= (1 << 20) / 4 + PIECE);
    }

    #[test]
    fn only_gzip_is_accepted_in_any_spelling() {
        let of = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(line));
            }
            of(&headers).map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(
            [of(&[]), of(&["identity"]), of(&[""])],
            [Ok(Coding::Identity); 3]
        );
        assert_eq!(
            [of(&["gzip"]), of(&["X-GZIP"]), of(&["identity, GZip"])],
            [Ok(Coding::Gzip); 3]
        );
        for other in [
            "deflate",
            "br",
            "zstd",
            "gzip, gzip",
            "gzip;q=1",
            "compress",
        ] {
            assert_eq!(of(&[other]), Err(415), "{other}");
        }
        assert_eq!(of(&["gzip", "gzip"]), Err(415));
    }
}

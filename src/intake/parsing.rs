//! Limits the memory of parsed JSON: a tree of values can be a hundred times larger than its text.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::{Problem, Why};

/// Bytes per semaphore permit.
const UNIT: usize = 64 * 1_024;
/// Limit for all trees together: 96 MiB.
const UNITS: usize = 1_536;
/// How long a request waits for memory.
const WAIT: Duration = Duration::from_secs(2);
/// `Retry-After` of a refused request, in seconds.
const RETRY: u16 = 2;

/// Estimated size of an object: one node of its map.
const OBJECT: usize = 640;
/// Estimated size of a field: its share of a half-full node, and its name.
const FIELD: usize = 160;
/// Estimated size of an array: capacity for four values.
const ARRAY: usize = 128;
/// Estimated size of an element: its value, spare capacity of a grown array, and the allocation of
/// a string.
const ELEMENT: usize = 128;

/// The memory budget. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Parsing(Arc<Semaphore>);

/// Memory reserved for one tree, released on drop.
#[derive(Debug)]
pub(super) struct Permit(
    #[expect(dead_code, reason = "held for its drop")] Option<OwnedSemaphorePermit>,
);

impl Default for Parsing {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(UNITS)))
    }
}

impl Parsing {
    /// Reserves memory for the tree of this text, waiting for other requests if necessary. Small
    /// texts need no reservation.
    ///
    /// # Errors
    /// 413 if the tree exceeds the whole budget, 503 if no memory becomes free in time.
    pub(super) async fn permit(&self, json: &[u8]) -> Result<Permit, Problem> {
        let units = weight(json) / UNIT;
        if units == 0 {
            return Ok(Permit(None));
        }
        if units > UNITS {
            return Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the JSON has too many values; split the request",
            )
            .because(Why::BodySize));
        }
        let acquiring =
            Arc::clone(&self.0).acquire_many_owned(u32::try_from(units).unwrap_or(u32::MAX));
        match tokio::time::timeout(WAIT, acquiring).await {
            Ok(Ok(permit)) => Ok(Permit(Some(permit))),
            _ => Err(Problem::unavailable(
                "too many large requests in progress; nothing was stored",
                RETRY,
            )
            .because(Why::BodyBudget)),
        }
    }
}

/// Estimates the maximum memory of a JSON text's tree.
fn weight(json: &[u8]) -> usize {
    let (mut weight, mut in_string, mut escaped, mut before) = (json.len(), false, false, b' ');
    for byte in json {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        weight = weight.saturating_add(match byte {
            b'"' => {
                in_string = true;
                // An empty object allocates nothing.
                if before == b'{' { OBJECT } else { 0 }
            }
            b':' => FIELD,
            b'[' => ARRAY,
            b',' => ELEMENT,
            _ => 0,
        });
        before = if byte.is_ascii_whitespace() {
            before
        } else {
            *byte
        };
    }
    weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_ignores_the_content_of_strings() {
        assert_eq!(weight(br#""{[,:\"{[,:""#), 12);
        assert_eq!(weight(b"[1,2]"), 5 + ARRAY + ELEMENT);
        assert_eq!(
            weight(br#"{"a":1,"b":[]}"#),
            14 + OBJECT + 2 * FIELD + ELEMENT + ARRAY
        );
    }

    #[tokio::test(start_paused = true)]
    async fn large_trees_wait_for_memory_and_small_ones_do_not() {
        let parsing = Parsing::default();
        let dense = [b"[".as_slice(), &b"{\"\":0},".repeat(80_000), b"0]"].concat();
        let held = parsing.permit(&dense).await.unwrap();
        assert_eq!(parsing.permit(&dense).await.unwrap_err().status(), 503);
        assert!(parsing.permit(br#"{"status":"succeeded"}"#).await.is_ok());
        let picture = format!("\"{}\"", "A".repeat(8 << 20));
        assert!(
            parsing.permit(picture.as_bytes()).await.is_ok(),
            "long texts are cheap"
        );
        drop(held);
        assert!(parsing.permit(&dense).await.is_ok());
        assert_eq!(
            parsing.permit(&dense.repeat(2)).await.unwrap_err().status(),
            413
        );
    }
}

//! Fetches the keys that services publish for their webhooks.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::intake::hooks::verify::jwks::Fetch;
use crate::transport::http;

/// The longest wait for a list of keys; the service behind the hook waits for our answer meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most bytes of a list of keys.
const MAX_LIST: usize = 64 * 1_024;

/// What fetches lists of keys: over TLS, without redirects, within bounds. The client is made when
/// it is first needed.
pub fn fetcher() -> Fetch {
    let client: Arc<OnceLock<Result<reqwest::Client, String>>> = Arc::default();
    Arc::new(move |url| {
        let client = client
            .get_or_init(|| http::client(PATIENCE, None).map_err(|error| error.to_string()))
            .clone();
        Box::pin(async move { list(&client?, &url).await })
    })
}

async fn list(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, String> {
    let said = |error: reqwest::Error| http::fault(&error).1;
    let mut response = client.get(url).send().await.map_err(said)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(format!("the answer is {}", response.status().as_u16()));
    }
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(said)? {
        if text.len() + chunk.len() > MAX_LIST {
            return Err(format!("the answer is larger than {MAX_LIST} bytes"));
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

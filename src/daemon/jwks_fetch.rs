//! Fetches the public keys of webhook services (JWKS).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::intake::hooks::verify::jwks::Fetch;
use crate::transport::http;

/// Timeout of a fetch; the service that sent the webhook waits for our answer meanwhile.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum bytes of a key set.
const MAX_KEY_SET: usize = 64 * 1_024;

/// Returns a function that fetches key sets over TLS, without redirects, with a timeout and a size
/// limit. It creates its HTTP client on first use.
pub fn fetcher() -> Fetch {
    let client: Arc<OnceLock<Result<reqwest::Client, String>>> = Arc::default();
    Arc::new(move |url| {
        let client = client
            .get_or_init(|| http::client(TIMEOUT, None).map_err(|error| error.to_string()))
            .clone();
        Box::pin(async move { fetch(&client?, &url).await })
    })
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, String> {
    let describe = |error: reqwest::Error| http::fault(&error).1;
    let mut response = client.get(url).send().await.map_err(describe)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(format!("the answer is {}", response.status().as_u16()));
    }
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(describe)? {
        if text.len() + chunk.len() > MAX_KEY_SET {
            return Err(format!("the answer is larger than {MAX_KEY_SET} bytes"));
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

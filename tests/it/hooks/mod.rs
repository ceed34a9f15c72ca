//! Webhooks: samples, signatures, hostile input.

mod bad_input;
mod envelope;
mod program;
mod reported;
mod samples;
mod vectors;

use std::path::PathBuf;
use std::time::Duration;

use jobbell::config::{self, Sources};
use jobbell::domain::Timestamp;
use jobbell::intake::hooks::Settings;
use serde_json::Value;

use crate::http::test_server::{Setup, TestServer};

/// When the samples were sent.
const SENT: Timestamp = Timestamp::from_millis(1_772_612_137_000);

/// The raw bytes of a sample.
fn sample(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/vectors/hooks")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Parses a configuration's hooks.
pub(crate) fn configured(text: &str) -> Vec<Settings> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("[smtp]\nenable = false\n{text}")).unwrap();
    let sources = Sources {
        path: Some(file.path().to_owned()),
        ..Sources::default()
    };
    config::load(&sources)
        .unwrap_or_else(|report| panic!("{report}"))
        .config
        .hooks
}

/// A server with these hooks at this time.
pub(crate) fn server(text: &str, now: Timestamp) -> TestServer {
    TestServer::with(Setup {
        hooks: configured(text),
        now,
        max_body: 1 << 20,
        body_time: Duration::from_secs(20),
        ..Setup::default()
    })
}

/// The status of a response and its JSON body, if any.
async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.bytes().await.unwrap();
    (
        status,
        if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap()
        },
    )
}

//! Webhooks of services: every sample maps, every signature is judged, nothing bad gets in.

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

/// The bytes of a sample, as they were signed.
fn sample(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/vectors/hooks")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The hooks of a configuration.
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

/// A house with these hooks at this moment.
pub(crate) fn house(text: &str, now: Timestamp) -> TestServer {
    TestServer::with(Setup {
        hooks: configured(text),
        now,
        max_body: 1 << 20,
        body_time: Duration::from_secs(20),
        ..Setup::default()
    })
}

/// The status of an answer and its body, where it has one.
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

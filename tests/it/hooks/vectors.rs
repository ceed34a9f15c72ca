//! All signature vectors, valid and invalid, through the real routes.

use jobbell::domain::Timestamp;
use serde_json::Value;

use super::{SENT, answer, sample, server};

/// A hook that verifies signatures like the vector's receiver.
fn hook(vector: &Value, keys: &tempfile::NamedTempFile) -> String {
    let secret = vector["secret"]
        .as_str()
        .or(vector["public_key"].as_str())
        .map(|secret| format!("secret = {secret:?}\n"))
        .unwrap_or_default();
    let (kind, way) = match vector["scheme"].as_str().unwrap() {
        "standard-webhooks" | "standard-webhooks-v1a" => {
            ("standard-webhooks", "standard-webhooks\"")
        }
        "github-sha256" => (
            "standard-webhooks",
            "hmac-sha256\"\nheader = \"X-Hub-Signature-256\"",
        ),
        "bfl-sha256" => (
            "standard-webhooks",
            "hmac-sha256\"\nheader = \"X-BFL-Signature\"",
        ),
        "shared-token" => ("standard-webhooks", "header\"\nheader = \"X-Gitlab-Token\""),
        "bearer" => ("standard-webhooks", "bearer\""),
        "fal-ed25519" => {
            return format!("[hooks.h]\nkind = \"fal\"\njwks_file = {:?}\n", keys.path());
        }
        scheme => panic!("unknown scheme {scheme}"),
    };
    format!("[hooks.h]\nkind = \"{kind}\"\nverify = \"{way}\n{secret}")
}

#[tokio::test]
async fn signature_vectors_verify_as_documented() {
    let vectors: Value = serde_json::from_slice(&sample("signature-vectors.json")).unwrap();
    let mut judged = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let keys = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(keys.path(), vector["jwks"].to_string()).unwrap();
        let table = hook(vector, &keys);
        let now = vector["now"]
            .as_i64()
            .map_or(SENT, |seconds| Timestamp::from_millis(seconds * 1_000));
        let server = server(&table, now);
        let body = vector["body_text"].as_str().map_or_else(
            || sample(vector["body_file"].as_str().unwrap()),
            |text| text.as_bytes().to_vec(),
        );
        let mut request = server
            .post("/v1/hooks/h")
            .header("content-type", "application/json")
            .body(body);
        for (name, value) in vector["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        let (status, said) = answer(request).await;
        // Verified payloads are mapped next, and some do not belong to this kind.
        assert_eq!(
            status != 401,
            vector["valid"].as_bool().unwrap(),
            "{}: {status} {said}",
            vector["name"]
        );
        judged += 1;
    }
    assert_eq!(judged, 28, "every vector of the file is judged");
}

//! Text in legacy encodings: GBK from Chinese Windows programs, UTF-16 from PowerShell's `>`,
//! bodies with a charset.

use encoding_rs::GB18030;
use serde_json::{Value, json};

use crate::http::test_server::{TestServer, answer};
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

const TEXT: &str = "错误：内存不足，请减小批量";

fn gbk(text: &str) -> Vec<u8> {
    GB18030.encode(text).0.into_owned()
}

fn utf16(text: &str) -> Vec<u8> {
    [0xFF, 0xFE]
        .into_iter()
        .chain(text.encode_utf16().flat_map(u16::to_le_bytes))
        .collect()
}

#[tokio::test]
async fn request_body_is_decoded_with_its_charset() {
    let server = TestServer::open();
    let event = |id: &str| {
        json!({"id": id, "status": "failed", "error": TEXT, "to": "a@example.org"}).to_string()
    };
    let post = async |kind: &str, body: Vec<u8>| {
        answer(
            server
                .post("/v1/events")
                .header("content-type", kind)
                .body(body),
        )
        .await
    };
    for (id, kind, body) in [
        ("gbk", "application/json; charset=GBK", gbk(&event("gbk"))),
        (
            "gb2312",
            "application/json;charset=\"gb2312\"",
            gbk(&event("gb2312")),
        ),
        (
            "lines",
            "application/x-ndjson; charset=gb18030",
            gbk(&event("lines")),
        ),
        (
            "utf-16",
            "application/json; charset=utf-16",
            utf16(&event("utf-16")),
        ),
        ("mark", "application/json", utf16(&event("mark"))),
        (
            "utf-8",
            "application/json; charset=UTF-8",
            event("utf-8").into_bytes(),
        ),
    ] {
        let (status, response) = post(kind, body).await;
        assert_eq!(status, 202, "{id}: {response}");
        let (_, record) = answer(server.get(&format!("/v1/events/{id}"))).await;
        assert_eq!(record["event"]["error"]["message"], TEXT, "{id}: {record}");
    }
    assert_eq!(
        post("application/json; charset=klingon", event("x").into_bytes())
            .await
            .0,
        415
    );
    assert_eq!(
        post("application/json; charset=utf-16", b"\xFF\xFE\x00".to_vec())
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn files_and_command_output_are_decoded() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    let daemon = config.start().await;
    config.env("JOBBELL_SERVER__LISTEN", daemon.address());
    let event = |id: &str| json!({"id": id, "status": "failed", "error": TEXT}).to_string();
    std::fs::write(config.path().join("gbk.json"), gbk(&event("file-gbk"))).unwrap();
    std::fs::write(config.path().join("wide.json"), utf16(&event("file-wide"))).unwrap();
    std::fs::write(
        config.path().join("gbk.txt"),
        gbk(&format!("line\n{TEXT}\n")),
    )
    .unwrap();
    for file in ["gbk.json", "wide.json"] {
        let posted = config.run(&["event", "--file", file]).await;
        assert_eq!(posted.code, Some(0), "{posted:#?}");
        let shown = config.run(&["preview", "--file", file]).await;
        assert!(shown.out.contains(TEXT), "{shown:#?}");
    }
    let script = "cat gbk.txt; exit 3";
    let ran = config
        .command(&["run", "--id", "ran", "--", "/bin/sh", "-c", script])
        .output()
        .await
        .unwrap();
    assert_eq!(
        (ran.status.code(), ran.stdout),
        (Some(3), gbk(&format!("line\n{TEXT}\n"))),
        "the output passes through unchanged"
    );
    let message = async |id: &str| daemon.event(id).await["event"]["error"]["message"].clone();
    assert_eq!(
        [message("file-gbk").await, message("file-wide").await],
        [json!(TEXT), json!(TEXT)]
    );
    assert_eq!(message("ran").await, Value::from(format!("line\n{TEXT}")));
}

//! From the configuration file to the mail at its server: SMTP and DirectMail servers in one list,
//! and the recorded explanation of a refusal.

use std::time::Duration;

use jobbell::Jobbell;
use jobbell::clock::Clock;
use jobbell::config::{self, Sources};
use jobbell::domain::{EventId, JobEvent, JobStatus, State};
use jobbell::queue::{AttemptRecord, DeliveryRecord};
use serde_json::json;

use crate::http::peer::{Answer, HttpPeer, PATIENCE};
use crate::support::smtp_peer::{Act, At, SmtpPeer};

/// Sends one event with this `[smtp]` and returns its delivery once it is sent.
async fn sent_with(smtp: &str) -> DeliveryRecord {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    std::fs::write(
        &file,
        format!(
            "{smtp}\n[queue]\nstate_dir = \"{}\"\n",
            directory.path().join("state").display()
        ),
    )
    .unwrap();
    let loaded = config::load(&Sources {
        path: Some(file),
        ..Sources::default()
    })
    .unwrap();
    let mut jobbell = Jobbell::start(&loaded.config).await.unwrap();
    let id = EventId::generate(Clock::System.now());
    jobbell
        .submit(JobEvent::new(id.clone(), JobStatus::Succeeded))
        .await
        .unwrap();
    let sent = async {
        loop {
            let delivery = jobbell
                .queue()
                .find(&id)
                .await
                .unwrap()
                .unwrap()
                .deliveries
                .remove(0);
            if delivery.state == State::Sent {
                return delivery;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let delivery = tokio::time::timeout(PATIENCE, sent)
        .await
        .expect("email not sent");
    jobbell.stop().await;
    delivery
}

fn smtp_server(port: u16) -> String {
    format!(
        "host = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nfrom = \"me@x.org\"\nname = \"by smtp\"\n"
    )
}

fn directmail(endpoint: &str) -> String {
    format!(
        "provider = \"directmail\"\napi = true\nfrom = \"push@x.org\"\nname = \"by api\"\naccess_key_id = \"id\"\naccess_key_secret = \"secret\"\nendpoint = \"{endpoint}\"\n"
    )
}

fn two(first: &str, second: &str) -> String {
    format!("[smtp]\nto = \"reader@example.org\"\n{first}[[smtp.backup]]\n{second}")
}

fn results(delivery: &DeliveryRecord) -> Vec<(u32, &str, &str)> {
    delivery
        .attempts
        .iter()
        .map(|attempt| {
            (
                attempt.number,
                attempt.server.as_str(),
                attempt.result.as_str(),
            )
        })
        .collect()
}

fn explained(attempt: &AttemptRecord) -> (&str, &str) {
    (
        attempt.cause.as_deref().unwrap_or_default(),
        attempt.advice.as_deref().unwrap_or_default(),
    )
}

#[tokio::test]
async fn directmail_takes_over_in_the_same_attempt() {
    let peer = SmtpPeer::builder()
        .always(At::Greeting, Act::reply_and_close("421 4.3.2 closing"))
        .start()
        .await;
    let api =
        HttpPeer::start(|_, _| Answer::json(200, &json!({ "EnvId": "1", "RequestId": "R" }))).await;
    let delivery = sent_with(&two(&smtp_server(peer.port()), &directmail(&api.url("/")))).await;
    assert_eq!(
        results(&delivery),
        [(1, "by smtp", "unavailable"), (1, "by api", "sent")]
    );
    let request = api.requests().remove(0);
    assert_eq!(
        (
            request.field("AccountName").as_deref(),
            request.field("ToAddress").as_deref()
        ),
        (Some("push@x.org"), Some("reader@example.org"))
    );
    assert!(
        request
            .field("Headers")
            .unwrap()
            .contains(delivery.message_id.trim_matches(['<', '>']))
    );
}

#[tokio::test]
async fn directmail_failure_is_recorded_in_the_configured_language() {
    let peer = SmtpPeer::start().await;
    let api = HttpPeer::start(|_, _| {
        Answer::json(
            403,
            &json!({ "Code": "Forbidden.RAM", "Message": "not authorized", "RequestId": "R" }),
        )
    })
    .await;
    for (locale, cause, advice) in [
        (
            "en",
            "The access key has no right to use DirectMail.",
            "Grant the RAM user",
        ),
        ("zh-CN", "该密钥没有邮件推送权限。", "请在 RAM 控制台"),
    ] {
        let file = format!(
            "{}[email]\nlocale = \"{locale}\"\n",
            two(&directmail(&api.url("/")), &smtp_server(peer.port()))
        );
        let delivery = sent_with(&file).await;
        assert_eq!(
            results(&delivery),
            [(1, "by api", "misconfigured"), (1, "by smtp", "sent")]
        );
        let explanation = explained(&delivery.attempts[0]);
        assert!(
            explanation.0 == cause && explanation.1.starts_with(advice),
            "{explanation:?}"
        );
    }
    assert_eq!(peer.mails().len(), 2);
}

#[tokio::test]
async fn refused_qq_authorization_code_is_recorded_with_advice() {
    let reply = encoding_rs::GB18030
        .encode("535 Error: 请使用授权码登录\r\n")
        .0
        .into_owned();
    let qq = SmtpPeer::builder()
        .login("me@qq.com", "another")
        .always(At::Auth, Act::ReplyAndClose(reply))
        .start()
        .await;
    let backup = SmtpPeer::start().await;
    let primary = format!(
        "provider = \"qq\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nusername = \"me@qq.com\"\npassword = \"qkzmvtbw\"\n",
        qq.port()
    );
    let delivery = sent_with(&two(&primary, &smtp_server(backup.port()))).await;
    assert_eq!(
        results(&delivery),
        [(1, "127.0.0.1", "misconfigured"), (1, "by smtp", "sent")]
    );
    let attempt = &delivery.attempts[0];
    assert_eq!(
        attempt.reply.as_ref().unwrap().text,
        "Error: 请使用授权码登录"
    );
    let explanation = explained(attempt);
    assert!(
        explanation.0.contains("不是 QQ 邮箱授权码") && explanation.1.contains("重新生成授权码"),
        "{explanation:?}"
    );
}

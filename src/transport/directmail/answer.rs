//! Classifies the responses of DirectMail.

use std::time::Duration;

use serde_json::Value;

use crate::domain::{
    AttemptResult, Explanation, Failure, FailureKind, Locale, Receipt, Recipient, Reply, Stage,
    Timestamp,
};
use crate::transport::explain::{LocalError, Table};
use crate::transport::http::{Answer, plain};

/// The pause after too many calls.
const THROTTLED: Duration = Duration::from_mins(1);
/// The table's key of the rows that explain a `Code` of the API
/// (<https://help.aliyun.com/en/direct-mail/error-codes>).
const ROWS: &str = "aliyun-directmail-api";

/// The call that a response belongs to.
pub(super) struct Call<'a> {
    /// The recipient, to be masked.
    pub to: Option<&'a Recipient>,
    /// The time that the request was signed with.
    pub at: Timestamp,
    /// The table of refusals.
    pub replies: &'a Table,
    /// Language of the explanation.
    pub locale: Locale,
}

/// Classifies a response by its `Code`. The HTTP status counts little, because the published lists
/// disagree about it.
pub(super) fn classify(answer: &Answer, call: &Call<'_>) -> AttemptResult {
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
    let (code, request) = (plain(text("Code"), 100), plain(text("RequestId"), 100));
    if answer.status == 200 && code.is_empty() && !request.is_empty() {
        let text = format!("EnvId {} RequestId {request}", plain(text("EnvId"), 100));
        return AttemptResult::Sent(Receipt {
            reply: reply(answer, text),
        });
    }
    let message = masked(text("Message"), call.to);
    let (kind, detail, explanation) = if code.is_empty() {
        let (kind, what) = without_code(answer);
        let verdict = call.replies.explain_local(LocalError::ApiNotJson);
        (
            kind,
            format!("DirectMail answered {what} (status {})", answer.status),
            verdict.explanation(call.locale),
        )
    } else if code.starts_with("InvalidTimeStamp") || code.starts_with("IllegalTimestamp") {
        let clocks = clocks(call.at, answer.date);
        (
            FailureKind::Misconfigured,
            format!("DirectMail refuses our clock ({code}): {}", clocks.english),
            Some(clocks.explain(call.locale)),
        )
    } else {
        let verdict = call
            .replies
            .explain_code(Some(ROWS), answer.status, &code, &message);
        (
            with_retry_after(verdict.kind(Stage::Api), answer.retry_after),
            format!("DirectMail refused the mail: {code}: {message}"),
            verdict.explanation(call.locale),
        )
    };
    let text = if code.is_empty() {
        String::new()
    } else {
        format!("{code}: {message} (RequestId {request})")
    };
    AttemptResult::Failed(Failure {
        kind,
        stage: Stage::Api,
        reply: Some(reply(answer, text)),
        detail,
        explanation,
    })
}

fn reply(answer: &Answer, text: String) -> Reply {
    Reply {
        code: answer.status,
        enhanced: None,
        text,
    }
}

/// Classifies a response without a `Code`, which comes from a proxy or gateway in front of the
/// service.
fn without_code(answer: &Answer) -> (FailureKind, &'static str) {
    let what = if answer.html {
        "with a web page"
    } else {
        "with something that is not a response of its API"
    };
    let unavailable = |retry_after| FailureKind::Unavailable {
        retry_after,
        server_wide: true,
    };
    match answer.status {
        // A success, or a gateway that forwarded the mail and lost the response.
        200..300 if !answer.html => (FailureKind::Uncertain, what),
        504 => (FailureKind::Uncertain, what),
        429 => (
            unavailable(answer.retry_after.or(Some(THROTTLED))),
            "that it is called too often",
        ),
        408 | 500.. => (unavailable(answer.retry_after), "that it is out of order"),
        _ => (FailureKind::Misconfigured, what),
    }
}

/// Prefers the pause that the server requests to ours.
fn with_retry_after(kind: FailureKind, requested: Option<Duration>) -> FailureKind {
    match kind {
        FailureKind::Unavailable {
            retry_after,
            server_wide,
        } => FailureKind::Unavailable {
            retry_after: requested.or(retry_after),
            server_wide,
        },
        other => other,
    }
}

/// Masks the recipient, and cuts off the whole request, which the message of a refused signature
/// contains.
fn masked(message: &str, to: Option<&Recipient>) -> String {
    let message = message
        .split("server string to sign")
        .next()
        .unwrap_or_default();
    let masked = to.map_or_else(
        || message.to_owned(),
        |to| message.replace(to.as_str(), &to.masked()),
    );
    plain(&masked, 500)
}

/// Both clocks, described in both languages.
struct Clocks {
    english: String,
    chinese: String,
}

impl Clocks {
    fn explain(self, locale: Locale) -> Explanation {
        let (cause, advice) = match locale {
            Locale::En => (
                self.english,
                "Set this machine's clock (switch NTP on); the time zone does not matter."
                    .to_owned(),
            ),
            Locale::ZhCn => (
                self.chinese,
                "校准本机时间（启用 NTP）；与时区无关。".to_owned(),
            ),
        };
        Explanation { cause, advice }
    }
}

fn clocks(ours: Timestamp, theirs: Option<Timestamp>) -> Clocks {
    let Some(theirs) = theirs else {
        return Clocks {
            english: format!("this machine says {ours}, which is more than 15 minutes off"),
            chinese: format!("本机时间为 {ours}，偏差超过 15 分钟"),
        };
    };
    let (ahead, behind) = (ours.since(theirs).as_secs(), theirs.since(ours).as_secs());
    let (english, chinese, seconds) = if ahead >= behind {
        ("ahead", "快", ahead)
    } else {
        ("behind", "慢", behind)
    };
    let (minutes, rest) = (seconds / 60, seconds % 60);
    Clocks {
        english: format!(
            "this machine says {ours}, Aliyun {theirs}: {minutes} min {rest} s {english}"
        ),
        chinese: format!(
            "本机时间 {ours}，阿里云时间 {theirs}：本机{chinese} {minutes} 分 {rest} 秒"
        ),
    }
}

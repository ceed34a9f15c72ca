//! What an answer of DirectMail means.

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

/// What was asked, as far as the judgement needs it.
pub(super) struct Asked<'a> {
    /// For whom, whose address is not to be repeated.
    pub to: Option<&'a Recipient>,
    /// The time that the request was signed with.
    pub at: Timestamp,
    /// What refusals mean.
    pub replies: &'a Table,
    /// The operator's language.
    pub locale: Locale,
}

/// Judges an answer by its `Code`: the published lists disagree about which HTTP status goes with
/// it.
pub(super) fn classify(answer: &Answer, asked: &Asked<'_>) -> AttemptResult {
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
    let (code, request) = (plain(text("Code"), 100), plain(text("RequestId"), 100));
    if answer.status == 200 && code.is_empty() && !request.is_empty() {
        let text = format!("EnvId {} RequestId {request}", plain(text("EnvId"), 100));
        return AttemptResult::Sent(Receipt {
            reply: Reply {
                code: 200,
                enhanced: None,
                text,
            },
        });
    }
    let message = harmless(text("Message"), asked.to);
    let fail = |kind, detail: String, explanation| {
        let words = if code.is_empty() {
            String::new()
        } else {
            format!("{code}: {message} (RequestId {request})")
        };
        let reply = Some(Reply {
            code: answer.status,
            enhanced: None,
            text: words,
        });
        AttemptResult::Failed(Failure {
            kind,
            stage: Stage::Api,
            reply,
            detail,
            explanation,
        })
    };
    if code.is_empty() {
        let (kind, what) = unreadable(answer);
        let explanation = asked
            .replies
            .explain_local(LocalError::ApiNotJson)
            .explanation(asked.locale);
        return fail(
            kind,
            format!("DirectMail answered {what} (status {})", answer.status),
            explanation,
        );
    }
    if is_clock(&code) {
        let clocks = clocks(asked.at, answer.date);
        return fail(
            FailureKind::Misconfigured,
            format!("DirectMail refuses our clock ({code}): {}", clocks.english),
            Some(clocks.explain(asked.locale)),
        );
    }
    let verdict = asked
        .replies
        .explain_code(Some(ROWS), answer.status, &code, &message);
    let kind = patient(verdict.kind(Stage::Api), answer.retry_after);
    fail(
        kind,
        format!("DirectMail refused the mail: {code}: {message}"),
        verdict.explanation(asked.locale),
    )
}

/// An answer without a `Code` does not come from the service itself, but from something in front of
/// it.
fn unreadable(answer: &Answer) -> (FailureKind, &'static str) {
    let what = if answer.html {
        "with a web page"
    } else {
        "with something that is no answer of its interface"
    };
    let unavailable = |retry_after| FailureKind::Unavailable {
        retry_after,
        server_wide: true,
    };
    match answer.status {
        // Somebody there said yes, or passed the mail on and lost the answer.
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

/// The pause that the server asked for, in place of ours.
fn patient(kind: FailureKind, asked: Option<Duration>) -> FailureKind {
    match kind {
        FailureKind::Unavailable {
            retry_after,
            server_wide,
        } => FailureKind::Unavailable {
            retry_after: asked.or(retry_after),
            server_wide,
        },
        other => other,
    }
}

/// A refused signature comes with the whole request in the message, and others may name the
/// address: neither is repeated.
fn harmless(message: &str, to: Option<&Recipient>) -> String {
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

fn is_clock(code: &str) -> bool {
    code.starts_with("InvalidTimeStamp") || code.starts_with("IllegalTimestamp")
}

/// Both clocks in words.
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

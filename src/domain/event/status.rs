//! Status words and their meanings, shared by events, webhooks and the command line.

use serde_json::Value;

/// The meaning of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusMeaning {
    /// The job succeeded.
    Succeeded,
    /// The job failed.
    Failed,
    /// The job was canceled.
    Canceled,
    /// The job has not ended, or its end needs no mail.
    Ignored,
}

const SUCCEEDED: &[&str] = &[
    "succeeded",
    "succeed",
    "success",
    "successful",
    "completed",
    "complete",
    "done",
    "finished",
    "finish",
    "ok",
    "okay",
    "true",
    "pass",
    "passed",
    "成功",
    "完成",
    "已完成",
];
const FAILED: &[&str] = &[
    "failed",
    "fail",
    "failure",
    "error",
    "errored",
    "err",
    "timeout",
    "timed_out",
    "expired",
    "crashed",
    "faulted",
    "killed",
    "fatal",
    "exception",
    "rejected",
    "incomplete",
    "false",
    "失败",
    "出错",
    "错误",
    "超时",
];
const CANCELED: &[&str] = &[
    "canceled",
    "cancelled",
    "cancel",
    "aborted",
    "abort",
    "interrupted",
    "revoked",
    "已取消",
    "取消",
];
const IGNORED: &[&str] = &[
    "created",
    "submitted",
    "accepted",
    "scheduled",
    "queued",
    "in_queue",
    "waiting",
    "pending",
    "preparing",
    "starting",
    "started",
    "running",
    "processing",
    "in_progress",
    "progress",
    "sampling",
    "uploading",
    "retrying",
    "paused",
    "canceling",
    "cancelling",
    "skipped",
    "neutral",
    "stale",
    "manual",
    "action_required",
    "排队中",
    "运行中",
    "进行中",
];

impl StatusMeaning {
    /// Every meaning with its name and its status words. A hook's mapping can override them.
    pub const NAMED: &[(&str, Self, &[&str])] = &[
        ("succeeded", Self::Succeeded, SUCCEEDED),
        ("failed", Self::Failed, FAILED),
        ("canceled", Self::Canceled, CANCELED),
        ("ignored", Self::Ignored, IGNORED),
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        Self::NAMED
            .iter()
            .find(|(_, meaning, _)| *meaning == self)
            .map_or("", |(name, ..)| name)
    }

    /// The meaning of a word. Case and surrounding blanks are ignored; `-` and blanks within count
    /// as `_`.
    pub fn of_word(word: &str) -> Option<Self> {
        let word = word.trim();
        // All words are shorter. Senders control the text.
        let plain = (word.len() <= 32).then(|| word.to_lowercase().replace(['-', ' '], "_"))?;
        Self::NAMED
            .iter()
            .find(|(_, _, words)| words.contains(&plain.as_str()))
            .map(|(_, meaning, _)| *meaning)
    }

    /// The meaning of a JSON value: a word, `true` or `false`.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(word) => Self::of_word(word),
            Value::Bool(true) => Some(Self::Succeeded),
            Value::Bool(false) => Some(Self::Failed),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_match_in_any_case_and_have_one_meaning() {
        for (word, meaning) in [
            ("succeeded", Some(StatusMeaning::Succeeded)),
            (" COMPLETED ", Some(StatusMeaning::Succeeded)),
            ("Timed-Out", Some(StatusMeaning::Failed)),
            ("timed out", Some(StatusMeaning::Failed)),
            ("IN_PROGRESS", Some(StatusMeaning::Ignored)),
            ("Cancelled", Some(StatusMeaning::Canceled)),
            ("失败", Some(StatusMeaning::Failed)),
            ("perhaps", None),
            ("", None),
        ] {
            assert_eq!(StatusMeaning::of_word(word), meaning, "{word}");
        }
        let words: Vec<&str> = StatusMeaning::NAMED
            .iter()
            .flat_map(|(_, _, words)| words.iter().copied())
            .collect();
        assert_eq!(
            words
                .iter()
                .collect::<std::collections::BTreeSet<_>>()
                .len(),
            words.len()
        );
    }
}

//! The words for how a job ended. One vocabulary for all entrances: events, hooks, the command
//! line.

use serde_json::Value;

/// What a status means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The job ended well.
    Succeeded,
    /// It did not.
    Failed,
    /// Somebody wanted it to end.
    Canceled,
    /// It has not ended, or nobody needs to know.
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

impl Verdict {
    /// Every verdict by its name, with the words that mean it wherever a hook's mapping does not
    /// say otherwise.
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
            .find(|(_, verdict, _)| *verdict == self)
            .map_or("", |(name, ..)| name)
    }

    /// What a word means by usage. Case, blanks around it, and `-` or a blank in the place of `_`
    /// make no difference.
    pub fn of_word(word: &str) -> Option<Self> {
        let word = word.trim();
        // No word is longer, and senders choose the text.
        let plain = (word.len() <= 32).then(|| word.to_lowercase().replace(['-', ' '], "_"))?;
        Self::NAMED
            .iter()
            .find(|(_, _, words)| words.contains(&plain.as_str()))
            .map(|(_, verdict, _)| *verdict)
    }

    /// The same of a JSON value: a word, or `true` and `false`.
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
    fn words_are_understood_in_any_case_and_mean_one_thing() {
        for (word, verdict) in [
            ("succeeded", Some(Verdict::Succeeded)),
            (" COMPLETED ", Some(Verdict::Succeeded)),
            ("Timed-Out", Some(Verdict::Failed)),
            ("timed out", Some(Verdict::Failed)),
            ("IN_PROGRESS", Some(Verdict::Ignored)),
            ("Cancelled", Some(Verdict::Canceled)),
            ("失败", Some(Verdict::Failed)),
            ("perhaps", None),
            ("", None),
        ] {
            assert_eq!(Verdict::of_word(word), verdict, "{word}");
        }
        let words: Vec<&str> = Verdict::NAMED
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

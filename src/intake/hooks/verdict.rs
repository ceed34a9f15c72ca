//! The words by which services say how a job stands, and what they mean.

/// What a state means.
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

impl Verdict {
    /// Every verdict by its name, and the words that mean it wherever the mapping does not say otherwise.
    pub const NAMED: &[(&str, Self, &[&str])] = &[
        ("succeeded", Self::Succeeded, &["succeeded", "succeed", "success", "successful", "completed", "complete", "done", "finished", "ok", "true"]),
        (
            "failed",
            Self::Failed,
            &["failed", "fail", "failure", "error", "errored", "timeout", "timed_out", "expired", "crashed", "faulted", "rejected", "incomplete", "false"],
        ),
        ("canceled", Self::Canceled, &["canceled", "cancelled", "cancel", "aborted", "interrupted"]),
        (
            "ignored",
            Self::Ignored,
            &[
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
            ],
        ),
    ];

    /// What a word in small letters usually means; `in-progress` and `in progress` are `in_progress`.
    pub fn usual(word: &str) -> Option<Self> {
        let word = word.trim().replace(['-', ' '], "_");
        Self::NAMED.iter().find(|(_, _, words)| words.contains(&word.as_str())).map(|(_, verdict, _)| *verdict)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        Self::NAMED.iter().find(|(_, verdict, _)| *verdict == self).map_or("", |(name, ..)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_means_two_things() {
        let words: Vec<&str> = Verdict::NAMED.iter().flat_map(|(_, _, words)| words.iter().copied()).collect();
        assert_eq!(words.iter().collect::<std::collections::BTreeSet<_>>().len(), words.len());
    }
}

//! What `jobbell check` says about a database server.

/// How a setting is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but could be better.
    Advice,
    /// The queue refuses to use the server.
    Refuse,
}

/// A setting of the server, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name of the setting, such as `fsync`; or `pooler`, `tls`, `rights`, `clock`.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// How it is judged.
    pub verdict: Verdict,
    /// What is wrong and what to do, in English. Empty if it is as it should be.
    pub english: String,
    /// The same in Chinese.
    pub chinese: String,
}

impl Finding {
    pub(super) fn ok(name: &'static str, value: &str) -> Self {
        Self::new(name, value, Verdict::Ok, String::new(), String::new())
    }

    pub(super) fn advice(
        name: &'static str,
        value: &str,
        english: String,
        chinese: String,
    ) -> Self {
        Self::new(name, value, Verdict::Advice, english, chinese)
    }

    pub(super) fn refuse(
        name: &'static str,
        value: &str,
        english: String,
        chinese: String,
    ) -> Self {
        Self::new(name, value, Verdict::Refuse, english, chinese)
    }

    fn new(
        name: &'static str,
        value: &str,
        verdict: Verdict,
        english: String,
        chinese: String,
    ) -> Self {
        Self {
            name,
            value: value.to_owned(),
            verdict,
            english,
            chinese,
        }
    }
}

/// What was found out about the database of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The version of the server.
    pub version: String,
    /// All settings that matter, in a fixed order.
    pub findings: Vec<Finding>,
    /// Whether the database has no queue yet.
    pub is_empty: bool,
}

impl Inspection {
    /// Whether the queue refuses to use the server.
    pub fn is_refused(&self) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|finding| finding.verdict == Verdict::Refuse)
    }
}

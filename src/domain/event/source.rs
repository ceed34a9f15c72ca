//! Where an event came from.

use std::borrow::Cow;

/// Source of an event: an entry point, and after a colon the name of the token that posted it.
/// A metrics label and a column of the history; at most 64 ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source(pub Cow<'static, str>);

impl Source {
    /// `POST /v1/events`.
    pub const HTTP: Self = Self(Cow::Borrowed("http"));
    /// The in-process sender and `submit`.
    pub const IN_PROCESS: Self = Self(Cow::Borrowed("in_process"));
    /// `POST /v1/messages`.
    pub const MESSAGES: Self = Self(Cow::Borrowed("messages"));
    /// `POST /v1/hooks/huiying`.
    pub const HUIYING: Self = Self(Cow::Borrowed("huiying"));

    /// The source with the name of the token that was used.
    #[must_use]
    pub fn by(self, token: Option<&str>) -> Self {
        token.map_or(self.clone(), |token| {
            Self(format!("{}:{token}", self.0).into())
        })
    }

    /// Splits a stored source into the entry point and the name of the token.
    pub fn parts(stored: &str) -> (&str, Option<&str>) {
        stored
            .split_once(':')
            .map_or((stored, None), |(entry, token)| (entry, Some(token)))
    }
}

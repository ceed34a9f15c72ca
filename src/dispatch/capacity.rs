//! How many mails may be sent now.

use crate::domain::Timestamp;

/// How many mails may be sent now, to one server or to all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Mails of both lanes together.
    pub all: usize,
    /// How many of `all` may be of the normal lane.
    pub normal: usize,
    /// When there may be capacity for normal mails, if there is none now.
    pub more_at: Option<Timestamp>,
}

impl Capacity {
    /// No limit.
    pub const UNLIMITED: Self = Self {
        all: usize::MAX,
        normal: usize::MAX,
        more_at: None,
    };
    /// Nothing may be sent, and time does not change that.
    pub const NONE: Self = Self {
        all: 0,
        normal: 0,
        more_at: None,
    };

    /// Nothing may be sent before `at`.
    pub const fn none_until(at: Timestamp) -> Self {
        Self {
            more_at: Some(at),
            ..Self::NONE
        }
    }

    /// What two servers may be sent together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            all: self.all.saturating_add(other.all),
            normal: self.normal.saturating_add(other.normal),
            more_at: self.more_at.into_iter().chain(other.more_at).min(),
        }
    }
}

//! Which services there are: the closed set of kinds, and where each keeps its own file.

use super::verify::Way;
use super::{Mapped, Sent, kinds};

/// The service that posts to a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// replicate.com: predictions.
    Replicate,
    /// `RunPod` serverless endpoints.
    RunPod,
    /// Our event, or one like it, signed as Standard Webhooks says.
    StandardWebhooks,
    /// The image record of the Huiying studio.
    Huiying,
}

/// Every kind by its name in the configuration, in the order of the documentation.
const NAMED: &[(&str, Kind)] =
    &[("replicate", Kind::Replicate), ("runpod", Kind::RunPod), ("standard-webhooks", Kind::StandardWebhooks), ("huiying", Kind::Huiying)];

impl Kind {
    /// The names of all kinds.
    pub const NAMES: &[&str] = &{
        let mut names = [""; NAMED.len()];
        let mut at = 0;
        while at < NAMED.len() {
            #[expect(clippy::indexing_slicing, reason = "within both, and checked when it is compiled")]
            (names[at] = NAMED[at].0);
            at += 1;
        }
        names
    };

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        NAMED.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// Its name in the configuration.
    pub fn as_str(&self) -> &'static str {
        NAMED.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name)
    }

    /// How its senders prove who they are when the configuration does not say.
    pub const fn way(&self) -> Way {
        match self {
            Self::Replicate | Self::StandardWebhooks | Self::Huiying => Way::StandardWebhooks,
            Self::RunPod => Way::Path,
        }
    }

    /// Whether its sender takes nothing but 200 for an answer.
    pub const fn wants_exactly_200(&self) -> bool {
        matches!(self, Self::RunPod)
    }

    /// Whether its payloads may hold pictures as base64, so that a body may be large.
    pub const fn sends_pictures(&self) -> bool {
        matches!(self, Self::RunPod)
    }

    /// The header with the sender's own name for a delivery, the same when it is sent again.
    pub const fn delivery_header(&self) -> Option<&'static str> {
        match self {
            Self::Replicate | Self::StandardWebhooks => Some("webhook-id"),
            _ => None,
        }
    }

    /// What a payload says, in our words. Pure.
    pub fn map(&self, sent: &Sent<'_>) -> Mapped {
        match self {
            Self::Replicate => kinds::replicate::map(sent),
            Self::RunPod => kinds::runpod::map(sent),
            Self::StandardWebhooks => kinds::standard_webhooks::map(sent),
            Self::Huiying => kinds::huiying::map(sent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for (name, kind) in NAMED {
            assert_eq!((Kind::from_name(name), kind.as_str()), (Some(*kind), *name));
        }
        assert_eq!((Kind::NAMES.len(), Kind::from_name("nosuch")), (NAMED.len(), None));
    }
}

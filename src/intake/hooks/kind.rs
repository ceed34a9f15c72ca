//! Which services there are: the closed set of kinds, and where each keeps its own file.

use super::mapping::Mapping;
use super::verify::Method;
use super::{MapResult, Payload, kinds};

/// The service that posts to a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// replicate.com: predictions.
    Replicate,
    /// fal.ai: queue requests.
    Fal,
    /// The `OpenAI` platform: responses, batches and other jobs.
    OpenAi,
    /// `RunPod` serverless endpoints.
    RunPod,
    /// comfyui-api of `SaladTechnologies`.
    ComfyUiApi,
    /// novicezk/midjourney-proxy and its forks.
    MidjourneyProxy,
    /// Leonardo.ai.
    Leonardo,
    /// Black Forest Labs.
    Bfl,
    /// Kling (可灵).
    Kling,
    /// Krea.
    Krea,
    /// AI Horde.
    AiHorde,
    /// Aliyun `DashScope` (万相) by `EventBridge`.
    DashScope,
    /// Volcengine Ark (火山方舟) video tasks.
    VolcengineArk,
    /// Fooocus-API.
    Fooocus,
    /// GitHub Actions: workflow runs.
    GitHub,
    /// GitLab CI: pipelines.
    GitLab,
    /// `CloudEvents` 1.0 with our event, or one like it, as data.
    CloudEvents,
    /// Any JSON, by the mapping that the operator wrote.
    Generic,
    /// Our event, or one like it, signed as Standard Webhooks says.
    StandardWebhooks,
    /// The image record of the Huiying studio.
    Huiying,
}

/// Every kind by its name in the configuration, in the order of the documentation.
const NAMED: &[(&str, Kind)] = &[
    ("replicate", Kind::Replicate),
    ("fal", Kind::Fal),
    ("openai", Kind::OpenAi),
    ("runpod", Kind::RunPod),
    ("comfyui-api", Kind::ComfyUiApi),
    ("midjourney-proxy", Kind::MidjourneyProxy),
    ("leonardo", Kind::Leonardo),
    ("bfl", Kind::Bfl),
    ("kling", Kind::Kling),
    ("krea", Kind::Krea),
    ("ai-horde", Kind::AiHorde),
    ("dashscope", Kind::DashScope),
    ("volcengine-ark", Kind::VolcengineArk),
    ("fooocus", Kind::Fooocus),
    ("github", Kind::GitHub),
    ("gitlab", Kind::GitLab),
    ("cloudevents", Kind::CloudEvents),
    ("standard-webhooks", Kind::StandardWebhooks),
    ("huiying", Kind::Huiying),
    ("generic", Kind::Generic),
];

impl Kind {
    /// The names of all kinds.
    pub const NAMES: &[&str] = &{
        let mut names = [""; NAMED.len()];
        let mut at = 0;
        while at < NAMED.len() {
            #[expect(
                clippy::indexing_slicing,
                reason = "within both, and checked when it is compiled"
            )]
            (names[at] = NAMED[at].0);
            at += 1;
        }
        names
    };

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        NAMED
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, kind)| *kind)
    }

    /// Its name in the configuration.
    pub fn as_str(&self) -> &'static str {
        NAMED
            .iter()
            .find(|(_, kind)| kind == self)
            .map_or("", |(name, _)| name)
    }

    /// How its senders prove who they are when the configuration does not say.
    pub const fn method(&self) -> Method {
        match self {
            Self::Replicate
            | Self::OpenAi
            | Self::ComfyUiApi
            | Self::CloudEvents
            | Self::StandardWebhooks
            | Self::Huiying => Method::StandardWebhooks,
            Self::Fal => Method::Fal,
            Self::GitHub => Method::Hmac("x-hub-signature-256"),
            Self::Bfl => Method::Hmac("x-bfl-signature"),
            Self::GitLab => Method::Header("x-gitlab-token"),
            Self::Leonardo => Method::Bearer,
            Self::RunPod
            | Self::MidjourneyProxy
            | Self::Kling
            | Self::Krea
            | Self::AiHorde
            | Self::DashScope
            | Self::VolcengineArk
            | Self::Fooocus
            | Self::Generic => Method::Path,
        }
    }

    /// Whether a job of it ends but once, so that of two ends the later one is not to be believed.
    /// Not where a job is run again under its name: `/retry` of `RunPod`, a pipeline of GitLab,
    /// whatever a producer names itself.
    pub const fn ends_once(&self) -> bool {
        match self {
            Self::Replicate
            | Self::Fal
            | Self::OpenAi
            | Self::MidjourneyProxy
            | Self::Leonardo
            | Self::Bfl
            | Self::Kling
            | Self::Krea
            | Self::AiHorde
            | Self::DashScope
            | Self::VolcengineArk
            | Self::Fooocus => true,
            Self::RunPod
            | Self::ComfyUiApi
            | Self::GitHub
            | Self::GitLab
            | Self::CloudEvents
            | Self::StandardWebhooks
            | Self::Huiying
            | Self::Generic => false,
        }
    }

    /// Whether its sender takes nothing but 200 for an answer.
    pub const fn wants_exactly_200(&self) -> bool {
        matches!(self, Self::RunPod)
    }

    /// Whether its payloads may hold pictures as base64, so that a body may be large.
    pub const fn sends_pictures(&self) -> bool {
        matches!(
            self,
            Self::RunPod | Self::ComfyUiApi | Self::AiHorde | Self::Replicate
        )
    }

    /// The headers with the sender's own name for a delivery, the same when it is sent again; one
    /// of them is there.
    pub const fn delivery_headers(&self) -> &'static [&'static str] {
        match self {
            Self::Replicate | Self::OpenAi | Self::StandardWebhooks | Self::Generic => {
                &["webhook-id", "svix-id"]
            }
            Self::GitHub => &["x-github-delivery"],
            // Its X-Gitlab-Event-UUID is shared by all hooks that one request sets off.
            Self::GitLab => &["idempotency-key"],
            // The caller of comfyui-api chooses its webhook-id, and the name of a job is no name of
            // a delivery.
            _ => &[],
        }
    }

    /// Whether an end is known by its job and its state, so that the same end with other details is
    /// the same event. A record of the Huiying studio is one of ours: with other content it is
    /// another one.
    pub const fn names_ends(&self) -> bool {
        !matches!(self, Self::Huiying)
    }

    /// What a payload says, in our words; `mapping` is what a generic hook goes by. Pure.
    pub fn map(&self, mapping: &Mapping, payload: &Payload<'_>) -> MapResult {
        match self {
            Self::Replicate => kinds::replicate::map(payload),
            Self::Fal => kinds::fal::map(payload),
            Self::OpenAi => kinds::openai::map(payload),
            Self::RunPod => kinds::runpod::map(payload),
            Self::ComfyUiApi => kinds::comfyui_api::map(payload),
            Self::MidjourneyProxy => kinds::midjourney_proxy::map(payload),
            Self::Leonardo => kinds::leonardo::map(payload),
            Self::Bfl => kinds::bfl::map(payload),
            Self::Kling => kinds::kling::map(payload),
            Self::Krea => kinds::krea::map(payload),
            Self::AiHorde => kinds::ai_horde::map(payload),
            Self::DashScope => kinds::dashscope::map(payload),
            Self::VolcengineArk => kinds::volcengine_ark::map(payload),
            Self::Fooocus => kinds::fooocus::map(payload),
            Self::GitHub => kinds::github::map(payload),
            Self::GitLab => kinds::gitlab::map(payload),
            Self::CloudEvents => kinds::cloudevents::map(payload),
            Self::StandardWebhooks => kinds::standard_webhooks::map(payload),
            Self::Huiying => kinds::huiying::map(payload),
            Self::Generic => kinds::generic::map(mapping, payload),
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
        assert_eq!(
            (Kind::NAMES.len(), Kind::from_name("nosuch")),
            (NAMED.len(), None)
        );
    }
}

//! The supported services.

use serde::{Deserialize, Serialize};

use super::verify::Method;
use crate::domain::named::named;

named! {
    /// The service that posts to a hook, in the order of the documentation.
    Kind {
        /// replicate.com: predictions.
        Replicate = "replicate",
        /// fal.ai: queue requests.
        Fal = "fal",
        /// The `OpenAI` platform: responses, batches and other jobs.
        OpenAi = "openai",
        /// `RunPod` serverless endpoints.
        RunPod = "runpod",
        /// comfyui-api of `SaladTechnologies`.
        ComfyUiApi = "comfyui-api",
        /// novicezk/midjourney-proxy and its forks.
        MidjourneyProxy = "midjourney-proxy",
        /// Leonardo.ai.
        Leonardo = "leonardo",
        /// Black Forest Labs.
        Bfl = "bfl",
        /// Kling (可灵).
        Kling = "kling",
        /// Krea.
        Krea = "krea",
        /// AI Horde.
        AiHorde = "ai-horde",
        /// Aliyun `DashScope` (万相) by `EventBridge`.
        DashScope = "dashscope",
        /// Volcengine Ark (火山方舟) video tasks.
        VolcengineArk = "volcengine-ark",
        /// Fooocus-API.
        Fooocus = "fooocus",
        /// GitHub Actions: workflow runs.
        GitHub = "github",
        /// GitLab CI: pipelines.
        GitLab = "gitlab",
        /// `CloudEvents` 1.0 with our event, or a similar one, as data.
        CloudEvents = "cloudevents",
        /// Our event, or a similar one, signed by Standard Webhooks.
        StandardWebhooks = "standard-webhooks",
        /// The image record of the Huiying studio.
        Huiying = "huiying",
        /// Any JSON, read by a mapping from the configuration.
        Generic = "generic",
    }
}

impl Kind {
    /// How requests are verified by default.
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

    /// Whether a job has exactly one result. A second one is ignored.
    ///
    /// False where a job can run again under its name: `/retry` of `RunPod`, a GitLab pipeline, ids
    /// that the producer chooses.
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

    /// Whether the sender treats any status but 200 as a failure.
    pub const fn wants_exactly_200(&self) -> bool {
        matches!(self, Self::RunPod)
    }

    /// Whether payloads may contain base64 images, so that bodies can be large.
    pub const fn sends_pictures(&self) -> bool {
        matches!(
            self,
            Self::RunPod | Self::ComfyUiApi | Self::AiHorde | Self::Replicate
        )
    }

    /// Headers with the sender's id of a delivery, which stays the same when it is sent again. One
    /// of them is present.
    pub const fn delivery_headers(&self) -> &'static [&'static str] {
        match self {
            Self::Replicate | Self::OpenAi | Self::StandardWebhooks | Self::Generic => {
                &["webhook-id", "svix-id"]
            }
            Self::GitHub => &["x-github-delivery"],
            // X-Gitlab-Event-UUID is shared by all hooks that one request triggers.
            Self::GitLab => &["idempotency-key"],
            // Callers of comfyui-api choose the webhook-id, and a job's name does not identify a
            // delivery.
            _ => &[],
        }
    }

    /// Whether a result is identified by job and state, so that the same result with other details
    /// is a duplicate. A Huiying record with other content is a conflict instead.
    pub const fn names_ends(&self) -> bool {
        !matches!(self, Self::Huiying)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_names_are_unique() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.as_str()), Some(*kind));
        }
        assert_eq!(
            (Kind::NAMES.len(), Kind::from_name("nosuch")),
            (Kind::ALL.len(), None)
        );
    }
}

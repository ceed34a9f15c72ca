//! Maps the payloads of each service to our events. Pure.
//!
//! `mappings.toml` has the JSON pointers and states of many services. A file per service has what a
//! mapping cannot express; it starts with the meaning of the fields and its source.

pub mod ai_horde;
pub mod bfl;
pub mod cloudevents;
pub mod comfyui_api;
pub mod dashscope;
pub mod fal;
pub mod fooocus;
pub mod generic;
pub mod github;
pub mod gitlab;
pub mod huiying;
pub mod krea;
pub mod leonardo;
pub mod mapped;
pub mod midjourney_proxy;
pub mod openai;
pub mod replicate;
mod run;
pub mod runpod;
pub mod standard_webhooks;
pub mod volcengine_ark;

use super::mapping::Mapping;
use super::{Kind, MapResult, Payload};

impl Kind {
    /// Maps a payload to events. `mapping` is that of a `generic` hook.
    pub fn map(&self, mapping: &Mapping, payload: &Payload<'_>) -> MapResult {
        match self {
            Self::Replicate => replicate::map(payload),
            Self::Fal => fal::map(payload),
            Self::OpenAi => openai::map(payload),
            Self::RunPod => runpod::map(payload),
            Self::ComfyUiApi => comfyui_api::map(payload),
            Self::MidjourneyProxy => midjourney_proxy::map(payload),
            Self::Leonardo => leonardo::map(payload),
            Self::Bfl => bfl::map(payload),
            Self::Kling => mapped::kling(payload),
            Self::Krea => krea::map(payload),
            Self::AiHorde => ai_horde::map(payload),
            Self::DashScope => dashscope::map(payload),
            Self::VolcengineArk => volcengine_ark::map(payload),
            Self::Fooocus => fooocus::map(payload),
            Self::GitHub => github::map(payload),
            Self::GitLab => gitlab::map(payload),
            Self::CloudEvents => cloudevents::map(payload),
            Self::StandardWebhooks => standard_webhooks::map(payload),
            Self::Huiying => huiying::map(payload),
            Self::Generic => generic::map(mapping, payload),
        }
    }
}

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

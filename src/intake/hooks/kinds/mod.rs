//! One file for each service: its payload in, our events out. Pure; what each field means stands at the top of the file with its source.

pub mod huiying;
pub mod replicate;
pub mod runpod;
pub mod standard_webhooks;

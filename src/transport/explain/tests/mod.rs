//! Tests of the table against its file (`rows`) and against real replies (`cases`).

mod cases;
mod rows;

use std::time::Duration;

use super::*;
use crate::domain::{FailureKind, Reply, Stage};

fn reply(code: u16, enhanced: &str, text: &str) -> Reply {
    Reply {
        code,
        enhanced: (!enhanced.is_empty()).then(|| enhanced.to_owned()),
        text: text.to_owned(),
    }
}

fn explained(
    provider: Option<&str>,
    stage: Stage,
    code: u16,
    enhanced: &str,
    text: &str,
) -> Verdict {
    Table::new().explain(provider, stage, &reply(code, enhanced, text))
}

fn kind(provider: &str, stage: Stage, code: u16, enhanced: &str, text: &str) -> FailureKind {
    explained(Some(provider), stage, code, enhanced, text).kind(stage)
}

fn unavailable(seconds: u64) -> FailureKind {
    FailureKind::Unavailable {
        retry_after: Some(Duration::from_secs(seconds)),
        server_wide: true,
    }
}

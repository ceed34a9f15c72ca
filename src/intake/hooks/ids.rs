//! Ids of webhook events: `hook:<hook>:<result>:<job>`.
//!
//! Producers cannot use ids with this prefix, and neither hook names nor result names contain a
//! colon. So a result of a job has an id that no other source can take, and a second delivery is
//! recognized as a duplicate.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use ring::digest::{SHA256, digest};

#[cfg(feature = "server")]
use super::Kind;
use crate::domain::EventId;
use crate::encoding::hex;

/// Maximum length of an escaped job name in an id. Longer names are hashed.
const MAX_NAME: usize = 140;
/// Everything but visible ASCII, and the escape character itself.
const NOT_GRAPHIC: &AsciiSet = &CONTROLS.add(b' ').add(b'%');
/// Names of results of jobs that finish only once; `aborted` is Replicate's.
#[cfg(feature = "server")]
const END_NAMES: [&str; 4] = ["succeeded", "failed", "canceled", "aborted"];

/// The id of one result of one job.
pub(super) fn of_end(hook: &str, job: &str, end: &str) -> Option<EventId> {
    let id = |job: &str| {
        EventId::parse(&format!(
            "{}{hook}:{}:{job}",
            EventId::OF_HOOKS,
            end.replace(':', "_")
        ))
        .ok()
    };
    id(&escaped(job)).or_else(|| id(&hashed(job)))
}

/// Splits an id into hook, result and job.
#[cfg(feature = "server")]
fn parts(id: &EventId) -> Option<(&str, &str, &str)> {
    let (hook, rest) = id
        .as_str()
        .strip_prefix(EventId::OF_HOOKS)?
        .split_once(':')?;
    let (end, job) = rest.split_once(':')?;
    Some((hook, end, job))
}

/// The id that earlier versions, without a reserved prefix, gave this event.
#[cfg(feature = "server")]
pub(super) fn earlier(id: &EventId, kind: Kind) -> Option<EventId> {
    let (hook, end, job) = parts(id)?;
    let hook = if matches!(kind, Kind::Huiying) {
        Kind::Huiying.as_str()
    } else {
        hook
    };
    EventId::parse(&format!("{hook}-{job}-{end}")).ok()
}

/// The ids of the other possible results of a job, by the id of one.
#[cfg(feature = "server")]
pub(super) fn other_ends(id: &EventId) -> Vec<EventId> {
    let Some((hook, end, job)) = parts(id).filter(|(_, end, _)| END_NAMES.contains(end)) else {
        return Vec::new();
    };
    let others = END_NAMES.iter().filter(|other| **other != end);
    others
        .filter_map(|other| {
            EventId::parse(&format!("{}{hook}:{other}:{job}", EventId::OF_HOOKS)).ok()
        })
        .collect()
}

/// Encodes a job's name for an event id: percent-encoded, or hashed if that is too long.
fn escaped(job: &str) -> String {
    let trimmed = job.trim();
    if trimmed.len() <= MAX_NAME {
        let name = utf8_percent_encode(trimmed, NOT_GRAPHIC).to_string();
        if name.len() <= MAX_NAME {
            return name;
        }
    }
    hashed(job)
}

fn hashed(job: &str) -> String {
    hex::encode(digest(&SHA256, job.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(hook: &str, job: &str, end: &str) -> String {
        of_end(hook, job, end).unwrap().into()
    }

    #[test]
    fn ids_of_different_results_differ() {
        assert_ne!(id("gpu", "prod-7", "failed"), id("gpu-prod", "7", "failed"));
        assert_ne!(
            id("gpu", "7-failed", "succeeded"),
            id("gpu", "7", "failed-succeeded")
        );
        assert_ne!(id("gpu", "a:b", "c"), id("gpu", "b", "c:a"));
        assert_eq!(id("gpu", "绘 7", "failed"), "hook:gpu:failed:%E7%BB%98%207");
    }

    #[test]
    fn jobs_with_long_names_have_ids() {
        for length in [1, 100, 139, 140, 141, 10_000] {
            for end in ["succeeded", &"x".repeat(40)] {
                assert!(id(&"h".repeat(32), &"j".repeat(length), end).len() <= EventId::MAX_LEN);
            }
        }
        assert_ne!(
            id("h", &"j".repeat(300), "failed"),
            id("h", &"j".repeat(301), "failed")
        );
    }

    #[cfg(feature = "server")]
    #[test]
    fn legacy_id_and_ids_of_other_results_are_derived() {
        let one = of_end("gpu-1", "a:b-c", "succeeded").unwrap();
        assert_eq!(
            earlier(&one, Kind::RunPod).unwrap().as_str(),
            "gpu-1-a:b-c-succeeded"
        );
        assert_eq!(
            earlier(&one, Kind::Huiying).unwrap().as_str(),
            "huiying-a:b-c-succeeded"
        );
        let others = other_ends(&one);
        assert_eq!(
            others.iter().map(EventId::as_str).collect::<Vec<_>>(),
            [
                "hook:gpu-1:failed:a:b-c",
                "hook:gpu-1:canceled:a:b-c",
                "hook:gpu-1:aborted:a:b-c"
            ]
        );
        assert!(other_ends(&of_end("gpu", "7", "succeeded-2026").unwrap()).is_empty());
    }
}

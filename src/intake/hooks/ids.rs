//! The ids of the events that webhooks make: `hook:<hook>:<end>:<job>`.
//!
//! No producer may choose an id that begins so, and neither a hook's name nor the name of an end
//! has a colon in it. So one end of one job of one hook has an id that nobody else can take, and a
//! second delivery is known as such.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};

#[cfg(feature = "server")]
use super::Kind;
use super::verify::hex;
use crate::domain::EventId;

/// The most characters of a job's name, escaped, that stand in an id as they are.
const MAX_NAME: usize = 140;
/// What the ends of jobs are called in ids where a job ends but once; `aborted` is one of
/// Replicate's.
#[cfg(feature = "server")]
const END_NAMES: [&str; 4] = ["succeeded", "failed", "canceled", "aborted"];

/// The id of one end of one job.
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

/// Hook, end and job.
#[cfg(feature = "server")]
fn parts(id: &EventId) -> Option<(&str, &str, &str)> {
    let (hook, rest) = id
        .as_str()
        .strip_prefix(EventId::OF_HOOKS)?
        .split_once(':')?;
    let (end, job) = rest.split_once(':')?;
    Some((hook, end, job))
}

/// The id that versions gave it which had no space of its own for hooks.
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

/// The job, and the ids of its other ends, by the id of one.
#[cfg(feature = "server")]
pub(super) fn other_ends(id: &EventId) -> Option<(&str, Vec<EventId>)> {
    let (hook, end, job) = parts(id).filter(|(_, end, _)| END_NAMES.contains(end))?;
    let others = END_NAMES.iter().filter(|other| **other != end);
    Some((
        job,
        others
            .filter_map(|other| {
                EventId::parse(&format!("{}{hook}:{other}:{job}", EventId::OF_HOOKS)).ok()
            })
            .collect(),
    ))
}

/// A job's name as part of an event's id: everything but visible ASCII in percent form; one that is
/// too long by its digest.
fn escaped(job: &str) -> String {
    let mut name = String::with_capacity(job.len());
    for byte in job.trim().bytes().take(MAX_NAME + 1) {
        if byte.is_ascii_graphic() && byte != b'%' {
            name.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            write!(name, "%{byte:02X}").unwrap_or_default();
        }
    }
    if name.len() <= MAX_NAME {
        name
    } else {
        hashed(job)
    }
}

fn hashed(job: &str) -> String {
    hex::encode(digest(&SHA256, job.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(hook: &str, job: &str, end: &str) -> String {
        of_end(hook, job, end).unwrap().into()
    }

    #[test]
    fn no_two_ends_have_the_same_id() {
        assert_ne!(id("gpu", "prod-7", "failed"), id("gpu-prod", "7", "failed"));
        assert_ne!(
            id("gpu", "7-failed", "succeeded"),
            id("gpu", "7", "failed-succeeded")
        );
        assert_ne!(id("gpu", "a:b", "c"), id("gpu", "b", "c:a"));
        assert_eq!(id("gpu", "绘 7", "failed"), "hook:gpu:failed:%E7%BB%98%207");
    }

    #[test]
    fn every_job_has_an_id_however_long_its_name_is() {
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
    fn the_earlier_id_and_those_of_the_other_ends_are_known() {
        let one = of_end("gpu-1", "a:b-c", "succeeded").unwrap();
        assert_eq!(
            earlier(&one, Kind::RunPod).unwrap().as_str(),
            "gpu-1-a:b-c-succeeded"
        );
        assert_eq!(
            earlier(&one, Kind::Huiying).unwrap().as_str(),
            "huiying-a:b-c-succeeded"
        );
        let (job, others) = other_ends(&one).unwrap();
        let others: Vec<&str> = others.iter().map(EventId::as_str).collect();
        assert_eq!(
            (job, others),
            (
                "a:b-c",
                vec![
                    "hook:gpu-1:failed:a:b-c",
                    "hook:gpu-1:canceled:a:b-c",
                    "hook:gpu-1:aborted:a:b-c"
                ]
            )
        );
        assert!(other_ends(&of_end("gpu", "7", "succeeded-2026").unwrap()).is_none());
    }
}

//! Fooocus-API: `{job_id, job_result}` (<https://github.com/mrhan1993/Fooocus-API/issues/253>).
//!
//! Nothing is signed, and nothing is known of failures: a job without a result is one only with `unconfirmed = true`.

use serde_json::Value;

use super::super::{Draft, End, Mapped, Sent};

/// Reads a job.
pub fn map(sent: &Sent<'_>) -> Mapped {
    let Some(Value::Array(results)) = sent.first(&["/job_result"]) else { return Mapped::wrong("/job_result", "is missing: it should be a list of results") };
    let end = match (results.is_empty(), sent.unconfirmed) {
        (false, _) => End::Succeeded,
        (true, true) => End::Failed,
        (true, false) => return Mapped::Unknown("the job has no result".to_owned()),
    };
    Draft::of(sent).seed(&["/job_result/0/seed"]).pictures(&["/job_result"]).end(sent.text(&["/job_id"]), end)
}

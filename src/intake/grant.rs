//! Checks events against the kinds of email and the recipients that a `[[server.token]]` allows.

use super::Accepted;
use crate::domain::{Event, JobStatus, MailKind, Parsed, Recipient};
use crate::http::tokens::Token;
use crate::http::{Caller, Fault, Problem};

/// Maximum number of errors in one response.
const MAX_FAULTS: usize = 100;

/// Checks that the caller may post these events; `pointer` locates an event of the group in the
/// request. Recipients that the configuration adds are not checked, because the request does not
/// name them.
///
/// # Errors
/// 403 that lists every violation.
pub(super) fn check(
    caller: &Caller,
    group: &[Parsed<Event>],
    pointer: impl Fn(usize) -> String,
) -> Result<(), Problem> {
    let Some(token) = caller.token() else {
        return Ok(());
    };
    let mut faults = Vec::new();
    for (index, parsed) in group.iter().enumerate() {
        faults.extend(event_faults(token, &parsed.event, &pointer(index)));
        if faults.len() >= MAX_FAULTS {
            break;
        }
    }
    faults.truncate(MAX_FAULTS);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Problem::forbidden(faults).by(&token.name))
    }
}

/// Logs the events that a named token posted.
pub(super) fn log(caller: &Caller, accepted: &[Accepted]) {
    if let (Some(token), Some(first)) = (caller.name(), accepted.first()) {
        tracing::info!(token, event = %first.id, events = accepted.len(), "events accepted");
    }
}

fn event_faults(token: &Token, event: &Event, place: &str) -> Vec<Fault> {
    let (kind, field, to) = match event {
        Event::Job(job) => (job_kind(job.status), "status", &job.to),
        Event::Message(message) => (message.content.kind(), "template", &message.to),
    };
    let name = &token.name;
    let mut faults = Vec::new();
    if !token.kinds.is_empty() && !token.kinds.contains(&kind) {
        faults.push(Fault {
            pointer: format!("{place}/{field}"),
            detail: format!(
                "makes an email of the kind {kind}, which the token {name} may not post"
            ),
        });
    }
    let foreign = |recipient: &&Recipient| {
        !token.to.is_empty() && !token.to.iter().any(|rule| rule.covers(recipient))
    };
    faults.extend(to.iter().filter(foreign).map(|recipient| Fault {
        pointer: format!("{place}/to"),
        detail: format!(
            "names {}, a recipient that the token {name} may not use",
            recipient.masked()
        ),
    }));
    faults
}

const fn job_kind(status: JobStatus) -> MailKind {
    match status {
        JobStatus::Succeeded => MailKind::Success,
        JobStatus::Failed => MailKind::Failure,
    }
}

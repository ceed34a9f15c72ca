//! The headers by which programs tell our mails: which event, which mail, why to this reader, and
//! which mails belong together.

use uuid::Uuid;

use super::MailContext;
use crate::domain::{Event, JobEvent, MessageContent};

/// The most characters of a job id that goes into a header.
const MAX_ID: usize = 200;

/// The headers of a mail besides those that every mail has. Values are ASCII 0x21 to 0x7E.
///
/// Every mail says that a program made it (RFC 3834 §5). Mails of one job share a thread:
/// `References` and `In-Reply-To` name a root that is derived from the job's id and need not exist
/// as a mail, so that a retry's success follows its failure without anything being remembered.
/// `List-Id` (RFC 2919) is for filters; codes and links do not carry it, since they go to one
/// person and must not be sorted away.
pub(super) fn headers(event: &Event, context: &MailContext<'_>) -> Vec<(&'static str, String)> {
    let mut headers = Vec::with_capacity(9);
    headers.push(("X-Jobbell-Event", event.id().as_str().to_owned()));
    headers.push(("Auto-Submitted", "auto-generated".to_owned()));
    headers.push(("X-Auto-Response-Suppress", "All".to_owned()));
    headers.push(("X-Jobbell-Kind", context.kind.as_str().to_owned()));
    headers.push(("X-Jobbell-Reason", reason(event).to_owned()));
    let domain = context
        .message_id
        .rsplit_once('@')
        .map_or("localhost", |(_, domain)| domain);
    if let Some(list) = list(event) {
        headers.push(("List-Id", format!("<{list}.{domain}>")));
    }
    if let Event::Job(job) = event {
        thread(job, domain, &mut headers);
    }
    headers
}

/// Why this reader gets it: the event names them, or the configuration does where the event names
/// nobody.
fn reason(event: &Event) -> &'static str {
    match event {
        Event::Job(job) if job.to.is_empty() => "default-recipient",
        Event::Job(_) | Event::Message(_) => "named-recipient",
    }
}

fn list(event: &Event) -> Option<&'static str> {
    match event {
        Event::Job(_) => Some("jobs"),
        Event::Message(message) => {
            matches!(message.content, MessageContent::SystemNotice { .. }).then_some("notices")
        }
    }
}

fn thread(job: &JobEvent, domain: &str, headers: &mut Vec<(&'static str, String)>) {
    let Some(id) = job.job_id.as_ref().filter(|id| !id.is_empty()) else {
        return;
    };
    if id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        headers.push(("X-Job-Id", id.clone()));
    }
    // Any id, of any length and in any letters, makes a root of one form.
    let root = format!(
        "<job-{}@{domain}>",
        Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()).simple()
    );
    headers.push(("In-Reply-To", root.clone()));
    headers.push(("References", root));
}

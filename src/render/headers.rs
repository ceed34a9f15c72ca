//! Headers for programs: the event, the kind of mail, why this reader gets it, and the thread.

use uuid::Uuid;

use super::MailContext;
use crate::domain::{Event, JobEvent, MessageContent};

/// Maximum number of characters of a job ID in a header.
const MAX_ID: usize = 200;

/// The headers of a mail besides the standard ones. Values are ASCII 0x21 to 0x7E.
///
/// Every mail is marked as automatic (RFC 3834 section 5). Mails of one job share a thread:
/// `References` and `In-Reply-To` name a root that is derived from the job's ID and need not exist
/// as a mail, so that the success of a retry follows its failure without any stored state.
/// `List-Id` (RFC 2919) is for filters; codes and links do not carry it, because they must not be
/// filed away.
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

/// Why this reader gets the mail: named by the event, or by the configuration if the event names no
/// recipients.
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
    // Hashing gives a root of fixed form for an ID of any length in any script.
    let root = format!(
        "<job-{}@{domain}>",
        Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()).simple()
    );
    headers.push(("In-Reply-To", root.clone()));
    headers.push(("References", root));
}

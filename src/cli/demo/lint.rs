//! The mailbox's tab of findings: our own linter over a mail as it arrived.

use crate::mail_catcher::Mail;
use crate::mail_catcher::pages::Finding;
use crate::render::lint::{self, Level, Parts};

/// What the linter finds in a mail and its wire form.
pub(super) fn findings(mail: &Mail, raw: &[u8]) -> Vec<Finding> {
    let carried: Vec<&str> = mail
        .pictures
        .iter()
        .map(|picture| picture.cid.as_str())
        .collect();
    let parts = Parts {
        subject: &mail.subject,
        text: mail.text.as_deref().unwrap_or_default().trim_end(),
        html: mail.html.as_deref().unwrap_or_default(),
        carried,
    };
    // Pictures and links of the demo itself are not encrypted, which says nothing of the mail.
    let found = lint::lint_parts(&parts)
        .into_iter()
        .chain(lint::lint_wire(raw))
        .filter(|finding| finding.rule != "insecure-link");
    found
        .map(|finding| Finding {
            is_error: finding.level == Level::Error,
            text: finding.to_string(),
        })
        .collect()
}

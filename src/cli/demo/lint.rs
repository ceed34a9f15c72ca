//! The linter's findings on a received mail, for the inbox page.

use crate::mail_catcher::Mail;
use crate::mail_catcher::pages::Finding;
use crate::render::lint::{self, Level, Parts};

/// Lints a mail and its source.
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
    // Images and links of the demo itself use plain HTTP; that is not a fault of the mail.
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

//! Whom mails come from, and to whom they go when an event names nobody.

use super::credentials::is_placeholder;
use super::values::Values;
use crate::domain::{AddressError, AddressList, Mailbox, Recipient};

/// The sender while none is configured and none is needed.
const NOBODY: &str = "jobbell@jobbell.invalid";
/// The most default recipients.
const MAX_RECIPIENTS: usize = 1_000;

/// The sender that stands in while the switch is off.
pub(super) fn nobody() -> Option<Mailbox> {
    Mailbox::parse(NOBODY).ok()
}

/// The sender of `[smtp]`: `from`, else the username when that is an address; `from_name` names it.
pub(super) fn primary(values: &mut Values, needed: bool) -> Option<Mailbox> {
    let from = own(values, "smtp");
    let name = name(values, "smtp");
    if from.is_none() && needed && !values.has("smtp.from") {
        let place = values.home("smtp", "from");
        let message = "there is no sender; set smtp.from to an address, or smtp.username to one; or switch mails off with smtp.enable = false / \
                       没有发件人；请把 smtp.from 或 smtp.username 设为邮箱地址，或用 smtp.enable = false 关闭发信";
        values.findings.problem(&place, "smtp.from", message);
    }
    let from = from?;
    let named = name.and_then(|name| from.clone().with_name(Some(&name)).ok());
    Some(named.unwrap_or(from))
}

/// The sender of a backup: its own, else its username when that is an address, else the primary's,
/// since a login often allows no other. The name is its own, else the primary's.
pub(super) fn backup(
    values: &mut Values,
    home: &str,
    primary: Option<&Mailbox>,
) -> Option<Mailbox> {
    let own = own(values, home);
    let name = name(values, home);
    let from = own.or_else(|| primary.cloned())?;
    let name = name
        .or_else(|| from.name.clone())
        .or_else(|| primary.and_then(|primary| primary.name.clone()));
    from.clone().with_name(name.as_deref()).ok().or(Some(from))
}

fn own(values: &mut Values, home: &str) -> Option<Mailbox> {
    let (from, username) = (format!("{home}.from"), format!("{home}.username"));
    if values.has(&from) {
        let mailbox = values.mailbox(&from)?;
        if is_placeholder(mailbox.address.as_str()) {
            values.warn(
                &from,
                "this looks like the placeholder of a sample configuration",
            );
        }
        return Some(mailbox);
    }
    let login = match &values.stated(&username)?.kind {
        ::config::ValueKind::String(text) => Mailbox {
            name: None,
            address: Recipient::parse(text).ok()?,
        },
        _ => return None,
    };
    values.supply(&from, &username, login.address.as_str());
    Some(login)
}

fn name(values: &mut Values, home: &str) -> Option<String> {
    values.line(&format!("{home}.from_name"), 200)
}

/// Where answers go: a list of mailboxes. A malformed one beside good ones is a warning, for the
/// mails can be answered all the same.
pub(super) fn reply_to(values: &mut Values, path: &str) -> Vec<Mailbox> {
    if !values.has(path) {
        return Vec::new();
    }
    let AddressList { mailboxes, faults } = values.addresses(path);
    if mailboxes.is_empty()
        || faults
            .iter()
            .any(|(_, fault)| *fault == AddressError::LineEnd)
    {
        values.refuse_entries(path, faults);
        return Vec::new();
    }
    for (index, fault) in faults {
        values.warn(path, format!("entry {} is left out: {fault}", index + 1));
    }
    mailboxes
}

/// `smtp.to`: the default recipients, each once.
pub(super) fn recipients(values: &mut Values) -> Vec<Recipient> {
    const PATH: &str = "smtp.to";
    if !values.has(PATH) && !values.complete() {
        return Vec::new();
    }
    if !values.has(PATH) {
        let place = values.home("smtp", "to");
        values.findings.warn(&place, PATH, "no default recipient, so every event must set `to` / 没有默认收件人，每个事件都须自带 to");
        return Vec::new();
    }
    values.recipients(PATH, MAX_RECIPIENTS)
}

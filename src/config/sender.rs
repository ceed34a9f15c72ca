//! The sender, the reply addresses and the default recipients.

use super::credentials::{PLACEHOLDER, is_placeholder};
use super::message::Message;
use super::value::Value;
use super::values::Values;
use crate::domain::{AddressError, AddressList, Mailbox, Recipient};

/// The sender if none is configured and none is required.
const NO_SENDER: &str = "jobbell@jobbell.invalid";
/// Maximum number of default recipients.
const MAX_RECIPIENTS: usize = 1_000;

/// The sender while `smtp.enable` is false; no mail is sent with it.
pub(super) fn placeholder() -> Option<Mailbox> {
    Mailbox::parse(NO_SENDER).ok()
}

/// The sender of `[smtp]`: `from`, else the username if it is an address; with the name `from_name`.
pub(super) fn primary(values: &mut Values, needed: bool) -> Option<Mailbox> {
    let from = own(values, "smtp");
    let name = name(values, "smtp");
    if from.is_none() && needed && !values.has("smtp.from") {
        values.missing(
            "smtp",
            "from",
            [
                "there is no sender; set smtp.from or smtp.username to an address, or disable mails with smtp.enable = false",
                "没有发件人；请把 smtp.from 或 smtp.username 设为邮箱地址，或用 smtp.enable = false 关闭发信",
            ],
        );
    }
    let from = from?;
    let named = name.and_then(|name| from.clone().with_name(Some(&name)).ok());
    Some(named.unwrap_or(from))
}

/// The sender of a backup: its `from`, else its username if it is an address (a server often accepts
/// no other sender), else the primary's. The name is its own, else the primary's.
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
            values.warn(&from, PLACEHOLDER);
        }
        return Some(mailbox);
    }
    let login = match values.stated(&username)? {
        Value::Text(text) => Mailbox {
            name: None,
            address: Recipient::parse(text).ok()?,
        },
        _ => return None,
    };
    values.supply(&from, &username, login.address.as_str());
    Some(login)
}

fn name(values: &mut Values, home: &str) -> Option<String> {
    values.line(&format!("{home}.from_name"))
}

/// The reply addresses. A malformed one is only a warning if there are valid ones.
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
        let message = Message::from(fault).after("ignored: ", "已忽略：");
        values.warn(path, message.of_entry(index));
    }
    mailboxes
}

/// `smtp.to`: the default recipients.
pub(super) fn recipients(values: &mut Values) -> Vec<Recipient> {
    const PATH: &str = "smtp.to";
    if !values.has(PATH) && values.complete() {
        values.findings.warn(
            &values.home("smtp", "to"),
            PATH,
            [
                "no default recipient; every event must set `to`",
                "没有默认收件人；每个事件都须自带 to",
            ],
        );
    }
    values.recipients(PATH, MAX_RECIPIENTS)
}

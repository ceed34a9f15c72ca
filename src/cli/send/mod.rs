//! `jobbell send`: sends one mail right away, through a server from the command line or the
//! configuration. Nothing is queued.

mod attempt;
mod message;
mod options;
mod password;

use super::i18n::tr;
use super::{block_on, failed, usage_error};
use crate::config::Sources;
use crate::domain::{AddressList, Mailbox};
use attempt::send;
use message::Message;
pub(super) use options::Options;
use options::{prepared, with_overrides};

/// Sends the mail to each recipient and prints the results.
pub(super) fn run(sources: &Sources, options: &Options) -> u8 {
    let from = match options.from.as_deref().map(Mailbox::parse).transpose() {
        Ok(from) => from,
        Err(error) => return usage_error(format_args!("--from: {error}")),
    };
    let to = match AddressList::read_all(options.to.iter().map(String::as_str)).recipients() {
        Ok(to) => to,
        Err(faults) => {
            let lines: Vec<String> = faults
                .iter()
                .map(|(index, error)| format!("--to, address {}: {error}", index + 1))
                .collect();
            return usage_error(lines.join("\n  "));
        }
    };
    let sources = with_overrides(sources, options, from.as_ref());
    let (servers, locale) = match prepared(&sources, options, from.as_ref()) {
        Ok(prepared) => prepared,
        Err(status) => return status,
    };
    let to = if to.is_empty() {
        servers.config.routes.default_to.clone()
    } else {
        to
    };
    if to.is_empty() {
        return usage_error(tr(
            locale,
            "no recipients: pass --to, or set smtp.to",
            "没有收件人：请指定 --to，或设置 smtp.to",
        ));
    }
    if let Some(to) = to.iter().find(|to| !servers.config.routes.allows(to)) {
        return failed(super::not_allowed(to, locale));
    }
    let message = match Message::read(
        &options.subject,
        options.text.as_deref(),
        options.html.as_deref(),
    ) {
        Ok(message) => message,
        Err(why) => return failed(why),
    };
    match block_on(send(&servers, &to, &message, options, locale)) {
        Ok(status) => status,
        Err(error) => failed(error),
    }
}

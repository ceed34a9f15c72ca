//! Reads the recipients of an event.

use std::collections::HashSet;

use serde_json::Value;

use super::fields::FieldReader;
use super::pointer::JsonPath;
use crate::domain::mailbox::is_line_end;
use crate::domain::{AddressError, AddressList, Mailbox, Recipient};

/// Maximum number of recipients of one event.
const MAX_RECIPIENTS: usize = 50;
/// Maximum length of a recipient list, in bytes, so that a megabyte of commas is cheap.
const MAX_RECIPIENT_LIST: usize = 16_384;
/// Placeholder for an array item that is not a text: an entry, but not an address.
const NO_TEXT: &str = "()";

impl FieldReader {
    /// Reads recipients from an address list or an array of them, without duplicates. Invalid entries
    /// beside valid ones are warnings.
    pub(crate) fn recipients(&mut self, at: JsonPath<'_>, value: &Value) -> Vec<Recipient> {
        let Some(texts) = self.address_texts(at, value) else {
            return Vec::new();
        };
        let (mut recipients, mut faults, mut known) = (Vec::new(), Vec::new(), HashSet::new());
        for (item, text) in texts {
            let list = AddressList::read(text);
            let new = |recipient: &Recipient| known.insert(recipient.as_str().to_ascii_lowercase());
            recipients.extend(
                list.mailboxes
                    .into_iter()
                    .map(|mailbox| mailbox.address)
                    .filter(new),
            );
            faults.extend(
                list.faults
                    .into_iter()
                    .map(|(entry, fault)| (item, entry, fault)),
            );
        }
        if recipients.len() > MAX_RECIPIENTS {
            self.error(
                at,
                format!("names too many recipients; at most {MAX_RECIPIENTS}"),
            );
            return Vec::new();
        }
        for (item, entry, fault) in faults {
            let place = item.map_or(at, |item| JsonPath::Item(&at, item));
            if recipients.is_empty() {
                self.error(
                    place,
                    if item.is_some() {
                        fault.to_string()
                    } else {
                        format!("entry {}: {fault}", entry + 1)
                    },
                );
            } else {
                self.warn(place, |pointer| {
                    format!("entry {} of {pointer} was left out: {fault}", entry + 1)
                });
            }
        }
        recipients
    }

    /// Reads exactly one recipient, for mails with a secret. Anything that may name a second one is
    /// rejected.
    pub(crate) fn one_recipient(&mut self, at: JsonPath<'_>, value: &Value) -> Vec<Recipient> {
        let Some(texts) = self.address_texts(at, value) else {
            return Vec::new();
        };
        let (recipient, is_one) = match texts.as_slice() {
            [] => return Vec::new(),
            // An unquoted comma separates addresses, even if the text before it could be part of a
            // name.
            [(_, one)] => {
                let list = AddressList::read(one);
                let entries = list.mailboxes.len() + list.faults.len();
                (Mailbox::parse(one), entries <= 1)
            }
            _ => (Err(AddressError::Character), false),
        };
        match recipient {
            Ok(mailbox) if is_one => return vec![mailbox.address],
            Err(fault) if is_one => self.error(at, fault.to_string()),
            _ => self.error(
                at,
                "must name exactly one recipient: a code or link is for one person",
            ),
        }
        Vec::new()
    }

    /// The non-blank texts of an address list, array items with their index. `None` if the list is
    /// too long, has line breaks or is not a list.
    fn address_texts<'v>(
        &mut self,
        at: JsonPath<'_>,
        value: &'v Value,
    ) -> Option<Vec<(Option<usize>, &'v str)>> {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        if items.len() > MAX_RECIPIENTS * 2
            || items
                .iter()
                .filter_map(Value::as_str)
                .map(str::len)
                .sum::<usize>()
                > MAX_RECIPIENT_LIST
        {
            self.error(
                at,
                format!("names too many recipients; at most {MAX_RECIPIENTS}"),
            );
            return None;
        }
        let index = |index| value.is_array().then_some(index);
        let text = |item: &'v Value| item.as_str().or(value.is_array().then_some(NO_TEXT));
        let texts: Vec<_> = items
            .iter()
            .enumerate()
            .filter_map(|(at, item)| Some((index(at), text(item)?)))
            .collect();
        if texts.iter().any(|(_, text)| text.chars().any(is_line_end)) {
            self.error(at, AddressError::LineEnd.to_string());
            return None;
        }
        if !value.is_array() && texts.is_empty() {
            self.error(at, "must be a text with addresses or an array of them");
        }
        Some(
            texts
                .into_iter()
                .filter(|(_, text)| !text.trim().is_empty())
                .collect(),
        )
    }
}

//! Parses a producer's JSON into a [`MessageRequest`].

use serde_json::Value;

use super::super::fields::{FieldReader, MAX_FIELDS};
use super::super::numbers::integer;
use super::super::parts::read_id;
use super::super::{EventId, FieldError, JsonPath, Parsed};
use super::params::read_content;
use super::{InvalidTtl, MessageRequest, Ttl};
use crate::domain::{MailKind, Recipient, Timestamp};

const FIELDS: &[&str] = &["id", "to", "template", "locale", "expires_in", "params"];

impl MessageRequest {
    /// Parses a message of `POST /v1/messages`.
    ///
    /// `null` and empty texts count as absent. Bounds: code 64 printable ASCII characters; app,
    /// user and purpose 100 characters, title 200, subject 500; message 20,000 bytes, text and html
    /// 200,000 each; links http or https, 4,096 bytes; exactly one recipient for codes, resets and
    /// links, else at most 50; `expires_in` 1 s to 30 days. Control characters are removed from
    /// texts; HTML with scripts, handlers, frames, forms or other link schemes is rejected. Unknown
    /// fields become warnings; unknown template parameters are errors, because the mail would lack
    /// something its author meant to say.
    ///
    /// # Errors
    /// All invalid fields and parameters at once (at most 100).
    pub fn parse(value: &Value, now: Timestamp) -> Result<Parsed<Self>, Vec<FieldError>> {
        let mut read = FieldReader::default();
        let Value::Object(fields) = value else {
            read.error(JsonPath::Root, "must be a JSON object");
            return Err(read.errors);
        };
        if fields.len() > MAX_FIELDS {
            read.error(
                JsonPath::Root,
                format!("has {} fields; at most {MAX_FIELDS}", fields.len()),
            );
            return Err(read.errors);
        }
        fields
            .keys()
            .filter(|name| !FIELDS.contains(&name.as_str()))
            .for_each(|name| read.unknown(JsonPath::Root, name, FIELDS));
        let given = |name| fields.get(name).filter(|value: &&Value| !value.is_null());
        let at = |name| JsonPath::Field(&JsonPath::Root, name);
        let id = given("id").and_then(|value| read_id(&mut read, at("id"), value));
        let to = read_to(&mut read, given("to"), given("template"));
        let locale = given("locale").and_then(|value| read.locale(at("locale"), value));
        let expires_in =
            given("expires_in").and_then(|value| read_ttl(&mut read, at("expires_in"), value));
        let content = read_content(&mut read, given("template"), given("params"));
        let (Some(content), true) = (content, read.errors.is_empty()) else {
            return Err(read.errors);
        };
        let id_given = id.is_some();
        let event = Self {
            id: id.unwrap_or_else(|| EventId::generate(now)),
            to,
            locale,
            expires_in,
            content,
        };
        Ok(Parsed {
            event,
            id_given,
            warnings: read.warnings,
        })
    }
}

/// Reads the recipients: exactly one if the template has a secret.
fn read_to(
    read: &mut FieldReader,
    value: Option<&Value>,
    template: Option<&Value>,
) -> Vec<Recipient> {
    let at = JsonPath::Field(&JsonPath::Root, "to");
    let errors = read.errors.len();
    let is_for_one = template
        .and_then(Value::as_str)
        .and_then(MailKind::from_name)
        .is_some_and(MailKind::holds_secret);
    let to = match value {
        Some(value) if is_for_one => read.one_recipient(at, value),
        Some(value) => read.recipients(at, value),
        None => Vec::new(),
    };
    if to.is_empty() && read.errors.len() == errors {
        read.error(
            at,
            "is required: who gets the message, as a comma list or an array of addresses",
        );
    }
    to
}

fn read_ttl(read: &mut FieldReader, at: JsonPath<'_>, value: &Value) -> Option<Ttl> {
    let ttl = match value {
        Value::String(text) => Ttl::parse(text),
        _ => integer(value)
            .ok_or(InvalidTtl)
            .and_then(|seconds| Ttl::parse(&seconds.to_string())),
    };
    ttl.map_err(|error| read.error(at, error.to_string())).ok()
}

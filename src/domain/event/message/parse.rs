//! Parses a producer's JSON into a [`MessageRequest`].

use serde_json::Value;

use super::super::fields::{FieldReader, MAX_FIELDS};
use super::super::numbers::integer;
use super::super::parts::read_id;
use super::super::{EventId, FieldError, JsonPath, Parsed};
use super::params::read_content;
use super::{InvalidTtl, MessageRequest, Ttl};
use crate::domain::{MailKind, Timestamp};

const FIELDS: &[&str] = &["id", "to", "template", "locale", "expires_in", "params"];
/// Mails with a secret, for exactly one reader.
const FOR_ONE: [MailKind; 3] = [
    MailKind::VerificationCode,
    MailKind::PasswordReset,
    MailKind::VerifyLink,
];

impl MessageRequest {
    /// Parses a message as described in contract 2.
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
        let id = given("id")
            .and_then(|value| read_id(&mut read, JsonPath::Field(&JsonPath::Root, "id"), value));
        let to_at = JsonPath::Field(&JsonPath::Root, "to");
        let before = read.errors.len();
        let for_one = given("template")
            .and_then(Value::as_str)
            .is_some_and(|name| FOR_ONE.iter().any(|kind| kind.as_str() == name));
        let to = given("to").map(|value| {
            if for_one {
                read.one_recipient(to_at, value)
            } else {
                read.recipients(to_at, value)
            }
        });
        let to = to.unwrap_or_default();
        if to.is_empty() && read.errors.len() == before {
            read.error(
                to_at,
                "is required: who gets the message, as a comma list or an array of addresses",
            );
        }
        let locale = given("locale")
            .and_then(|value| read.locale(JsonPath::Field(&JsonPath::Root, "locale"), value));
        let expires_in = given("expires_in").and_then(|value| {
            read_ttl(
                &mut read,
                JsonPath::Field(&JsonPath::Root, "expires_in"),
                value,
            )
        });
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

fn read_ttl(read: &mut FieldReader, at: JsonPath<'_>, value: &Value) -> Option<Ttl> {
    let life = match value {
        Value::String(text) => Ttl::parse(text),
        _ => integer(value)
            .ok_or(InvalidTtl)
            .and_then(|seconds| Ttl::parse(&seconds.to_string())),
    };
    life.map_err(|error| read.error(at, error.to_string())).ok()
}

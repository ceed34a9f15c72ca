//! From a producer's JSON to a [`MessageRequest`].

use serde_json::{Map, Value};

use super::super::fields::{FieldReader, MAX_FIELDS, MAX_SHOWN_NAME, TextRule, nearest};
use super::super::numbers::integer;
use super::super::parts::read_id;
use super::super::{EventId, FieldError, JsonPath, Link, Parsed};
use super::html_policy;
use super::{Code, InvalidCode, InvalidTtl, MessageContent, MessageNames, MessageRequest, Ttl};
use crate::domain::{MailKind, Timestamp};

const NAME: TextRule = TextRule::line(100);
const PURPOSE: TextRule = TextRule::line(100);
const TITLE: TextRule = TextRule::line(200);
const MESSAGE: TextRule = TextRule::lines(20_000);
const SUBJECT: TextRule = TextRule::line(500);
const BODY: TextRule = TextRule::lines(200_000);

/// The most unknown parameters that are named.
const MAX_UNKNOWN: usize = 100;
/// Gmail shows about 102 kB of a mail's HTML.
const CLIPPED: usize = 90_000;

const FIELDS: &[&str] = &["id", "to", "template", "locale", "expires_in", "params"];
/// The mails that can be asked for; each is named as its kind is.
const TEMPLATES: &[MailKind] = &[
    MailKind::VerificationCode,
    MailKind::PasswordReset,
    MailKind::VerifyLink,
    MailKind::SystemNotice,
    MailKind::Plain,
];

/// The mails that carry a secret, each for exactly one reader.
const FOR_ONE: [MailKind; 3] = [
    MailKind::VerificationCode,
    MailKind::PasswordReset,
    MailKind::VerifyLink,
];

impl MessageRequest {
    /// Reads a message as contract 2 describes it.
    ///
    /// `null` and empty texts count as absent. Bounds: code 64 printable ASCII characters; app,
    /// user and purpose 100 characters, title 200, subject 500; message 20,000 bytes, text and html
    /// 200,000 each; links http or https, 4,096 bytes; exactly one recipient for codes, resets and
    /// links, else at most 50; `expires_in` 1 s to 30 days. Control characters are taken out of
    /// texts; HTML with scripts, handlers, frames, forms or links of other schemes is refused.
    /// Fields that nobody knows come back as warnings; parameters that the template does not know
    /// are wrong, for a mail that lacks what its author meant to say must not go out.
    ///
    /// # Errors
    /// Every field and parameter that is wrong, at once (at most 100).
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
            read_life(
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

fn read_life(read: &mut FieldReader, at: JsonPath<'_>, value: &Value) -> Option<Ttl> {
    let life = match value {
        Value::String(text) => Ttl::parse(text),
        _ => integer(value)
            .ok_or(InvalidTtl)
            .and_then(|seconds| Ttl::parse(&seconds.to_string())),
    };
    life.map_err(|error| read.error(at, error.to_string())).ok()
}

fn read_content(
    read: &mut FieldReader,
    template: Option<&Value>,
    params: Option<&Value>,
) -> Option<MessageContent> {
    let kind = read_template(read, template);
    let at = JsonPath::Field(&JsonPath::Root, "params");
    let empty = Map::new();
    let fields = match params {
        None => &empty,
        Some(Value::Object(fields)) => fields,
        Some(_) => {
            read.error(at, "must be an object with the template's parameters");
            return None;
        }
    };
    let mut params = Params {
        read,
        fields,
        at,
        known: Vec::with_capacity(6),
    };
    let names = |params: &mut Params<'_>| MessageNames {
        app: params.text("app", NAME),
        user: params.text("user", NAME),
    };
    let content = match kind? {
        MailKind::VerificationCode => {
            let (code, purpose) = (
                params.required("code", read_code),
                params.text("purpose", PURPOSE),
            );
            let names = names(&mut params);
            code.map(|code| MessageContent::VerificationCode {
                code,
                purpose,
                names,
            })
        }
        MailKind::PasswordReset => {
            let before = params.read.errors.len();
            let (code, url) = (
                params.optional("code", read_code),
                params.optional("url", read_link),
            );
            params.one_of("code", "url", code.is_some() || url.is_some(), before);
            Some(MessageContent::PasswordReset {
                code,
                url,
                names: names(&mut params),
            })
        }
        MailKind::VerifyLink => {
            let url = params.required("url", read_link);
            let names = names(&mut params);
            url.map(|url| MessageContent::VerifyLink { url, names })
        }
        MailKind::SystemNotice => {
            let (title, message) = (
                params.required_text("title", TITLE),
                params.required_text("message", MESSAGE),
            );
            let (url, names) = (params.optional("url", read_link), names(&mut params));
            title
                .zip(message)
                .map(|(title, message)| MessageContent::SystemNotice {
                    title,
                    message,
                    url,
                    names,
                })
        }
        _ => {
            let subject = params.required_text("subject", SUBJECT);
            let before = params.read.errors.len();
            let (text, html) = (
                params.text("text", BODY),
                params.optional("html", read_html),
            );
            params.one_of("text", "html", text.is_some() || html.is_some(), before);
            let names = names(&mut params);
            for name in [("app", &names.app), ("user", &names.user)]
                .into_iter()
                .filter(|(_, given)| given.is_some())
                .map(|(name, _)| name)
            {
                params
                    .read
                    .warn(JsonPath::Field(&params.at, name), |pointer| {
                        format!("{pointer} is not shown: a plain mail goes out as it was given")
                    });
            }
            subject.map(|subject| MessageContent::Plain {
                subject,
                text,
                html,
                names,
            })
        }
    };
    params.refuse_unknown(kind?);
    content
}

fn read_template(read: &mut FieldReader, value: Option<&Value>) -> Option<MailKind> {
    let at = JsonPath::Field(&JsonPath::Root, "template");
    let names: Vec<&str> = TEMPLATES.iter().map(|kind| kind.as_str()).collect();
    let found = value
        .and_then(Value::as_str)
        .and_then(|name| TEMPLATES.iter().copied().find(|kind| kind.as_str() == name));
    if found.is_none() {
        let fault = if value.is_none() {
            "is required"
        } else {
            "is not a known template"
        };
        let advice = value
            .and_then(Value::as_str)
            .and_then(|name| nearest(name, &names))
            .map_or(String::new(), |name| format!("; did you mean {name:?}?"));
        read.error(
            at,
            format!("{fault}; write one of {}{advice}", names.join(", ")),
        );
    }
    found
}

fn read_code(read: &mut FieldReader, at: JsonPath<'_>, value: &Value) -> Option<Code> {
    let code = value.as_str().and_then(|text| Code::parse(text).ok());
    if code.is_none() {
        let advice = if value.is_number() {
            "; as a number it would lose its leading zeros"
        } else {
            ""
        };
        read.error(at, format!("{InvalidCode}{advice}"));
    }
    code
}

/// A link that a mail may carry. Here it is what the mail is about, so a bad one is refused, not
/// left out.
fn read_link(read: &mut FieldReader, at: JsonPath<'_>, value: &Value) -> Option<Link> {
    let link = value
        .as_str()
        .ok_or(super::super::InvalidLink)
        .and_then(Link::parse);
    link.map_err(|error| read.error(at, error.to_string())).ok()
}

/// HTML goes out as it was given, but for what mail programs refuse.
fn read_html(read: &mut FieldReader, at: JsonPath<'_>, value: &Value) -> Option<String> {
    let html = read.text(at, value, BODY)?;
    for fault in html_policy::faults(&html) {
        read.error(at, fault);
    }
    if html.len() > CLIPPED {
        read.warn(at, |pointer| {
            format!("{pointer} has more than {CLIPPED} bytes; Gmail cuts such mails off")
        });
    }
    Some(html)
}

/// The parameters of one template; remembers which it was asked for.
struct Params<'a> {
    read: &'a mut FieldReader,
    fields: &'a Map<String, Value>,
    at: JsonPath<'a>,
    known: Vec<&'static str>,
}

impl Params<'_> {
    /// What was given; an empty text counts as nothing.
    fn given(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| {
            !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty())
        })
    }

    fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut FieldReader, JsonPath<'_>, &Value) -> Option<T>,
    ) -> Option<T> {
        self.known.push(name);
        let value = self.given(name)?.clone();
        read(self.read, JsonPath::Field(&self.at, name), &value)
    }

    fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut FieldReader, JsonPath<'_>, &Value) -> Option<T>,
    ) -> Option<T> {
        if self.given(name).is_none() {
            self.read
                .error(JsonPath::Field(&self.at, name), "is required");
        }
        self.optional(name, read)
    }

    fn text(&mut self, name: &'static str, rule: TextRule) -> Option<String> {
        self.optional(name, |read, at, value| read.text(at, value, rule))
    }

    fn required_text(&mut self, name: &'static str, rule: TextRule) -> Option<String> {
        self.required(name, |read, at, value| {
            let before = read.errors.len();
            let text = read.text(at, value, rule);
            if text.is_none() && read.errors.len() == before {
                read.error(
                    at,
                    "is required; nothing is left of it without its control characters",
                );
            }
            text
        })
    }

    /// Says that one of two is missing, where nothing else was said of them since there were
    /// `before` faults.
    fn one_of(&mut self, one: &'static str, other: &'static str, found: bool, before: usize) {
        if !found && self.read.errors.len() == before {
            self.read.error(
                JsonPath::Field(&self.at, one),
                format!("is required, or {other:?}"),
            );
        }
    }

    fn refuse_unknown(self, kind: MailKind) {
        for name in self
            .fields
            .keys()
            .filter(|name| !self.known.contains(&name.as_str()))
            .take(MAX_UNKNOWN)
        {
            let shown: String = name.chars().take(MAX_SHOWN_NAME).collect();
            let advice = self
                .read
                .nearest(&shown, &self.known)
                .map_or(String::new(), |name| format!("; did you mean {name:?}?"));
            self.read.error(
                JsonPath::Field(&self.at, &shown),
                format!(
                    "is not a parameter of {kind}{advice}; it takes {}",
                    self.known.join(", ")
                ),
            );
        }
    }
}

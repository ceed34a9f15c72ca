//! Parses the parameters of each template.

use serde_json::{Map, Value};

use super::super::fields::{FieldReader, MAX_SHOWN_NAME, nearest};
use super::super::text::TextRule;
use super::super::{JsonPath, Link};
use super::html_policy;
use super::{Code, InvalidCode, MessageContent, MessageNames};
use crate::domain::MailKind;

const NAME: TextRule = TextRule::line(100);
const PURPOSE: TextRule = TextRule::line(100);
const TITLE: TextRule = TextRule::line(200);
const MESSAGE: TextRule = TextRule::lines(20_000);
const SUBJECT: TextRule = TextRule::line(500);
const BODY: TextRule = TextRule::lines(200_000);

/// Maximum number of unknown parameters that are named.
const MAX_UNKNOWN: usize = 100;
/// Gmail clips HTML beyond about 102 kB.
const CLIPPED: usize = 90_000;

/// The available templates, named after their mail kinds.
const TEMPLATES: &[MailKind] = &[
    MailKind::VerificationCode,
    MailKind::PasswordReset,
    MailKind::VerifyLink,
    MailKind::SystemNotice,
    MailKind::Plain,
];

/// Reads the template and its parameters.
pub(super) fn read_content(
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
    let content = match kind? {
        MailKind::VerificationCode => verification_code(&mut params),
        MailKind::PasswordReset => Some(password_reset(&mut params)),
        MailKind::VerifyLink => {
            let url = params.required("url", read_link);
            let names = params.names();
            url.map(|url| MessageContent::VerifyLink { url, names })
        }
        MailKind::SystemNotice => system_notice(&mut params),
        _ => plain(&mut params),
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
            format!("{fault}; expected one of {}{advice}", names.join(", ")),
        );
    }
    found
}

fn verification_code(params: &mut Params<'_>) -> Option<MessageContent> {
    let code = params.required("code", read_code);
    let (purpose, names) = (params.text("purpose", PURPOSE), params.names());
    code.map(|code| MessageContent::VerificationCode {
        code,
        purpose,
        names,
    })
}

fn system_notice(params: &mut Params<'_>) -> Option<MessageContent> {
    let title = params.required_text("title", TITLE);
    let message = params.required_text("message", MESSAGE);
    let (url, names) = (params.optional("url", read_link), params.names());
    Some(MessageContent::SystemNotice {
        title: title?,
        message: message?,
        url,
        names,
    })
}

fn password_reset(params: &mut Params<'_>) -> MessageContent {
    let before = params.read.errors.len();
    let (code, url) = (
        params.optional("code", read_code),
        params.optional("url", read_link),
    );
    params.one_of("code", "url", code.is_some() || url.is_some(), before);
    MessageContent::PasswordReset {
        code,
        url,
        names: params.names(),
    }
}

fn plain(params: &mut Params<'_>) -> Option<MessageContent> {
    let subject = params.required_text("subject", SUBJECT);
    let before = params.read.errors.len();
    let (text, html) = (
        params.text("text", BODY),
        params.optional("html", read_html),
    );
    params.one_of("text", "html", text.is_some() || html.is_some(), before);
    let names = params.names();
    for name in [("app", &names.app), ("user", &names.user)]
        .into_iter()
        .filter(|(_, given)| given.is_some())
        .map(|(name, _)| name)
    {
        params
            .read
            .warn(JsonPath::Field(&params.at, name), |pointer| {
                format!("{pointer} is not shown: a plain mail is sent as given")
            });
    }
    subject.map(|subject| MessageContent::Plain {
        subject,
        text,
        html,
        names,
    })
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

/// Parses a link. The link is the purpose of the mail, so an invalid one is an error rather than a
/// warning.
fn read_link(read: &mut FieldReader, at: JsonPath<'_>, value: &Value) -> Option<Link> {
    let link = value
        .as_str()
        .ok_or(super::super::InvalidLink)
        .and_then(Link::parse);
    link.map_err(|error| read.error(at, error.to_string())).ok()
}

/// Checks HTML against the policy; valid HTML is sent unchanged.
fn read_html(read: &mut FieldReader, at: JsonPath<'_>, value: &Value) -> Option<String> {
    let html = read.text(at, value, BODY)?;
    for fault in html_policy::faults(&html) {
        read.error(at, fault);
    }
    if html.len() > CLIPPED {
        read.warn(at, |pointer| {
            format!("{pointer} has more than {CLIPPED} bytes; Gmail clips such mails")
        });
    }
    Some(html)
}

/// The parameters of one template; records which were read.
struct Params<'a> {
    read: &'a mut FieldReader,
    fields: &'a Map<String, Value>,
    at: JsonPath<'a>,
    known: Vec<&'static str>,
}

impl Params<'_> {
    fn names(&mut self) -> MessageNames {
        MessageNames {
            app: self.text("app", NAME),
            user: self.text("user", NAME),
        }
    }

    /// The given value; an empty text counts as absent.
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
                read.error(at, "must contain a printable character");
            }
            text
        })
    }

    /// Reports that both fields are missing, unless one of them has already added an error;
    /// `before` is the earlier number of errors.
    fn one_of(&mut self, one: &'static str, other: &'static str, found: bool, before: usize) {
        if !found && self.read.errors.len() == before {
            self.read.error(
                JsonPath::Field(&self.at, one),
                format!("this or {other:?} is required"),
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

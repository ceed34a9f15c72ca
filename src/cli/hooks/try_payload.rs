//! `jobbell hooks try NAME --file payload.json`: explains how a hook maps a payload. Nothing is
//! sent, stored or verified.

use std::path::PathBuf;

use clap::Args;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::super::i18n::{terminal_locale, tr};
use super::super::{DONE, FAILED, failed, usage_error};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::{FieldError, Locale, Parsed, Recipient};
use crate::intake::hooks::mapping::{Found, Place};
use crate::intake::hooks::{Kind, MapResult, Settings};

/// Maximum number of characters shown of a value.
const SHOWN: usize = 60;

/// The hook and the payload.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The hook: NAME of [hooks.NAME]
    name: String,
    /// The payload: a JSON file, or - for standard input
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// A request header, such as X-GitHub-Event: workflow_run; repeatable
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
}

/// Maps the payload and prints the result. Returns 0 if the hook understands it, 1 otherwise.
pub(super) fn run(config: &Config, options: &Options, as_json: bool) -> u8 {
    let locale = terminal_locale();
    let standing = Settings::huiying();
    let known = config
        .hooks
        .iter()
        .chain([&standing])
        .find(|hook| hook.name == options.name);
    let Some(hook) = known else {
        let names: Vec<&str> = config.hooks.iter().map(|hook| hook.name.as_str()).collect();
        let (en, zh) = (
            "no hook has this name; configured hooks:",
            "没有这个名称的 hook；配置中有",
        );
        return failed(format_args!(
            "{} {}",
            tr(locale, en, zh),
            if names.is_empty() {
                "0".to_owned()
            } else {
                names.join(", ")
            }
        ));
    };
    let headers = match headers(&options.headers) {
        Ok(headers) => headers,
        Err(header) => return usage_error(format_args!("--header {header:?}: write NAME: VALUE")),
    };
    let payload = match super::super::read_json(&options.file) {
        Ok(payload) => payload,
        Err(error) => return failed(error),
    };
    let tried = Tried::new(config, hook, &payload, &headers);
    if as_json {
        println!("{:#}", tried.json());
    } else {
        tried.tell(locale);
    }
    if tried.is_understood() { DONE } else { FAILED }
}

fn headers(given: &[String]) -> Result<HeaderMap, &str> {
    let mut headers = HeaderMap::new();
    for header in given {
        let parsed = header.split_once(':').and_then(|(name, value)| {
            Some((
                HeaderName::try_from(name.trim()).ok()?,
                HeaderValue::try_from(value.trim()).ok()?,
            ))
        });
        let (name, value) = parsed.ok_or(header.as_str())?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// The result of mapping a payload.
struct Tried<'a> {
    hook: &'a Settings,
    mapped: MapResult,
    /// Where each field was found; empty for kinds with their own code.
    fields: Vec<Found>,
    /// The recipients of an event that names none.
    default_to: &'a [Recipient],
}

impl<'a> Tried<'a> {
    fn new(config: &'a Config, hook: &'a Settings, payload: &Value, headers: &HeaderMap) -> Self {
        let mut mapped = hook.map(payload, headers, true, Clock::System.now());
        if let MapResult::Events(events) | MapResult::Partly(events, _) = &mut mapped {
            for parsed in &mut *events {
                hook.address(&mut parsed.event);
            }
        }
        let fields = if hook.kind == Kind::Generic {
            hook.mapping.explain(payload)
        } else {
            Vec::new()
        };
        Self {
            hook,
            mapped,
            fields,
            default_to: &config.routes.default_to,
        }
    }

    fn is_understood(&self) -> bool {
        match &self.mapped {
            MapResult::Events(events) => events
                .iter()
                .all(|parsed| !self.recipients(parsed).is_empty()),
            MapResult::Ignored(_) | MapResult::Challenge(_) => true,
            MapResult::Partly(..) | MapResult::Unknown(_) | MapResult::Unmappable(_) => false,
        }
    }

    fn recipients<'b>(&'b self, parsed: &'b Parsed) -> &'b [Recipient] {
        if parsed.event.to.is_empty() {
            self.default_to
        } else {
            &parsed.event.to
        }
    }

    fn json(&self) -> Value {
        let (outcome, why, errors, events) = match &self.mapped {
            MapResult::Events(events) => ("events", None, &[][..], events.as_slice()),
            MapResult::Partly(events, why) => ("events", Some(why), &[][..], events.as_slice()),
            MapResult::Ignored(why) => ("ignored", Some(why), &[][..], &[][..]),
            MapResult::Challenge(_) => ("challenge", None, &[][..], &[][..]),
            MapResult::Unknown(why) => ("unknown", Some(why), &[][..], &[][..]),
            MapResult::Unmappable(errors) => ("unmappable", None, errors.as_slice(), &[][..]),
        };
        let event = |parsed: &Parsed| json!({ "event": parsed.event, "to": self.recipients(parsed), "warnings": details(&parsed.warnings) });
        let field = |found: &Found| {
            let (place, value) = found
                .at
                .as_ref()
                .map(|(place, value)| (place.written(), value))
                .unzip();
            json!({ "field": found.field, "tried": found.tried.iter().map(Place::written).collect::<Vec<_>>(), "place": place, "value": value, "useless": found.unusable.as_ref().map(Place::written) })
        };
        json!({
            "hook": self.hook.name, "kind": self.hook.kind.as_str(), "outcome": outcome, "why": why, "errors": errors,
            "events": events.iter().map(event).collect::<Vec<_>>(), "fields": self.fields.iter().map(field).collect::<Vec<_>>(),
        })
    }

    fn tell(&self, locale: Locale) {
        println!("[hooks.{}] {}", self.hook.name, self.hook.kind.as_str());
        for found in &self.fields {
            if let Some((place, value)) = &found.at {
                println!(
                    "  ✓ {:<17} {} = {}",
                    found.field,
                    place.written(),
                    short(value)
                );
            } else if let Some(place) = &found.unusable {
                println!(
                    "  ✗ {:<17} {} {}",
                    found.field,
                    place.written(),
                    tr(locale, "not usable for this field", "不能用作该字段")
                );
            } else {
                let tried: Vec<String> = found.tried.iter().map(Place::written).collect();
                println!("  – {:<17} {}", found.field, tried.join(" "));
            }
        }
        if let MapResult::Events(events) | MapResult::Partly(events, _) = &self.mapped {
            for parsed in events {
                self.tell_event(parsed, locale);
            }
        }
        self.tell_result(locale);
    }

    fn tell_result(&self, locale: Locale) {
        match &self.mapped {
            MapResult::Events(_) => {}
            MapResult::Partly(_, why) => {
                let kept = tr(
                    locale,
                    "partly understood; kept for `jobbell hooks failed`",
                    "部分内容无法识别，可用 `jobbell hooks failed` 查看",
                );
                println!("{kept}: {why}");
            }
            MapResult::Ignored(why) => println!(
                "{}: {why}",
                tr(locale, "ignored (204), no mail", "忽略（204），不发邮件")
            ),
            MapResult::Challenge(answer) => println!(
                "{}: {answer}",
                tr(
                    locale,
                    "a challenge, answered (200) with",
                    "验证请求，已应答（200）"
                )
            ),
            MapResult::Unknown(why) => {
                println!(
                    "{}: {why}",
                    tr(
                        locale,
                        "not understood (204), kept for `jobbell hooks failed`",
                        "无法识别（204），可用 `jobbell hooks failed` 查看"
                    )
                );
            }
            MapResult::Unmappable(errors) => {
                println!(
                    "{}",
                    tr(
                        locale,
                        "refused (422), kept for `jobbell hooks failed`:",
                        "拒绝（422），可用 `jobbell hooks failed` 查看："
                    )
                );
                for error in errors {
                    println!("  {}: {}", error.pointer, error.detail);
                }
            }
        }
    }

    fn tell_event(&self, parsed: &Parsed, locale: Locale) {
        let to: Vec<&str> = self
            .recipients(parsed)
            .iter()
            .map(Recipient::as_str)
            .collect();
        if to.is_empty() {
            println!(
                "{}",
                tr(
                    locale,
                    "refused (422): no recipient; set smtp.to or the hook's `to`",
                    "拒绝（422）：没有收件人；请设置 smtp.to 或该 hook 的 to"
                )
            );
        } else {
            println!(
                "{}: {}",
                tr(locale, "email to", "发送邮件给"),
                to.join(", ")
            );
        }
        println!("{:#}", json!(parsed.event));
        for warning in details(&parsed.warnings) {
            println!("  {}: {warning}", tr(locale, "note", "提示"));
        }
    }
}

fn details(notes: &[FieldError]) -> Vec<&str> {
    notes.iter().map(|note| note.detail.as_str()).collect()
}

/// Renders a value on one line.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

//! `jobbell event`: posts an event to the daemon, or into the database of a shared queue, from options,
//! a file or standard input.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};

use super::client::{Answer, explain};
use super::destination::{self, Destination};
use super::i18n::{Words, terminal_encoding, terminal_locale};
use super::target;
use super::{DONE, FAILED, block_on, failed, lossy};
use crate::config::Sources;
use crate::domain::event::StatusMeaning;
use crate::domain::{Locale, json};
use crate::encoding;

/// The event to post.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// How the job ended: succeeded, failed, or a synonym such as done or error
    #[arg(long, required_unless_present_any = ["file", "input"], value_parser = status)]
    status: Option<String>,
    /// Event ID; events with the same ID are duplicates
    #[arg(long)]
    id: Option<String>,
    /// Your ID of the job
    #[arg(long, value_parser = lossy())]
    job_id: Option<String>,
    /// Human-readable title
    #[arg(long, value_parser = lossy())]
    title: Option<String>,
    /// The prompt
    #[arg(long, value_parser = lossy())]
    prompt: Option<String>,
    /// Model name
    #[arg(long, value_parser = lossy())]
    model: Option<String>,
    /// Width and height, such as 1024x768
    #[arg(long)]
    size: Option<String>,
    /// File format, such as png
    #[arg(long)]
    format: Option<String>,
    /// Link of an image; repeatable
    #[arg(long = "image", value_name = "URL")]
    images: Vec<String>,
    /// Error message
    #[arg(long = "error", value_name = "MESSAGE", value_parser = lossy())]
    error: Option<String>,
    /// Short error code
    #[arg(long, value_name = "CODE", value_parser = lossy())]
    error_code: Option<String>,
    /// Recipients; repeatable, or a comma-separated list
    #[arg(long)]
    to: Vec<String>,
    /// Language of the email: zh-CN or en
    #[arg(long)]
    locale: Option<String>,
    /// Hide image and prompt in the email
    #[arg(long)]
    sensitive: bool,
    /// Read the event from a file: one JSON object, or one per line
    #[arg(long, value_name = "FILE", conflicts_with = "status")]
    file: Option<PathBuf>,
    /// - reads the event from standard input
    #[arg(value_name = "-", value_parser = ["-"], conflicts_with_all = ["status", "file"])]
    input: Option<String>,
    /// Print the daemon's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: target::DaemonOptions,
}

/// Parses a word for how a job ended.
fn status(word: &str) -> Result<String, String> {
    match StatusMeaning::of_word(word) {
        Some(StatusMeaning::Ignored) | None => {
            Err("possible values: succeeded, failed, or a synonym such as done or error".to_owned())
        }
        Some(_) => Ok(word.to_owned()),
    }
}

/// Posts the event and prints the daemon's answer.
pub(super) fn run(sources: &Sources, options: &Options) -> u8 {
    let (media_type, body) = match options.body() {
        Ok(body) => body,
        Err(error) => return failed(error),
    };
    let locale = terminal_locale();
    let destination = match Destination::find(sources, &options.daemon) {
        Ok((destination, _)) => destination,
        Err(unusable) => {
            let (status, why) = unusable.report(locale);
            if let Some(why) = why {
                failed(why);
            }
            return status;
        }
    };
    match block_on(destination.post(media_type, body)) {
        Ok(Ok(answer)) => report(&answer, options.json, locale),
        Ok(Err(error)) => {
            failed(error.said(locale));
            destination::status_of(&error)
        }
        Err(error) => failed(error),
    }
}

fn report(answer: &Answer, json: bool, locale: Locale) -> u8 {
    let words = Words::of(locale);
    if json {
        println!("{}", answer.body);
    }
    if !matches!(answer.status, 200 | 202) {
        return if json {
            FAILED
        } else {
            failed(explain(answer, locale))
        };
    }
    let one = std::slice::from_ref(&answer.body);
    for event in answer
        .body
        .as_array()
        .map_or(one, Vec::as_slice)
        .iter()
        .filter(|_| !json)
    {
        let duplicate = event
            .get("duplicate")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let what = if duplicate {
            words.duplicate
        } else {
            words.accepted
        };
        println!(
            "{what}: {}",
            event.get("id").and_then(Value::as_str).unwrap_or_default()
        );
        for warning in event
            .get("warnings")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            println!(
                "  {}: {}",
                words.warning,
                warning.as_str().unwrap_or_default()
            );
        }
    }
    DONE
}

impl Options {
    fn body(&self) -> Result<(&'static str, Vec<u8>), std::io::Error> {
        let mut body = Vec::new();
        if let Some(path) = &self.file {
            let named = |error: std::io::Error| {
                std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            };
            body = std::fs::read(path).map_err(named)?;
        } else if self.input.is_some() {
            std::io::stdin().read_to_end(&mut body)?;
        } else {
            return Ok(("application/json", self.event().to_string().into_bytes()));
        }
        let body = encoding::to_utf8(body, terminal_encoding());
        let single = json::read(&body).is_ok() || !body.contains(&b'\n');
        Ok((
            if single {
                "application/json"
            } else {
                "application/x-ndjson"
            },
            body,
        ))
    }

    fn event(&self) -> Value {
        let texts = [
            ("status", &self.status),
            ("id", &self.id),
            ("job_id", &self.job_id),
            ("title", &self.title),
            ("prompt", &self.prompt),
            ("model", &self.model),
            ("size", &self.size),
            ("format", &self.format),
            ("locale", &self.locale),
        ];
        let mut event: Map<String, Value> = texts
            .into_iter()
            .filter_map(|(name, text)| {
                text.as_ref()
                    .map(|text| (name.to_owned(), Value::from(text.as_str())))
            })
            .collect();
        if !self.images.is_empty() {
            event.insert(
                "images".to_owned(),
                self.images
                    .iter()
                    .map(|url| serde_json::json!({ "url": url }))
                    .collect(),
            );
        }
        if !self.to.is_empty() {
            event.insert("to".to_owned(), Value::from(self.to.as_slice()));
        }
        if self.error.is_some() || self.error_code.is_some() {
            event.insert(
                "error".to_owned(),
                serde_json::json!({ "code": self.error_code, "message": self.error }),
            );
        }
        if self.sensitive {
            event.insert("sensitive".to_owned(), Value::Bool(true));
        }
        Value::Object(event)
    }
}

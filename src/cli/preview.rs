//! `jobbell preview`: shows the mail for an event or a message without sending it, and the linter's
//! findings.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use base64::Engine as _;
use clap::Args;

use super::i18n::{terminal_locale, tr};
use super::thumbnails::absence;
use super::{DONE, FAILED, failed, load_without_mail};
use crate::clock::Clock;
use crate::config::{Config, Sources};
use crate::domain::{
    Email, Event, FieldError, InlinePart, JobEvent, MessageRequest, MissingReason, Plan, Recipient,
    ThumbnailResult, Timestamp,
};
use crate::render::lint::{Finding, Level, lint, lint_wire};
use crate::render::{MailContext, Renderer};
use crate::telemetry::terminal::Styled;
use crate::transport::compose;

/// The event and the view of its mail.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a command line switch"
)]
pub(super) struct Options {
    /// The event or message as JSON, the same as a POST body; - is standard input
    #[arg(long, value_name = "EVENT.json")]
    file: PathBuf,
    /// Print the HTML part
    #[arg(long, group = "view")]
    html: bool,
    /// Print the text part (the default)
    #[arg(long, group = "view")]
    text: bool,
    /// Print the whole message with headers, as it would be sent
    #[arg(long, group = "view")]
    eml: bool,
    /// Fetch images and embed thumbnails, the same as email.preview = "thumbnail"; otherwise
    /// nothing is fetched
    #[arg(long)]
    fetch: bool,
}

/// Renders the mail and prints the requested view.
pub(super) fn run(sources: &Sources, options: &Options) -> u8 {
    let config = match load_without_mail(sources) {
        Ok(loaded) => loaded.config,
        Err(status) => return status,
    };
    let email = match render(&config, options) {
        Ok(email) => email,
        Err(error) => return failed(error),
    };
    let wire = match compose::message(
        &email,
        compose::SenderIdentity {
            from: &email.from,
            reply_to: &[],
        },
    ) {
        Ok(wire) => wire,
        Err(error) => return failed(error),
    };
    let findings: Vec<Finding> = lint(&email).into_iter().chain(lint_wire(&wire)).collect();
    let view = if options.html {
        with_pictures(&email).into_bytes()
    } else if options.eml {
        wire
    } else {
        format!("{}\n\n{}", email.subject, email.text).into_bytes()
    };
    let mut stdout = std::io::stdout();
    let shown = if stdout.is_terminal() {
        Styled(&mut stdout).write_all(&view)
    } else {
        stdout.write_all(&view)
    };
    if shown.is_err() {
        return FAILED;
    }
    for finding in &findings {
        eprintln!("{}: {finding}", options.file.display());
    }
    if findings.iter().any(|finding| finding.level == Level::Error) {
        FAILED
    } else {
        DONE
    }
}

fn render(config: &Config, options: &Options) -> Result<Email, String> {
    let place = options.file.display();
    let value = super::read_json(&options.file)?;
    let now = Clock::System.now();
    let event = parse(&value, now, &place)?;
    let pictures =
        pictures(config, &event, options.fetch).map_err(|error| format!("{place}: {error}"))?;
    for ThumbnailResult { place, result } in pictures.iter().flatten() {
        if let Err(why) = result {
            let locale = terminal_locale();
            let why = match (*why, &event) {
                (MissingReason::NoFile, Event::Job(job))
                    if !options.fetch
                        && job
                            .images
                            .get(*place)
                            .is_some_and(|image| image.url.is_some()) =>
                {
                    tr(
                        locale,
                        "not fetched; use --fetch",
                        "未获取；加上 --fetch 即可获取",
                    )
                }
                (why, _) => absence(why, locale),
            };
            eprintln!("jobbell: #/images/{place}: {why}");
        }
    }
    mail(config, &event, pictures.as_deref(), now).map_err(|error| format!("{place}: {error}"))
}

/// Parses an event, or a message if it names a template, and prints warnings.
fn parse(value: &serde_json::Value, now: Timestamp, place: &impl Display) -> Result<Event, String> {
    let parsed = if value.get("template").is_some() {
        MessageRequest::parse(value, now).map(|parsed| (parsed.event.into(), parsed.warnings))
    } else {
        JobEvent::parse(value, now).map(|parsed| (parsed.event.into(), parsed.warnings))
    };
    let line = |fault: &FieldError| format!("{place}: {}: {}", fault.pointer, fault.detail);
    let (event, warnings) =
        parsed.map_err(|errors| errors.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    for warning in &warnings {
        eprintln!("{}", line(warning));
    }
    Ok(event)
}

/// The thumbnails that the mail would carry, if any.
#[cfg(feature = "thumbnails")]
fn pictures(
    config: &Config,
    event: &Event,
    fetch: bool,
) -> Result<Option<Vec<ThumbnailResult>>, String> {
    use crate::thumbnails::thumbnailer::Thumbnailer;
    let settings = &config.thumbnails;
    let Event::Job(job) = event else {
        return Ok(None);
    };
    if !settings.enabled && !fetch {
        return Ok(None);
    }
    let thumbnailer = if fetch {
        Thumbnailer::new(settings).map_err(|error| error.to_string())?
    } else {
        Thumbnailer::of_files(settings)
    };
    let captured = super::block_on(async {
        thumbnailer
            .capture(
                0,
                &job.images,
                job.sensitive,
                tokio::time::sleep(settings.wait),
            )
            .await
    });
    captured.map(Some).map_err(|error| error.to_string())
}

/// Stub for builds without image decoders.
#[cfg(not(feature = "thumbnails"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "same signature as with thumbnails"
)]
fn pictures(_: &Config, _: &Event, _: bool) -> Result<Option<Vec<ThumbnailResult>>, String> {
    Ok(None)
}

/// The HTML with embedded images as data URLs, so that browsers show them.
fn with_pictures(email: &Email) -> String {
    let put = |html: String, part: &InlinePart| {
        let data = format!(
            "src=\"data:{};base64,{}\"",
            part.media_type,
            base64::engine::general_purpose::STANDARD.encode(&part.bytes)
        );
        html.replace(&format!("src=\"cid:{}\"", part.content_id), &data)
    };
    email.inline.iter().fold(email.html.clone(), put)
}

/// Renders the mail of the event's first recipient, or for somebody@example.com without one.
fn mail(
    config: &Config,
    event: &Event,
    pictures: Option<&[ThumbnailResult]>,
    now: Timestamp,
) -> Result<Email, String> {
    let mut routes = config.routes.clone();
    // Renders even if mails are switched off.
    routes.enabled = true;
    if routes.default_to.is_empty() {
        routes
            .default_to
            .extend(Recipient::parse("somebody@example.com"));
    }
    let deliveries = routes.plan(event, now).map_err(|error| error.to_string())?;
    let delivery = deliveries.first().ok_or("no email would be sent")?;
    if let Plan::Suppress(reason) = delivery.plan {
        eprintln!(
            "jobbell: {} {reason}",
            tr(
                terminal_locale(),
                "this email would not be sent:",
                "这封邮件不会发送："
            )
        );
    }
    let addressed = MailContext {
        delivery: delivery.id,
        message_id: &delivery.message_id,
        recipient: &delivery.recipient,
        kind: delivery.kind,
        created_at: delivery.created_at,
        pictures,
    };
    Renderer::new(config.render.clone())
        .render(event, &addressed)
        .map_err(|error| error.to_string())
}

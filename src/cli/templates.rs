//! `jobbell templates`: exports, checks and previews the operator's own templates.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::i18n::{terminal_locale, tr};
use super::{DONE, FAILED, failed, load_without_mail, usage_error};
use crate::config::Sources;
use crate::domain::Locale;
use crate::render::lint::{Finding, Level, lint};
use crate::render::user_templates::{MAILS, UserTemplates, exported, samples};
use crate::render::{Renderer, Settings};

/// Arguments of `jobbell templates`.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Write the built-in emails into a folder as templates to start from
    Export {
        /// The folder; existing files are kept
        dir: PathBuf,
        /// Overwrite existing files
        #[arg(long)]
        force: bool,
    },
    /// Compile the templates, fill them with sample events in both languages, and lint the
    /// resulting emails
    Check {
        /// The folder [default: email.templates_dir]
        dir: Option<PathBuf>,
    },
    /// Print an email rendered from the templates and a sample event
    Preview {
        /// Kind of email
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(MAILS))]
        mail: String,
        /// The folder [default: email.templates_dir; else the built-in emails]
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Print the HTML part instead of subject and text
        #[arg(long)]
        html: bool,
        /// Language: zh-CN or en [default: email.locale]
        #[arg(long)]
        locale: Option<Locale>,
    },
}

/// Runs the command.
pub(super) fn run(sources: &Sources, action: &Action) -> u8 {
    let done = match action {
        Action::Export { dir, force } => export(dir, *force),
        Action::Check { dir } => {
            settings(sources, dir.as_deref()).and_then(|settings| check(&settings))
        }
        Action::Preview {
            mail,
            dir,
            html,
            locale,
        } => settings(sources, dir.as_deref()).and_then(|settings| {
            preview(&settings, mail, *html, locale.unwrap_or(settings.locale))
        }),
    };
    done.map_or_else(|status| status, |()| DONE)
}

/// Writes the built-in templates; existing files are kept unless `force`.
fn export(folder: &Path, force: bool) -> Result<(), u8> {
    let mut kept = 0;
    for (name, source) in exported() {
        let file = folder.join(name);
        let open = |file: &Path| {
            if force {
                std::fs::File::create(file)
            } else {
                std::fs::File::create_new(file)
            }
        };
        let written = file
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| open(&file)?.write_all(source.as_bytes()));
        match written {
            Ok(()) => println!("{}", file.display()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && folder.is_dir() => {
                kept += 1;
            }
            Err(error) => return Err(failed(format_args!("{}: {error}", file.display()))),
        }
    }
    if kept == 0 {
        return Ok(());
    }
    let folder = folder.display();
    Err(failed(match terminal_locale() {
        Locale::En => format!(
            "{kept} files already exist in {folder} and were kept; use --force to overwrite"
        ),
        Locale::ZhCn => format!("{folder} 中已有 {kept} 个文件，未改动；加 --force 可覆盖"),
    }))
}

/// The configured settings, with the templates from this folder instead of the configured one.
fn settings(sources: &Sources, folder: Option<&Path>) -> Result<Settings, u8> {
    let settings = load_without_mail(sources)?.config.render;
    let Some(folder) = folder else {
        return Ok(settings);
    };
    match UserTemplates::load(folder, &settings) {
        Ok(own) => Ok(Settings {
            user_templates: Some(own),
            ..settings
        }),
        Err(faults) => {
            for fault in faults {
                eprintln!("{fault}");
            }
            Err(FAILED)
        }
    }
}

/// Lints every sample mail; each finding is printed once per mail.
fn check(settings: &Settings) -> Result<(), u8> {
    let locale = terminal_locale();
    let Some(own) = settings.user_templates.as_ref() else {
        return Err(usage_error(tr(
            locale,
            "specify a folder, or set email.templates_dir",
            "请指定目录，或设置 email.templates_dir",
        )));
    };
    for unused in own.unused() {
        let what = "replaces no part of a mail, and no other template uses it";
        eprintln!(
            "{unused}: {}",
            tr(locale, what, "未替换任何邮件部分，也未被其他模板引用")
        );
    }
    let mails = own.mails();
    if mails.is_empty() {
        return Err(failed(tr(
            locale,
            "no file in this folder replaces a part of a mail",
            "该目录中没有可替换邮件部分的文件",
        )));
    }
    let renderer = Renderer::new(settings.clone());
    let mut reported: Vec<(&str, Finding)> = Vec::new();
    for sample in samples()
        .iter()
        .filter(|sample| mails.contains(sample.mail))
    {
        let email = renderer
            .render(&sample.event, &sample.context())
            .map_err(failed)?;
        for finding in lint(&email) {
            if !reported.iter().any(|(mail, known)| {
                (*mail, known.rule, known.line) == (sample.mail, finding.rule, finding.line)
            }) {
                eprintln!(
                    "{} ({}, {}): {finding}",
                    sample.mail, sample.name, sample.locale
                );
                reported.push((sample.mail, finding));
            }
        }
    }
    summarise(&mails, reported.len(), locale);
    if reported
        .iter()
        .any(|(_, finding)| finding.level == Level::Error)
    {
        Err(FAILED)
    } else {
        Ok(())
    }
}

fn summarise(mails: &BTreeSet<&str>, found: usize, locale: Locale) {
    let names = mails.iter().copied().collect::<Vec<_>>().join(", ");
    match (locale, found) {
        (Locale::En, 0) => println!("{} mails × 2 languages: no findings ({names})", mails.len()),
        (Locale::En, _) => println!(
            "{} mails × 2 languages: {found} findings ({names})",
            mails.len()
        ),
        (Locale::ZhCn, 0) => println!("{} 种邮件 × 2 种语言：未发现问题（{names}）", mails.len()),
        (Locale::ZhCn, _) => println!(
            "{} 种邮件 × 2 种语言：发现 {found} 处问题（{names}）",
            mails.len()
        ),
    }
}

fn preview(settings: &Settings, mail: &str, html: bool, locale: Locale) -> Result<(), u8> {
    let samples = samples();
    let sample = samples
        .iter()
        .find(|sample| sample.mail == mail && sample.locale == locale)
        .ok_or(FAILED)?;
    let email = Renderer::new(settings.clone())
        .render(&sample.event, &sample.context())
        .map_err(failed)?;
    let view = if html {
        email.html
    } else {
        format!("{}\n\n{}", email.subject, email.text)
    };
    std::io::stdout()
        .write_all(view.as_bytes())
        .map_err(|_| FAILED)
}

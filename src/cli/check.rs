//! `jobbell check`: validates the configuration and lists every problem.

use std::io::{self, Write};

use serde_json::json;

use super::check_database::{self, Checked};
use super::i18n::{terminal_locale, tr};
use super::{CONFIG, DONE};
use crate::config::{self, Level, Report, Sources};
use crate::domain::Locale;
use crate::telemetry::terminal::Styled;

/// Validates the configuration and prints the findings: the result to standard output, problems and
/// notes to standard error, or all of them as one JSON object to standard output. `show` adds every
/// effective key with its source.
///
/// Returns the exit status: 0, or 78 if there is a problem.
pub(super) fn run(sources: &Sources, show: bool, json: bool) -> u8 {
    let (report, database) = gather(sources);
    let is_good = database.as_ref().is_none_or(Checked::is_good);
    let status = if report.problems.is_empty() && is_good {
        DONE
    } else {
        CONFIG
    };
    let (mut out, mut err) = (Styled(anstream::stdout()), Styled(anstream::stderr()));
    // A closed pipe (`check | head`) does not change the exit status.
    let written = if json {
        print_json(&report, database.as_ref(), show, &mut out)
    } else {
        let (database, locale) = (database.as_ref(), terminal_locale());
        print_text(&report, database, show, locale, &mut out, &mut err)
    };
    if let Err(error) = written.and_then(|()| out.flush()) {
        super::out::lost(&error);
    }
    status
}

/// The findings, without problems if the configuration is valid; and what its database says.
fn gather(sources: &Sources) -> (Report, Option<Checked>) {
    match config::load(sources) {
        Ok(loaded) => {
            let database = check_database::check(&loaded.config);
            let report = Report {
                problems: Vec::new(),
                notes: loaded.notes,
                shown: loaded.shown,
                file: loaded.file,
            };
            (report, database)
        }
        Err(report) => (report, None),
    }
}

fn print_text(
    report: &Report,
    database: Option<&Checked>,
    show: bool,
    locale: Locale,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<()> {
    for note in &report.notes {
        // One language per line: an untranslated text gets an English label.
        let chinese = locale == Locale::ZhCn && note.message.is_in(Locale::ZhCn);
        let word = match (note.level, chinese) {
            (Level::Warning, true) => "警告：",
            (Level::Warning, false) => "warning: ",
            (Level::Info, true) => "提示：",
            (Level::Info, false) => "note: ",
        };
        writeln!(err, "{word}{}", note.said(locale))?;
    }
    for problem in &report.problems {
        writeln!(err, "{}", problem.said(locale))?;
    }
    if show {
        print_settings(report, out)?;
    }
    if let Some(database) = database {
        database.print(locale, out, err)?;
        if !database.is_good() {
            return Ok(());
        }
    }
    let source = report.file.as_ref().map_or_else(
        || {
            tr(
                locale,
                "no file, environment only",
                "没有配置文件，仅环境变量",
            )
            .to_owned()
        },
        |file| file.display().to_string(),
    );
    match report.problems.len() {
        0 if locale == Locale::ZhCn => writeln!(out, "配置无误（{source}）。"),
        0 => writeln!(out, "Configuration OK ({source})."),
        many if locale == Locale::ZhCn => {
            writeln!(err, "配置有 {many} 处问题（{source}）。")
        }
        1 => writeln!(err, "1 problem in the configuration ({source})."),
        many => writeln!(err, "{many} problems in the configuration ({source})."),
    }
}

fn print_settings(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let width = report
        .shown
        .iter()
        .map(|key| key.key.len() + key.value.chars().count() + 3)
        .filter(|width| *width <= 60)
        .max()
        .unwrap_or(0);
    for key in &report.shown {
        let line = format!("{} = {}", key.key, key.value);
        writeln!(out, "{line:<width$}  # {}", key.origin)?;
    }
    Ok(())
}

fn print_json(
    report: &Report,
    database: Option<&Checked>,
    show: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let of_level = |level| {
        report
            .notes
            .iter()
            .filter(|note| note.level == level)
            .collect::<Vec<_>>()
    };
    let answer = json!({
        "ok": report.problems.is_empty() && database.is_none_or(Checked::is_good),
        "file": report.file,
        "problems": report.problems,
        "warnings": of_level(Level::Warning),
        "notes": of_level(Level::Info),
        "settings": if show { report.shown.as_slice() } else { &[] },
        "database": database.map(Checked::as_json),
    });
    writeln!(out, "{answer:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(env: &[(&str, &str)], show: bool) -> (String, String, serde_json::Value) {
        let env = env
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        let (report, _) = gather(&Sources {
            env,
            ..Sources::default()
        });
        let (mut out, mut err, mut json) = (Vec::new(), Vec::new(), Vec::new());
        print_text(&report, None, show, Locale::En, &mut out, &mut err).unwrap();
        print_json(&report, None, show, &mut json).unwrap();
        (
            String::from_utf8(out).unwrap(),
            String::from_utf8(err).unwrap(),
            serde_json::from_slice(&json).unwrap(),
        )
    }

    #[test]
    fn valid_configuration_is_shown_with_sources_and_masked_secrets() {
        let env = [
            ("SMTP_HOST", "mail.example.com"),
            ("SMTP_USERNAME", "me@example.com"),
            ("SMTP_PASSWORD", "s3cret-canary"),
            ("SMTP_TO", "a@example.com"),
        ];
        let (out, err, json) = printed(&env, true);
        assert!(
            out.contains("smtp.host = \"mail.example.com\"")
                && out.contains("# $SMTP_HOST")
                && out.contains("smtp.password = ***"),
            "{out}"
        );
        assert!(out.contains("Configuration OK"), "{out}");
        assert_eq!(err, "");
        assert_eq!(json["ok"], true);
        assert!(
            json["settings"]
                .as_array()
                .unwrap()
                .iter()
                .any(|key| key["key"] == "smtp.port" && key["value"] == 587)
        );
        assert!(!format!("{out}{err}{json}").contains("canary"));
    }

    #[test]
    fn problems_go_to_stderr_and_into_the_json_by_field() {
        let (out, err, json) = printed(
            &[
                ("SMTP_ENABLE", "false"),
                ("SMTP_PORT", "abc"),
                ("SMTP_HOST", "h"),
            ],
            false,
        );
        assert_eq!(out, "");
        assert!(
            err.contains(
                "$SMTP_PORT: smtp.port: invalid value \"abc\"; expected a number from 1 to 65535\n"
            ),
            "{err}"
        );
        let problem = &json["problems"][0];
        assert_eq!(
            (
                &json["ok"],
                &problem["place"],
                &problem["key"],
                &problem["found"]
            ),
            (
                &json!(false),
                &json!("$SMTP_PORT"),
                &json!("smtp.port"),
                &json!("\"abc\"")
            )
        );
        assert_eq!(json["settings"], json!([]));
    }

    #[test]
    fn exit_status_is_78_only_for_problems() {
        let off = |port: &str| Sources {
            env: vec![
                ("SMTP_ENABLE".into(), "off".into()),
                ("SMTP_PORT".into(), port.into()),
            ],
            ..Sources::default()
        };
        assert_eq!(run(&off("25"), false, true), DONE);
        assert_eq!(run(&off("0"), false, true), CONFIG);
    }
}

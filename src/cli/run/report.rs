//! Turns a command's result into an event.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::super::i18n::tr;
use super::Options;
use super::child::{Ended, How};
use crate::clock::Clock;
use crate::domain::{EventId, JobEvent, Locale};

/// Maximum number of words in a title made from the command.
const TITLE_WORDS: usize = 4;
/// Maximum number of characters of such a word.
const TITLE_WORD: usize = 60;

/// Maximum number of characters of the command.
const MAX_COMMAND: usize = 200;

/// The event as the daemon accepts it.
pub(super) struct Report(pub(super) Value);

impl Report {
    /// The event for this result. It has an ID, so that it can be posted again if an answer is
    /// lost.
    pub(super) fn new(options: &Options, ended: &Ended, locale: Locale) -> Self {
        let mut event = options.stated();
        event
            .entry("id")
            .or_insert_with(|| EventId::generate(ended.started_at).as_str().into());
        event.insert(
            "status".to_owned(),
            if ended.succeeded() {
                "succeeded"
            } else {
                "failed"
            }
            .into(),
        );
        event.insert("started_at".to_owned(), ended.started_at.to_string().into());
        event.insert(
            "finished_at".to_owned(),
            ended.finished_at.to_string().into(),
        );
        event.insert("command".to_owned(), command_text(&options.command).into());
        event.extend(host().map(|host| ("host".to_owned(), host.into())));
        let output = ended.output.as_deref().filter(|output| !output.is_empty());
        if !ended.succeeded() {
            event.insert(
                "error".to_owned(),
                json!({ "code": code(&ended.how), "message": message(ended, output, locale) }),
            );
        }
        event.insert("metadata".to_owned(), metadata(ended, output));
        Self(Value::Object(event))
    }
}

/// Validates the options before the command runs.
pub(super) fn try_out(options: &Options) -> Result<(), String> {
    let mut event = options.stated();
    event.insert("status".to_owned(), "succeeded".into());
    JobEvent::parse(&Value::Object(event), Clock::System.now())
        .map(drop)
        .map_err(|errors| {
            let option = |pointer: &str| {
                format!(
                    "--{}",
                    pointer
                        .trim_start_matches("#/")
                        .split('/')
                        .next()
                        .unwrap_or_default()
                        .replace('_', "-")
                )
            };
            errors
                .iter()
                .map(|error| format!("{}: {}", option(&error.pointer), error.detail))
                .collect::<Vec<_>>()
                .join("\n")
        })
}

impl Options {
    /// Event fields set by options.
    fn stated(&self) -> Map<String, Value> {
        let title = self
            .title
            .clone()
            .filter(|title| !title.trim().is_empty())
            .unwrap_or_else(|| title(&self.command));
        let to = (!self.to.is_empty()).then(|| Value::from(self.to.as_slice()));
        let texts = [
            ("id", self.id.clone()),
            ("job_id", self.job_id.clone()),
            ("title", Some(title)),
            ("locale", self.locale.clone()),
        ];
        let texts = texts.map(|(name, text)| (name, text.map(Value::from)));
        texts
            .into_iter()
            .chain([("to", to)])
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// The program and its plain arguments: `python train.py`, `docker compose up`. Stops at the first
/// option, address or assignment, which may hold secrets.
fn title(command: &[OsString]) -> String {
    let program = command.first().map(|program| {
        Path::new(program)
            .file_name()
            .unwrap_or(program)
            .to_string_lossy()
            .into_owned()
    });
    let words = command
        .iter()
        .skip(1)
        .map(OsString::as_os_str)
        .map_while(OsStr::to_str)
        .take_while(|word| is_plain(word))
        .map(str::to_owned);
    program
        .into_iter()
        .chain(words)
        .take(TITLE_WORDS)
        .map(|word| word.chars().take(TITLE_WORD).collect::<String>())
        .collect::<Vec<_>>()
        .join(" ")
}

fn is_plain(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= TITLE_WORD
        && word
            .chars()
            .all(|c| c.is_alphanumeric() || "._/+-".contains(c))
        && !word.starts_with('-')
}

/// The command as shown in the mail: the program, its plain arguments before the first option, and
/// the names of options. Any other word may be a secret and becomes an ellipsis: `python3 train.py
/// --epochs …`.
fn command_text(command: &[OsString]) -> String {
    let program = command.first().map(|program| {
        Path::new(program)
            .file_name()
            .unwrap_or(program)
            .to_string_lossy()
            .into_owned()
    });
    let mut words: Vec<String> = program.into_iter().collect();
    let mut is_plain_so_far = true;
    for word in command
        .iter()
        .skip(1)
        .map(|word| word.to_str().unwrap_or_default())
    {
        is_plain_so_far &= is_plain(word);
        let shown = if is_plain_so_far || is_option_name(word) {
            word
        } else {
            "…"
        };
        if words.last().is_none_or(|last| last != "…" || shown != "…") {
            words.push(shown.to_owned());
        }
    }
    let text = words.join(" ");
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_COMMAND)
        .collect()
}

/// `-c` or `--epochs`, without a value.
fn is_option_name(word: &str) -> bool {
    let name = word.strip_prefix("--").filter(|name| {
        name.len() <= TITLE_WORD
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    });
    name.is_some() || (word.len() == 2 && word.starts_with('-'))
}

fn host() -> Option<String> {
    hostname::get()
        .ok()?
        .into_string()
        .ok()
        .filter(|host| !host.is_empty())
}

/// `exit 2`, `SIGKILL`.
fn code(how: &How) -> String {
    match how {
        How::Exit(status) | How::NotStarted(status, _) => format!("exit {status}"),
        How::Signal(number) => signal_name(*number),
    }
}

/// The name of a signal that ends programs, or its number.
fn signal_name(number: i32) -> String {
    use rustix::process::Signal;
    let known = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::XFSZ, "SIGXFSZ"),
    ];
    known
        .iter()
        .find(|(signal, _)| signal.as_raw() == number)
        .map_or_else(
            || format!("signal {number}"),
            |(_, name)| (*name).to_owned(),
        )
}

fn message(ended: &Ended, output: Option<&str>, locale: Locale) -> String {
    match (&ended.how, output) {
        (How::NotStarted(_, reason), _) => reason.said(locale),
        (_, Some(output)) => output.to_owned(),
        (_, None) if ended.output.is_none() => {
            tr(locale, "Output not captured.", "未读取其输出。").to_owned()
        }
        (_, None) => tr(locale, "No output.", "没有任何输出。").to_owned(),
    }
}

/// Metadata for programs: where the command ran, how it ended, and the last output of a success.
fn metadata(ended: &Ended, output: Option<&str>) -> Value {
    let mut notes = Map::new();
    notes.extend(host().map(|host| ("host".to_owned(), host.into())));
    let took = ended
        .finished_at
        .as_millis()
        .saturating_sub(ended.started_at.as_millis());
    notes.insert("duration_ms".to_owned(), took.into());
    let (name, number) = match ended.how {
        How::Exit(status) | How::NotStarted(status, _) => ("exit_status", i32::from(status)),
        How::Signal(number) => ("signal", number),
    };
    notes.insert(name.to_owned(), number.into());
    notes.extend(
        output
            .filter(|_| ended.succeeded())
            .map(|output| ("output".to_owned(), output.into())),
    );
    Value::Object(notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_is_the_program_and_its_plain_arguments() {
        let titled = |line: &str| title(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(
            titled("/usr/bin/python3 train.py --epochs 5"),
            "python3 train.py"
        );
        assert_eq!(titled("docker compose up"), "docker compose up");
        assert_eq!(titled("mysql -psecret db"), "mysql");
        assert_eq!(titled("curl https://user:secret@example.com/"), "curl");
        assert_eq!(titled("env TOKEN=secret make"), "env");
        assert_eq!(titled("a b c d e f"), "a b c d");
    }

    #[test]
    fn command_is_shown_without_possible_secrets() {
        let shown =
            |line: &str| command_text(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(
            shown("/usr/bin/python3 train.py --epochs 5 --lr 0.1"),
            "python3 train.py --epochs … --lr …"
        );
        assert_eq!(shown("sh -c secret"), "sh -c …");
        assert_eq!(shown("mysql -psecret db --password=secret"), "mysql …");
        assert_eq!(
            shown("curl -H Bearer:x https://u:secret@example.com/ -o out"),
            "curl -H … -o …"
        );
        assert_eq!(shown("env TOKEN=secret make all"), "env …");
    }

    #[test]
    fn ends_have_names() {
        assert_eq!(
            [
                code(&How::Exit(2)),
                code(&How::Signal(9)),
                code(&How::Signal(64))
            ],
            ["exit 2", "SIGKILL", "signal 64"]
        );
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        let reason = super::super::child::Reason::new(OsStr::new("nosuchcmd"), &missing);
        assert_eq!(reason.said(Locale::En), "nosuchcmd: command not found");
        assert_eq!(code(&How::NotStarted(127, reason)), "exit 127");
    }
}

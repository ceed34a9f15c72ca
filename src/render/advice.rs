//! Advice on a failure, picked by its code and message.

use super::locale::Words;
use super::output::last_line;
use crate::domain::{JobError, JobEvent};

/// Maximum number of bytes of a message that are searched.
const MAX_SEARCHED: usize = 4_000;

/// Kinds of failure, each with specific advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Memory,
    Timeout,
    Login,
    Content,
    Quota,
    Request,
    Service,
}

/// Signs of each kind, in order of priority. A leading `=` requires a whole word, such as an HTTP
/// status code.
const SIGNS: [(Kind, &[&str]); 7] = [
    (
        Kind::Memory,
        &[
            "out of memory",
            "outofmemory",
            "out_of_memory",
            "=oom",
            "oomkilled",
            "oom-kill",
            "cannot allocate memory",
            "memoryerror",
            "bad_alloc",
            "=enomem",
            "显存不足",
            "内存不足",
        ],
    ),
    (
        Kind::Content,
        &[
            "nsfw",
            "moderat",
            "content policy",
            "content_policy",
            "content filter",
            "content_filter",
            "safety",
            "sensitive",
            "flagged",
            "prohibited content",
            "datainspection",
            "policy violation",
            "policyviolation",
            "违规",
            "敏感",
            "审核",
        ],
    ),
    (
        Kind::Quota,
        &[
            "=429",
            "=402",
            "rate limit",
            "rate_limit",
            "ratelimit",
            "too many requests",
            "quota",
            "insufficient balance",
            "insufficient credit",
            "insufficient_",
            "billing",
            "余额不足",
            "欠费",
            "限流",
            "配额",
        ],
    ),
    (
        Kind::Login,
        &[
            "=401",
            "=403",
            "unauthorized",
            "unauthorised",
            "unauthenticated",
            "forbidden",
            "invalid api key",
            "invalid_api_key",
            "api key",
            "apikey",
            "authentication",
            "access denied",
            "permission denied",
            "鉴权",
            "认证失败",
            "密钥",
            "无权",
        ],
    ),
    (
        Kind::Timeout,
        &[
            "timeout",
            "timed out",
            "timed_out",
            "time limit",
            "deadline exceeded",
            "=408",
            "=504",
            "超时",
        ],
    ),
    (
        Kind::Request,
        &[
            "=400",
            "=422",
            "invalid parameter",
            "invalid_parameter",
            "invalid argument",
            "invalid_argument",
            "invalid input",
            "validation error",
            "参数错误",
            "参数无效",
        ],
    ),
    (
        Kind::Service,
        &[
            "=500",
            "=502",
            "=503",
            "internal server error",
            "bad gateway",
            "service unavailable",
            "overloaded",
            "connection refused",
            "connection reset",
            "服务不可用",
        ],
    ),
];

/// Advice on this failure. A command has no prompt to change, so it gets advice about the command.
pub(super) fn advice(job: &JobEvent, words: &'static Words) -> &'static str {
    let error = job.error.as_ref();
    let code = error
        .and_then(|error| error.code.as_deref())
        .unwrap_or_default();
    let exit = exit_status(code);
    let is_command = job.command.is_some() || exit.is_some();
    match (kind(error, is_command), is_command) {
        (Some(Kind::Memory), _) => words.advice_memory,
        (Some(Kind::Timeout), _) => words.advice_timeout,
        (Some(Kind::Login), _) => words.advice_login,
        (Some(Kind::Quota), _) => words.advice_quota,
        (Some(Kind::Content), false) => words.advice_content,
        (Some(Kind::Request), false) => words.advice_request,
        (Some(Kind::Service), false) => words.advice_service,
        (_, true) => command_advice(exit, words),
        (None, false) => words.advice,
    }
}

/// Advice by exit status, where the shell or the system defines its meaning.
fn command_advice(exit: Option<u8>, words: &'static Words) -> &'static str {
    match exit {
        Some(127) => words.advice_not_found,
        Some(126) => words.advice_not_executable,
        Some(124) => words.advice_timeout,
        // SIGKILL; SIGABRT, SIGBUS, SIGSEGV and SIGILL; SIGINT, SIGTERM and SIGHUP.
        Some(137) => words.advice_killed,
        Some(132 | 134 | 135 | 139) => words.advice_crashed,
        Some(129 | 130 | 143) => words.advice_stopped,
        _ => words.advice_command,
    }
}

/// The exit status in `exit 3`, or the status that corresponds to a signal such as `SIGKILL`.
fn exit_status(code: &str) -> Option<u8> {
    let signal = |name| {
        [
            ("HUP", 129),
            ("INT", 130),
            ("ILL", 132),
            ("ABRT", 134),
            ("BUS", 135),
            ("KILL", 137),
            ("SEGV", 139),
            ("TERM", 143),
        ]
        .iter()
        .find(|(known, _)| *known == name)
    };
    match (code.strip_prefix("exit "), code.strip_prefix("SIG")) {
        (Some(status), _) => status.parse().ok(),
        (_, Some(name)) => Some(signal(name).map_or(128, |(_, status)| *status)),
        _ => code.starts_with("signal ").then_some(128),
    }
}

/// The code takes precedence over the message. Of a command's output only the last line counts,
/// because logs mention many things.
fn kind(error: Option<&JobError>, is_command: bool) -> Option<Kind> {
    let error = error?;
    let message = error.message.as_deref().unwrap_or_default();
    let message = if is_command {
        last_line(message, MAX_SEARCHED)
    } else {
        message
    };
    [
        error
            .code
            .as_deref()
            .filter(|_| !is_command)
            .unwrap_or_default(),
        message,
    ]
    .into_iter()
    .find_map(kind_of_text)
}

fn kind_of_text(text: &str) -> Option<Kind> {
    let text: String = text
        .chars()
        .take(MAX_SEARCHED)
        .flat_map(char::to_lowercase)
        .collect();
    let spoken = |sign: &&str| match sign.strip_prefix('=') {
        Some(word) => text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|found| found == word),
        None => text.contains(*sign),
    };
    SIGNS
        .iter()
        .find(|(_, signs)| signs.iter().any(&spoken))
        .map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EventId, JobStatus, Locale};
    use crate::render::locale::words;

    fn advised(code: Option<&str>, message: &str, command: Option<&str>) -> &'static str {
        let error = Some(JobError {
            code: code.map(str::to_owned),
            message: Some(message.to_owned()),
        });
        let job = JobEvent {
            error,
            command: command.map(str::to_owned),
            ..JobEvent::new(EventId::parse("e").unwrap(), JobStatus::Failed)
        };
        advice(&job, words(Locale::En))
    }

    #[test]
    fn each_failure_kind_has_specific_advice() {
        let en = words(Locale::En);
        for (code, message, expected) in [
            (Some("OUT_OF_MEMORY"), "CUDA error", en.advice_memory),
            (
                None,
                "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB",
                en.advice_memory,
            ),
            (
                None,
                "上游服务超时：等待 120 秒后没有结果。",
                en.advice_timeout,
            ),
            (Some("504"), "Gateway", en.advice_timeout),
            (None, "HTTP 401: invalid key", en.advice_login),
            (Some("NSFW"), "flagged", en.advice_content),
            (Some("DataInspectionFailed"), "", en.advice_content),
            (None, "429 Too Many Requests", en.advice_quota),
            (
                Some("InvalidArgument"),
                "invalid parameter: size",
                en.advice_request,
            ),
            (None, "502 Bad Gateway", en.advice_service),
            (None, "something else at step 4010", en.advice),
        ] {
            assert_eq!(advised(code, message, None), expected, "{code:?} {message}");
        }
    }

    #[test]
    fn command_advice_never_mentions_the_prompt() {
        let en = words(Locale::En);
        for (code, message, expected) in [
            (
                "exit 1",
                "sensitive data flagged by moderation",
                en.advice_command,
            ),
            (
                "exit 3",
                "timeout=30\nValueError: bad shape",
                en.advice_command,
            ),
            (
                "exit 1",
                "step 1\nRuntimeError: CUDA out of memory",
                en.advice_memory,
            ),
            (
                "exit 127",
                "nosuchcmd: command not found",
                en.advice_not_found,
            ),
            ("SIGKILL", "", en.advice_killed),
            ("SIGSEGV", "", en.advice_crashed),
            ("exit 143", "", en.advice_stopped),
            ("signal 64", "", en.advice_command),
        ] {
            assert_eq!(
                advised(Some(code), message, Some("python3 train.py")),
                expected,
                "{code} {message}"
            );
            assert_eq!(
                advised(Some(code), message, None),
                expected,
                "{code} {message}"
            );
        }
        for locale in [Locale::En, Locale::ZhCn] {
            let words = words(locale);
            for text in [
                words.advice_command,
                words.advice_killed,
                words.advice_not_found,
                words.advice_memory,
                words.advice_timeout,
                words.advice_login,
            ] {
                assert!(
                    !text.to_lowercase().contains("prompt") && !text.contains("提示词"),
                    "{text}"
                );
            }
        }
    }
}

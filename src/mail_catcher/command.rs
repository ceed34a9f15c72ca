//! Parses SMTP command lines; pure (RFC 5321 section 4.1, RFC 1870, RFC 4954, RFC 6152, RFC 6531).

/// A parsed and bounded command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// `EHLO` (extended) or `HELO`.
    Hello {
        /// Whether the client wants extensions.
        extended: bool,
    },
    /// `MAIL FROM`; the address is empty for a bounce.
    Mail {
        /// The sender's address.
        from: String,
        /// The declared size in bytes.
        size: Option<u64>,
        /// Whether addresses and headers may contain non-ASCII characters.
        utf8: bool,
    },
    /// `RCPT TO`.
    Recipient {
        /// The recipient's address.
        to: String,
    },
    Data,
    Reset,
    Nothing,
    Quit,
    /// `VRFY`.
    Verify,
    /// `AUTH`.
    Login {
        /// The SASL mechanism.
        mechanism: Mechanism,
        /// The initial response in base64, if any.
        initial: Option<String>,
    },
}

/// SASL mechanisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    Login,
}

/// The reply line of a refusal.
pub(super) type Refusal = &'static str;

const SYNTAX: Refusal = "501 5.5.4 Syntax error in parameters";
const ADDRESS: Refusal = "501 5.1.3 Bad address syntax";
const NEEDS_UTF8: Refusal = "553 5.6.7 A non-ASCII address needs SMTPUTF8 on MAIL FROM";
const UNKNOWN_PARAMETER: Refusal = "555 5.5.4 Unknown parameter";

/// Parses one line; `utf8` says whether the current mail was announced with SMTPUTF8.
pub(super) fn parse(line: &[u8], utf8: bool) -> Result<Command, Refusal> {
    let line = std::str::from_utf8(line).map_err(|_| "500 5.5.2 The command is not UTF-8")?;
    if line.chars().any(char::is_control) {
        return Err("500 5.5.2 Control character in a command");
    }
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" => hello(rest, true),
        "HELO" => hello(rest, false),
        "MAIL" => mail(rest),
        "RCPT" => recipient(rest, utf8),
        "DATA" => without_parameters(rest, Command::Data),
        "RSET" => without_parameters(rest, Command::Reset),
        "QUIT" => without_parameters(rest, Command::Quit),
        "NOOP" => Ok(Command::Nothing),
        "VRFY" => Ok(Command::Verify),
        "AUTH" => login(rest),
        "STARTTLS" => Err("502 5.5.1 TLS not supported: loopback only"),
        _ => Err("500 5.5.2 Unknown command"),
    }
}

fn without_parameters(rest: &str, command: Command) -> Result<Command, Refusal> {
    if rest.is_empty() {
        Ok(command)
    } else {
        Err(SYNTAX)
    }
}

fn hello(rest: &str, extended: bool) -> Result<Command, Refusal> {
    let valid = !rest.is_empty() && rest.len() <= 255 && rest.chars().all(|c| c.is_ascii_graphic());
    if valid {
        Ok(Command::Hello { extended })
    } else {
        Err("501 5.5.4 Expected a host name or an address literal, ASCII")
    }
}

fn login(rest: &str) -> Result<Command, Refusal> {
    let (mechanism, initial) = rest
        .split_once(' ')
        .map_or((rest, None), |(mechanism, initial)| {
            (mechanism, Some(initial.trim().to_owned()))
        });
    let mechanism = match mechanism.to_ascii_uppercase().as_str() {
        "PLAIN" => Mechanism::Plain,
        "LOGIN" => Mechanism::Login,
        _ => return Err("504 5.5.4 Unknown mechanism; use PLAIN or LOGIN"),
    };
    Ok(Command::Login { mechanism, initial })
}

/// `FROM:<address> PARAMETER…`
fn mail(rest: &str) -> Result<Command, Refusal> {
    let (from, parameters) = path(rest, "FROM:")?;
    let (mut size, mut utf8) = (None, false);
    for parameter in parameters.split_ascii_whitespace() {
        let (name, value) = parameter
            .split_once('=')
            .map_or((parameter, None), |(name, value)| (name, Some(value)));
        match (name.to_ascii_uppercase().as_str(), value) {
            ("SIZE", Some(value)) => size = Some(value.parse().map_err(|_| SYNTAX)?),
            ("BODY", Some(value))
                if value.eq_ignore_ascii_case("7BIT") || value.eq_ignore_ascii_case("8BITMIME") => {
            }
            ("SMTPUTF8", None) => utf8 = true,
            ("AUTH", Some(_)) => {}
            _ => return Err(UNKNOWN_PARAMETER),
        }
    }
    if !from.is_empty() {
        check(from, utf8)?;
    }
    Ok(Command::Mail {
        from: from.to_owned(),
        size,
        utf8,
    })
}

fn recipient(rest: &str, utf8: bool) -> Result<Command, Refusal> {
    let (to, parameters) = path(rest, "TO:")?;
    if !parameters.trim().is_empty() {
        return Err(UNKNOWN_PARAMETER);
    }
    if !to.eq_ignore_ascii_case("postmaster") {
        check(to, utf8)?;
    }
    Ok(Command::Recipient { to: to.to_owned() })
}

/// The address in angle brackets and the rest. A space after the colon is common and harmless.
fn path<'a>(rest: &'a str, keyword: &str) -> Result<(&'a str, &'a str), Refusal> {
    let (head, tail) = rest.split_at_checked(keyword.len()).ok_or(SYNTAX)?;
    if !head.eq_ignore_ascii_case(keyword) {
        return Err(SYNTAX);
    }
    let (address, parameters) = tail
        .trim_start()
        .strip_prefix('<')
        .and_then(|tail| tail.split_once('>'))
        .ok_or(SYNTAX)?;
    if parameters.is_empty() || parameters.starts_with(' ') {
        Ok((address, parameters))
    } else {
        Err(SYNTAX)
    }
}

/// Checks enough of RFC 5321 section 4.1.2 to catch a client's mistakes: local part and domain of
/// permitted lengths, no spaces.
fn check(address: &str, utf8: bool) -> Result<(), Refusal> {
    let (local, domain) = address.rsplit_once('@').ok_or(ADDRESS)?;
    let sized = (1..=64).contains(&local.len())
        && (1..=255).contains(&domain.len())
        && address.len() <= 254;
    let plain =
        |c: char| !c.is_whitespace() && !matches!(c, '<' | '>' | '(' | ')' | ',' | ';' | '\\');
    let labels = domain.starts_with('[')
        || domain
            .split('.')
            .all(|label| !label.is_empty() && label.len() <= 63);
    if !sized || !labels || !address.chars().all(plain) {
        return Err(ADDRESS);
    }
    if address.is_ascii() || utf8 {
        Ok(())
    } else {
        Err(NEEDS_UTF8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Result<Command, Refusal> {
        parse(line.as_bytes(), false)
    }

    #[test]
    fn verbs_and_parameters_are_case_insensitive() {
        assert_eq!(
            command("ehlo [127.0.0.1]"),
            Ok(Command::Hello { extended: true })
        );
        let mail = command("mail from:<用户@example.com> size=5 Body=8BITMIME smtputf8");
        assert_eq!(
            mail,
            Ok(Command::Mail {
                from: "用户@example.com".into(),
                size: Some(5),
                utf8: true
            })
        );
        assert_eq!(
            command("MAIL FROM:<>"),
            Ok(Command::Mail {
                from: String::new(),
                size: None,
                utf8: false
            })
        );
        assert_eq!(
            command("RCPT TO: <Postmaster>"),
            Ok(Command::Recipient {
                to: "Postmaster".into()
            })
        );
    }

    #[test]
    fn client_mistakes_get_specific_replies() {
        for (line, code) in [
            ("EHLO ", "501"),
            ("EHLO 图.example", "501"),
            ("MAIL FROM:a@example.com", "501"),
            ("MAIL FROM:<a@example.com>SIZE=1", "501"),
            ("MAIL FROM:<a@example.com> SIZE=many", "501"),
            ("MAIL FROM:<a@example.com> RET=HDRS", "555"),
            ("MAIL FROM:<图@example.com>", "553 5.6.7"),
            ("RCPT TO:<no-domain>", "501 5.1.3"),
            ("RCPT TO:<a b@example.com>", "501 5.1.3"),
            ("RCPT TO:<a@example..com>", "501 5.1.3"),
            ("RCPT TO:<>", "501 5.1.3"),
            ("RCPT TO:<a@example.com> NOTIFY=NEVER", "555"),
            ("DATA now", "501"),
            ("AUTH CRAM-MD5", "504"),
            ("STARTTLS", "502"),
            ("TURN", "500"),
            ("NOOP \u{7}", "500"),
        ] {
            let refusal = command(line).expect_err(line);
            assert!(refusal.starts_with(code), "{line}: {refusal}");
        }
        assert!(parse(b"NOOP \xff", false).is_err());
    }
}

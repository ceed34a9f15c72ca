//! Password files as libpq reads them (PostgreSQL manual, section 34.16).

use tokio_postgres::config::Host;

use super::ConnectionUrl;

/// Directories of the sockets of a local server, which password files call `localhost`.
const SOCKETS: [&str; 3] = ["/run/postgresql", "/var/run/postgresql", "/tmp"];

impl ConnectionUrl {
    /// The password in the text of a password file: of the first host that has one, that of the
    /// first line `HOST:PORT:DATABASE:USER:PASSWORD` that matches.
    pub fn password_in(&self, text: &str) -> Option<String> {
        let config = &self.config;
        let database = config.get_dbname()?;
        let user = config.get_user()?;
        let find = |(host, port): (&Host, &u16)| {
            let host = match host {
                Host::Tcp(name) => name.clone(),
                Host::Unix(path) if SOCKETS.iter().any(|known| path.as_os_str() == *known) => {
                    "localhost".to_owned()
                }
                Host::Unix(path) => path.display().to_string(),
            };
            let place = [&host, &port.to_string(), database, user];
            let mut lines = text.lines().filter(|line| !line.starts_with('#'));
            lines.find_map(|line| password(line, place))
        };
        let mut hosts = config.get_hosts().iter().zip(config.get_ports());
        hosts.find_map(find).filter(|password| !password.is_empty())
    }
}

/// The password of a line whose first fields match.
fn password(line: &str, place: [&str; 4]) -> Option<String> {
    let mut rest = line;
    for wanted in place {
        let (field, after) = field(rest)?;
        if field.written != "*" && field.value != wanted {
            return None;
        }
        rest = after;
    }
    // The last field ends with the line, and may contain colons.
    Some(unescaped(rest))
}

struct Field<'a> {
    written: &'a str,
    value: String,
}

/// The text up to the first colon without a backslash, and what follows it.
fn field(text: &str) -> Option<(Field<'_>, &str)> {
    let mut is_escaped = false;
    let end = text.find(|c| {
        let is_end = c == ':' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    })?;
    let (written, rest) = text.split_at_checked(end)?;
    let value = unescaped(written);
    Some((Field { written, value }, rest.strip_prefix(':')?))
}

/// Removes the backslash before any character.
fn unescaped(text: &str) -> String {
    let (mut value, mut characters) = (String::new(), text.chars());
    while let Some(c) = characters.next() {
        match c {
            '\\' => value.extend(characters.next()),
            c => value.push(c),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(url: &str, text: &str) -> Option<String> {
        ConnectionUrl::parse(url).unwrap().password_in(text)
    }

    #[test]
    fn password_is_that_of_the_first_line_that_matches() {
        let one = "postgres://bell@h1:6432/queue";
        for (url, text, expected) in [
            (one, "h1:6432:queue:bell:right", Some("right")),
            (
                one,
                "h1:6432:queue:bell:right\r\nh1:*:*:*:late\r\n",
                Some("right"),
            ),
            (one, "*:*:*:*:right", Some("right")),
            (
                one,
                "# h1:6432:queue:bell:no\n\nh1:*:queue:bell:right",
                Some("right"),
            ),
            (
                one,
                "h2:6432:queue:bell:no\nh1:5432:queue:bell:no\nh1:6432:other:bell:no\nh1:6432:queue:other:no",
                None,
            ),
            (one, "h1:6432:queue:bell", None),
            (one, "h1:6432:queue:bell:", None),
            (
                one,
                "h1:6432:queue:bell:a:b\\:c\\\\d e ",
                Some("a:b:c\\d e "),
            ),
            (one, "\\h1:6432:queue:b\\ell:right", Some("right")),
            (one, "\\*:6432:queue:bell:no", None),
            (
                "postgres://a%3Ab@h1/q",
                "h1:5432:q:a\\:b:right",
                Some("right"),
            ),
            (
                "postgres://a%5C@h1/q",
                "h1:5432:q:a\\\\:right",
                Some("right"),
            ),
            ("postgres://%2A@h1/q", "h1:5432:q:\\*:right", Some("right")),
            (
                "postgres://u@[::1]/q",
                "\\:\\:1:5432:q:u:right",
                Some("right"),
            ),
            (
                "postgres://u@%2Frun%2Fpostgresql/q",
                "localhost:5432:q:u:right",
                Some("right"),
            ),
            (
                "postgres://u@%2Fsrv%2Fpg/q",
                "/srv/pg:5432:q:u:right",
                Some("right"),
            ),
            (
                "postgres://u@h1,h2:6432/q",
                "h2:6432:q:u:right",
                Some("right"),
            ),
            (
                "postgres://u@h1,h2:6432/q",
                "h2:6432:q:u:second\nh1:*:q:u:first",
                Some("first"),
            ),
        ] {
            assert_eq!(found(url, text).as_deref(), expected, "{url} {text}");
        }
    }
}

//! The keys of `[queue]` for PostgreSQL.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::files::{certificate, file_name, key_file, secret_file};
use super::message::{Message, message};
use super::values::{Refusal, Values};
use super::{Sources, credentials, invisible};
use crate::queue::postgres::{ConnectionUrl, UrlError, UrlPart};
use crate::queue::{Location, PostgresSettings};
use crate::secret::Secret;

const URL: &str = "queue.url";
const LISTEN_URL: &str = "queue.listen_url";
const PASSWORD_FILE: &str = "queue.password_file";
const SECRET_KEY_FILE: &str = "queue.secret_key_file";
/// The length of the key in bytes.
const KEY: u64 = 32;
/// Maximum bytes of a password file of libpq.
const MAX_FILE: u64 = 1_024 * 1_024;

/// A URL that can be used, and its text.
type Url = (ConnectionUrl, Secret);

/// Reads the keys.
pub(super) fn read(values: &mut Values, sources: &Sources, node_name: Option<String>) -> Location {
    let url = values.parsed(URL, |text| complete(text, sources));
    let listen_url = values.parsed(LISTEN_URL, |text| complete(text, sources));
    let inside = url.as_ref().and_then(|(url, _)| {
        let password = url.config().get_password().map(<[u8]>::to_vec)?;
        String::from_utf8(password).ok().map(Secret::new)
    });
    let password_file = password_file(values, sources, inside.is_some());
    // Without a password of its own, `listen_url` has that of `url`.
    let password = match inside {
        None if !values.has(PASSWORD_FILE) => {
            let urls = [&url, &listen_url].map(|url| url.as_ref().map(|(url, _)| url));
            environment(values, sources, urls.into_iter().flatten())
        }
        inside => inside,
    };
    if !values.has(SECRET_KEY_FILE) {
        credentials::supply(values, sources, SECRET_KEY_FILE, "queue-secret-key");
    }
    Location::Postgres(Box::new(PostgresSettings {
        url: url.map_or_else(|| Secret::new(""), |(_, text)| text),
        password,
        password_file,
        tls_ca_file: certificate(values, sources, "queue.tls_ca_file"),
        listen_url: listen_url.map(|(_, text)| text),
        secret_key_file: key_file(values, sources, SECRET_KEY_FILE, KEY),
        node_name,
    }))
}

/// Checks a URL. `PGUSER` and `PGDATABASE` are added if it lacks a user name or a database.
fn complete(text: &str, sources: &Sources) -> Result<Url, Refusal> {
    let mut text = text.to_owned();
    for (part, parameter, variable) in [
        (UrlPart::User, "user", "PGUSER"),
        (UrlPart::Database, "dbname", "PGDATABASE"),
    ] {
        if ConnectionUrl::parse(&text) == Err(UrlError::Missing(part))
            && let Some(value) = variable_of(sources, variable)
        {
            let mark = if text.contains('?') { '&' } else { '?' };
            let value = utf8_percent_encode(&value, NON_ALPHANUMERIC);
            text = format!("{text}{mark}{parameter}={value}");
        }
    }
    match ConnectionUrl::parse(&text) {
        Ok(url) => Ok((url, Secret::new(text))),
        Err(error) => Err(Some(Message::from((error.to_string(), error.chinese())))),
    }
}

fn variable_of(sources: &Sources, name: &str) -> Option<String> {
    sources.variable(name)?.into_string().ok()
}

/// The path of the password file. It is read again for each connection, so that a changed password
/// needs no restart; here it is only checked.
fn password_file(values: &mut Values, sources: &Sources, is_inside: bool) -> Option<PathBuf> {
    if !values.has(PASSWORD_FILE) && !is_inside {
        credentials::supply(values, sources, PASSWORD_FILE, "queue-password");
    }
    let text = secret_file(values, sources, PASSWORD_FILE)?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.chars().any(char::is_control) {
        values.problem(
            PASSWORD_FILE,
            [
                "the password contains a line break or another control character; write only the password into the file",
                "密码含有换行等控制字符；文件中应只有密码",
            ],
        );
    } else if invisible::trimmed(password) != password {
        values.warn(
            PASSWORD_FILE,
            [
                "the password begins or ends with a space or an invisible character; remove it unless intended",
                "密码首尾有空格或不可见字符；若非本意请删去",
            ],
        );
    } else if credentials::is_placeholder(password) {
        values.warn(
            PASSWORD_FILE,
            [
                "looks like the placeholder of a sample configuration",
                "像是示例配置中的占位内容",
            ],
        );
    }
    if is_inside {
        values.warn(
            PASSWORD_FILE,
            [
                "has no effect, since queue.url contains a password",
                "queue.url 中已有密码，因此不起作用",
            ],
        );
    }
    let file = values.parsed(PASSWORD_FILE, file_name)?;
    Some(sources.resolve(file))
}

/// The password of the environment, as libpq finds it: `PGPASSWORD`, then the file `PGPASSFILE`.
/// `~/.pgpass` is not read: a daemon should not depend on a home directory.
fn environment<'a>(
    values: &mut Values,
    sources: &Sources,
    mut urls: impl Iterator<Item = &'a ConnectionUrl>,
) -> Option<Secret> {
    if let Some(password) = variable_of(sources, "PGPASSWORD") {
        return Some(Secret::new(password));
    }
    let path = sources.resolve(sources.variable("PGPASSFILE")?);
    match passwords(&path) {
        Ok(text) => urls.find_map(|url| url.password_in(&text)).map(Secret::new),
        Err(why) => {
            let name = format!("{} ", path.display());
            let message = why.after(&name, &name);
            values.findings.warn("$PGPASSFILE", URL, message);
            None
        }
    }
}

/// The text of a password file, under the conditions of libpq.
fn passwords(path: &Path) -> Result<String, Message> {
    let cannot = |error: std::io::Error| {
        message!(
            "is ignored, because it cannot be read: {0}; correct PGPASSFILE or the file",
            "无法读取，已忽略：{0}；请更正 PGPASSFILE 或该文件",
            error.kind()
        )
    };
    let meta = std::fs::metadata(path).map_err(cannot)?;
    if !meta.is_file() {
        return Err([
            "is ignored, because it is not a regular file; correct PGPASSFILE",
            "不是普通文件，已忽略；请更正 PGPASSFILE",
        ]
        .into());
    }
    if meta.permissions().mode() & 0o077 != 0 {
        return Err([
            "is ignored, because others can read or change it; run chmod 600 on it",
            "其他用户可以读取或修改，已忽略；请对其执行 chmod 600",
        ]
        .into());
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(MAX_FILE)
        .read_to_string(&mut text)
        .map_err(cannot)?;
    Ok(text)
}

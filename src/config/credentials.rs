//! Passwords and tokens: from the configuration, from files, from systemd.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::values::{Refusal, Values};
use super::{Sources, invisible};
use crate::secret::Secret;

/// The most bytes of a file with a password or with tokens.
const MAX_FILE: u64 = 64 * 1_024;
/// What sample configurations have in the place of a password or a login name.
const PLACEHOLDERS: [&str; 12] = [
    "authorization code",
    "authorization-code",
    "authorization_code",
    "abcdefghijklmnop",
    "abcd efgh ijkl mnop",
    "changeme",
    "change_me",
    "password",
    "授权码",
    "你的授权码",
    "...",
    "…",
];

/// The password of a server, when there is one that may be used.
pub(super) fn password(
    values: &mut Values,
    sources: &Sources,
    home: &str,
    has_username: bool,
    login_is_needed: bool,
) -> Option<Secret> {
    let (source, password) = named_secret(values, sources, home, "password");
    if !login_is_needed {
        warn_of_halves(values, home, has_username, &source);
    }
    password.map(|password| Secret::new(without_groups(values, home, password)))
}

/// A secret of a server, from the key `name` or from the file that `name_file` or systemd names.
pub(super) fn secret(
    values: &mut Values,
    sources: &Sources,
    home: &str,
    name: &str,
) -> Option<Secret> {
    named_secret(values, sources, home, name).1.map(Secret::new)
}

/// A secret with the key that it was read from.
fn named_secret(
    values: &mut Values,
    sources: &Sources,
    home: &str,
    name: &str,
) -> (String, Option<String>) {
    let (path, file) = (format!("{home}.{name}"), format!("{home}.{name}_file"));
    if !values.has(&path) && !values.has(&file) {
        supply(values, sources, &file, &credential_name(home, name));
    }
    let (source, secret) = if values.has(&file) {
        let secret = secret_file(values, sources, &file);
        (
            file,
            secret.map(|text| {
                text.strip_suffix('\n')
                    .map_or(text.as_str(), |line| {
                        line.strip_suffix('\r').unwrap_or(line)
                    })
                    .to_owned()
            }),
        )
    } else {
        let secret = values.text(&path);
        (path, secret)
    };
    let secret = secret.map(|secret| clean(values, &source, &secret));
    let secret = secret.filter(|secret| acceptable(values, &source, name, secret));
    (source, secret)
}

/// The secret without what came along when it was copied; says so.
pub(super) fn clean(values: &mut Values, source: &str, secret: &str) -> String {
    // An app password in its four groups is not odd.
    if groups(secret).is_some() {
        return secret.to_owned();
    }
    let (kept, warning) = invisible::cleaned(secret);
    if let Some(warning) = warning {
        values.warn(source, warning);
    }
    kept
}

/// Google shows an app password in four groups of four letters, on its web page with no-break
/// spaces between; the blanks are no part of it.
fn without_groups(values: &mut Values, home: &str, password: String) -> String {
    let mut of = |name: &str| {
        values
            .text(&format!("{home}.{name}"))
            .unwrap_or_default()
            .to_ascii_lowercase()
    };
    let google = [".gmail.com", ".google.com", "@gmail.com", "@googlemail.com"];
    let is_google = of("provider") == "gmail"
        || [of("host"), of("username")]
            .iter()
            .any(|text| google.iter().any(|end| text.ends_with(end)));
    // With ordinary blanks it could be a pass phrase of another service.
    let copied = !password.contains(' ');
    groups(&password)
        .filter(|_| is_google || copied)
        .unwrap_or(password)
}

/// The sixteen letters of four groups of four, where the text is that.
fn groups(text: &str) -> Option<String> {
    let parts: Vec<&str> = text
        .split(invisible::is_invisible)
        .filter(|part| !part.is_empty())
        .collect();
    let is_group = |part: &&str| part.len() == 4 && part.bytes().all(|b| b.is_ascii_lowercase());
    (parts.len() == 4 && parts.iter().all(is_group)).then(|| parts.concat())
}

/// `smtp-password`, and `smtp-password-0` for the first backup; `smtp-oauth-refresh-token` and so
/// on.
fn credential_name(home: &str, name: &str) -> String {
    let index: String = home.chars().filter(char::is_ascii_digit).collect();
    let name = name.replace('_', "-");
    if index.is_empty() {
        format!("smtp-{name}")
    } else {
        format!("smtp-{name}-{index}")
    }
}

/// systemd's credential of that name, where the service has one, becomes the file of a key.
pub(super) fn supply(values: &mut Values, sources: &Sources, path: &str, name: &str) {
    if let Some(directory) = sources.variable("CREDENTIALS_DIRECTORY") {
        let file = Path::new(&directory).join(name);
        if file.is_file() {
            values.supply(
                path,
                &format!("$CREDENTIALS_DIRECTORY/{name}"),
                &file.to_string_lossy(),
            );
        }
    }
}

fn acceptable(values: &mut Values, source: &str, name: &str, secret: &str) -> bool {
    let place = values.origin(source);
    if secret.is_empty() || secret.chars().any(char::is_control) {
        values.findings.problem(
            &place,
            source,
            format!(
                "the {} is empty or has a line break or another control character in it",
                name.replace('_', " ")
            ),
        );
        return false;
    }
    if is_placeholder(secret) {
        values.findings.warn(
            &place,
            source,
            "this looks like the placeholder of a sample configuration; the mail server will refuse it / 这像是示例配置中的占位内容，邮件服务器会拒绝",
        );
    }
    true
}

fn warn_of_halves(values: &mut Values, home: &str, has_username: bool, source: &str) {
    let (username, has_password) = (format!("{home}.username"), values.has(source));
    if has_username && !has_password {
        let message = format!(
            "there is no {home}.password or {home}.password_file, so no login is tried / 没有设置 {home}.password 或 {home}.password_file，因此不会登录"
        );
        values.warn(&username, message);
    } else if has_password && !values.has(&username) {
        values.warn(
            source,
            format!(
                "there is no {username}, so no login is tried / 没有设置 {username}，因此不会登录"
            ),
        );
    }
}

/// Whether a text is what a sample has where the operator's own belongs.
pub(super) fn is_placeholder(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    let one_letter = text.len() >= 6 && text.bytes().all(|b| b == b'x' || b == b'*');
    let yours = ["your_", "your-", "your "]
        .iter()
        .any(|start| text.starts_with(start))
        || (text.starts_with('<') && text.ends_with('>'));
    one_letter || yours || PLACEHOLDERS.contains(&text.as_str())
}

/// A path that can be named in one line.
pub(super) fn file_name(text: &str) -> Result<PathBuf, Refusal> {
    if text.chars().any(char::is_control) {
        Err(Some("a path is one line".to_owned()))
    } else {
        Ok(PathBuf::from(text))
    }
}

/// The text of a file that a key names. Regular files only: a pipe could keep us waiting for ever.
pub(super) fn secret_file(values: &mut Values, sources: &Sources, path: &str) -> Option<String> {
    let file = sources.resolve(values.parsed(path, file_name)?);
    let place = values.origin(path);
    match read(&file) {
        Ok((text, mode)) => {
            if mode & 0o004 != 0 {
                values.findings.warn(
                    &place,
                    path,
                    format!(
                        "{} can be read by every user of this machine; chmod 600 it",
                        file.display()
                    ),
                );
            }
            Some(text)
        }
        Err(why) => {
            values
                .findings
                .problem(&place, path, format!("{} {why}", file.display()));
            None
        }
    }
}

fn read(path: &Path) -> Result<(String, u32), String> {
    let explain = |error: std::io::Error| {
        match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist; create it or correct the path".to_owned(),
        std::io::ErrorKind::PermissionDenied => "may not be read by this user; give it to the user that runs the daemon, or use LoadCredential=".to_owned(),
        kind => format!("cannot be read ({kind}); correct the path or the file"),
    }
    };
    let meta = std::fs::metadata(path).map_err(explain)?;
    if !meta.is_file() {
        return Err("is not a regular file; name a file that holds the secret".to_owned());
    }
    if meta.len() > MAX_FILE {
        return Err("is larger than 64 KiB; name a file that holds the secret only".to_owned());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(explain)?;
    file.take(MAX_FILE)
        .read_to_end(&mut bytes)
        .map_err(explain)?;
    let text = crate::encoding::utf8_file(bytes).map_err(str::to_owned)?;
    if invisible::trimmed(&text).is_empty() {
        return Err("is empty; write the secret into it".to_owned());
    }
    Ok((text, meta.permissions().mode()))
}

/// A root certificate file, looked at so far that a wrong path shows at start.
pub(super) fn certificate(values: &mut Values, sources: &Sources, path: &str) -> Option<PathBuf> {
    let file = sources.resolve(values.parsed(path, file_name)?);
    let fault = match std::fs::metadata(&file) {
        Ok(meta) if meta.is_file() && meta.len() <= 16 * MAX_FILE => match std::fs::read(&file) {
            Ok(bytes) if bytes.windows(17).any(|part| part == b"BEGIN CERTIFICATE") => {
                return Some(file);
            }
            Ok(_) => "holds no PEM certificate (-----BEGIN CERTIFICATE-----)".to_owned(),
            Err(error) => format!("cannot be read ({})", error.kind()),
        },
        Ok(_) => "is not a regular file of at most 1 MiB".to_owned(),
        Err(error) => format!("cannot be read ({})", error.kind()),
    };
    values.problem(
        path,
        format!("{} {fault}; correct the path or the file", file.display()),
    );
    None
}

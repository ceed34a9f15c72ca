//! Passwords and tokens: from the configuration, from files, from systemd.

use std::path::Path;

use super::files::secret_file;
use super::message::message;
use super::values::Values;
use super::{Sources, invisible};
use crate::secret::Secret;

/// Placeholders in sample configurations.
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

/// The warning about a placeholder.
pub(super) const PLACEHOLDER: [&str; 2] = [
    "looks like the placeholder of a sample configuration; the mail server will refuse it",
    "像是示例配置中的占位内容；邮件服务器会拒绝",
];

/// The warning about a short secret or token; follows its name.
pub(super) const SHORT: [&str; 2] = [
    "is short and could be guessed; use 32 random characters",
    "过短，可能被猜到；建议使用 32 个随机字符",
];

/// The password of a server, if there is a usable one.
pub(super) fn password(
    values: &mut Values,
    sources: &Sources,
    home: &str,
    has_username: bool,
    login_is_needed: bool,
) -> Option<Secret> {
    let (source, password) = named_secret(values, sources, home, "password");
    if !login_is_needed {
        warn_of_incomplete_login(values, home, has_username, &source);
    }
    password.map(|password| Secret::new(without_groups(values, home, password)))
}

/// A secret of a server, from the key `name`, the file `name_file` or a systemd credential.
pub(super) fn secret(
    values: &mut Values,
    sources: &Sources,
    home: &str,
    name: &str,
) -> Option<Secret> {
    named_secret(values, sources, home, name).1.map(Secret::new)
}

/// A secret and the key that it was read from.
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
        let mut secret = secret_file(values, sources, &file);
        if let Some(text) = secret.as_mut().filter(|text| text.ends_with('\n')) {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        (file, secret)
    } else {
        let secret = values.text(&path);
        (path, secret)
    };
    let secret = secret.map(|secret| clean(values, &source, &secret));
    let secret = secret.filter(|secret| acceptable(values, &source, name, secret));
    (source, secret)
}

/// Removes characters copied along with a secret, with a warning.
pub(super) fn clean(values: &mut Values, source: &str, secret: &str) -> String {
    // The spaces in an app password are expected.
    if groups(secret).is_some() {
        return secret.to_owned();
    }
    let (kept, warning) = invisible::cleaned(secret);
    if let Some(warning) = warning {
        values.warn(source, warning);
    }
    kept
}

/// Removes the spaces of a Google app password, which Google shows as four groups of four letters
/// separated by no-break spaces.
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
    // With ordinary spaces it could be a pass phrase of another service.
    let copied = !password.contains(' ');
    groups(&password)
        .filter(|_| is_google || copied)
        .unwrap_or(password)
}

/// The sixteen letters of a text of four groups of four.
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

/// Supplies the path of a systemd credential, if it exists.
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
    if secret.is_empty() || secret.chars().any(char::is_control) {
        let name = name.replace('_', " ");
        values.problem(
            source,
            message!(
                "the {name} is empty, or contains a line break or another control character",
                "{name} 为空，或含有换行等控制字符"
            ),
        );
        return false;
    }
    if is_placeholder(secret) {
        values.warn(source, PLACEHOLDER);
    }
    true
}

fn warn_of_incomplete_login(values: &mut Values, home: &str, has_username: bool, source: &str) {
    let (username, has_password) = (format!("{home}.username"), values.has(source));
    if has_username && !has_password {
        let message = message!(
            "username without password, so Jobbell does not log in; set {home}.password or {home}.password_file",
            "有用户名而没有密码，因此不会登录；请设置 {home}.password 或 {home}.password_file"
        );
        values.warn(&username, message);
    } else if has_password && !values.has(&username) {
        let message = message!(
            "password without username, so Jobbell does not log in; set {username}",
            "有密码而没有用户名，因此不会登录；请设置 {username}"
        );
        values.warn(source, message);
    }
}

/// Whether a text is a placeholder of a sample configuration.
pub(super) fn is_placeholder(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    let one_letter = text.len() >= 6 && text.bytes().all(|b| b == b'x' || b == b'*');
    let yours = ["your_", "your-", "your "]
        .iter()
        .any(|start| text.starts_with(start))
        || (text.starts_with('<') && text.ends_with('>'));
    one_letter || yours || PLACEHOLDERS.contains(&text.as_str())
}

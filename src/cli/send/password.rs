//! Prompts for the password at the terminal.

use crate::cli::i18n::tr;
use crate::cli::{CONFIG, usage_error};
use crate::config::{Loaded, Sources};
use crate::domain::Locale;
use crate::transport::Settings;

/// Prompts if the primary server has a login name and no password, and returns the sources with the
/// answer; `None` if no prompt is needed.
pub(super) fn ask_if_missing(
    sources: &Sources,
    loaded: &Loaded,
    named: bool,
    locale: Locale,
) -> Result<Option<Sources>, u8> {
    let has = |key: &str| loaded.shown.iter().any(|shown| shown.key == key);
    let no_login = loaded
        .config
        .smtp
        .first()
        .and_then(Settings::as_smtp)
        .is_some_and(|smtp| smtp.login.is_none());
    if named
        || !no_login
        || !has("smtp.username")
        || has("smtp.password")
        || has("smtp.password_file")
    {
        return Ok(None);
    }
    let prompt = tr(
        locale,
        "Password or authorization code (hidden): ",
        "密码或授权码（不显示）：",
    );
    let Ok(password) = rpassword::prompt_password(prompt) else {
        return Err(usage_error(tr(
            locale,
            "username without password, and no terminal to prompt at: use --password-file or SMTP_PASSWORD",
            "有登录名但没有密码，且没有终端可供输入：请使用 --password-file 或 SMTP_PASSWORD",
        )));
    };
    if password.is_empty() {
        eprintln!(
            "{}",
            tr(
                locale,
                "jobbell: no password entered",
                "jobbell：未输入密码"
            )
        );
        return Err(CONFIG);
    }
    let mut sources = sources.clone();
    sources.overrides.push((
        "smtp.password".to_owned(),
        password,
        "the terminal".to_owned(),
    ));
    Ok(Some(sources))
}

//! The login at a mail server: a password, or an OAuth token.

use super::Sources;
use super::credentials::{self, PLACEHOLDER, is_placeholder};
use super::message::{Message, message};
use super::values::Values;
use crate::transport::http;
use crate::transport::oauth::{self, Grant};
use crate::transport::providers::{AuthKind, Provider, User};
use crate::transport::smtp::{Credentials, Login};

/// Keys that only `auth = "xoauth2"` uses.
const OAUTH_KEYS: [&str; 7] = [
    "oauth_token_url",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_client_secret_file",
    "oauth_refresh_token",
    "oauth_refresh_token_file",
    "oauth_scope",
];

/// The login at a server, if one is configured.
pub(super) fn read(
    values: &mut Values,
    sources: &Sources,
    home: &str,
    preset: Option<&Provider>,
    needed: bool,
) -> Option<Login> {
    let username = username(values, home);
    check_username(values, home, preset, username.as_deref());
    let oauth = Oauth::read(values, sources, home, preset);
    if uses_token(values, home, preset) {
        return oauth.login(values, home, username);
    }
    let login_needed = preset
        .filter(|preset| needed && preset.user != User::Anything && !sources.can_ask_password);
    let password = credentials::password(
        values,
        sources,
        home,
        username.is_some(),
        login_needed.is_some(),
    );
    if let Some(preset) = login_needed {
        require_login(values, home, preset);
    }
    let unused = OAUTH_KEYS
        .iter()
        .map(|name| format!("{home}.{name}"))
        .find(|key| values.is_set(key));
    if let Some(key) = unused {
        values.warn(
            &key,
            message!(
                "has no effect without {home}.auth = \"xoauth2\"",
                "没有设置 {home}.auth = \"xoauth2\"，因此不起作用"
            ),
        );
    }
    Some(Login::Password(Credentials {
        username: username?,
        password: password?,
    }))
}

/// The login name.
fn username(values: &mut Values, home: &str) -> Option<String> {
    let path = format!("{home}.username");
    let name = values.line(&path)?;
    if is_placeholder(&name) {
        values.warn(&path, PLACEHOLDER);
    }
    Some(name)
}

/// Reports a missing login for a service that requires one.
fn require_login(values: &mut Values, home: &str, preset: &Provider) {
    let has = |name: &str| values.has(&format!("{home}.{name}"));
    let (key, missing) = match (has("username"), has("password") || has("password_file")) {
        (true, true) => return,
        (true, false) => ("password", "password"),
        (false, true) => ("username", "username"),
        (false, false) => ("password", "username and password"),
    };
    if values.complete() {
        let place = values.origin(&format!("{home}.provider"));
        let message = message!(
            "{0} requires a login; set {missing} (`jobbell providers {0}` explains how to get them)",
            "{0} 必须登录；请设置 {missing}（获取方法见 `jobbell providers {0}`）",
            preset.name
        );
        values
            .findings
            .problem(&place, &format!("{home}.{key}"), message);
    }
}

/// Whether to log in with an OAuth token: if `auth` says so, or if the service accepts nothing else.
fn uses_token(values: &mut Values, home: &str, preset: Option<&Provider>) -> bool {
    let key = format!("{home}.auth");
    let auth = values.choice(&key);
    let Some(preset) = preset else {
        return auth == Some("xoauth2");
    };
    let name = preset.name;
    let tokens = preset.offers(AuthKind::Xoauth2);
    let only_tokens = tokens && !preset.offers(AuthKind::Password);
    match auth {
        Some("password") if only_tokens => {
            let message = message!(
                "{name} refuses passwords; set auth = \"xoauth2\" (`jobbell providers {name}` explains how)",
                "{name} 不接受密码；请设置 auth = \"xoauth2\"（方法见 `jobbell providers {name}`）"
            );
            values.warn(&key, message);
        }
        Some("xoauth2") if !tokens => {
            let message = message!(
                "{name} is not known to accept OAuth2 logins; see `jobbell providers {name}`",
                "{name} 可能不接受 OAuth2 登录；参见 `jobbell providers {name}`"
            );
            values.warn(&key, message);
        }
        None if only_tokens && !values.has(&key) => {
            values.supply(&key, &format!("provider \"{name}\""), "xoauth2");
            return true;
        }
        _ => {}
    }
    auth == Some("xoauth2")
}

/// Warns about a login name that the service will probably refuse.
fn check_username(
    values: &mut Values,
    home: &str,
    preset: Option<&Provider>,
    username: Option<&str>,
) {
    let Some((preset, _)) = preset
        .zip(username)
        .filter(|(preset, username)| !preset.user.fits(username))
    else {
        return;
    };
    let wanted: Message = match preset.user {
        User::Address => ["the full address", "完整的邮箱地址"].into(),
        User::Word(word) => message!("the word \"{word}\"", "固定的 \"{word}\""),
        User::Issued | User::Anything => ["the name that it issued", "该服务分配的名称"].into(),
    };
    let name = preset.name;
    let wanted = wanted.after(
        &format!("{name} will probably refuse this login name; it expects "),
        &format!("{name} 可能会拒绝该登录名；应为"),
    );
    values.warn(&format!("{home}.username"), wanted);
}

/// The `oauth_*` keys.
struct Oauth {
    token_url: Option<String>,
    settings: oauth::Settings,
    complete: bool,
}

impl Oauth {
    fn read(values: &mut Values, sources: &Sources, home: &str, preset: Option<&Provider>) -> Self {
        let key = |name: &str| format!("{home}.{name}");
        let known = preset.and_then(|preset| preset.oauth.map(|oauth| (preset.name, oauth)));
        if let Some((name, oauth)) = known.filter(|_| values.has(&key("oauth_client_id"))) {
            for (key, value) in [
                (key("oauth_token_url"), oauth.token_url),
                (key("oauth_scope"), oauth.scope),
            ] {
                if !values.has(&key) && !value.is_empty() {
                    values.supply(&key, &format!("provider \"{name}\""), value);
                }
            }
        }
        let token_url = values.parsed(&key("oauth_token_url"), |text| {
            http::endpoint(text)
                .map(String::from)
                .map_err(|error| Some(Message::from(error.to_string())))
        });
        let client_id = values.line(&key("oauth_client_id"));
        let client_secret = credentials::secret(values, sources, home, "oauth_client_secret");
        let refresh_token = credentials::secret(values, sources, home, "oauth_refresh_token");
        let scope = values.line(&key("oauth_scope"));
        let for_an_application = scope
            .as_deref()
            .is_some_and(|scope| scope.ends_with("/.default"));
        let grant = if for_an_application && client_secret.is_some() && refresh_token.is_none() {
            Grant::ClientCredentials
        } else {
            Grant::RefreshToken
        };
        let complete = client_id.is_some();
        let client_id = client_id.unwrap_or_default();
        let settings = oauth::Settings {
            token_url: String::new(),
            client_id,
            client_secret,
            refresh_token,
            scope,
            grant,
            tls_ca_file: None,
            timeout: oauth::TIMEOUT,
        };
        Self {
            token_url,
            settings,
            complete,
        }
    }

    /// The login with a token; reports missing keys.
    fn login(self, values: &mut Values, home: &str, username: Option<String>) -> Option<Login> {
        let auth = format!("{home}.auth");
        let place = values.origin(&auth);
        let mut missing = |name: &str, [en, zh]: [&str; 2]| {
            let key = format!("{home}.{name}");
            if !values.has(&key) && values.complete() {
                let message = message!(
                    "auth = \"xoauth2\" needs {key}, {en}; `jobbell providers NAME` explains each step",
                    "auth = \"xoauth2\" 需要 {key}（{zh}）；步骤见 `jobbell providers 名称`"
                );
                values.findings.problem(&place, &key, message);
            }
        };
        if username.is_none() {
            missing("username", ["the mailbox to send from", "发信邮箱"]);
        }
        if !self.complete {
            let what = ["the ID of the registered application", "注册应用的 ID"];
            missing("oauth_client_id", what);
        } else if self.token_url.is_none() {
            let what = ["the URL that issues tokens", "颁发令牌的网址"];
            missing("oauth_token_url", what);
        }
        for name in ["password", "password_file"].map(|name| format!("{home}.{name}")) {
            if values.is_set(&name) {
                values.warn(
                    &name,
                    [
                        "has no effect with auth = \"xoauth2\"",
                        "auth = \"xoauth2\" 时不起作用",
                    ],
                );
            }
        }
        let source = oauth::Settings {
            token_url: self.token_url?,
            ..self.settings
        };
        if let Err(error) = source.check() {
            let key = format!("{home}.oauth_client_id");
            values.problem(&key, error.to_string());
        }
        Some(Login::Xoauth2 {
            username: username?,
            source,
        })
        .filter(|_| self.complete)
    }
}

//! How a server is logged in to: a password, or OAuth tokens.

use super::Sources;
use super::credentials::{self, is_placeholder};
use super::values::Values;
use crate::transport::http;
use crate::transport::oauth::{self, Grant};
use crate::transport::providers::{AuthKind, Provider, User};
use crate::transport::smtp::{Credentials, Login};

/// The keys that only `auth = "xoauth2"` uses.
const OAUTH_KEYS: [&str; 7] = [
    "oauth_token_url",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_client_secret_file",
    "oauth_refresh_token",
    "oauth_refresh_token_file",
    "oauth_scope",
];

/// The login of a server, when one is configured.
pub(super) fn read(
    values: &mut Values,
    sources: &Sources,
    home: &str,
    preset: Option<&Provider>,
    needed: bool,
) -> Option<Login> {
    let username = username(values, home);
    fitting_name(values, home, preset, username.as_deref());
    let oauth = Oauth::read(values, sources, home, preset);
    if by_token(values, home, preset) {
        return oauth.login(values, home, username);
    }
    let wanted = preset
        .filter(|preset| needed && preset.user != User::Anything && !sources.can_ask_password);
    let password =
        credentials::password(values, sources, home, username.is_some(), wanted.is_some());
    if let Some(preset) = wanted {
        complete(values, home, preset);
    }
    let idle = OAUTH_KEYS
        .iter()
        .map(|name| format!("{home}.{name}"))
        .find(|key| values.by_hand(key));
    if let Some(key) = idle {
        values.warn(
            &key,
            format!("this has no effect without {home}.auth = \"xoauth2\""),
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
    let name = values.line(&path, 320)?;
    if is_placeholder(&name) {
        values.warn(&path, "this looks like the placeholder of a sample configuration; the mail server will refuse it");
    }
    Some(name)
}

/// A service that takes no mail without a login gets one.
fn complete(values: &mut Values, home: &str, preset: &Provider) {
    let has = |name: &str| values.has(&format!("{home}.{name}"));
    let missing = match (has("username"), has("password") || has("password_file")) {
        _ if !values.complete() => return,
        (true, true) => return,
        (true, false) => "password",
        (false, true) => "username",
        (false, false) => "username and password",
    };
    let place = values.origin(&format!("{home}.provider"));
    let key = format!(
        "{home}.{}",
        if missing == "username" {
            "username"
        } else {
            "password"
        }
    );
    let message = format!(
        "{0} always asks for a login, and there is no {missing}; `jobbell providers {0}` says how to get it / {0} 必须登录，但没有设置 {missing}；运行 `jobbell providers {0}` 查看获取方法",
        preset.name
    );
    values.findings.problem(&place, &key, message);
}

/// Whether OAuth is wanted: as `auth` says, else where the service takes nothing else.
fn by_token(values: &mut Values, home: &str, preset: Option<&Provider>) -> bool {
    let key = format!("{home}.auth");
    let only_tokens = preset
        .filter(|preset| preset.offers(AuthKind::Xoauth2) && !preset.offers(AuthKind::Password));
    let said = values.choice(&key);
    if let (Some("password"), Some(preset)) = (said, only_tokens) {
        let message = format!(
            "{} refuses passwords; take auth = \"xoauth2\" (`jobbell providers {}` says how)",
            preset.name, preset.name
        );
        values.warn(&key, message);
    }
    if let (Some("xoauth2"), Some(preset)) = (
        said,
        preset.filter(|preset| !preset.offers(AuthKind::Xoauth2)),
    ) {
        values.warn(
            &key,
            format!(
                "{} is not known to take OAuth2 logins; `jobbell providers {}` says what it wants",
                preset.name, preset.name
            ),
        );
    }
    match (said, only_tokens) {
        (Some(word), _) => word == "xoauth2",
        (None, Some(preset)) if !values.has(&key) => {
            values.supply(&key, &format!("provider \"{}\"", preset.name), "xoauth2");
            true
        }
        (None, _) => false,
    }
}

fn fitting_name(
    values: &mut Values,
    home: &str,
    preset: Option<&Provider>,
    username: Option<&str>,
) {
    let (Some(preset), Some(username)) = (preset, username) else {
        return;
    };
    if preset.user.fits(username) {
        return;
    }
    let wanted = match preset.user {
        User::Address => "the full mail address".to_owned(),
        User::Word(word) => format!("the word \"{word}\""),
        User::Issued | User::Anything => "the name that it gives out".to_owned(),
    };
    let key = format!("{home}.username");
    values.warn(
        &key,
        format!(
            "{} wants {wanted} as the login name; this one will probably be refused",
            preset.name
        ),
    );
}

/// What the `oauth_*` keys say.
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
                .map_err(|error| Some(error.to_string()))
        });
        let client_id = values.line(&key("oauth_client_id"), 500);
        let client_secret = credentials::secret(values, sources, home, "oauth_client_secret");
        let refresh_token = credentials::secret(values, sources, home, "oauth_refresh_token");
        let scope = values.line(&key("oauth_scope"), 2_000);
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

    /// The login by token, or what is missing for it.
    fn login(self, values: &mut Values, home: &str, username: Option<String>) -> Option<Login> {
        let auth = format!("{home}.auth");
        let place = values.origin(&auth);
        let advice = "`jobbell providers NAME` says step by step how to get it";
        let mut missing = |name: &str, what: &str| {
            let key = format!("{home}.{name}");
            if !values.has(&key) && values.complete() {
                values.findings.problem(
                    &place,
                    &key,
                    format!("auth = \"xoauth2\" needs {key}, {what}; {advice}"),
                );
            }
        };
        if username.is_none() {
            missing("username", "the mailbox to send from");
        }
        if !self.complete {
            missing("oauth_client_id", "the id of the registered application");
        } else if self.token_url.is_none() {
            missing("oauth_token_url", "the address where tokens are given out");
        }
        for name in ["password", "password_file"].map(|name| format!("{home}.{name}")) {
            if values.by_hand(&name) {
                values.warn(&name, "with auth = \"xoauth2\" the password is not used");
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

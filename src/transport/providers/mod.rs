//! Known mail services: the settings for `smtp.provider`, and how to get the password that each
//! requires.
//!
//! Each line of `providers.tsv` is a service. The file is part of the binary and parsed at each
//! lookup. Hosts, ports and limits are those that the services publish and other programs use; if
//! both are offered, implicit TLS is preferred to STARTTLS (RFC 8314 §3.3). For a service without
//! published limits, they are one connection, ten mails per connection and 20 mails a minute.

mod row;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::domain::named::named;
use crate::domain::{Locale, Recipient};

use super::RateLimit;
use super::encryption::Tls;
use super::explain::LocalError;

/// The services, one per line after the header.
const FILE: &str = include_str!("providers.tsv");

/// A mail service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provider {
    /// Name in `smtp.provider`.
    pub name: &'static str,
    /// Host; `None` if each region has one, which `smtp.host` must name.
    pub host: Option<&'static str>,
    /// Port.
    pub port: u16,
    /// Encryption on that port.
    pub tls: Tls,
    /// All ports, in readable form: `465 implicit, 587 starttls`.
    pub ports: &'static str,
    /// The expected user name.
    pub user: User,
    /// The rule for `from`.
    pub from: FromRule,
    /// Key in the table of replies ([`Table::explain`](super::explain::Table::explain)); `None` for
    /// a test server.
    pub replies: Option<&'static str>,
    /// Safe number of concurrent connections.
    pub connections: Option<usize>,
    /// Safe number of mails over one connection.
    pub mails_per_connection: Option<u32>,
    /// Safe rate.
    pub rate_limit: Option<RateLimit>,
    /// Maximum number of mails in 24 hours, if known.
    pub per_day: Option<u32>,
    /// Settings for OAuth.
    pub oauth: Option<OauthPreset>,
    title: [&'static str; 2],
    password: [&'static str; 2],
    notes: [&'static str; 2],
    steps: [&'static str; 2],
    auth: &'static str,
    hosts: &'static str,
    domains: &'static str,
    aka: &'static str,
}

/// The user name that a service expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// The full mail address.
    Address,
    /// This word.
    Word(&'static str),
    /// A name or token that the service issues.
    Issued,
    /// Anything or nothing.
    Anything,
}

impl User {
    /// Whether a user name has the expected form.
    pub fn fits(self, username: &str) -> bool {
        match self {
            Self::Address => Recipient::parse(username).is_ok(),
            Self::Word(word) => word == username,
            Self::Issued => !username.trim().is_empty(),
            Self::Anything => true,
        }
    }
}

/// What a service does if `from` is not the login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromRule {
    /// Refuses the mail.
    MustBeLogin,
    /// Refuses the mail unless the account owns the address or its domain (alias, identity, verified
    /// domain).
    MustBeOwned,
    /// Replaces it by the account's address.
    Rewritten,
    /// Accepts it.
    Free,
}

named! {
    /// A login method. Its name is used in `providers.tsv` and in `auth = "…"`.
    AuthKind {
        /// A password, app password, authorization code or key.
        Password = "password",
        /// An OAuth token (SASL XOAUTH2).
        Xoauth2 = "xoauth2",
        /// The service's HTTP API instead of SMTP.
        Api = "api",
    }
}

/// Settings for OAuth with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OauthPreset {
    /// The token endpoint. For a single Microsoft tenant, its id replaces `common`.
    pub token_url: &'static str,
    /// The scope for a user.
    pub scope: &'static str,
    /// The scope for an application (client credentials), if supported.
    pub app_scope: Option<&'static str>,
}

impl Provider {
    /// The display name.
    pub fn title(&self, locale: Locale) -> &'static str {
        in_language(self.title, locale)
    }

    /// What to use as the password.
    pub fn password(&self, locale: Locale) -> &'static str {
        in_language(self.password, locale)
    }

    /// Limits, regions and peculiarities, in one to three sentences.
    pub fn notes(&self, locale: Locale) -> &'static str {
        in_language(self.notes, locale)
    }

    /// How to get the password and what to configure, step by step, without numbers.
    pub fn steps(&self, locale: Locale) -> impl Iterator<Item = &'static str> {
        in_language(self.steps, locale).split(" | ")
    }

    /// Whether the service offers a login method.
    pub fn offers(&self, auth: AuthKind) -> bool {
        self.auth.split(' ').any(|word| word == auth.as_str())
    }

    /// The recommended login method.
    pub fn preferred_auth(&self) -> AuthKind {
        let first = self.auth.split(' ').next().unwrap_or_default();
        AuthKind::from_name(first).unwrap_or(AuthKind::Password)
    }

    /// A mail domain of the service, for examples.
    pub fn example_domain(&self) -> &'static str {
        let plain = |domain: &&str| !domain.contains(['*', '!']);
        self.domains
            .split(' ')
            .find(plain)
            .filter(|domain| !domain.is_empty())
            .unwrap_or("example.com")
    }

    /// Whether the service is known to refuse mail from this address with this login.
    ///
    /// A login that is not an address is not checked; see [`User::fits`].
    pub fn refuses_from(&self, username: &str, from: &Recipient) -> Option<LocalError> {
        let login = Recipient::parse(username).ok()?;
        (self.from == FromRule::MustBeLogin && !login.same_mailbox(from))
            .then_some(LocalError::FromRefused)
    }
}

fn in_language([en, zh]: [&'static str; 2], locale: Locale) -> &'static str {
    match locale {
        Locale::En => en,
        Locale::ZhCn => zh,
    }
}

/// All services, in the order in which they are listed.
pub fn all() -> impl Iterator<Item = Provider> {
    FILE.lines().skip(1).filter_map(row::parse)
}

/// The service with this name, ignoring case.
pub fn find(name: &str) -> Option<Provider> {
    all().find(|provider| provider.name.eq_ignore_ascii_case(name.trim()))
}

/// The service that an unknown name probably means: by an alternative name (`hotmail`, `m365`), a
/// domain, a host, or with a typo.
pub fn nearest(name: &str) -> Option<&'static str> {
    let name = name.trim().to_ascii_lowercase();
    let known = |provider: &Provider| {
        provider
            .aka
            .split(' ')
            .any(|word| !word.is_empty() && word == name)
    };
    let meant = all()
        .find(known)
        .or_else(|| by_domain(&name))
        .or_else(|| by_host(&name));
    if let Some(provider) = meant {
        return Some(provider.name);
    }
    let words = all().flat_map(|provider| {
        std::iter::once(provider.name)
            .chain(provider.aka.split(' '))
            .map(move |word| (word, provider.name))
    });
    let close = |word: &str| strsim::damerau_levenshtein(word, &name);
    let (distance, found) = words
        .filter(|(word, _)| word.len() > 1)
        .map(|(word, found)| (close(word), found))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 || (distance == 2 && name.len() > 4)).then_some(found)
}

/// The service of a public mail domain (`foxmail.com` → QQ).
pub fn by_domain(domain: &str) -> Option<Provider> {
    all().find(|provider| {
        let excluded = |pattern: &str| {
            pattern
                .strip_prefix('!')
                .is_some_and(|pattern| matches(pattern, domain))
        };
        provider
            .domains
            .split(' ')
            .any(|pattern| matches(pattern, domain))
            && !provider.domains.split(' ').any(excluded)
    })
}

/// The service that a host belongs to.
pub fn by_host(host: &str) -> Option<Provider> {
    all().find(|provider| {
        provider
            .hosts
            .split(' ')
            .any(|pattern| matches(pattern, host))
    })
}

/// The key of a server in the table of replies: by `smtp.provider`, else by the host.
pub fn replies_of(provider: Option<&str>, host: &str) -> Option<&'static str> {
    let named = provider
        .and_then(find)
        .or_else(|| by_host(host))
        .and_then(|provider| provider.replies);
    // Mailtrap has rows, but no preset.
    named.or_else(|| matches("*.mailtrap.io", host).then_some("mailtrap"))
}

/// Whether a pattern with at most one `*` matches the whole name, ignoring case. `*` matches one or
/// two labels (`co.uk`).
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, end)) = pattern.split_once('*') else {
        return !pattern.is_empty() && pattern.eq_ignore_ascii_case(name);
    };
    let name = name.to_ascii_lowercase();
    let middle = name
        .strip_prefix(start)
        .and_then(|rest| rest.strip_suffix(end));
    middle.is_some_and(|middle| !middle.is_empty() && middle.matches('.').count() <= 1)
}

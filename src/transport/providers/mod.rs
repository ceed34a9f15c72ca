//! Known mail services: what `smtp.provider` fills in, and how to get the password that each of
//! them wants.
//!
//! One line of `providers.tsv` is one service; nothing of it is kept in memory, a look-up reads the
//! file that the program carries. Hosts, ports and limits as the services' own pages and common
//! presets give them; where both are offered, TLS from the first byte is taken (RFC 8314 §3.3).
//! Where a service publishes no limit, a careful one stands: one connection, ten mails each, 20
//! mails a minute.

mod row;
#[cfg(test)]
mod tests;

use crate::domain::{Locale, Recipient};

use super::explain::LocalError;
use super::smtp::{RateLimit, Tls};

/// The services, one per line after the header.
const FILE: &str = include_str!("providers.tsv");

/// One mail service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provider {
    /// What `smtp.provider` calls it.
    pub name: &'static str,
    /// Its host; none where each region has its own and `smtp.host` must say which.
    pub host: Option<&'static str>,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted there.
    pub tls: Tls,
    /// All ports that it offers, for people: `465 implicit, 587 starttls`.
    pub ports: &'static str,
    /// What the login name is.
    pub user: User,
    /// Whether `from` is bound to the login.
    pub from: FromRule,
    /// The service's key in the table of replies
    /// ([`Table::explain`](super::explain::Table::explain)); none for a test server.
    pub replies: Option<&'static str>,
    /// The most connections at a time that are safe.
    pub connections: Option<usize>,
    /// The most mails over one connection that are safe.
    pub mails_per_connection: Option<u32>,
    /// The rate that is safe.
    pub rate_limit: Option<RateLimit>,
    /// The most mails in 24 hours, where that is known.
    pub per_day: Option<u32>,
    /// Where OAuth tokens come from.
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

/// What a service wants as the login name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// The full mail address.
    Address,
    /// Always this word.
    Word(&'static str),
    /// A name or token that the service gives out.
    Issued,
    /// Anything or nothing.
    Anything,
}

impl User {
    /// Whether a login name has the right shape.
    pub fn fits(self, username: &str) -> bool {
        match self {
            Self::Address => Recipient::parse(username).is_ok(),
            Self::Word(word) => word == username,
            Self::Issued => !username.trim().is_empty(),
            Self::Anything => true,
        }
    }
}

/// What a service does with a `from` that is not the login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromRule {
    /// It refuses the mail.
    MustBeLogin,
    /// It refuses the mail unless the account owns the address or its domain (alias, identity,
    /// verified domain).
    MustBeOwned,
    /// It puts the account's address in its place.
    Rewritten,
    /// It takes it.
    Free,
}

/// A way to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthKind {
    /// A password, app password, authorization code or key.
    Password,
    /// An OAuth token (SASL XOAUTH2).
    Xoauth2,
    /// No SMTP at all: the service's HTTP API.
    Api,
}

impl AuthKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::Password, Self::Xoauth2, Self::Api];

    /// The word for it in the data and in `auth = "…"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Xoauth2 => "xoauth2",
            Self::Api => "api",
        }
    }
}

/// Where a service's OAuth tokens come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OauthPreset {
    /// The token endpoint; Microsoft's for one tenant has the tenant's id in it instead of
    /// `common`.
    pub token_url: &'static str,
    /// The scope of a token on behalf of a user.
    pub scope: &'static str,
    /// The scope of a token for an application (client credentials), where that is possible.
    pub app_scope: Option<&'static str>,
}

impl Provider {
    /// What people call it.
    pub fn title(&self, locale: Locale) -> &'static str {
        in_language(self.title, locale)
    }

    /// What the password field takes.
    pub fn password(&self, locale: Locale) -> &'static str {
        in_language(self.password, locale)
    }

    /// What else to know: limits, regions, moods. One to three sentences.
    pub fn notes(&self, locale: Locale) -> &'static str {
        in_language(self.notes, locale)
    }

    /// How to get the password and what to write, step by step, without numbers.
    pub fn steps(&self, locale: Locale) -> impl Iterator<Item = &'static str> {
        in_language(self.steps, locale).split(" | ")
    }

    /// Whether one can log in that way.
    pub fn offers(&self, auth: AuthKind) -> bool {
        self.auth.split(' ').any(|word| word == auth.as_str())
    }

    /// The way to log in that is recommended there.
    pub fn preferred_auth(&self) -> AuthKind {
        let first = self.auth.split(' ').next().unwrap_or_default();
        AuthKind::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == first)
            .unwrap_or(AuthKind::Password)
    }

    /// A mail domain whose mailboxes this service holds, for examples.
    pub fn example_domain(&self) -> &'static str {
        let plain = |domain: &&str| !domain.contains(['*', '!']);
        self.domains
            .split(' ')
            .find(plain)
            .filter(|domain| !domain.is_empty())
            .unwrap_or("example.com")
    }

    /// Whether it will refuse mail from this address with this login, as far as that can be known
    /// before asking.
    ///
    /// A login that is no address says nothing and is not judged; see [`User::fits`].
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

/// Every service, in the order in which they are listed.
pub fn all() -> impl Iterator<Item = Provider> {
    FILE.lines().skip(1).filter_map(row::parse)
}

/// The service of that name, in any case.
pub fn find(name: &str) -> Option<Provider> {
    all().find(|provider| provider.name.eq_ignore_ascii_case(name.trim()))
}

/// The service that somebody probably meant: another name of it (`hotmail`, `m365`), its domain or
/// host, or a slip of the pen.
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

/// The service that holds the mailboxes of a domain (`foxmail.com` → QQ). Domains of one's own must
/// name theirs.
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

/// The service whose server this is, also when `smtp.provider` does not say so.
pub fn by_host(host: &str) -> Option<Provider> {
    all().find(|provider| {
        provider
            .hosts
            .split(' ')
            .any(|pattern| matches(pattern, host))
    })
}

/// The key in the table of replies that fits a server: by the preset, else by the host.
pub fn replies_of(provider: Option<&str>, host: &str) -> Option<&'static str> {
    let named = provider
        .and_then(find)
        .or_else(|| by_host(host))
        .and_then(|provider| provider.replies);
    // Mailtrap has no preset, but moods of its own.
    named.or_else(|| matches("*.mailtrap.io", host).then_some("mailtrap"))
}

/// Whether a pattern with at most one `*` is the whole name, without regard to case. A `*` stands
/// for something, in a domain for at most two labels (`co.uk`).
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

//! Parses a line of `providers.tsv`.

use std::time::Duration;

use super::{FromRule, OauthPreset, Provider, User};
use crate::transport::RateLimit;
use crate::transport::encryption::Tls;

/// Parses a line; `None` if it is invalid. The file's header gives the order of the columns.
pub(super) fn parse(line: &'static str) -> Option<Provider> {
    let mut columns = line.split('\t');
    let mut next = || columns.next();
    let (name, title, host) = (next()?, [next()?, next()?], next()?);
    let (port, tls, hosts, ports) = (next()?.parse().ok()?, tls(next()?)?, next()?, next()?);
    let (user, password, from) = (user(next()?)?, [next()?, next()?], from_rule(next()?)?);
    let (replies, auth) = (next()?, next()?);
    let (connections, mails_per_connection, rate, per_day) = (
        number(next()?)?,
        number(next()?)?,
        next()?,
        number(next()?)?,
    );
    let (token_url, scope, app_scope) = (next()?, next()?, next()?);
    let (domains, aka) = (next()?, next()?);
    let (notes, steps) = ([next()?, next()?], [next()?, next()?]);
    Some(Provider {
        name,
        host: filled(host),
        port,
        tls,
        ports,
        user,
        from,
        replies: filled(replies),
        connections: connections.and_then(|count| usize::try_from(count).ok()),
        mails_per_connection,
        rate_limit: if rate.is_empty() {
            None
        } else {
            Some(rate_limit(rate)?)
        },
        per_day,
        oauth: filled(token_url).map(|token_url| OauthPreset {
            token_url,
            scope,
            app_scope: filled(app_scope),
        }),
        title,
        password,
        notes,
        steps,
        auth,
        hosts,
        domains,
        aka,
    })
}

fn filled(text: &'static str) -> Option<&'static str> {
    (!text.is_empty()).then_some(text)
}

/// An optional number: `None` if it is invalid, `Some(None)` if the column is empty.
#[expect(
    clippy::option_option,
    reason = "an invalid column differs from an empty one"
)]
fn number(text: &str) -> Option<Option<u32>> {
    if text.is_empty() {
        Some(None)
    } else {
        text.parse().ok().map(Some)
    }
}

fn tls(word: &str) -> Option<Tls> {
    match word {
        "implicit" => Some(Tls::Implicit),
        "starttls" => Some(Tls::Starttls),
        "none" => Some(Tls::None),
        _ => None,
    }
}

fn user(word: &'static str) -> Option<User> {
    match word {
        "address" => Some(User::Address),
        "issued" => Some(User::Issued),
        "any" => Some(User::Anything),
        _ => word.strip_prefix("word:").map(User::Word),
    }
}

fn from_rule(word: &str) -> Option<FromRule> {
    match word {
        "login" => Some(FromRule::MustBeLogin),
        "identity" => Some(FromRule::MustBeOwned),
        "rewritten" => Some(FromRule::Rewritten),
        "free" => Some(FromRule::Free),
        _ => None,
    }
}

fn rate_limit(text: &str) -> Option<RateLimit> {
    let (mails, unit) = text.split_once('/')?;
    let per = match unit {
        "s" => Duration::from_secs(1),
        "min" => Duration::from_mins(1),
        "h" => Duration::from_hours(1),
        "day" => Duration::from_hours(24),
        _ => return None,
    };
    Some(RateLimit {
        mails: mails.parse().ok()?,
        per,
    })
}

//! Presets of known mail services: their defaults and restrictions.

use super::message::message;
use super::nearest::did_you_mean;
use super::units;
use super::values::Values;
use crate::domain::Recipient;
use crate::transport::providers::{self, FromRule, Provider};

/// The service that `provider` names.
pub(super) fn read(values: &mut Values, home: &str) -> Option<Provider> {
    values.parsed(&format!("{home}.provider"), |text| {
        providers::find(text).ok_or_else(|| providers::nearest(text).map(did_you_mean))
    })
}

/// Supplies the safe limits of the service for keys that the operator has not set.
pub(super) fn limits(values: &mut Values, home: &str, preset: Option<&Provider>) {
    let Some(preset) = preset else { return };
    let safe = [
        (
            "max_connections",
            preset.connections.map(|count| count.to_string()),
        ),
        (
            "max_mails_per_connection",
            preset.mails_per_connection.map(|count| count.to_string()),
        ),
        ("rate_limit", preset.rate_limit.map(units::show_rate)),
    ];
    for (name, value) in safe {
        let key = format!("{home}.{name}");
        if let Some(value) = value.filter(|_| !values.is_set(&key)) {
            values.supply(&key, &format!("provider \"{}\"", preset.name), &value);
        }
    }
}

/// Reports a sender that the service refuses or rewrites for this login. A refusal is a problem with
/// `provider`, and a warning if the service is only known by its host.
pub(super) fn sender(
    values: &mut Values,
    home: &str,
    preset: Option<&Provider>,
    host: &str,
    username: &str,
    from: &Recipient,
) {
    let Some(service) = preset.copied().or_else(|| providers::by_host(host)) else {
        return;
    };
    let key = format!("{home}.from");
    let place = if values.has(&key) {
        values.origin(&key)
    } else {
        values.origin(&format!("{home}.username"))
    };
    let (name, login) = (service.name, Recipient::parse(username).ok());
    let Some(login) = login.filter(|login| !login.same_mailbox(from)) else {
        return;
    };
    let (sender, login) = (from.masked(), login.masked());
    if service.refuses_from(username, from).is_some() {
        let message = message!(
            "{name} accepts mail only from the login itself and will refuse {sender}; set from to {login}, or remove it; from_name may be any name",
            "{name} 只接受登录账号本身作为发件人，会拒绝 {sender}；请把 from 改为 {login} 或删去，发件人名称可用 from_name 任意设置"
        );
        if preset.is_some() {
            values.findings.problem(&place, &key, message);
        } else {
            values.findings.warn(&place, &key, message);
        }
    } else if service.from == FromRule::Rewritten {
        let message = message!(
            "{name} replaces {sender} by the login, unless it is a confirmed alias of the account; set from to {login}, or remove it",
            "{name} 会把发件人 {sender} 改为登录账号，除非该地址是账号已确认的别名；请把 from 改为 {login} 或删去"
        );
        values.findings.warn(&place, &key, message);
    }
}

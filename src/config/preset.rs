//! What a known mail service fills in, and what it is known to refuse.

use super::units;
use super::values::Values;
use crate::domain::Recipient;
use crate::transport::providers::{self, FromRule, Provider};

/// The service that `provider` names.
pub(super) fn read(values: &mut Values, home: &str) -> Option<Provider> {
    values.parsed(&format!("{home}.provider"), |text| {
        let near = || providers::nearest(text);
        providers::find(text).ok_or_else(|| near().map(|near| format!("did you mean \"{near}\"?")))
    })
}

/// Fills in the limits that are safe there, where the operator has written none.
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
        if let Some(value) = value.filter(|_| !values.by_hand(&key)) {
            values.supply(&key, &format!("provider \"{}\"", preset.name), &value);
        }
    }
}

/// Says before sending that the service takes no mail from this address with this login. Certain
/// with `provider`; by the host alone it is a warning.
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
    let advice = format!(
        "set from to {}, or leave it out; from_name names the sender freely",
        login.masked()
    );
    if service.refuses_from(username, from).is_some() {
        let message = format!(
            "{name} takes mail only from the login itself and will refuse {}; {advice} / {name} 只接受登录账号本身作为发件人：请把 from 改为 {}，或删去",
            from.masked(),
            login.masked()
        );
        if preset.is_some() {
            values.findings.problem(&place, &key, message);
        } else {
            values.findings.warn(&place, &key, message);
        }
    } else if service.from == FromRule::Rewritten {
        let message = format!(
            "{name} puts the login in the place of {} unless that is a confirmed alias of the account; {advice} / {name} 会把发件人改为登录账号，除非该地址是已确认的别名",
            from.masked()
        );
        values.findings.warn(&place, &key, message);
    }
}

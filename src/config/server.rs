//! The keys that every mail server has, whether it is used by SMTP or by an HTTP API.

use super::values::Values;
use crate::domain::Mailbox;
use crate::transport::Common;

/// Reads the common keys of the server at `home`. The name may be empty.
pub(super) fn common(
    values: &mut Values,
    home: &str,
    from: Mailbox,
    reply_to: Vec<Mailbox>,
) -> Common {
    let key = |name: &str| format!("{home}.{name}");
    let (cooldown, cooldown_max) = values.pauses(&key("cooldown"), &key("cooldown_max"));
    Common {
        name: values.line(&key("name"), 64).unwrap_or_default().into(),
        from,
        reply_to,
        max_connections: values.count(&key("max_connections")),
        rate_limit: values.rate(&key("rate_limit")),
        cooldown,
        cooldown_max,
        locale: values.locale("email.locale"),
    }
}

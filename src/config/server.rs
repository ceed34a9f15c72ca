//! The keys of all mail servers, for SMTP and for HTTP APIs.

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
        name: values.line(&key("name")).unwrap_or_default().into(),
        from,
        reply_to,
        max_connections: values.whole(&key("max_connections")).unwrap_or(1),
        rate_limit: values.rate(&key("rate_limit")),
        cooldown,
        cooldown_max,
        locale: values.locale("email.locale"),
    }
}

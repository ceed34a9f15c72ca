//! `[hooks.NAME]`: the services that send webhooks.

use super::Sources;
use super::message::message;
use super::values::Values;
use super::{mapping, verification};
use crate::http;
use crate::intake::hooks::verify::Verifier;
use crate::intake::hooks::{Kind, Settings};

/// Default body limit of kinds that send images inside the payload; otherwise it is
/// `server.max_body`.
const WITH_IMAGES: usize = 32 * 1_024 * 1_024;

/// Reads all hooks. Invalid hooks are reported and left out.
pub(super) fn read(
    values: &mut Values,
    sources: &Sources,
    server: &http::Settings,
) -> Vec<Settings> {
    let names = values.hooks().into_iter();
    names
        .filter_map(|name| hook(values, sources, server, &name))
        .collect()
}

fn hook(
    values: &mut Values,
    sources: &Sources,
    server: &http::Settings,
    name: &str,
) -> Option<Settings> {
    let home = format!("hooks.{name}");
    let key = |name: &str| format!("{home}.{name}");
    let kind = kind(values, &home, name);
    let verifier = verification::read(values, sources, &home, kind, server.has_tokens());
    let max_body = values.bytes(&key("max_body"));
    let replay_window = if values.has(&key("replay_window")) {
        values.span(&key("replay_window"))
    } else {
        std::time::Duration::from_mins(5)
    };
    let unconfirmed = values.flag(&key("unconfirmed"));
    let to = values.recipients(&key("to"), 50);
    let locale = values
        .has(&key("locale"))
        .then(|| values.locale(&key("locale")));
    let mapping = mapping::read(values, &home, kind.is_none_or(|kind| kind == Kind::Generic));
    let (kind, verifier) = (kind?, verifier?);
    let takes_images = kind.sends_pictures() && verifier != Verifier::Nothing;
    Some(Settings {
        name: name.to_owned(),
        kind,
        verifier,
        unconfirmed,
        replay_window,
        max_body: max_body.or_else(|| takes_images.then_some(WITH_IMAGES)),
        to,
        locale,
        mapping,
    })
}

/// The service. A hook named after its service needs no `kind`.
fn kind(values: &mut Values, home: &str, name: &str) -> Option<Kind> {
    let path = format!("{home}.kind");
    if values.has(&path) {
        return values.choice(&path).and_then(Kind::from_name);
    }
    let kind = Kind::from_name(name);
    if kind.is_none() {
        let kinds = Kind::NAMES.join(", ");
        let message = message!(
            "is missing; set it to the service that posts there, one of {kinds}",
            "缺失；请设为推送到该地址的服务，可选 {kinds}"
        );
        values.missing(home, "kind", message);
    }
    kind
}

//! Aliyun DirectMail by its HTTP API: `provider = "directmail"` with `api = true`, or an access
//! key.

use super::values::Values;
use super::{Sources, credentials};
use crate::transport::directmail::{self, DEFAULT_REGION, Settings};
use crate::transport::providers::Provider;

/// The keys that only the HTTP API uses.
const API_KEYS: [&str; 5] = [
    "access_key_id",
    "access_key_secret",
    "access_key_secret_file",
    "region",
    "endpoint",
];

/// Whether mails go by the HTTP API: as `api` says, else where an access key is given for
/// DirectMail.
pub(super) fn is_wanted(values: &mut Values, home: &str, preset: Option<&Provider>) -> bool {
    let api = format!("{home}.api");
    let service = preset.filter(|preset| preset.name == "directmail");
    // Half a key is enough to know what is meant; what is missing of it is told.
    let given = [
        "access_key_id",
        "access_key_secret",
        "access_key_secret_file",
    ]
    .map(|name| format!("{home}.{name}"));
    if let Some(key) = given
        .iter()
        .find(|key| values.by_hand(key))
        .filter(|_| service.is_some() && !values.has(&api))
    {
        let origin = values.origin(key);
        values.supply(&api, &origin, "true");
    }
    let said = values.has(&api) && values.flag(&api);
    if said && service.is_none() {
        values.problem(&api, format!("only {home}.provider = \"directmail\" can be sent through by its HTTP API; take one of both out"));
    }
    said && service.is_some()
}

/// Says of keys of the API that they do nothing where mails go by SMTP.
pub(super) fn unused(values: &mut Values, home: &str) {
    for name in API_KEYS {
        let key = format!("{home}.{name}");
        // Read all the same, so that a bad value is told.
        values.text(&key);
        if values.by_hand(&key) {
            values.warn(&key, format!("this is for {home}.provider = \"directmail\" with {home}.api = true; it is not used"));
        }
    }
}

/// One DirectMail account; `None` when something about it is wrong.
pub(super) fn server(values: &mut Values, sources: &Sources, home: &str) -> Option<Settings> {
    let key = |name: &str| format!("{home}.{name}");
    not_by_smtp(values, home);
    let access_key_id = values.line(&key("access_key_id"), 200);
    let access_key_secret = credentials::secret(values, sources, home, "access_key_secret");
    let region = region(values, &key("region"));
    let endpoint = values.parsed(&key("endpoint"), |text| {
        match directmail::address(Some(text), DEFAULT_REGION) {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => Err(Some(error.to_string())),
        }
    });
    for (name, there) in [
        ("access_key_id", access_key_id.is_some()),
        ("access_key_secret", access_key_secret.is_some()),
    ] {
        let (key, file) = (key(name), key(&format!("{name}_file")));
        if !there && !values.has(&key) && !values.has(&file) && values.complete() {
            let place = values.origin(&format!("{home}.api"));
            let variable = format!("ALIYUN_{}", name.to_ascii_uppercase());
            values.findings.problem(
                &place,
                &key,
                format!("DirectMail's HTTP API needs {key} (or the variable {variable}); `jobbell providers directmail` says how to get it"),
            );
        }
    }
    let tls_ca_file = credentials::certificate(values, sources, &key("tls_ca_file"));
    let timeout = values.span(&key("timeout"));
    Some(Settings {
        access_key_id: access_key_id?,
        access_key_secret: access_key_secret?,
        region,
        endpoint,
        timeout,
        tls_ca_file,
    })
}

fn region(values: &mut Values, key: &str) -> String {
    let named = values.parsed(key, |text| {
        if directmail::is_region(text) {
            Ok(text.to_owned())
        } else {
            Err(None)
        }
    });
    if !values.has(key) {
        values.supply(key, super::layers::BUILT_IN, DEFAULT_REGION);
    }
    named.unwrap_or_else(|| DEFAULT_REGION.to_owned())
}

/// Says of what belongs to SMTP that it does nothing here.
fn not_by_smtp(values: &mut Values, home: &str) {
    for name in ["host", "port", "password", "password_file"] {
        let key = format!("{home}.{name}");
        if values.by_hand(&key) {
            values.warn(&key, format!("with {home}.api = true mails go by the HTTP API and this is not used; api = false would send by SMTP"));
        }
    }
}

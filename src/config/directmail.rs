//! Aliyun DirectMail over its HTTP API: `provider = "directmail"` with `api = true` or an access key.

use super::layers::BUILT_IN;
use super::message::{Message, message};
use super::reads::is_line;
use super::values::Values;
use super::{Sources, credentials, files};
use crate::transport::directmail::{self, DEFAULT_REGION, Settings};
use crate::transport::providers::Provider;

/// Keys that only the HTTP API uses.
const API_KEYS: [&str; 5] = [
    "access_key_id",
    "access_key_secret",
    "access_key_secret_file",
    "region",
    "endpoint",
];

/// Whether to send over the HTTP API: if `api` is true, or if an access key for DirectMail is set.
pub(super) fn is_wanted(values: &mut Values, home: &str, preset: Option<&Provider>) -> bool {
    let api = format!("{home}.api");
    let service = preset.filter(|preset| preset.name == "directmail");
    // Half a key suffices here; the missing half is reported later.
    let mut secrets = API_KEYS.iter().take(3).map(|name| format!("{home}.{name}"));
    let given = secrets.find(|key| values.is_set(key));
    if let Some(key) = given.filter(|_| service.is_some() && !values.has(&api)) {
        let origin = values.origin(&key);
        values.supply(&api, &origin, "true");
    }
    let wanted = values.flag(&api);
    if wanted && service.is_none() {
        values.problem(
            &api,
            message!(
                "only {home}.provider = \"directmail\" has an HTTP API; remove api or change the provider",
                "只有 {home}.provider = \"directmail\" 支持 HTTP API；请删去 api 或更改 provider"
            ),
        );
    }
    wanted && service.is_some()
}

/// Warns about keys of the API for a server that is used over SMTP.
pub(super) fn unused(values: &mut Values, home: &str) {
    for name in API_KEYS {
        let key = format!("{home}.{name}");
        // Read anyway, to report an invalid value.
        values.text(&key);
        if values.is_set(&key) {
            values.warn(
                &key,
                message!(
                    "has no effect without {home}.provider = \"directmail\" and {home}.api = true",
                    "不起作用；仅用于 {home}.provider = \"directmail\" 且 {home}.api = true"
                ),
            );
        }
    }
}

/// One DirectMail account; `None` if it is invalid.
pub(super) fn server(values: &mut Values, sources: &Sources, home: &str) -> Option<Settings> {
    let key = |name: &str| format!("{home}.{name}");
    unused_by_api(values, home);
    let access_key_id = values.checked(&key("access_key_id"), |text| is_line(text, 200));
    let access_key_secret = credentials::secret(values, sources, home, "access_key_secret");
    let region = region(values, &key("region"));
    let endpoint = values.parsed(&key("endpoint"), |text| {
        match directmail::address(Some(text), DEFAULT_REGION) {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => Err(Some(Message::from(error.to_string()))),
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
            let message = message!(
                "DirectMail's HTTP API needs {key} (or the variable {variable}); `jobbell providers directmail` explains how to get it",
                "邮件推送的 HTTP API 需要 {key}（或环境变量 {variable}）；获取方法见 `jobbell providers directmail`"
            );
            values.findings.problem(&place, &key, message);
        }
    }
    let tls_ca_file = files::certificate(values, sources, &key("tls_ca_file"));
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
    let named = values.checked(key, directmail::is_region);
    if !values.has(key) {
        values.supply(key, BUILT_IN, DEFAULT_REGION);
    }
    named.unwrap_or_else(|| DEFAULT_REGION.to_owned())
}

/// Warns about keys of SMTP for a server that is used over the API.
fn unused_by_api(values: &mut Values, home: &str) {
    for name in ["host", "port", "password", "password_file"] {
        let key = format!("{home}.{name}");
        if values.is_set(&key) {
            values.warn(
                &key,
                message!(
                    "has no effect with {home}.api = true; set api = false to send over SMTP",
                    "{home}.api = true 时不起作用；如需通过 SMTP 发送，请设置 api = false"
                ),
            );
        }
    }
}

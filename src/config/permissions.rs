//! What other users of this machine, or others on the network, could do to a configuration that is
//! good otherwise.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::ownership::{existing, others_may_write};
use super::values::Values;
use super::{Config, KEYS, Sources};
use crate::http::Listen;

/// Adds a warning for each thing that is open to others.
pub(super) fn check(
    values: &mut Values,
    sources: &Sources,
    file: Option<(&Path, &str)>,
    config: &Config,
) {
    if let Some((path, name)) = file {
        configuration(values, &sources.resolve(path), name);
    }
    state_dir(values, &config.queue.state_dir);
    match &config.server.listen {
        Listen::Unix(path) => socket_path(values, path),
        Listen::Tcp(address) if !address.ip().to_canonical().is_loopback() => {
            clear_text(values, &address.to_string());
        }
        Listen::Tcp(_) => {}
    }
}

/// The file itself: nobody else should read its secrets, and nobody else change it.
fn configuration(values: &mut Values, path: &Path, name: &str) {
    let Ok(meta) = std::fs::metadata(path) else {
        return;
    };
    if others_may_write(&meta) {
        values.findings.warn(
            name,
            "",
            "every user of this machine can change this file; chmod o-w it",
        );
    }
    if meta.mode() & 0o004 == 0 {
        return;
    }
    let secret = values
        .paths()
        .find(|path| is_secret(path) && values.origin(path).starts_with(&format!("{name}:")))
        .map(str::to_owned);
    if let Some(key) = secret {
        let message = format!(
            "every user of this machine can read this secret; chmod 600 {}, or keep it in a file of its own ({key}_file)",
            path.display()
        );
        values.findings.warn(&values.origin(&key), &key, message);
    }
}

fn is_secret(path: &str) -> bool {
    super::lookup::find(path).is_some_and(|key| key.kind.is_secret())
}

fn state_dir(values: &mut Values, path: &Path) {
    const KEY: &str = "queue.state_dir";
    let Some((folder, meta)) = existing(path) else {
        return;
    };
    // A sticky folder above is safe once ours is in it; as the state folder itself it is not.
    let is_above = folder != path;
    let is_sticky = meta.mode() & 0o1000 != 0;
    if others_may_write(&meta) && !(is_above && is_sticky) {
        let message = format!(
            "every user of this machine can write to {}, and so replace the queue; chmod o-w it",
            folder.display()
        );
        values.findings.warn(&values.origin(KEY), KEY, message);
    }
}

fn socket_path(values: &mut Values, path: &Path) {
    const KEY: &str = "server.listen";
    let folder = path.parent().and_then(existing);
    if let Some((folder, _)) =
        folder.filter(|(_, meta)| others_may_write(meta) && meta.mode() & 0o1000 == 0)
    {
        let message = format!(
            "every user of this machine can replace the socket, for {} is writable for others; chmod o-w it",
            folder.display()
        );
        values.findings.warn(&values.origin(KEY), KEY, message);
    }
    if let Some(message) = open_socket(path) {
        values.findings.warn(&values.origin(KEY), KEY, message);
    }
}

/// What is wrong with a socket that exists: that every user may connect to it.
pub fn open_socket(path: &Path) -> Option<String> {
    let meta = std::fs::metadata(path).ok().filter(others_may_write)?;
    let mode = meta.mode() & 0o777;
    Some(format!(
        "every user of this machine can connect to {} (mode {mode:04o}); chmod 660 it, or set SocketMode=0660 in the socket unit",
        path.display()
    ))
}

fn clear_text(values: &mut Values, address: &str) {
    const KEY: &str = "server.listen";
    let has_tokens = KEYS.iter().any(|key| {
        key.table == "server" && key.name.starts_with("token") && values.has(&key.path())
    });
    if has_tokens {
        let message = format!(
            "tokens cross the network unencrypted to {address}; listen on 127.0.0.1 or a unix socket, behind a proxy that speaks TLS"
        );
        values.findings.warn(&values.origin(KEY), KEY, message);
    }
}

//! Warns about configurations that other users of this machine, or others on the network, could read
//! or change.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::keys::KEYS;
use super::message::{Message, message};
use super::ownership::{existing, others_may_write};
use super::shown::mask_url;
use super::value::Value;
use super::values::Values;
use super::{Config, Sources};
use crate::http::Listen;

/// Warns about everything that is open to others.
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

/// Warns if others can change the file, or read a secret in it.
fn configuration(values: &mut Values, path: &Path, name: &str) {
    let Ok(meta) = std::fs::metadata(path) else {
        return;
    };
    if others_may_write(&meta) {
        values.findings.warn(
            name,
            "",
            [
                "all users can change this file; run chmod o-w on it",
                "所有用户都能修改该文件；请对其执行 chmod o-w",
            ],
        );
    }
    if meta.mode() & 0o004 == 0 {
        return;
    }
    let secret = values
        .paths()
        .find(|path| {
            let is_secret = is_secret(path) || contains_password(values, path);
            is_secret && values.origin(path).starts_with(&format!("{name}:"))
        })
        .map(str::to_owned);
    if let Some(key) = secret {
        let file = match key.as_str() {
            "queue.url" | "queue.listen_url" => "queue.password_file".to_owned(),
            key => format!("{key}_file"),
        };
        let message = message!(
            "all users can read this secret; run chmod 600 {0}, or move it to a separate file ({file})",
            "所有用户都能读取该密钥；请执行 chmod 600 {0}，或改存到单独的文件（{file}）",
            path.display()
        );
        values.warn(&key, message);
    }
}

fn is_secret(path: &str) -> bool {
    super::lookup::find(path).is_some_and(|key| key.kind.is_secret())
}

/// Whether a database's URL contains a password.
fn contains_password(values: &Values, path: &str) -> bool {
    let is_masked = |value: &Value| mask_url(&value.to_string()).contains("***");
    matches!(path, "queue.url" | "queue.listen_url") && values.stated(path).is_some_and(is_masked)
}

fn state_dir(values: &mut Values, path: &Path) {
    const KEY: &str = "queue.state_dir";
    let Some((folder, meta)) = existing(path) else {
        return;
    };
    // A sticky parent directory is safe; as the state directory itself it is not.
    let is_parent = folder != path;
    let is_sticky = meta.mode() & 0o1000 != 0;
    if others_may_write(&meta) && !(is_parent && is_sticky) {
        let message = message!(
            "all users can write to {0} and replace the queue; run chmod o-w on it",
            "所有用户都能写入 {0} 并替换队列；请对其执行 chmod o-w",
            folder.display()
        );
        values.warn(KEY, message);
    }
}

fn socket_path(values: &mut Values, path: &Path) {
    const KEY: &str = "server.listen";
    let folder = path.parent().and_then(existing);
    if let Some((folder, _)) =
        folder.filter(|(_, meta)| others_may_write(meta) && meta.mode() & 0o1000 == 0)
    {
        let message = message!(
            "all users can write to {0} and replace the socket; run chmod o-w on it",
            "所有用户都能写入 {0} 并替换套接字；请对其执行 chmod o-w",
            folder.display()
        );
        values.warn(KEY, message);
    }
    if let Some(message) = open_socket(path) {
        values.warn(KEY, message);
    }
}

/// The warning about a socket to which all users can connect.
pub fn open_socket(path: &Path) -> Option<Message> {
    let meta = std::fs::metadata(path).ok().filter(others_may_write)?;
    let mode = meta.mode() & 0o777;
    Some(message!(
        "all users can connect to {0} (mode {mode:04o}); run chmod 660 on it, or set SocketMode=0660 in the socket unit",
        "所有用户都能连接 {0}（权限 {mode:04o}）；请对其执行 chmod 660，或在 socket 单元中设置 SocketMode=0660",
        path.display()
    ))
}

fn clear_text(values: &mut Values, address: &str) {
    const KEY: &str = "server.listen";
    let has_tokens = KEYS.iter().any(|key| {
        key.table == "server" && key.name.starts_with("token") && values.has(&key.path())
    });
    if has_tokens {
        let message = message!(
            "tokens are sent unencrypted to {address}; listen on 127.0.0.1 or a Unix socket behind a TLS proxy",
            "发往 {address} 的令牌未加密；请监听 127.0.0.1 或 Unix 套接字，并置于 TLS 代理之后"
        );
        values.warn(KEY, message);
    }
}

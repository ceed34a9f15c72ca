//! Files that keys name: secrets and root certificates.

use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::message::{Message, message};
use super::values::{Refusal, Values};
use super::{Sources, invisible};

/// Maximum bytes of a file with a password or tokens.
const MAX_FILE: u64 = 64 * 1_024;

/// A path without control characters.
pub(super) fn file_name(text: &str) -> Result<PathBuf, Refusal> {
    if text.chars().any(char::is_control) {
        Err(Some(
            ["a path has no control characters", "路径中不能有控制字符"].into(),
        ))
    } else {
        Ok(PathBuf::from(text))
    }
}

/// The text of the file that a key names. Only regular files, because a pipe could block forever.
pub(super) fn secret_file(values: &mut Values, sources: &Sources, path: &str) -> Option<String> {
    let file = sources.resolve(values.parsed(path, file_name)?);
    let shown = file.display();
    match read(&file) {
        Ok((text, mode)) => {
            warn_if_readable(values, path, &file, mode);
            Some(text)
        }
        Err(why) => {
            let name = format!("{shown} ");
            values.problem(path, why.after(&name, &name));
            None
        }
    }
}

fn warn_if_readable(values: &mut Values, path: &str, file: &Path, mode: u32) {
    if mode & 0o004 != 0 {
        let shown = file.display();
        values.warn(
            path,
            message!(
                "{shown} can be read by all users; run chmod 600 on it",
                "所有用户都能读取 {shown}；请对其执行 chmod 600"
            ),
        );
    }
}

/// The path of a file with a key of this many random bytes.
#[cfg(feature = "postgres")]
pub(super) fn key_file(
    values: &mut Values,
    sources: &Sources,
    path: &str,
    bytes: u64,
) -> Option<PathBuf> {
    let file = sources.resolve(values.parsed(path, file_name)?);
    let why = match std::fs::File::open(&file).and_then(|file| file.metadata()) {
        Ok(meta) if meta.is_file() && meta.len() == bytes => {
            warn_if_readable(values, path, &file, meta.permissions().mode());
            return Some(file);
        }
        Ok(_) => message!(
            "does not contain {bytes} bytes; make one with (umask 077; head -c {bytes} /dev/urandom > FILE), and copy it to every node",
            "不是 {bytes} 字节；请用 (umask 077; head -c {bytes} /dev/urandom > 文件) 生成，并复制到每个节点"
        ),
        Err(error) => explain(&error),
    };
    let name = format!("{} ", file.display());
    values.problem(path, why.after(&name, &name));
    None
}

/// Why a file cannot be read; follows its name.
fn explain(error: &std::io::Error) -> Message {
    match error.kind() {
        ErrorKind::NotFound => [
            "does not exist; create it or correct the path",
            "不存在；请创建该文件或更正路径",
        ]
        .into(),
        ErrorKind::PermissionDenied => [
            "cannot be read: permission denied; make it readable for the user of the daemon, or use LoadCredential=",
            "无法读取：没有权限；请让守护进程的用户可读，或使用 LoadCredential=",
        ]
        .into(),
        kind => message!(
            "cannot be read: {kind}; correct the path or the file",
            "无法读取：{kind}；请更正路径或文件"
        ),
    }
}

fn read(path: &Path) -> Result<(String, u32), Message> {
    let meta = std::fs::metadata(path).map_err(|error| explain(&error))?;
    if !meta.is_file() {
        return Err([
            "is not a regular file; use a file that contains the secret",
            "不是普通文件；请改用存放密钥的文件",
        ]
        .into());
    }
    if meta.len() > MAX_FILE {
        return Err([
            "is larger than 64 KiB; use a file that contains only the secret",
            "大于 64 KiB；请改用只存放密钥的文件",
        ]
        .into());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| explain(&error))?;
    file.take(MAX_FILE)
        .read_to_end(&mut bytes)
        .map_err(|error| explain(&error))?;
    let text = crate::encoding::utf8_file(bytes)
        .map_err(|why| Message::from((why.to_string(), "不是 UTF-8 文本".to_owned())))?;
    if invisible::trimmed(&text).is_empty() {
        return Err([
            "is empty; write the secret into it",
            "为空；请把密钥写入其中",
        ]
        .into());
    }
    Ok((text, meta.permissions().mode()))
}

/// The path of a file with root certificates. Checks that it contains a certificate, so that a wrong
/// path is reported at start.
pub(super) fn certificate(values: &mut Values, sources: &Sources, path: &str) -> Option<PathBuf> {
    let file = sources.resolve(values.parsed(path, file_name)?);
    let contains_certificate = |bytes: Vec<u8>| {
        let mut windows = bytes.windows(17);
        windows.any(|part| part == b"BEGIN CERTIFICATE")
    };
    let checked = match std::fs::metadata(&file) {
        Ok(meta) if meta.is_file() && meta.len() <= 16 * MAX_FILE => {
            std::fs::read(&file).map(contains_certificate)
        }
        Ok(_) => Ok(false),
        Err(error) => Err(error),
    };
    let shown = file.display();
    let message = match checked {
        Ok(true) => return Some(file),
        Ok(false) => message!(
            "{shown} is not a PEM certificate file (-----BEGIN CERTIFICATE-----) of at most 1 MiB",
            "{shown} 不是 PEM 证书文件（-----BEGIN CERTIFICATE-----，最大 1 MiB）"
        ),
        Err(error) => message!(
            "{shown} cannot be read: {0}; correct the path or the file",
            "{shown} 无法读取：{0}；请更正路径或文件",
            error.kind()
        ),
    };
    values.problem(path, message);
    None
}

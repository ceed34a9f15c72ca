//! The sources of a configuration: a file, environment variables, the command line.

use std::ffi::OsString;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::message::{Message, message};
use super::report::Findings;
use super::{lookup, ownership};
use crate::domain::Locale;

/// Maximum bytes of a configuration file.
const MAX_FILE: u64 = 1_024 * 1_024;

/// The sources of a configuration. [`super::load`] reads nothing else, except files that they name.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file given with `--config`.
    pub path: Option<PathBuf>,
    /// The environment variables.
    pub env: Vec<(OsString, OsString)>,
    /// Values from the command line: key (`server.listen`), value, and the name of the place
    /// (`--listen`).
    pub overrides: Vec<(String, String, String)>,
    /// Where the file is searched, in this order, if neither `path` nor `$JOBBELL_CONFIG` names one.
    /// A relative path is used only if the file is safe: it and its directories belong to this user
    /// or root, others cannot write to them, and it has one of the known tables.
    pub places: Vec<PathBuf>,
    /// Whether a missing password can be asked for at a terminal, and is no problem.
    pub can_ask_password: bool,
    /// The base of relative paths; if empty, the working directory of the process.
    pub working_dir: PathBuf,
}

impl Sources {
    /// The sources of the `jobbell` program: the environment, `./config.toml` and
    /// `/etc/jobbell/config.toml`.
    pub fn from_process(path: Option<PathBuf>) -> Self {
        let places = vec![
            PathBuf::from("config.toml"),
            PathBuf::from("/etc/jobbell/config.toml"),
        ];
        Self {
            path,
            env: std::env::vars_os().collect(),
            places,
            ..Self::default()
        }
    }

    /// A variable that is set and not empty.
    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        self.env
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.clone())
    }

    /// A path relative to `working_dir`.
    pub(super) fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.working_dir.join(path)
    }

    /// The file chosen with `--config` or `$JOBBELL_CONFIG`, and the name of that place.
    fn chosen(&self) -> Option<(PathBuf, &'static str)> {
        match (&self.path, self.variable("JOBBELL_CONFIG")) {
            (Some(path), _) => Some((path.clone(), "--config")),
            (None, Some(path)) => Some((PathBuf::from(path), "$JOBBELL_CONFIG")),
            (None, None) => None,
        }
    }

    /// Whether the file was found in the working directory, and not chosen. The directory may belong
    /// to others (a checkout, a shared directory).
    pub fn is_from_working_directory(&self, file: &Path) -> bool {
        self.chosen().is_none() && file.is_relative()
    }

    /// Reads the configuration file: its path, its name in places, and its text.
    pub(super) fn read_file(&self, findings: &mut Findings) -> Option<(PathBuf, String, String)> {
        if let Some((path, place)) = self.chosen() {
            let name = path.display().to_string();
            return match read(&self.resolve(&path)) {
                Ok(text) => Some((path, name, text)),
                Err(refused) => {
                    findings.problem(place, "", refused.of_file(&name));
                    None
                }
            };
        }
        for path in &self.places {
            let name = path.display().to_string();
            let read = if path.is_relative() {
                read_ours(&self.resolve(path))
            } else {
                read(&self.resolve(path))
            };
            match read {
                Ok(text) => return Some((path.clone(), name, text)),
                Err(Refused::Missing) => {}
                Err(Refused::NotOurs(why)) => {
                    let (en, zh) = (why.text(Locale::En), why.text(Locale::ZhCn));
                    let message = message!(
                        "file ignored, because it {en}; to use it anyway, pass --config {name}",
                        "该文件已被忽略：{zh}；如需使用，请指定 --config {name}"
                    );
                    let place = self.resolve(path).display().to_string();
                    findings.warn(&place, "", message);
                }
                Err(refused) => {
                    findings.problem(&name, "", refused.of_file(&name));
                    return None;
                }
            }
        }
        None
    }
}

/// Prints no values, because the environment contains passwords.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = format_args!(
            "{} variables, {} overrides",
            self.env.len(),
            self.overrides.len()
        )
        .to_string();
        f.debug_struct("Sources")
            .field("path", &self.path)
            .field("places", &self.places)
            .field("values", &counts)
            .finish_non_exhaustive()
    }
}

enum Refused {
    Missing,
    /// A file in the working directory that belongs to another user or program.
    NotOurs(Message),
    Other(Message),
}

impl Refused {
    /// The problem with a file of this name.
    fn of_file(self, name: &str) -> Message {
        let why = match self {
            Self::Missing => [
                "does not exist; correct the path, or copy the reference file config.toml there",
                "不存在；请更正路径，或把参考文件 config.toml 复制到该处",
            ]
            .into(),
            Self::NotOurs(why) | Self::Other(why) => why,
        };
        why.after(
            &format!("the configuration file {name} "),
            &format!("配置文件 {name} "),
        )
    }
}

fn explain(error: &std::io::Error) -> Refused {
    match error.kind() {
        ErrorKind::NotFound => Refused::Missing,
        ErrorKind::PermissionDenied => {
            let message = [
                "cannot be read: permission denied; change its mode or its owner",
                "无法读取：没有权限；请修改其权限或所有者",
            ];
            Refused::Other(message.into())
        }
        kind => Refused::Other(message!("cannot be read: {kind}", "无法读取：{kind}")),
    }
}

/// Reads a file that was found and not chosen: no other user may control it, and it must be a
/// configuration of this program (CWE-426).
fn read_ours(path: &Path) -> Result<String, Refused> {
    ownership::check_path(path).map_err(|fault| match fault {
        ownership::Fault::Missing => Refused::Missing,
        ownership::Fault::Untrusted(why) => Refused::NotOurs(why),
    })?;
    let bytes = read_bytes(path, |meta| {
        ownership::check_file(meta).map_err(Refused::NotOurs)
    })?;
    if !names_a_table(&String::from_utf8_lossy(&bytes)) {
        let message = [
            "has none of Jobbell's tables, such as [smtp]",
            "其中没有 Jobbell 的表，如 [smtp]",
        ];
        return Err(Refused::NotOurs(message.into()));
    }
    text(bytes)
}

fn read(path: &Path) -> Result<String, Refused> {
    text(read_bytes(path, |_| Ok(()))?)
}

fn read_bytes(
    path: &Path,
    check: impl FnOnce(&Metadata) -> Result<(), Refused>,
) -> Result<Vec<u8>, Refused> {
    // Non-blocking, because opening a named pipe could wait forever.
    let file = File::options()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(|error| explain(&error))?;
    let meta = file.metadata().map_err(|error| explain(&error))?;
    check(&meta)?;
    if !meta.is_file() {
        return Err(Refused::Other(
            ["is not a regular file", "不是普通文件"].into(),
        ));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| explain(&error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE) {
        return Err(Refused::Other(
            ["is larger than 1 MiB", "大于 1 MiB"].into(),
        ));
    }
    Ok(bytes)
}

/// The text without a byte order mark; Windows editors may also save UTF-16.
fn text(bytes: Vec<u8>) -> Result<String, Refused> {
    crate::encoding::utf8_file(bytes).map_err(|why| {
        let zh = "不是 UTF-8 文本；请另存为 UTF-8".to_owned();
        Refused::Other((format!("{why}; save it as UTF-8"), zh).into())
    })
}

/// Whether a line is the header of a known table, or sets a key of one (`smtp.host = …`, `smtp = {`).
/// The rest need not be valid TOML.
fn names_a_table(text: &str) -> bool {
    let is_ours = |line: &str| {
        let line = line.trim_start_matches([' ', '\t', '\u{FEFF}']);
        let name = line.trim_start_matches(['[', ' ', '\t', '"', '\'']);
        let rest = lookup::tables()
            .iter()
            .find_map(|table| name.strip_prefix(table));
        rest.is_some_and(|rest| {
            let header = line.starts_with('[')
                && !rest.starts_with(|c: char| c.is_alphanumeric() || "_-".contains(c));
            header
                || rest.starts_with('.')
                || rest
                    .trim_start()
                    .strip_prefix('=')
                    .is_some_and(|value| value.trim_start().starts_with('{'))
        })
    };
    text.lines().any(is_ours)
}

//! Where a configuration comes from: a file, variables, the command line.

use std::ffi::OsString;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::report::Findings;
use super::{lookup, ownership};

/// The most bytes that a configuration file may have.
const MAX_FILE: u64 = 1_024 * 1_024;

/// Everything that a configuration is read from; [`super::load`] looks at nothing else but the
/// files that these name.
#[derive(Clone, Default)]
pub struct Sources {
    /// `--config PATH`: this file and no other.
    pub path: Option<PathBuf>,
    /// The environment.
    pub env: Vec<(OsString, OsString)>,
    /// What the command line says: the key (`server.listen`), the value, and what to call the place
    /// (`--listen`).
    pub overrides: Vec<(String, String, String)>,
    /// Where files are looked for, in this order, when neither `path` nor `$JOBBELL_CONFIG` names
    /// one. A relative path is used only when the file is safe: it and its folders belong to this
    /// user or root, others cannot write to them, and it has one of our tables.
    pub places: Vec<PathBuf>,
    /// Whether a password that is missing can be asked for at a terminal, so that it is not a
    /// problem yet.
    pub can_ask_password: bool,
    /// What relative paths start at; empty means the process's working directory.
    pub working_dir: PathBuf,
}

impl Sources {
    /// What a process is started with: its environment, `./config.toml` and
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

    /// A path as the configuration means it.
    pub(super) fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.working_dir.join(path)
    }

    /// The file that the operator chose by `--config` or `$JOBBELL_CONFIG`, with what the choice is
    /// called.
    fn chosen(&self) -> Option<(PathBuf, &'static str)> {
        match (&self.path, self.variable("JOBBELL_CONFIG")) {
            (Some(path), _) => Some((path.clone(), "--config")),
            (None, Some(path)) => Some((PathBuf::from(path), "$JOBBELL_CONFIG")),
            (None, None) => None,
        }
    }

    /// Whether the file is one that merely lies in the working directory, which may be anybody's (a
    /// checkout, a shared folder).
    pub fn is_from_working_directory(&self, file: &Path) -> bool {
        self.chosen().is_none() && file.is_relative()
    }

    /// Reads the file that is in force: its path, what places in it are called, and its text.
    pub(super) fn read_file(&self, findings: &mut Findings) -> Option<(PathBuf, String, String)> {
        if let Some((path, place)) = self.chosen() {
            let name = path.display().to_string();
            return match read(&self.resolve(&path)) {
                Ok(text) => Some((path, name, text)),
                Err(why) => {
                    findings.problem(place, "", format!("the configuration file {name} {why}"));
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
                Err(Refused::NotOurs(why)) => findings.warn(
                    &self.resolve(path).display().to_string(),
                    "",
                    format!("this file is ignored, because it {why}; to use it all the same, name it: --config {name}"),
                ),
                Err(why) => {
                    findings.problem(&name, "", format!("the configuration file {name} {why}"));
                    return None;
                }
            }
        }
        None
    }
}

/// Shows which sources there are, never what they say: the environment holds passwords.
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
    /// A file of the working directory that is somebody else's, or another program's.
    NotOurs(String),
    Other(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => {
                "does not exist; correct the path, or copy the reference file config.toml there"
            }
            Self::NotOurs(why) | Self::Other(why) => why,
        })
    }
}

fn explain(error: &std::io::Error) -> Refused {
    match error.kind() {
        ErrorKind::NotFound => Refused::Missing,
        ErrorKind::PermissionDenied => {
            Refused::Other("may not be read by this user; change its mode or its owner".to_owned())
        }
        kind => Refused::Other(format!("cannot be read ({kind})")),
    }
}

/// Reads a file that was only found, not named: it must be nobody else's, and a configuration of
/// this program (CWE-426).
fn read_ours(path: &Path) -> Result<String, Refused> {
    ownership::check_path(path).map_err(|fault| match fault {
        ownership::Fault::Missing => Refused::Missing,
        ownership::Fault::Untrusted(why) => Refused::NotOurs(why),
    })?;
    let bytes = read_bytes(path, |meta| {
        ownership::check_file(meta).map_err(Refused::NotOurs)
    })?;
    if !names_a_table(&String::from_utf8_lossy(&bytes)) {
        return Err(Refused::NotOurs(
            "has none of Jobbell's tables, such as [smtp]".to_owned(),
        ));
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
    // Not blocking: a pipe in the file's place could keep us waiting for ever.
    let file = File::options()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(|error| explain(&error))?;
    let meta = file.metadata().map_err(|error| explain(&error))?;
    check(&meta)?;
    if !meta.is_file() {
        return Err(Refused::Other("is not a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| explain(&error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE) {
        return Err(Refused::Other("is larger than 1 MiB".to_owned()));
    }
    Ok(bytes)
}

/// Windows editors put a byte order mark before the text; UTF-16 is what their `Unicode` means.
fn text(bytes: Vec<u8>) -> Result<String, Refused> {
    crate::encoding::utf8_file(bytes)
        .map_err(|why| Refused::Other(format!("{why}; save it as UTF-8")))
}

/// Whether a line is the header of one of our tables, or sets a key of one (`smtp.host = …`, `smtp
/// = {`); also where the rest is no valid TOML.
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

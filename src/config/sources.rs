//! Where a configuration comes from: a file, variables, the command line.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::report::Findings;

/// The most bytes that a configuration file may have.
const MAX_FILE: u64 = 1_024 * 1_024;

/// Everything that a configuration is read from; [`super::load`] looks at nothing else but the files that these name.
#[derive(Clone, Default)]
pub struct Sources {
    /// `--config PATH`: this file and no other.
    pub path: Option<PathBuf>,
    /// The environment.
    pub env: Vec<(OsString, OsString)>,
    /// What the command line says: the key (`server.listen`), the value, and what to call the place (`--listen`).
    pub overrides: Vec<(String, String, String)>,
    /// Where files are looked for, in this order, when neither `path` nor `$JOBBELL_CONFIG` names one.
    pub places: Vec<PathBuf>,
    /// What relative paths start at; empty means the process's working directory.
    pub working_dir: PathBuf,
}

impl Sources {
    /// What a process is started with: its environment, `./config.toml` and `/etc/jobbell/config.toml`.
    pub fn from_process(path: Option<PathBuf>) -> Self {
        let places = vec![PathBuf::from("config.toml"), PathBuf::from("/etc/jobbell/config.toml")];
        Self { path, env: std::env::vars_os().collect(), places, ..Self::default() }
    }

    /// A variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<OsString> {
        self.env.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.clone())
    }

    /// A path as the configuration means it.
    pub(super) fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.working_dir.join(path)
    }

    /// Reads the file that is in force: its path, what places in it are called, and its text.
    pub(super) fn read_file(&self, findings: &mut Findings) -> Option<(PathBuf, String, String)> {
        let named = match (&self.path, self.variable("JOBBELL_CONFIG")) {
            (Some(path), _) => Some((path.clone(), "--config")),
            (None, Some(path)) => Some((PathBuf::from(path), "$JOBBELL_CONFIG")),
            (None, None) => None,
        };
        let candidates = named.as_ref().map_or_else(|| self.places.clone(), |(path, _)| vec![path.clone()]);
        for path in candidates {
            let name = path.display().to_string();
            match read(&self.resolve(&path)) {
                Ok(text) => return Some((path, name, text)),
                Err(Refused::Missing) if named.is_none() => {}
                Err(why) => {
                    let place = named.as_ref().map_or(name.as_str(), |(_, place)| place);
                    findings.problem(place, "", format!("the configuration file {name} {why}"));
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
        let counts = format_args!("{} variables, {} overrides", self.env.len(), self.overrides.len()).to_string();
        f.debug_struct("Sources").field("path", &self.path).field("places", &self.places).field("values", &counts).finish_non_exhaustive()
    }
}

enum Refused {
    Missing,
    Other(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "does not exist; correct the path, or copy the reference file config.toml there",
            Self::Other(why) => why,
        })
    }
}

fn read(path: &Path) -> Result<String, Refused> {
    let explain = |error: &std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Refused::Missing,
        std::io::ErrorKind::PermissionDenied => Refused::Other("may not be read by this user; change its mode or its owner".to_owned()),
        kind => Refused::Other(format!("cannot be read ({kind})")),
    };
    let meta = std::fs::metadata(path).map_err(|error| explain(&error))?;
    if !meta.is_file() {
        return Err(Refused::Other("is not a regular file".to_owned()));
    }
    if meta.len() > MAX_FILE {
        return Err(Refused::Other("is larger than 1 MiB".to_owned()));
    }
    let bytes = std::fs::read(path).map_err(|error| explain(&error))?;
    String::from_utf8(bytes).map_err(|_| Refused::Other("is not UTF-8 text; save it as UTF-8".to_owned()))
}

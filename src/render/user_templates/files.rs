//! Reads the files of a template folder.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::TemplateError;

/// Maximum number of files, bytes of one file, and folder depth.
const LIMITS: (usize, u64, usize) = (200, 256 * 1_024, 3);

/// Maximum bytes of all files together.
const MAX_TOTAL: u64 = 4 * 1_024 * 1_024;

/// Reads the `.html` and `.txt` files of a folder by their relative path, such as
/// `success/body.html`. Hidden files are skipped. Symbolic links are followed within the folder, as
/// container volumes need that.
pub(super) fn read(folder: &Path) -> Result<BTreeMap<String, String>, Vec<TemplateError>> {
    let mut reading = Reading {
        root: PathBuf::new(),
        files: BTreeMap::new(),
        total: 0,
        faults: Vec::new(),
    };
    match folder.canonicalize() {
        Ok(root) => {
            reading.root = root;
            reading.folder(folder, "", 0);
        }
        Err(error) => reading.wrong(folder, &error),
    }
    if reading.faults.is_empty() {
        Ok(reading.files)
    } else {
        Err(reading.faults)
    }
}

struct Reading {
    root: PathBuf,
    files: BTreeMap<String, String>,
    total: u64,
    faults: Vec<TemplateError>,
}

impl Reading {
    fn wrong(&mut self, file: &Path, why: &dyn std::fmt::Display) {
        self.faults.push(TemplateError {
            file: file.to_owned(),
            line: 1,
            detail: why.to_string(),
        });
    }

    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.wrong(folder, &error),
        };
        for entry in entries {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(error) => return self.wrong(folder, &error),
            };
            let Some(name) = path
                .file_name()
                .and_then(|name| name.to_str())
                .filter(|name| !name.starts_with('.'))
            else {
                continue;
            };
            let name = [prefix, name].concat();
            if path.is_dir() && depth < LIMITS.2 {
                self.folder(&path, &[&name, "/"].concat(), depth + 1);
            } else if matches!(
                path.extension().and_then(OsStr::to_str),
                Some("html" | "txt")
            ) {
                self.file(&path, name);
            }
        }
    }

    fn file(&mut self, path: &Path, name: String) {
        match path.canonicalize() {
            Ok(real) if !real.starts_with(&self.root) => {
                return self.wrong(path, &"leads out of the template folder");
            }
            Ok(_) => {}
            Err(error) => return self.wrong(path, &error),
        }
        let length = path.metadata().map_or(0, |metadata| metadata.len());
        if length > LIMITS.1 {
            return self.wrong(
                path,
                &format_args!("has {length} bytes; at most {}", LIMITS.1),
            );
        }
        if self.files.len() >= LIMITS.0 {
            return self.wrong(
                path,
                &format_args!("exceeds the limit of {} files", LIMITS.0),
            );
        }
        self.total += length;
        if self.total > MAX_TOTAL {
            let total = self.total;
            return self.wrong(
                path,
                &format_args!("brings all files to {total} bytes; at most {MAX_TOTAL}"),
            );
        }
        match std::fs::read(path)
            .map_err(|error| error.to_string())
            .and_then(|bytes| crate::encoding::utf8_file(bytes).map_err(str::to_owned))
        {
            Ok(source) => drop(self.files.insert(name, source)),
            Err(error) => self.wrong(path, &error),
        }
    }
}

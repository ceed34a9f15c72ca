//! Reads an image below `email.image_root`, and nothing outside it, because producers choose the path.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, open, openat};

use super::decode::MAX_BYTES;
use crate::domain::MissingReason;

/// Reads a regular file below `root`. `path` is relative to it even if it starts with `/`; a path
/// that starts with `root` itself is understood, too.
///
/// The path is opened step by step from the root's descriptor, without following symbolic links:
/// neither `..` nor a link leads out, not even one created in the meantime. Blocks on the disk.
///
/// # Errors
/// [`Absence::NoFile`] if there is no such regular file, [`Absence::TooLarge`] if it is too large.
pub(super) fn read(root: &Path, path: &str) -> Result<Vec<u8>, MissingReason> {
    let below = Path::new(path)
        .strip_prefix(root)
        .map_or(path, |rest| rest.to_str().unwrap_or(path));
    let file = File::from(walk(root, below).ok_or(MissingReason::NoFile)?);
    if !file.metadata().is_ok_and(|file| file.is_file()) {
        return Err(MissingReason::NoFile);
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| MissingReason::NoFile)?;
    if bytes.len() > MAX_BYTES {
        Err(MissingReason::TooLarge)
    } else {
        Ok(bytes)
    }
}

fn walk(root: &Path, path: &str) -> Option<OwnedFd> {
    let path = path.replace('\\', "/");
    let mut steps = Vec::new();
    for step in Path::new(&path).components() {
        match step {
            Component::Normal(name) => steps.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    let name = steps.pop()?;
    let folder = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut place = open(root, folder, Mode::empty()).ok()?;
    for step in steps {
        place = openat(&place, step, folder | OFlags::NOFOLLOW, Mode::empty()).ok()?;
    }
    // Does not wait for the writer of a FIFO.
    openat(
        &place,
        name,
        OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    /// `secret.png` beside `root`, and an image in a folder of `root`.
    fn place() -> (tempfile::TempDir, std::path::PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        std::fs::create_dir_all(root.join("static/夜")).unwrap();
        std::fs::write(root.join("static/夜/a.png"), "picture").unwrap();
        std::fs::write(place.path().join("secret.png"), "secret").unwrap();
        (place, root)
    }

    #[test]
    fn path_is_relative_to_the_root_in_any_spelling() {
        let (_place, root) = place();
        let whole = root.join("static/夜/a.png");
        for path in [
            "static/夜/a.png",
            "/static/夜/a.png",
            "./static//夜/./a.png",
            "static\\夜\\a.png",
            whole.to_str().unwrap(),
        ] {
            assert_eq!(
                read(&root, path).as_deref(),
                Ok("picture".as_bytes()),
                "{path}"
            );
        }
    }

    #[test]
    fn no_path_leads_out_of_the_root() {
        let (place, root) = place();
        let outside = place.path().join("secret.png");
        symlink(&outside, root.join("file-link.png")).unwrap();
        symlink(place.path(), root.join("folder-link")).unwrap();
        symlink("../secret.png", root.join("static/relative-link.png")).unwrap();
        for path in [
            "../secret.png",
            "static/../../secret.png",
            "static/夜/../../../secret.png",
            "..\\secret.png",
            "file-link.png",
            "folder-link/secret.png",
            "static/relative-link.png",
            outside.to_str().unwrap(),
            "/etc/passwd",
            "secret.png\0.png",
            "static/夜/a.png\0",
            "\0",
            "..",
            "/",
            "",
            ".",
        ] {
            assert_eq!(read(&root, path), Err(MissingReason::NoFile), "{path:?}");
        }
        assert_eq!(
            read(&root.join("missing"), "a.png"),
            Err(MissingReason::NoFile)
        );
    }

    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
        let (_place, root) = place();
        assert!(
            Command::new("mkfifo")
                .arg(root.join("pipe.png"))
                .status()
                .unwrap()
                .success()
        );
        for path in ["static", "pipe.png"] {
            assert_eq!(read(&root, path), Err(MissingReason::NoFile), "{path}");
        }
        File::create(root.join("large.png"))
            .unwrap()
            .set_len(u64::try_from(MAX_BYTES).unwrap() + 1)
            .unwrap();
        assert_eq!(read(&root, "large.png"), Err(MissingReason::TooLarge));
    }
}

//! A file system with free bytes but no free inodes is reported as such, not as a full disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

/// A small file system with at most this many files, unmounted on drop. `None` where mounting is
/// not permitted.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, files: u32) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let options = format!("size=16m,nr_inodes={files}");
        let tried = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        tried
            .is_ok_and(|status| status.success())
            .then(|| Self(at.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[tokio::test]
async fn startup_without_free_inodes_reports_them() {
    let peer = SmtpPeer::start().await;
    // From a directory without free inodes to one where only the last file cannot be created.
    for files in 1..7 {
        let config = TestConfig::new(&peer);
        let Some(_small) = Small::mount(&config.state(), files) else {
            eprintln!("skipped: nothing can be mounted here");
            return;
        };
        let finished = config.run(&["serve"]).await;
        assert!(
            finished.code == Some(1) && finished.all().contains("no free inodes"),
            "{files} files: {finished:#?}"
        );
    }
}

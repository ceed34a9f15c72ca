//! Thumbnails: `email.preview`, `preview_wait`, `image_root` and `image_hosts`.

use super::Sources;
use super::files::file_name;
use super::message::message;
use super::values::Values;
use crate::domain::Link;
use crate::thumbnails::ssrf::OwnHost;
use crate::thumbnails::{BUILT_IN, Settings};

/// Maximum entries of `email.image_hosts`.
const MAX_HOSTS: usize = 1_000;

/// Reads the settings.
pub(super) fn read(values: &mut Values, sources: &Sources, public_url: Option<Link>) -> Settings {
    const PREVIEW: &str = "email.preview";
    const ROOT: &str = "email.image_root";
    let wanted = values.choice(PREVIEW) == Some("thumbnail");
    if wanted && !BUILT_IN {
        values.warn(
            PREVIEW,
            [
                "this build has no image decoders (feature `thumbnails`), so mails only link to images",
                "此版本不含图片解码功能（thumbnails），邮件中只有图片链接",
            ],
        );
    }
    let root = values
        .parsed(ROOT, file_name)
        .map(|path| sources.resolve(&path));
    if let Some(root) = root.as_ref().filter(|root| wanted && !root.is_dir()) {
        let message = message!(
            "the directory {0} does not exist, so no image will be found there",
            "目录 {0} 不存在，因此找不到其中的图片",
            root.display()
        );
        values.warn(ROOT, message);
    }
    let host = |text: &str| OwnHost::parse(text).map_err(|error| error.to_string());
    Settings {
        enabled: wanted && BUILT_IN,
        wait: values.span("email.preview_wait"),
        root,
        hosts: values.entries("email.image_hosts", MAX_HOSTS, host),
        public_url,
    }
}

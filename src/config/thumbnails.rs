//! The picture keys of `[email]`.

use super::Sources;
use super::credentials::file_name;
use super::values::Values;
use crate::domain::Link;
use crate::thumbnails::ssrf::OwnHost;
use crate::thumbnails::{BUILT_IN, Settings};

/// The most entries of `email.image_hosts`.
const MAX_HOSTS: usize = 1_000;

/// Reads them. `public_url` is read with the mails' own keys.
pub(super) fn read(values: &mut Values, sources: &Sources, public_url: Option<Link>) -> Settings {
    const PREVIEW: &str = "email.preview";
    const ROOT: &str = "email.image_root";
    let asked = values.choice(PREVIEW) == Some("thumbnail");
    if asked && !BUILT_IN {
        values.warn(PREVIEW, "this build has no picture decoders (the feature thumbnails), so mails only link their pictures");
    }
    let root = if values.has(ROOT) {
        values
            .parsed(ROOT, file_name)
            .map(|path| sources.resolve(&path))
    } else {
        None
    };
    if let Some(root) = root.as_ref().filter(|root| asked && !root.is_dir()) {
        values.warn(
            ROOT,
            format!(
                "there is no folder {}, so no picture will be found there",
                root.display()
            ),
        );
    }
    Settings {
        enabled: asked && BUILT_IN,
        wait: values.span("email.preview_wait"),
        root,
        hosts: hosts(values),
        public_url,
    }
}

fn hosts(values: &mut Values) -> Vec<OwnHost> {
    const PATH: &str = "email.image_hosts";
    let entries = values.list(PATH);
    if entries.len() > MAX_HOSTS {
        values.refuse(PATH, None);
        return Vec::new();
    }
    let mut hosts = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        match OwnHost::parse(entry) {
            Ok(host) => hosts.push(host),
            Err(error) => values.refuse(PATH, Some(format!("entry {}: {error}", index + 1))),
        }
    }
    hosts
}

//! Finds images in a result of any shape: links are kept, embedded files are left out.

use serde_json::Value;

use super::{EventBuilder, payload};
use crate::domain::event::MAX_IMAGES;
use crate::domain::{Image, Link};

/// Maximum depth of the search.
const MAX_DEPTH: usize = 8;
/// A text of this length that is valid base64 counts as a file; a shorter one only if its first
/// bytes look like one.
const BLOB: usize = 1_024;
/// Base64 prefixes of PNG, JPEG, GIF, WebP, MP4 and PDF.
const MAGIC: [&str; 6] = ["iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "AAAA", "JVBER"];

impl EventBuilder<'_> {
    /// Adds every image in a result: links, also inside lists and objects. An object with `url` may
    /// also have width, height and file size.
    pub fn images_at(mut self, places: &[&str]) -> Self {
        if let Some(result) = self.payload.first(places) {
            self.collect_images(result, 0);
        }
        self
    }

    /// The same in a result that was found already.
    pub fn collect_images(&mut self, result: &Value, depth: usize) {
        match result {
            Value::String(text) => self.image(text, Image::default()),
            Value::Array(items) if depth < MAX_DEPTH => {
                for item in items {
                    self.collect_images(item, depth + 1);
                }
            }
            Value::Object(fields) if depth < MAX_DEPTH => {
                if let Some(Value::String(url)) = fields.get("url") {
                    let whole = |name| {
                        fields
                            .get(name)
                            .and_then(payload::whole)
                            .filter(|number| *number > 0)
                    };
                    let side = |name| {
                        whole(name)
                            .and_then(|side| u32::try_from(side).ok())
                            .filter(|side| *side <= 1_000_000)
                    };
                    let file_size = whole("file_size").and_then(|size| u64::try_from(size).ok());
                    self.image(
                        url,
                        Image {
                            width: side("width"),
                            height: side("height"),
                            file_size,
                            ..Image::default()
                        },
                    );
                } else {
                    fields
                        .values()
                        .for_each(|value| self.collect_images(value, depth + 1));
                }
            }
            _ => {}
        }
    }

    /// Adds a text of a result if it is a link. Embedded files and other URLs are left out with a
    /// warning; other text is ignored.
    fn image(&mut self, text: &str, like: Image) {
        let text = text.trim();
        if text.starts_with("http://") || text.starts_with("https://") {
            match Link::parse(text) {
                Ok(_) if self.job.event.images.len() >= MAX_IMAGES => {
                    self.warn("more than 1,000 images; the rest was left out".to_owned());
                }
                Ok(link) => self.job.event.images.push(Image {
                    url: Some(link),
                    ..like
                }),
                Err(error) => self.warn(format!("an image link was left out: {error}")),
            }
        } else if is_file(text) {
            self.files += 1;
        } else if text.len() < Link::MAX_LEN
            && let Some((scheme, _)) = text.split_once("://")
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            self.warn(format!(
                "an image URL was left out: emails cannot link {scheme}"
            ));
        }
    }
}

/// Whether a text is an embedded file: a `data:` URL, or base64 that starts like a known format or
/// is long.
pub(super) fn is_file(text: &str) -> bool {
    let base64 = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+/=-_\r\n".contains(&b))
    };
    text.starts_with("data:")
        || (text.len() >= 64
            && MAGIC.iter().any(|magic| text.starts_with(magic))
            && base64(text.get(..64).unwrap_or_default()))
        || (text.len() >= BLOB && base64(text))
}

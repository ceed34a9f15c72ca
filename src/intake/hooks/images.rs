//! Pictures within a result, whatever its shape: links are kept, files written into the payload are
//! left out.

use serde_json::Value;

use super::{EventBuilder, payload};
use crate::domain::{Image, Link};

/// The most pictures of one event.
const MAX_IMAGES: usize = 1_000;
/// How deep a result is searched for pictures.
const MAX_DEPTH: usize = 8;
/// From so many characters on a text of nothing but base64 is taken for a file; below, only its
/// first bytes tell.
const BLOB: usize = 1_024;
/// How the base64 of a PNG, JPEG, GIF, WebP, MP4 or PDF begins.
const MAGIC: [&str; 6] = ["iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "AAAA", "JVBER"];

impl EventBuilder<'_> {
    /// Every picture within a result: links, also inside lists and objects. An object with `url`
    /// may have width, height and file size beside it.
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

    /// One text of a result: a link becomes a picture, a file inside the payload and an address of
    /// another kind are left out, the rest is no picture.
    fn image(&mut self, text: &str, like: Image) {
        let text = text.trim();
        if text.starts_with("http://") || text.starts_with("https://") {
            match Link::parse(text) {
                Ok(_) if self.job.event.images.len() >= MAX_IMAGES => {
                    self.warn("more than 1,000 pictures: the rest was left out".to_owned());
                }
                Ok(link) => self.job.event.images.push(Image {
                    url: Some(link),
                    ..like
                }),
                Err(error) => self.warn(format!("a picture's link was left out: {error}")),
            }
        } else if is_file(text) {
            self.files += 1;
        } else if text.len() < Link::MAX_LEN
            && let Some((scheme, _)) = text.split_once("://")
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            self.warn(format!(
                "a picture's address was left out: a mail cannot link {scheme}"
            ));
        }
    }
}

/// Whether a text is a file written as text: a `data:` URL, or base64 that begins as a picture does
/// or is long.
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

//! The pictures of a job: which are shown, how large, and where their links lead.

use std::borrow::Cow;

use serde::Serialize;

use super::facts;
use super::locale::{Words, fill, number};
use super::text::{line, shorten};
use crate::domain::{Image, JobEvent, Link};

/// The most pictures that are shown.
const MAX_SHOWN: usize = 8;
/// The most links by number to pictures that are not shown.
const MAX_NUMBERED: usize = 24;
/// What all links together may weigh in the HTML, escaped: with it the part stays below 60 kB whatever the event holds.
const HTML_BUDGET: usize = 18_000;
/// What all links together may weigh in the text part.
const TEXT_BUDGET: usize = 32_000;
/// The most paths without a link that are named, and the most characters of each.
const MAX_PATHS: (usize, usize) = (4, 160);
/// Pixels that a picture of its own may be wide and high; the column is 600 wide, less the border and 32 on each side.
const ALONE: (u32, u32) = (534, 560);
/// Pixels that a picture beside others may be wide on a phone, where its row folds.
const FOLDED: u32 = 263;
/// The most characters of the prompt in an alternative text.
const MAX_ALT: usize = 100;

/// A picture that the mail shows.
#[derive(Debug, Serialize)]
pub struct Picture<'a> {
    /// Its link, http or https, not yet escaped.
    pub href: Cow<'a, str>,
    /// What it is, in words.
    pub alt: Cow<'a, str>,
    /// Pixels across, as shown.
    pub width: u32,
    /// Pixels down, as shown.
    pub height: u32,
    /// Pixels across that it may grow to where its row folds.
    pub most: u32,
}

/// Pictures side by side in one table; blocks of one row stand beside each other where there is room and below each other on a phone.
#[derive(Debug, Serialize)]
pub struct Block<'a> {
    /// Pixels that the block may be wide.
    pub width: u32,
    /// Its pictures.
    pub pictures: Vec<Picture<'a>>,
}

/// The button that leads to the first picture.
#[derive(Debug, Serialize)]
pub struct Button<'a> {
    /// The link, http or https, not yet escaped.
    pub href: Cow<'a, str>,
    /// What it says.
    pub label: &'static str,
    /// Where it leads: a host, in words.
    pub host: String,
}

/// A link to a picture that is not shown.
#[derive(Debug, Serialize)]
pub struct Numbered<'a> {
    /// The link, http or https, not yet escaped.
    pub href: Cow<'a, str>,
    /// Which picture it is, from 1.
    pub number: usize,
}

/// All that a mail shows of a job's pictures.
#[derive(Debug, Default, Serialize)]
pub struct Gallery<'a> {
    /// The first picture, when it stands alone or above the others.
    pub hero: Option<Picture<'a>>,
    /// The others, in rows of blocks.
    pub rows: Vec<Vec<Block<'a>>>,
    /// How many are not shown, in words; empty when all are.
    pub more: String,
    /// Links to some of those.
    pub numbered: Vec<Numbered<'a>>,
    /// The button.
    pub button: Option<Button<'a>>,
    /// All links for the text part.
    pub links: Vec<Cow<'a, str>>,
    /// How many links are left out there, in words; empty when none is.
    pub more_links: String,
    /// Paths of pictures that have no link.
    pub paths: Vec<Cow<'a, str>>,
}

/// Lays the pictures out. `public_url` makes links of local paths.
pub fn gallery<'a>(job: &'a JobEvent, words: &'static Words, public_url: Option<&Link>) -> Gallery<'a> {
    let mut gallery = Gallery::default();
    let mut linked: Vec<(&'a Image, Cow<'a, str>)> = Vec::with_capacity(job.images.len());
    for image in &job.images {
        match (link_of(image, public_url), &image.local_path) {
            (Some(link), _) => linked.push((image, link)),
            (None, Some(path)) if gallery.paths.len() < MAX_PATHS.0 => gallery.paths.extend(line(path, MAX_PATHS.1)),
            (None, _) => {}
        }
    }
    let Some((_, first)) = linked.first() else { return gallery };
    let mut budget = HTML_BUDGET;
    let mut afford = |link: &str, times: usize| {
        let left = budget.checked_sub(escaped_len(link).saturating_mul(times));
        budget = left.unwrap_or(budget);
        left.is_some()
    };
    let visible = is_visible(job, first);
    let label = match (visible, linked.len()) {
        (false, _) => words.open_file,
        (true, 1) => words.open_image,
        (true, _) => words.open_first,
    };
    gallery.button = afford(first, 1).then(|| Button { href: first.clone(), label, host: fill(words.opens, host(first)) });
    let mut shown = 0;
    if visible {
        shown = linked.iter().take(MAX_SHOWN).take_while(|(_, link)| afford(link, 2)).count();
        arrange(&mut gallery, job, words, linked.get(..shown).unwrap_or_default());
    }
    if linked.len() > shown.max(1) {
        gallery.more = fill(words.more_images, &number(linked.len() - shown.max(1)));
        let rest = linked.iter().enumerate().skip(shown.max(1)).take(MAX_NUMBERED);
        let numbered = rest.take_while(|(_, (_, link))| afford(link, 1));
        gallery.numbered = numbered.map(|(index, (_, link))| Numbered { href: link.clone(), number: index + 1 }).collect();
    }
    list(&mut gallery, words, linked);
    gallery
}

/// The links of the text part, as many as its budget holds.
fn list<'a>(gallery: &mut Gallery<'a>, words: &'static Words, linked: Vec<(&'a Image, Cow<'a, str>)>) {
    let mut budget = TEXT_BUDGET;
    let all = linked.len();
    let affordable = linked.into_iter().map_while(|(_, link)| {
        budget = budget.checked_sub(link.len())?;
        Some(link)
    });
    gallery.links = affordable.collect();
    if gallery.links.len() < all {
        gallery.more_links = fill(words.more_links, &number(all - gallery.links.len()));
    }
}

/// Puts the shown pictures into rows without a gap: an odd one goes on top, the rest beside each other.
fn arrange<'a>(gallery: &mut Gallery<'a>, job: &'a JobEvent, words: &'static Words, shown: &[(&'a Image, Cow<'a, str>)]) {
    let (heroes, blocks_in_row, in_block) = match shown.len() {
        0 => return,
        1 => (1, 1, 1),
        2 | 4 => (0, 1, 2),
        3 => (1, 1, 2),
        5 => (1, 2, 2),
        6 => (0, 1, 3),
        7 => (1, 1, 3),
        _ => (0, 2, 2),
    };
    let (block_width, space) = match (blocks_in_row, in_block) {
        (2, _) => (271, 127),
        (_, 3) => (542, 172),
        _ => (542, 263),
    };
    let mut pictures = shown.iter().enumerate().map(|(index, (image, link))| {
        let space = if index < heroes { ALONE } else { (space, space * 2) };
        let (width, height) = fit(image, job, space);
        let most = if width < space.0 { width } else { width.max(FOLDED) };
        Picture { href: link.clone(), alt: alt(index, shown.len(), job, words), width, height, most }
    });
    gallery.hero = if heroes == 1 { pictures.next() } else { None };
    let mut rest = pictures.peekable();
    while rest.peek().is_some() {
        let row = (0..blocks_in_row).map(|_| Block { width: block_width, pictures: rest.by_ref().take(in_block).collect() });
        gallery.rows.push(row.collect());
    }
}

/// The first picture is described by the prompt, the others by their number: hearing one prompt eight times helps nobody.
fn alt<'a>(index: usize, of: usize, job: &'a JobEvent, words: &'static Words) -> Cow<'a, str> {
    let about = job.prompt.as_deref().or(job.title.as_deref()).and_then(|text| line(text, MAX_ALT));
    match (index, about) {
        (0, Some(about)) => Cow::Owned([words.image, words.colon, &shorten(&about, MAX_ALT)].concat()),
        _ if of > 1 => Cow::Owned(fill(words.image_number, &number(index + 1))),
        _ => Cow::Borrowed(words.image),
    }
}

/// Pixels as shown: as large as the space allows, in proportion, never enlarged; a square where nothing is known.
fn fit(image: &Image, job: &JobEvent, (across, down): (u32, u32)) -> (u32, u32) {
    let own = image.width.zip(image.height).filter(|(width, height)| *width > 0 && *height > 0);
    let (width, height) = own.or_else(|| facts::size(job).map(|size| (size.width, size.height))).unwrap_or((across, across));
    let (width, height) = (u64::from(width), u64::from(height));
    let shown = u64::from(across).min(width).min(u64::from(down) * width / height).max(1);
    let tall = (shown * height / width).clamp(1, u64::from(down));
    (u32::try_from(shown).unwrap_or(across), u32::try_from(tall).unwrap_or(down))
}

/// Whether mail programs can show the file as a picture, as far as its name or the job's format tells.
fn is_visible(job: &JobEvent, link: &str) -> bool {
    const OTHER: [&str; 24] = [
        "mp4",
        "webm",
        "mov",
        "mkv",
        "avi",
        "mp3",
        "wav",
        "flac",
        "ogg",
        "zip",
        "tar",
        "gz",
        "glb",
        "obj",
        "json",
        "txt",
        "csv",
        "pdf",
        "svg",
        "tif",
        "tiff",
        "psd",
        "exr",
        "safetensors",
    ];
    let path = link.split(['?', '#']).next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    let kind = file.rsplit_once('.').map(|(_, kind)| kind).or(job.format.as_deref()).unwrap_or_default();
    !OTHER.iter().any(|other| kind.eq_ignore_ascii_case(other))
}

/// The picture's own link, or one made of the public address and the local path.
fn link_of<'a>(image: &'a Image, public_url: Option<&Link>) -> Option<Cow<'a, str>> {
    match (&image.url, &image.local_path, public_url) {
        (Some(link), ..) => Some(Cow::Borrowed(link.as_str())),
        (None, Some(path), Some(base)) => join(base.as_str(), path).map(Cow::Owned),
        _ => None,
    }
}

/// `base` and `path` as one link; `None` when the path climbs (`..`), is empty, or the link would be too long.
fn join(base: &str, path: &str) -> Option<String> {
    let base = base.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let mut link = String::with_capacity(base.len() + path.len() + 1);
    link.push_str(base);
    for part in path.trim().split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return None;
        }
        link.push('/');
        for byte in part.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~!$'()*+,;=:@".contains(&byte) {
                link.push(char::from(byte));
            } else {
                link.push('%');
                link.extend([byte >> 4, byte & 15].map(|half| char::from_digit(half.into(), 16).unwrap_or_default().to_ascii_uppercase()));
            }
        }
    }
    (link.len() > base.len() && link.len() <= Link::MAX_LEN).then_some(link)
}

/// The host of a link, with its port where one is named.
fn host(link: &str) -> &str {
    let from = link.find("://").map_or(0, |at| at + 3);
    link.get(from..).and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default()
}

/// How many bytes a link takes inside an attribute.
fn escaped_len(link: &str) -> usize {
    link.len() + 4 * link.bytes().filter(|b| matches!(b, b'&' | b'<' | b'>' | b'"' | b'\'')).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_path_becomes_a_link_that_cannot_climb() {
        let base = "https://img.example.com/files/?token=x";
        assert_eq!(join(base, "/static/a b#1%.jpg").unwrap(), "https://img.example.com/files/static/a%20b%231%25.jpg");
        assert_eq!(join("https://x.org", "images\\夜.png").unwrap(), "https://x.org/images/%E5%A4%9C.png");
        assert_eq!(join(base, "/static/../../etc/passwd"), None);
        assert_eq!(join(base, "//"), None);
        assert_eq!(join("https://x.org", "//evil.example/a.png").unwrap(), "https://x.org/evil.example/a.png");
    }

    #[test]
    fn a_picture_keeps_its_proportions_and_is_never_enlarged() {
        let job: JobEvent = serde_json::from_str(r#"{"id": "e", "status": "succeeded"}"#).unwrap();
        let shown = |width, height| fit(&Image { width: Some(width), height: Some(height), ..Image::default() }, &job, ALONE);
        assert_eq!([shown(1_024, 1_024), shown(1_024, 512), shown(1_024, 2_048)], [(534, 534), (534, 267), (280, 560)]);
        assert_eq!([shown(64, 64), shown(1, 1_000_000), shown(1_000_000, 1)], [(64, 64), (1, 560), (534, 1)]);
        assert_eq!(fit(&Image::default(), &job, ALONE), (534, 534));
    }

    #[test]
    fn the_host_is_what_stands_between_scheme_and_path() {
        assert_eq!(host("https://img.example.com:8443/a/b?c=d"), "img.example.com:8443");
        assert_eq!(host("http://x.org"), "x.org");
    }
}

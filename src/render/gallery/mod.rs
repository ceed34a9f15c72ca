//! The images of a job: which are shown, in which size, and where they link to.

mod layout;

use std::borrow::Cow;

use serde::Serialize;

use super::buttons::{Button, page_button, picture_button};
use super::format::moment_text;
use super::links::{escaped_len, expiry, is_visible};
use super::locale::{Words, fill, number};
use super::prompt_redactor::PromptRedactor;
use super::text::line;
use super::{MailContext, Settings};
use crate::domain::{Image, InlinePart, JobEvent, Link, Thumbnail};

/// Maximum number of images shown.
const MAX_SHOWN: usize = 8;
/// Maximum number of numbered links to images that are not shown.
const MAX_NUMBERED: usize = 24;
/// Maximum escaped size of all links in the HTML, which keeps the part below 60 kB.
const HTML_BUDGET: usize = 18_000;
/// Maximum size of all links in the text part.
const TEXT_BUDGET: usize = 32_000;
/// Maximum number of paths without a link, and maximum characters of each.
const MAX_PATHS: (usize, usize) = (4, 160);

/// An image shown in the mail.
#[derive(Debug, Serialize)]
pub struct Picture<'a> {
    /// Its link, http or https, not yet escaped; empty if it has none.
    pub href: Cow<'a, str>,
    /// The source: the same link, or `cid:` and the name of an inline part.
    pub src: Cow<'a, str>,
    /// Alternative text.
    pub alt: Cow<'a, str>,
    /// Displayed width in pixels.
    pub width: u32,
    /// Displayed height in pixels.
    pub height: u32,
    /// Whether it shows only the beginning of a very tall or very wide image.
    pub partial: bool,
}

/// A link to an image that is not shown.
#[derive(Debug, Serialize)]
pub struct Numbered<'a> {
    /// The link, http or https, not yet escaped.
    pub href: Cow<'a, str>,
    /// Number of the image, from 1.
    pub number: usize,
}

/// Everything a mail shows of a job's images.
#[derive(Debug, Default, Serialize)]
pub struct Gallery<'a> {
    /// The first image, if it is alone or above the others.
    pub hero: Option<Picture<'a>>,
    /// The other images, in rows of two.
    pub rows: Vec<Vec<Picture<'a>>>,
    /// Hint that each of several images can be opened; empty for a single image or if one has no
    /// link.
    pub hint: &'static str,
    /// How many images are not shown, in words; empty if all are.
    pub more: String,
    /// Links to some of those.
    pub numbered: Vec<Numbered<'a>>,
    /// The button; for a job without linked images it leads to the job's own page.
    pub button: Option<Button<'a>>,
    /// The job's own page, for the text part.
    pub page: Option<&'a str>,
    /// Links of the text part.
    pub links: Vec<Cow<'a, str>>,
    /// How many links the text part omits, in words; empty if none.
    pub more_links: String,
    /// When the first of the links expires, in words; empty if unknown.
    pub expires: String,
    /// Paths of images without a link.
    pub paths: Vec<Cow<'a, str>>,
    /// Thumbnails carried by the mail, in display order.
    #[serde(skip)]
    pub(super) inline: Vec<Inline<'a>>,
}

/// A thumbnail carried by the mail.
#[derive(Debug)]
pub(super) struct Inline<'a> {
    content_id: String,
    number: usize,
    preview: &'a Thumbnail,
}

impl Inline<'_> {
    /// The inline part of the mail.
    pub(super) fn part(&self) -> InlinePart {
        let file_name = format!("image-{}.jpg", self.number);
        InlinePart {
            content_id: self.content_id.clone(),
            file_name,
            media_type: "image/jpeg",
            bytes: self.preview.jpeg.clone(),
        }
    }
}

/// An image with a link, a thumbnail, or both.
struct Listed<'a> {
    /// Position in the list, from 1.
    number: usize,
    image: &'a Image,
    link: Option<Cow<'a, str>>,
    preview: Option<&'a Thumbnail>,
}

/// Escaped bytes of links left for the HTML.
struct Budget(usize);

impl Budget {
    /// Takes a link that is written this often from the budget, if it fits.
    fn afford(&mut self, link: Option<&str>, times: usize) -> bool {
        let size = link.map_or(0, escaped_len).saturating_mul(times);
        let left = self.0.checked_sub(size);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

/// Lays out the images.
///
/// With thumbnails enabled, only thumbnails are shown; otherwise mail clients load the images from
/// their links. Sensitive images are never loaded that way.
pub fn gallery<'a>(
    job: &'a JobEvent,
    words: &'static Words,
    settings: &Settings,
    context: &MailContext<'a>,
) -> Gallery<'a> {
    let mut gallery = Gallery::default();
    let listed = listed(job, settings, context, &mut gallery);
    let mut budget = Budget(HTML_BUDGET);
    let mut linked = listed.iter().filter_map(|one| one.link.as_ref());
    let (first, several) = (linked.next(), linked.next().is_some());
    let visible = first.is_some_and(|first| is_visible(job, first));
    gallery.page = job.url.as_ref().map(Link::as_str);
    let page = gallery.page.filter(|page| budget.afford(Some(page), 1));
    let first = first.filter(|first| budget.afford(Some(first), 2));
    gallery.button = if let Some(first) = first {
        let is_image = visible || listed.iter().any(|one| one.preview.is_some());
        Some(picture_button(first, page, is_image, several, words))
    } else {
        page.map(|page| page_button(page, words))
    };
    let remote = visible && context.pictures.is_none() && !job.sensitive;
    let shown = shown(&listed, remote, &mut budget);
    let about = about(job, settings);
    let about = about.as_deref();
    layout::arrange(&mut gallery, job, words, &shown, context.message_id, about);
    if shown.len() > 1 && shown.iter().all(|one| one.link.is_some()) {
        // Each image is a link; a button would single out the first one.
        gallery.hint = words.open_any;
        gallery.button = page.map(|page| page_button(page, words));
    }
    add_hidden(&mut gallery, &listed, &shown, words, &mut budget);
    gallery.expires = earliest_expiry(&listed, job, words, settings);
    list(&mut gallery, words, listed);
    gallery
}

/// The images to show: those with a thumbnail, or with a link if remote images are allowed.
fn shown<'l, 'a>(
    listed: &'l [Listed<'a>],
    remote: bool,
    budget: &mut Budget,
) -> Vec<&'l Listed<'a>> {
    let showable = |one: &&Listed<'_>| one.preview.is_some() || (remote && one.link.is_some());
    let affordable = |one: &&Listed<'_>| {
        let is_whole_thumbnail = one.preview.is_some_and(|preview| !preview.partial);
        budget.afford(one.link.as_deref(), if is_whole_thumbnail { 1 } else { 2 })
    };
    let shown = listed.iter().filter(showable).take(MAX_SHOWN);
    shown.take_while(affordable).collect()
}

/// The subject of the first image: the visible part of the prompt, else the title.
fn about<'a>(job: &'a JobEvent, settings: &Settings) -> Option<Cow<'a, str>> {
    let privacy = settings.privacy.of(job);
    let prompt = job.prompt.as_deref();
    prompt
        .and_then(|prompt| privacy.part(prompt))
        .or_else(|| PromptRedactor::of(job, privacy).without(job.title.as_deref()?))
}

/// Counts and links the images that are not shown. The button leads to the first image with a link,
/// so that one is not counted if no image is shown.
fn add_hidden<'a>(
    gallery: &mut Gallery<'a>,
    listed: &[Listed<'a>],
    shown: &[&Listed<'a>],
    words: &'static Words,
    budget: &mut Budget,
) {
    let is_shown = |number| shown.iter().any(|one| one.number == number);
    let hidden = listed
        .iter()
        .filter(|one| !is_shown(one.number))
        .skip(usize::from(shown.is_empty()));
    let count = hidden.clone().count();
    if count == 0 {
        return;
    }
    gallery.more = fill(words.more_images, &number(count));
    let rest = hidden
        .filter_map(|one| Some((one.link.as_ref()?, one.number)))
        .take(MAX_NUMBERED);
    let numbered = rest.take_while(|(link, _)| budget.afford(Some(link), 1));
    gallery.numbered = numbered
        .map(|(link, number)| Numbered {
            href: link.clone(),
            number,
        })
        .collect();
}

/// When the first of the links expires, in words; empty if unknown.
fn earliest_expiry(
    listed: &[Listed<'_>],
    job: &JobEvent,
    words: &'static Words,
    settings: &Settings,
) -> String {
    let expiries = listed.iter().filter_map(|one| expiry(one.link.as_deref()?));
    let Some(at) = expiries.min() else {
        return String::new();
    };
    let locale = job.locale.unwrap_or(settings.locale);
    fill(words.expires, &moment_text(at, locale, &settings.timezone))
}

/// The images that have a link or a thumbnail; paths of images without a link are added to the
/// gallery.
fn listed<'a>(
    job: &'a JobEvent,
    settings: &Settings,
    context: &MailContext<'a>,
    gallery: &mut Gallery<'a>,
) -> Vec<Listed<'a>> {
    let captured = context.pictures.unwrap_or_default();
    let mut listed = Vec::with_capacity(job.images.len());
    for (place, image) in job.images.iter().enumerate() {
        let link = image.link(settings.public_url.as_ref());
        let preview = captured
            .iter()
            .find(|capture| capture.place == place)
            .and_then(|capture| capture.result.as_ref().ok());
        if let (None, Some(path)) = (&link, &image.local_path)
            && gallery.paths.len() < MAX_PATHS.0
        {
            gallery.paths.extend(line(path, MAX_PATHS.1));
        }
        if link.is_some() || preview.is_some() {
            listed.push(Listed {
                number: listed.len() + 1,
                image,
                link,
                preview,
            });
        }
    }
    listed
}

/// The links of the text part, up to its budget.
fn list<'a>(gallery: &mut Gallery<'a>, words: &'static Words, listed: Vec<Listed<'a>>) {
    let mut budget = TEXT_BUDGET;
    let linked: Vec<_> = listed.into_iter().filter_map(|one| one.link).collect();
    let all = linked.len();
    let affordable = linked.into_iter().map_while(|link| {
        budget = budget.checked_sub(link.len())?;
        Some(link)
    });
    gallery.links = affordable.collect();
    if gallery.links.len() < all {
        gallery.more_links = fill(words.more_links, &number(all - gallery.links.len()));
    }
}

//! The pictures of a job: which are shown, how large, and where their links lead.

use std::borrow::Cow;

use serde::Serialize;

use super::buttons::{Button, page_button, picture_button};
use super::facts;
use super::links::{escaped_len, expiry, is_visible};
use super::locale::{Words, fill, number};
use super::prompt_redactor::PromptRedactor;
use super::text::{line, shorten};
use super::{MailContext, Settings};
use crate::domain::{Image, InlinePart, JobEvent, Link, Thumbnail};

/// The most pictures that are shown.
const MAX_SHOWN: usize = 8;
/// The most links by number to pictures that are not shown.
const MAX_NUMBERED: usize = 24;
/// What all links together may weigh in the HTML, escaped: with it the part stays below 60 kB
/// whatever the event holds.
const HTML_BUDGET: usize = 18_000;
/// What all links together may weigh in the text part.
const TEXT_BUDGET: usize = 32_000;
/// The most paths without a link that are named, and the most characters of each.
const MAX_PATHS: (usize, usize) = (4, 160);
/// Pixels of the text column: 600, less the border and 32 on each side.
const COLUMN: u32 = 534;
/// Pixels that a picture of its own may be wide and high: a portrait of 2:3 still fills the column.
const ALONE: (u32, u32) = (COLUMN, 801);
/// A picture of its own that has so many pixels across fills the column.
const FILLS: u32 = 480;
/// Pixels that a picture beside another may be wide and high, with 8 between the two.
const BESIDE: (u32, u32) = (263, 526);
/// The most characters of the prompt in an alternative text.
const MAX_ALT: usize = 100;

/// A picture that the mail shows.
#[derive(Debug, Serialize)]
pub struct Picture<'a> {
    /// Its link, http or https, not yet escaped; empty when it has none.
    pub href: Cow<'a, str>,
    /// Where its pixels are: the same link, or `cid:` and the name of a part of the mail.
    pub src: Cow<'a, str>,
    /// What it is, in words.
    pub alt: Cow<'a, str>,
    /// Pixels across, as shown.
    pub width: u32,
    /// Pixels down, as shown.
    pub height: u32,
    /// Whether it is only the beginning of a very tall or very wide picture.
    pub partial: bool,
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
    /// The others, in rows of two.
    pub rows: Vec<Vec<Picture<'a>>>,
    /// That each of several pictures can be opened; empty where there is only one, or a picture
    /// without a link.
    pub hint: &'static str,
    /// How many are not shown, in words; empty when all are.
    pub more: String,
    /// Links to some of those.
    pub numbered: Vec<Numbered<'a>>,
    /// The button; of a job without linked pictures it leads to the job's own page.
    pub button: Option<Button<'a>>,
    /// The job's own page, for the text part.
    pub page: Option<&'a str>,
    /// All links for the text part.
    pub links: Vec<Cow<'a, str>>,
    /// How many links are left out there, in words; empty when none is.
    pub more_links: String,
    /// When the first of the links dies, in words; empty when none says so.
    pub expires: String,
    /// Paths of pictures that have no link.
    pub paths: Vec<Cow<'a, str>>,
    /// The small copies that the mail carries, in the order in which it shows them.
    #[serde(skip)]
    pub(super) inline: Vec<Inline<'a>>,
}

/// A small copy that the mail carries.
#[derive(Debug)]
pub(super) struct Inline<'a> {
    content_id: String,
    number: usize,
    preview: &'a Thumbnail,
}

impl Inline<'_> {
    /// The part of the mail.
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

/// A picture that there is something to show of: a link, a small copy, or both.
struct Listed<'a> {
    /// Which it is among those listed, from 1.
    number: usize,
    image: &'a Image,
    link: Option<Cow<'a, str>>,
    preview: Option<&'a Thumbnail>,
}

/// Lays the pictures out.
///
/// Where small copies were asked for, only those are shown; elsewhere mail programs fetch the
/// pictures from their links. Of a sensitive job they are never told to, because a link leads to
/// the picture as it is.
pub fn gallery<'a>(
    job: &'a JobEvent,
    words: &'static Words,
    settings: &Settings,
    context: &MailContext<'a>,
) -> Gallery<'a> {
    let mut gallery = Gallery::default();
    let listed = listed(job, settings, context, &mut gallery);
    let mut budget = HTML_BUDGET;
    let mut afford = |link: Option<&str>, times: usize| {
        let left = budget.checked_sub(link.map_or(0, escaped_len).saturating_mul(times));
        budget = left.unwrap_or(budget);
        left.is_some()
    };
    let mut linked = listed.iter().filter_map(|one| one.link.as_ref());
    let (first, several) = (linked.next(), linked.next().is_some());
    let visible = first.is_some_and(|first| is_visible(job, first));
    let carries = listed.iter().any(|one| one.preview.is_some());
    gallery.page = job.url.as_ref().map(Link::as_str);
    let page = gallery.page.filter(|page| afford(Some(page), 1));
    gallery.button = match first.filter(|first| afford(Some(first), 2)) {
        Some(first) => Some(picture_button(
            first,
            page,
            visible || carries,
            several,
            words,
        )),
        None => page.map(|page| page_button(page, words)),
    };
    let remote = visible && context.pictures.is_none() && !job.sensitive;
    let showable = |one: &&Listed<'_>| one.preview.is_some() || (remote && one.link.is_some());
    let affordable = |one: &&Listed<'_>| {
        afford(
            one.link.as_deref(),
            if one.preview.is_some_and(|preview| !preview.partial) {
                1
            } else {
                2
            },
        )
    };
    let shown: Vec<&Listed<'a>> = listed
        .iter()
        .filter(showable)
        .take(MAX_SHOWN)
        .take_while(affordable)
        .collect();
    let privacy = settings.privacy.of(job);
    let title = || {
        job.title
            .as_deref()
            .and_then(|title| PromptRedactor::of(job, privacy).without(title))
    };
    let about = job
        .prompt
        .as_deref()
        .and_then(|prompt| privacy.part(prompt))
        .or_else(title);
    arrange(
        &mut gallery,
        job,
        words,
        &shown,
        context.message_id,
        about.as_deref(),
    );
    if shown.len() > 1 && shown.iter().all(|one| one.link.is_some()) {
        // Each picture is a link; a button would only single the first one out.
        gallery.hint = words.open_any;
        gallery.button = page.map(|page| page_button(page, words));
    }
    // The button leads to the first one that has a link, so that one is not missing where nothing
    // is shown.
    let is_shown = |number| shown.iter().any(|one| one.number == number);
    let hidden = listed
        .iter()
        .filter(|one| !is_shown(one.number))
        .skip(usize::from(shown.is_empty()));
    let count = hidden.clone().count();
    if count > 0 {
        gallery.more = fill(words.more_images, &number(count));
        let rest = hidden
            .filter_map(|one| Some((one.link.as_ref()?, one.number)))
            .take(MAX_NUMBERED);
        let numbered = rest.take_while(|(link, _)| afford(Some(link), 1));
        gallery.numbered = numbered
            .map(|(link, number)| Numbered {
                href: link.clone(),
                number,
            })
            .collect();
    }
    gallery.expires = earliest_expiry(&listed, job, words, settings);
    list(&mut gallery, words, listed);
    gallery
}

/// When the first of the links expires, in words; empty when none says so.
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
    fill(
        words.expires,
        &facts::moment_text(at, locale, &settings.timezone),
    )
}

/// The pictures that have a link or a small copy; the paths of those without a link go to the
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

/// The links of the text part, as many as its budget holds.
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

/// Puts the shown pictures into rows of two without a gap: an odd one goes on top. Two beside each
/// other are large enough on a phone too.
fn arrange<'a>(
    gallery: &mut Gallery<'a>,
    job: &JobEvent,
    words: &'static Words,
    shown: &[&Listed<'a>],
    message_id: &str,
    about: Option<&str>,
) {
    let heroes = shown.len() % 2;
    let mut pictures = Vec::with_capacity(shown.len());
    for (index, one) in shown.iter().enumerate() {
        let space = if index < heroes { ALONE } else { BESIDE };
        let (width, height) = fit(pixels(one, job), space);
        let href = one.link.clone().unwrap_or_default();
        let src = one.preview.map_or_else(
            || href.clone(),
            |preview| carry(&mut gallery.inline, one.number, preview, message_id),
        );
        let partial = one.preview.is_some_and(|preview| preview.partial);
        pictures.push(Picture {
            href,
            src,
            alt: alt(index, shown.len(), about, words),
            width,
            height,
            partial,
        });
    }
    let mut pictures = pictures.into_iter();
    gallery.hero = if heroes == 1 { pictures.next() } else { None };
    let mut rest = pictures.peekable();
    while rest.peek().is_some() {
        gallery.rows.push(rest.by_ref().take(2).collect());
    }
}

/// Has the mail carry a small copy; gives the name under which the HTML shows it (RFC 2392), which
/// is the mail's own with a number before it.
fn carry<'a>(
    inline: &mut Vec<Inline<'a>>,
    number: usize,
    preview: &'a Thumbnail,
    message_id: &str,
) -> Cow<'a, str> {
    let content_id = format!("image-{number}.{message_id}");
    let src = ["cid:", &content_id].concat();
    inline.push(Inline {
        content_id,
        number,
        preview,
    });
    src.into()
}

/// The first picture is described by what it is about, the prompt as far as that may be shown or
/// the title, the others by their number: hearing one prompt eight times helps nobody.
fn alt(index: usize, of: usize, about: Option<&str>, words: &'static Words) -> Cow<'static, str> {
    let about = about.and_then(|text| line(text, MAX_ALT));
    match (index, about) {
        (0, Some(about)) => Cow::Owned(shorten(&about, MAX_ALT).into_owned()),
        _ if of > 1 => Cow::Owned(fill(words.image_number, &number(index + 1))),
        _ => Cow::Borrowed(words.image),
    }
}

/// Its own pixels: the small copy's, else what the producer says of it; nothing where nothing is
/// known.
fn pixels(listed: &Listed<'_>, job: &JobEvent) -> Option<(u32, u32)> {
    let stated = || {
        listed
            .image
            .width
            .zip(listed.image.height)
            .filter(|(width, height)| *width > 0 && *height > 0)
    };
    let copied = listed
        .preview
        .map(|preview| (preview.width, preview.height));
    copied
        .or_else(stated)
        .or_else(|| facts::size(job).map(|size| (size.width, size.height)))
}

/// Pixels as shown: as large as the space allows, in proportion; enlarged only to fill the column,
/// where little is missing. A square where nothing is known.
fn fit(pixels: Option<(u32, u32)>, (across, down): (u32, u32)) -> (u32, u32) {
    let (width, height) = pixels.unwrap_or((across, across));
    let (width, height) = (u64::from(width.max(1)), u64::from(height.max(1)));
    let most = if width >= u64::from(FILLS) {
        u64::from(across)
    } else {
        width
    };
    let shown = u64::from(across)
        .min(most)
        .min(u64::from(down) * width / height)
        .max(1);
    let tall = (shown * height / width).clamp(1, u64::from(down));
    (
        u32::try_from(shown).unwrap_or(across),
        u32::try_from(tall).unwrap_or(down),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_proportions_and_fills_the_column_where_it_can() {
        let shown = |width, height| fit(Some((width, height)), ALONE);
        assert_eq!(
            [
                shown(1_024, 1_024),
                shown(512, 512),
                shown(1_024, 512),
                shown(832, 1_216)
            ],
            [(534, 534), (534, 534), (534, 267), (534, 780)]
        );
        assert_eq!(
            [shown(1_024, 4_096), shown(400, 300), shown(64, 64)],
            [(200, 800), (400, 300), (64, 64)]
        );
        assert_eq!(
            [shown(1, 1_000_000), shown(1_000_000, 1)],
            [(1, 801), (534, 1)]
        );
        assert_eq!(
            (fit(None, ALONE), fit(Some((100, 50)), BESIDE)),
            ((534, 534), (100, 50))
        );
    }
}

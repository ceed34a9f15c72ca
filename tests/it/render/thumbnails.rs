//! Images in mails: inline thumbnails, links without one, and expiry of links.

use jobbell::domain::{Email, MissingReason, Thumbnail, ThumbnailResult};
use serde_json::{Value, json};

use crate::render::rules::tags;
use crate::render::{job, render, render_captured, renderer};

fn kept(place: usize) -> ThumbnailResult {
    ThumbnailResult {
        place,
        result: Ok(Thumbnail {
            width: 560,
            height: 420,
            partial: false,
            jpeg: vec![0xFF, 0xD8, u8::try_from(place).unwrap()],
        }),
    }
}

fn none(place: usize, why: MissingReason) -> ThumbnailResult {
    ThumbnailResult {
        place,
        result: Err(why),
    }
}

fn mail(event: &Value, pictures: &[ThumbnailResult]) -> Email {
    render_captured(&renderer(), job(event), Some(pictures))
}

fn event(images: &Value) -> Value {
    json!({"id": "e", "status": "succeeded", "locale": "en", "prompt": "a cat", "images": images})
}

fn links(count: usize) -> Value {
    (0..count)
        .map(|n| json!({"url": format!("https://x.org/{n}.png")}))
        .collect()
}

/// The `cid:` names used in the HTML.
fn shown(mail: &Email) -> Vec<&str> {
    mail.html
        .split("src=\"cid:")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[test]
fn thumbnail_is_inline_and_links_to_the_image() {
    let mail = mail(&event(&links(1)), &[kept(0)]);
    assert_eq!(
        shown(&mail),
        ["image-1.019b76daa80070008000000000000001@example.com"]
    );
    let part = &mail.inline[0];
    assert_eq!(
        (
            part.content_id.as_str(),
            part.file_name.as_str(),
            part.media_type
        ),
        (shown(&mail)[0], "image-1.jpg", "image/jpeg")
    );
    assert_eq!(part.bytes, [0xFF, 0xD8, 0]);
    let image = &tags(&mail.html, "img")[0];
    assert_eq!(
        (image["width"], image["height"], image["alt"]),
        ("534", "400", "a cat")
    );
    assert!(mail.html.contains("<a class=\"link\" href=\"https://x.org/0.png\" style=\"color:#4a62d2;text-decoration:none\"><img"));
    assert!(mail.html.contains("View image") && mail.text.contains("https://x.org/0.png"));
    assert_eq!(
        mail,
        self::mail(&event(&links(1)), &[kept(0)]),
        "the same every time"
    );
}

#[test]
fn missing_thumbnail_leaves_text_and_link_without_remote_images() {
    for pictures in [vec![none(0, MissingReason::NotAllowed)], Vec::new()] {
        let mail = mail(&event(&links(1)), &pictures);
        assert!(tags(&mail.html, "img").is_empty() && mail.inline.is_empty());
        assert!(
            mail.html.contains("href=\"https://x.org/0.png\"")
                && mail.text.contains("https://x.org/0.png")
        );
    }
}

#[test]
fn images_with_thumbnails_are_shown_others_are_numbered_links() {
    let mail = mail(
        &event(&links(3)),
        &[
            none(0, MissingReason::Unavailable),
            kept(1),
            none(2, MissingReason::TooLarge),
        ],
    );
    assert_eq!(
        shown(&mail),
        ["image-2.019b76daa80070008000000000000001@example.com"]
    );
    assert_eq!(mail.inline[0].file_name, "image-2.jpg");
    assert!(mail.html.contains("and 2 more"));
    for (link, number) in [("https://x.org/0.png", 1), ("https://x.org/2.png", 3)] {
        assert!(
            tags(&mail.html, "a")
                .iter()
                .any(|tag| tag["href"] == link && tag["style"].contains("padding:6px")),
            "{number}: {}",
            mail.html
        );
    }
}

#[test]
fn grid_shows_eight_thumbnails_and_counts_the_rest() {
    for count in 1..=12 {
        let pictures: Vec<ThumbnailResult> = (0..count).map(kept).collect();
        let mail = mail(&event(&links(count)), &pictures);
        assert_eq!(
            (
                shown(&mail).len(),
                mail.inline.len(),
                tags(&mail.html, "img").len()
            ),
            (count.min(8), count.min(8), count.min(8))
        );
        assert_eq!(
            mail.html
                .contains(&format!("and {} more", count.saturating_sub(8))),
            count > 8
        );
        let mut names: Vec<&str> = mail
            .inline
            .iter()
            .map(|part| part.content_id.as_str())
            .collect();
        assert_eq!(names, shown(&mail), "each is carried once and shown once");
        names.dedup();
        assert_eq!(names.len(), count.min(8));
    }
}

#[test]
fn image_without_a_link_is_shown_without_one() {
    let renderer = jobbell::render::Renderer::new(jobbell::render::Settings {
        public_url: None,
        ..crate::render::settings()
    });
    let event = event(&json!([{"local_path": "/static/a.png"}]));
    let mail = render_captured(&renderer, job(&event), Some(&[kept(0)]));
    assert_eq!(tags(&mail.html, "a").len(), 0, "{}", mail.html);
    assert_eq!(shown(&mail).len(), 1);
    assert!(mail.text.contains("/static/a.png"));
}

#[test]
fn sensitive_images_are_never_hotlinked() {
    let mut event = event(&links(2));
    event["sensitive"] = json!(true);
    let linked = render(job(&event));
    assert!(
        tags(&linked.html, "img").is_empty()
            && linked.html.contains("href=\"https://x.org/0.png\""),
        "{}",
        linked.html
    );
    assert_eq!(
        shown(&mail(&event, &[kept(0), kept(1)])).len(),
        2,
        "small copies of it are blurred"
    );
}

#[test]
fn unsupported_format_is_shown_as_its_thumbnail() {
    let event = event(&json!([{"url": "https://x.org/a.tiff"}]));
    let mail = mail(&event, &[kept(0)]);
    assert!(shown(&mail).len() == 1 && mail.html.contains("View image"));
}

#[test]
fn job_page_is_the_button_if_no_image_has_a_link() {
    let page = "https://ci.example.com/runs/7?a=1&b=2";
    let mut job = json!({"id": "e", "status": "failed", "locale": "en", "url": page});
    let mail = self::mail(&job, &[]);
    assert!(
        mail.html
            .contains("href=\"https://ci.example.com/runs/7?a=1&#38;b=2\"")
            && mail.html.contains(">Open run</a>"),
        "{}",
        mail.html
    );
    assert!(
        mail.text.contains(&format!("\nOpen run\n{page}\n")),
        "{}",
        mail.text
    );
    job["locale"] = "zh-CN".into();
    assert!(self::mail(&job, &[]).html.contains(">查看任务</a>"));
    job["images"] = links(1);
    let beside = self::mail(&job, &[]);
    assert!(
        beside.html.contains(">查看图片</a>")
            && beside.html.contains(">查看任务</a>")
            && !beside.html.contains(">下载</a>"),
        "{}",
        beside.html
    );
    job["images"] = links(3);
    let gallery = render(crate::render::job(&job));
    assert!(
        !gallery.html.contains(">查看第一张图片</a>") && gallery.html.contains(">查看任务</a>"),
        "{}",
        gallery.html
    );
    job["images"] = json!([]);
    for address in [
        format!("https://e.com/{}", "&".repeat(4_000)),
        format!("https://e.com/{}", "a".repeat(4_000)),
    ] {
        job["url"] = address.into();
        assert!(self::mail(&job, &[]).html.len() < 60_000);
    }
}

#[test]
fn link_expiry_is_shown_in_the_readers_zone_and_language() {
    let signed = |expires: &str| json!({"url": format!("https://b.s3.amazonaws.com/a.png?X-Amz-Date=20260101T000000Z&X-Amz-Expires={expires}&X-Amz-Signature=x")});
    let mut expiring =
        event(&json!([signed("7200"), signed("3600"), {"url": "https://x.org/a.png"}]));
    for (locale, expected) in [
        ("en", "Link valid until 1 Jan 2026, 09:00:00 (UTC+8)"),
        ("zh-CN", "链接有效期至 2026年1月1日 09:00:00 (UTC+8)"),
    ] {
        expiring["locale"] = json!(locale);
        let mail = render(job(&expiring));
        assert!(
            mail.text.contains(expected) && mail.html.contains(expected),
            "{}\n{}",
            mail.text,
            mail.html
        );
    }
    let silent = render(job(&event(&links(1))));
    assert!(!silent.text.contains("valid until") && !silent.html.contains("valid until"));
}

#[test]
fn html_stays_small_with_long_links_around_thumbnails() {
    let images: Value = (0..100)
        .map(|n| json!({"url": format!("https://x.org/{n}?{}", "&".repeat(3_900))}))
        .collect();
    let pictures: Vec<ThumbnailResult> = (0..8).map(kept).collect();
    let mail = mail(&event(&images), &pictures);
    assert!(mail.html.len() < 60_000, "{}", mail.html.len());
}

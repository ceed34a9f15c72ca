//! Each rule finds its problem, and nothing in a good mail.

use super::*;
use crate::domain::{DeliveryId, InlinePart, Mailbox, Recipient, Timestamp};

const GOOD_TEXT: &str = "The job is done: https://x.org/a";

fn email(subject: &str, text: &str, html: &str) -> Email {
    let picture = InlinePart {
        content_id: "here@x.org".to_owned(),
        file_name: "a.jpg".to_owned(),
        media_type: "image/jpeg",
        bytes: vec![1],
    };
    Email {
        delivery: DeliveryId::new(Timestamp::from_millis(0)),
        message_id: "m@x.org".to_owned(),
        date: Timestamp::from_millis(0),
        from: Mailbox::parse("a@x.org").unwrap(),
        reply_to: Vec::new(),
        to: Recipient::parse("b@x.org").unwrap(),
        subject: subject.to_owned(),
        text: text.to_owned(),
        html: html.to_owned(),
        inline: vec![picture],
        headers: Vec::new(),
    }
}

fn found(subject: &str, text: &str, html: &str) -> Vec<(Level, &'static str)> {
    lint(&email(subject, text, html))
        .iter()
        .map(|finding| (finding.level, finding.rule))
        .collect()
}

fn in_html(body: &str) -> Vec<(Level, &'static str)> {
    found(
        "done",
        GOOD_TEXT,
        &format!("<html lang=\"en\"><body>{body}</body></html>"),
    )
}

#[test]
fn good_mail_has_no_findings() {
    assert_eq!(
        in_html(
            "<p>Done. <a href=\"https://x.org\">Theme</a><br><img src=\"cid:here@x.org\" alt=\"a cat\" width=\"10\"></p>"
        ),
        []
    );
}

#[test]
fn subject_must_be_present_short_and_plain() {
    let subject = |subject: &str| found(subject, GOOD_TEXT, "<html lang=\"en\"></html>");
    assert_eq!(subject(" "), [(Level::Error, "subject-empty")]);
    assert_eq!(subject("a\r\nBcc: b"), [(Level::Error, "subject-control")]);
    assert_eq!(
        (subject(&"图".repeat(39)), subject(&"图".repeat(40))),
        (vec![], vec![(Level::Warning, "subject-length")])
    );
    assert_eq!(
        (
            subject("YOUR IMAGE IS READY NOW"),
            subject("NSFW"),
            subject("ABCDEFGHIJKL")
        ),
        (vec![(Level::Warning, "subject-capitals")], vec![], vec![])
    );
    assert_eq!(
        subject(&"a".repeat(999)),
        [(Level::Error, "subject-length")]
    );
}

#[test]
fn text_part_must_have_content() {
    let text = |text: &str| found("done", text, "<html lang=\"en\"></html>");
    assert_eq!(text("\n"), [(Level::Error, "text-empty")]);
    assert_eq!(
        text("→ https://x.org/a-very-long-name-of-a-picture"),
        [(Level::Error, "text-meaningless")]
    );
    assert_eq!(text("图片已经生成"), []);
    assert_eq!(
        text("It is done now\u{7}"),
        [(Level::Error, "text-control")]
    );
}

#[test]
fn html_must_not_be_clipped() {
    assert_eq!(in_html(&"a".repeat(89_900)), []);
    assert_eq!(in_html(&"a".repeat(90_000)), [(Level::Error, "html-size")]);
}

#[test]
fn images_need_alt_text_and_a_supported_source() {
    let image = |attributes: &str| in_html(&format!("<img width=\"1\" {attributes}>"));
    assert_eq!(
        image("src=\"https://x.org/a\""),
        [(Level::Error, "alt-text")]
    );
    assert_eq!(
        image("alt=\"\" src=\"DATA:image/png;base64,AAAA\""),
        [(Level::Error, "data-image")]
    );
    assert_eq!(
        image("alt=\"\" src=\"cid:gone@x.org\""),
        [(Level::Error, "missing-part")]
    );
    assert_eq!(
        image("alt=\"\" src=\"http://x.org/a\""),
        [(Level::Warning, "insecure-link")]
    );
    assert_eq!(image("alt=\"\" src=\"/a.png\""), [(Level::Error, "link")]);
    assert_eq!(
        in_html("<img alt=\"\" src=\"https://x.org/a\">"),
        [(Level::Warning, "image-size")]
    );
}

#[test]
fn links_lead_to_https() {
    let link = |href: &str| in_html(&format!("<a href=\"{href}\">Theme</a>"));
    for bad in [
        "javascript:alert(1)",
        " JavaScript:alert(1)",
        "data:text/html,x",
        "/relative",
        "",
    ] {
        assert_eq!(link(bad), [(Level::Error, "link")], "{bad}");
    }
    assert_eq!(link("http://x.org"), [(Level::Warning, "insecure-link")]);
    assert_eq!(link("mailto:a@x.org"), []);
}

#[test]
fn scripts_forms_and_handlers_are_errors() {
    for body in [
        "<script>x</script>",
        "<form></form>",
        "<p onclick=\"x\">a</p>",
        "<svg></svg>",
        "<iframe></iframe>",
    ] {
        assert_eq!(in_html(body), [(Level::Error, "active-content")], "{body}");
    }
}

#[test]
fn tags_close_in_order() {
    for body in ["<b><i>a</b></i>", "<table><tr></table>", "</p>", "<div>"] {
        assert_eq!(in_html(body), [(Level::Warning, "nesting")], "{body}");
    }
    assert_eq!(
        found("done", GOOD_TEXT, "<p>a</p>"),
        [(Level::Warning, "language")]
    );
}

#[test]
fn low_contrast_is_found_in_both_schemes() {
    let dark = "<style>.ink{color:#222222}@media (prefers-color-scheme:dark){.page{background-color:#111111!important}.mute{color:#999999!important}}</style>";
    let in_page = |inside: &str| {
        in_html(&format!(
            "{dark}<div class=\"page\" style=\"background-color:#ffffff\">{inside}</div>"
        ))
    };
    let low_contrast = [(Level::Error, "contrast")];
    assert_eq!(in_html("<p style=\"color:#999999\">a</p>"), low_contrast);
    assert_eq!(
        in_html("<table bgcolor=\"#222222\"><tr><td>a</td></tr></table>"),
        low_contrast,
        "black on dark"
    );
    assert_eq!(
        in_page("<p class=\"mute\" style=\"color:#666666\">a</p>"),
        []
    );
    assert_eq!(
        in_page("<p style=\"color:#666666\">a</p>"),
        low_contrast,
        "only the background turns dark"
    );
    assert_eq!(
        in_page("<p class=\"ink\">a</p>"),
        low_contrast,
        "the rule for the light scheme stays in force"
    );
    assert_eq!(in_page("<p style=\"color:#222222;display:none\">a</p>"), []);
    assert_eq!(
        in_page("<p style=\"color:#fefefe;display:none\">a</p>"),
        [(Level::Warning, "hidden-text")]
    );
    assert_eq!(
        in_page("<p style=\"font-size:0;color:#fefefe\">a</p>"),
        [(Level::Warning, "hidden-text")]
    );
    assert_eq!(
        in_html("<h1 style=\"color:#888888;font-size:24px\">a</h1>"),
        [],
        "large texts need less"
    );
    assert_eq!(
        in_html("<img alt=\"a\" width=\"1\" src=\"https://x.org/a\" style=\"color:#fafafa\">"),
        low_contrast
    );
}

#[test]
fn source_lines_must_be_valid_for_every_server() {
    let rules = |message: &[u8]| {
        lint_wire(message)
            .iter()
            .map(|finding| (finding.line, finding.rule))
            .collect::<Vec<_>>()
    };
    assert_eq!(rules(b"Subject: a\r\n\r\nb\r\n"), []);
    assert_eq!(rules(b"a\r\nb\nc\r\n"), [(2, "line-end")]);
    assert_eq!(
        rules(&[b"a\r\n".as_slice(), &[b'x'; 999], b"\r\n"].concat()),
        [(2, "line-length")]
    );
}

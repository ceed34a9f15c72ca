//! The message of `jobbell send`: text, HTML, or both; a missing part is derived from the other.

use std::path::Path;

use crate::config::Config;
use crate::domain::{DeliveryId, Email, Mailbox, Recipient, Timestamp};
use crate::render::html_to_text;

/// Maximum size of a text or HTML file in bytes.
const MAX_BODY: u64 = 10 * 1_024 * 1_024;
/// Maximum number of characters of a subject.
const MAX_SUBJECT: usize = 998;

/// The content that all recipients get.
#[derive(Debug)]
pub(super) struct Message {
    subject: String,
    text: String,
    html: String,
}

impl Message {
    /// Reads the content that the options name; `-` is standard input.
    pub(super) fn read(
        subject: &str,
        text: Option<&str>,
        html: Option<&Path>,
    ) -> Result<Self, String> {
        if subject.chars().any(char::is_control) || subject.chars().count() > MAX_SUBJECT {
            return Err(format!(
                "--subject: must be one line of at most {MAX_SUBJECT} characters"
            ));
        }
        let text = match text {
            Some("-") => Some(bounded(std::io::stdin(), "--text -")?),
            text => text.map(str::to_owned),
        };
        let html = html.map(read_file).transpose()?;
        let (text, html) = match (text, html) {
            (Some(text), Some(html)) => (text, html),
            (Some(text), None) => (text.clone(), html_to_text::html(&text, None)),
            (None, html) => {
                let html = html.unwrap_or_default();
                (html_to_text::text(&html), html)
            }
        };
        Ok(Self {
            subject: subject.to_owned(),
            text,
            html,
        })
    }

    /// The mail to one recipient.
    pub(super) fn email(
        &self,
        config: &Config,
        from: &Mailbox,
        to: &Recipient,
        now: Timestamp,
    ) -> Email {
        let delivery = DeliveryId::new(now);
        Email {
            delivery,
            message_id: format!("{}@{}", delivery.0.simple(), from.address.domain()),
            date: now,
            from: from.clone(),
            reply_to: config.render.reply_to.clone(),
            to: to.clone(),
            subject: self.subject.clone(),
            text: self.text.clone(),
            html: self.html.clone(),
            inline: Vec::new(),
            headers: crate::cli::auto_reply_headers(delivery),
        }
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let place = path.display().to_string();
    if place == "-" {
        return bounded(std::io::stdin(), "--html -");
    }
    let file = std::fs::File::open(path).map_err(|error| format!("{place}: {error}"))?;
    bounded(file, &place)
}

fn bounded(source: impl std::io::Read, place: &str) -> Result<String, String> {
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut source.take(MAX_BODY + 1), &mut text)
        .map_err(|error| format!("{place}: {error}"))?;
    if u64::try_from(text.len()).is_ok_and(|length| length > MAX_BODY) {
        return Err(format!("{place}: larger than 10 MiB"));
    }
    Ok(crate::encoding::decode(
        &text,
        crate::cli::i18n::terminal_encoding(),
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn text_alone_gets_an_equal_html_part() {
        let message = Message::read("s", Some("a < b & c\n  <script>"), None).unwrap();
        assert_eq!(message.text, "a < b & c\n  <script>");
        assert!(
            message.html.contains("a &lt; b &amp; c\n  &lt;script&gt;"),
            "{}",
            message.html
        );
    }

    #[test]
    fn html_alone_gets_a_text_part_with_its_links() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(
            file,
            "<h1>Done</h1><p>See <a href=\"https://example.com/a\">the picture</a>.</p>"
        )
        .unwrap();
        let message = Message::read("s", None, Some(file.path())).unwrap();
        assert!(
            message.text.contains("Done") && message.text.contains("https://example.com/a"),
            "{}",
            message.text
        );
        assert!(message.html.starts_with("<h1>"));
        let both = Message::read("s", Some("my own"), Some(file.path())).unwrap();
        assert_eq!(both.text, "my own");
    }

    #[test]
    fn subject_with_line_breaks_is_rejected() {
        assert!(Message::read("a\r\nBcc: b@example.com", Some("t"), None).is_err());
    }

    #[test]
    fn missing_file_is_named_in_the_error() {
        assert!(
            Message::read("s", None, Some(Path::new("/nowhere/a.html")))
                .unwrap_err()
                .starts_with("/nowhere/a.html: ")
        );
    }
}

//! Limits and control characters of text fields.

/// How control characters in a text are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Controls {
    /// Reject the text.
    Reject,
    /// Replace line breaks and tabs with spaces, remove the others.
    OneLine,
    /// Keep line feeds and tabs, remove the others.
    Lines,
}

/// The limits of a text field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextRule {
    pub(super) max: usize,
    pub(super) unit: &'static str,
    pub(super) controls: Controls,
}

impl TextRule {
    /// A name of at most `max` characters, without control characters.
    pub(crate) const fn name(max: usize) -> Self {
        Self {
            max,
            unit: "characters",
            controls: Controls::Reject,
        }
    }

    /// One line of at most `max` characters.
    pub(crate) const fn line(max: usize) -> Self {
        Self {
            max,
            unit: "characters",
            controls: Controls::OneLine,
        }
    }

    /// Text with line breaks, at most `max` bytes of UTF-8.
    pub(crate) const fn lines(max: usize) -> Self {
        Self {
            max,
            unit: "bytes",
            controls: Controls::Lines,
        }
    }

    /// Whether a text is within the limit.
    pub(super) fn fits(self, text: &str) -> bool {
        text.len() <= self.max || (self.unit == "characters" && text.chars().count() <= self.max)
    }
}

/// Whether a text has control characters. Most texts need no decoding: in UTF-8 the C1 controls
/// begin with 0xC2.
pub(super) fn has_controls(text: &str) -> bool {
    text.bytes()
        .any(|byte| byte < 0x20 || byte == 0x7F || byte == 0xC2)
        && text.chars().any(char::is_control)
}

/// The text with its control characters handled, and whether any were removed. Normalizing line
/// breaks does not count.
pub(super) fn without_controls(text: &str, controls: Controls) -> (String, bool) {
    let mut clean = String::with_capacity(text.len());
    let mut removed = false;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let line_end = char == '\n' || char == '\r';
        match char {
            '\r' if chars.peek() == Some(&'\n') => {}
            _ if line_end && controls == Controls::Lines => clean.push('\n'),
            '\t' if controls == Controls::Lines => clean.push('\t'),
            _ if line_end || char == '\t' => clean.push(' '),
            _ if char.is_control() => removed = true,
            _ => clean.push(char),
        }
    }
    (clean, removed)
}

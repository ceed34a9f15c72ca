//! Redacts prompts in other texts, because services repeat them in titles and error messages.

use std::borrow::Cow;
use std::ops::Range;

use super::privacy::PromptVisibility;
use crate::domain::JobEvent;

/// Shorter prompts are redacted only as whole words, since they are part of many other words.
const SHORT: usize = 8;

/// The normalised prompts to redact.
#[derive(Debug)]
pub(super) struct PromptRedactor(Vec<Vec<char>>);

impl PromptRedactor {
    /// The redactor for this job.
    pub(super) fn of(job: &JobEvent, shown: PromptVisibility) -> Self {
        let prompts = [&job.prompt, &job.prompt_translated, &job.negative_prompt]
            .into_iter()
            .filter_map(|prompt| Some(prompt.as_deref()?.trim()));
        let redactor = prompts
            .filter(|prompt| !prompt.is_empty() && shown.part(prompt).as_deref() != Some(prompt));
        let mut plain: Vec<Vec<char>> = redactor
            .map(|prompt| plain(prompt).map(|(c, _)| c).collect())
            .filter(|prompt: &Vec<char>| !prompt.is_empty())
            .collect();
        // One may be part of another.
        plain.sort_by_key(|prompt| std::cmp::Reverse(prompt.len()));
        Self(plain)
    }

    /// Replaces each prompt with `…`; `None` if nothing else remains.
    pub(super) fn without<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        if self.0.is_empty() {
            return Some(Cow::Borrowed(text));
        }
        let mut text = Cow::Borrowed(text);
        for prompt in &self.0 {
            let places = places(prompt, &text);
            if !places.is_empty() {
                text = Cow::Owned(replaced(&text, &places));
            }
        }
        let is_left = matches!(text, Cow::Borrowed(_)) || text.chars().any(char::is_alphanumeric);
        is_left.then_some(text)
    }
}

/// Byte ranges of a prompt in a text.
fn places(prompt: &[char], text: &str) -> Vec<Range<usize>> {
    let chars: Vec<(char, Range<usize>)> = plain(text).collect();
    let mut places = Vec::new();
    let mut at = 0;
    while let Some(window) = chars.get(at..at + prompt.len()) {
        let is_part = |neighbour: Option<&(char, Range<usize>)>| {
            prompt.len() < SHORT && neighbour.is_some_and(|(c, _)| c.is_alphanumeric())
        };
        let is_it = window.iter().map(|(c, _)| c).eq(prompt);
        let whole = !is_part(at.checked_sub(1).and_then(|before| chars.get(before)))
            && !is_part(chars.get(at + prompt.len()));
        if let (true, true, [(_, first), ..], [.., (_, last)]) = (is_it, whole, window, window) {
            places.push(first.start..last.end);
            at += prompt.len();
        } else {
            at += 1;
        }
    }
    places
}

fn replaced(text: &str, places: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for place in places {
        out.push_str(text.get(from..place.start).unwrap_or_default());
        out.push('…');
        from = place.end;
    }
    out + text.get(from..).unwrap_or_default()
}

/// The normalised characters of a text with their byte ranges: lower case, white space collapsed,
/// and JSON escapes such as `\n` and `\"` decoded, because services repeat their raw input.
fn plain(text: &str) -> impl Iterator<Item = (char, Range<usize>)> + '_ {
    let mut rest = text.char_indices().peekable();
    let mut in_blank = false;
    let decoded = std::iter::from_fn(move || {
        let (start, c) = rest.next()?;
        let c = match (c, rest.peek().map(|(_, next)| *next)) {
            ('\\', Some('n' | 't' | 'r')) => ' ',
            ('\\', Some(next @ ('"' | '\\' | '/'))) => next,
            _ => return Some((c, start..start + c.len_utf8())),
        };
        rest.next();
        Some((c, start..start + 2))
    });
    decoded.filter_map(move |(c, place)| {
        let blank = c.is_whitespace();
        let again = blank && std::mem::replace(&mut in_blank, blank);
        in_blank = blank;
        (!again).then(|| {
            (
                if blank {
                    ' '
                } else {
                    c.to_lowercase().next().unwrap_or(c)
                },
                place,
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(prompt: &str, text: &str) -> Option<String> {
        PromptRedactor(vec![plain(prompt).map(|(c, _)| c).collect()])
            .without(text)
            .map(Cow::into_owned)
    }

    #[test]
    fn prompt_is_found_in_any_spelling() {
        let prompt = "A portrait of\nJane \"J\" Doe, ÖL";
        for (text, left) in [
            (
                "bad prompt: A portrait of\nJane \"J\" Doe, ÖL!",
                "bad prompt: …!",
            ),
            (
                "a PORTRAIT  of Jane \"j\" doe, öl (twice) A portrait of Jane \"J\" Doe, ÖL",
                "… (twice) …",
            ),
            (
                r#"{"prompt":"A portrait of\nJane \"J\" Doe, ÖL","n":1}"#,
                r#"{"prompt":"…","n":1}"#,
            ),
            ("a portrait of Jane", "a portrait of Jane"),
        ] {
            assert_eq!(without(prompt, text).as_deref(), Some(left), "{text}");
        }
        assert_eq!(
            without(prompt, "  A portrait of Jane \"J\" Doe, ÖL. "),
            None,
            "nothing else was said"
        );
        assert_eq!(
            without("C:\\new", "at C:\\new and C:\\\\new"),
            Some("at … and C:\\\\new".to_owned())
        );
    }

    #[test]
    fn short_prompt_is_redacted_only_as_a_whole_word() {
        assert_eq!(
            without("a", "out of memory at batch 3").as_deref(),
            Some("out of memory at batch 3")
        );
        assert_eq!(
            without("fox", "no Fox, foxes or outfox").as_deref(),
            Some("no …, foxes or outfox")
        );
        assert_eq!(
            without("小猫", "不允许：小猫。").as_deref(),
            Some("不允许：…。")
        );
    }
}

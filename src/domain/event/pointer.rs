//! Paths within a JSON document.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const NOT_IN_FRAGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'?');

/// A path in a JSON document. Its text is only built for a message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum JsonPath<'a> {
    /// The whole document.
    Root,
    /// A member of an object.
    Field(&'a JsonPath<'a>, &'a str),
    /// An element of an array.
    Item(&'a JsonPath<'a>, usize),
}

impl JsonPath<'_> {
    /// The JSON pointer in URI form (RFC 6901 §6), such as `#/images/0/url`.
    pub(crate) fn pointer(self) -> String {
        let mut text = String::from("#");
        self.write(&mut text);
        text
    }

    fn write(self, text: &mut String) {
        match self {
            Self::Root => {}
            Self::Field(parent, name) => {
                parent.write(text);
                text.push('/');
                push_escaped(text, name);
            }
            Self::Item(parent, index) => {
                parent.write(text);
                // Writing to a String cannot fail.
                write!(text, "/{index}").unwrap_or_default();
            }
        }
    }
}

/// Escapes `~` and `/` (RFC 6901 §3), then characters that a URI fragment cannot hold (RFC 3986
/// §3.5).
fn push_escaped(text: &mut String, name: &str) {
    let name = name.replace('~', "~0").replace('/', "~1");
    text.extend(utf8_percent_encode(&name, NOT_IN_FRAGMENT));
}

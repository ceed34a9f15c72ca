//! Where in a producer's JSON something stands.

use std::fmt::Write as _;

/// Where in the document we are; a pointer text is made of it only when there is something to say.
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
    /// The JSON pointer in URI form (RFC 6901 §6), as `#/images/0/url`.
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
                name.bytes().for_each(|byte| push_escaped(text, byte));
            }
            Self::Item(parent, index) => {
                parent.write(text);
                // Writing to a String cannot fail.
                write!(text, "/{index}").unwrap_or_default();
            }
        }
    }
}

/// `~` and `/` as RFC 6901 §3 says, then what a URI fragment may not hold in percent form (RFC 3986
/// §3.5).
fn push_escaped(text: &mut String, byte: u8) {
    match byte {
        b'~' => text.push_str("~0"),
        b'/' => text.push_str("~1"),
        _ if byte.is_ascii_alphanumeric() || b"-._!$&'()*+,;=:@?".contains(&byte) => {
            text.push(char::from(byte));
        }
        _ => write!(text, "%{byte:02X}").unwrap_or_default(),
    }
}

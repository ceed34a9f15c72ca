//! Messages about the configuration, in English and Chinese.

use std::fmt;

use crate::domain::{AddressError, Locale};

/// A message in English and, if it is translated, in Chinese. Logs and JSON use the English text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub(super) en: String,
    pub(super) zh: Option<String>,
}

impl Message {
    /// The text in a language; English if there is no translation.
    pub fn text(&self, locale: Locale) -> &str {
        match (&self.zh, locale) {
            (Some(zh), Locale::ZhCn) => zh,
            _ => &self.en,
        }
    }

    /// Whether [`Message::text`] returns a text in this language.
    pub fn is_in(&self, locale: Locale) -> bool {
        locale == Locale::En || self.zh.is_some()
    }

    /// Puts a prefix before the message.
    pub(super) fn after(self, en: &str, zh: &str) -> Self {
        Self {
            en: format!("{en}{}", self.en),
            zh: self.zh.map(|text| format!("{zh}{text}")),
        }
    }

    /// The message about an entry of a list; the first one has index 0.
    pub(super) fn of_entry(self, index: usize) -> Self {
        let number = index + 1;
        self.after(&format!("entry {number}: "), &format!("第 {number} 项："))
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.en)
    }
}

impl serde::Serialize for Message {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.en)
    }
}

impl From<String> for Message {
    fn from(en: String) -> Self {
        Self { en, zh: None }
    }
}

impl<T: Into<String>> From<(T, T)> for Message {
    fn from((en, zh): (T, T)) -> Self {
        Self {
            en: en.into(),
            zh: Some(zh.into()),
        }
    }
}

impl From<[&str; 2]> for Message {
    fn from([en, zh]: [&str; 2]) -> Self {
        (en, zh).into()
    }
}

impl From<AddressError> for Message {
    fn from(error: AddressError) -> Self {
        let zh = match error {
            AddressError::Empty => "地址为空；请写成 name@example.com",
            AddressError::Shape => "地址应由名称、一个 @ 和域名组成，例如 name@example.com",
            AddressError::Character => {
                "地址中有不允许的字符；请写成 name@example.com，不含空格或引号"
            }
            AddressError::LineEnd => "地址中不能有换行或控制字符",
            AddressError::Route => "不允许经其他服务器转发的地址；请写成 name@example.com",
            AddressError::Domain => "@ 之后不是域名",
            AddressError::TooLong => "地址过长（@ 之前最多 64 字节，合计最多 254 字节）",
        };
        (error.to_string(), zh.to_owned()).into()
    }
}

/// Builds a [`Message`] from an English and a Chinese format string with the same arguments.
macro_rules! message {
    ($en:literal, $zh:literal $(, $arg:expr)* $(,)?) => {
        $crate::config::message::Message::from((format!($en $(, $arg)*), format!($zh $(, $arg)*)))
    };
}
pub(super) use message;

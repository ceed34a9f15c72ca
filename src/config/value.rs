//! Values as the sources state them, without their key's type.

use std::fmt;

/// A value of a configuration. It has no `Debug`, because it may be a secret.
#[derive(Clone)]
pub(super) enum Value {
    /// Removes the value of a lower layer.
    Unset,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    /// A table; its keys are separate values.
    Table,
}

/// A value with its place: `config.toml:12:8`, `$SMTP_HOST`.
#[derive(Clone)]
pub(super) struct Placed {
    pub value: Value,
    pub place: String,
}

/// The text of a value without quotes, so that `587` and `"587"` are equal.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => Ok(()),
            Self::Boolean(flag) => flag.fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text.trim()),
            Self::List(items) => items.iter().enumerate().try_for_each(|(index, item)| {
                let separator = if index == 0 { "" } else { "," };
                write!(f, "{separator}{item}")
            }),
            Self::Table => f.write_str("table"),
        }
    }
}

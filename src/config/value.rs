//! Values as the sources state them, without their key's type.

use std::fmt;

use ::config::{Map, ValueKind};

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

impl From<Value> for ValueKind {
    fn from(value: Value) -> Self {
        match value {
            Value::Unset => Self::Nil,
            Value::Boolean(flag) => Self::Boolean(flag),
            Value::Integer(number) => Self::I64(number),
            Value::Float(number) => Self::Float(number),
            Value::Text(text) => Self::String(text),
            Value::List(items) => {
                let item = |item: Value| ::config::Value::new(None, item);
                Self::Array(items.into_iter().map(item).collect())
            }
            Value::Table => Self::Table(Map::new()),
        }
    }
}

impl From<ValueKind> for Value {
    fn from(kind: ValueKind) -> Self {
        match kind {
            ValueKind::Boolean(flag) => Self::Boolean(flag),
            ValueKind::I64(number) => Self::Integer(number),
            ValueKind::Float(number) => Self::Float(number),
            ValueKind::String(text) => Self::Text(text),
            ValueKind::Array(items) => {
                Self::List(items.into_iter().map(|item| item.kind.into()).collect())
            }
            ValueKind::Table(_) => Self::Table,
            // The sources state no other integers.
            ValueKind::Nil | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
                Self::Unset
            }
        }
    }
}

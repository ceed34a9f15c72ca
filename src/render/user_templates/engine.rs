//! The template engine, configured so that a template can do no harm and mistakes are errors.

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value,
};

use crate::domain::Link;
use crate::render::filters;

/// Work limit of one template: about 20 times that of the largest built-in mail.
const FUEL: u64 = 500_000;

/// An engine without templates. `.html` escapes its output, `.txt` does not; undefined variables
/// are errors; other files are not accessible.
pub(super) fn new() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_fuel(Some(FUEL));
    engine.set_recursion_limit(50);
    // Makes errors name the template expression. Values are not shown.
    engine.set_debug(true);
    engine.set_formatter(write);
    // Templates exported by earlier versions use the short names.
    for name in ["breakable", "soft"] {
        engine.add_filter(name, |text: String| {
            Value::from_safe_string(filters::breakable(&text).to_string())
        });
    }
    engine.add_filter("wrap", |text: String| filters::wrap(&text).to_string());
    for name in ["hanging_indent", "hang"] {
        engine.add_filter(name, |text: String| {
            filters::hanging_indent(&text).to_string()
        });
    }
    engine.add_filter("link", |text: String| link(&text));
    engine
}

/// Validates a link: http or https, as in events.
fn link(text: &str) -> Result<String, Error> {
    match Link::parse(text) {
        Ok(link) => Ok(link.as_str().to_owned()),
        Err(error) => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("not a link for a mail: {error}"),
        )),
    }
}

/// Writes a value exactly as the built-in templates do, so that an exported mail is identical.
fn write(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) if matches!(state.auto_escape(), AutoEscape::Html) && !value.is_safe() => out
            .write_str(
                &askama::filters::escape(text, askama::filters::Html)
                    .map_err(failed)?
                    .to_string(),
            )
            .map_err(failed),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::WriteFailure, error.to_string())
}

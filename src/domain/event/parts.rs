//! Reads the composite fields of a job event: ID, status, images, error, metadata.

use serde_json::Value;

use super::fields::FieldReader;
use super::pointer::JsonPath;
use super::text::TextRule;
use super::{EventId, Image, JobError, JobEvent, JobStatus, MAX_IMAGES, Size, StatusMeaning};

/// Maximum size of `metadata` as JSON, in bytes.
const MAX_METADATA: usize = 16_384;
/// Maximum depth of `metadata`.
pub(crate) const MAX_DEPTH: usize = 32;
/// Maximum width and height of an image, in pixels.
pub(super) const MAX_SIDE: i128 = 1_000_000;

const JOB_ID: TextRule = TextRule::name(200);
const ERROR_CODE: TextRule = TextRule::line(200);
const ERROR_MESSAGE: TextRule = TextRule::lines(20_000);
const LOCAL_PATH: TextRule = TextRule::line(2_000);

const IMAGE_FIELDS: &[&str] = &["url", "local_path", "width", "height", "file_size"];
const ERROR_FIELDS: &[&str] = &["code", "message"];

pub(super) fn read_id(read: &mut FieldReader, at: JsonPath<'_>, value: &Value) -> Option<EventId> {
    let id = value.as_str().and_then(|text| EventId::parse(text).ok());
    if id.is_none() {
        read.error(at, format!("must be a text: {}", super::InvalidEventId));
    } else if id.as_ref().is_some_and(EventId::is_of_a_hook) {
        read.error(
            at,
            "must not begin with \"hook:\", which is reserved for webhooks",
        );
    }
    id
}

/// Reads the status, and whether the job was canceled.
pub(super) fn read_status(
    read: &mut FieldReader,
    at: JsonPath<'_>,
    value: &Value,
) -> Option<(JobStatus, bool)> {
    match StatusMeaning::of(value) {
        Some(StatusMeaning::Succeeded) => Some((JobStatus::Succeeded, false)),
        Some(meaning @ (StatusMeaning::Failed | StatusMeaning::Canceled)) => {
            Some((JobStatus::Failed, meaning == StatusMeaning::Canceled))
        }
        Some(StatusMeaning::Ignored) => {
            read.error(
                at,
                "does not end the job; write \"succeeded\" or \"failed\" when the job has ended",
            );
            None
        }
        None => {
            read.error(
                at,
                "is not a known status; write \"succeeded\" or \"failed\"",
            );
            None
        }
    }
}

/// Reads the producer's ID of the job; a number becomes text.
pub(super) fn read_job_id(
    read: &mut FieldReader,
    at: JsonPath<'_>,
    value: &Value,
) -> Option<String> {
    match value {
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => read.text(at, value, JOB_ID),
    }
}

pub(super) fn read_size(read: &mut FieldReader, at: JsonPath<'_>, value: &Value) -> Option<Size> {
    let Value::String(text) = value else {
        read.error(at, format!("must be a text: {}", super::InvalidSize));
        return None;
    };
    if text.is_empty() {
        return None;
    }
    Size::parse(text)
        .map_err(|error| read.error(at, error.to_string()))
        .ok()
}

pub(super) fn read_seed(
    read: &mut FieldReader,
    at: JsonPath<'_>,
    value: &Value,
) -> Option<serde_json::Number> {
    let seed: Option<i128> = read.integer(at, value, i128::from(i64::MIN), i128::from(u64::MAX));
    seed.and_then(serde_json::Number::from_i128)
}

pub(super) fn read_images(read: &mut FieldReader, at: JsonPath<'_>, value: &Value) -> Vec<Image> {
    match value {
        Value::Array(items) if items.len() <= MAX_IMAGES => items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| read_image(read, JsonPath::Item(&at, index), item))
            .collect(),
        Value::Array(_) => {
            read.error(at, format!("has too many images; at most {MAX_IMAGES}"));
            Vec::new()
        }
        _ => {
            read.error(
                at,
                "must be an array of objects with \"url\" or \"local_path\"",
            );
            Vec::new()
        }
    }
}

pub(super) fn read_image(read: &mut FieldReader, at: JsonPath<'_>, value: &Value) -> Option<Image> {
    let Value::Object(fields) = value else {
        read.error(at, "must be an object with \"url\" or \"local_path\"");
        return None;
    };
    let mut image = Image::default();
    for (name, value) in fields {
        let here = JsonPath::Field(&at, name);
        match name.as_str() {
            _ if value.is_null() && IMAGE_FIELDS.contains(&name.as_str()) => {}
            "url" => image.url = read.link(here, value),
            "local_path" => image.local_path = read.text(here, value, LOCAL_PATH),
            "width" => image.width = read.integer(here, value, 1, MAX_SIDE),
            "height" => image.height = read.integer(here, value, 1, MAX_SIDE),
            "file_size" => image.file_size = read.integer(here, value, 0, i128::from(i64::MAX)),
            _ => read.unknown(at, name, IMAGE_FIELDS),
        }
    }
    let named = |name| {
        fields
            .get(name)
            .is_some_and(|value: &Value| !value.is_null())
    };
    if !named("url") && !named("local_path") {
        read.error(at, "needs \"url\" or \"local_path\"");
    }
    // An image whose only link was left out is left out, too.
    (image.url.is_some() || image.local_path.is_some()).then_some(image)
}

/// Reads the `local_path` of an image.
pub(crate) fn read_local_path(
    read: &mut FieldReader,
    at: JsonPath<'_>,
    value: &Value,
) -> Option<String> {
    read.text(at, value, LOCAL_PATH)
}

pub(super) fn read_error(
    read: &mut FieldReader,
    at: JsonPath<'_>,
    value: &Value,
) -> Option<JobError> {
    let error = match value {
        Value::String(_) => JobError {
            code: None,
            message: read.text(at, value, ERROR_MESSAGE),
        },
        Value::Object(fields) => {
            let mut error = JobError::default();
            for (name, value) in fields {
                let here = JsonPath::Field(&at, name);
                match name.as_str() {
                    "code" | "message" if value.is_null() => {}
                    "code" => error.code = read.text(here, value, ERROR_CODE),
                    "message" => error.message = read.text(here, value, ERROR_MESSAGE),
                    _ => read.unknown(at, name, ERROR_FIELDS),
                }
            }
            error
        }
        _ => {
            read.error(
                at,
                "must be a text or an object with \"code\" and \"message\"",
            );
            return None;
        }
    };
    (error.code.is_some() || error.message.is_some()).then_some(error)
}

pub(super) fn read_metadata(
    read: &mut FieldReader,
    at: JsonPath<'_>,
    value: &Value,
    event: &mut JobEvent,
) {
    match value {
        Value::Object(_) if is_deep(value, MAX_DEPTH) => read.error(
            at,
            format!("is nested too deeply; at most {MAX_DEPTH} levels"),
        ),
        Value::Object(fields) if fits(value) => {
            event.metadata = fields
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
        }
        Value::Object(_) => read.error(
            at,
            format!("is too large; at most {MAX_METADATA} bytes of JSON"),
        ),
        _ => read.error(at, "must be an object"),
    }
}

/// Whether a value is nested more than `levels` deep. Bounded, so that stored events stay readable
/// inside other JSON.
pub(crate) fn is_deep(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(_) | Value::Object(_) if levels == 0 => true,
        Value::Array(items) => items.iter().any(|item| is_deep(item, levels - 1)),
        Value::Object(fields) => fields.values().any(|value| is_deep(value, levels - 1)),
        _ => false,
    }
}

/// Whether metadata is within its limit, determined without allocating the JSON text.
fn fits(value: &Value) -> bool {
    struct Limit(usize);
    impl std::io::Write for Limit {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(bytes.len())
                .ok_or(std::io::ErrorKind::FileTooLarge)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    serde_json::to_writer(Limit(MAX_METADATA), value).is_ok()
}

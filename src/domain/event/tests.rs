use serde_json::{Value, json};

use super::{FieldError, JobEvent, JobStatus, Parsed, Size};
use crate::domain::{Locale, Timestamp};

fn now() -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000)
}

fn parse(value: &Value) -> Parsed {
    JobEvent::parse(value, now()).unwrap()
}

/// The pointers of everything that is wrong, sorted.
fn wrong(value: &Value) -> Vec<String> {
    let mut pointers: Vec<String> = JobEvent::parse(value, now())
        .unwrap_err()
        .into_iter()
        .map(|error| error.pointer)
        .collect();
    pointers.sort();
    pointers
}

fn warnings(parsed: &Parsed) -> Vec<&str> {
    parsed
        .warnings
        .iter()
        .map(|FieldError { detail, .. }| detail.as_str())
        .collect()
}

#[test]
fn documented_example_is_parsed_field_by_field() {
    let parsed = parse(&json!({
        "id": "gen-20260101-0001", "status": "succeeded", "job_id": "42", "title": "猫",
        "prompt": "一只可爱的小猫", "prompt_translated": "A cute little kitten", "negative_prompt": "blurry",
        "model": "google/gemini-2.5-flash-image-preview:free", "size": "1024x1024", "format": "png", "seed": 7, "steps": 30,
        "images": [{"url": "https://e.com/a.jpg", "local_path": "/static/images/a.jpg", "width": 1024, "height": 768, "file_size": 245_760}],
        "url": "https://ci.e.com/runs/1", "error": {"code": "NSFW", "message": "no"},
        "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T08:00:09+08:00",
        "to": ["user@example.com"], "locale": "en", "sensitive": true, "metadata": {"user": "u1"}
    }));
    let event = &parsed.event;
    assert_eq!(
        (event.id.as_str(), event.status, parsed.id_given),
        ("gen-20260101-0001", JobStatus::Succeeded, true)
    );
    assert_eq!(
        (event.job_id.as_deref(), event.title.as_deref()),
        (Some("42"), Some("猫"))
    );
    assert_eq!(event.prompt.as_deref(), Some("一只可爱的小猫"));
    assert_eq!(
        event.prompt_translated.as_deref(),
        Some("A cute little kitten")
    );
    assert_eq!(event.negative_prompt.as_deref(), Some("blurry"));
    assert_eq!(
        event.model.as_deref(),
        Some("google/gemini-2.5-flash-image-preview:free")
    );
    assert_eq!(
        (event.size, event.format.as_deref(), event.steps),
        (
            Some(Size {
                width: 1024,
                height: 1024
            }),
            Some("png"),
            Some(30)
        )
    );
    assert_eq!(event.seed, Some(7.into()));
    let image = &event.images[0];
    assert_eq!(
        image.url.as_ref().map(super::Link::as_str),
        Some("https://e.com/a.jpg")
    );
    assert_eq!(
        (image.local_path.as_deref(), image.width, image.height),
        (Some("/static/images/a.jpg"), Some(1024), Some(768))
    );
    assert_eq!(image.file_size, Some(245_760));
    let error = event.error.as_ref().unwrap();
    assert_eq!(
        (error.code.as_deref(), error.message.as_deref()),
        (Some("NSFW"), Some("no"))
    );
    assert_eq!(
        event.url.as_ref().map(super::Link::as_str),
        Some("https://ci.e.com/runs/1")
    );
    assert_eq!(event.started_at, Some(now()));
    assert_eq!(event.finished_at.unwrap().since(now()).as_secs(), 9);
    assert_eq!(
        (event.to[0].as_str(), event.locale, event.sensitive),
        ("user@example.com", Some(Locale::En), true)
    );
    assert_eq!(event.metadata.get("user"), Some(&json!("u1")));
    assert!(parsed.warnings.is_empty());
}

#[test]
fn short_forms_equal_the_long_ones() {
    let parsed = parse(&json!({
        "status": "failed", "image_url": "https://e.com/a.png", "width": 640, "height": 480.0,
        "error": "out of memory\nat step 3", "to": "a@x.org，b@x.org; A@x.org"
    }));
    let event = &parsed.event;
    assert_eq!(event.images.len(), 1);
    assert_eq!(
        event.size,
        Some(Size {
            width: 640,
            height: 480
        })
    );
    assert_eq!(
        event.error.as_ref().unwrap().message.as_deref(),
        Some("out of memory\nat step 3")
    );
    assert_eq!(
        event
            .to
            .iter()
            .map(crate::domain::Recipient::as_str)
            .collect::<Vec<_>>(),
        ["a@x.org", "b@x.org"]
    );
    assert!(!parsed.id_given);
    assert_eq!(event.id.as_str().len(), 36);
}

#[test]
fn image_url_is_not_listed_twice() {
    let parsed = parse(
        &json!({"status": "succeeded", "image_url": "https://e.com/a", "images": [{"url": "https://e.com/a"}, {"url": "https://e.com/b"}]}),
    );
    assert_eq!(parsed.event.images.len(), 2);
}

#[test]
fn null_and_empty_count_as_absent() {
    let fields = [
        "id",
        "job_id",
        "title",
        "prompt",
        "size",
        "seed",
        "steps",
        "images",
        "image_url",
        "error",
        "started_at",
        "to",
        "locale",
        "sensitive",
        "metadata",
        "width",
    ];
    let mut object: serde_json::Map<String, Value> = fields
        .iter()
        .map(|name| ((*name).to_owned(), Value::Null))
        .collect();
    object.insert("status".to_owned(), json!("succeeded"));
    let parsed = parse(&Value::Object(object));
    assert!(parsed.warnings.is_empty());
    let bare = parse(
        &json!({"status": "succeeded", "title": "", "prompt": " \n", "to": "", "image_url": "", "error": {}, "size": "", "metadata": {}}),
    );
    assert_eq!(
        JobEvent {
            id: bare.event.id.clone(),
            ..parsed.event
        },
        bare.event
    );
}

#[test]
fn all_invalid_fields_are_reported_at_once() {
    let value = json!({
        "id": "has blank", "status": "perhaps", "job_id": 4.5, "title": "x".repeat(501), "prompt": "x".repeat(200_001),
        "model": ["m"], "size": "big", "width": 0, "height": -1, "format": "x".repeat(33), "seed": 1.5, "steps": 1_000_001,
        "images": [{"url": 5}, {"width": 3}, "https://e.com", {"url": "https://e.com/a", "height": "tall", "file_size": -1}],
        "error": {"code": 5, "message": "x".repeat(20_001)}, "started_at": "yesterday", "finished_at": -5,
        "to": ["@x.org", "nobody", 7], "locale": "fr", "sensitive": "yes", "metadata": []
    });
    let expected = [
        "#/error/code",
        "#/error/message",
        "#/finished_at",
        "#/format",
        "#/height",
        "#/id",
        "#/images/0/url",
        "#/images/1",
        "#/images/2",
        "#/images/3/file_size",
        "#/images/3/height",
        "#/job_id",
        "#/locale",
        "#/metadata",
        "#/model",
        "#/prompt",
        "#/seed",
        "#/sensitive",
        "#/size",
        "#/started_at",
        "#/status",
        "#/steps",
        "#/title",
        "#/to/0",
        "#/to/1",
        "#/to/2",
        "#/width",
    ];
    assert_eq!(wrong(&value), expected);
}

#[test]
fn missing_status_error_names_the_valid_values() {
    let errors = JobEvent::parse(&json!({"prompt": "x"}), now()).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].pointer, "#/status");
    assert!(errors[0].detail.contains("\"succeeded\" or \"failed\""));
    assert_eq!(wrong(&json!({"status": null})), ["#/status"]);
    assert_eq!(wrong(&json!([1])), ["#"]);
}

#[test]
fn unknown_field_warning_suggests_the_nearest_name() {
    let parsed = parse(&json!({
        "status": "succeeded", "promt": "x", "imageUrl": "y", "zzz": 1, "images": [{"url": "https://e.com", "hight": 3}], "error": {"mesage": "m"}
    }));
    let expected = [
        "unknown field \"mesage\" in #/error; did you mean \"message\"?",
        "unknown field \"imageUrl\"; did you mean \"image_url\"?",
        "unknown field \"hight\" in #/images/0; did you mean \"height\"?",
        "unknown field \"promt\"; did you mean \"prompt\"?",
        "unknown field \"zzz\"",
    ];
    assert_eq!(warnings(&parsed), expected);
}

#[test]
fn pointer_is_escaped_by_rfc_6901() {
    let parsed = parse(&json!({"status": "succeeded", "a/b~c d\u{e9}%": 1}));
    assert_eq!(parsed.warnings[0].pointer, "#/a~1b~0c%20d%C3%A9%25");
}

#[test]
fn disallowed_link_is_left_out_with_a_warning() {
    for link in [
        "javascript:alert(1)",
        "data:text/html,x",
        "/static/a.jpg",
        "https://u:p@e.com/",
        "not a link",
    ] {
        let parsed = parse(
            &json!({"status": "succeeded", "images": [{"url": link, "local_path": "/a.jpg"}, {"url": link}], "image_url": link}),
        );
        assert_eq!(parsed.event.images.len(), 1, "{link}");
        assert_eq!(parsed.event.images[0].url, None);
        let expected = [
            "#/image_url was left out",
            "#/images/0/url was left out",
            "#/images/1/url was left out",
        ];
        assert!(
            warnings(&parsed)
                .iter()
                .zip(expected)
                .all(|(warning, start)| warning.starts_with(start)),
            "{:?}",
            parsed.warnings
        );
    }
}

#[test]
fn control_characters_are_removed_from_texts_and_rejected_in_names() {
    let parsed = parse(
        &json!({"status": "succeeded", "title": "a\0b\r\nc\td", "prompt": "a\0b\r\nc\td\re", "model": "m\u{9b}x"}),
    );
    assert_eq!(parsed.event.title.as_deref(), Some("ab c d"));
    assert_eq!(parsed.event.prompt.as_deref(), Some("ab\nc\td\ne"));
    assert_eq!(parsed.event.model.as_deref(), Some("mx"));
    assert_eq!(warnings(&parsed).len(), 3);
    assert_eq!(
        wrong(&json!({"status": "succeeded", "id": "a\nb", "job_id": "a\0"})),
        ["#/id", "#/job_id"]
    );
}

#[test]
fn limits_are_exact() {
    let cat = |number| "猫".repeat(number);
    let parsed = parse(&json!({
        "status": "succeeded", "title": cat(500), "model": cat(300), "format": cat(32), "job_id": cat(200), "prompt": "x".repeat(200_000),
        "error": {"code": cat(200), "message": "x".repeat(20_000)}, "steps": 0, "seed": u64::MAX
    }));
    assert_eq!(parsed.event.title.unwrap().chars().count(), 500);
    assert_eq!(
        wrong(&json!({"status": "succeeded", "title": cat(501), "prompt": cat(66_667)})),
        ["#/prompt", "#/title"]
    );
    let images: Vec<Value> = (0..1_001).map(|_| json!({"local_path": "/a"})).collect();
    let to: Vec<String> = (0..51).map(|n| format!("u{n}@x.org")).collect();
    let many = json!({"status": "succeeded", "images": images, "to": to.join(","), "metadata": {"a": "x".repeat(16_384)}});
    assert_eq!(wrong(&many), ["#/images", "#/metadata", "#/to"]);
    assert_eq!(wrong(&json!({"status": "succeeded", "to": to})), ["#/to"]);
    assert_eq!(
        wrong(&json!({"status": "succeeded", "to": ",a@b.cc".repeat(100_000)})),
        ["#/to"]
    );
    assert_eq!(
        parse(&json!({"status": "succeeded", "to": to[..50]}))
            .event
            .to
            .len(),
        50
    );
}

#[test]
fn times_are_text_seconds_or_milliseconds() {
    for time in [
        json!("2026-01-01T00:00:00Z"),
        json!("2026-01-01T08:00:00+08:00"),
        json!(1_767_225_600),
        json!(1_767_225_600_000_i64),
    ] {
        assert_eq!(
            parse(&json!({"status": "succeeded", "finished_at": time}))
                .event
                .finished_at,
            Some(now()),
            "{time}"
        );
    }
    for time in [
        json!("2026-01-01"),
        json!("2026-13-01T00:00:00Z"),
        json!(true),
        json!(-1.5),
        json!(1e300),
        json!("x".repeat(100)),
    ] {
        assert_eq!(
            wrong(&json!({"status": "succeeded", "finished_at": time})),
            ["#/finished_at"],
            "{time}"
        );
    }
}

#[test]
fn response_lists_at_most_a_hundred_notes() {
    let mut object: serde_json::Map<String, Value> = (0..5_000)
        .map(|n| (format!("field{n}"), json!(1)))
        .collect();
    object.insert("status".to_owned(), json!("succeeded"));
    assert_eq!(parse(&Value::Object(object)).warnings.len(), 100);
}

proptest::proptest! {
    #[test]
    fn parser_accepts_any_json_and_its_events_survive_storage(text in r#"\{("(status|to|size|images|error|seed|started_at)":("[a-z@.,x0-9]{0,9}"|[0-9]{1,14}|null|\[\]|\{\}|"succeeded"),){0,5}"status":"(succeeded|failed|x)"\}"#) {
        if let Ok(value) = serde_json::from_str::<Value>(&text)
            && let Ok(parsed) = JobEvent::parse(&value, now())
        {
            let stored = serde_json::to_string(&parsed.event).unwrap();
            proptest::prop_assert_eq!(serde_json::from_str::<JobEvent>(&stored).unwrap(), parsed.event);
        }
    }
}

#[test]
fn insensitive_event_is_stored_without_the_field() {
    let bare = parse(&json!({"id": "e", "status": "succeeded"})).event;
    assert_eq!(
        parse(&json!({"id": "e", "status": "succeeded", "sensitive": false})).event,
        bare
    );
    assert_eq!(
        serde_json::to_value(&bare).unwrap(),
        json!({"id": "e", "status": "succeeded"})
    );
    assert_eq!(
        serde_json::from_value::<JobEvent>(json!({"id": "e", "status": "succeeded"})).unwrap(),
        bare
    );
}

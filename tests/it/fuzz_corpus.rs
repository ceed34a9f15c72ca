//! What the fuzz targets have run into, as ordinary tests: the same functions over the files of
//! `tests/fuzz/corpus`.

#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "public in the crate of the fuzz targets")]
mod entries;

fn each(target: &str, entry: fn(&[u8])) {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let files: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert!(files.len() >= 3, "{}", directory.display());
    for file in files {
        println!("{}", file.display());
        let bytes = std::fs::read(file).unwrap();
        entry(&bytes);
        // And cut short anywhere, as by a connection that breaks.
        (0..bytes.len()).for_each(|end| entry(&bytes[..end]));
    }
}

#[test]
fn answers_of_mail_servers() {
    each("smtp_replies", entries::smtp_replies);
}

#[test]
fn events_as_json() {
    each("event_json", entries::event_json);
}

#[test]
fn configurations() {
    each("configuration", entries::configuration);
}

#[test]
fn payloads_of_hooks() {
    each("hook_payload", entries::hook_payload);
}

#[test]
fn html_of_messages() {
    each("html_filter", entries::html_filter);
}

#[test]
fn lists_of_addresses() {
    each("addresses", entries::addresses);
}

//! `[[server.token]]`, `server.hosts` and `server.public_url`.

use super::*;
use crate::domain::MailKind;
use crate::http::host::Host;
use crate::http::tokens::{Digest, Rate, Scope};

const VALUE: &str = "0123456789abcdef-token";

fn file(text: &str) -> Scene {
    Scene::file(&format!("{SMALL}{text}"))
}

#[test]
fn all_keys_of_a_token_are_read_and_secrets_are_not_shown() {
    let text = format!(
        "[[server.token]]\nname = \"ci\"\nvalue = \"{VALUE}\"\nmay = [\"post\", \"read\"]\nkinds = [\"success\"]\nto = [\"*@example.org\"]\nrate = \"30/min\"\n"
    );
    let loaded = file(&text)
        .var("JOBBELL_SERVER__TOKEN__1__NAME", "two")
        .var("JOBBELL_SERVER__TOKEN__1__SHA256", &"ab".repeat(32));
    let loaded = loaded
        .var("JOBBELL_SERVER__TOKEN__1__MAY__0", "metrics")
        .good();
    let [ci, two] = <[_; 2]>::try_from(loaded.config.server.named_tokens.clone()).unwrap();
    assert_eq!(
        (ci.name.as_str(), ci.digest, ci.may.as_slice()),
        (
            "ci",
            Digest::of(VALUE),
            [Scope::Post, Scope::Read].as_slice()
        )
    );
    assert_eq!(
        (ci.kinds.as_slice(), ci.to.len()),
        ([MailKind::Success].as_slice(), 1)
    );
    assert_eq!(
        ci.rate,
        Some(Rate {
            number: 30,
            per: std::time::Duration::from_mins(1)
        })
    );
    assert_eq!(
        (two.name.as_str(), two.digest, two.value),
        ("two", Digest::from_hex(&"ab".repeat(32)).unwrap(), None)
    );
    assert!(!format!("{:?} {:?}", loaded.config.server, loaded.shown).contains(VALUE));
    let shown: Vec<_> = loaded
        .shown
        .iter()
        .map(|shown| (shown.key.as_str(), shown.value.as_str()))
        .collect();
    assert!(
        shown.contains(&("server.token[0].value", "***"))
            && shown.contains(&("server.token[1].sha256", "***")),
        "{shown:?}"
    );
    assert!(
        shown.contains(&("server.token[1].name", "\"two\"")),
        "{shown:?}"
    );
}

#[test]
fn all_problems_of_tokens_are_reported_with_their_places() {
    let problems = file(
        "[server]\ntokens = [\"0123456789abcdef-master\"]\n[[server.token]]\nname = \"a b\"\nsha256 = \"0123456789abcdef-not-hex\"\nmay = [\"posts\"]\n\
         [[server.token]]\nname = \"two\"\nvalue = \"0123456789abcdef-master\"\nmay = [\"read\"]\nkinds = [\"sucess\"]\nto = [\"nobody\"]\nrate = \"fast\"\n\
         [[server.token]]\nname = \"two\"\nvalue = \"x y\"\nsha256 = \"00\"\n[[server.token]]\nmayy = [\"read\"]\n",
    )
    .bad();
    for parts in [
        &[
            "config.toml:8:",
            "server.token[0].name: invalid value \"a b\"",
            "1 to 31 letters",
        ][..],
        &[
            "config.toml:9:",
            "server.token[0].sha256: found text",
            "64 hexadecimal digits",
        ],
        &[
            "config.toml:10:",
            "server.token[0].may",
            "did you mean \"post\"?",
        ],
        &["server.token[1]: is the same as one of server.tokens"],
        &[
            "config.toml:15:",
            "server.token[1].kinds",
            "did you mean \"success\"?",
        ],
        &["config.toml:16:", "server.token[1].to", "entry 1"],
        &[
            "config.toml:17:",
            "server.token[1].rate: invalid value \"fast\"",
        ],
        &["server.token[2].value and server.token[2].sha256 exclude each other"],
        &["config.toml:18:", "server.token[2].may: is missing"],
        &["config.toml:22:", "server.token[3].name: is missing"],
        &["server.token[3]: has no token"],
        &[
            "config.toml:23:",
            "unknown key; did you mean server.token[3].may?",
        ],
    ] {
        assert_in(&problems, parts);
    }
    assert!(
        !problems.concat().contains("0123456789abcdef"),
        "{problems:#?}"
    );
    assert_in(
        &file("[server.token]\nname = \"a\"\n").bad(),
        &["server.token: found a table", "[[server.token]]"],
    );
    assert_in(
        &Scene::file(SMALL)
            .var("JOBBELL_SERVER__TOKEN__0__NAM", "a")
            .bad(),
        &["JOBBELL_SERVER__TOKEN__0__NAME"],
    );
    let twice = "[[server.token]]\nname = \"a\"\nvalue = \"0123456789abcdef-1\"\nmay = [\"read\"]\n[[server.token]]\nname = \"a\"\nvalue = \"0123456789abcdef-2\"\nmay = [\"read\"]\n";
    assert_one(
        &file(twice).bad(),
        &["config.toml:10:", "another token has this name"],
    );
}

#[test]
fn named_token_protects_a_public_address() {
    let open = "[server]\nlisten = \"0.0.0.0:8000\"\n";
    assert_one(&file(open).bad(), &["server.listen", "[[server.token]]"]);
    let server = file(&format!(
        "{open}[[server.token]]\nname = \"a\"\nvalue = \"{VALUE}\"\nmay = [\"post\"]\n"
    ))
    .good()
    .config
    .server;
    assert!(
        !server.wants_tokens()
            && server.own_token(&[Scope::Post]).is_some()
            && server.own_token(&[Scope::Read]).is_none()
    );
}

#[test]
fn hosts_have_no_ports_and_the_public_url_no_login() {
    let server = file(
        "[server]\nhosts = \"Bell.lan, 192.0.2.7\"\npublic_url = \"https://bell.example.com\"\n",
    )
    .good()
    .config
    .server;
    assert_eq!(
        server.hosts,
        ["bell.lan", "192.0.2.7"].map(|host| Host::parse(host).unwrap())
    );
    assert_eq!(
        server.public_url.unwrap().host_str(),
        Some("bell.example.com")
    );
    for wrong in ["bell.lan:80", "http://bell.lan", "*.lan"] {
        assert_one(
            &file(&format!("[server]\nhosts = [\"a\", \"{wrong}\"]\n")).bad(),
            &["server.hosts", "entry 2"],
        );
    }
    for wrong in ["bell.lan", "ftp://bell.lan", "https://u:p@bell.lan"] {
        assert_one(
            &file(&format!("[server]\npublic_url = \"{wrong}\"\n")).bad(),
            &["server.public_url"],
        );
    }
}

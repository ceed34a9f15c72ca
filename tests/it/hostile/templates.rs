//! User templates that exceed their limits in various ways.

use std::path::Path;

use tokio::process::Command;

use super::pictures::{limited, peak};
use crate::support::daemon::success;
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::{TestConfig, finish};

/// Excessive templates: repetition, filters, concatenation, nested lists, loops, recursion.
fn bombs() -> Vec<String> {
    const LIST: &str = "{% set x = ['a' * 10000000, 1] * 100 %}";
    let nested = (1..40).fold("{% set a0 = ['x', 'y'] %}".to_owned(), |all, n| {
        format!("{all}{{% set a{n} = [a{0}, a{0}] %}}", n - 1)
    });
    let deep = "{% set ns = namespace(x=[]) %}{% for i in range(90000) %}{% set ns.x = [ns.x] %}{% endfor %}";
    let mut bombs: Vec<String> = [
        "{{ ['a' * 10000000, 1] * 100 }}",
        "{{ 'a' * 99999999 }}",
        "{% set x = 'a' * 10000000 %}{{ x|replace('a', x) }}",
        "{{ ('a\n' * 1000000)|indent(100000) }}",
        "{{ '%1000000000d'|format(1) }}",
        "{{ ([''] * 10000000)|join('a' * 1000) }}",
        "{{ range(100000)|list|join('a' * 10000) }}",
        "{% set ns = namespace(s='ab') %}{% for i in range(40) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
        "{% macro d(s, n) %}{% if n > 0 %}{{ d(s ~ s, n - 1) }}{% else %}{{ s }}{% endif %}{% endmacro %}{{ d('ab', 45) }}",
        "{% macro d(n) %}{{ d(n) }}{% endmacro %}{{ d(1) }}",
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{% filter upper %}{{ 'a' * 90000000 }}{% endfilter %}",
    ]
    .map(str::to_owned)
    .into();
    bombs.extend(
        [
            "{{ x ~ '' }}",
            "{{ x|string|length }}",
            "{{ x|join|length }}",
            "{{ x|upper|length }}",
            "{{ debug()|length }}",
        ]
        .map(|end| format!("{LIST}{end}")),
    );
    bombs.extend(
        ["{{ a39 }}", "{{ a39|e|length }}", "{{ a39|string|length }}"]
            .map(|end| format!("{nested}{end}")),
    );
    bombs.push(format!(
        "{nested}{}{{{{ a39 == b39 }}}}",
        nested.replace(" a", " b").replace("[a", "[b")
    ));
    bombs.push(format!("{deep}{{{{ ns.x }}}}"));
    bombs
}

fn write(folder: &Path, name: &str, text: &str) {
    let file = folder.join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn template_over_its_limits_is_refused_with_its_line() {
    let config = TestConfig::bare();
    for bomb in bombs() {
        write(config.path(), "own/success/body.txt", &bomb);
        let mut shell = Command::new("/bin/bash");
        shell.args([
            "-c",
            "ulimit -v 614400; exec \"$0\" templates check own",
            env!("CARGO_BIN_EXE_jobbell"),
        ]);
        config.prepare(&mut shell);
        let checked = finish(shell).await;
        assert_eq!(checked.code, Some(1), "{bomb}: {checked:#?}");
        assert!(
            checked.err.contains("own/success/body.txt:"),
            "{bomb}: {checked:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn template_over_its_limits_falls_back_to_the_default_mail() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    config
        .text("email.templates_dir", "own")
        .text("email.locale", "en");
    // These titles exceed the limits; the samples do not.
    let arms: Vec<String> = bombs()
        .into_iter()
        .map(|bomb| {
            bomb.replace("{% macro d(", "{% macro e(")
                .replace("{{ d(", "{{ e(")
        })
        .collect();
    let template = |(at, bomb): (usize, &String)| {
        format!("{{% if mail.title == 'boom {at}' %}}{bomb}{{% endif %}}")
    };
    write(config.path(), "own/success/subject.txt", "mine");
    write(
        config.path(),
        "own/success/body.txt",
        &format!(
            "my own words {}",
            arms.iter()
                .enumerate()
                .map(template)
                .take(4)
                .collect::<String>()
        ),
    );
    let mut daemon = limited(&config).await;
    let mut expected = Vec::new();
    for title in [
        "boom 0", "fine", "boom 1", "fine", "boom 2", "boom 3", "fine",
    ] {
        let mut event = success("a@example.org");
        event["title"] = title.into();
        let id = daemon.accept(&event).await;
        daemon.reached(&id, "sent").await;
        expected.push(if title == "fine" {
            "mine".to_owned()
        } else {
            format!("Image ready: {title}")
        });
    }
    let mails = peer.mails();
    let subjects: Vec<String> = mails
        .iter()
        .map(|mail| {
            mail_parser::MessageParser::default()
                .parse(&mail.data)
                .unwrap()
                .subject()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(subjects, expected);
    let peak = peak(&daemon.pid().to_string()).unwrap();
    eprintln!("peak of the daemon: {} MiB", peak / 1_024);
    assert!(peak < 100 * 1_024, "{peak} KiB");
    daemon.stop().await;
}

//! User templates: exported templates render identical mails, and faulty ones do no harm and lose
//! no mail.

use std::path::Path;

use jobbell::render::user_templates::{TemplateError, UserTemplates, exported, samples};
use jobbell::render::{Renderer, Settings};
use serde_json::json;

use crate::render::{cases, job, render, render_with, settings};
use crate::support::daemon::success;
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

fn write(folder: &Path, name: &str, text: &str) {
    let file = folder.join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

/// Loads a folder with these files.
fn load(files: &[(&str, &str)]) -> Result<UserTemplates, Vec<TemplateError>> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(folder.path(), name, text);
    }
    load_from(folder.path())
}

fn load_from(folder: &Path) -> Result<UserTemplates, Vec<TemplateError>> {
    // Templates are filled by a child process of the program, which this test binary is not.
    jobbell::sandbox::use_program(env!("CARGO_BIN_EXE_jobbell"));
    UserTemplates::load(folder, &settings())
}

fn renderer(files: &[(&str, &str)]) -> Renderer {
    Renderer::new(Settings {
        user_templates: Some(load(files).unwrap()),
        ..settings()
    })
}

/// The only fault, as `file:line` without its folder, and its message.
fn fault(files: &[(&str, &str)]) -> (String, String) {
    let faults = load(files).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:#?}");
    let name = faults[0]
        .file
        .components()
        .rev()
        .take(2)
        .collect::<Vec<_>>();
    (
        format!(
            "{}/{}:{}",
            name[1].as_os_str().display(),
            name[0].as_os_str().display(),
            faults[0].line
        ),
        faults[0].detail.clone(),
    )
}

#[test]
fn exported_templates_render_identical_mails() {
    let files = exported();
    let files: Vec<_> = files
        .iter()
        .map(|(name, source)| (name.as_str(), source.as_str()))
        .collect();
    let (own, built_in) = (renderer(&files), Renderer::new(settings()));
    for case in cases() {
        let (expected, found) = (render(case.event.clone()), render_with(&own, case.event));
        assert_eq!(
            (found.subject, found.text),
            (expected.subject, expected.text),
            "{} {}",
            case.name,
            case.locale
        );
        assert_eq!(found.html, expected.html, "{} {}", case.name, case.locale);
    }
    for sample in samples() {
        let context = sample.context();
        let expected = built_in.render(&sample.event, &context).unwrap();
        assert_eq!(
            own.render_checked(&sample.event, &context).unwrap(),
            (expected, None),
            "{} {}",
            sample.mail,
            sample.name
        );
    }
}

#[test]
fn file_replaces_its_part_and_leaves_the_others() {
    let own = renderer(&[(
        "success/subject.txt",
        "{{ mail.title or 'Done' }} & {{ mail.words.lang }}\n",
    )]);
    let event = job(&json!({"id": "e", "status": "succeeded", "title": "a <b>"}));
    let (built_in, email) = (render(event.clone()), render_with(&own, event));
    assert_eq!(email.subject, "a <b> & zh-CN", "texts are not escaped");
    assert_eq!((email.text, email.html), (built_in.text, built_in.html));
    let own = renderer(&[(
        "failure/body.html",
        "{% extends \"layout.html\" %}{% block card %}<p>{{ mail.trouble.code or '?' }}</p>{% endblock %}",
    )]);
    let email = render_with(
        &own,
        job(&json!({"id": "e", "status": "failed", "error": {"code": "<i>&\""}})),
    );
    assert!(
        email.html.contains("<p>&#60;i&#62;&#38;&#34;</p>") && email.html.contains("</html>"),
        "{}",
        email.html
    );
}

#[test]
fn subject_is_one_line_whatever_its_template_produces() {
    let own = renderer(&[(
        "success/subject.txt",
        "Hello\r\nBcc: x@example.com\n\n{{ mail.headline }}\u{0}",
    )]);
    assert_eq!(
        render_with(
            &own,
            job(&json!({"id": "e", "status": "succeeded", "locale": "en"}))
        )
        .subject,
        "Hello Bcc: x@example.com Job done"
    );
}

#[test]
fn broken_templates_are_refused_with_file_and_line() {
    let (place, detail) = fault(&[("success/body.txt", "fine\n{% if %}\n")]);
    assert_eq!(place, "success/body.txt:2", "{detail}");
    let (place, detail) = fault(&[("failure/subject.txt", "fine\n\n{{ mail.headlin }}")]);
    assert!(
        place == "failure/subject.txt:3" && detail.contains("mail.headlin"),
        "{place}: {detail}"
    );
    assert_eq!(
        fault(&[("success/body.txt", "{{ mail.headline|nope }}")]).0,
        "success/body.txt:1"
    );
    assert!(
        fault(&[("success/body.html", "  \n")])
            .1
            .contains("makes nothing")
    );
    assert!(
        !load(&[
            ("success/body.txt", "{{ nobody }}"),
            ("failure/body.txt", "{% if %}")
        ])
        .unwrap_err()
        .is_empty()
    );
}

#[test]
fn template_cannot_read_outside_its_folder() {
    for name in ["../secret.txt", "/etc/hostname", "success/../../secret.txt"] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "secret.txt", "secret");
        write(
            folder.path(),
            "own/success/body.txt",
            &format!("{{% include \"{name}\" %}}"),
        );
        let faults = load_from(&folder.path().join("own")).unwrap_err();
        assert!(faults[0].detail.contains("not"), "{faults:#?}");
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "secret.txt", "secret");
    std::fs::create_dir_all(folder.path().join("own/success")).unwrap();
    std::os::unix::fs::symlink(
        folder.path().join("secret.txt"),
        folder.path().join("own/success/body.txt"),
    )
    .unwrap();
    assert!(
        load_from(&folder.path().join("own")).unwrap_err()[0]
            .detail
            .contains("leads out")
    );
}

#[test]
fn work_without_end_is_ended() {
    for endless in [
        "{% for a in range(10000) %}{% for b in range(10000) %}{{ a * b }}{% endfor %}{% endfor %}",
        "{{ \"x\" * 100000000 }}",
    ] {
        assert_eq!(
            fault(&[("success/body.txt", endless)]).0,
            "success/body.txt:1"
        );
    }
}

#[test]
fn failing_template_falls_back_to_the_built_in_mail() {
    let own = renderer(&[
        (
            "success/subject.txt",
            "{% if mail.title == 'boom' %}{{ mail.nothing }}{% endif %}mine",
        ),
        ("success/body.txt", "my own text"),
    ]);
    let event = |title: &str| job(&json!({"id": "e", "status": "succeeded", "title": title}));
    assert_eq!(
        (
            render_with(&own, event("a")).subject.as_str(),
            render_with(&own, event("a")).text.as_str()
        ),
        ("mine", "my own text")
    );
    assert_eq!(
        render_with(&own, event("boom")),
        render(event("boom")),
        "all of it is the built-in mail"
    );
}

#[test]
fn link_filter_passes_only_valid_links() {
    let own = renderer(&[(
        "success/body.html",
        "<a href=\"{% if mail.title and ':' in mail.title %}{{ mail.title|link }}{% endif %}\">x</a>",
    )]);
    let event = |title: &str| job(&json!({"id": "e", "status": "succeeded", "title": title}));
    assert_eq!(
        render_with(&own, event("https://x.org/?a&b")).html,
        "<a href=\"https://x.org/?a&#38;b\">x</a>"
    );
    assert_eq!(
        render_with(&own, event("javascript:alert(1)")),
        render(event("javascript:alert(1)"))
    );
}

#[tokio::test]
async fn command_line_exports_checks_and_previews_templates() {
    let peer = SmtpPeer::start().await;
    let home = TestConfig::new(&peer);
    let exported = home.run(&["templates", "export", "own"]).await;
    assert!(
        exported.code == Some(0) && exported.out.contains("success/body.html"),
        "{exported:#?}"
    );
    assert_eq!(
        home.run(&["templates", "export", "own"]).await.code,
        Some(1),
        "nothing is overwritten"
    );
    let checked = home.run(&["templates", "check", "own"]).await;
    assert_eq!(
        (checked.code, checked.out.trim(), checked.err.as_str()),
        (
            Some(0),
            "7 mails × 2 languages: no findings (failure, password_reset, plain, success, system_notice, verification_code, verify_link)",
            ""
        ),
        "{checked:#?}"
    );
    write(
        home.path(),
        "own/success/body.html",
        "<html lang=\"en\"><img src=\"data:x\"></html>",
    );
    let found = home.run(&["templates", "check", "own"]).await;
    assert!(
        found.code == Some(1)
            && found.err.contains("[data-image]")
            && found.err.contains("[alt-text]"),
        "{found:#?}"
    );
    write(
        home.path(),
        "own/success/body.txt",
        "{{ mail.headline }} in my words",
    );
    let shown = home
        .run(&[
            "templates",
            "preview",
            "success",
            "--dir",
            "own",
            "--locale",
            "en",
        ])
        .await;
    assert!(
        shown.code == Some(0) && shown.out.ends_with("Image ready in my words"),
        "{shown:#?}"
    );
    write(home.path(), "own/succes/body.txt", "a slip");
    write(home.path(), "own/row.html", "for others");
    write(
        home.path(),
        "own/success/body.html",
        "<html lang=\"en\"><title>x</title>{% include \"row.html\" %}</html>",
    );
    let slipped = home.run(&["templates", "check", "own"]).await;
    assert!(
        slipped.err.contains("succes/body.txt: ") && !slipped.err.contains("row.html"),
        "{slipped:#?}"
    );
    write(
        home.path(),
        "own/success/body.txt",
        "one\n{{ mail.headlin }}",
    );
    let broken = home.run(&["templates", "check", "own"]).await;
    assert!(
        broken.code == Some(1) && broken.err.contains("own/success/body.txt:2: "),
        "{broken:#?}"
    );
    assert_eq!(
        home.run(&["templates", "check"]).await.code,
        Some(2),
        "no folder is named"
    );
    assert_eq!(
        home.run(&["templates", "preview", "nothing"]).await.code,
        Some(2)
    );
}

#[tokio::test]
async fn broken_templates_are_refused_at_start_and_at_reload() {
    let peer = SmtpPeer::start().await;
    let mut home = TestConfig::new(&peer);
    home.text("email.templates_dir", "own");
    write(home.path(), "own/failure/subject.txt", "one\n{% endif %}");
    let refused = home.run(&["check"]).await;
    assert!(
        refused.code == Some(78)
            && refused.err.contains("failure/subject.txt:2")
            && refused.err.contains("email.templates_dir"),
        "{refused:#?}"
    );
    assert_eq!(home.run(&["serve"]).await.code, Some(78));
    write(home.path(), "own/failure/subject.txt", "mine");
    write(home.path(), "own/failure/subjct.txt", "mine");
    let checked = home.run(&["check"]).await;
    assert!(
        checked.code == Some(0)
            && checked
                .err
                .contains("own/failure/subjct.txt: email.templates_dir: unused: replaces no part"),
        "{checked:#?}"
    );
    let daemon = home.start().await;
    write(home.path(), "own/failure/subject.txt", "{{ mail.nothing }}");
    daemon.signal("HUP").await;
    daemon.says("reload failed").await;
    daemon
        .logged("the place", |line| {
            line["level"] == "ERROR" && line.to_string().contains("failure/subject.txt:1")
        })
        .await;
    let mut failure = success("a@example.org");
    failure["status"] = "failed".into();
    daemon.accept(&failure).await;
    let mails = peer
        .until("a mail", |seen| seen.mails.len() == 1)
        .await
        .mails;
    let mail = mail_parser::MessageParser::default()
        .parse(&mails[0].data)
        .unwrap();
    assert_eq!(mail.subject(), Some("mine"));
}

//! `[hooks.NAME]`: webhooks.

use super::*;
use crate::intake::hooks::verify::Verifier;
use crate::intake::hooks::{Kind, Settings};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn hooks(text: &str) -> Vec<Settings> {
    Scene::file(&format!("{SMALL}{text}")).good().config.hooks
}

fn bad(text: &str) -> Vec<String> {
    Scene::file(&format!("{SMALL}{text}")).bad()
}

#[test]
fn hook_named_after_its_service_needs_only_a_secret() {
    let [hook] = <[Settings; 1]>::try_from(hooks(&format!(
        "[hooks.replicate]\nsecret = \"{SECRET}\"\n"
    )))
    .unwrap();
    assert_eq!(
        (
            hook.name.as_str(),
            hook.kind,
            hook.replay_window.as_secs(),
            hook.max_body
        ),
        ("replicate", Kind::Replicate, 300, Some(32 << 20))
    );
    assert!(
        matches!(hook.verifier, Verifier::StandardWebhooks(ref keys) if keys.len() == 1),
        "{hook:?}"
    );
    assert!(hook.to.is_empty() && hook.locale.is_none() && !hook.unconfirmed);
    assert!(!format!("{hook:?}").contains("C2FV"), "{hook:?}");
}

#[test]
fn all_keys_of_a_hook_are_read() {
    let text = "[hooks.my-gpu]\nkind = \"runpod\"\nsecret = \"0123456789abcdef\"\nsecrets = [\"fedcba9876543210\"]\nto = \"a@x.org, b@x.org\"\nlocale = \"en\"\n\
                max_body = \"2MiB\"\nreplay_window = \"1m\"\nunconfirmed = true\n[hooks.git]\nkind = \"standard-webhooks\"\nverify = \"hmac-sha256\"\n\
                header = \"X-Hub-Signature-256\"\nsecret = \"It's a Secret to Everybody\"\n";
    let [git, gpu] = <[Settings; 2]>::try_from(hooks(text)).unwrap();
    assert_eq!(
        (gpu.name.as_str(), gpu.kind, gpu.to.len(), gpu.locale),
        ("my-gpu", Kind::RunPod, 2, Some(crate::domain::Locale::En))
    );
    assert_eq!(
        (gpu.max_body, gpu.replay_window.as_secs(), gpu.unconfirmed),
        (Some(2 << 20), 60, true)
    );
    assert!(
        matches!(gpu.verifier, Verifier::Path(ref secrets) if secrets.len() == 2),
        "{gpu:?}"
    );
    assert!(
        matches!(git.verifier, Verifier::Hmac { ref header, optional: false, .. } if header == "x-hub-signature-256"),
        "{git:?}"
    );
}

#[test]
fn variables_set_keys_of_hooks_also_with_a_hyphen() {
    let file = format!("{SMALL}[hooks.my-gpu]\nkind = \"runpod\"\n");
    let scene = Scene::file(&file)
        .var("JOBBELL_HOOKS__MY_GPU__SECRET", "0123456789abcdef")
        .var("JOBBELL_HOOKS__REPLICATE__SECRETS__0", SECRET);
    let loaded = scene.good();
    let names: Vec<_> = loaded
        .config
        .hooks
        .iter()
        .map(|hook| hook.name.as_str())
        .collect();
    assert_eq!(names, ["my-gpu", "replicate"]);
    let shown: Vec<_> = loaded
        .shown
        .iter()
        .map(|shown| {
            (
                shown.key.as_str(),
                shown.value.as_str(),
                shown.origin.as_str(),
            )
        })
        .collect();
    assert!(
        shown.contains(&(
            "hooks.my-gpu.secret",
            "***",
            "$JOBBELL_HOOKS__MY_GPU__SECRET"
        )),
        "{shown:?}"
    );
    let unknown = Scene::file(SMALL)
        .var("JOBBELL_HOOKS__FAL__SECRT", "x")
        .bad();
    assert_one(
        &unknown,
        &[
            "$JOBBELL_HOOKS__FAL__SECRT",
            "unknown variable",
            "JOBBELL_HOOKS__NAME__SECRET",
        ],
    );
}

#[test]
fn secret_file_has_one_secret_per_line_or_is_a_systemd_credential() {
    let scene = Scene::file(&format!(
        "{SMALL}[hooks.replicate]\nsecret_file = \"keys\"\n[hooks.runpod]\n"
    ));
    std::fs::write(scene.path().join("keys"), format!("{SECRET}\n\n{SECRET}\n")).unwrap();
    std::fs::write(scene.path().join("hook-runpod"), "0123456789abcdef\n").unwrap();
    let directory = scene.path().to_str().unwrap().to_owned();
    let config = scene.var("CREDENTIALS_DIRECTORY", &directory).good().config;
    assert!(
        matches!(config.hooks[0].verifier, Verifier::StandardWebhooks(ref keys) if keys.len() == 2)
    );
    assert!(matches!(config.hooks[1].verifier, Verifier::Path(ref secrets) if secrets.len() == 1));
}

#[test]
fn hook_without_verification_needs_an_explicit_key() {
    let problems = bad("[hooks.replicate]\n[hooks.runpod]\n");
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert_in(
        &problems,
        &[
            "config.toml:5:",
            "hooks.replicate: anybody could post here",
            "unverified = true",
        ],
    );
    assert_in(
        &problems,
        &["config.toml:6:", "hooks.runpod", "/v1/hooks/runpod/SECRET"],
    );
    let loaded = Scene::file(&format!("{SMALL}[hooks.runpod]\nunverified = true\n")).good();
    assert!(matches!(loaded.config.hooks[0].verifier, Verifier::Nothing));
    assert_in(&notes(&loaded), &["Warning", "hooks.runpod", "unverified"]);
    let guarded =
        hooks("[hooks.runpod]\n[hooks.huiying]\n[server]\ntokens = [\"0123456789abcdef\"]\n");
    assert!(
        guarded
            .iter()
            .all(|hook| matches!(hook.verifier, Verifier::ServerTokens)),
        "{guarded:?}"
    );
    assert!(matches!(
        hooks("[hooks.huiying]\nto = \"a@x.org\"\n")[0].verifier,
        Verifier::ServerTokens
    ));
    assert_one(
        &bad("[hooks.runpod]\nsecret = \"0123456789abcdef\"\nunverified = true\n"),
        &["hooks.runpod.unverified", "keep one"],
    );
}

#[test]
fn problems_of_hooks_are_reported_with_their_places() {
    assert_one(
        &bad("[hooks.mine]\nsecret = \"x\"\n"),
        &["config.toml:5:", "hooks.mine.kind", "replicate"],
    );
    assert_one(
        &bad("[hooks.replicate]\nkind = \"replicat\"\nunverified = true\n"),
        &["hooks.replicate.kind", "did you mean \"replicate\""],
    );
    assert_one(
        &bad("[hooks.replicate]\nsecret = \"not base64\"\n"),
        &["hooks.replicate.secret", "whsec_"],
    );
    assert_one(
        &bad("[hooks.replicate]\nsecert = \"x\"\nunverified = true\n"),
        &[
            "hooks.replicate.secert",
            "did you mean hooks.replicate.secret?",
        ],
    );
    assert_one(
        &bad("[hooks.runpod]\nsecret = \"a/b/0123456789abc\"\n"),
        &["hooks.runpod.secret", "part of a URL"],
    );
    assert_one(
        &bad("[hooks.Runpod]\nunverified = true\n"),
        &["lower-case letter"],
    );
    assert_one(
        &bad("[hooks]\nrunpod = 1\n"),
        &["hooks.runpod", "found a number"],
    );
    assert_one(
        &bad("[hooks.runpod]\nunverified = true\nreplay_window = \"1h\"\n"),
        &["hooks.runpod.replay_window", "5m"],
    );
    assert_one(
        &bad("[hooks.runpod]\nunverified = true\nto = \"nobody\"\n"),
        &["hooks.runpod.to"],
    );
}

#[test]
fn mapping_of_a_generic_hook_is_read_and_checked() {
    use crate::intake::hooks::mapping::{Place, StatusMeaning};
    let farm = "[hooks.farm]\nkind = \"generic\"\nunverified = true\n";
    let text = format!(
        "{farm}[hooks.farm.map]\nprompt = [\"/input/prompt\", \"/prompt\"]\ntitle = \"=Nightly, at 3\"\nimages = \"=\"\n[hooks.farm.status_words]\nsucceeded = [\"Done\", \"0\"]\nmissing = \"ignored\"\n"
    );
    let scene = Scene::file(&format!("{SMALL}{text}"))
        .var("JOBBELL_HOOKS__FARM__MAP__MODEL", "/model, /a,b,=flux")
        .var("JOBBELL_HOOKS__FARM__STATUS_WORDS__FAILED", "bad,worse");
    let loaded = scene.good();
    let mapping = &loaded.config.hooks[0].mapping;
    let pointer = |text: &str| Place::Pointer(text.to_owned());
    assert_eq!(
        mapping.places["prompt"],
        [pointer("/input/prompt"), pointer("/prompt")]
    );
    assert_eq!(
        (&mapping.places["title"][0], &mapping.places["images"][0]),
        (
            &Place::Fixed("Nightly, at 3".to_owned()),
            &Place::Fixed(String::new())
        )
    );
    assert_eq!(
        mapping.places["model"],
        [
            pointer("/model"),
            pointer("/a,b"),
            Place::Fixed("flux".to_owned())
        ]
    );
    assert_eq!(mapping.missing, Some(StatusMeaning::Ignored));
    let words: Vec<_> = mapping
        .status_words
        .iter()
        .map(|(word, meaning)| (word.as_str(), meaning.as_str()))
        .collect();
    assert_eq!(
        words,
        [
            ("done", "succeeded"),
            ("0", "succeeded"),
            ("bad", "failed"),
            ("worse", "failed")
        ]
    );
    assert!(
        loaded
            .shown
            .iter()
            .any(|shown| shown.key == "hooks.farm.map.prompt"
                && shown.origin.starts_with("config.toml:"))
    );
    let bad = |text: &str| bad(&format!("{farm}{text}"));
    assert_one(
        &bad("[hooks.farm.map]\nprompt = \"input.prompt\"\n"),
        &[
            "config.toml:9:",
            "hooks.farm.map.prompt",
            "\"/input/prompt\"",
        ],
    );
    assert_one(
        &bad("[hooks.farm.map]\npromt = \"/a\"\n"),
        &[
            "config.toml:9:",
            "hooks.farm.map.promt",
            "did you mean hooks.farm.map.prompt?",
        ],
    );
    assert_one(
        &bad("[hooks.farm.map]\nprompt = 7\n"),
        &["config.toml:9:", "hooks.farm.map.prompt: invalid value 7"],
    );
    assert_one(&bad("map = 7\n"), &["hooks.farm.map"]);
    assert_one(
        &bad("[hooks.farm.status_words]\nfailed = [\"a\"]\nignored = [\"A\"]\n"),
        &["config.toml:10:", "a word has one meaning"],
    );
    assert_one(
        &bad("[hooks.farm.status_words]\nmissing = \"fine\"\n"),
        &["hooks.farm.status_words.missing", "\"ignored\""],
    );
    let other = Scene::file(&format!(
        "{SMALL}[hooks.runpod]\nunverified = true\n[hooks.runpod.map]\nprompt = \"/a\"\n"
    ))
    .bad();
    assert_one(&other, &["hooks.runpod.map.prompt", "kind = \"generic\""]);
}

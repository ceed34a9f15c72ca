//! The look of mails and the visibility of prompts.

use super::*;
use crate::render::privacy::{Privacy, Prompts};

const BASE: &str = "[smtp]\nenable = false\n[email]\n";

fn read(email: &str) -> Result<Loaded, Report> {
    Scene::file(&format!("{BASE}{email}")).load()
}

#[test]
fn defaults_show_full_prompts_but_not_in_the_subject() {
    let render = read("").unwrap().config.render;
    assert_eq!(
        (render.brand, render.privacy),
        (
            crate::render::Brand::default(),
            Privacy {
                prompts: Prompts::Full,
                in_subject: false
            }
        )
    );
}

#[test]
fn name_logo_colour_and_footer_are_read() {
    let text = "brand_name = \"绘影\"\nlogo_url = \"https://x.org/l.png\"\naccent = \"#E60012\"\nfooter = \"a\\nb\"\nprompt = \"short\"\nsubject_prompt = true\n";
    let loaded = read(text).unwrap();
    assert!(
        !loaded.notes.iter().any(|note| note.key == "email.accent"),
        "{:?}",
        loaded.notes
    );
    let render = loaded.config.render;
    assert_eq!(
        (render.brand.name.as_deref(), render.brand.footer.as_deref()),
        (Some("绘影"), Some("a\nb"))
    );
    assert_eq!(
        (
            render.brand.logo.unwrap().as_str(),
            render.brand.accent.unwrap().to_string().as_str()
        ),
        ("https://x.org/l.png", "#e60012")
    );
    assert_eq!(
        render.privacy,
        Privacy {
            prompts: Prompts::Short,
            in_subject: true
        }
    );
}

#[test]
fn accent_with_low_contrast_is_a_warning() {
    for (accent, scheme) in [("#ffcc00", "light"), ("#1a1a2e", "dark")] {
        let loaded = read(&format!("accent = \"{accent}\"\n")).unwrap();
        let said: Vec<_> = loaded
            .notes
            .iter()
            .filter(|note| note.key == "email.accent")
            .map(ToString::to_string)
            .collect();
        assert!(
            said.len() == 1
                && said[0].contains(&format!("{scheme} background"))
                && said[0].contains(":4:"),
            "{said:?}"
        );
    }
}

#[test]
fn invalid_links_colours_and_choices_are_problems() {
    let report = read("logo_url = \"http://x.org/l.png\"\naccent = \"red\"\nprompt = \"some\"\nbrand_name = \"a\\nb\"\nfooter = \"a\\u0007\"\n").unwrap_err();
    let keys: Vec<_> = report
        .problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "email.logo_url",
            "email.accent",
            "email.prompt",
            "email.brand_name",
            "email.footer"
        ]
    );
}

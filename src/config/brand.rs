//! What mails look like and how much they show: name, logo, accent colour, footer, prompts, own
//! templates.

use super::Sources;
use super::credentials::file_name;
use super::values::{Refusal, Values};
use crate::domain::Link;
use crate::render;
use crate::render::colour::Colour;
use crate::render::privacy::{Privacy, Prompts};
use crate::render::user_templates::UserTemplates;

/// The most characters of a footer.
const MAX_FOOTER: usize = 1_000;

/// Reads the four keys. A colour that hardly stands out is used all the same: texts stay readable
/// on any.
pub(super) fn read(values: &mut Values) -> render::Brand {
    const ACCENT: &str = "email.accent";
    let https = |text: &str| {
        Link::parse(text)
            .ok()
            .filter(|link| link.as_str().starts_with("https://"))
            .ok_or(None)
    };
    let accent = values.parsed(ACCENT, |text| Colour::parse(text).map_err(|_| None));
    for doubt in accent.map(render::Brand::doubts).unwrap_or_default() {
        values.warn(ACCENT, doubt);
    }
    render::Brand {
        name: values.line("email.brand_name", 60),
        logo: values.parsed("email.logo_url", https),
        accent,
        footer: values.parsed("email.footer", footer),
    }
}

fn footer(text: &str) -> Result<String, Refusal> {
    let fits =
        text.chars().count() <= MAX_FOOTER && !text.chars().any(|c| c.is_control() && c != '\n');
    if fits { Ok(text.to_owned()) } else { Err(None) }
}

/// How much of the prompts is shown.
pub(super) fn privacy(values: &mut Values) -> Privacy {
    let prompts = match values.choice("email.prompt") {
        Some("short") => Prompts::Short,
        Some("hidden") => Prompts::Hidden,
        _ => Prompts::Full,
    };
    Privacy {
        prompts,
        in_subject: values.flag("email.subject_prompt"),
    }
}

/// Reads the operator's own templates and tries them out; each of their faults is a problem with
/// its own file and line.
pub(super) fn own_templates(
    values: &mut Values,
    sources: &Sources,
    render: render::Settings,
) -> render::Settings {
    const FOLDER: &str = "email.templates_dir";
    if !values.has(FOLDER) {
        return render;
    }
    let Some(folder) = values.parsed(FOLDER, file_name) else {
        return render;
    };
    match UserTemplates::load(&sources.resolve(&folder), &render) {
        Ok(own) => {
            for unused in own.unused() {
                let file = sources.resolve(&folder).join(unused);
                values.findings.warn(
                    &file.display().to_string(),
                    FOLDER,
                    "stands in for no part of a mail, and no other template names it",
                );
            }
            render::Settings {
                user_templates: Some(own),
                ..render
            }
        }
        Err(faults) => {
            for fault in faults {
                values.findings.problem(
                    &format!("{}:{}", fault.file.display(), fault.line),
                    FOLDER,
                    fault.detail,
                );
            }
            render
        }
    }
}

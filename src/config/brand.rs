//! The look of mails: name, logo, accent colour, footer, prompts, user templates.

use super::Sources;
use super::files::file_name;
use super::values::Values;
use crate::domain::Link;
use crate::render;
use crate::render::colour::Colour;
use crate::render::privacy::{Privacy, Prompts};
use crate::render::user_templates::UserTemplates;

/// Maximum characters of a footer.
const MAX_FOOTER: usize = 1_000;

/// Reads name, logo, colour and footer. A colour with low contrast is only a warning, because texts
/// stay readable.
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
        name: values.line("email.brand_name"),
        logo: values.parsed("email.logo_url", https),
        accent,
        footer: values.checked("email.footer", is_footer),
    }
}

fn is_footer(text: &str) -> bool {
    text.chars().count() <= MAX_FOOTER && !text.chars().any(|c| c.is_control() && c != '\n')
}

/// How much of the prompts mails show.
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

/// Loads and tests the user templates; each error is a problem with its file and line.
pub(super) fn user_templates(
    values: &mut Values,
    sources: &Sources,
    render: render::Settings,
) -> render::Settings {
    const DIRECTORY: &str = "email.templates_dir";
    let Some(directory) = values.parsed(DIRECTORY, file_name) else {
        return render;
    };
    match UserTemplates::load(&sources.resolve(&directory), &render) {
        Ok(own) => {
            for unused in own.unused() {
                let file = sources.resolve(&directory).join(unused);
                values.findings.warn(
                    &file.display().to_string(),
                    DIRECTORY,
                    [
                        "unused: replaces no part of a mail, and no other template includes it",
                        "未使用：不替换邮件的任何部分，也没有其他模板引用它",
                    ],
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
                    DIRECTORY,
                    fault.detail,
                );
            }
            render
        }
    }
}

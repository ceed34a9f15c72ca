//! The policy for links in mails: allowed schemes, and allowed hosts of style sheets.

/// Allowed schemes of absolute links.
const SCHEMES: [&str; 4] = ["https:", "http:", "mailto:", "tel:"];
/// Hosts whose style sheets a mail may load: web fonts, which mail builders insert.
const FONT_HOSTS: [&str; 5] = [
    "fonts.googleapis.com",
    "fonts.gstatic.com",
    "fonts.bunny.net",
    "use.typekit.net",
    "fonts.loli.net",
];
/// Number of characters in which the scheme of a link is searched.
const MAX_PREFIX: usize = 32;

/// Whether all links of a `srcset` are allowed. Links may contain commas; only a comma after a size
/// descriptor separates two of them.
pub(super) fn are_allowed_links(value: &str) -> bool {
    let is_size = |text: &str| {
        text.trim_end_matches(['w', 'x', 'h'])
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let link = |part| match str::split_once(part, ',') {
        Some((size, next)) if is_size(size) => next,
        _ => part,
    };
    value
        .split_ascii_whitespace()
        .map(link)
        .all(is_allowed_link)
}

/// The beginning of a link in lower case, without control characters and spaces, which browsers
/// ignore.
fn beginning(value: &str) -> String {
    let visible = |c: &char| {
        !c.is_whitespace()
            && !c.is_control()
            && !matches!(c, '\u{FEFF}' | '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}')
    };
    value
        .chars()
        .filter(visible)
        .take(MAX_PREFIX)
        .collect::<String>()
        .to_ascii_lowercase()
}

/// Whether a link has an allowed scheme or none. A character reference left before the path cannot
/// be judged without decoding it again, so it is rejected.
pub(super) fn is_allowed_link(value: &str) -> bool {
    let lower = beginning(value);
    let head = lower.split(['/', '?', '#']).next().unwrap_or_default();
    SCHEMES.iter().any(|scheme| lower.starts_with(scheme))
        || !(head.contains([':', '&', '`']) || head.contains("%3a"))
}

/// Whether a value of another attribute starts like a script.
pub(super) fn is_script(value: &str) -> bool {
    let lower = beginning(value);
    ["javascript:", "vbscript:", "livescript:", "data:", "mhtml:"]
        .iter()
        .any(|scheme| lower.starts_with(scheme))
}

/// Whether a link leads to a font style sheet.
pub(super) fn is_font_sheet(link: &str) -> bool {
    let link = link.trim();
    let absolute = if link.starts_with("//") {
        format!("https:{link}")
    } else {
        link.to_owned()
    };
    url::Url::parse(&absolute).is_ok_and(|url| {
        url.scheme() == "https"
            && url
                .host_str()
                .is_some_and(|host| FONT_HOSTS.contains(&host))
    })
}

//! What no mail program runs and no honest mail holds. A plain mail's HTML is its producer's own and goes out as it was given; with one of these in it
//! it is refused, so that the producer hears of it and not the spam filter.

use super::markup::{Piece, Tag, pieces};

/// Elements that run something, load something into the mail, or turn its links elsewhere.
const ELEMENTS: [&str; 12] = ["script", "iframe", "frame", "frameset", "object", "embed", "applet", "base", "form", "svg", "math", "template"];
/// Attributes that hold a link.
const LINKS: [&str; 9] = ["href", "src", "srcset", "action", "formaction", "background", "poster", "cite", "xlink:href"];
/// How a link may begin that is not relative.
const SCHEMES: [&str; 4] = ["https:", "http:", "mailto:", "tel:"];
const STYLED_DATA: &str = "has a style with a data: link, which mail programs refuse";
/// The most faults that are told.
const MAX_FAULTS: usize = 10;
/// The most characters of an attribute's name that are repeated.
const MAX_NAME: usize = 32;

/// What is dangerous in HTML, each said once, at most ten.
pub(super) fn faults(html: &str) -> Vec<String> {
    let mut faults: Vec<String> = Vec::new();
    let mut in_style = false;
    for piece in pieces(html) {
        let found = match piece {
            Piece::Tag(tag) => {
                in_style = !tag.closing && tag.name() == "style";
                faults_of(&tag)
            }
            Piece::Text(sheet) if in_style && loads_data(sheet) => vec![STYLED_DATA.to_owned()],
            Piece::Text(_) => Vec::new(),
        };
        for fault in found {
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
        if faults.len() >= MAX_FAULTS {
            faults.truncate(MAX_FAULTS);
            break;
        }
    }
    faults
}

fn faults_of(tag: &Tag<'_>) -> Vec<String> {
    if tag.closing {
        return Vec::new();
    }
    let name = tag.name();
    let mut faults = Vec::new();
    if let Some(name) = ELEMENTS.iter().find(|known| **known == name) {
        faults.push(format!("has <{name}>, which mail programs refuse"));
    }
    for (attribute, value) in tag.attributes() {
        if attribute.starts_with("on") {
            let shown: String = attribute.chars().take(MAX_NAME).collect();
            faults.push(format!("has the event handler {shown}, which mail programs refuse"));
        } else if attribute == "http-equiv" && value.trim().eq_ignore_ascii_case("refresh") {
            faults.push("has <meta http-equiv=\"refresh\">, which mail programs refuse".to_owned());
        } else if attribute == "style" && loads_data(value) {
            faults.push(STYLED_DATA.to_owned());
        } else if LINKS.contains(&attribute.as_str()) && !(if attribute == "srcset" { all_lead_well(value) } else { leads_well(value) }) {
            faults.push(format!("has a {attribute} that is no http, https, mailto or tel link"));
        }
    }
    faults
}

/// Whether a style has a link that begins with `data:`, also one that is written with character references or CSS escapes.
fn loads_data(style: &str) -> bool {
    let plain = unescaped(style).to_ascii_lowercase();
    plain.match_indices("data:").any(|(at, _)| plain.get(..at).is_some_and(|before| before.trim_end().ends_with(['(', '"', '\''])))
}

/// A style without `&#100;`, `&#x64;`, `&quot;` and `\64 `: each in the place of what it stands for.
fn unescaped(style: &str) -> String {
    let mut plain = String::with_capacity(style.len());
    let mut rest = style;
    while let Some(at) = rest.find(['&', '\\']) {
        let (before, escape) = rest.split_at(at);
        plain.push_str(before);
        let (c, length) = reference(escape).or_else(|| css_escape(escape)).unwrap_or((escape.chars().next().unwrap_or_default(), 1));
        plain.push(c);
        rest = escape.get(length..).unwrap_or_default();
    }
    plain + rest
}

/// The character that a character reference at the start stands for, and how long it is.
fn reference(text: &str) -> Option<(char, usize)> {
    if let Some(length) = ["&quot;", "&apos;"].iter().find(|name| text.starts_with(**name)).map(|name| name.len()) {
        return Some(('"', length));
    }
    let digits = text.strip_prefix("&#")?;
    let (digits, radix) = digits.strip_prefix(['x', 'X']).map_or((digits, 10), |hex| (hex, 16));
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    let c = u32::from_str_radix(digits.get(..end)?, radix).ok().and_then(char::from_u32)?;
    let closed = usize::from(digits.get(end..).is_some_and(|rest| rest.starts_with(';')));
    Some((c, text.len() - digits.len() + end + closed))
}

/// The same of a CSS escape: a backslash and up to six hexadecimal digits, with one blank that ends them.
fn css_escape(text: &str) -> Option<(char, usize)> {
    let digits = text.strip_prefix('\\')?;
    let end = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len()).min(6);
    let c = u32::from_str_radix(digits.get(..end)?, 16).ok().and_then(char::from_u32)?;
    let blank = usize::from(digits.get(end..).is_some_and(|rest| rest.starts_with([' ', '\t', '\n'])));
    Some((c, 1 + end + blank))
}

/// Whether all links of a `srcset` may be. Commas stand in links too, so that only one behind a size parts two of them.
fn all_lead_well(value: &str) -> bool {
    let is_size = |text: &str| text.trim_end_matches(['w', 'x', 'h']).bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let link = |part| match str::split_once(part, ',') {
        Some((size, next)) if is_size(size) => next,
        _ => part,
    };
    value.split_ascii_whitespace().map(link).all(leads_well)
}

/// Whether a link has a scheme that may be, or none. Tabs and line ends within it count for nothing, as in browsers. Where a character reference stands before the path, nobody can tell without resolving it.
fn leads_well(value: &str) -> bool {
    let value = value.trim_matches(|c: char| c.is_ascii_whitespace() || c.is_control());
    let lower: String = value.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).take(MAX_NAME).collect::<String>().to_ascii_lowercase();
    let head = lower.split(['/', '?', '#']).next().unwrap_or_default();
    SCHEMES.iter().any(|scheme| lower.starts_with(scheme)) || !head.contains([':', '&'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_or_leads_astray_is_named() {
        for html in [
            "<p>a</p><SCRIPT src=x>",
            "<iframe srcdoc=x>",
            "<img src=x OnError='alert(1)'>",
            "<img/onload=x src=y>",
            "<a href=javascript:alert(1)>x</a>",
            "<a href=' java\tscript:alert(1)'>x</a>",
            "<a href=\"&#106;avascript:alert(1)\">x</a>",
            "<img src=\"data:image/png;base64,AAAA\">",
            "<meta http-equiv=Refresh content='0;url=https://x.org'>",
            "<base href='https://x.org/'>",
            "<p title='>' onclick=x>",
            "<form action=/x>",
            "<p>a</p><!--><script>alert(1)</script>-->",
            "<!-- --!><script>alert(1)</script>-->",
            &format!("<a href=\"java{}script:alert(1)\">x</a>", "\n".repeat(40)),
            "<img src=a.png srcset='https://x.org/a.png 1x,data:image/png;base64,AAAA 2x'>",
            "<p style='background:URL(Data:image/png;base64,AAAA)'>",
            "<style>p{background:url( \"data:image/png;base64,AAAA\")}</style>",
            "<p style=\"background:url(dat&#97;:image/png;base64,AAAA)\">",
            "<p style=\"background:url(&quot;&#x64;ata:image/png;base64,AAAA&quot;)\">",
            "<style>p{background:url(\\64 ata:image/png;base64,AAAA)}</style>",
        ] {
            assert_eq!(faults(html).len(), 1, "{html}: {:?}", faults(html));
        }
    }

    #[test]
    fn what_mails_are_made_of_passes() {
        let html = "<!DOCTYPE html><html><head><title>a <script></title><style>a{color:red;content:'mydata: y'}</style></head><body><!-- <script> --><!--[if mso]><i><![endif]-->\
            <a href=\"https://x.org/?a=1&amp;b=javascript:\">1 < 2 & javascript: data:</a><a href=mailto:a@x.org>m</a><a href='#top'>t</a><img src=//x.org/a.png alt='on=x'>\
            <img srcset=\"https://x.org/w_2,ar_16:9/a.png 1x, b.png 1.5x,https://x.org/c.png 2x\" style='width:1px'>\
            <p lang=en>&lt;script&gt;</p></body></html>";
        assert!(faults(html).is_empty(), "{:?}", faults(html));
    }

    #[test]
    fn no_html_takes_long() {
        for piece in ["<", "<a ", "<a href='", "<!--", "</", "<a b=\"", "<script>", "&#", "<b x=1>"] {
            faults(&piece.repeat(200_000 / piece.len()));
        }
    }
}

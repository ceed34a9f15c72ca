//! What no mail program runs and no honest mail holds. A plain mail's HTML is its producer's own
//! and goes out as it was given; with one of these in it it is refused, so that the producer hears
//! of it and not the spam filter.

use super::style;
use crate::domain::html::{Tag, What, pieces};

/// Elements that run something, load something into the mail, turn its links elsewhere, or are read
/// differently by different programs.
const ELEMENTS: [&str; 26] = [
    "script",
    "iframe",
    "frame",
    "frameset",
    "object",
    "embed",
    "applet",
    "base",
    "form",
    "svg",
    "math",
    "template",
    "portal",
    "layer",
    "ilayer",
    "bgsound",
    "isindex",
    "xmp",
    "plaintext",
    "listing",
    "noembed",
    "noframes",
    "noscript",
    "textarea",
    // Within it, browsers ignore <style> and <title> and read their content as markup.
    "select",
    "fencedframe",
];
/// Attributes that hold a link.
const LINKS: [&str; 17] = [
    "href",
    "src",
    "srcset",
    "action",
    "formaction",
    "background",
    "poster",
    "cite",
    "xlink:href",
    "data",
    "dynsrc",
    "lowsrc",
    "longdesc",
    "profile",
    "codebase",
    "datasrc",
    "imagesrcset",
];
/// Attributes that no mail needs and that run or load something.
const ATTRIBUTES: [&str; 4] = ["srcdoc", "formaction", "ping", "manifest"];
/// Attributes that hold words for people, which may begin with anything.
const WORDS: [&str; 12] = [
    "alt",
    "title",
    "content",
    "summary",
    "label",
    "abbr",
    "value",
    "placeholder",
    "name",
    "id",
    "class",
    "aria-label",
];
/// How a link may begin that is not relative.
const SCHEMES: [&str; 4] = ["https:", "http:", "mailto:", "tel:"];
/// Whose style sheets a mail may load: fonts, as the builders of mails put them in.
const FONT_HOSTS: [&str; 5] = [
    "fonts.googleapis.com",
    "fonts.gstatic.com",
    "fonts.bunny.net",
    "use.typekit.net",
    "fonts.loli.net",
];
/// What `<meta http-equiv>` may say.
const EQUIVALENTS: [&str; 5] = [
    "content-type",
    "content-language",
    "content-style-type",
    "x-ua-compatible",
    "imagetoolbar",
];
/// The most faults that are told.
const MAX_FAULTS: usize = 10;
/// The most characters of an attribute's name that are repeated.
const MAX_NAME: usize = 32;

/// What is dangerous in HTML, each said once, at most ten.
pub(super) fn faults(html: &str) -> Vec<String> {
    let mut faults = Faults(Vec::new());
    faults.read(html, false);
    faults.0
}

struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, fault: String) {
        if self.0.len() < MAX_FAULTS && !self.0.contains(&fault) {
            self.0.push(fault);
        }
    }

    /// Reads a document, or what a comment keeps for one mail program (`conditional`); there a tag
    /// may have its end in another comment.
    fn read(&mut self, html: &str, conditional: bool) {
        for piece in pieces(html) {
            match piece.what {
                What::Open(tag) => self.tag(&tag, conditional),
                What::Raw(name, sheet) if name == "style" => self.style(&sheet),
                What::Unfinished(what) if !conditional || what == "a tag" => self.add(format!(
                    "has {what} without an end; nothing may follow it in a mail"
                )),
                What::Ambiguous(what) => {
                    self.add(format!("has {what}, which mail programs read differently"));
                }
                What::Comment(text) if !conditional => {
                    if let Some(inside) = conditional_content(&text) {
                        self.read(inside, true);
                    }
                }
                What::Declaration(text) if text.contains('<') => self.add(
                    "has a tag within a declaration, which mail programs read differently"
                        .to_owned(),
                ),
                _ => {}
            }
        }
    }

    fn style(&mut self, style: &str) {
        if let Some(fault) = style::fault(style) {
            self.add(format!(
                "has a style with {fault}, which mail programs refuse"
            ));
        }
    }

    fn tag(&mut self, tag: &Tag, conditional: bool) {
        let name = tag.name.rsplit(':').next().unwrap_or_default();
        // Outlook runs no scripts, and builders of mails put its settings into <noscript> for it.
        let for_outlook = conditional && name == "noscript";
        if let Some(name) = ELEMENTS
            .iter()
            .find(|known| **known == name && !for_outlook)
        {
            return self.add(format!("has <{name}>, which mail programs refuse"));
        }
        if name == "link"
            && !tag
                .attributes
                .iter()
                .filter(|(name, _)| name == "href")
                .all(|(_, href)| is_font_sheet(href))
        {
            return self.add(
                "has <link> to something other than fonts, which mail programs refuse".to_owned(),
            );
        }
        for (attribute, value) in &tag.attributes {
            self.attribute(attribute, value);
        }
    }

    fn attribute(&mut self, name: &str, value: &str) {
        let local = name.rsplit(':').next().unwrap_or_default();
        let word = value.trim().to_ascii_lowercase();
        if local.starts_with("on") {
            let shown: String = name.chars().take(MAX_NAME).collect();
            self.add(format!(
                "has the event handler {shown}, which mail programs refuse"
            ));
        } else if ATTRIBUTES.contains(&local) {
            self.add(format!(
                "has the attribute {local}, which mail programs refuse"
            ));
        } else if name == "http-equiv" && !EQUIVALENTS.contains(&word.as_str()) {
            let shown: String = word.chars().take(MAX_NAME).collect();
            self.add(format!(
                "has <meta http-equiv={shown:?}>, which mail programs refuse"
            ));
        } else if (name == "charset" || name == "content") && word.contains("utf-7") {
            self.add("says that it is written in UTF-7".to_owned());
        } else if local == "style" {
            self.style(value);
        } else if LINKS.contains(&name) || LINKS.contains(&local) {
            if !(if local.ends_with("srcset") {
                all_lead_well(value)
            } else {
                leads_well(value)
            }) {
                self.add(format!(
                    "has a {name} that is no http, https, mailto or tel link"
                ));
            }
        } else if value.starts_with('`') || (!WORDS.contains(&name) && runs(value)) {
            let shown: String = name.chars().take(MAX_NAME).collect();
            self.add(format!("has the attribute {shown} with a script in it"));
        }
    }
}

/// What a conditional comment holds for one mail program: `[if mso]>…<![endif]`, in any case.
fn conditional_content(comment: &str) -> Option<&str> {
    let comment = comment.trim();
    let start = comment.get(..3)?;
    let (_, inside) = start
        .eq_ignore_ascii_case("[if")
        .then(|| comment.split_once('>'))??;
    let end = inside.rfind("<!").filter(|end| {
        let end = inside.get(*end..).unwrap_or_default();
        end == "<!" || end.eq_ignore_ascii_case("<![endif]")
    });
    Some(end.and_then(|end| inside.get(..end)).unwrap_or(inside))
}

/// Whether all links of a `srcset` may be. Commas stand in links too, so that only one behind a
/// size parts two of them.
fn all_lead_well(value: &str) -> bool {
    let is_size = |text: &str| {
        text.trim_end_matches(['w', 'x', 'h'])
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let link = |part| match str::split_once(part, ',') {
        Some((size, next)) if is_size(size) => next,
        _ => part,
    };
    value.split_ascii_whitespace().map(link).all(leads_well)
}

/// What a link begins with, in small letters: control characters and blanks within it count for
/// nothing, as in browsers.
fn beginning(value: &str) -> String {
    let visible = |c: &char| {
        !c.is_whitespace()
            && !c.is_control()
            && !matches!(c, '\u{FEFF}' | '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}')
    };
    value
        .chars()
        .filter(visible)
        .take(MAX_NAME)
        .collect::<String>()
        .to_ascii_lowercase()
}

/// Whether a link has a scheme that may be, or none. Where a character reference is left before the
/// path, nobody can tell without resolving it again.
pub(super) fn leads_well(value: &str) -> bool {
    let lower = beginning(value);
    let head = lower.split(['/', '?', '#']).next().unwrap_or_default();
    SCHEMES.iter().any(|scheme| lower.starts_with(scheme))
        || !(head.contains([':', '&', '`']) || head.contains("%3a"))
}

/// Whether a value that is no link and no words begins as a script does.
fn runs(value: &str) -> bool {
    let lower = beginning(value);
    ["javascript:", "vbscript:", "livescript:", "data:", "mhtml:"]
        .iter()
        .any(|scheme| lower.starts_with(scheme))
}

/// Whether a link leads to a style sheet of fonts.
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
            "Hello <img src=x onerror=alert(1) ",
            "<p class=\"a>text</p>",
            "<p>a</p><!-- b",
            "<style>p{}",
            "<a href=\"javascript&colon;alert(1)\">x</a>",
            "<a href=\"java&Tab;script&#58alert(1)\">x</a>",
            "<a href=https://x.org href=javascript:alert(1)>x</a>",
            "<a href=\"\u{1}javascript:alert(1)\">x</a>",
            "<img src=`javascript:alert(1)`>",
            "<img alt=``onerror=alert(1)>",
            "<img alt='`x'>",
            "<button formaction=https://x.org>",
            "<link rel=stylesheet href=//evil.org/x.css>",
            "<meta charset=utf-7>",
            "<meta http-equiv='Set-Cookie' content='a=b'>",
            "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
            "<xmp><p title='</xmp><img>'>",
            "<!--[if IE]><script>alert(1)</script><![endif]-->",
            "<!--[IF IE]><script>alert(1)</script><![ENDIF]-->",
            "<!--[if IE] ><script>alert(1)</script><![endif]-->",
            "<select><style></select><img src=x onerror=alert(1)></style>",
            "Hello <?img src=x onerror=alert(1)",
            "<!--[if gte mso 9]><v:rect href='javascript:alert(1)'/><![endif]-->",
            "<svg><style><img src=x onerror=alert(1)></style></svg>",
            "<math><mtext><p></math>",
            "<?x <img src=x onerror=alert(1)>",
            "<![CDATA[<p>a</p>]]>",
            "<p style='width:expr/**/ession(alert(1))'>",
            "<p style='width:e\\xpression(alert(1))'>",
            "<p style='width:\u{FF45}xpression(alert(1))'>",
            "<p style='behavior:url(https://x.org/a.htc)'>",
            "<p style='background:url(javascript:alert(1))'>",
            "<p style='background:u\\rl(&quot;vbscript:x&quot;)'>",
            "<p style='-moz-binding:url(//x.org/a.xml#b)'>",
            "<style>@import 'https://evil.org/a.css';</style>",
            "<style>@im\\port url(//evil.org/a.css);</style>",
            "<x foo=javascript:alert(1)>",
            "<p xlink:onload=x>",
        ] {
            assert!(!faults(html).is_empty(), "{html}");
        }
    }

    #[test]
    fn what_mails_are_made_of_passes() {
        let html = "<!DOCTYPE html><html><head><title>a <script></title><style>a{color:red;content:'mydata: y'}</style></head><body><!-- <script> --><!--[if mso]><i><![endif]-->\
            <a href=\"https://x.org/?a=1&amp;b=javascript:\">1 < 2 & javascript: data:</a><a href=mailto:a@x.org>m</a><a href='#top'>t</a><img src=//x.org/a.png alt='on=x'>\
            <img srcset=\"https://x.org/w_2,ar_16:9/a.png 1x, b.png 1.5x,https://x.org/c.png 2x\" style='width:1px'>\
            <p lang=en style='scroll-behavior:smooth;background:#fff url(https://x.org/a.png)'>&lt;script&gt;</p>\
            <!--[if mso]><noscript><xml><o:OfficeDocumentSettings><o:PixelsPerInch>96</o:PixelsPerInch></o:OfficeDocumentSettings></xml></noscript><![endif]-->\
            <!--[if !mso]><!--><link href=\"https://fonts.googleapis.com/css?family=Ubuntu:300,400\" rel=\"stylesheet\"><!--<![endif]-->\
            <style>@import url(https://fonts.googleapis.com/css?family=Ubuntu:300,400);/* don't */ @media only screen{a:hover{color:red}}</style>\
            <!--[if mso | IE]><table width=\"600\"><tr><td><![endif]--><![if !mso]><i>x</i><![endif]><!--[if mso]></td></tr></table><![endif]-->\
            <meta http-equiv=Content-Type content='text/html; charset=gb2312'><a href=https://x.org/?a=1&b=2 title='javascript: a guide'>x</a></body></html>";
        assert!(faults(html).is_empty(), "{:?}", faults(html));
    }

    #[test]
    fn no_html_takes_long() {
        for piece in [
            "<",
            "<a ",
            "<a href='",
            "<!--",
            "</",
            "<a b=\"",
            "<script>",
            "&#",
            "<b x=1>",
            "<b ",
            "<b a a ",
            "<style>url(",
            "<p style='/*/*\\",
            "<!--[if x]><!--[if x]>",
        ] {
            faults(&piece.repeat(200_000 / piece.len()));
        }
    }
}

//! The policy for the HTML of plain mails, which is sent unchanged. HTML with active content is
//! rejected, so that the producer learns of it rather than a spam filter.

use super::link_policy::{are_allowed_links, is_allowed_link, is_font_sheet, is_script};
use super::style;
use crate::domain::html::{Tag, TokenKind, tokens};

/// Elements that run code, load content, redirect links, or are parsed differently by different
/// clients.
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
/// Attributes that run or load something and are never needed in a mail.
const ATTRIBUTES: [&str; 4] = ["srcdoc", "formaction", "ping", "manifest"];
/// Attributes that hold text for people, which may start with anything.
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
/// Allowed values of `<meta http-equiv>`.
const EQUIVALENTS: [&str; 5] = [
    "content-type",
    "content-language",
    "content-style-type",
    "x-ua-compatible",
    "imagetoolbar",
];
/// Maximum number of faults reported.
const MAX_FAULTS: usize = 10;
/// Maximum number of characters of an attribute's name in a message.
const MAX_NAME: usize = 32;

/// The policy violations in an HTML text, each once, at most ten.
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

    /// Checks a document, or the content of a conditional comment (`conditional`), in which a tag
    /// may be closed by another comment.
    fn read(&mut self, html: &str, conditional: bool) {
        for token in tokens(html) {
            match token.kind {
                TokenKind::Open(tag) => self.tag(&tag, conditional),
                TokenKind::Raw(name, sheet) if name == "style" => self.style(&sheet),
                TokenKind::Unfinished(what) if !conditional || what == "a tag" => self.add(
                    format!("has an unclosed {what}, which hides everything after it"),
                ),
                TokenKind::Ambiguous(what) => {
                    self.add(format!("has {what}, which mail clients parse differently"));
                }
                TokenKind::Comment(text) if !conditional => {
                    if let Some(inside) = conditional_content(&text) {
                        self.read(inside, true);
                    }
                }
                TokenKind::Declaration(text) if text.contains('<') => self.add(
                    "has a tag within a declaration, which mail clients parse differently"
                        .to_owned(),
                ),
                _ => {}
            }
        }
    }

    fn style(&mut self, style: &str) {
        if let Some(fault) = style::fault(style) {
            self.add(format!(
                "has a style with {fault}, which mail clients reject"
            ));
        }
    }

    fn tag(&mut self, tag: &Tag, conditional: bool) {
        let name = tag.name.rsplit(':').next().unwrap_or_default();
        // Outlook runs no scripts, and mail builders put settings for it into <noscript>.
        let for_outlook = conditional && name == "noscript";
        if let Some(name) = ELEMENTS
            .iter()
            .find(|known| **known == name && !for_outlook)
        {
            return self.add(format!("has <{name}>, which mail clients reject"));
        }
        if name == "link"
            && !tag
                .attributes
                .iter()
                .filter(|(name, _)| name == "href")
                .all(|(_, href)| is_font_sheet(href))
        {
            return self.add(
                "has a <link> to something other than fonts, which mail clients reject".to_owned(),
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
                "has the event handler {shown}, which mail clients reject"
            ));
        } else if ATTRIBUTES.contains(&local) {
            self.add(format!(
                "has the attribute {local}, which mail clients reject"
            ));
        } else if name == "http-equiv" && !EQUIVALENTS.contains(&word.as_str()) {
            let shown: String = word.chars().take(MAX_NAME).collect();
            self.add(format!(
                "has <meta http-equiv={shown:?}>, which mail clients reject"
            ));
        } else if (name == "charset" || name == "content") && word.contains("utf-7") {
            self.add("declares UTF-7 as its encoding".to_owned());
        } else if local == "style" {
            self.style(value);
        } else if LINKS.contains(&name) || LINKS.contains(&local) {
            if !(if local.ends_with("srcset") {
                are_allowed_links(value)
            } else {
                is_allowed_link(value)
            }) {
                self.add(format!(
                    "has a {name} that is not an http, https, mailto or tel link"
                ));
            }
        } else if value.starts_with('`') || (!WORDS.contains(&name) && is_script(value)) {
            let shown: String = name.chars().take(MAX_NAME).collect();
            self.add(format!("has a script in the attribute {shown}"));
        }
    }
}

/// The content of a conditional comment for one mail client: `[if mso]>…<![endif]`, in any case.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_content_and_bad_links_are_reported() {
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
        for token in [
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
            faults(&token.repeat(200_000 / token.len()));
        }
    }
}

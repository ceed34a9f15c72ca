//! The HTML of plain mails: active, unclosed and ambiguous markup is refused; newsletters pass
//! unchanged.

use serde_json::{Value, json};

use crate::http::test_server::{TestServer, answer, pointers};

async fn post(server: &TestServer, html: &str) -> (u16, Value) {
    answer(server.post("/v1/messages").json(&json!({"to": "a@example.com", "template": "plain", "params": {"subject": "s", "html": html}}))).await
}

#[tokio::test]
async fn html_with_active_content_or_unclosed_tags_is_refused() {
    let server = TestServer::open();
    for html in [
        "Hello <img src=x onerror=alert(1) ",
        "Hello <img src=x onerror=\"alert(1)",
        "<p title=\"a>text</p>",
        "<p>a</p><!-- never closed",
        "<p>a</p><style>p{color:red}",
        "<p>a</p><title>x",
        "<p>a</p><",
        "Hello <?img src=x onerror=alert(1)",
        "Hello <!img src=x onerror=alert(1)",
        "Hello </ img src=x onerror=alert(1)",
        "<p>a</p><![if mso",
        "<select><style></select><img src=x onerror=alert(1)></style>",
        "<select><title></select><img src=x onerror=alert(1)></title></select>",
        "<!--[IF MSO]><script>alert(1)</script><![ENDIF]-->",
        "<!--[if mso] ><script>alert(1)</script><![endif]-->",
        "<!DOCTYPE x [<!ENTITY a \"<script>\">]><p>x</p>",
        "<fencedframe src=x></fencedframe>",
        "<IMG SRC=x OnErRoR=alert(1)>",
        "<scr\u{0}ipt>alert(1)</scr\u{0}ipt>",
        "<svg/onload=alert(1)>",
        "<math><mi xlink:href=\"data:x,<script>alert(1)</script>\">",
        "<a href=\"java\nscript:alert(1)\">x</a>",
        "<a href=\"&#x6A;avascript&colon;alert(1)\">x</a>",
        "<a href=\"vbscript:x\">x</a>",
        "<a href='https://x.org' href='javascript:alert(1)'>x</a>",
        "<img src=`javascript:alert(1)`>",
        "<iframe srcdoc='&lt;script&gt;alert(1)&lt;/script&gt;'></iframe>",
        "<button formaction='javascript:alert(1)'>x</button>",
        "<base href='https://evil.org/'>",
        "<meta http-equiv='refresh' content='0;url=https://evil.org'>",
        "<link rel=stylesheet href=https://evil.org/x.css>",
        "<p style='background:url(\"java\\73 cript:alert(1)\")'>",
        "<style>@\\69mport '//evil.org/x.css';</style>",
        "<!--[if mso]><img src=x onerror=alert(1)><![endif]-->",
        "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\"></noscript>",
        "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    ] {
        let (status, problem) = post(&server, html).await;
        assert_eq!(status, 422, "{html}");
        assert!(
            pointers(&problem)
                .iter()
                .all(|pointer| *pointer == "#/params/html"),
            "{html}: {problem}"
        );
    }
    assert_eq!(server.accepted().await, 0);
}

#[tokio::test]
async fn newsletter_from_a_mail_builder_is_accepted() {
    let server = TestServer::open();
    let html = "<!doctype html><html xmlns:v=\"urn:schemas-microsoft-com:vml\" xmlns:o=\"urn:schemas-microsoft-com:office:office\"><head><title>News</title>\
        <!--[if !mso]><!--><meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\"><!--<![endif]--><meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\">\
        <style type=\"text/css\">#outlook a{padding:0} @media only screen and (min-width:480px){.c{width:100%!important}}</style>\
        <!--[if mso]><noscript><xml><o:OfficeDocumentSettings><o:AllowPNG/></o:OfficeDocumentSettings></xml></noscript><![endif]-->\
        <!--[if !mso]><!--><link href=\"https://fonts.googleapis.com/css?family=Ubuntu\" rel=\"stylesheet\" type=\"text/css\"><style>@import url(https://fonts.googleapis.com/css?family=Ubuntu);</style><!--<![endif]-->\
        </head><body style=\"word-spacing:normal\"><!--[if mso | IE]><table width=\"600\"><tr><td><![endif]--><div style=\"margin:0 auto;background:#fff url('https://x.org/a.png')\">\
        <a href=\"https://x.org/?a=1&amp;b=2\" target=\"_blank\">1 &lt; 2 &copy; 2026</a><img src=\"https://x.org/a.png\" alt=\"It's a cat\" width=\"300\"></div>\
        <!--[if mso | IE]></td></tr></table><![endif]--></body></html>";
    let (status, taken) = post(&server, html).await;
    assert_eq!((status, &taken["warnings"]), (202, &json!([])), "{taken}");
}

//! The demo's sample events: a success, a failure and a job with many images; and the samples
//! behind the inbox's buttons.

use serde_json::{Value, json};

use super::scenes::{NAMES, SIDE};
use crate::domain::Timestamp;
use crate::mail_catcher::pages::Sample;

/// The buttons of the inbox page.
pub(super) const BUTTONS: &[Sample] = &[
    Sample {
        path: "/demo/sample/success",
        label: ("Success", "成功"),
    },
    Sample {
        path: "/demo/sample/failure",
        label: ("Failure", "失败"),
    },
    Sample {
        path: "/demo/sample/code",
        label: ("Code", "验证码"),
    },
    Sample {
        path: "/demo/sample/reset",
        label: ("Password reset", "重设密码"),
    },
    Sample {
        path: "/demo/sample/notice",
        label: ("Notice", "系统通知"),
    },
];

/// The request that a button sends: path and body.
pub(super) fn sample(
    name: &str,
    address: &str,
    now: Timestamp,
    locale: &str,
) -> Option<(&'static str, Value)> {
    let zh = locale.starts_with("zh");
    let (app, user) = if zh {
        ("绘影", "小王")
    } else {
        ("Studio", "Ann")
    };
    let message = |template: &str, params: Value| {
        let body = json!({ "to": "you@jobbell.example", "template": template, "locale": locale, "params": params });
        Some(("/v1/messages", body))
    };
    let reset = format!("http://{address}/demo/cat.png");
    match name {
        "success" | "failure" => {
            let mut event = samples(address, now)
                .into_iter()
                .nth(usize::from(name == "failure"))?;
            let fields = event.as_object_mut()?;
            fields.remove("id");
            fields.insert("locale".to_owned(), locale.into());
            Some(("/v1/events", event))
        }
        "code" => {
            let purpose = if zh { "登录" } else { "sign in" };
            let (path, mut body) = message(
                "verification_code",
                json!({ "code": "483921", "purpose": purpose, "app": app, "user": user }),
            )?;
            body.as_object_mut()?
                .insert("expires_in".to_owned(), "10m".into());
            Some((path, body))
        }
        "reset" => {
            let (path, mut body) = message(
                "password_reset",
                json!({ "url": reset, "app": app, "user": user }),
            )?;
            body.as_object_mut()?
                .insert("expires_in".to_owned(), "1h".into());
            Some((path, body))
        }
        "notice" if zh => message(
            "system_notice",
            json!({ "title": "周六凌晨维护", "message": "周六 02:00 至 04:00 停机维护。\n排队中的任务会在之后继续。", "app": app }),
        ),
        "notice" => message(
            "system_notice",
            json!({ "title": "Maintenance on Saturday", "message": "The service is down on Saturday from 02:00 to 04:00.\nQueued jobs continue afterwards.", "app": app }),
        ),
        _ => None,
    }
}

/// The sample events, as if they had just finished, with image links to the demo itself.
pub(super) fn samples(address: &str, now: Timestamp) -> Vec<Value> {
    let ago = |seconds: i64| Timestamp::from_millis(now.as_millis() - seconds * 1_000).to_string();
    let picture = |name: &str| json!({ "url": format!("http://{address}/demo/{name}.png"), "width": SIDE, "height": SIDE });
    let size = format!("{SIDE}x{SIDE}");
    vec![
        json!({
            "id": "demo-success", "status": "succeeded", "job_id": "4711", "title": "一只可爱的小猫", "locale": "zh-CN",
            "prompt": "一只可爱的小猫坐在山坡上，身后是一轮满月和星空，剪影，插画风格，色彩柔和",
            "prompt_translated": "A cute kitten sitting on a hillside before a full moon and a starry sky, silhouette, illustration, soft colours",
            "negative_prompt": "blurry, low quality, watermark", "model": "google/gemini-2.5-flash-image-preview:free",
            "size": size, "format": "png", "seed": 7, "steps": 30, "images": [picture("cat")],
            "started_at": ago(9), "finished_at": ago(0)
        }),
        json!({
            "id": "demo-failure", "status": "failed", "job_id": "4712", "title": "Harbour at dawn", "locale": "en",
            "prompt": "A quiet harbour at dawn, mist over the water, fishing boats, soft light", "model": "black-forest-labs/flux-dev",
            "size": "1024x768", "format": "webp", "error": { "code": "OUT_OF_MEMORY", "message": "CUDA out of memory: tried to allocate 2.50 GiB" },
            "started_at": ago(42), "finished_at": ago(0)
        }),
        json!({
            "id": "demo-series", "status": "succeeded", "job_id": "4713", "title": "Nightly series", "locale": "en",
            "prompt": "Six small landscapes, flat colours, calm composition", "model": "stable-diffusion-3.5-large",
            "size": size, "format": "png", "seed": 20_260_101, "steps": 28, "images": NAMES.map(picture),
            "started_at": ago(31), "finished_at": ago(0)
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{JobEvent, MessageRequest};

    #[test]
    fn every_button_sends_a_valid_request() {
        let now = Timestamp::from_millis(1_767_225_610_000);
        for button in BUTTONS {
            for locale in ["en", "zh-CN"] {
                let name = button.path.rsplit('/').next().unwrap();
                let (path, body) = sample(name, "127.0.0.1:8000", now, locale).unwrap();
                let warnings = match path {
                    "/v1/events" => JobEvent::parse(&body, now).unwrap().warnings,
                    _ => MessageRequest::parse(&body, now).unwrap().warnings,
                };
                assert!(
                    warnings.is_empty() && body["locale"] == locale,
                    "{name}: {warnings:?}"
                );
            }
        }
        assert!(sample("nothing", "127.0.0.1:8000", now, "en").is_none());
    }
}

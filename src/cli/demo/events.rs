//! The sample events of the demo: a success, a failure, and a job with many pictures.

use serde_json::{Value, json};

use super::pictures::{NAMES, SIDE};

/// The events, with picture links to the demo's own address.
pub(super) fn samples(address: &str) -> Vec<Value> {
    let picture = |name: &str| json!({ "url": format!("http://{address}/demo/{name}.png"), "width": SIDE, "height": SIDE });
    let size = format!("{SIDE}x{SIDE}");
    vec![
        json!({
            "id": "demo-success", "status": "succeeded", "job_id": "4711", "title": "一只可爱的小猫", "locale": "zh-CN",
            "prompt": "一只可爱的小猫坐在山坡上，身后是一轮满月和星空，剪影，插画风格，色彩柔和",
            "prompt_translated": "A cute kitten sitting on a hillside before a full moon and a starry sky, silhouette, illustration, soft colours",
            "negative_prompt": "blurry, low quality, watermark", "model": "google/gemini-2.5-flash-image-preview:free",
            "size": size, "format": "png", "seed": 7, "steps": 30, "images": [picture("cat")],
            "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:09Z"
        }),
        json!({
            "id": "demo-failure", "status": "failed", "job_id": "4712", "title": "Harbour at dawn", "locale": "en",
            "prompt": "A quiet harbour at dawn, mist over the water, fishing boats, soft light", "model": "black-forest-labs/flux-dev",
            "size": "1024x768", "format": "webp", "error": { "code": "OUT_OF_MEMORY", "message": "CUDA out of memory: tried to allocate 2.50 GiB" },
            "started_at": "2026-01-01T00:01:00Z", "finished_at": "2026-01-01T00:01:42Z"
        }),
        json!({
            "id": "demo-series", "status": "succeeded", "job_id": "4713", "title": "Nightly series", "locale": "en",
            "prompt": "Six small landscapes, flat colours, calm composition", "model": "stable-diffusion-3.5-large",
            "size": size, "format": "png", "seed": 20_260_101, "steps": 28, "images": NAMES.map(picture),
            "started_at": "2026-01-01T00:02:00Z", "finished_at": "2026-01-01T00:02:31Z"
        }),
    ]
}

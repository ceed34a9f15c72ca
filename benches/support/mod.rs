//! Shared by the benchmarks: a typical event, and a mail server that accepts everything.

use std::sync::Arc;

use jobbell::domain::{JobEvent, Timestamp};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};

/// Time of every event.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_767_225_609_000);

/// About 800 bytes of JSON, as an image generator sends them.
pub(crate) const EVENT: &str = r#"{"id":"bench-0","status":"succeeded","job_id":"gen-0","title":"夜间批量 7",
"prompt":"一只可爱的小猫坐在窗台上，窗外下着雨，电影感光线，35mm 镜头，浅景深，细节丰富 <8k>",
"prompt_translated":"A cute kitten sitting on a windowsill, rain outside, cinematic light, 35mm lens, shallow depth of field, rich in detail",
"negative_prompt":"blurry, low quality, watermark","model":"google/gemini-2.5-flash-image-preview:free","size":"1024x1024","format":"png",
"seed":42,"steps":30,"images":[{"url":"https://img.example.com/images/20260101_0_kitten.png","width":1024,"height":1024,"file_size":245760}],
"started_at":"2026-01-01T00:00:00Z","finished_at":"2026-01-01T00:00:09Z","to":["user0@example.com"],"locale":"zh-CN",
"metadata":{"user":"u0","queue":"batch"}}"#;

/// Parses [`EVENT`].
pub(crate) fn event() -> JobEvent {
    let value = serde_json::from_str(EVENT).expect("valid JSON");
    JobEvent::parse(&value, NOW).expect("valid event").event
}

/// Accepts every mail over SMTP; calls `taken` with the recipient after each message.
pub(crate) async fn take_mails<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    taken: Arc<dyn Fn(&str) + Send + Sync>,
) {
    let mut stream = BufReader::with_capacity(64 * 1024, stream);
    let (mut line, mut recipient, mut inside) = (Vec::new(), String::new(), false);
    let mut answers = b"220 bench\r\n".to_vec();
    loop {
        // Replies are flushed once the input buffer is empty.
        if stream.buffer().is_empty() && !answers.is_empty() {
            if stream.write_all(&answers).await.is_err() {
                return;
            }
            answers.clear();
        }
        line.clear();
        if stream
            .read_until(b'\n', &mut line)
            .await
            .is_ok_and(|read| read == 0)
            || line.is_empty()
        {
            return;
        }
        match line.get(..4).unwrap_or_default() {
            _ if inside => {
                if line == b".\r\n" {
                    inside = false;
                    taken(&recipient);
                    answers.extend_from_slice(b"250 2.0.0 accepted\r\n");
                }
            }
            b"EHLO" => {
                answers.extend_from_slice(b"250-bench\r\n250-PIPELINING\r\n250 8BITMIME\r\n");
            }
            b"RCPT" => {
                String::from_utf8_lossy(&line)
                    .trim_end()
                    .clone_into(&mut recipient);
                answers.extend_from_slice(b"250 2.1.5 ok\r\n");
            }
            b"DATA" => {
                inside = true;
                answers.extend_from_slice(b"354 go ahead\r\n");
            }
            _ => answers.extend_from_slice(b"250 2.1.0 ok\r\n"),
        }
    }
}

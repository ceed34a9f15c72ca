//! Decompression bombs arrive among valid images, under a memory limit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::daemon::Daemon;
use crate::support::image_server::ImageServer;
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

/// Memory limit of the daemon and of each child process.
const LIMIT_KIB: u64 = 614_400;

/// Starts the daemon under that limit.
pub(super) async fn limited(config: &TestConfig) -> Daemon {
    let mut shell = Command::new("/bin/bash");
    shell.args([
        "-c",
        &format!("ulimit -v {LIMIT_KIB}; exec \"$0\" serve"),
        env!("CARGO_BIN_EXE_jobbell"),
    ]);
    config.prepare(&mut shell);
    Daemon::start(shell).await.living_in(config.keep())
}

/// Peak memory of a process, in KiB.
pub(super) fn peak(pid: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// The child processes of a process, with their command lines.
fn children(parent: u32) -> Vec<(String, String)> {
    let names = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_child = |pid: &String| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1))
            .is_some_and(|found| found == parent.to_string())
    };
    let ours = names
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(is_child);
    ours.map(|pid| {
        (
            pid.clone(),
            std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default(),
        )
    })
    .collect()
}

/// Observations of the daemon's child processes.
#[derive(Debug, Default)]
struct Watched {
    peak: u64,
    odd: Vec<String>,
}

/// Open files of a process, except for the three standard streams and files that it opens briefly
/// at startup.
fn inherited(pid: &str) -> Vec<String> {
    let own = ["/proc/", "/sys/", "/etc/ld.so", "/lib", "/usr/lib"];
    let numbers = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let further = numbers.filter(|number| !matches!(number.as_str(), "0" | "1" | "2"));
    let targets = further.filter_map(|number| {
        std::fs::read_link(format!("/proc/{pid}/fd/{number}"))
            .ok()?
            .into_os_string()
            .into_string()
            .ok()
    });
    targets
        .filter(|target| !own.iter().any(|own| target.starts_with(own)))
        .collect()
}

/// Observes the daemon's children until aborted.
fn watch(daemon: u32) -> (tokio::task::JoinHandle<()>, Arc<Mutex<Watched>>) {
    let seen = Arc::<Mutex<Watched>>::default();
    let record = Arc::clone(&seen);
    let task = tokio::spawn(async move {
        loop {
            for (pid, command) in children(daemon) {
                let mut seen = record.lock().unwrap();
                seen.peak = seen.peak.max(peak(&pid).unwrap_or(0));
                let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                // Before `exec`, a child is still a copy of the daemon.
                if command.contains("internal-decode") {
                    seen.odd.extend(
                        (!environment.is_empty())
                            .then(|| format!("{} bytes of environment", environment.len())),
                    );
                    seen.odd.extend(inherited(&pid));
                }
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    (task, seen)
}

/// Zeros in zlib format, made as in `src/thumbnails/decode/tests.rs`: 258 at a time, 13 bits each.
fn zeros(count: usize) -> Vec<u8> {
    let (mut bytes, mut bits, mut held) = (vec![0x78, 0xDA], 0_u64, 0_u32);
    let mut put = |value: u64, length: u32, bytes: &mut Vec<u8>| {
        bits |= value << held;
        held += length;
        while held >= 8 {
            bytes.push(bits.to_le_bytes()[0]);
            bits >>= 8;
            held -= 8;
        }
    };
    put(0b011, 3, &mut bytes);
    put(0b0000_1100, 8, &mut bytes);
    for _ in 0..count / 258 {
        put(0b1010_0011, 8, &mut bytes);
        put(0, 5, &mut bytes);
    }
    put(0, 14, &mut bytes);
    bytes
}

fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut chunk = u32::try_from(data.len()).unwrap().to_be_bytes().to_vec();
    chunk.extend_from_slice(&kind);
    chunk.extend_from_slice(data);
    let mut crc = flate2::Crc::new();
    crc.update(&chunk[4..]);
    chunk.extend_from_slice(&crc.sum().to_be_bytes());
    chunk
}

/// A PNG with this header (bit depth, colour type and the rest) after its size.
fn png(width: u32, height: u32, kind: [u8; 5], chunks: &[Vec<u8>]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &kind].concat();
    [
        b"\x89PNG\r\n\x1A\n".to_vec(),
        chunk(*b"IHDR", &header),
        chunks.concat(),
        chunk(*b"IEND", &[]),
    ]
    .concat()
}

/// A grey progressive JPEG: one scan with one bit per block. `luma` is the sampling factor, 0x11 or
/// 0x22.
fn progressive(width: u16, height: u16, luma: u8) -> Vec<u8> {
    let (w, h) = (width.to_be_bytes(), height.to_be_bytes());
    let quantisation = [&[0xFF, 0xDB, 0, 67, 0][..], &[1; 64]].concat();
    let frame = [
        0xFF, 0xC2, 0, 17, 8, h[0], h[1], w[0], w[1], 3, 1, luma, 0, 2, 0x11, 0, 3, 0x11, 0,
    ];
    let mut codes = vec![0xFF, 0xC4, 0, 20, 0, 1];
    codes.extend([0; 16]);
    let scan = [0xFF, 0xDA, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 0, 0];
    let (side, blocks) = if luma == 0x22 { (16, 6) } else { (8, 3) };
    let units = usize::from(width.div_ceil(side)) * usize::from(height.div_ceil(side));
    [
        &[0xFF, 0xD8][..],
        &quantisation,
        &frame,
        &codes,
        &scan,
        &vec![0; (units * blocks).div_ceil(8)],
        &[0xFF, 0xD9],
    ]
    .concat()
}

/// Each file with its allowed results: a thumbnail or one of these reasons.
fn hostile() -> BTreeMap<&'static str, (Vec<u8>, &'static [&'static str])> {
    let bomb = zeros(500_000_000);
    let rows = zeros(101 * 100 + 258);
    let text = [b"Comment\0\0".as_slice(), &bomb].concat();
    let profile = [b"p\0\0".as_slice(), &bomb].concat();
    let gzip = [&[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3][..], &bomb[2..]].concat();
    let refused: &[_] = &["too_large"];
    let bounded: &[_] = &["kept", "too_large", "not_a_picture"];
    BTreeMap::from([
        // 256 kB that decode to 400 MiB.
        (
            "progressive-44-mp.jpg",
            (progressive(7_400, 6_000, 0x11), refused),
        ),
        (
            "progressive-25-mp.jpg",
            (progressive(5_000, 5_000, 0x22), bounded),
        ),
        (
            "progressive-thin.jpg",
            (progressive(65_500, 16, 0x22), bounded),
        ),
        (
            "deep-interlaced.png",
            (
                png(
                    4_000,
                    4_000,
                    [16, 6, 0, 0, 1],
                    &[chunk(*b"IDAT", &zeros(131_000_000))],
                ),
                bounded,
            ),
        ),
        (
            "deep.png",
            (
                png(
                    4_000,
                    4_000,
                    [16, 6, 0, 0, 0],
                    &[chunk(*b"IDAT", &zeros(128_010_000))],
                ),
                bounded,
            ),
        ),
        (
            "huge.png",
            (
                png(
                    65_535,
                    65_535,
                    [8, 0, 0, 0, 0],
                    &[chunk(*b"IDAT", &zeros(1_000))],
                ),
                refused,
            ),
        ),
        (
            "absurd.png",
            (png(u32::MAX, u32::MAX, [16, 6, 0, 0, 1], &[]), bounded),
        ),
        (
            "pixels.png",
            (
                png(100, 100, [8, 0, 0, 0, 0], &[chunk(*b"IDAT", &bomb)]),
                bounded,
            ),
        ),
        (
            "text.png",
            (
                png(
                    100,
                    100,
                    [8, 0, 0, 0, 0],
                    &[chunk(*b"zTXt", &text), chunk(*b"IDAT", &rows)],
                ),
                bounded,
            ),
        ),
        (
            "profile.png",
            (
                png(
                    100,
                    100,
                    [8, 0, 0, 0, 0],
                    &[chunk(*b"iCCP", &profile), chunk(*b"IDAT", &rows)],
                ),
                bounded,
            ),
        ),
        ("packed.png", (gzip, refused)),
        ("large.webp", (webp(), bounded)),
    ])
}

fn webp() -> Vec<u8> {
    let mut bytes = Vec::new();
    image::RgbaImage::from_pixel(4_000, 4_000, image::Rgba([1, 2, 3, 4]))
        .write_with_encoder(image::codecs::webp::WebPEncoder::new_lossless(&mut bytes))
        .unwrap();
    bytes
}

fn event(id: &str, url: &str) -> Value {
    json!({"id": id, "status": "succeeded", "locale": "en", "to": "a@example.org", "images": [{"url": url}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_images_cost_only_their_own_thumbnails() {
    let (bad, good, peer) = (
        ImageServer::start().await,
        ImageServer::start().await,
        SmtpPeer::start().await,
    );
    let files = hostile();
    for (name, (bytes, _)) in &files {
        bad.put(name, "", bytes.clone());
    }
    let mut config = TestConfig::new(&peer);
    config
        .text("email.preview", "thumbnail")
        .text("email.preview_wait", "10m")
        .set(
            "email.image_hosts",
            &format!("[{:?}, {:?}]", bad.host(), good.host()),
        );
    let mut daemon = limited(&config).await;
    let (watching, seen) = watch(daemon.pid());
    for (at, name) in files.keys().enumerate() {
        daemon.accept(&event(name, &bad.url(name))).await;
        daemon
            .accept(&event(&format!("good-{at}"), &good.url("a.png")))
            .await;
    }
    for at in 0..files.len() {
        let id = format!("good-{at}");
        daemon.reached(&id, "sent").await;
        assert_eq!(daemon.event(&id).await["pictures"][0]["state"], "kept");
    }
    for (name, (_, expected)) in &files {
        daemon.reached(name, "sent").await;
        let fate = daemon.event(name).await["pictures"][0].clone();
        let fate = fate["reason"]
            .as_str()
            .unwrap_or_else(|| fate["state"].as_str().unwrap())
            .to_owned();
        assert!(expected.contains(&fate.as_str()), "{name}: {fate}");
        eprintln!("{name}: {fate}");
    }
    watching.abort();
    let (own, seen) = (
        peak(&daemon.pid().to_string()).unwrap(),
        std::mem::take(&mut *seen.lock().unwrap()),
    );
    eprintln!(
        "peak: daemon {} MiB, largest child {} MiB",
        own / 1_024,
        seen.peak / 1_024
    );
    assert!(
        own < 150 * 1_024 && seen.peak < 256 * 1_024,
        "{own} and {} KiB",
        seen.peak
    );
    assert!(seen.odd.is_empty(), "{:#?}", seen.odd);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thumbnails_in_progress_at_a_crash_are_not_resumed() {
    let (gallery, peer) = (ImageServer::start().await, SmtpPeer::start().await);
    let mut config = TestConfig::new(&peer);
    config
        .text("email.preview", "thumbnail")
        .text("email.preview_wait", "10m")
        .set("email.image_hosts", &format!("[{:?}]", gallery.host()));
    let mut daemon = config.start().await;
    daemon
        .accept(&event("poison", &gallery.url("silent.png")))
        .await;
    while gallery.asked().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    daemon.kill().await;
    let daemon = config.start().await;
    daemon.reached("poison", "sent").await;
    assert_eq!(
        daemon.event("poison").await["pictures"][0]["reason"],
        "no_time"
    );
    daemon.accept(&event("next", &gallery.url("a.png"))).await;
    daemon.reached("next", "sent").await;
    assert_eq!(daemon.event("next").await["pictures"][0]["state"], "kept");
    assert_eq!(gallery.asked(), ["silent.png", "a.png"], "asked for once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encoded_or_extremely_shaped_image_gets_a_thumbnail() {
    let (gallery, peer) = (ImageServer::start().await, SmtpPeer::start().await);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &crate::support::image_server::png()).unwrap();
    gallery.put(
        "packed.png",
        "Content-Encoding: gzip\r\n",
        gzip.finish().unwrap(),
    );
    gallery.put(
        "tall.png",
        "",
        png(
            800,
            20_000,
            [8, 2, 0, 0, 0],
            &[chunk(*b"IDAT", &zeros(2_401 * 20_000 + 258))],
        ),
    );
    let mut config = TestConfig::new(&peer);
    config
        .text("email.preview", "thumbnail")
        .set("email.image_hosts", &format!("[{:?}]", gallery.host()));
    let daemon = config.start().await;
    for (name, width) in [("packed.png", 320), ("tall.png", 560)] {
        daemon.accept(&event(name, &gallery.url(name))).await;
        daemon.reached(name, "sent").await;
        let fate = daemon.event(name).await["pictures"][0].clone();
        assert_eq!(
            (&fate["state"], &fate["width"]),
            (&json!("kept"), &json!(width)),
            "{name}: {fate}"
        );
    }
    let mails = peer.mails();
    let html = |at: usize| {
        mail_parser::MessageParser::default()
            .parse(&mails[at].data)
            .unwrap()
            .body_html(0)
            .unwrap()
            .into_owned()
    };
    assert!(
        !html(0).contains("View full image") && html(1).contains("View full image"),
        "{}",
        html(1)
    );
}

//! A small web server for images, with faults by path.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A PNG of 320 × 200 pixels.
pub fn png() -> Vec<u8> {
    let mut bytes = Vec::new();
    let image = image::RgbImage::from_fn(320, 200, |x, y| {
        image::Rgb([
            u8::try_from(x * 255 / 320).unwrap(),
            u8::try_from(y).unwrap(),
            120,
        ])
    });
    image
        .write_with_encoder(image::codecs::png::PngEncoder::new(&mut bytes))
        .unwrap();
    bytes
}

/// The requested paths, and the headers of the last request.
#[derive(Debug, Default)]
struct Seen {
    paths: Vec<String>,
    head: String,
    /// Additional files: headers and bytes.
    files: HashMap<String, (String, Vec<u8>)>,
}

/// The server; stops when dropped.
pub struct ImageServer {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for ImageServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ImageServer {
    /// Listens on loopback.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, connections) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicUsize>::default());
        let (record, count) = (Arc::clone(&seen), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                serving.spawn(serve(stream, port, Arc::clone(&record)));
            }
        });
        Self {
            port,
            seen,
            connections,
            task,
        }
    }

    /// Its host and port, for `email.image_hosts`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The URL of an image or of a fault.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// Adds a file with additional header lines.
    pub fn put(&self, path: &str, headers: &str, bytes: Vec<u8>) {
        self.seen
            .lock()
            .unwrap()
            .files
            .insert(path.to_owned(), (headers.to_owned(), bytes));
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The requested paths, in order.
    pub fn asked(&self) -> Vec<String> {
        self.seen.lock().unwrap().paths.clone()
    }

    /// The headers of the last request.
    pub fn head(&self) -> String {
        self.seen.lock().unwrap().head.clone()
    }

    /// Number of accepted connections.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Stops it and waits until it has stopped.
    pub async fn close(mut self) {
        self.task.abort();
        drop((&mut self.task).await);
    }
}

async fn serve(mut stream: TcpStream, port: u16, seen: Arc<Mutex<Seen>>) {
    let mut head = String::new();
    let mut reader = BufReader::new(&mut stream);
    while !head.ends_with("\r\n\r\n")
        && reader.read_line(&mut head).await.is_ok_and(|read| read > 0)
    {}
    let path = head
        .split(' ')
        .nth(1)
        .unwrap_or_default()
        .trim_start_matches('/')
        .to_owned();
    let file = {
        let mut seen = seen.lock().unwrap();
        seen.paths.push(path.clone());
        seen.head = head;
        seen.files
            .get(path.split('?').next().unwrap_or_default())
            .cloned()
    };
    if let Some((headers, bytes)) = file {
        let head = format!(
            "HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n",
            bytes.len()
        );
        if stream.write_all(head.as_bytes()).await.is_ok() {
            drop(stream.write_all(&bytes).await);
        }
        return;
    }
    // The client may close the connection at any time.
    drop(answer(&mut stream, &path, port).await);
}

async fn answer(stream: &mut TcpStream, path: &str, port: u16) -> std::io::Result<()> {
    let name = path.split('?').next().unwrap_or_default();
    match name {
        "liar.png" => whole(stream, "text/html", &png()).await,
        "page.png" => whole(stream, "image/png", b"<!DOCTYPE html><title>sorry</title>").await,
        "script.svg" => whole(stream, "image/svg+xml", b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>").await,
        "torn.png" => {
            let image = png();
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", image.len()).as_bytes()).await?;
            stream.write_all(&image[..image.len() / 2]).await
        }
        "huge.png" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n").await?;
            endless(stream, &png()).await
        }
        "endless.png" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            let block = vec![0x40; 65_536];
            stream.write_all(b"8\r\n\x89PNG\r\n\x1A\n\r\n").await?;
            loop {
                stream.write_all(b"10000\r\n").await?;
                stream.write_all(&block).await?;
                stream.write_all(b"\r\n").await?;
            }
        }
        "slow.png" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").await?;
            for byte in png() {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok(())
        }
        "silent.png" => std::future::pending().await,
        "missing.png" => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await,
        "broken.png" => stream.write_all(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n").await,
        "cookie.png" => stream.write_all(b"HTTP/1.1 302 Found\r\nSet-Cookie: a=b\r\nLocation: a.png\r\nContent-Length: 0\r\n\r\n").await,
        "loop.png" => redirect(stream, "/loop.png").await,
        "to-metadata.png" => redirect(stream, "http://169.254.169.254/latest/meta-data/").await,
        "to-loopback.png" => redirect(stream, "http://127.0.0.1/a.png").await,
        "to-localhost.png" => redirect(stream, "http://localhost/a.png").await,
        "to-file.png" => redirect(stream, "file:///etc/passwd").await,
        "to-login.png" => redirect(stream, &format!("http://user:secret@127.0.0.1:{port}/a.png")).await,
        "hop-3.png" => redirect(stream, "/hop-2.png").await,
        "hop-2.png" => redirect(stream, "hop-1.png").await,
        "hop-1.png" => redirect(stream, &format!("http://127.1:{port}/a.png")).await,
        _ => whole(stream, "image/png", &png()).await,
    }
}

async fn redirect(stream: &mut TcpStream, to: &str) -> std::io::Result<()> {
    stream
        .write_all(
            format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").as_bytes(),
        )
        .await
}

async fn whole(stream: &mut TcpStream, kind: &str, body: &[u8]) -> std::io::Result<()> {
    stream
        .write_all(
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            )
            .as_bytes(),
        )
        .await?;
    stream.write_all(body).await
}

async fn endless(stream: &mut TcpStream, block: &[u8]) -> std::io::Result<()> {
    loop {
        stream.write_all(block).await?;
    }
}

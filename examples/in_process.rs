//! A program that embeds Jobbell: no HTTP, no daemon, the same queue and the same mails.
//!
//! Run it with a mail server on port 1025 (Mailpit, or `python -m aiosmtpd -n -l 127.0.0.1:1025`):
//! `cargo run --example in_process`
#![expect(clippy::print_stdout, reason = "an example talks")]

use jobbell::config::{self, Sources};
use jobbell::daemon::Jobbell;
use jobbell::domain::{Clock, Image, JobEvent, JobStatus, Link, Size};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let set =
        |key: &str, value: &str| (key.to_owned(), value.to_owned(), "in_process.rs".to_owned());
    let overrides = vec![
        set("smtp.host", "127.0.0.1"),
        set("smtp.port", "1025"),
        set("smtp.from", "Studio <studio@example.com>"),
        set("smtp.to", "you@example.com"),
        set(
            "queue.state_dir",
            &std::env::temp_dir()
                .join("jobbell-in-process")
                .display()
                .to_string(),
        ),
    ];
    let sources = Sources {
        overrides,
        ..Sources::default()
    };
    let mut jobbell = Jobbell::start(&config::load(&sources)?.config).await?;

    // Either: wait until the event is on disk.
    let mut event = JobEvent::with_generated_id(JobStatus::Succeeded, Clock::System.now());
    event.prompt = Some("A cute little kitten".to_owned());
    event.size = Some(Size::new(1024, 1024)?);
    event.images = vec![Image {
        url: Some(Link::parse("https://img.example.com/kitten.png")?),
        ..Image::default()
    }];
    let accepted = jobbell.submit(event).await?;
    println!("on disk: {}", accepted.id);

    // Or: drop it into the channel and go on.
    let bell = jobbell.events();
    let event = JobEvent::with_generated_id(JobStatus::Failed, Clock::System.now());
    bell.send(event).await?;

    // Commits what the channel holds and lets the mails under way end.
    jobbell.stop().await;
    Ok(())
}

//! A program that embeds Jobbell: no HTTP, no daemon, the same queue and the same mails.
//!
//! Run it with a mail server on port 1025 (Mailpit, or `python -m aiosmtpd -n -l 127.0.0.1:1025`):
//! `cargo run --example in_process`
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use jobbell::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::builder()
        .smtp_host("127.0.0.1")
        .smtp_port(1025)
        .from("Studio <studio@example.com>")
        .to("you@example.com")
        .state_dir(std::env::temp_dir().join("jobbell-in-process"))
        .build()?;
    let mut jobbell = Jobbell::start(config).await?;

    // Either wait until the event is on disk.
    let event = JobEvent::succeeded()
        .prompt("A cute little kitten")
        .size(1024, 1024)
        .image("https://img.example.com/kitten.png")
        .build()?;
    let accepted = jobbell.submit(event).await?;
    println!("on disk: {}", accepted.id);

    // Or send it into the channel and go on.
    let events = jobbell.events();
    let event = JobEvent::failed().error("out of memory").build()?;
    events.send(event).await?;

    // Commits what the channel holds and waits for mails in flight.
    jobbell.stop().await;
    Ok(())
}

//! A conversation traced step by step: what is shown of it, and where it stops.

use jobbell::domain::Stage;
use jobbell::transport::smtp::{Depth, Settings, Tls};

use super::{email, smtp, to, with_auth, with_login};
use crate::support::smtp_peer::{Act, At, Certificate, SmtpPeer};

#[tokio::test]
async fn dry_run_sends_the_envelope_and_no_mail() {
    let peer = SmtpPeer::start().await;
    let trace = to(&peer).trace(Depth::Envelope(&email())).await;
    assert_eq!(trace.result.unwrap(), None);
    let seen = peer.seen();
    let words: Vec<&str> = seen
        .lines()
        .iter()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(words, ["EHLO", "MAIL", "RCPT", "RSET", "QUIT"]);
    assert!(seen.mails.is_empty());
    peer.once(At::Rcpt, Act::reply("550 5.1.1 nobody"));
    let trace = to(&peer).trace(Depth::Envelope(&email())).await;
    assert_eq!(trace.result.unwrap_err().stage, Stage::Rcpt);
}

#[tokio::test]
async fn certificate_is_reported_even_if_rejected() {
    for (certificate, trusted, starttls) in [
        (Certificate::default(), true, true),
        (Certificate::expired(), true, false),
        (Certificate::default(), false, false),
    ] {
        let good = trusted && starttls;
        let builder = with_auth().certificate(certificate);
        let peer = if starttls {
            builder.starttls()
        } else {
            builder.implicit_tls()
        }
        .start()
        .await;
        let tls = if starttls {
            Tls::Starttls
        } else {
            Tls::Implicit
        };
        let tls_ca_file = trusted.then(|| peer.ca_file().to_owned());
        let server = smtp(Settings {
            tls,
            tls_ca_file,
            ..with_login(peer.port())
        });
        // The second attempt must not resume the TLS session, which would show no certificate.
        for _ in 0..2 {
            let trace = server.trace(Depth::Login).await;
            assert_eq!(trace.result.is_ok(), good, "{:?}", trace.result);
            assert_eq!(trace.certificate.unwrap().hosts, ["localhost", "127.0.0.1"]);
        }
    }
}

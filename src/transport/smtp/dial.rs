//! Finding a server and opening the connection: every address in turn, each within its time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::classifier::Classifier;
use super::trace::TraceRecorder;
use crate::domain::{Failure, Stage};
use crate::transport::explain::LocalError;

/// The most addresses tried; with the limit of each this bounds the whole.
pub(super) const MAX_ADDRESSES: u32 = 6;

/// Connects to the first address of `host` that answers. `limit` bounds the look-up, and each
/// address.
pub(super) async fn dial(
    host: &str,
    port: u16,
    limit: Duration,
    recorder: &TraceRecorder,
    classifier: &Classifier,
) -> Result<TcpStream, Failure> {
    let addresses = resolve(host, port, limit, recorder)
        .await
        .map_err(|(trouble, why)| classifier.local_failure(Stage::Dns, trouble, why))?;
    let mut fault: Option<(LocalError, String)> = None;
    for (index, address) in addresses.iter().enumerate() {
        let started = Instant::now();
        let outcome = match timeout(limit, connect(*address)).await {
            Ok(outcome) => outcome.map_err(|error| (local_error(&error), error.to_string())),
            Err(_) => Err((
                LocalError::ConnectTimeout,
                format!("no answer within {} s", limit.as_secs_f32()),
            )),
        };
        let note = || {
            format!(
                "{address}{}",
                outcome
                    .as_ref()
                    .err()
                    .map(|(_, error)| format!(": {error}"))
                    .unwrap_or_default()
            )
        };
        recorder.note(Stage::Connect, started.elapsed(), || {
            (String::new(), None, note())
        });
        match outcome {
            Ok(stream) => return Ok(stream),
            // That this machine has no IPv6 says less than what another address came to.
            Err((LocalError::NetworkUnreachable, _)) if fault.is_some() => {}
            Err((trouble, error)) => {
                fault = Some((
                    trouble,
                    format!(
                        "cannot connect to {host} port {port}: {error} (addresses tried: {})",
                        index + 1
                    ),
                ));
            }
        }
    }
    let (trouble, why) =
        fault.unwrap_or((LocalError::DnsNotFound, format!("{host} has no address")));
    Err(classifier.local_failure(Stage::Connect, trouble, why))
}

fn local_error(error: &std::io::Error) -> LocalError {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::ConnectionReset => {
            LocalError::ConnectRefused
        }
        std::io::ErrorKind::TimedOut => LocalError::ConnectTimeout,
        _ => LocalError::NetworkUnreachable,
    }
}

/// A small write waits for nobody: without this each mail costs 40 ms of Nagle against delayed
/// acknowledgements.
async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

type Unresolved = (LocalError, String);

async fn resolve(
    host: &str,
    port: u16,
    limit: Duration,
    recorder: &TraceRecorder,
) -> Result<Vec<SocketAddr>, Unresolved> {
    let started = Instant::now();
    let found = match timeout(limit, lookup_host((host, port))).await {
        Ok(Ok(found)) => Ok(found
            .take(usize::try_from(MAX_ADDRESSES).unwrap_or(1))
            .collect::<Vec<_>>()),
        Ok(Err(error)) => Err((
            unresolved(&error.to_string()),
            format!("cannot find the address of {host}: {error}"),
        )),
        Err(_) => {
            let why = format!(
                "cannot find the address of {host}: the name server did not answer within {} s",
                limit.as_secs_f32()
            );
            Err((LocalError::DnsTemporary, why))
        }
    };
    let none = || (LocalError::DnsNotFound, format!("{host} has no address"));
    let found = found.and_then(|found| {
        if found.is_empty() {
            Err(none())
        } else {
            Ok(found)
        }
    });
    recorder.note(Stage::Dns, started.elapsed(), || match &found {
        Ok(found) => (
            String::new(),
            None,
            found
                .iter()
                .map(|address| address.ip().to_string())
                .collect::<Vec<_>>()
                .join(" "),
        ),
        Err((_, error)) => (String::new(), None, error.clone()),
    });
    found
}

/// The system's resolver tells only in words (glibc, musl) whether a name is unknown or nobody
/// could be asked.
fn unresolved(words: &str) -> LocalError {
    let passing = ["Temporary failure", "Try again", "System error"]
        .iter()
        .any(|sign| words.contains(sign));
    if passing {
        LocalError::DnsTemporary
    } else {
        LocalError::DnsNotFound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_never_waits_to_fill_a_packet() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert!(
            connect(listener.local_addr().unwrap())
                .await
                .unwrap()
                .nodelay()
                .unwrap()
        );
    }
}

//! Resolves the server's name and connects to its addresses in turn, each with a time limit.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::classifier::Classifier;
use super::trace::TraceRecorder;
use crate::domain::{Failure, Stage};
use crate::transport::explain::LocalError;

/// The maximum number of addresses to try, which limits the total time.
const MAX_ADDRESSES: usize = 6;

/// Connects to the first address of `host` that answers. `limit` applies to the lookup and to each
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
        .map_err(|(error, detail)| classifier.local_failure(Stage::Dns, error, detail))?;
    let mut failed: Option<(LocalError, String)> = None;
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
        recorder.record(Stage::Connect, started.elapsed(), || {
            (String::new(), None, note())
        });
        match outcome {
            Ok(stream) => return Ok(stream),
            // The error of another address is more useful than a missing IPv6 route.
            Err((LocalError::NetworkUnreachable, _)) if failed.is_some() => {}
            Err((local_error, error)) => {
                failed = Some((
                    local_error,
                    format!(
                        "cannot connect to {host} port {port}: {error} (addresses tried: {})",
                        index + 1
                    ),
                ));
            }
        }
    }
    let (error, detail) =
        failed.unwrap_or((LocalError::DnsNotFound, format!("{host} has no address")));
    Err(classifier.local_failure(Stage::Connect, error, detail))
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

/// Disables Nagle's algorithm, which together with delayed acknowledgements costs 40 ms a mail.
async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn resolve(
    host: &str,
    port: u16,
    limit: Duration,
    recorder: &TraceRecorder,
) -> Result<Vec<SocketAddr>, (LocalError, String)> {
    let started = Instant::now();
    let found = match timeout(limit, lookup_host((host, port))).await {
        Ok(Ok(found)) => Ok(found.take(MAX_ADDRESSES).collect::<Vec<_>>()),
        Ok(Err(error)) => Err((
            unresolved(&error.to_string()),
            format!("cannot find the address of {host}: {error}"),
        )),
        Err(_) => {
            let detail = format!(
                "cannot find the address of {host}: the name server did not answer within {} s",
                limit.as_secs_f32()
            );
            Err((LocalError::DnsTemporary, detail))
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
    recorder.record(Stage::Dns, started.elapsed(), || match &found {
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

/// Classifies an error of the system's resolver by its message (of glibc or musl), because the
/// standard library does not expose its code.
fn unresolved(message: &str) -> LocalError {
    let temporary = ["Temporary failure", "Try again", "System error"]
        .iter()
        .any(|text| message.contains(text));
    if temporary {
        LocalError::DnsTemporary
    } else {
        LocalError::DnsNotFound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_disable_nagles_algorithm() {
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

//! Finding a server and opening the connection: every address in turn, each within its time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::replies::classify_loss;
use super::steps::Recorder;
use crate::domain::{Failure, Stage};

/// The most addresses tried; with the limit of each this bounds the whole.
pub(super) const MAX_ADDRESSES: u32 = 6;

/// Connects to the first address of `host` that answers. `limit` bounds the look-up, and each address.
pub(super) async fn dial(host: &str, port: u16, limit: Duration, recorder: &Recorder) -> Result<TcpStream, Failure> {
    let addresses = resolve(host, port, limit, recorder).await?;
    let mut fault = String::new();
    for (index, address) in addresses.iter().enumerate() {
        let started = Instant::now();
        let outcome = match timeout(limit, connect(*address)).await {
            Ok(outcome) => outcome.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {} s", limit.as_secs_f32())),
        };
        let note = || format!("{address}{}", outcome.as_ref().err().map(|error| format!(": {error}")).unwrap_or_default());
        recorder.note(Stage::Connect, started.elapsed(), || (String::new(), None, note()));
        match outcome {
            Ok(stream) => return Ok(stream),
            Err(error) => fault = format!("cannot connect to {host} port {port}: {error} (addresses tried: {})", index + 1),
        }
    }
    Err(unreachable(Stage::Connect, fault))
}

/// A small write waits for nobody: without this each mail costs 40 ms of Nagle against delayed acknowledgements.
async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn resolve(host: &str, port: u16, limit: Duration, recorder: &Recorder) -> Result<Vec<SocketAddr>, Failure> {
    let started = Instant::now();
    let found = match timeout(limit, lookup_host((host, port))).await {
        Ok(Ok(found)) => Ok(found.take(usize::try_from(MAX_ADDRESSES).unwrap_or(1)).collect::<Vec<_>>()),
        Ok(Err(error)) => Err(format!("cannot find the address of {host}: {error}")),
        Err(_) => Err(format!("cannot find the address of {host}: the name server did not answer within {} s", limit.as_secs_f32())),
    };
    let found = found.and_then(|found| if found.is_empty() { Err(format!("{host} has no address")) } else { Ok(found) });
    recorder.note(Stage::Dns, started.elapsed(), || match &found {
        Ok(found) => (String::new(), None, found.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(" ")),
        Err(error) => (String::new(), None, error.clone()),
    });
    found.map_err(|error| unreachable(Stage::Dns, error))
}

fn unreachable(stage: Stage, detail: String) -> Failure {
    Failure { kind: classify_loss(stage, false), stage, reply: None, detail, explanation: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_never_waits_to_fill_a_packet() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert!(connect(listener.local_addr().unwrap()).await.unwrap().nodelay().unwrap());
    }
}

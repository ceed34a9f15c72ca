//! SIGSTOP of a node past its lease, while the mail server holds its mails in different phases.

use std::collections::BTreeMap;

use super::nodes::Nodes;
use crate::oracle::drained;
use crate::support::postgres::{Database, eventually};
use crate::support::smtp_peer::{Act, At, Gate, Seen, SmtpPeer};

/// How often each node has sent a line that starts with this word, by the name in its EHLO.
fn by_node(seen: &Seen, word: &str) -> BTreeMap<String, usize> {
    let names: BTreeMap<usize, &str> = seen
        .commands
        .iter()
        .filter_map(|command| Some((command.connection, command.line.strip_prefix("EHLO ")?)))
        .collect();
    let mut counts = BTreeMap::new();
    for command in &seen.commands {
        if command.line.starts_with(word)
            && let Some(name) = names.get(&command.connection)
        {
            *counts.entry((*name).to_owned()).or_default() += 1;
        }
    }
    counts
}

/// Another node takes over. The woken one sends no DATA after a late 250, no message after a late 354,
/// and records nothing for the mail past its dot, which alone arrives twice.
pub(super) async fn node_that_was_stopped_past_its_lease_sends_nothing_more() {
    const PHASES: [At; 5] = [At::Ehlo, At::Mail, At::Rcpt, At::Data, At::Dot];
    let Some(database) = Database::create().await else {
        return;
    };
    // One after the other, so that each phase is a reply of its own.
    let peer = SmtpPeer::builder().without("PIPELINING").start().await;
    let url = database.url();
    let nodes = Nodes::start("SIGSTOP past the lease", peer, &[&url, &url]).await;
    let mut gates = Vec::new();
    for at in PHASES {
        let gate = Gate::new();
        nodes.peer.once(at, Act::Usual.held(&gate));
        nodes.post(0).await;
        gate.reached().await;
        gates.push(gate);
    }
    let stopped = nodes.peer.seen();
    nodes.daemons[0].signal("STOP").await;
    // The server has this one already; the client's dot was sent before the stop.
    let mails = PHASES.len();
    eventually_long("another node sends them", async || {
        nodes.peer.ledger().len() == mails
    })
    .await;
    drained(&nodes.daemons[1]).await;
    for gate in &gates {
        gate.open();
    }
    nodes
        .peer
        .until("the mail past its dot", |seen| {
            seen.mails.len() == mails + 1
        })
        .await;
    nodes.daemons[0].signal("CONT").await;
    nodes.daemons[0].says("other nodes have taken over").await;
    nodes.are_ready().await;
    let in_flight = "SELECT in_flight FROM jobbell.nodes WHERE name = 'a'";
    eventually("its attempts have ended", async || {
        database.sql(in_flight).await == ["0"]
    })
    .await;
    let woken = nodes.peer.seen();
    for word in ["DATA", "MAIL", "RCPT"] {
        let (before, after) = (by_node(&stopped, word), by_node(&woken, word));
        assert_eq!(before["a.example"], after["a.example"], "{word}");
    }
    assert_eq!(woken.mails.len(), mails + 1);
    // It works again.
    nodes.post(0).await;
    let figures = nodes.finish().await;
    assert_eq!(figures.extra, 1, "{figures}");
}

/// As long as the lease of a node and more.
async fn eventually_long(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_mins(1), waiting).await;
    waited.unwrap_or_else(|_| panic!("{what}"));
}

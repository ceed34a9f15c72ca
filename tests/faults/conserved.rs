//! The usual end of a test with one recipient per event: every acknowledged event is sent.

use std::collections::BTreeSet;

use super::oracle::{Oracle, drained};
use crate::support::daemon::Daemon;
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

/// Waits until the queue is empty, checks the oracle with at most `copies` duplicates, and stops
/// the daemon.
pub(super) async fn conserved(
    test: &'static str,
    config: &TestConfig,
    daemon: &mut Daemon,
    peer: &SmtpPeer,
    acknowledged: &BTreeSet<String>,
    copies: usize,
) {
    let oracle = Oracle::new(test);
    for id in acknowledged {
        oracle.promise(id, 1);
    }
    drained(daemon).await;
    let figures = oracle.close(config, daemon, &[peer]).await;
    assert_eq!(
        figures.stats["sent"], figures.stats["accepted"],
        "{figures}"
    );
    assert!(figures.extra <= copies, "{figures}");
}

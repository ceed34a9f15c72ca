//! The usual end of a test whose events have one recipient each: everything that was acknowledged
//! is sent.

use std::collections::BTreeSet;

use super::oracle::{Oracle, drained};
use crate::support::daemon::Daemon;
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

/// Waits until nothing is left to be sent and has the oracle judge; at most so many copies may be
/// extra. Stops the daemon.
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

//! The ends of leases. They take half a minute, which is mostly waited for, so they run together.

use super::{kills, outages, stopped};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_of_nodes_whose_lease_ends_are_neither_lost_nor_sent_late() {
    tokio::join!(
        kills::mails_of_a_killed_node_are_sent_by_another(),
        outages::outage_longer_than_the_lease_loses_nothing(),
        stopped::node_that_was_stopped_past_its_lease_sends_nothing_more(),
    );
}

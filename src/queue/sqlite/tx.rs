//! The open write transaction, which verbs work on.

use rusqlite::Connection;

use super::node::NodeId;
use crate::domain::Timestamp;
use crate::queue::Counts;
use crate::queue::vault::Vault;

/// The open transaction. Changes made here count only if the commit succeeds.
pub(super) struct WriteTx<'c> {
    pub(super) conn: &'c Connection,
    /// Encrypts and decrypts payloads with codes and secret links.
    pub(super) vault: &'c Vault,
    /// The id of this node.
    pub(super) node: NodeId,
    pub(super) counts: Counts,
    pub(super) max_pending: u64,
    /// Whether a delivery was added to the queue or returned to it, so that the pending claim is
    /// tried again.
    pub(super) wake: bool,
    /// Whether a thumbnail job was added.
    pub(super) wake_thumbnails: bool,
    /// The latest `now` of its requests.
    pub(super) now: Timestamp,
}

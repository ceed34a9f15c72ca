//! State shared by the writer and the readers of a store.

use std::sync::Arc;

use super::connect::Database;
use super::watch::Watch;
use crate::queue::vault::Vault;

/// The database, the check that its file is still in place, and the key of its secrets.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) database: Database,
    pub(super) watch: Arc<Watch>,
    pub(super) vault: Arc<Vault>,
}

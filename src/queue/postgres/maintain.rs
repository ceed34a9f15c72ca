//! Removes expired data.

use super::store::Store;
use crate::domain::Timestamp;
use crate::queue::{Maintenance, Retention, StoreError};

impl Store {
    pub(in crate::queue) async fn maintain(
        &self,
        _retention: &Retention,
        _limit: u32,
        _now: Timestamp,
    ) -> Result<Maintenance, StoreError> {
        Err(StoreError::Closed)
    }
}

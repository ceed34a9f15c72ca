//! Verbs that read records.

use super::{DeliveryRecord, EventRecord, Filter, ListError, Page, Queue, StoreError};
use crate::domain::{DeliveryId, EventId};

impl Queue {
    /// An event with its deliveries, if it is on record.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find(&self, id: &EventId) -> Result<Option<EventRecord>, StoreError> {
        let found = on_store!(self, store => store.find(id.clone()).await)?;
        Ok(found.map(|record| record.shifted(self.clock().offset())))
    }

    /// The events of this list that are on record, each with its source.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn sources_of(
        &self,
        ids: Vec<EventId>,
    ) -> Result<Vec<(EventId, String)>, StoreError> {
        on_store!(self, store => store.sources_of(ids).await)
    }

    /// A delivery with its attempts, if it is on record.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find_delivery(
        &self,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRecord>, StoreError> {
        let found = on_store!(self, store => store.find_delivery(id).await)?;
        Ok(found.map(|record| record.shifted(self.clock().offset())))
    }

    /// One page of deliveries, newest first; `limit` is clamped to 1–500. New deliveries do not
    /// shift later pages.
    ///
    /// # Errors
    /// When this list did not issue `cursor`, or the store cannot be read.
    pub async fn list(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page, ListError> {
        let (mut filter, offset) = (filter.clone(), self.clock().offset());
        filter.since = filter.since.map(|since| since.shifted(-offset));
        let mut page = on_store!(self, store => store.list(filter, cursor, limit).await)?;
        let deliveries = page.deliveries.into_iter();
        page.deliveries = deliveries.map(|record| record.shifted(offset)).collect();
        Ok(page)
    }
}

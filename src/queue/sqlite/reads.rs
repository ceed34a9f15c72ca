//! The verbs that only read.

use std::sync::Arc;
use std::time::Duration;

use super::store::Store;
use super::{list, read, send_history, thumbnails, unmapped};
use crate::domain::{DeliveryId, EventId, Lane, ThumbnailResult, Timestamp};
use crate::queue::lease::EventKey;
use crate::queue::{
    CountCheck, DeliveryRecord, EventRecord, Filter, ListError, Page, SentCount, StoreError,
    UnmappedRecord,
};

impl Store {
    pub(in crate::queue) async fn sources_of(
        &self,
        ids: Vec<EventId>,
    ) -> Result<Vec<(EventId, String)>, StoreError> {
        self.readers
            .read(move |conn| read::sources_of(conn, ids))
            .await
    }

    pub(in crate::queue) async fn thumbnails(
        &self,
        event: EventKey,
    ) -> Result<Vec<ThumbnailResult>, StoreError> {
        let EventKey::Row(event_seq) = event else {
            return Ok(Vec::new());
        };
        self.readers
            .read(move |conn| Ok(thumbnails::copies(conn, event_seq)?))
            .await
    }

    pub(in crate::queue) async fn unmapped(
        &self,
        limit: u32,
    ) -> Result<Vec<UnmappedRecord>, StoreError> {
        self.lists
            .read(move |conn| Ok(unmapped::list(conn, limit)?))
            .await
    }

    pub(in crate::queue) async fn find_unmapped(
        &self,
        id: i64,
    ) -> Result<Option<UnmappedRecord>, StoreError> {
        self.readers
            .read(move |conn| Ok(unmapped::find(conn, id)?))
            .await
    }

    pub(in crate::queue) async fn send_history(
        &self,
        after: Timestamp,
    ) -> Result<Vec<SentCount>, StoreError> {
        self.readers
            .read(move |conn| Ok(send_history::read(conn, after)?))
            .await
    }

    pub(in crate::queue) async fn find(
        &self,
        id: EventId,
    ) -> Result<Option<EventRecord>, StoreError> {
        let vault = Arc::clone(&self.files.vault);
        self.readers
            .read(move |conn| read::find(conn, &vault, &id))
            .await
    }

    pub(in crate::queue) async fn find_delivery(
        &self,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRecord>, StoreError> {
        self.readers
            .read(move |conn| read::find_delivery(conn, id))
            .await
    }

    pub(in crate::queue) async fn list(
        &self,
        filter: Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page, ListError> {
        let before = match cursor {
            Some(text) => list::parse_cursor(text).ok_or(ListError::Cursor)?,
            None => i64::MAX,
        };
        let limit = usize::try_from(limit.clamp(1, 500)).unwrap_or(500);
        Ok(self
            .lists
            .read(move |conn| list::list(conn, &filter, before, limit))
            .await?)
    }

    pub(in crate::queue) async fn verify_counts(&self) -> Result<CountCheck, StoreError> {
        self.lists.read(read::verify_counts).await
    }

    pub(in crate::queue) async fn oldest_due(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(Lane, Duration)>, StoreError> {
        self.readers
            .read(move |conn| read::oldest_due(conn, now))
            .await
    }
}

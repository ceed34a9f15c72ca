//! Finds out what slows a queue in a database down.
#![cfg_attr(
    not(feature = "postgres"),
    expect(clippy::unused_async, reason = "only a database has to be asked")
)]

use super::symptom::Examination;
use super::{OpenError, Settings};

/// Examines the database of a queue, beside the nodes that work on it. Changes nothing. `None` if the
/// queue is in SQLite, which needs no such care.
///
/// # Errors
/// When the database cannot be reached, or contains no queue.
pub async fn examine(settings: &Settings) -> Result<Option<Examination>, OpenError> {
    #[cfg(feature = "postgres")]
    if let Some(postgres) = settings.location.postgres() {
        return Ok(Some(super::postgres::examine(postgres).await?));
    }
    let _ = settings;
    Ok(None)
}

//! One of the two queues of a move.

use super::error::MoveError;
use super::progress::{Phase, Progress};
use crate::clock::Clock;
use crate::queue::moved::{MovedEvent, MovedKey, MovedRest, Sum};
use crate::queue::postgres::moving as database;
use crate::queue::sqlite::moving as file;

/// The most events, payload bytes and keys of one step.
const EVENTS: usize = 500;
const BYTES: usize = 4 << 20;
const KEYS: usize = 2_000;

/// One of the two queues.
pub(super) enum Side {
    File(file::Moving),
    Database(Box<database::Moving>),
}

impl Side {
    pub(super) fn rewind(&mut self) {
        match self {
            Self::File(file) => file.rewind(),
            Self::Database(database) => database.rewind(),
        }
    }

    pub(super) async fn events(&mut self) -> Result<Vec<MovedEvent>, MoveError> {
        Ok(match self {
            Self::File(file) => file.events(EVENTS, BYTES)?,
            Self::Database(database) => database.events(EVENTS).await?,
        })
    }

    pub(super) async fn keys(&mut self) -> Result<Vec<MovedKey>, MoveError> {
        Ok(match self {
            Self::File(file) => file.keys(KEYS)?,
            Self::Database(database) => database.keys(KEYS).await?,
        })
    }

    /// Reads everything.
    pub(super) async fn sum(
        &mut self,
        phase: Phase,
        total: Option<u64>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Sum, MovedRest), MoveError> {
        self.rewind();
        let mut sum = Sum::default();
        loop {
            let events = self.events().await?;
            if events.is_empty() {
                break;
            }
            for event in &events {
                sum.event(event);
            }
            progress(Progress {
                phase,
                events: sum.events,
                total,
            });
        }
        loop {
            let keys = self.keys().await?;
            if keys.is_empty() {
                break;
            }
            for key in &keys {
                sum.key(key);
            }
        }
        let rest = match self {
            Self::File(file) => file.rest()?,
            Self::Database(database) => database.rest().await?,
        };
        sum.rest(&rest);
        Ok((sum, rest))
    }

    pub(super) async fn write(&mut self, events: &[MovedEvent]) -> Result<(), MoveError> {
        match self {
            Self::File(file) => file.write(events)?,
            Self::Database(database) => {
                database.make_room(events).await?;
                database.write(events).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn write_keys(&mut self, keys: &[MovedKey]) -> Result<(), MoveError> {
        match self {
            Self::File(file) => file.write_keys(keys)?,
            Self::Database(database) => database.write_keys(keys).await?,
        }
        Ok(())
    }

    pub(super) async fn finish(
        &mut self,
        rest: &MovedRest,
        states: &[u64; 6],
    ) -> Result<(), MoveError> {
        match self {
            Self::File(file) => file.finish(rest, states, Clock::System.now())?,
            Self::Database(database) => database.finish(rest, states).await?,
        }
        Ok(())
    }
}

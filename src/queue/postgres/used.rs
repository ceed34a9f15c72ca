//! Used permits that the database does not know yet.

use std::time::Duration;

/// Those used within this fraction of the period are reported together.
const PARTS: u32 = 64;

/// Permits that were used at about the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    first: Duration,
    last: Duration,
    mails: u64,
}

/// Used permits, as reported in one request and repeated until it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    /// The request that contained it first: the database books a batch once.
    pub(super) number: u64,
    moments: Vec<Moment>,
}

impl Batch {
    /// How long ago, in milliseconds, how many permits were used.
    pub(super) fn ages(&self, now: Duration) -> (Vec<i64>, Vec<i64>) {
        let age = |moment: &Moment| {
            i64::try_from(now.saturating_sub(moment.last).as_millis()).unwrap_or(i64::MAX)
        };
        let mails = |moment: &Moment| i64::try_from(moment.mails).unwrap_or(i64::MAX);
        (
            self.moments.iter().map(age).collect(),
            self.moments.iter().map(mails).collect(),
        )
    }
}

/// Used permits that the database does not know yet.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// In no request yet.
    moments: Vec<Moment>,
    /// In a request without an answer.
    batch: Option<Batch>,
}

impl Used {
    pub(super) fn add(&mut self, now: Duration, period: Duration) {
        match self.moments.last_mut() {
            Some(moment) if now.saturating_sub(moment.first) <= period / PARTS => {
                moment.last = now;
                moment.mails += 1;
            }
            _ => self.moments.push(Moment {
                first: now,
                last: now,
                mails: 1,
            }),
        }
    }

    /// What the request with this number reports.
    pub(super) fn batch(&mut self, number: u64) -> Option<Batch> {
        if self.batch.is_none() && !self.moments.is_empty() {
            self.batch = Some(Batch {
                number,
                moments: std::mem::take(&mut self.moments),
            });
        }
        self.batch.clone()
    }

    /// The last batch is booked.
    pub(super) fn booked(&mut self) {
        self.batch = None;
    }

    /// How many are in no request yet.
    pub(super) fn waiting(&self) -> u64 {
        self.moments.iter().map(|moment| moment.mails).sum()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.moments.is_empty() && self.batch.is_none()
    }
}

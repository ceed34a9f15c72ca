//! The query of `GET /v1/deliveries`.

use crate::domain::{Recipient, State, Timestamp};
use crate::http::{Fault, Problem};
use crate::queue::Filter;

/// How many deliveries a page has when nothing is said.
const DEFAULT_LIMIT: u32 = 50;
/// How many it may have.
const MAX_LIMIT: u32 = 200;
/// The most characters of a cursor.
const MAX_CURSOR: usize = 500;

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) filter: Filter,
    pub(super) cursor: Option<String>,
    limit: Option<u32>,
}

impl Query {
    /// Reads `state=&to=&since=&cursor=&limit=`; empty values count as absent.
    ///
    /// # Errors
    /// 422 with every parameter that is wrong or unknown.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let mut query = Self::default();
        let mut faults = Vec::new();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            if let Err(detail) = query.set(&name, &value) {
                let name: String = name.chars().take(64).collect();
                faults.push(Fault {
                    pointer: format!("?{name}"),
                    detail: detail.to_owned(),
                });
            }
        }
        faults.truncate(20);
        if faults.is_empty() {
            Ok(query)
        } else {
            Err(Problem::invalid(faults))
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        if !matches!(name, "state" | "to" | "since" | "cursor" | "limit") {
            return Err("is not known; there are state, to, since, cursor and limit");
        }
        if value.is_empty() {
            return Ok(());
        }
        match name {
            "state" => {
                self.filter.state = Some(
                    State::from_name(value)
                        .ok_or("must be queued, sending, sent, dead, suppressed or cancelled")?,
                );
            }
            "to" => {
                self.filter.to =
                    Some(Recipient::parse(value).map_err(|_| "must be one mail address")?);
            }
            "since" => {
                self.filter.since = Some(
                    moment(value)
                        .ok_or("must be an RFC 3339 time with a zone, as 2026-01-01T00:00:00Z")?,
                );
            }
            "cursor" => {
                self.cursor = Some(value)
                    .filter(|cursor| cursor.len() <= MAX_CURSOR)
                    .map(str::to_owned)
                    .ok_or("is too long")
                    .map(Some)?;
            }
            _ => {
                self.limit = Some(
                    value
                        .parse()
                        .ok()
                        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
                        .ok_or("must be a number from 1 to 200")?,
                );
            }
        }
        Ok(())
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }
}

/// A `+` that was not percent-encoded arrives as a blank; a time has no other blank worth keeping.
fn moment(text: &str) -> Option<Timestamp> {
    text.parse()
        .or_else(|_| text.replace(' ', "+").parse())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_and_empty_values_do_not_count() {
        assert_eq!(
            Query::parse("state=&to=&since=&cursor=&limit=").unwrap(),
            Query::default()
        );
        let query = Query::parse(
            "state=dead&to=A%40x.org&since=2026-01-01T08:00:00+08:00&cursor=c&limit=200",
        )
        .unwrap();
        assert_eq!(query.filter.state, Some(State::Dead));
        assert_eq!(
            query.filter.to.map(String::from).as_deref(),
            Some("A@x.org")
        );
        assert_eq!(
            query.filter.since.map(Timestamp::as_millis),
            Some(1_767_225_600_000)
        );
        assert_eq!(
            (query.cursor.as_deref(), query.limit),
            (Some("c"), Some(200))
        );
        assert_eq!(Query::default().limit(), 50);
    }

    #[test]
    fn every_wrong_parameter_is_refused() {
        for text in [
            "state=lost",
            "to=nobody",
            "since=yesterday",
            "limit=0",
            "limit=201",
            "limit=-1",
            "limit=x",
            "stat=dead",
        ] {
            assert_eq!(
                Query::parse(text).unwrap_err().status().as_u16(),
                422,
                "{text}"
            );
        }
    }
}

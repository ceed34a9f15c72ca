//! The query of `GET /v1/deliveries`.

use crate::domain::{Recipient, State, Timestamp};
use crate::http::{Fault, Problem};
use crate::queue::Filter;

/// Default number of deliveries per page.
const DEFAULT_LIMIT: u32 = 50;
/// Maximum number of deliveries per page.
const MAX_LIMIT: u32 = 200;
/// Maximum length of a cursor, in characters.
const MAX_CURSOR: usize = 500;

/// The parsed query.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) filter: Filter,
    pub(super) cursor: Option<String>,
    limit: Option<u32>,
}

impl Query {
    /// Parses `state=&to=&since=&cursor=&limit=`; empty values count as absent.
    ///
    /// # Errors
    /// 422 with every invalid or unknown parameter.
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
            return Err("is unknown; expected state, to, since, cursor or limit");
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
                    Some(Recipient::parse(value).map_err(|_| "must be an email address")?);
            }
            "since" => {
                self.filter.since =
                    Some(moment(value).ok_or(
                        "must be an RFC 3339 time with a zone, such as 2026-01-01T00:00:00Z",
                    )?);
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

/// An unescaped `+` arrives as a space, which a time does not contain otherwise.
fn moment(text: &str) -> Option<Timestamp> {
    text.parse()
        .or_else(|_| text.replace(' ', "+").parse())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_is_parsed_and_empty_values_are_ignored() {
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
    fn invalid_parameters_are_rejected() {
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

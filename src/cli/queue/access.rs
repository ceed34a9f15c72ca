//! Access to the queue: through the daemon's HTTP API, or to the store's file if no daemon runs.
//! Both return the same JSON.

use serde_json::{Value, json};

use super::super::client::{Answer, Client, ClientError};
use super::super::destination::is_shared;
use super::ListOptions;
use super::access_error::AccessError;
use super::permission::permitted;
use super::show::text;
use crate::config::{Config, Message};
use crate::domain::{DeliveryId, EventId, Recipient, State, Timestamp};
use crate::queue::{Filter, Queue};

/// Number of characters of an ID shown on a terminal: the last ones, since the first ones encode
/// the time.
pub(super) const SHORT_ID: usize = 8;
/// Maximum number of pages to search for the end of an ID.
const MAX_PAGES: usize = 25;

/// The queue, reached by one of two ways.
pub(super) enum Access {
    /// Through the daemon.
    Daemon(Client),
    /// The store itself: a file locked by this process, or a database.
    Store { queue: Queue, config: Box<Config> },
}

impl Access {
    /// Uses the daemon if one answers at the configured address, otherwise opens the store.
    /// `changes` requests more than reading.
    pub(super) async fn open(
        client: Client,
        config: &Config,
        changes: bool,
    ) -> Result<Self, AccessError> {
        match client.get("/livez").await {
            Ok(_) => Ok(Self::Daemon(client)),
            Err(ClientError::Unreachable { .. }) => {
                if let Some(file) = config.queue.location.file() {
                    permitted(file)?;
                }
                let queue = if changes {
                    Queue::open_existing(&config.queue).await?
                } else {
                    Queue::open_to_read(&config.queue).await?
                };
                Ok(Self::Store {
                    queue,
                    config: Box::new(config.clone()),
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Closes the store.
    pub(super) async fn close(self) {
        if let Self::Store { queue, .. } = self {
            queue.close().await;
        }
    }

    /// A page of deliveries.
    pub(super) async fn list(&self, options: &ListOptions) -> Result<Value, AccessError> {
        match self {
            Self::Daemon(client) => {
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                query.append_pair("limit", &options.limit.to_string());
                for (name, value) in [
                    ("state", &options.state),
                    ("to", &options.to),
                    ("since", &options.since),
                    ("cursor", &options.cursor),
                ] {
                    if let Some(value) = value {
                        query.append_pair(name, value);
                    }
                }
                granted(
                    client
                        .get(&format!("/v1/deliveries?{}", query.finish()))
                        .await?,
                )
            }
            Self::Store { queue, .. } => {
                let page = queue
                    .list(
                        &filter(options)?,
                        options.cursor.as_deref(),
                        options.limit.clamp(1, 200),
                    )
                    .await?;
                Ok(json!({ "deliveries": page.deliveries, "next_cursor": page.next_cursor }))
            }
        }
    }

    /// The event with this ID, if there is one.
    pub(super) async fn event(&self, id: &str) -> Result<Option<Value>, AccessError> {
        match self {
            Self::Daemon(client) => {
                found(client.get(&format!("/v1/events/{}", escaped(id))).await?)
            }
            Self::Store { queue, .. } => match EventId::parse(id) {
                Ok(id) => Ok(queue
                    .find(&id)
                    .await?
                    .map(serde_json::to_value)
                    .transpose()?),
                Err(_) => Ok(None),
            },
        }
    }

    /// A delivery by its ID or by the end of it as shown in lists.
    pub(super) async fn delivery(&self, id: &str) -> Result<Option<Value>, AccessError> {
        let Ok(id) = id.parse::<DeliveryId>() else {
            return self.by_ending(id).await;
        };
        match self {
            Self::Daemon(client) => found(client.get(&format!("/v1/deliveries/{id}")).await?),
            Self::Store { queue, .. } => Ok(queue
                .find_delivery(id)
                .await?
                .map(serde_json::to_value)
                .transpose()?),
        }
    }

    /// Searches the newest deliveries.
    async fn by_ending(&self, ending: &str) -> Result<Option<Value>, AccessError> {
        if ending.len() < SHORT_ID
            || !ending
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        {
            return Ok(None);
        }
        let mut options = ListOptions {
            limit: 200,
            ..ListOptions::default()
        };
        let mut matching = Vec::new();
        for _ in 0..MAX_PAGES {
            let page = self.list(&options).await?;
            let deliveries = page
                .get("deliveries")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            matching.extend(
                deliveries.into_iter().filter(|delivery| {
                    text(delivery, "id").ends_with(&ending.to_ascii_lowercase())
                }),
            );
            options.cursor = page
                .get("next_cursor")
                .and_then(Value::as_str)
                .map(str::to_owned);
            if options.cursor.is_none() {
                break;
            }
        }
        if matching.len() > 1 {
            Err(AccessError::Ambiguous(ending.to_owned()))
        } else {
            Ok(matching.pop())
        }
    }

    /// An event or a delivery by its ID.
    pub(super) async fn show(&self, id: &str) -> Result<Value, AccessError> {
        if let Some(event) = self.event(id).await? {
            return Ok(event);
        }
        self.delivery(id)
            .await?
            .ok_or_else(|| AccessError::Unknown(id.to_owned()))
    }

    /// Counts by state.
    pub(super) async fn stats(&self) -> Result<Value, AccessError> {
        match self {
            Self::Daemon(client) => granted(client.get("/v1/stats").await?),
            // Nodes work on it meanwhile, and may have millions of rows.
            Self::Store { queue, config } if is_shared(config) => {
                let counts = queue.counts().await?;
                let balanced = counts.balanced();
                let mut stats = serde_json::to_value(counts)?;
                if let Value::Object(stats) = &mut stats {
                    stats.insert("balanced".to_owned(), balanced.into());
                }
                Ok(stats)
            }
            Self::Store { queue, .. } => {
                // No daemon runs, so counting the rows delays nothing.
                let check = queue.verify_counts().await?;
                let mut stats = serde_json::to_value(check.kept)?;
                if let Value::Object(stats) = &mut stats {
                    stats.insert("balanced".to_owned(), check.agrees().into());
                }
                Ok(stats)
            }
        }
    }
}

fn escaped(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

/// The record in an answer; `None` if it does not exist or the ID is invalid.
fn found(answer: Answer) -> Result<Option<Value>, AccessError> {
    if matches!(answer.status, 404 | 422) {
        Ok(None)
    } else {
        granted(answer).map(Some)
    }
}

pub(super) fn granted(answer: Answer) -> Result<Value, AccessError> {
    if answer.status == 200 {
        Ok(answer.body)
    } else {
        Err(AccessError::Refused(answer))
    }
}

fn filter(options: &ListOptions) -> Result<Filter, AccessError> {
    let invalid = |option, detail: Message| AccessError::Option { option, detail };
    let state = options.state.as_deref().map(|name| {
        let states = "queued, sending, sent, dead, suppressed, cancelled";
        let message = (
            format!("expected one of {states}"),
            format!("应为 {states} 之一"),
        );
        State::from_name(name).ok_or_else(|| invalid("--state", message.into()))
    });
    let to = options
        .to
        .as_deref()
        .map(|text| Recipient::parse(text).map_err(|error| invalid("--to", error.into())));
    let since = options.since.as_deref().map(|text| {
        let message = [
            "expected a time such as 2026-01-01T00:00:00Z",
            "应为时间，如 2026-01-01T00:00:00Z",
        ];
        text.parse::<Timestamp>()
            .map_err(|_| invalid("--since", message.into()))
    });
    let (state, to, since) = (state.transpose()?, to.transpose()?, since.transpose()?);
    Ok(Filter { state, to, since })
}

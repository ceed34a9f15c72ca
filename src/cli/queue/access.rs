//! Two ways to the queue: the daemon's HTTP interface, or the store's file when no daemon holds it. Both answer with the same JSON.

use serde_json::{Value, json};

use super::super::client::{Answer, Client, ClientError, explain};
use super::ListOptions;
use crate::config::Config;
use crate::domain::{Clock, DeliveryId, EventId, Locale, Recipient, State, Timestamp};
use crate::queue::{BackupError, DeliveryRecord, EventRecord, Filter, ListError, OpenError, Queue, StoreError, VerbError};

/// The queue, reached one way or the other.
pub(super) enum Access {
    /// Through the daemon.
    Daemon(Client),
    /// On the store itself, which this process holds meanwhile.
    Store { queue: Queue, expire_after: std::time::Duration },
}

/// Why a command on the queue did not work.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccessError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    List(#[from] ListError),
    #[error(transparent)]
    Verb(#[from] VerbError),
    #[error("{}", explain(.0, Locale::En))]
    Refused(Answer),
    #[error("{option}: {detail}")]
    Option { option: &'static str, detail: String },
    #[error("no event and no delivery has the id {0}")]
    Unknown(String),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl AccessError {
    /// The same for a person, in the operator's language.
    pub(super) fn said(&self, locale: Locale) -> String {
        match (self, locale) {
            (Self::Client(error), _) => error.said(locale),
            (Self::Refused(answer), _) => explain(answer, locale),
            (Self::Unknown(id), Locale::ZhCn) => format!("没有 ID 为 {id} 的事件或投递"),
            (error, _) => error.to_string(),
        }
    }
}

impl Access {
    /// Asks whether a daemon answers where the configuration says; opens the store otherwise.
    pub(super) async fn open(config: &Config) -> Result<Self, AccessError> {
        let client = Client::new(&config.server)?;
        match client.get("/livez").await {
            Ok(_) => Ok(Self::Daemon(client)),
            Err(ClientError::Unreachable { .. }) => {
                let queue = Queue::open_reader(&config.queue)?;
                Ok(Self::Store { queue, expire_after: config.routes.expire_after })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Lets the store go.
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
                for (name, value) in [("state", &options.state), ("to", &options.to), ("since", &options.since), ("cursor", &options.cursor)] {
                    if let Some(value) = value {
                        query.append_pair(name, value);
                    }
                }
                granted(client.get(&format!("/v1/deliveries?{}", query.finish())).await?)
            }
            Self::Store { queue, .. } => {
                let page = queue.list(&filter(options)?, options.cursor.as_deref(), options.limit.clamp(1, 200)).await?;
                Ok(json!({ "deliveries": page.deliveries, "next_cursor": page.next_cursor }))
            }
        }
    }

    /// An event or a delivery by its id.
    pub(super) async fn show(&self, id: &str) -> Result<Value, AccessError> {
        match self {
            Self::Daemon(client) => {
                let escaped: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>().replace('+', "%20");
                for path in [format!("/v1/events/{escaped}"), format!("/v1/deliveries/{escaped}")] {
                    let answer = client.get(&path).await?;
                    if answer.status != 404 && answer.status != 422 {
                        return granted(answer);
                    }
                }
                Err(AccessError::Unknown(id.to_owned()))
            }
            Self::Store { queue, .. } => {
                if let Ok(event_id) = EventId::parse(id)
                    && let Some(record) = queue.find(&event_id).await?
                {
                    return Ok(event_json(&record));
                }
                let Ok(delivery) = id.parse::<DeliveryId>() else { return Err(AccessError::Unknown(id.to_owned())) };
                let record: Option<DeliveryRecord> = queue.find_delivery(delivery).await?;
                Ok(serde_json::to_value(record.ok_or_else(|| AccessError::Unknown(id.to_owned()))?)?)
            }
        }
    }

    /// Retries or cancels a delivery.
    pub(super) async fn act(&self, id: &str, verb: &'static str) -> Result<Value, AccessError> {
        let delivery: DeliveryId = id.parse().map_err(|_| AccessError::Unknown(id.to_owned()))?;
        match self {
            Self::Daemon(client) => granted(client.post(&format!("/v1/deliveries/{delivery}/{verb}"), "application/json", Vec::new()).await?),
            Self::Store { queue, expire_after } => {
                let now = Clock::System.now();
                let record = match verb {
                    "cancel" => queue.cancel(delivery, now).await?,
                    _ => queue.retry(delivery, now.after(*expire_after), now).await?,
                };
                Ok(serde_json::to_value(record)?)
            }
        }
    }

    /// The numbers by state.
    pub(super) async fn stats(&self) -> Result<Value, AccessError> {
        match self {
            Self::Daemon(client) => granted(client.get("/v1/stats").await?),
            Self::Store { queue, .. } => {
                // Nobody waits meanwhile, so the rows themselves are counted.
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

fn granted(answer: Answer) -> Result<Value, AccessError> {
    if answer.status == 200 { Ok(answer.body) } else { Err(AccessError::Refused(answer)) }
}

fn event_json(record: &EventRecord) -> Value {
    let mut json = json!({
        "id": record.id,
        "event": record.event,
        "source": record.source,
        "received_at": record.received_at,
        "pictures": record.pictures,
        "deliveries": record.deliveries,
    });
    if let (None, Value::Object(json)) = (&record.event, &mut json) {
        json.insert("payload_removed".to_owned(), true.into());
    }
    json
}

fn filter(options: &ListOptions) -> Result<Filter, AccessError> {
    let wrong = |option, detail: &dyn std::fmt::Display| AccessError::Option { option, detail: detail.to_string() };
    let state = match &options.state {
        Some(name) => Some(State::from_name(name).ok_or_else(|| wrong("--state", &"write queued, sending, sent, dead, suppressed or cancelled"))?),
        None => None,
    };
    let to = options.to.as_deref().map(Recipient::parse).transpose().map_err(|error| wrong("--to", &error))?;
    let since = options.since.as_deref().map(str::parse::<Timestamp>).transpose();
    let since = since.map_err(|_| wrong("--since", &"write a time as 2026-01-01T00:00:00Z"))?;
    Ok(Filter { state, to, since })
}

//! Two ways to the queue: the daemon's HTTP interface, or the store's file when no daemon holds it.
//! Both answer with the same JSON.

use serde_json::{Value, json};

use super::super::client::{Answer, Client, ClientError, explain};
use super::ListOptions;
use super::list::SHORT_ID;
use super::permission::permitted;
use super::show::text;
use crate::config::Config;
use crate::domain::{
    Clock, DeliveryId, EventId, Locale, Recipient, State, SuppressReason, Timestamp,
};
use crate::queue::{BackupError, Filter, ListError, OpenError, OperatorError, Queue, StoreError};

/// How many pages of a list are searched for the end of an id.
const MAX_PAGES: usize = 25;

/// The queue, reached one way or the other.
pub(super) enum Access {
    /// Through the daemon.
    Daemon(Client),
    /// On the store itself, which this process holds meanwhile.
    Store { queue: Queue, config: Box<Config> },
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
    Verb(#[from] OperatorError),
    #[error("{}", explain(.0, Locale::En))]
    Refused(Answer),
    #[error(
        "email.allowed_recipients no longer covers the recipient; the delivery was suppressed (not_allowed)"
    )]
    NotAllowed,
    #[error("{option}: {detail}")]
    Option {
        option: &'static str,
        detail: String,
    },
    #[error("no event and no delivery has the id {0}")]
    Unknown(String),
    #[error("{0} ends the ids of several deliveries; write more of it")]
    Ambiguous(String),
    #[error("{id} is an event, and none of its deliveries can be {verb}: {states}")]
    NoneFits {
        id: String,
        verb: &'static str,
        states: String,
    },
    #[error(
        "permission denied: {path}; run this as the user of the daemon: sudo -u {user} jobbell …"
    )]
    Denied { path: String, user: String },
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl AccessError {
    /// The same for a person, in the operator's language.
    pub(super) fn said(&self, locale: Locale) -> String {
        match (self, locale) {
            (Self::Client(error), _) => error.said(locale),
            (Self::Refused(answer), _) => explain(answer, locale),
            (Self::NotAllowed, Locale::ZhCn) => "email.allowed_recipients 已不再包含该收件人；该投递已停止（suppressed，not_allowed）".to_owned(),
            (Self::Verb(OperatorError::TooSoon { wait }), Locale::ZhCn) => {
                format!("该投递在一分钟内已手动重试过；请在 {} 秒后再试", wait.as_secs().max(1))
            }
            (Self::Verb(OperatorError::PayloadRemoved), Locale::ZhCn) => {
                "该事件的内容已不再保存：验证码和链接在邮件结束后即删除，其他内容在 queue.payload_retention 之后删除".to_owned()
            }
            (Self::Unknown(id), Locale::ZhCn) => format!("没有 ID 为 {id} 的事件或投递"),
            (Self::Ambiguous(id), Locale::ZhCn) => format!("有多个投递的 ID 以 {id} 结尾；请多写几位"),
            (Self::NoneFits { id, states, .. }, Locale::ZhCn) => format!("{id} 是事件，其投递均不适用此操作：{states}"),
            (Self::Denied { path, user }, Locale::ZhCn) => format!("没有权限访问 {path}；请以守护进程的用户运行：sudo -u {user} jobbell …"),
            (error, _) => error.to_string(),
        }
    }
}

impl Access {
    /// Asks whether a daemon answers where the options or the configuration say; opens the store
    /// otherwise. `changes` says that more than reading is wanted.
    pub(super) async fn open(
        client: Client,
        config: &Config,
        changes: bool,
    ) -> Result<Self, AccessError> {
        match client.get("/livez").await {
            Ok(_) => Ok(Self::Daemon(client)),
            Err(ClientError::Unreachable { .. }) => {
                permitted(&config.queue.path)?;
                let queue = if changes {
                    Queue::open_reader(&config.queue)?
                } else {
                    Queue::open_to_read(&config.queue)?
                };
                Ok(Self::Store {
                    queue,
                    config: Box::new(config.clone()),
                })
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

    /// An event by its id, if it is on record.
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

    /// A delivery by its id, or by the end of it that a list shows.
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

    /// Looks through the newest deliveries.
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

    /// An event or a delivery by its id.
    pub(super) async fn show(&self, id: &str) -> Result<Value, AccessError> {
        if let Some(event) = self.event(id).await? {
            return Ok(event);
        }
        self.delivery(id)
            .await?
            .ok_or_else(|| AccessError::Unknown(id.to_owned()))
    }

    /// Retries or cancels a delivery, or of an event each delivery that allows it.
    pub(super) async fn act(
        &self,
        id: &str,
        verb: &'static str,
    ) -> Result<Vec<Value>, AccessError> {
        if let Some(delivery) = self.delivery(id).await? {
            return Ok(vec![self.act_on(text(&delivery, "id"), verb).await?]);
        }
        let event = self
            .event(id)
            .await?
            .ok_or_else(|| AccessError::Unknown(id.to_owned()))?;
        let deliveries = event
            .get("deliveries")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let (allowed, done): (&[&str], _) = if verb == "cancel" {
            (&["queued"], "cancelled")
        } else {
            (&["queued", "dead", "cancelled"], "retried")
        };
        let mut changed = Vec::new();
        for delivery in deliveries
            .iter()
            .filter(|delivery| allowed.contains(&text(delivery, "state")))
        {
            changed.push(self.act_on(text(delivery, "id"), verb).await?);
        }
        if changed.is_empty() {
            let states = deliveries
                .iter()
                .map(|delivery| format!("{} {}", text(delivery, "id"), text(delivery, "state")))
                .collect::<Vec<_>>()
                .join(", ");
            return Err(AccessError::NoneFits {
                id: id.to_owned(),
                verb: done,
                states,
            });
        }
        Ok(changed)
    }

    async fn act_on(&self, id: &str, verb: &'static str) -> Result<Value, AccessError> {
        let delivery: DeliveryId = id
            .parse()
            .map_err(|_| AccessError::Unknown(id.to_owned()))?;
        match self {
            Self::Daemon(client) => granted(
                client
                    .post(
                        &format!("/v1/deliveries/{delivery}/{verb}"),
                        "application/json",
                        Vec::new(),
                    )
                    .await?,
            ),
            Self::Store { queue, config } => {
                let now = Clock::System.now();
                if verb == "cancel" {
                    return Ok(serde_json::to_value(queue.cancel(delivery, now).await?)?);
                }
                let record = queue
                    .find_delivery(delivery)
                    .await?
                    .ok_or(OperatorError::NotFound)?;
                if !config.routes.allows(&record.to) {
                    queue
                        .suppress(delivery, SuppressReason::NotAllowed, now)
                        .await?;
                    return Err(AccessError::NotAllowed);
                }
                Ok(serde_json::to_value(
                    queue
                        .retry(delivery, now.after(config.routes.expire_after), now)
                        .await?,
                )?)
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

fn escaped(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

/// The record of an answer; none where there is no such thing, or the id cannot be one.
fn found(answer: Answer) -> Result<Option<Value>, AccessError> {
    if matches!(answer.status, 404 | 422) {
        Ok(None)
    } else {
        granted(answer).map(Some)
    }
}

fn granted(answer: Answer) -> Result<Value, AccessError> {
    if answer.status == 200 {
        Ok(answer.body)
    } else {
        Err(AccessError::Refused(answer))
    }
}

fn filter(options: &ListOptions) -> Result<Filter, AccessError> {
    let wrong = |option, detail: &dyn std::fmt::Display| AccessError::Option {
        option,
        detail: detail.to_string(),
    };
    let state = match &options.state {
        Some(name) => Some(State::from_name(name).ok_or_else(|| {
            wrong(
                "--state",
                &"write queued, sending, sent, dead, suppressed or cancelled",
            )
        })?),
        None => None,
    };
    let to = options
        .to
        .as_deref()
        .map(Recipient::parse)
        .transpose()
        .map_err(|error| wrong("--to", &error))?;
    let since = options
        .since
        .as_deref()
        .map(str::parse::<Timestamp>)
        .transpose();
    let since = since.map_err(|_| wrong("--since", &"write a time as 2026-01-01T00:00:00Z"))?;
    Ok(Filter { state, to, since })
}

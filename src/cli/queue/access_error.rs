//! Errors of the commands on the queue.

use super::super::client::{Answer, ClientError, explain};
use crate::config::Message;
use crate::domain::Locale;
use crate::queue::OpenError;
use crate::queue::sqlite::{self, BackupError};
use crate::queue::{ListError, OperatorError, StoreError};

/// Why a command on the queue failed.
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
        detail: Message,
    },
    #[error("no event or delivery has the ID {0}")]
    Unknown(String),
    #[error("{0} matches several deliveries; give more characters")]
    Ambiguous(String),
    #[error("{id} is an event, and none of its deliveries can be {verb}: {states}")]
    NoneFits {
        id: String,
        verb: &'static str,
        states: String,
    },
    #[error("permission denied: {path}; run as the daemon's user: sudo -u {user} jobbell …")]
    Denied { path: String, user: String },
    #[error("the queue is in PostgreSQL, not in a file; use {instead} (docs/scaling.md)")]
    NoFile { instead: &'static str },
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl AccessError {
    /// Whether only this delivery does not allow the verb, in its present state.
    pub(super) fn is_about_the_delivery(&self) -> bool {
        match self {
            Self::Refused(answer) => matches!(answer.status, 404 | 409 | 422 | 429),
            Self::Verb(error) => !matches!(error, OperatorError::Store(_)),
            Self::NotAllowed => true,
            _ => false,
        }
    }

    /// Whether the configuration or the database server must be changed first.
    pub(super) fn is_configuration(&self) -> bool {
        matches!(self, Self::Open(error) if error.is_configuration())
    }

    /// The message in the operator's language.
    pub(super) fn said(&self, locale: Locale) -> String {
        match (self, locale) {
            (Self::Client(error), _) => error.said(locale),
            (Self::Refused(answer), _) => explain(answer, locale),
            (Self::NotAllowed, Locale::ZhCn) => "email.allowed_recipients 已不再包含该收件人；该投递已停止（suppressed，not_allowed）".to_owned(),
            (Self::Verb(OperatorError::TooSoon { wait }), Locale::ZhCn) => {
                format!("该投递在一分钟内已手动重试过；请在 {} 秒后再试", wait.as_secs().max(1))
            }
            (Self::Verb(OperatorError::PayloadRemoved), Locale::ZhCn) => {
                "该事件的内容已删除：验证码和链接在邮件结束后立即删除，其他内容在 queue.payload_retention 到期后删除".to_owned()
            }
            (Self::Verb(OperatorError::NotFound), Locale::ZhCn) => "没有这个投递".to_owned(),
            (Self::Verb(OperatorError::Conflict { state }), Locale::ZhCn) => {
                format!("操作被拒绝：该投递的状态为 {state}")
            }
            (Self::Verb(OperatorError::Expired), Locale::ZhCn) => "该邮件的发送期限已过".to_owned(),
            (Self::Option { option, detail }, _) => format!("{option}: {}", detail.text(locale)),
            (
                Self::Open(OpenError::Sqlite(error)) | Self::Backup(BackupError::Open(error)),
                Locale::ZhCn,
            ) => {
                chinese_open_error(error).unwrap_or_else(|| error.to_string())
            }
            (Self::Unknown(id), Locale::ZhCn) => format!("没有 ID 为 {id} 的事件或投递"),
            (Self::Ambiguous(id), Locale::ZhCn) => format!("有多个投递的 ID 以 {id} 结尾；请多写几位"),
            (Self::NoneFits { id, states, .. }, Locale::ZhCn) => format!("{id} 是事件，其投递均不适用此操作：{states}"),
            (Self::Denied { path, user }, Locale::ZhCn) => format!("没有权限访问 {path}；请以守护进程的用户运行：sudo -u {user} jobbell …"),
            (Self::NoFile { instead }, Locale::ZhCn) => format!("该队列在 PostgreSQL 中，不是文件；请改用 {instead}（见 docs/scaling.md）"),
            (error, _) => error.to_string(),
        }
    }
}

/// The errors of opening a queue that operators meet most.
fn chinese_open_error(error: &sqlite::OpenError) -> Option<String> {
    Some(match error {
        sqlite::OpenError::Locked { path } => format!(
            "另一个 jobbell 正在使用该队列（持有锁 {}）；请先停止它，或另设 queue.state_dir 和 queue.url",
            path.display()
        ),
        sqlite::OpenError::MissingParent { path } => format!(
            "无法创建 {}：上级目录不存在；请先创建，或更改 queue.state_dir",
            path.display()
        ),
        sqlite::OpenError::NotADirectory { path } => format!(
            "{} 不是目录；请将其移走，或更改 queue.state_dir",
            path.display()
        ),
        sqlite::OpenError::NotWritable { path, source } => format!(
            "无法写入 {}（{source}）；请让运行 jobbell 的用户可写，或更改 queue.state_dir",
            path.display()
        ),
        sqlite::OpenError::NoQueue { path } => format!(
            "{} 处没有队列；请先启动一次守护进程，或检查 queue.url 和 queue.state_dir",
            path.display()
        ),
        sqlite::OpenError::Newer { path, found, known } => format!(
            "数据库 {} 的结构版本为 {found}，此版本只支持到 {known}；请安装更新的 jobbell，或更改 queue.url",
            path.display()
        ),
        _ => return None,
    })
}

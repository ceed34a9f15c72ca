//! Texts about nodes in both languages.

use std::time::Duration;

use super::super::i18n::{Words, tr};
use crate::domain::Locale;
use crate::queue::NodeRecord;

impl Words {
    /// The answer to `nodes drain`.
    pub(super) fn draining(&self, node: &NodeRecord) -> String {
        let NodeRecord {
            name, in_flight, ..
        } = node;
        match self.locale {
            Locale::En => format!(
                "{name} is draining; in flight: {in_flight}. Stop it when `jobbell nodes` shows 0"
            ),
            Locale::ZhCn => {
                format!(
                    "{name} 正在排空；处理中：{in_flight}。`jobbell nodes` 显示 0 后即可停止该节点"
                )
            }
        }
    }

    /// The answer to `nodes resume`.
    pub(super) fn resumed(&self, node: &NodeRecord) -> String {
        match self.locale {
            Locale::En => format!("{} accepts events again", node.name),
            Locale::ZhCn => format!("{} 已恢复接收事件", node.name),
        }
    }

    /// The node cannot have heard it.
    pub(super) fn silent(&self, node: &NodeRecord) -> String {
        let (name, seconds) = (&node.name, node.silent.as_secs());
        match self.locale {
            Locale::En => format!(
                "{name} has sent no heartbeat for {seconds} s; it follows when it reaches the database again, unless its mails have been taken over by then"
            ),
            Locale::ZhCn => format!(
                "{name} 已 {seconds} 秒没有心跳；待其重新连上数据库后才会生效，若届时其邮件已被其他节点接管则不再生效"
            ),
        }
    }

    /// A time before now, in its largest unit.
    pub(super) fn ago(&self, span: Duration) -> String {
        let seconds = span.as_secs();
        let (number, unit, chinese) = match seconds {
            0..60 => (seconds, "s", "秒"),
            60..3_600 => (seconds / 60, "m", "分钟"),
            3_600..86_400 => (seconds / 3_600, "h", "小时"),
            _ => (seconds / 86_400, "d", "天"),
        };
        match self.locale {
            Locale::En => format!("{number}{unit} ago"),
            Locale::ZhCn => format!("{number} {chinese}前"),
        }
    }

    pub(super) const fn yes_or_no(&self, yes: bool) -> &'static str {
        if yes {
            tr(self.locale, "yes", "是")
        } else {
            tr(self.locale, "no", "否")
        }
    }
}

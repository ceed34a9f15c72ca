//! Texts of the command line in both languages.

use crate::domain::Locale;

/// The texts of one language. `{}` placeholders are filled in with `replace`.
pub(super) struct Words {
    pub(super) locale: Locale,
    pub(super) accepted: &'static str,
    pub(super) duplicate: &'static str,
    pub(super) warning: &'static str,
    pub(super) queue_empty: &'static str,
    pub(super) more: &'static str,
    pub(super) columns: [&'static str; 6],
    pub(super) age: &'static str,
    pub(super) event: &'static str,
    pub(super) payload_removed: &'static str,
    pub(super) picture: &'static str,
    pub(super) delivery: &'static str,
    pub(super) attempt: &'static str,
    pub(super) next_attempt: &'static str,
    pub(super) retried: &'static str,
    pub(super) cancelled: &'static str,
    pub(super) accepted_in_all: &'static str,
    pub(super) adds_up: &'static str,
    pub(super) does_not_add_up: &'static str,
    pub(super) sound: &'static str,
    pub(super) not_sound: &'static str,
    pub(super) backed_up: &'static str,
    pub(super) checking: &'static str,
    pub(super) backing_up: &'static str,
    pub(super) demo_ready: &'static str,
    pub(super) demo_post: &'static str,
    pub(super) demo_stop: &'static str,
    pub(super) no_nodes: &'static str,
    pub(super) node_columns: [&'static str; 6],
    pub(super) none_accepts: &'static str,
}

const EN: Words = Words {
    locale: Locale::En,
    accepted: "accepted",
    duplicate: "already known",
    warning: "note",
    queue_empty: "no deliveries",
    more: "next page: --cursor",
    columns: ["delivery", "event", "to", "state", "created", "subject"],
    age: "age",
    event: "event",
    payload_removed: "(content removed)",
    picture: "picture",
    delivery: "delivery",
    attempt: "attempt",
    next_attempt: "next attempt",
    retried: "queued again",
    cancelled: "cancelled",
    accepted_in_all: "total",
    adds_up: "consistent",
    does_not_add_up: "INCONSISTENT: run `jobbell queue stats` again; if this persists, keep a copy of the database and report it",
    sound: "queue OK",
    not_sound: "the queue is DAMAGED: stop the daemon, keep a copy of its files, and restore the latest backup that passes `jobbell queue check BACKUP`",
    backed_up: "backed up and verified:",
    checking: "checking",
    backing_up: "copying and checking",
    demo_ready: "Jobbell's demo is running. Open the inbox: ",
    demo_post: "Post your own event:",
    demo_stop: "Press Ctrl-C to stop; nothing is left behind.",
    no_nodes: "no node is running",
    node_columns: [
        "id",
        "name",
        "version",
        "last sign",
        "in flight",
        "draining",
    ],
    none_accepts: "no node accepts events any more: resume one, or start another",
};

const ZH: Words = Words {
    locale: Locale::ZhCn,
    accepted: "已接收",
    duplicate: "此前已接收",
    warning: "提示",
    queue_empty: "没有投递记录",
    more: "下一页：--cursor",
    columns: ["投递", "事件", "收件人", "状态", "创建时间", "主题"],
    age: "时长",
    event: "事件",
    payload_removed: "（内容已清除）",
    picture: "图片",
    delivery: "投递",
    attempt: "尝试",
    next_attempt: "下次尝试",
    retried: "已重新排队",
    cancelled: "已取消",
    accepted_in_all: "合计",
    adds_up: "计数一致",
    does_not_add_up: "计数不一致：请再运行一次 `jobbell queue stats`；若仍不一致，请保留数据库副本并报告",
    sound: "队列正常",
    not_sound: "队列已损坏：请停止守护进程，保留其文件副本，并恢复最近一份经 `jobbell queue check 备份文件` 确认正常的备份",
    backed_up: "已备份并校验：",
    checking: "检查",
    backing_up: "备份并校验",
    demo_ready: "Jobbell 演示已启动，请打开收件箱：",
    demo_post: "提交一个事件试试：",
    demo_stop: "按 Ctrl-C 结束，不留任何文件。",
    no_nodes: "没有节点在运行",
    node_columns: ["ID", "名称", "版本", "最近心跳", "处理中", "排空"],
    none_accepts: "已没有节点接收事件：请恢复其中一个，或另启动一个",
};

impl Words {
    /// The note that a mail server is paused because it refused the login or the settings.
    pub(super) fn paused(&self, server: &str, until: &str) -> String {
        match self.locale {
            Locale::En => {
                format!(
                    "mail server \"{server}\" is paused until {until}, because it refused the login or the settings; fix them, then reload the daemon"
                )
            }
            Locale::ZhCn => format!(
                "邮件服务器“{server}”拒绝了登录或设置，暂停至 {until}；请修正配置后让守护进程重新加载"
            ),
        }
    }

    /// The texts of a language.
    pub(super) fn of(locale: Locale) -> &'static Self {
        match locale {
            Locale::En => &EN,
            Locale::ZhCn => &ZH,
        }
    }
}

/// Picks the text in the given language.
pub(super) const fn tr<'a>(locale: Locale, en: &'a str, zh: &'a str) -> &'a str {
    match locale {
        Locale::En => en,
        Locale::ZhCn => zh,
    }
}

/// The terminal's language: from the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is set;
/// English unless it is Chinese.
pub(super) fn terminal_locale() -> Locale {
    spoken_locale(|name| std::env::var(name).ok())
}

/// The terminal's encoding, if its locale names one (`zh_CN.GBK`).
pub(super) fn terminal_encoding() -> Option<&'static encoding_rs::Encoding> {
    let name = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
    crate::encoding::of_locale(&name)
}

fn spoken_locale(variable: impl Fn(&str) -> Option<String>) -> Locale {
    let name = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()));
    // Country, encoding and variant do not matter: one Chinese text serves them all.
    let language = name
        .as_deref()
        .unwrap_or_default()
        .split(['_', '.', '@', '-'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    if language == "zh" {
        Locale::ZhCn
    } else {
        Locale::En
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_locale_variable_that_is_set_picks_the_language() {
        let spoken = |set: &[(&str, &str)]| {
            spoken_locale(|name| {
                set.iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned())
            })
        };
        for chinese in ["zh_CN.UTF-8", "zh_TW", "zh", "zh_CN.GBK", "zh_HK@radical"] {
            assert_eq!(spoken(&[("LANG", chinese)]), Locale::ZhCn, "{chinese}");
        }
        for english in [
            "C",
            "POSIX",
            "C.UTF-8",
            "en_US.UTF-8",
            "de_DE.UTF-8",
            "zha_CN",
            "",
        ] {
            assert_eq!(spoken(&[("LANG", english)]), Locale::En, "{english}");
        }
        assert_eq!(spoken(&[]), Locale::En);
        assert_eq!(
            spoken(&[("LC_ALL", "en_US"), ("LANG", "zh_CN")]),
            Locale::En
        );
        assert_eq!(
            spoken(&[("LC_ALL", ""), ("LC_MESSAGES", "zh_CN"), ("LANG", "en_US")]),
            Locale::ZhCn
        );
    }
}

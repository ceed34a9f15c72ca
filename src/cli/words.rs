//! What the command line says, in both languages.

use crate::config::{BUILT_IN, Loaded};
use crate::domain::Locale;

/// Sentences of the command line in one language. A blank is filled with `replace` where a sentence has one.
pub(super) struct Words {
    pub(super) locale: Locale,
    pub(super) accepted: &'static str,
    pub(super) duplicate: &'static str,
    pub(super) warning: &'static str,
    pub(super) queue_empty: &'static str,
    pub(super) more: &'static str,
    pub(super) columns: [&'static str; 6],
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
    pub(super) demo_ready: &'static str,
    pub(super) demo_post: &'static str,
    pub(super) demo_stop: &'static str,
}

const EN: Words = Words {
    locale: Locale::En,
    accepted: "accepted",
    duplicate: "already known",
    warning: "note",
    queue_empty: "no deliveries",
    more: "more with --cursor",
    columns: ["delivery", "event", "to", "state", "attempts", "created"],
    event: "event",
    payload_removed: "(content removed)",
    picture: "picture",
    delivery: "delivery",
    attempt: "attempt",
    next_attempt: "next attempt",
    retried: "queued again",
    cancelled: "cancelled",
    accepted_in_all: "accepted in all",
    adds_up: "the states add up",
    does_not_add_up: "the states do NOT add up: run `jobbell queue stats` again; if it stays, keep a copy of the database and report it",
    sound: "the queue is sound",
    not_sound: "the queue is NOT sound: stop the daemon, keep a copy of its files, and restore the last backup that `jobbell queue check BACKUP` finds sound",
    backed_up: "copied and checked:",
    demo_ready: "Jobbell's demo is running. Look at the mails: ",
    demo_post: "Post an event of your own:",
    demo_stop: "Ctrl-C ends it; nothing is left behind.",
};

const ZH: Words = Words {
    locale: Locale::ZhCn,
    accepted: "已接收",
    duplicate: "此前已接收",
    warning: "提示",
    queue_empty: "没有投递记录",
    more: "更多请加 --cursor",
    columns: ["投递", "事件", "收件人", "状态", "次数", "创建时间"],
    event: "事件",
    payload_removed: "（内容已清除）",
    picture: "图片",
    delivery: "投递",
    attempt: "尝试",
    next_attempt: "下次尝试",
    retried: "已重新排队",
    cancelled: "已取消",
    accepted_in_all: "共接收",
    adds_up: "各状态数目相符",
    does_not_add_up: "各状态数目不符：请再运行一次 `jobbell queue stats`；若仍不符，请保留数据库副本并报告",
    sound: "队列完好",
    not_sound: "队列已损坏：请停止守护进程，保留其文件副本，并恢复最近一份经 `jobbell queue check 备份文件` 确认完好的备份",
    backed_up: "已复制并校验：",
    demo_ready: "Jobbell 演示已启动，请查看邮件：",
    demo_post: "试着投递一个事件：",
    demo_stop: "按 Ctrl-C 结束，不留任何文件。",
};

impl Words {
    /// The sentences of a language.
    pub(super) fn of(locale: Locale) -> &'static Self {
        match locale {
            Locale::En => &EN,
            Locale::ZhCn => &ZH,
        }
    }
}

/// The one of two wordings that is in this language.
pub(super) const fn say<'a>(locale: Locale, en: &'a str, zh: &'a str) -> &'a str {
    match locale {
        Locale::En => en,
        Locale::ZhCn => zh,
    }
}

/// The language of a terminal: `LC_ALL`, `LC_MESSAGES` or `LANG`; English when none says Chinese.
pub(super) fn terminal_locale() -> Locale {
    spoken_locale().unwrap_or(Locale::En)
}

/// The same; `None` when nothing is said, or `C`.
fn spoken_locale() -> Option<Locale> {
    ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?.parse().ok()
}

/// The operator's language: what `email.locale` was set to, else the terminal's, else the default of `email.locale`.
pub(super) fn operator_locale(loaded: &Loaded) -> Locale {
    let by_hand = loaded.shown.iter().any(|shown| shown.key == "email.locale" && shown.origin != BUILT_IN);
    let spoken = if by_hand { None } else { spoken_locale() };
    spoken.unwrap_or(loaded.config.render.locale)
}

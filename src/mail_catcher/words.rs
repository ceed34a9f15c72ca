//! Texts of the inbox page in two languages.

/// The texts in one language.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) lang: &'static str,
    pub(super) title: &'static str,
    pub(super) intro: &'static str,
    pub(super) empty: &'static str,
    pub(super) empty_hint: &'static str,
    pub(super) refreshes: &'static str,
    pub(super) new: &'static str,
    pub(super) no_subject: &'static str,
    pub(super) back: &'static str,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) envelope: &'static str,
    pub(super) size: &'static str,
    pub(super) view: &'static str,
    pub(super) html: &'static str,
    pub(super) phone: &'static str,
    pub(super) text: &'static str,
    pub(super) source: &'static str,
    pub(super) headers: &'static str,
    pub(super) check: &'static str,
    pub(super) alone: &'static str,
    pub(super) shown_as: &'static str,
    pub(super) auto: &'static str,
    pub(super) light: &'static str,
    pub(super) dark: &'static str,
    pub(super) no_pictures: &'static str,
    pub(super) attachments: &'static str,
    pub(super) received: &'static str,
    pub(super) no_findings: &'static str,
    pub(super) error: &'static str,
    pub(super) warning: &'static str,
    pub(super) search: &'static str,
    pub(super) no_match: &'static str,
    pub(super) clear: &'static str,
    pub(super) sample: &'static str,
    pub(super) post_own: &'static str,
    pub(super) copy: &'static str,
    pub(super) copied: &'static str,
    pub(super) missing_part: &'static str,
    pub(super) cut: &'static str,
    pub(super) gone: &'static str,
    pub(super) gone_hint: &'static str,
    now: &'static str,
    seconds: &'static str,
    minutes: &'static str,
    hours: &'static str,
    days: &'static str,
}

const EN: Words = Words {
    lang: "en",
    title: "Inbox",
    intro: "Every email sent to this server, newest first. Nothing leaves this machine.",
    empty: "No email yet",
    empty_hint: "Post an event, and its email appears here.",
    refreshes: "Auto-refresh",
    new: "unread",
    no_subject: "(no subject)",
    back: "All emails",
    from: "From",
    to: "To",
    envelope: "Envelope",
    size: "Size",
    view: "View",
    html: "HTML",
    phone: "Phone",
    text: "Text",
    source: "Source",
    headers: "Headers",
    check: "Check",
    alone: "Open in new tab",
    shown_as: "Shown as",
    auto: "Auto",
    light: "Light",
    dark: "Dark",
    no_pictures: "No images",
    attachments: "Attachments",
    received: "Received",
    no_findings: "No findings.",
    error: "Error",
    warning: "Warning",
    search: "Search subject, addresses and text",
    no_match: "No matches",
    clear: "Clear",
    sample: "Send a sample:",
    post_own: "Post your own event",
    copy: "Copy",
    copied: "Copied",
    missing_part: "This email does not have this part.",
    cut: "Truncated; open the part to see all of it.",
    gone: "Message not found",
    gone_hint: "Only the newest emails are kept.",
    now: "just now",
    seconds: " s ago",
    minutes: " min ago",
    hours: " h ago",
    days: " d ago",
};

const ZH: Words = Words {
    lang: "zh-CN",
    title: "收件箱",
    intro: "发到这里的每一封邮件，最新的在前。邮件不会离开本机。",
    empty: "还没有邮件",
    empty_hint: "发送一个事件，邮件会自动出现在这里。",
    refreshes: "自动刷新",
    new: "未读",
    no_subject: "（无主题）",
    back: "全部邮件",
    from: "发件人",
    to: "收件人",
    envelope: "信封",
    size: "大小",
    view: "视图",
    html: "HTML",
    phone: "手机",
    text: "文本",
    source: "源码",
    headers: "邮件头",
    check: "检查",
    alone: "在新标签页打开",
    shown_as: "显示方式",
    auto: "自动",
    light: "浅色",
    dark: "深色",
    no_pictures: "不显示图片",
    attachments: "附件",
    received: "收到时间",
    no_findings: "检查未发现问题。",
    error: "错误",
    warning: "警告",
    search: "搜索主题、地址和正文",
    no_match: "没有匹配的邮件",
    clear: "清空",
    sample: "发送样例：",
    post_own: "发送自己的事件",
    copy: "复制",
    copied: "已复制",
    missing_part: "这封邮件没有这一部分。",
    cut: "仅显示开头部分。",
    gone: "找不到这封邮件",
    gone_hint: "只保留最新的邮件。",
    now: "刚刚",
    seconds: " 秒前",
    minutes: " 分钟前",
    hours: " 小时前",
    days: " 天前",
};

impl Words {
    /// The first supported language in `Accept-Language` (RFC 9110 section 12.5.4);
    /// English by default.
    pub(super) fn choose(accept_language: &str) -> &'static Self {
        let primary = |tag: &str| tag.trim().get(..2).map(str::to_ascii_lowercase);
        let first = accept_language
            .split(',')
            .find_map(|tag| match primary(tag).as_deref() {
                Some("zh") => Some(&ZH),
                Some("en") => Some(&EN),
                _ => None,
            });
        first.unwrap_or(&EN)
    }

    /// The text in this language.
    pub(super) fn pick(&self, (en, zh): &(&'static str, &'static str)) -> &'static str {
        if self.lang == EN.lang { en } else { zh }
    }

    /// The age of a time, in its largest whole unit.
    pub(super) fn ago(&self, millis: i64) -> String {
        let seconds = millis.max(0) / 1000;
        let (count, unit) = match seconds {
            0..5 => return self.now.to_owned(),
            5..60 => (seconds, self.seconds),
            60..3600 => (seconds / 60, self.minutes),
            3600..86_400 => (seconds / 3600, self.hours),
            _ => (seconds / 86_400, self.days),
        };
        format!("{count}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_supported_language_of_the_browser_is_used() {
        assert_eq!(Words::choose("fr, zh-CN;q=0.9, en;q=0.8"), &ZH);
        assert_eq!(Words::choose("en-GB,zh"), &EN);
        assert_eq!(Words::choose("图"), &EN);
        assert_eq!(Words::choose(""), &EN);
    }

    #[test]
    fn age_uses_its_largest_whole_unit() {
        let told: Vec<_> = [-5, 4_999, 59_000, 61_000, 7_200_000, 200_000_000]
            .map(|millis| EN.ago(millis))
            .into();
        assert_eq!(
            told,
            [
                "just now",
                "just now",
                "59 s ago",
                "1 min ago",
                "2 h ago",
                "2 d ago"
            ]
        );
    }
}

//! The words of messages, one table per language; what they share with job mails stands in `locale`.

use std::time::Duration;

use super::locale::fill;
use crate::domain::Locale;

/// Every phrase of a message. One with `{}` has it exactly once.
#[derive(Debug)]
pub(super) struct Phrases {
    /// Subject of a code, beginning with the code for the previews of phones: before, between and after code and application.
    pub(super) code_subject: [&'static str; 3],
    /// The same for a code that resets a password.
    pub(super) reset_code_subject: [&'static str; 3],
    /// Subject of a link that resets a password.
    pub(super) reset_subject: &'static str,
    /// Subject of a link that proves an address.
    pub(super) verify_subject: &'static str,
    /// Headline of a code.
    pub(super) code: &'static str,
    /// Headline of a reset.
    pub(super) reset: &'static str,
    /// Headline of a link that proves an address.
    pub(super) verify: &'static str,
    /// Over the title of a notice.
    pub(super) notice: &'static str,
    /// To the reader by name.
    pub(super) greeting: &'static str,
    /// What to do with a code.
    pub(super) code_lead: &'static str,
    /// Why there is a reset.
    pub(super) reset_lead: &'static str,
    /// Why there is a link that proves an address.
    pub(super) verify_lead: &'static str,
    /// What a code is for.
    pub(super) purpose: &'static str,
    /// The button of a reset.
    pub(super) reset_button: &'static str,
    /// The button that proves an address.
    pub(super) verify_button: &'static str,
    /// The button of a notice.
    pub(super) notice_button: &'static str,
    /// Over the address of the button.
    pub(super) or_copy: &'static str,
    /// For how long it is valid.
    pub(super) valid_for: &'static str,
    /// Until when.
    pub(super) valid_until: &'static str,
    /// Keep the code to yourself.
    pub(super) secret: &'static str,
    /// Where somebody else asked for it.
    pub(super) ignore: &'static str,
    /// Footer: why it went to this address, which somebody entered: address, application.
    pub(super) entered: [&'static str; 3],
    /// Footer: whom a notice went to.
    pub(super) addressed: &'static str,
    /// Day, hour, minute, second: one of it, and several.
    units: [(&'static str, &'static str); 4],
}

static ZH_CN: Phrases = Phrases {
    code_subject: ["", " 是您的 ", " 验证码"],
    reset_code_subject: ["", " 是您重设 ", " 密码的验证码"],
    reset_subject: "重设您的 {} 密码",
    verify_subject: "验证您的 {} 邮箱地址",
    code: "验证码",
    reset: "重设密码",
    verify: "验证邮箱地址",
    notice: "{} 通知",
    greeting: "{}，您好：",
    code_lead: "请在 {} 中输入下面的验证码。",
    reset_lead: "{} 收到了重设您账户密码的请求。",
    verify_lead: "请确认这个邮箱地址属于您，以便在 {} 中使用。",
    purpose: "用途：{}",
    reset_button: "设置新密码",
    verify_button: "验证邮箱地址",
    notice_button: "查看详情",
    or_copy: "如果按钮打不开，请复制这个链接到浏览器：",
    valid_for: "{}内有效",
    valid_until: "，截止 {}。",
    secret: "请勿把它告诉任何人。",
    ignore: "如果不是您本人操作，请忽略这封邮件，您的账户不会有任何变化。",
    entered: ["这封邮件发给 ", "，因为有人在 ", " 填写了这个地址。"],
    addressed: "这封邮件发给 {}。",
    units: [(" 天", " 天"), (" 小时", " 小时"), (" 分钟", " 分钟"), (" 秒", " 秒")],
};

static EN: Phrases = Phrases {
    code_subject: ["", " is your ", " verification code"],
    reset_code_subject: ["", " is your code to reset the ", " password"],
    reset_subject: "Reset your {} password",
    verify_subject: "Confirm your email address for {}",
    code: "Verification code",
    reset: "Reset your password",
    verify: "Confirm your email address",
    notice: "Notice from {}",
    greeting: "Hello {},",
    code_lead: "Enter this code in {}.",
    reset_lead: "{} was asked to reset the password of your account.",
    verify_lead: "Please confirm that this email address is yours, so that {} can use it.",
    purpose: "For: {}",
    reset_button: "Set a new password",
    verify_button: "Confirm email address",
    notice_button: "Read more",
    or_copy: "If the button does not open, copy this link into your browser:",
    valid_for: "Valid for {}",
    valid_until: ", until {}.",
    secret: "Do not share it with anybody.",
    ignore: "If you did not ask for this, ignore this mail; nothing changes in your account.",
    entered: ["This mail went to ", " because somebody entered that address at ", "."],
    addressed: "This mail went to {}.",
    units: [(" day", " days"), (" hour", " hours"), (" minute", " minutes"), (" second", " seconds")],
};

/// The phrases of a language.
pub(super) fn phrases(locale: Locale) -> &'static Phrases {
    match locale {
        Locale::ZhCn => &ZH_CN,
        Locale::En => &EN,
    }
}

/// A phrase in three pieces around two values.
pub(super) fn around([before, between, after]: [&str; 3], one: &str, other: &str) -> String {
    [before, one, between, other, after].concat()
}

impl Phrases {
    /// `Valid for 10 minutes`.
    pub(super) fn valid_for(&self, life: Duration) -> String {
        fill(self.valid_for, &self.life(life))
    }

    /// A span in its two largest units: `10 minutes`, `1 hour 30 minutes`.
    fn life(&self, life: Duration) -> String {
        let mut seconds = life.as_secs().max(1);
        let mut parts = Vec::with_capacity(2);
        for (length, (one, several)) in [86_400, 3_600, 60, 1].into_iter().zip(self.units) {
            let count = seconds / length;
            seconds %= length;
            if count > 0 && parts.len() < 2 {
                parts.push(format!("{count}{}", if count == 1 { one } else { several }));
            }
        }
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_told_in_words() {
        let told = |locale, seconds| phrases(locale).valid_for(Duration::from_secs(seconds));
        assert_eq!(told(Locale::En, 600), "Valid for 10 minutes");
        assert_eq!([told(Locale::En, 5_400), told(Locale::En, 60)], ["Valid for 1 hour 30 minutes", "Valid for 1 minute"]);
        assert_eq!([told(Locale::ZhCn, 600), told(Locale::ZhCn, 183_600)], ["10 分钟内有效", "2 天 3 小时内有效"]);
    }
}

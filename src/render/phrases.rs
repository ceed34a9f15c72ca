//! The phrases of messages, one table per language; those shared with job mails are in `locale`.

use std::borrow::Cow;
use std::time::Duration;

use super::locale::fill;
use super::text::columns;
use crate::domain::Locale;

/// The phrases of a message. Each contains `{}` at most once.
#[derive(Debug)]
pub(super) struct Phrases {
    /// Subject of a code; starts with the code for previews on phones. Pieces around code and
    /// application.
    pub(super) code_subject: [&'static str; 3],
    /// The same for a code that resets a password.
    pub(super) reset_code_subject: [&'static str; 3],
    /// Subject of a password reset link.
    pub(super) reset_subject: &'static str,
    /// Subject of an email verification link.
    pub(super) verify_subject: &'static str,
    /// Headline of a code.
    pub(super) code: &'static str,
    /// Headline of a code with a purpose of one or two words.
    pub(super) code_for: &'static str,
    /// Headline of a code with a longer purpose.
    pub(super) code_to: &'static str,
    /// Headline of a reset.
    pub(super) reset: &'static str,
    /// Headline of a verification link.
    pub(super) verify: &'static str,
    /// Above the title of a notice.
    pub(super) notice: &'static str,
    /// Greeting by name.
    pub(super) greeting: &'static str,
    /// What to do with a code.
    pub(super) code_lead: &'static str,
    /// Reason of a reset.
    pub(super) reset_lead: &'static str,
    /// Reason of a verification link.
    pub(super) verify_lead: &'static str,
    /// Button of a reset.
    pub(super) reset_button: &'static str,
    /// Button of a verification link.
    pub(super) verify_button: &'static str,
    /// Button of a notice.
    pub(super) notice_button: &'static str,
    /// Above the written-out link of the button.
    pub(super) or_copy: &'static str,
    /// How long the code or link is valid.
    pub(super) valid_for: &'static str,
    /// Until when the code or link is valid.
    pub(super) valid_until: &'static str,
    /// Warning not to share the code.
    pub(super) secret: &'static str,
    /// Advice to readers who did not request the mail.
    pub(super) ignore: &'static str,
    /// Footer: sent because someone entered this address; around address and application.
    pub(super) entered: [&'static str; 3],
    /// Footer: the recipient of a notice.
    pub(super) sent_to: &'static str,
    /// Day, hour, minute, second: singular and plural.
    units: [(&'static str, &'static str); 4],
}

static ZH_CN: Phrases = Phrases {
    code_subject: ["", " 是您的 ", " 验证码"],
    reset_code_subject: ["", " 是您重设 ", " 密码的验证码"],
    reset_subject: "重设您的 {} 密码",
    verify_subject: "验证您的 {} 邮箱地址",
    code: "您的验证码",
    code_for: "您的 {} 验证码",
    code_to: "验证码：{}",
    reset: "重设密码",
    verify: "验证邮箱地址",
    notice: "{} 通知",
    greeting: "{}，您好：",
    code_lead: "请在 {} 中输入下面的验证码。",
    reset_lead: "我们收到了重设您 {} 密码的请求。",
    verify_lead: "请确认这个邮箱地址属于您，以便在 {} 中使用。",
    reset_button: "设置新密码",
    verify_button: "验证邮箱地址",
    notice_button: "查看详情",
    or_copy: "如果按钮打不开，请复制这个链接到浏览器：",
    valid_for: "{} 内有效",
    valid_until: "（至 {}）",
    secret: "请勿将验证码告诉任何人。",
    ignore: "如果不是您本人操作，请忽略这封邮件。",
    entered: ["这封邮件发给 ", "，因为有人在 ", " 填写了这个地址。"],
    sent_to: "这封邮件发给 {}。",
    units: [
        (" 天", " 天"),
        (" 小时", " 小时"),
        (" 分钟", " 分钟"),
        (" 秒", " 秒"),
    ],
};

static EN: Phrases = Phrases {
    code_subject: ["", " is your ", " verification code"],
    reset_code_subject: ["", " is your code to reset the ", " password"],
    reset_subject: "Reset your {} password",
    verify_subject: "Confirm your email address for {}",
    code: "Your verification code",
    code_for: "Your {} code",
    code_to: "Your code: {}",
    reset: "Reset your password",
    verify: "Confirm your email address",
    notice: "Notice from {}",
    greeting: "Hello {},",
    code_lead: "Enter this code in {}.",
    reset_lead: "We received a request to reset your {} password.",
    verify_lead: "Confirm that this is your email address, so that you can use it with {}.",
    reset_button: "Set a new password",
    verify_button: "Confirm email address",
    notice_button: "Read more",
    or_copy: "If the button doesn't work, copy this link into your browser:",
    valid_for: "Expires in {}",
    valid_until: " ({})",
    secret: "Don't share this code.",
    ignore: "Didn't request this? You can ignore this email.",
    entered: [
        "This email was sent to ",
        " because someone entered this address at ",
        ".",
    ],
    sent_to: "This email was sent to {}.",
    units: [
        (" day", " days"),
        (" hour", " hours"),
        (" minute", " minutes"),
        (" second", " seconds"),
    ],
};

/// The phrases of a language.
pub(super) fn phrases(locale: Locale) -> &'static Phrases {
    match locale {
        Locale::ZhCn => &ZH_CN,
        Locale::En => &EN,
    }
}

impl Phrases {
    /// `Your sign-in code`; a longer purpose follows the headline.
    pub(super) fn code_headline(&self, purpose: Option<&str>) -> Cow<'static, str> {
        let Some(purpose) = purpose else {
            return self.code.into();
        };
        let is_name = purpose
            .chars()
            .all(|c| c.is_alphabetic() || matches!(c, ' ' | '-'));
        if !is_name || columns(purpose) > 16 || purpose.split(' ').count() > 2 {
            return fill(self.code_to, purpose).into();
        }
        let is_latin = purpose.is_ascii();
        let purpose = if is_latin {
            purpose.replace(' ', "-")
        } else {
            purpose.to_owned()
        };
        // "Sign in" is a label; within a sentence it becomes "sign-in", and "SMS" stays.
        let first = purpose
            .chars()
            .next()
            .filter(|_| is_latin && purpose.chars().skip(1).any(char::is_lowercase));
        let purpose = first.map_or_else(
            || purpose.clone(),
            |first| purpose.replacen(first, &first.to_lowercase().to_string(), 1),
        );
        fill(self.code_for, &purpose).into()
    }

    /// `Expires in 10 minutes`.
    pub(super) fn valid_for(&self, life: Duration) -> String {
        fill(self.valid_for, &self.life(life))
    }

    /// A duration in its two largest units: `10 minutes`, `1 hour 30 minutes`.
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
    fn ttl_is_written_in_words() {
        let written = |locale, seconds| phrases(locale).valid_for(Duration::from_secs(seconds));
        assert_eq!(written(Locale::En, 600), "Expires in 10 minutes");
        assert_eq!(
            [written(Locale::En, 5_400), written(Locale::En, 60)],
            ["Expires in 1 hour 30 minutes", "Expires in 1 minute"]
        );
        assert_eq!(
            [written(Locale::ZhCn, 600), written(Locale::ZhCn, 183_600)],
            ["10 分钟内有效", "2 天 3 小时内有效"]
        );
    }

    #[test]
    fn purpose_of_a_code_is_in_its_headline() {
        let en = |purpose| phrases(Locale::En).code_headline(purpose);
        assert_eq!(
            [en(None), en(Some("sign in")), en(Some("Sign in"))],
            [
                "Your verification code",
                "Your sign-in code",
                "Your sign-in code"
            ]
        );
        assert_eq!(
            [en(Some("SMS")), en(Some("change your email address"))],
            ["Your SMS code", "Your code: change your email address"]
        );
        let zh = |purpose| phrases(Locale::ZhCn).code_headline(Some(purpose));
        assert_eq!(
            [zh("登录"), zh("VIP"), zh("修改邮箱地址，以及手机号码")],
            [
                "您的登录验证码",
                "您的 VIP 验证码",
                "验证码：修改邮箱地址，以及手机号码"
            ]
        );
    }
}

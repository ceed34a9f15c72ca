//! Why an image has no thumbnail, in words.

use super::i18n::tr;
use crate::domain::{Locale, MissingReason};

/// The reason in the given language.
pub(super) const fn absence<'a>(why: MissingReason, locale: Locale) -> &'a str {
    let (en, zh) = match why {
        MissingReason::NotAllowed => ("address not allowed", "地址不被允许"),
        MissingReason::NoFile => (
            "file not found under email.image_root",
            "email.image_root 下没有该文件",
        ),
        MissingReason::Unavailable => ("not available from its server", "图片服务器未能提供该图片"),
        MissingReason::TooLarge => (
            "too large, or decoding takes too much memory or time",
            "图片过大，或解码所需的内存或时间过多",
        ),
        MissingReason::NotAPicture => (
            "not a readable PNG, JPEG or WebP image",
            "不是可读取的 PNG、JPEG 或 WebP 图片",
        ),
        MissingReason::NoTime => (
            "not ready before the email was due",
            "邮件发出前未能取得该图片",
        ),
        MissingReason::NoDecoder => (
            "no child process available to decode it; see the log",
            "没有可用的图片解码子进程，原因见日志",
        ),
        MissingReason::NotShown => (
            "beyond the number of images shown in an email",
            "超出邮件展示的图片数量",
        ),
    };
    tr(locale, en, zh)
}

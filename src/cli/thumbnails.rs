//! What became of pictures, in words.

use super::i18n::tr;
use crate::domain::{Locale, MissingReason};

/// Why a picture has no small copy.
pub(super) const fn absence<'a>(why: MissingReason, locale: Locale) -> &'a str {
    let (en, zh) = match why {
        MissingReason::NotAllowed => ("its address is not allowed", "地址不被允许"),
        MissingReason::NoFile => (
            "there is no such file under email.image_root",
            "email.image_root 下没有该文件",
        ),
        MissingReason::Unavailable => ("its server did not give it", "图片服务器未能提供该图片"),
        MissingReason::TooLarge => (
            "it is too large, or takes too much memory or time to decode",
            "图片过大，或解码所需的内存或时间过多",
        ),
        MissingReason::NotAPicture => (
            "it is no PNG, JPEG or WebP that can be read",
            "不是可读取的 PNG、JPEG 或 WebP 图片",
        ),
        MissingReason::NoTime => (
            "the mail had to go before it was there",
            "邮件需先行发出，未能等到该图片",
        ),
        MissingReason::NoDecoder => (
            "there is no child process here to decode it; the log says why",
            "此处没有可用于解码图片的子进程，原因见日志",
        ),
        MissingReason::NotShown => (
            "it comes after those that a mail shows",
            "超出邮件展示的图片数量",
        ),
    };
    tr(locale, en, zh)
}

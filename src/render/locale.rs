//! The words of the mails, one table per language; a word that is missing in one of them does not compile.

use serde::Serialize;

use crate::domain::Locale;

/// Every word and phrase that a mail is made of. A phrase with `{}` has it exactly once; [`fill`] puts a value there.
#[derive(Debug, Serialize)]
pub struct Words {
    /// The BCP 47 tag for the `lang` attribute.
    pub lang: &'static str,
    /// Headline: one picture was made.
    pub image_ready: &'static str,
    /// Headline: several pictures were made.
    pub images_ready: &'static str,
    /// Headline: a job that makes no pictures ended well.
    pub job_done: &'static str,
    /// Headline: a picture could not be made.
    pub generation_failed: &'static str,
    /// Headline: a job that makes no pictures failed.
    pub job_failed: &'static str,
    /// Headline: somebody stopped the job.
    pub job_canceled: &'static str,
    /// Between a headline or label and what it is about.
    pub colon: &'static str,
    /// The end of a subject: how many pictures.
    pub subject_images: &'static str,
    /// The end of a subject: some fact.
    pub subject_fact: &'static str,
    /// The end of a subject: a fact and how many pictures, in this order.
    pub subject_fact_images: [&'static str; 3],
    /// How many pictures, two or more.
    pub images: &'static str,
    /// What a picture's alternative text begins with.
    pub image: &'static str,
    /// The n-th picture.
    pub image_number: &'static str,
    /// The button over one picture.
    pub open_image: &'static str,
    /// The button over several pictures.
    pub open_first: &'static str,
    /// The button over a file that mail programs cannot show.
    pub open_file: &'static str,
    /// The button that leads to the job's own page.
    pub open_run: &'static str,
    /// Where the button leads: a host.
    pub opens: &'static str,
    /// Until when the links work: a moment.
    pub expires: &'static str,
    /// How many pictures are not shown.
    pub more_images: &'static str,
    /// Over the list of links in the text part.
    pub links: &'static str,
    /// How many links are not listed.
    pub more_links: &'static str,
    /// Over paths that have no link.
    pub saved_at: &'static str,
    /// Label of the prompt.
    pub prompt: &'static str,
    /// Label of the translated prompt.
    pub prompt_translated: &'static str,
    /// Label of the negative prompt.
    pub negative_prompt: &'static str,
    /// In place of the prompts of an event that is marked as sensitive.
    pub sensitive: &'static str,
    /// How much of a folded text the HTML part leaves out.
    pub folded: &'static str,
    /// How much of a folded text the text part leaves out.
    pub cut: &'static str,
    /// Label of the error code.
    pub error_code: &'static str,
    /// In place of an error that was not given.
    pub no_reason: &'static str,
    /// Over the advice after a failure.
    pub what_to_do: &'static str,
    /// The advice after a failure.
    pub advice: &'static str,
    /// Over the table of facts.
    pub details: &'static str,
    /// Fact: pixels.
    pub size: &'static str,
    /// Fact: file format.
    pub format: &'static str,
    /// Fact: model.
    pub model: &'static str,
    /// Fact: how long it took.
    pub duration: &'static str,
    /// Fact: seed.
    pub seed: &'static str,
    /// Fact: steps.
    pub steps: &'static str,
    /// Fact: bytes.
    pub file_size: &'static str,
    /// Fact: the producer's name for the job.
    pub job_id: &'static str,
    /// Fact: when it began.
    pub started_at: &'static str,
    /// Fact: when it ended.
    pub finished_at: &'static str,
    /// Fact: when it was reported, where its end is not known.
    pub reported_at: &'static str,
    /// A total over several files.
    pub total: &'static str,
    /// Units of time: day, hour, minute, second, each as it follows its number.
    pub units: [&'static str; 4],
    /// Footer: who sent this.
    pub sent_by: &'static str,
    /// Footer: why it went to this address.
    pub sent_to: &'static str,
    /// Footer: label of the event's id.
    pub event_id: &'static str,
}

static ZH_CN: Words = Words {
    lang: "zh-CN",
    image_ready: "图片已生成",
    images_ready: "图片已生成",
    job_done: "任务已完成",
    generation_failed: "生成失败",
    job_failed: "任务失败",
    job_canceled: "任务已取消",
    colon: "：",
    subject_images: "（{} 张）",
    subject_fact: "（{}）",
    subject_fact_images: ["（", "，", " 张）"],
    images: "{} 张图片",
    image: "图片",
    image_number: "第 {} 张图片",
    open_image: "查看图片",
    open_first: "查看第一张图片",
    open_file: "打开文件",
    open_run: "查看运行",
    opens: "链接指向 {}",
    expires: "链接有效期至 {}",
    more_images: "另有 {} 张",
    links: "图片链接",
    more_links: "另有 {} 个链接未列出",
    saved_at: "保存位置",
    prompt: "提示词",
    prompt_translated: "提示词译文",
    negative_prompt: "反向提示词",
    sensitive: "已标记为敏感内容，邮件中不显示。",
    folded: "……还有 {} 个字符，更多内容见本邮件的纯文本部分",
    cut: "……还有 {} 个字符未显示",
    error_code: "错误代码",
    no_reason: "没有说明原因。",
    what_to_do: "接下来可以",
    advice: "稍后重新提交一次；如果错误与内容有关，请修改提示词或参数后再试。若一直失败，请把下方的事件编号告诉服务的管理员。",
    details: "详情",
    size: "尺寸",
    format: "格式",
    model: "模型",
    duration: "耗时",
    seed: "种子",
    steps: "步数",
    file_size: "文件大小",
    job_id: "任务编号",
    started_at: "开始时间",
    finished_at: "结束时间",
    reported_at: "通知时间",
    total: "共 {}",
    units: [" 天", " 小时", " 分", " 秒"],
    sent_by: "由 {} 自动发送。",
    sent_to: "您收到这封邮件，是因为提交任务的程序或通知设置把 {} 列为收件人。",
    event_id: "事件编号",
};

static EN: Words = Words {
    lang: "en",
    image_ready: "Image ready",
    images_ready: "Images ready",
    job_done: "Job done",
    generation_failed: "Generation failed",
    job_failed: "Job failed",
    job_canceled: "Job canceled",
    colon: ": ",
    subject_images: " ({} images)",
    subject_fact: " ({})",
    subject_fact_images: [" (", ", ", " images)"],
    images: "{} images",
    image: "Image",
    image_number: "Image {}",
    open_image: "View image",
    open_first: "View first image",
    open_file: "Open file",
    open_run: "Open run",
    opens: "Opens {}",
    expires: "Link valid until {}",
    more_images: "and {} more",
    links: "Links",
    more_links: "and {} more links",
    saved_at: "Saved at",
    prompt: "Prompt",
    prompt_translated: "Translated prompt",
    negative_prompt: "Negative prompt",
    sensitive: "Marked as sensitive, so not shown in this mail.",
    folded: "… {} more characters; the plain-text part of this mail has more",
    cut: "… {} more characters not shown",
    error_code: "Error code",
    no_reason: "No reason was given.",
    what_to_do: "What you can do",
    advice: "Submit it again in a little while. If the error is about the content, change the prompt or the settings first. \
             If it keeps failing, give the event ID below to whoever runs the service.",
    details: "Details",
    size: "Size",
    format: "Format",
    model: "Model",
    duration: "Duration",
    seed: "Seed",
    steps: "Steps",
    file_size: "File size",
    job_id: "Job",
    started_at: "Started",
    finished_at: "Finished",
    reported_at: "Reported",
    total: "{} in total",
    units: [" d", " h", " min", " s"],
    sent_by: "Sent automatically by {}.",
    sent_to: "You get this mail because the program that submitted the job, or the notification settings, name {}.",
    event_id: "Event ID",
};

/// The words of a language.
pub fn words(locale: Locale) -> &'static Words {
    match locale {
        Locale::ZhCn => &ZH_CN,
        Locale::En => &EN,
    }
}

/// Puts `value` where the phrase has `{}`.
pub fn fill(phrase: &str, value: &str) -> String {
    let (before, after) = phrase.split_once("{}").unwrap_or((phrase, ""));
    [before, value, after].concat()
}

/// A number with its thousands set apart by commas, as both languages write it.
pub fn number(value: usize) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_fill_the_same_phrases() {
        let holes = |locale| {
            let serde_json::Value::Object(table) = serde_json::to_value(words(locale)).unwrap() else { panic!("a table") };
            table.into_iter().map(|(name, phrase)| (name, phrase.as_str().unwrap_or_default().matches("{}").count())).collect::<Vec<_>>()
        };
        assert_eq!(holes(Locale::ZhCn), holes(Locale::En));
        assert!(holes(Locale::En).iter().all(|(_, count)| *count <= 1));
    }

    #[test]
    fn no_word_is_empty() {
        for locale in [Locale::ZhCn, Locale::En] {
            let table = serde_json::to_value(words(locale)).unwrap();
            for (name, phrase) in table.as_object().unwrap() {
                let filled = phrase.as_str().map_or_else(|| phrase.as_array().unwrap().iter().all(|p| p != ""), |p| !p.trim().is_empty());
                assert!(filled, "{locale} {name}");
            }
        }
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([number(0), number(999), number(1_000), number(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
    }
}

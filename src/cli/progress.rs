//! A progress bar on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error; nothing is printed unless that is a terminal. It is removed at the end.
pub(super) struct Bar {
    bar: ProgressBar,
    total: Option<u64>,
}

impl Bar {
    pub(super) fn new() -> Self {
        Self {
            bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()),
            total: None,
        }
    }

    /// Shows what is being done, and how much of it has been done.
    pub(super) fn show(&mut self, words: &'static str, done: u64, total: Option<u64>) {
        if total != self.total || self.bar.message() != words {
            let template = match total {
                Some(_) => "{msg} {wide_bar} {pos}/{len} {eta}",
                None => "{msg} {pos}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style);
            }
            self.bar.set_message(words);
            if let Some(total) = total {
                self.bar.set_length(total);
            }
            self.total = total;
        }
        self.bar.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

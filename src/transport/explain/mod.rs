//! What a refusal means and what to do about it: the table of replies as data of the program. Pure.
//!
//! `replies.tsv` lists what providers and standards say, row by row: code, enhanced code, words,
//! and what follows (try again here? try elsewhere? whose fault? after how many seconds?) with
//! cause and advice in two languages and the source. Rows without a code stand for what no server
//! says: the stages that decide a refusal without detail, first digits, HTTP statuses, and failures
//! without any reply.
//!
//! Order of look-up: the provider's rows → the rows of a provider with the same servers
//! (Outlook.com → Microsoft 365, exmail → QQ) → for a 550 or 553 without detail, the stage → the
//! rows of `any` → the first digit. Among rows that fit, the longer text wins, then the one with an
//! enhanced code. The code of a row must be the reply's, its enhanced code too where it has one,
//! and its text must stand in the reply, without regard to case, the lines joined and their
//! prefixes (`550-5.4.5 `) taken off.

mod local;
mod table;
#[cfg(test)]
mod tests;
mod verdict;
mod words;

pub use local::LocalError;
pub use table::Table;
pub use verdict::{Advice, Class, Verdict};

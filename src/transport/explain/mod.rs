//! The table of replies: what a refusal means, and advice for the operator. Pure.
//!
//! A row of `replies.tsv` matches a reply by code, enhanced code and text, and gives its
//! consequences (retry here, try another server, class, pause in seconds), cause and advice in two
//! languages, and the source. Rows without a code are for failures without a specific reply: by
//! stage, first digit, HTTP status, local error, and reason for a missing access token.
//!
//! Lookup order: the rows of the provider; the rows of a provider that uses the same servers
//! (Outlook.com → Microsoft 365, exmail → QQ); for a 550 or 553 without detail, the stage; the rows
//! of `any`; the first digit. Of the rows that match, the one with the longest text wins, then one
//! with an enhanced code. A row matches if its code and, if it has one, its enhanced code are equal
//! to the reply's, and the reply contains its text, ignoring case, with lines joined and their
//! prefixes (`550-5.4.5 `) removed.

mod local;
mod normalized;
mod table;
#[cfg(test)]
mod tests;
mod verdict;

pub use local::LocalError;
pub(super) use normalized::leading_status;
pub use table::Table;
pub use verdict::{Advice, Class, Verdict};

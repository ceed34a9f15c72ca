//! What the tests share: a scripted SMTP server.

pub mod peer;

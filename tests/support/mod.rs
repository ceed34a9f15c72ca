//! Fixtures shared by the test binaries: a scripted SMTP server, an image server, a configuration in a
//! temporary directory, the daemon as a process, and Jobbell embedded in the test.
#![expect(
    unreachable_pub,
    reason = "the files are public to every test of a binary"
)]

pub mod daemon;
pub mod figures;
pub mod image_server;
pub mod postgres;
pub mod smtp_peer;
pub mod test_app;
pub mod test_config;

//! What the tests share: a scripted SMTP server, the program with a home of its own, the daemon as
//! a process, Jobbell within the test.
#![expect(
    unreachable_pub,
    reason = "one binary: what the files share is public to each other"
)]

pub mod daemon;
pub mod disk;
pub mod gallery;
pub mod home;
pub mod inside;
pub mod peer;

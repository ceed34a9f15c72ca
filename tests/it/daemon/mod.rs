//! The daemon as a process: startup, reload, shutdown and crashes.

mod library;
mod mails;
mod messages;
mod retry;
mod secrets;
mod signals;
mod start;
mod stop;
mod survival;
mod systemd;

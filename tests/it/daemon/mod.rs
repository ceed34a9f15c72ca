//! The daemon as a process: start, reload, stop, and what survives.

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

//! Everything that needs a socket, a process or a file: one file per promise.

mod support;
mod transport;
mod render;
mod render_rules;

//! One try on one server: composes the wire form, speaks the protocol, classifies what comes back.

pub mod smtp;

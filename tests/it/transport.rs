//! One try on one server, over real sockets.

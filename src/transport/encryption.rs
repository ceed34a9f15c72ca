//! Encryption of SMTP connections.

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS, required.
    Starttls,
    /// STARTTLS if the server offers it (`auto` on other ports).
    Opportunistic,
    /// Not encrypted (`tls = "none"`).
    None,
}

impl Tls {
    /// The meaning of `tls = "auto"`: implicit TLS on ports 465 and 994, required STARTTLS on 587,
    /// STARTTLS if offered on other ports.
    pub const fn auto(port: u16) -> Self {
        match port {
            465 | 994 => Self::Implicit,
            587 => Self::Starttls,
            _ => Self::Opportunistic,
        }
    }
}

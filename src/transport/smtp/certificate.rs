//! The fields of a server's certificate that are shown to people. They decide nothing: trust is up
//! to the verifier, and a certificate that it rejects is the most interesting one.
//!
//! Parses just these six fields (RFC 5280 §4.1), which does not justify an X.509 library.

use crate::domain::Timestamp;

/// The maximum length of a name shown, in characters.
const MAX_NAME: usize = 200;
/// The maximum number of host names shown.
const MAX_HOSTS: usize = 20;

/// A certificate in readable form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The subject, such as `CN=mail.example.com, O=Example`; empty if there are only host names.
    pub subject: String,
    /// The issuer, in the same form.
    pub issuer: String,
    /// The host names and addresses that it is valid for, at most 20.
    pub hosts: Vec<String>,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// Whether subject and issuer are equal.
    pub self_signed: bool,
}

impl Certificate {
    /// Parses a certificate in DER; `None` if it is invalid.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let mut body = Der(Der(Der(der).take(SEQUENCE)?).take(SEQUENCE)?);
        body.skip_if(VERSION);
        body.take(INTEGER)?;
        body.take(SEQUENCE)?;
        let issuer = body.take(SEQUENCE)?;
        let mut validity = Der(body.take(SEQUENCE)?);
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let subject = body.take(SEQUENCE)?;
        body.take(SEQUENCE)?;
        let extensions = std::iter::from_fn(|| body.next())
            .find(|(tag, _)| *tag == EXTENSIONS)
            .map(|(_, extensions)| extensions);
        Some(Self {
            subject: name(subject),
            issuer: name(issuer),
            hosts: extensions.and_then(hosts).unwrap_or_default(),
            not_before,
            not_after,
            self_signed: subject == issuer,
        })
    }

    /// Days from `now` until it expires, rounded down; negative if it has expired.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        (self.not_after.as_millis() - now.as_millis()).div_euclid(24 * 60 * 60 * 1_000)
    }
}

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const UTF16: u8 = 0x1e;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// `subjectAltName` (RFC 5280 §4.2.1.6).
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// The parts of a name that are shown, in this order (X.520).
const PARTS: [(&[u8], &str); 4] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 6], "C"),
];

/// A sequence of values, each with tag and length (X.690).
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match *first {
            short @ 0..=0x7f => (usize::from(short), rest),
            long @ 0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                (
                    digits
                        .iter()
                        .fold(0, |length, digit| length << 8 | usize::from(*digit)),
                    rest,
                )
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, value))
    }

    fn take(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next()
            .filter(|(tag, _)| *tag == wanted)
            .map(|(_, value)| value)
    }

    fn skip_if(&mut self, unwanted: u8) {
        if self.0.first() == Some(&unwanted) {
            self.next();
        }
    }
}

/// A distinguished name: a sequence of sets of pairs.
fn name(der: &[u8]) -> String {
    let mut sets = Der(der);
    let pairs: Vec<(&[u8], String)> = std::iter::from_fn(|| sets.take(SET))
        .filter_map(|set| {
            let mut pair = Der(Der(set).take(SEQUENCE)?);
            Some((pair.take(OID)?, text(pair.next()?)))
        })
        .collect();
    let parts = PARTS.iter().flat_map(|(oid, label)| {
        pairs
            .iter()
            .filter(move |(key, _)| key == oid)
            .map(move |(_, value)| format!("{label}={value}"))
    });
    parts
        .collect::<Vec<_>>()
        .join(", ")
        .chars()
        .take(MAX_NAME)
        .collect()
}

fn text((tag, bytes): (u8, &[u8])) -> String {
    let text = match tag {
        UTF16 => String::from_utf16_lossy(
            &bytes
                .chunks_exact(2)
                .map(|pair| {
                    pair.iter()
                        .fold(0, |unit, byte| unit << 8 | u16::from(*byte))
                })
                .collect::<Vec<_>>(),
        ),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    };
    text.replace(char::is_control, "")
}

fn hosts(extensions: &[u8]) -> Option<Vec<String>> {
    let mut list = Der(Der(extensions).take(SEQUENCE)?);
    let names = std::iter::from_fn(|| list.take(SEQUENCE)).find_map(|extension| {
        let mut parts = Der(extension);
        (parts.take(OID)? == ALTERNATIVE_NAMES)
            .then(|| std::iter::from_fn(|| parts.next()).find(|(tag, _)| *tag == OCTETS))
            .flatten()
    })?;
    let mut names = Der(Der(names.1).take(SEQUENCE)?);
    let host = |(tag, value): (u8, &[u8])| match tag {
        DNS_NAME => Some(text((tag, value)).chars().take(MAX_NAME).collect()),
        IP_ADDRESS => address(value),
        _ => None,
    };
    Some(
        std::iter::from_fn(|| names.next())
            .filter_map(host)
            .take(MAX_HOSTS)
            .collect(),
    )
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string());
    v4.or_else(|_| {
        <[u8; 16]>::try_from(bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string())
    })
    .ok()
}

/// `YYMMDDHHMMSSZ` for 1950 to 2049, or with a four-digit year (RFC 5280 §4.1.2.5).
fn time((tag, bytes): (u8, &[u8])) -> Option<Timestamp> {
    let digits = std::str::from_utf8(bytes).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            (
                format!("{}{year}", if year < "50" { "20" } else { "19" }),
                rest,
            )
        }
        GENERALIZED_TIME => digits
            .split_at_checked(4)
            .map(|(year, rest)| (year.to_owned(), rest))?,
        _ => return None,
    };
    let two: Vec<&str> = (0..5)
        .filter_map(|pair| rest.get(pair * 2..pair * 2 + 2))
        .collect();
    let [month, day, hour, minute, second] = two.as_slice() else {
        return None;
    };
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, date_time_ymd};

    use super::*;

    fn der() -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["mail.example.com".to_owned()]).unwrap();
        params
            .subject_alt_names
            .push(SanType::IpAddress("192.0.2.7".parse().unwrap()));
        params
            .subject_alt_names
            .push(SanType::IpAddress("2001:db8::1".parse().unwrap()));
        params
            .distinguished_name
            .push(DnType::OrganizationName, "绘影\x1b[31m");
        params
            .distinguished_name
            .push(DnType::CommonName, "mail.example.com");
        params.not_before = date_time_ymd(1999, 12, 31);
        params.not_after = date_time_ymd(2061, 3, 4);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn subject_issuer_hosts_and_validity_are_read() {
        let read = Certificate::parse(&der()).unwrap();
        assert_eq!(read.subject, "CN=mail.example.com, O=绘影[31m");
        assert_eq!(read.issuer, read.subject);
        assert!(read.self_signed);
        assert_eq!(read.hosts, ["mail.example.com", "192.0.2.7", "2001:db8::1"]);
        assert_eq!(read.not_before, "1999-12-31T00:00:00Z".parse().unwrap());
        assert_eq!(read.not_after, "2061-03-04T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn days_left_are_negative_after_expiry() {
        let read = Certificate::parse(&der()).unwrap();
        assert_eq!(read.days_left("2061-03-01T12:00:00Z".parse().unwrap()), 2);
        assert_eq!(read.days_left("2061-03-04T00:00:01Z".parse().unwrap()), -1);
    }

    #[test]
    fn truncated_certificates_are_invalid() {
        let whole = der();
        for length in 0..whole.len() {
            assert_eq!(Certificate::parse(&whole[..length]), None, "{length}");
        }
    }

    proptest! {
        #[test]
        fn damaged_certificates_are_parsed_or_rejected_within_bounds(at in 0_usize..200, byte: u8) {
            let mut damaged = der();
            damaged[at] = byte;
            if let Some(read) = Certificate::parse(&damaged) {
                prop_assert!(read.subject.chars().count() <= MAX_NAME && read.hosts.len() <= MAX_HOSTS);
            }
        }
    }
}

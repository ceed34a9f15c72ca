//! Known mail services: what `smtp.provider` fills in.
//!
//! Hosts and ports as the services' own pages and common presets give them; where both are offered, TLS from the first byte is taken
//! (RFC 8314 §3.3).

use super::smtp::Tls;

/// One mail service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provider {
    /// What `smtp.provider` calls it.
    pub name: &'static str,
    /// Its host; none where each region has its own and `smtp.host` must say which.
    pub host: Option<&'static str>,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted there.
    pub tls: Tls,
}

const fn implicit(name: &'static str, host: &'static str) -> Provider {
    Provider { name, host: Some(host), port: 465, tls: Tls::Implicit }
}

const fn starttls(name: &'static str, host: &'static str) -> Provider {
    Provider { name, host: Some(host), port: 587, tls: Tls::Starttls }
}

/// The services by name.
pub const PROVIDERS: &[Provider] = &[
    implicit("qq", "smtp.qq.com"),
    implicit("exmail", "smtp.exmail.qq.com"),
    implicit("163", "smtp.163.com"),
    implicit("126", "smtp.126.com"),
    implicit("yeah", "smtp.yeah.net"),
    implicit("aliyun", "smtp.aliyun.com"),
    implicit("gmail", "smtp.gmail.com"),
    starttls("outlook", "smtp-mail.outlook.com"),
    starttls("office365", "smtp.office365.com"),
    starttls("icloud", "smtp.mail.me.com"),
    implicit("yahoo", "smtp.mail.yahoo.com"),
    implicit("zoho", "smtp.zoho.com"),
    implicit("fastmail", "smtp.fastmail.com"),
    Provider { name: "ses", host: None, port: 465, tls: Tls::Implicit },
    implicit("sendgrid", "smtp.sendgrid.net"),
    implicit("mailgun", "smtp.mailgun.org"),
    implicit("resend", "smtp.resend.com"),
    starttls("postmark", "smtp.postmarkapp.com"),
    implicit("directmail", "smtpdm.aliyun.com"),
    implicit("tencent-ses", "smtp.qcloudmail.com"),
    Provider { name: "mailpit", host: Some("localhost"), port: 1025, tls: Tls::None },
];

/// The service of that name, in any case.
pub fn find(name: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_there_once_and_is_found_in_any_case() {
        for provider in PROVIDERS {
            assert_eq!(PROVIDERS.iter().filter(|other| other.name == provider.name).count(), 1, "{}", provider.name);
            assert_eq!(find(&provider.name.to_uppercase()), Some(provider));
        }
        assert_eq!(find("smtp"), None);
    }

    #[test]
    fn a_service_on_a_port_with_a_rule_is_encrypted_by_that_rule() {
        for provider in PROVIDERS.iter().filter(|provider| matches!(provider.port, 465 | 587)) {
            assert_eq!(provider.tls, Tls::auto(provider.port), "{}", provider.name);
        }
    }
}

//! Recognizes variables that container platforms set for a service named like one of our prefixes.
//!
//! Kubernetes (and Docker's legacy links) set `JOBBELL_SERVICE_HOST`,
//! `JOBBELL_PORT=tcp://10.0.0.9:8000`, `JOBBELL_PORT_8000_TCP_ADDR`, … in every container for a
//! service `jobbell`, and the same with `SMTP_` for a service `smtp`.

use std::ffi::OsStr;

const PREFIXES: [&str; 2] = ["JOBBELL_", "SMTP_"];
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// Whether a container platform set the variable.
pub(super) fn is_link(name: &OsStr, value: &OsStr) -> bool {
    let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
    let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) else {
        return false;
    };
    // Our variables have a double underscore after the table's name.
    let has_protocol = PROTOCOLS.iter().any(|protocol| {
        value
            .to_ascii_uppercase()
            .starts_with(&format!("{protocol}://"))
    });
    !rest.contains("__")
        && (has_protocol || is_service(rest) || is_port(rest) || is_docker_link(rest, &value))
}

/// `SERVICE_HOST`, `SERVICE_PORT`, `SERVICE_PORT_HTTP`, also after the rest of a service's name.
fn is_service(rest: &str) -> bool {
    let rest = rest
        .strip_prefix("SERVICE_")
        .or_else(|| rest.split_once("_SERVICE_").map(|(_, rest)| rest));
    rest.is_some_and(|rest| rest == "HOST" || rest == "PORT" || rest.starts_with("PORT_"))
}

/// `PORT_8000_TCP`, `PORT_8000_TCP_ADDR`, `PORT_8000_TCP_PORT`, `PORT_8000_TCP_PROTO`.
fn is_port(rest: &str) -> bool {
    let rest = rest
        .strip_prefix("PORT_")
        .or_else(|| rest.split_once("_PORT_").map(|(_, rest)| rest));
    let mut parts = rest.unwrap_or_default().split('_');
    let number = parts
        .next()
        .is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    number
        && parts.next().is_some_and(|part| PROTOCOLS.contains(&part))
        && parts
            .next()
            .is_none_or(|part| ["ADDR", "PORT", "PROTO"].contains(&part))
}

/// `NAME=/web/jobbell`, and `ENV_…` for each variable of the other container.
fn is_docker_link(rest: &str, value: &str) -> bool {
    rest.starts_with("ENV_") || (rest == "NAME" && value.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, value: &str) -> bool {
        is_link(OsStr::new(name), OsStr::new(value))
    }

    #[test]
    fn what_kubernetes_and_docker_set_is_known() {
        for (name, value) in [
            ("JOBBELL_PORT", "tcp://10.0.0.9:8000"),
            ("JOBBELL_SERVICE_HOST", "10.0.0.9"),
            ("JOBBELL_SERVICE_PORT", "8000"),
            ("JOBBELL_SERVICE_PORT_HTTP", "8000"),
            ("JOBBELL_PORT_8000_TCP", "tcp://10.0.0.9:8000"),
            ("JOBBELL_PORT_8000_TCP_ADDR", "10.0.0.9"),
            ("JOBBELL_PORT_8000_TCP_PROTO", "tcp"),
            ("JOBBELL_SERVER_SERVICE_HOST", "10.0.0.9"),
            ("JOBBELL_SMTP_PORT", "udp://10.0.0.9:25"),
            ("JOBBELL_SMTP_PORT_25_TCP_PORT", "25"),
            ("SMTP_PORT", "tcp://10.0.0.9:25"),
            ("SMTP_SERVICE_HOST", "10.0.0.9"),
            ("SMTP_SERVER_PORT", "tcp://10.0.0.9:25"),
            ("JOBBELL_NAME", "/web/jobbell"),
            ("JOBBELL_ENV_PATH", "/bin"),
        ] {
            assert!(link(name, value), "{name}={value}");
        }
    }

    #[test]
    fn settings_are_not() {
        for (name, value) in [
            ("SMTP_PORT", "25"),
            ("SMTP_HOST", "mail.example.com"),
            ("SMTP_NAME", "primary"),
            ("JOBBELL_SERVER__LISTEN", "tcp://127.0.0.1:8000"),
            ("JOBBELL_SERVER_LISTEN", "127.0.0.1:8000"),
            ("JOBBELL_PORT", "8000"),
            ("OTHER_PORT", "tcp://10.0.0.9:25"),
        ] {
            assert!(!link(name, value), "{name}={value}");
        }
    }
}

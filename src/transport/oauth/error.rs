//! Why there is no access token.

use std::time::Duration;

use crate::domain::{Explanation, Failure, FailureKind, Locale, Reply, Stage};
use crate::transport::explain::Table;

/// Why there is no access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The refresh token is missing, expired or revoked, so a person must consent again
    /// (`invalid_grant`).
    Consent,
    /// The client's secret has expired (`AADSTS7000222`).
    SecretExpired,
    /// The client's id or secret is wrong (`invalid_client`).
    Client,
    /// The scope is not available to this client or with this grant (`invalid_scope`).
    Scope,
    /// The token server refuses for another reason that the operator must fix, or the settings are
    /// inconsistent.
    Settings,
    /// The response is a web page or otherwise not a token response: a wrong URL, a proxy, or a
    /// login page of the network.
    NotJson,
    /// The token server's certificate was refused.
    Certificate,
    /// The token server is overloaded or failing (429, 5xx).
    Busy {
        /// The pause that it requests.
        retry_after: Option<Duration>,
    },
    /// No connection, or no response in time.
    Unreachable,
    /// The stored refresh token cannot be read, and none is configured.
    Storage,
    /// The person declined in the browser (device-code flow).
    Declined,
    /// The code was not entered in time (device-code flow).
    CodeExpired,
}

impl Problem {
    /// The key of its row in the table of replies.
    const fn key(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::SecretExpired => "secret_expired",
            Self::Client => "client",
            Self::Scope => "scope",
            Self::Settings => "settings",
            Self::NotJson => "not_json",
            Self::Certificate => "certificate",
            Self::Busy { .. } => "busy",
            Self::Unreachable => "unreachable",
            Self::Storage => "storage",
            Self::Declined => "declined",
            Self::CodeExpired => "code_expired",
        }
    }
}

/// Why there is no access token. Contains no secret: any that the server has echoed are masked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct TokenError {
    /// The cause.
    pub problem: Problem,
    /// One sentence for the log, in English.
    pub detail: String,
    /// The token server's response: HTTP status, `error` and `error_description`.
    pub reply: Option<Reply>,
}

impl TokenError {
    /// An error without a response.
    pub(super) fn new(problem: Problem, detail: impl Into<String>) -> Self {
        Self {
            problem,
            detail: detail.into(),
            reply: None,
        }
    }

    /// What it means for the mail server: transient errors cause failover and a retry, the others
    /// need the operator.
    pub const fn kind(&self) -> FailureKind {
        match self.problem {
            Problem::Busy { retry_after } => FailureKind::Unavailable {
                retry_after,
                server_wide: true,
            },
            Problem::Unreachable => FailureKind::Unavailable {
                retry_after: None,
                server_wide: true,
            },
            _ => FailureKind::Misconfigured,
        }
    }

    /// Cause and advice for the operator. `server` is the mail server's name in the configuration.
    pub fn explain(&self, table: &Table, server: &str, locale: Locale) -> Option<Explanation> {
        let explanation = table.oauth_advice(self.problem.key())?.explanation(locale);
        Some(Explanation {
            advice: explanation.advice.replace("NAME", server),
            ..explanation
        })
    }

    /// The failure of an attempt at the login.
    pub fn into_failure(self, table: &Table, server: &str, locale: Locale) -> Failure {
        let explanation = self.explain(table, server, locale);
        Failure {
            kind: self.kind(),
            stage: Stage::Auth,
            reply: self.reply,
            detail: self.detail,
            explanation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_explained_in_both_languages() {
        for problem in [
            Problem::Consent,
            Problem::SecretExpired,
            Problem::Client,
            Problem::Scope,
            Problem::Settings,
            Problem::NotJson,
            Problem::Certificate,
            Problem::Busy { retry_after: None },
            Problem::Unreachable,
            Problem::Storage,
            Problem::Declined,
            Problem::CodeExpired,
        ] {
            let error = TokenError::new(problem, "x");
            for locale in [Locale::En, Locale::ZhCn] {
                let explanation = error.explain(&Table::new(), "QQ邮箱", locale).unwrap();
                let names_server = explanation.advice.contains("`jobbell oauth QQ邮箱`");
                assert!(!explanation.advice.contains("NAME"), "{explanation:?}");
                assert!(
                    names_server || problem != Problem::Consent,
                    "{explanation:?}"
                );
            }
        }
    }

    #[test]
    fn only_errors_of_the_token_server_are_transient() {
        let kind = |problem| TokenError::new(problem, "x").kind();
        let pause = Some(Duration::from_secs(7));
        assert_eq!(
            kind(Problem::Busy { retry_after: pause }),
            FailureKind::Unavailable {
                retry_after: pause,
                server_wide: true
            }
        );
        assert_eq!(
            kind(Problem::Unreachable),
            FailureKind::Unavailable {
                retry_after: None,
                server_wide: true
            }
        );
        for problem in [
            Problem::Consent,
            Problem::SecretExpired,
            Problem::Client,
            Problem::NotJson,
            Problem::Certificate,
            Problem::Storage,
        ] {
            assert_eq!(kind(problem), FailureKind::Misconfigured);
        }
    }
}

//! Why there is no access token, with advice in both languages.

use std::time::Duration;

use crate::domain::{Explanation, Failure, FailureKind, Locale, Reply, Stage};

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
    pub fn explain(&self, server: &str, locale: Locale) -> Explanation {
        let [cause_en, advice_en, cause_zh, advice_zh] = words(self.problem);
        let (cause, advice) = match locale {
            Locale::En => (cause_en, advice_en),
            Locale::ZhCn => (cause_zh, advice_zh),
        };
        Explanation {
            cause: cause.to_owned(),
            advice: advice.replace("NAME", server),
        }
    }

    /// The failure of an attempt at the login.
    pub fn into_failure(self, server: &str, locale: Locale) -> Failure {
        let explanation = Some(self.explain(server, locale));
        Failure {
            kind: self.kind(),
            stage: Stage::Auth,
            reply: self.reply,
            detail: self.detail,
            explanation,
        }
    }
}

/// Cause and advice in English, cause and advice in Chinese.
type Words = [&'static str; 4];

const CONSENT: Words = [
    "The permission to send (OAuth2 refresh token) is missing, has expired or has been revoked.",
    "Give it again: run `jobbell oauth NAME`. With a Google project in \"testing\", publish it: its permissions end after 7 days.",
    "发信授权（OAuth2 刷新令牌）缺失、已过期或被撤销。",
    "重新授权：运行 `jobbell oauth NAME`。Google 项目若处于“测试”状态，授权 7 天后失效，请发布该项目。",
];
const SECRET_EXPIRED: Words = [
    "The client secret of the registered application has expired.",
    "Make a new client secret at the provider and set oauth_client_secret.",
    "应用的客户端密钥已过期。",
    "在服务商处新建客户端密钥，并更新 oauth_client_secret。",
];
const CLIENT: Words = [
    "The token server does not know this client or its secret.",
    "Check oauth_client_id and oauth_client_secret (the secret's value, not its id).",
    "令牌服务器不认可客户端 ID 或密钥。",
    "检查 oauth_client_id 和 oauth_client_secret（填密钥的值，不是密钥 ID）。",
];
const SCOPE: Words = [
    "The token server does not grant this scope, or not with this flow.",
    "Check oauth_scope. Google grants the mail scope only through its flow for desktop programs: get a refresh token there and set oauth_refresh_token.",
    "令牌服务器不授予该权限范围，或不支持以此方式授予。",
    "检查 oauth_scope。Google 的邮件权限只能通过桌面应用流程取得：取得刷新令牌后填入 oauth_refresh_token。",
];
const SETTINGS: Words = [
    "The token server refuses the configured request.",
    "Check oauth_token_url (the tenant in it), oauth_client_id, oauth_scope and the permissions of the application; the server's message names the reason.",
    "令牌服务器拒绝了当前配置的请求。",
    "检查 oauth_token_url（其中的租户）、oauth_client_id、oauth_scope 以及应用权限；服务器的原话说明了原因。",
];
const NOT_JSON: Words = [
    "The token server answered with a web page or something else instead of a token.",
    "Check oauth_token_url; if it is right, a proxy or the network's login page answers instead.",
    "令牌服务器返回的是网页或其他内容，而不是令牌。",
    "检查 oauth_token_url；若无误，可能是代理或网络登录页代为应答。",
];
const CERTIFICATE: Words = [
    "The token server's certificate is not trusted.",
    "Check the clock and the ca-certificates package; for a server with its own root, set tls_ca_file.",
    "令牌服务器的证书不受信任。",
    "检查系统时间和 ca-certificates 软件包；自建根证书请设置 tls_ca_file。",
];
const BUSY: Words = [
    "The token server is overloaded or failing.",
    "Nothing to do: Jobbell tries again later and uses another server until then.",
    "令牌服务器繁忙或出现故障。",
    "无需处理：稍后自动重试，期间改用其他服务器。",
];
const UNREACHABLE: Words = [
    "The token server cannot be reached or does not answer in time.",
    "Check that this machine reaches the host of oauth_token_url on port 443.",
    "无法连接令牌服务器，或应答超时。",
    "检查本机能否通过 443 端口访问 oauth_token_url 的主机。",
];
const STORAGE: Words = [
    "The stored permission (OAuth2 refresh token) cannot be read.",
    "Check the owner and rights of the files in state_dir, or run `jobbell oauth NAME` again.",
    "无法读取已保存的授权（OAuth2 刷新令牌）。",
    "检查 state_dir 中文件的属主和权限，或重新运行 `jobbell oauth NAME`。",
];
const DECLINED: Words = [
    "The permission was refused at the browser.",
    "Run `jobbell oauth NAME` again and agree; an administrator may have to allow the application first.",
    "授权请求在浏览器中被拒绝。",
    "重新运行 `jobbell oauth NAME` 并同意；可能需要管理员先允许该应用。",
];
const CODE_EXPIRED: Words = [
    "The code was not entered in time.",
    "Run `jobbell oauth NAME` again and enter the new code.",
    "未在有效期内输入代码。",
    "重新运行 `jobbell oauth NAME` 并输入新代码。",
];

const fn words(problem: Problem) -> Words {
    match problem {
        Problem::Consent => CONSENT,
        Problem::SecretExpired => SECRET_EXPIRED,
        Problem::Client => CLIENT,
        Problem::Scope => SCOPE,
        Problem::Settings => SETTINGS,
        Problem::NotJson => NOT_JSON,
        Problem::Certificate => CERTIFICATE,
        Problem::Busy { .. } => BUSY,
        Problem::Unreachable => UNREACHABLE,
        Problem::Storage => STORAGE,
        Problem::Declined => DECLINED,
        Problem::CodeExpired => CODE_EXPIRED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_server_in_both_languages() {
        let error = TokenError::new(Problem::Consent, "x");
        for locale in [Locale::En, Locale::ZhCn] {
            assert!(
                error
                    .explain("QQ邮箱", locale)
                    .advice
                    .contains("`jobbell oauth QQ邮箱`")
            );
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

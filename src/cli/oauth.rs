//! `jobbell oauth NAME`: gets an OAuth 2.0 refresh token by a device code that the operator enters
//! in any browser.

use clap::Args;

use super::i18n::{terminal_locale, tr};
use super::servers::Servers;
use super::{CONFIG, DONE, FAILED, block_on, failed, usage_error};
use crate::clock::Clock;
use crate::config::{Config, Sources};
use crate::daemon::token_home_of_command;
use crate::domain::{Explanation, Locale, ServerName};
use crate::transport::explain::Table;
use crate::transport::oauth::{
    DeviceFlow, DeviceSettings, Grant, Prompt, Settings, TokenError, TokenStore, device_url,
};
use crate::transport::smtp::Login;

/// The server to authorize.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Name of the mail server in the configuration [default: the first with auth = "xoauth2"]
    name: Option<String>,
    /// Device authorization URL, for providers other than Google and Microsoft
    #[arg(long, value_name = "URL")]
    device_url: Option<String>,
}

/// Guides the operator through the flow and stores the token.
pub(super) fn run(sources: &Sources, options: &Options) -> u8 {
    let servers = match Servers::load(sources) {
        Ok(servers) => servers,
        Err(status) => return status,
    };
    let locale = terminal_locale();
    let (name, source) = match wanted(&servers, options.name.as_deref(), locale) {
        Ok(wanted) => wanted,
        Err(status) => return status,
    };
    if source.grant == Grant::ClientCredentials {
        println!(
            "{}",
            tr(
                locale,
                "This server gets its tokens with the client secret; no consent is needed. Try it with `jobbell test-email`.",
                "该服务器使用客户端密钥获取令牌，无需授权。请运行 `jobbell test-email` 测试。"
            )
        );
        return DONE;
    }
    let Some(device_url) = options
        .device_url
        .clone()
        .or_else(|| device_url(&source.token_url))
    else {
        return usage_error(tr(
            locale,
            "unknown device authorization URL of this provider: pass --device-url, or get a refresh token from the provider and set oauth_refresh_token",
            "未知该服务商的设备码授权地址：请用 --device-url 指定，或在服务商处取得刷新令牌并设置 oauth_refresh_token",
        ));
    };
    match block_on(walk(&servers.config, &name, &source, device_url, locale)) {
        Ok(status) => status,
        Err(error) => failed(error),
    }
}

/// The server's name and its OAuth settings.
fn wanted(
    servers: &Servers,
    name: Option<&str>,
    locale: Locale,
) -> Result<(ServerName, Settings), u8> {
    let all = servers.all();
    let first = all.iter().find(|one| source(one.settings).is_some());
    let chosen = match (name, first) {
        (None, Some(first)) => first.settings,
        (name, _) => servers.named(name, locale).map_err(usage_error)?.settings,
    };
    source(chosen)
        .map(|source| (chosen.common.name.clone(), source.clone()))
        .ok_or_else(|| {
            let why = tr(
                locale,
                "does not use OAuth 2.0: set auth = \"xoauth2\" for it",
                "未使用 OAuth2 登录：请为其设置 auth = \"xoauth2\"",
            );
            eprintln!("jobbell: \"{}\" {why}", chosen.common.name);
            CONFIG
        })
}

fn source(settings: &crate::transport::Settings) -> Option<&Settings> {
    match &settings.as_smtp()?.login {
        Some(Login::Xoauth2 { source, .. }) => Some(source),
        _ => None,
    }
}

async fn walk(
    config: &Config,
    name: &ServerName,
    source: &Settings,
    device_url: String,
    locale: Locale,
) -> u8 {
    let settings = DeviceSettings {
        device_url,
        token_url: source.token_url.clone(),
        client_id: source.client_id.clone(),
        client_secret: source.client_secret.clone(),
        scope: source.scope.clone(),
        tls_ca_file: source.tls_ca_file.clone(),
    };
    let refused = |error: &TokenError| explained(error, name, locale);
    let mut flow = match DeviceFlow::start(settings, Clock::System).await {
        Ok(flow) => flow,
        Err(error) => return refused(&error),
    };
    tell(flow.prompt(), config, locale);
    let consent = match flow.wait().await {
        Ok(consent) => consent,
        Err(error) => return refused(&error),
    };
    let store = TokenStore::at(&token_home_of_command(config), name);
    let saved = store
        .save(
            source.refresh_token.as_ref(),
            &consent.refresh_token,
            Clock::System.now(),
        )
        .await;
    if let Err(error) = saved {
        let why = tr(
            locale,
            "authorized, but the token cannot be stored",
            "已获授权，但无法保存",
        );
        return failed(format_args!("{why}: {error}"));
    }
    say_where(&store, locale);
    println!(
        "{} jobbell test-email --server \"{name}\"",
        tr(locale, "Try it:", "请测试：")
    );
    DONE
}

fn say_where(store: &TokenStore, locale: Locale) {
    match store.path() {
        Some(path) => println!(
            "{} {}",
            tr(locale, "Token stored in", "授权已保存到"),
            path.display()
        ),
        None => println!(
            "{}",
            tr(
                locale,
                "Token stored in the database, for all nodes",
                "授权已保存到数据库，供所有节点使用"
            )
        ),
    }
}

fn tell(prompt: &Prompt, config: &Config, locale: Locale) {
    let until = prompt
        .expires_at
        .to_jiff()
        .to_zoned(config.render.timezone.clone())
        .strftime("%H:%M")
        .to_string();
    let address = prompt
        .verification_uri_complete
        .as_ref()
        .unwrap_or(&prompt.verification_uri);
    let code = &prompt.user_code;
    match locale {
        Locale::En => {
            println!("1. Open this page in a browser, on any machine:\n\n     {address}\n");
            println!(
                "2. Enter this code there before {until}, sign in to the mailbox, and allow access:\n\n     {code}\n"
            );
            println!("Waiting for your approval; press Ctrl-C to give up.");
        }
        Locale::ZhCn => {
            println!("1. 在任意设备的浏览器中打开：\n\n     {address}\n");
            println!("2. 在 {until} 之前输入此代码，登录邮箱账号并同意授权：\n\n     {code}\n");
            println!("正在等待授权；按 Ctrl-C 取消。");
        }
    }
}

fn explained(error: &TokenError, name: &ServerName, locale: Locale) -> u8 {
    eprintln!("jobbell: {error}");
    if let Some(Explanation { cause, advice }) = error.explain(&Table::new(), name, locale) {
        eprintln!("{}{cause}", tr(locale, "Cause:      ", "原因：    "));
        eprintln!("{}{advice}", tr(locale, "What to do: ", "处理办法："));
    }
    FAILED
}

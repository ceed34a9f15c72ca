//! `jobbell providers`: lists the known mail services and how to get the password of each.

use std::fmt::Write as _;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::i18n::tr;
use super::{DONE, USAGE};
use crate::domain::Locale;
use crate::transport::RateLimit;
use crate::transport::providers::{self, AuthKind, FromRule, Provider, User};
use crate::transport::smtp::Tls;

/// Maximum width of the list.
const WIDTH: u16 = 100;

/// Lists the services, or shows one with the steps to its password.
pub(super) fn run(name: Option<&str>, locale: Locale, json: bool) -> u8 {
    match answer(name, locale, json) {
        Ok(text) => {
            print!("{text}");
            DONE
        }
        Err(why) => {
            eprintln!("jobbell: {why}");
            USAGE
        }
    }
}

/// The text to print, or an error that suggests the nearest name.
fn answer(name: Option<&str>, locale: Locale, json: bool) -> Result<String, String> {
    let Some(name) = name else {
        return Ok(if json {
            format!(
                "{:#}\n",
                Value::Array(providers::all().map(|one| record(&one, locale)).collect())
            )
        } else {
            list(locale)
        });
    };
    let provider = providers::find(name).ok_or_else(|| unknown(name, locale))?;
    Ok(if json {
        format!("{:#}\n", record(&provider, locale))
    } else {
        page(&provider, locale)
    })
}

fn unknown(name: &str, locale: Locale) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    let list = tr(
        locale,
        "run `jobbell providers` for a list",
        "`jobbell providers` 列出全部",
    );
    match (providers::nearest(&name), locale) {
        (Some(near), Locale::En) => {
            format!("unknown mail service \"{name}\"; did you mean \"{near}\"? {list}")
        }
        (Some(near), Locale::ZhCn) => {
            format!("未知的邮件服务 \"{name}\"；是否为 \"{near}\"？{list}")
        }
        (None, Locale::En) => format!("unknown mail service \"{name}\"; {list}"),
        (None, Locale::ZhCn) => format!("未知的邮件服务 \"{name}\"；{list}"),
    }
}

fn list(locale: Locale) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    table.set_header(match locale {
        Locale::En => ["name", "service", "server", "password"],
        Locale::ZhCn => ["名称", "服务", "服务器", "密码项"],
    });
    for provider in providers::all() {
        let server = provider.host.map_or_else(
            || tr(locale, "(by region)", "（按区域）").to_owned(),
            |host| format!("{host}:{}", provider.port),
        );
        table.add_row([
            provider.name,
            provider.title(locale),
            &server,
            provider.password(locale),
        ]);
    }
    // Names, services and servers are copied from here, so they are never wrapped.
    for column in table.column_iter_mut().take(3) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    let table = table.trim_fmt();
    let more = tr(
        locale,
        "How to get the password of one of them: jobbell providers NAME",
        "查看某一项如何获取密码或授权码：jobbell providers 名称",
    );
    format!("{table}\n\n{more}\n")
}

/// The page of one service.
fn page(provider: &Provider, locale: Locale) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let encryption = match provider.tls {
        Tls::Implicit => tr(locale, "implicit TLS", "全程 TLS（implicit）"),
        Tls::Starttls => tr(locale, "STARTTLS, required", "必须 STARTTLS"),
        Tls::Opportunistic => tr(locale, "STARTTLS when offered", "可用时 STARTTLS"),
        Tls::None => tr(locale, "not encrypted", "不加密"),
    };
    let server = format!(
        "{} · {} · {encryption}",
        provider.host.unwrap_or("email-smtp.REGION.amazonaws.com"),
        provider.port
    );
    table.add_row([tr(locale, "server", "服务器"), &server]);
    table.add_row([tr(locale, "ports", "端口"), provider.ports]);
    table.add_row([
        tr(locale, "login name", "登录名"),
        &user(provider.user, locale),
    ]);
    table.add_row([tr(locale, "password", "密码项"), provider.password(locale)]);
    table.add_row([
        tr(locale, "from", "发件人"),
        from_rule(provider.from, locale),
    ]);
    table.add_row([tr(locale, "limits", "限额"), &limits(provider, locale)]);
    let mut text = format!(
        "{} ({})\n\n{}\n\n{}\n\n",
        provider.title(locale),
        provider.name,
        table.trim_fmt(),
        provider.notes(locale)
    );
    text.push_str(tr(locale, "Step by step:\n", "步骤：\n"));
    for (number, step) in (1..).zip(provider.steps(locale)) {
        // Writing to a String cannot fail.
        writeln!(text, "  {number}. {step}").ok();
    }
    text.push_str(tr(
        locale,
        "\nConfiguration (config.toml):\n",
        "\n配置（config.toml）：\n",
    ));
    for line in example(provider).lines() {
        writeln!(text, "  {line}").ok();
    }
    text
}

fn user(user: User, locale: Locale) -> String {
    match user {
        User::Address => tr(locale, "the full mail address", "完整邮箱地址").to_owned(),
        User::Word(word) => format!("{} \"{word}\"", tr(locale, "always", "固定为")),
        User::Issued => tr(locale, "issued by the service", "由服务商提供").to_owned(),
        User::Anything => tr(locale, "none, or any", "无，或任意").to_owned(),
    }
}

fn from_rule(rule: FromRule, locale: Locale) -> &'static str {
    match rule {
        FromRule::MustBeLogin => tr(locale, "must be the login", "必须与登录账号一致"),
        FromRule::MustBeOwned => tr(
            locale,
            "a verified address or domain of the account",
            "须为该账号的地址或已验证域名",
        ),
        FromRule::Rewritten => tr(
            locale,
            "rewritten to the account's address, except for confirmed aliases",
            "除已确认的别名外，会被改写为账号地址",
        ),
        FromRule::Free => tr(locale, "any", "任意"),
    }
}

/// The preset's limits, with the service's daily limit if known.
fn limits(provider: &Provider, locale: Locale) -> String {
    let connections = provider
        .connections
        .map(|count| format!("{} {count}", tr(locale, "connections", "连接数")));
    let each = provider.mails_per_connection.map(|count| {
        format!(
            "{} {count}",
            tr(locale, "mails per connection", "每连接封数")
        )
    });
    let rate = provider.rate_limit.map(rate);
    let day = provider.per_day.map(|count| {
        format!(
            "{count}/day ({})",
            tr(locale, "service limit", "服务商限制")
        )
    });
    let all: Vec<String> = [connections, each, rate, day]
        .into_iter()
        .flatten()
        .collect();
    if all.is_empty() {
        tr(locale, "none", "无").to_owned()
    } else {
        all.join(" · ")
    }
}

/// A rate in configuration syntax.
fn rate(limit: RateLimit) -> String {
    let unit = match limit.per.as_secs() {
        1 => "s",
        60 => "min",
        3_600 => "h",
        _ => "day",
    };
    format!("{}/{unit}", limit.mails)
}

/// The minimal configuration for the service.
fn example(provider: &Provider) -> String {
    let domain = provider.example_domain();
    let mut text = format!("[smtp]\nprovider = \"{}\"\n", provider.name);
    if provider.host.is_none() {
        text.push_str("host = \"email-smtp.us-east-1.amazonaws.com\"\n");
    }
    match provider.user {
        User::Address => writeln!(text, "username = \"me@{domain}\"").ok(),
        User::Word(word) => writeln!(text, "username = \"{word}\"").ok(),
        User::Issued => writeln!(text, "username = \"…\"").ok(),
        User::Anything => None,
    };
    if provider.user != User::Address {
        writeln!(text, "from = \"notify@{domain}\"").ok();
    }
    match (provider.user, provider.preferred_auth()) {
        (User::Anything, _) => {}
        (_, AuthKind::Password | AuthKind::Api) => {
            text.push_str("password = \"…\"    # password_file = \"/path\"\n");
        }
        (_, AuthKind::Xoauth2) => text.push_str("auth = \"xoauth2\"\noauth_client_id = \"…\"\n"),
    }
    text.push_str("to = \"someone@example.com\"\n");
    text
}

fn record(provider: &Provider, locale: Locale) -> Value {
    let tls = match provider.tls {
        Tls::Implicit => "implicit",
        Tls::Starttls => "starttls",
        Tls::Opportunistic => "auto",
        Tls::None => "none",
    };
    let from = match provider.from {
        FromRule::MustBeLogin => "login",
        FromRule::MustBeOwned => "identity",
        FromRule::Rewritten => "rewritten",
        FromRule::Free => "free",
    };
    let auth: Vec<&str> = AuthKind::ALL
        .iter()
        .filter(|kind| provider.offers(**kind))
        .map(|kind| kind.as_str())
        .collect();
    let oauth = provider.oauth.map(|oauth| json!({"token_url": oauth.token_url, "scope": oauth.scope, "app_scope": oauth.app_scope}));
    json!({
        "name": provider.name,
        "title": provider.title(locale),
        "host": provider.host,
        "port": provider.port,
        "tls": tls,
        "ports": provider.ports,
        "username": user(provider.user, locale),
        "password": provider.password(locale),
        "from": from,
        "auth": auth,
        "oauth": oauth,
        "max_connections": provider.connections,
        "mails_per_connection": provider.mails_per_connection,
        "rate_limit": provider.rate_limit.map(rate),
        "per_day": provider.per_day,
        "notes": provider.notes(locale),
        "steps": provider.steps(locale).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_has_every_service_and_fits_a_terminal() {
        for locale in [Locale::En, Locale::ZhCn] {
            let text = answer(None, locale, false).unwrap();
            for provider in providers::all() {
                assert!(
                    text.lines()
                        .any(|line| line.trim_start().starts_with(provider.name)),
                    "{}",
                    provider.name
                );
            }
            assert!(
                text.lines()
                    .all(|line| line.chars().count() <= usize::from(WIDTH)),
                "{text}"
            );
        }
    }

    #[test]
    fn page_has_numbered_steps_in_the_requested_language() {
        let en = answer(Some("QQ"), Locale::En, false).unwrap();
        assert!(
            en.contains("smtp.qq.com · 465 · implicit TLS")
                && en.contains("  5. Put the code in as the password"),
            "{en}"
        );
        assert!(
            en.contains("must be the login")
                && en.contains("connections 1 · mails per connection 10 · 20/min"),
            "{en}"
        );
        let zh = answer(Some("qq"), Locale::ZhCn, false).unwrap();
        assert!(
            zh.contains("  4. 记下 16 位授权码") && zh.contains("必须与登录账号一致"),
            "{zh}"
        );
    }

    #[test]
    fn every_example_is_valid_toml_and_complete() {
        for provider in providers::all() {
            let table: toml::Table = example(&provider).parse().unwrap();
            let smtp = table.get("smtp").unwrap();
            assert_eq!(smtp.get("provider").unwrap().as_str(), Some(provider.name));
            assert_eq!(smtp.get("host").is_some(), provider.host.is_none());
            let sender = smtp
                .get("from")
                .or_else(|| smtp.get("username"))
                .unwrap()
                .as_str()
                .unwrap();
            assert!(sender.contains('@'), "{}: {sender}", provider.name);
        }
        for (name, token) in [("outlook", true), ("office365", true), ("gmail", false)] {
            assert_eq!(
                example(&providers::find(name).unwrap()).contains("auth = \"xoauth2\""),
                token,
                "{name}"
            );
        }
    }

    #[test]
    fn json_is_a_list_or_one_record() {
        let list: Value = serde_json::from_str(&answer(None, Locale::En, true).unwrap()).unwrap();
        assert_eq!(list.as_array().unwrap().len(), providers::all().count());
        let gmail: Value =
            serde_json::from_str(&answer(Some("gmail"), Locale::ZhCn, true).unwrap()).unwrap();
        assert_eq!(gmail.pointer("/rate_limit").unwrap(), "20/min");
        assert_eq!(
            gmail.pointer("/oauth/scope").unwrap(),
            "https://mail.google.com/"
        );
        assert!(
            gmail
                .pointer("/steps/0")
                .unwrap()
                .as_str()
                .unwrap()
                .contains("两步验证")
        );
    }

    #[test]
    fn unknown_name_is_a_usage_error_with_a_suggestion() {
        assert!(
            answer(Some("gmial"), Locale::En, false)
                .unwrap_err()
                .contains("did you mean \"gmail\"?")
        );
        assert!(
            answer(Some("hotmail"), Locale::ZhCn, true)
                .unwrap_err()
                .contains("是否为 \"outlook\"")
        );
        let strange = answer(
            Some(&format!("\x1b[31m{}", "x".repeat(500))),
            Locale::En,
            false,
        )
        .unwrap_err();
        assert!(
            !strange.contains('\x1b') && strange.len() < 200,
            "{strange}"
        );
        assert_eq!(run(Some("no such thing"), Locale::En, false), USAGE);
    }
}

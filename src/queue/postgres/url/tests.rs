//! The rules of a database's URL.

use std::time::Duration;

use proptest::prelude::*;
use tokio_postgres::config::{
    ChannelBinding, LoadBalanceHosts, SslNegotiation, TargetSessionAttrs,
};

use super::*;

fn parse(text: &str) -> ConnectionUrl {
    ConnectionUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refuse(text: &str) -> UrlError {
    ConnectionUrl::parse(text).expect_err(text)
}

#[test]
fn parts_are_taken_from_the_url_and_from_parameters() {
    // The URL, and its user, password, hosts and database.
    for (text, expected) in [
        ("postgres://u:p@h/db", "u p h:5432 db"),
        ("postgresql://u@h:6432/db?", "u - h:6432 db"),
        (
            "postgres://u:p@h1:5432,h2,h3:5434/db",
            "u p h1:5432,h2:5432,h3:5434 db",
        ),
        (
            "postgres://u@[::1]:5433,[fe80::1]/db",
            "u - ::1:5433,fe80::1:5432 db",
        ),
        ("postgres://u:@10.0.0.1/db", "u - 10.0.0.1:5432 db"),
        ("postgres://u:a:b+c#d@h/db", "u a:b+c#d h:5432 db"),
        (
            "postgres://a%40b:%70%2F%3A%25@h/d%20b",
            "a@b p/:% h:5432 d b",
        ),
        ("postgres://u@h:/db", "u - h:5432 db"),
        ("postgres://%C3%BC@h/db", "ü - h:5432 db"),
        (
            "postgres://u@%2Frun%2Fpostgresql/db",
            "u - /run/postgresql:5432 db",
        ),
        (
            "postgres:///db?host=/run/postgresql&user=u",
            "u - /run/postgresql:5432 db",
        ),
        (
            "postgres://?host=h1,[::1]&port=1,2&user=u&password=p&dbname=db",
            "u p h1:1,::1:2 db",
        ),
        ("postgres://u@h1,h2/db?port=6432", "u - h1:6432,h2:6432 db"),
        ("postgres://u@h1,h2/db?port=6432,", "u - h1:6432,h2:5432 db"),
        (
            "postgres://u@h/db?user=&password=&sslmode=require",
            "u - h:5432 db",
        ),
    ] {
        let config = parse(text).config();
        let name = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        let hosts = config.get_hosts().iter().map(name).zip(config.get_ports());
        let hosts: Vec<_> = hosts.map(|(host, port)| format!("{host}:{port}")).collect();
        let password = config.get_password().map(String::from_utf8_lossy);
        let found = format!(
            "{} {} {} {}",
            config.get_user().unwrap(),
            password.as_deref().unwrap_or("-"),
            hosts.join(","),
            config.get_dbname().unwrap()
        );
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn other_machines_are_reached_encrypted_only() {
    use SslMode::{Disable, Prefer, Require};
    for (url, expected) in [
        ("postgres://u@db.example.com/q", Require),
        ("postgres://u@db.example.com/q?sslmode=prefer", Require),
        ("postgres://u@db.example.com/q?sslmode=verify-ca", Require),
        ("postgres://u@db.example.com/q?sslmode=verify-full", Require),
        ("postgres://u@127.0.0.1,10.0.0.1/q", Require),
        ("postgres://u@127.0.0.1.example.com/q", Require),
        ("postgres://u@localhost.example.com/q", Require),
        ("postgres://u@0.0.0.0/q", Require),
        ("postgres://u@localhost/q", Disable),
        ("postgres://u@LOCALHOST,127.8.8.8,[::1]/q", Disable),
        ("postgres://u@[::ffff:127.0.0.1]/q", Disable),
        ("postgres://u@localhost/q?sslmode=prefer", Prefer),
        ("postgres://u@127.0.0.1/q?sslmode=require", Require),
        ("postgres://u@[::1]:5433/q?sslmode=disable", Disable),
        ("postgres://u@%2Frun%2Fpostgresql/q", Disable),
        (
            "postgres://u@/q?host=/run/postgresql&sslmode=require",
            Disable,
        ),
        (
            "postgres://u@/q?host=/run/postgresql,localhost&sslmode=prefer",
            Prefer,
        ),
    ] {
        let url = parse(url);
        assert_eq!(url.config().get_ssl_mode(), expected, "{url:?}");
        assert_eq!(url.needs_tls(), expected == Require, "{url:?}");
    }
    for hosts in [
        "db.example.com",
        "127.0.0.1,10.0.0.1",
        "%2Frun,h",
        "[2001:db8::1]",
    ] {
        let error = refuse(&format!("postgres://u@{hosts}/q?sslmode=disable"));
        assert_eq!(error, UrlError::Unencrypted, "{hosts}");
        assert!(error.to_string().contains("in the clear"), "{error}");
    }
    assert_eq!(refuse("postgres://u@%2Frun,h/q"), UrlError::MixedSocket);
}

#[test]
fn only_a_server_that_accepts_writes_is_used() {
    for text in [
        "postgres://u@h1,h2/q",
        "postgres://u@h/q?target_session_attrs=read-write",
        "postgres://u@h/q?target_session_attrs=primary",
    ] {
        let attributes = parse(text).config().get_target_session_attrs();
        assert_eq!(attributes, TargetSessionAttrs::ReadWrite, "{text}");
    }
    for value in ["any", "read-only", "standby", "prefer-standby", ""] {
        let error = refuse(&format!("postgres://u@h/q?target_session_attrs={value}"));
        let (en, zh) = (error.to_string(), error.chinese());
        assert!(en.contains("read-write, since the queue writes"), "{en}");
        assert!(zh.contains("read-write"), "{zh}");
    }
}

#[test]
fn connections_have_time_limits() {
    let seconds = Duration::from_secs;
    let of = |text: &str| {
        let config = parse(text).config();
        (
            config.get_connect_timeout().copied(),
            config.get_tcp_user_timeout().copied(),
            (
                config.get_keepalives(),
                config.get_keepalives_idle(),
                config.get_keepalives_interval(),
                config.get_keepalives_retries(),
            ),
        )
    };
    assert_eq!(
        of("postgres://u@h/q"),
        (
            Some(seconds(3)),
            Some(seconds(10)),
            (true, seconds(10), Some(seconds(5)), Some(3))
        )
    );
    let given = "connect_timeout=2&tcp_user_timeout=1500&keepalives=0&keepalives_idle=60&keepalives_interval=7&keepalives_count=9";
    assert_eq!(
        of(&format!("postgres://u@h/q?{given}")),
        (
            Some(seconds(2)),
            Some(Duration::from_millis(1_500)),
            (false, seconds(60), Some(seconds(7)), Some(9))
        )
    );
    let config = parse("postgres://u@h/q").config();
    assert_eq!(config.get_application_name(), Some("jobbell"));
    let config = parse(
        "postgres://u@h/q?application_name=two%20words&channel_binding=require&load_balance_hosts=random&sslnegotiation=direct&options=-c%20a=b",
    )
    .config();
    assert_eq!(config.get_application_name(), Some("two words"));
    assert_eq!(config.get_channel_binding(), ChannelBinding::Require);
    assert_eq!(config.get_load_balance_hosts(), LoadBalanceHosts::Random);
    assert_eq!(config.get_ssl_negotiation(), SslNegotiation::Direct);
    assert_eq!(config.get_options(), Some("-c a=b"));
}

#[test]
fn bad_url_is_refused_with_what_is_wrong() {
    for (url, expected) in [
        ("mysql://u@h/q", "expected postgres://USER@HOST/DATABASE"),
        ("postgres:u@h/q", "expected postgres://"),
        ("postgres://u:hunter2@/q", "the host is missing"),
        ("postgres:///q?user=u", "?host=/run/postgresql"),
        ("postgres://:hunter2@h/q", "set PGUSER"),
        ("postgres://h/q", "user name is missing"),
        ("postgres://u:hunter2@h", "set PGDATABASE"),
        ("postgres://u:hunter2@h/", "database is missing"),
        (
            "postgres://u:hunter2@h/q?sslmode=maybe",
            "value of sslmode, expected disable, prefer",
        ),
        ("postgres://u:hunter2@h/q?sslmode=allow", "value of sslmode"),
        (
            "postgres://u:hunter2@h/q?colour=hunter2",
            "unknown parameter colour;",
        ),
        (
            "postgres://u@h/q?password=a&hunter2",
            "parameter 2 is unknown; remove it, or write an & in the password as %26",
        ),
        (
            "postgres://u@h/q?password=a&hunter2=b",
            "parameter 2 is unknown",
        ),
        ("postgres://u@h/q?Hunter2@x", "write %40"),
        ("postgres://u:hunter2@h/q?user=v", "user is given twice"),
        ("postgres://u:hunter2@h/q?host=v", "host is given twice"),
        ("postgres://u:hunter2@h/q?dbname=v", "dbname is given twice"),
        (
            "postgres://u:hunter2@h/q?password=v",
            "password is given twice",
        ),
        ("postgres://u:hunter2@h:1/q?port=2", "port is given twice"),
        (
            "postgres://u@h/q?sslmode=require&sslmode=disable",
            "sslmode is given twice",
        ),
        (
            "postgres://u:hunter2@h1,h2,h3/q?port=1,2",
            "number of ports differs",
        ),
        (
            "postgres://u:hunter2@h:port/q",
            "the port of host 1 is invalid",
        ),
        (
            "postgres://u:hunter2@h,g:0/q",
            "the port of host 2 is invalid",
        ),
        ("postgres://u:hunter2@h:65536/q", "port of host 1"),
        ("postgres://u:hunter2@h:+1/q", "port of host 1"),
        ("postgres://hunter2:hunter2/q", "port of host 1"),
        ("postgres://u:hunter2@h,,g/q", "host 2 is invalid"),
        ("postgres://u:hunter2@::1/q", "IPv6 address in brackets"),
        ("postgres://u:hunter2@[::1/q", "host 1 is invalid"),
        ("postgres://u:hunter2@[::1]x/q", "host 1 is invalid"),
        ("postgres://u:hunter2@[h]/q", "host 1 is invalid"),
        ("postgres://u:hunter2@a*b/q", "host 1 is invalid"),
        ("postgres://u:hun@ter2@h/q", "write %40, %2F or %3F"),
        ("postgres://u:hun/ter2@h/q", "write %40, %2F or %3F"),
        ("postgres://u:hun?ter2@h/q", "write %40, %2F or %3F"),
        (
            "postgres://u:hunter2%@h/q",
            "write the character itself as %25",
        ),
        ("postgres://u:hunter2%zz@h/q", "two hexadecimal digits"),
        ("postgres://u:hunter2%ff@h/q", "two hexadecimal digits"),
        ("postgres://u:hunter2%00@h/q", "control character"),
        ("postgres://u:hunter2 @h/q", "white space"),
        ("postgres://u:hunter2@h/q\n", "white space"),
        (
            "postgres://u@h/q?sslrootcert=/ca.pem",
            "set queue.tls_ca_file",
        ),
        ("postgres://u@h/q?sslkey=/k", "client certificates"),
        ("postgres://u@h/q?passfile=/p", "queue.password_file"),
        (
            "postgres://u@h/q?connect_timeout=0",
            "value of connect_timeout, expected 1 to 60 seconds",
        ),
        ("postgres://u@h/q?connect_timeout=3s", "1 to 60 seconds"),
        ("postgres://u@h/q?tcp_user_timeout=1", "milliseconds"),
        (
            "postgres://u@h/q?keepalives=yes",
            "value of keepalives, expected 0 or 1",
        ),
        ("postgres://u@h/q?keepalives_idle=0", "1 to 7200 seconds"),
        ("postgres://u@h/q?keepalives_count=0", "1 to 100"),
        (
            "postgres://u@h/q?channel_binding=on",
            "disable, prefer or require",
        ),
        (
            "postgres://u@h/q?load_balance_hosts=on",
            "disable or random",
        ),
        ("postgres://u@h/q?sslnegotiation=tls", "postgres or direct"),
        (
            "postgres://u@localhost/q?sslnegotiation=direct",
            "direct with sslmode=require",
        ),
    ] {
        let error = refuse(url);
        let (en, zh, debug) = (error.to_string(), error.chinese(), format!("{error:?}"));
        assert!(en.contains(expected), "{url}: {en}");
        assert!(zh.contains(|c: char| c > '\u{4E00}'), "{url}: {zh}");
        for text in [en, zh, debug, ConnectionUrl::masked(url)] {
            assert!(!text.contains("hunter2"), "{url}: {text}");
            assert!(!text.contains("ter2"), "{url}: {text}");
        }
    }
}

#[test]
fn shown_url_has_no_password() {
    for (text, shown) in [
        (
            "postgresql://u:hunter2@h1:5432,h2/q?target_session_attrs=read-write",
            "postgres://u:***@h1:5432,h2/q?target_session_attrs=read-write",
        ),
        (
            "postgres://u@h/q?sslmode=require&password=hunter2&options=-c%20x=hunter2",
            "postgres://u@h/q?sslmode=require&password=***&options=***",
        ),
        (
            "postgres://a%40b@[::1]:1/d%2Fb",
            "postgres://a%40b@[::1]:1/d%2Fb",
        ),
        ("postgres://h", "postgres://h"),
        ("postgres://u:hunter2@h/q?pass=hunter2", "postgres://***"),
        ("hunter2", "postgres://***"),
    ] {
        assert_eq!(ConnectionUrl::masked(text), shown, "{text}");
        if let Ok(url) = ConnectionUrl::parse(text) {
            assert_eq!((url.shown(), format!("{url:?}").as_str()), (shown, shown));
            assert_eq!(url.has_password(), text.contains("hunter2"), "{text}");
        }
    }
}

#[test]
fn same_database_is_a_common_server_and_the_same_name() {
    let url = parse("postgres://u@h1,h2:6432/q");
    for (other, expected) in [
        ("postgres://v:p@H1/q?sslmode=require", true),
        ("postgres://u@h3,h2:6432/q", true),
        ("postgres://u@h2/q", false),
        ("postgres://u@h1/q2", false),
    ] {
        assert_eq!(url.is_same_database(&parse(other)), expected, "{other}");
    }
    let (socket, address) = ("postgres://u@%2Frun/q", "postgres://u@127.0.0.1/q");
    assert!(parse(socket).is_same_database(&parse(address)));
    assert!(parse(socket).is_local() && !url.is_local());
}

/// A password, and a URL that contains it, escaped or not.
fn with_password() -> impl Strategy<Value = String> {
    let around = "[a-zA-Z0-9@:/?#&=%+,.;\\[\\] _-]{0,6}";
    let rest = "[a-zA-Z0-9@:/?#&=%,\\[\\]_.-]{0,16}";
    let place = prop::sample::select(vec![
        "postgres://u:{}@h/q",
        "postgres://u:{}@h1:1,h2/q?sslmode=require",
        "postgres://u@h/q?password={}",
        "postgres://u@h/q?sslmode=require&password={}&connect_timeout=3",
        "postgres://u:{}@h/q?nonsense=1",
        "postgres://u:{}@/q",
        "postgresql://u:{}@localhost",
    ]);
    (place, around, around, rest).prop_map(|(place, before, after, rest)| {
        place.replace("{}", &format!("{before}cAnArY7{after}")) + &rest
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_text_about_a_url_contains_its_password(text in with_password()) {
        let shown = match ConnectionUrl::parse(&text) {
            Ok(url) => format!("{url:?} {} {:?}", url.shown(), url.config()),
            Err(error) => format!("{error} {} {error:?}", error.chinese()),
        };
        let masked = ConnectionUrl::masked(&text);
        prop_assert!(!shown.contains("cAnArY7"), "{}", shown);
        prop_assert!(!masked.contains("cAnArY7"), "{}", masked);
    }

    #[test]
    fn no_text_panics(text in "(postgres://)?\\PC{0,60}") {
        drop(ConnectionUrl::parse(&text));
    }

    #[test]
    fn shown_url_of_a_url_is_a_url(user in "[a-z]{1,4}", host in "[a-z]{1,4}", port in 1_u16.., name in "[a-z]{1,4}") {
        let url = parse(&format!("postgres://{user}:secret@{host}:{port}/{name}"));
        let again = parse(url.shown());
        prop_assert!(url.is_same_database(&again));
    }
}

//! `jobbell demo`: a daemon with a built-in inbox. Events take the same path as in production:
//! webhook, queue, SMTP, inbox.

mod events;
mod lint;
mod scenes;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{self, get};
use clap::Args;

use super::i18n::{Words, terminal_locale};
use super::target::{Place, Target};
use super::{CONFIG, client::Client, failed, log, serve};
use crate::clock::Clock;
use crate::config::{self, Config, Sources};
use crate::daemon::serve::Setup;
use crate::domain::Locale;
use crate::http::{Listener, Visitor};
use crate::mail_catcher::{self, MailCatcher};

/// Arguments of `jobbell demo`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Address to listen on; port 0 picks a free port [default: $JOBBELL_SERVER__LISTEN, else
    /// 127.0.0.1:8000 or a free port]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

/// Runs the demo until it is stopped.
pub(super) fn run(options: Options) -> u8 {
    let state = match Scratch::new() {
        Ok(state) => state,
        Err(error) => {
            return failed(format_args!(
                "cannot create a folder for the demo's queue: {error}"
            ));
        }
    };
    let runtime = match serve::runtime(None) {
        Ok(runtime) => runtime,
        Err(error) => return failed(error),
    };
    let prepared = runtime.block_on(prepare(options, &state));
    match prepared {
        Ok(setup) => serve::finish(runtime, setup),
        Err(status) => status,
    }
}

async fn prepare(options: Options, state: &Scratch) -> Result<Setup, u8> {
    let locale = terminal_locale();
    let mailbox = MailCatcher::start(
        (Ipv4Addr::LOCALHOST, 0).into(),
        mail_catcher::Limits::default(),
        now_ms,
    )
    .await;
    let mailbox = mailbox.map_err(|error| {
        failed(format_args!(
            "the demo's mail catcher cannot listen: {error}"
        ))
    })?;
    let listener = listen(options.listen)?;
    let http = listener.local_addr().to_string();
    let sources = sources(state, &mailbox.address(), &http, locale);
    let loaded = config::load(&sources).map_err(|report| {
        eprintln!("{report}");
        CONFIG
    })?;
    let handle = log::start(&loaded.config.log).map_err(failed)?;
    let store = mailbox.store().clone();
    let settings = loaded.config.clone();
    let routes = routes(&settings, http, store);
    let again = sources.clone();
    Ok(Setup {
        loaded,
        read_again: Box::new(move || config::load(&again)),
        set_log: Box::new(move |settings| handle.apply(settings)),
        inherited: Some(listener),
        routes,
        on_ready: Box::new(move |address| {
            tokio::spawn(greet(settings, address.to_owned(), locale, mailbox));
        }),
    })
}

/// The inbox pages, the images, and the routes of the sample buttons.
fn routes(config: &Config, address: String, store: mail_catcher::Store) -> Router {
    let is_own_page = |parts: &Parts| {
        parts
            .extensions
            .get::<Visitor>()
            .is_some_and(|visitor| visitor.check_origin().is_ok())
    };
    let tools = mail_catcher::pages::Tools {
        guard: Some(Arc::new(is_own_page)),
        linter: Some(lint::findings),
        samples: events::BUTTONS,
        api: format!("http://{address}"),
    };
    let sender = Arc::new(Samples {
        config: config.clone(),
        address,
    });
    Router::new()
        .route("/", get(async || Redirect::to("/mailbox")))
        .route("/demo/{name}", get(picture))
        .route("/demo/sample/{name}", routing::post(sample))
        .with_state(sender)
        .merge(mail_catcher::pages::router(store, tools))
}

/// State of the sample buttons, which post samples the same way as any client.
struct Samples {
    config: Config,
    address: String,
}

/// Posts a sample in the page's language and redirects to the list.
async fn sample(
    State(samples): State<Arc<Samples>>,
    Path(name): Path<String>,
    visitor: Visitor,
    headers: HeaderMap,
) -> Response {
    if let Err(problem) = visitor.check_origin() {
        return problem.into_response();
    }
    let wanted = headers
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let Some((path, body)) = events::sample(
        &name,
        &samples.address,
        Clock::System.now(),
        mail_catcher::pages::language(wanted),
    ) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match post(&samples.config, path, &body).await {
        Ok(()) => Redirect::to("/mailbox").into_response(),
        Err(why) => (StatusCode::BAD_GATEWAY, why).into_response(),
    }
}

/// Listens on the requested address, else on port 8000, else on a free port.
fn listen(wanted: Option<SocketAddr>) -> Result<Listener, u8> {
    let from_environment = std::env::var("JOBBELL_SERVER__LISTEN")
        .ok()
        .filter(|text| !text.is_empty());
    let wanted = match (wanted, from_environment) {
        (Some(address), _) => Some(address),
        (None, Some(text)) => {
            let problem = |_| {
                failed(format_args!(
                    "$JOBBELL_SERVER__LISTEN: invalid address {text:?}, expected ADDRESS:PORT such as 127.0.0.1:8000"
                ))
            };
            Some(text.parse().map_err(problem)?)
        }
        (None, None) => None,
    };
    if let Some(address) = wanted {
        if !address.ip().is_loopback() {
            return Err(failed(
                "the demo has no authentication, so it listens on loopback addresses only; use 127.0.0.1 or [::1]",
            ));
        }
        return Listener::bind(&crate::http::Listen::Tcp(address)).map_err(failed);
    }
    let tcp = |port| crate::http::Listen::Tcp((Ipv4Addr::LOCALHOST, port).into());
    Listener::bind(&tcp(8000)).or_else(|_| Listener::bind(&tcp(0)).map_err(failed))
}

/// The demo's configuration: built-in defaults and demo settings. Files and the environment are
/// ignored.
fn sources(state: &Scratch, smtp: &SocketAddr, http: &str, locale: Locale) -> Sources {
    let set = |key: &str, value: String| (key.to_owned(), value, "demo".to_owned());
    let overrides = vec![
        set("smtp.host", smtp.ip().to_string()),
        set("smtp.port", smtp.port().to_string()),
        set("smtp.tls", "none".to_owned()),
        set("smtp.name", "demo mailbox".to_owned()),
        set("smtp.from", "bell@jobbell.example".to_owned()),
        set("smtp.from_name", "Jobbell".to_owned()),
        set("smtp.to", "you@jobbell.example".to_owned()),
        set("server.listen", http.to_owned()),
        set("queue.state_dir", state.0.display().to_string()),
        set("email.locale", locale.tag().to_owned()),
        set("email.public_url", format!("http://{http}")),
        set("log.level", "warn".to_owned()),
    ];
    Sources {
        overrides,
        ..Sources::default()
    }
}

/// Posts the sample events to the webhook and prints the address of the inbox.
async fn greet(
    config: Config,
    address: String,
    locale: Locale,
    mailbox: mail_catcher::MailCatcherHandle,
) {
    for event in events::samples(&address, Clock::System.now()) {
        if let Err(error) = post(&config, "/v1/events", &event).await {
            failed(error);
        }
    }
    let words = Words::of(locale);
    println!("{}http://{address}/mailbox", words.demo_ready);
    println!("{}", words.demo_post);
    println!("  curl -H 'Content-Type: application/json' http://{address}/v1/events \\");
    println!(
        "    -d '{{\"status\":\"succeeded\",\"title\":\"My first picture\",\"prompt\":\"A cute little kitten\",\"image_url\":\"http://{address}/demo/cat.png\"}}'"
    );
    println!("{}", words.demo_stop);
    // The mail catcher runs as long as this task: until the runtime ends.
    std::future::pending::<()>().await;
    drop(mailbox);
}

async fn post(config: &Config, path: &str, body: &serde_json::Value) -> Result<(), String> {
    let target = Target {
        place: Place::Listen(config.server.listen.clone()),
        token: config.server.tokens.first().cloned(),
        withheld: None,
    };
    let client = Client::new(target).map_err(|error| error.to_string())?;
    let answer = client
        .post(path, "application/json", body.to_string().into_bytes())
        .await
        .map_err(|error| error.to_string())?;
    if answer.status == 202 {
        Ok(())
    } else {
        Err(super::client::explain(&answer, terminal_locale()))
    }
}

async fn picture(Path(name): Path<String>) -> Response {
    let drawn = tokio::task::spawn_blocking(move || scenes::draw(&name)).await;
    match drawn.unwrap_or(None) {
        Some(png) => (
            [
                (header::CONTENT_TYPE, "image/png"),
                (header::CACHE_CONTROL, "max-age=3600"),
            ],
            png,
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn now_ms() -> i64 {
    Clock::System.now().as_millis()
}

/// A temporary directory for the demo's queue, removed on drop. Its name is unique even if a killed
/// demo with the same process ID left one behind.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!(
            "jobbell-demo-{}-{:08x}",
            std::process::id(),
            fastrand::u32(..)
        ));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("jobbell: cannot remove {}: {error}", self.0.display());
        }
    }
}

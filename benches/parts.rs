//! Measures the CPU time of one mail, excluding disk and network: parsing the event, rendering,
//! composing, and the SMTP dialogue.
//!
//! `cargo bench --profile dist --bench parts`
#![expect(clippy::expect_used, reason = "a benchmark stops on errors")]

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jobbell::clock::Fence;
use jobbell::domain::{DeliveryId, Email, Event, JobEvent, Locale, MailKind, Mailbox, Recipient};
use jobbell::render::privacy::Privacy;
use jobbell::render::{Brand, MailContext, Renderer, Settings};
use jobbell::telemetry::Metrics;
use jobbell::transport::Common;
use jobbell::transport::compose::{SenderIdentity, compose};
use jobbell::transport::explain::Table;
use jobbell::transport::smtp::{
    self, Classifier, Session, SessionConfig, Tls, TraceRecorder, Trust,
};
use support::{EVENT, NOW, take_mails};

fn from() -> Mailbox {
    Mailbox::parse("Jobbell <bell@example.com>").expect("valid address")
}

fn renderer() -> Renderer {
    Renderer::new(Settings {
        locale: Locale::En,
        timezone: jiff::tz::TimeZone::UTC,
        public_url: None,
        subject_prefix: String::new(),
        brand: Brand::default(),
        privacy: Privacy::default(),
        user_templates: None,
        from: from(),
        reply_to: Vec::new(),
    })
}

fn mail(renderer: &Renderer) -> Email {
    let recipient = Recipient::parse("user0@example.com").expect("valid address");
    let delivery = DeliveryId(
        "0190a0b0-c0d0-7e0f-8102-030405060708"
            .parse()
            .expect("valid UUID"),
    );
    let message_id = "0190a0b0c0d07e0f8102030405060708@example.com";
    let addressed = MailContext {
        delivery,
        message_id,
        recipient: &recipient,
        kind: MailKind::Success,
        created_at: NOW,
        pictures: None,
    };
    renderer
        .render(&Event::Job(Box::new(support::event())), &addressed)
        .expect("mail renders")
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Bytes(EVENT.len() as u64));
    group.bench_function("an event", |bencher| {
        bencher.iter(|| {
            let value = serde_json::from_str(black_box(EVENT)).expect("valid JSON");
            JobEvent::parse(&value, NOW)
        });
    });
    group.finish();
}

fn render(criterion: &mut Criterion) {
    let renderer = renderer();
    criterion.bench_function("render/a success mail", |bencher| {
        bencher.iter(|| mail(black_box(&renderer)));
    });
}

fn wire(criterion: &mut Criterion) {
    let (mail, from) = (mail(&renderer()), from());
    let identity = SenderIdentity {
        from: &from,
        reply_to: &[],
    };
    let mut group = criterion.benchmark_group("compose");
    group.throughput(Throughput::Bytes(
        compose(&mail, identity).expect("mail composes").size as u64,
    ));
    group.bench_function("a success mail", |bencher| {
        bencher.iter(|| compose(black_box(&mail), identity).map(|wire| wire.size));
    });
    group.finish();
}

fn settings() -> smtp::Settings {
    smtp::Settings {
        provider: None,
        host: "mail.example.com".to_owned(),
        port: 25,
        tls: Tls::None,
        plain_login: false,
        helo_name: None,
        tls_ca_file: None,
        login: None,
        max_mails_per_connection: u32::MAX,
        timeout: Duration::from_secs(30),
    }
}

fn common() -> Common {
    Common {
        name: "bench".into(),
        from: from(),
        reply_to: Vec::new(),
        max_connections: 1,
        rate_limit: None,
        cooldown: Duration::from_secs(30),
        cooldown_max: Duration::from_mins(15),
        locale: Locale::En,
    }
}

fn session(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (mail, common, settings) = (mail(&renderer()), common(), settings());
    let wire = compose(&mail, common.identity()).expect("mail composes");
    let trust = Trust::new(&settings).expect("TLS is off");
    let classifier = Classifier::new(&common, &settings, Arc::new(Table::new()));
    let config = SessionConfig {
        settings: &settings,
        trust: &trust,
        classifier: &classifier,
        access: None,
        own_name: "bench.example".to_owned(),
        loopback: true,
    };
    let (near, far) = tokio::io::duplex(64 * 1024);
    let recorder = TraceRecorder::new(Arc::clone(&common.name), Arc::new(Metrics::new()));
    let mut session = runtime.block_on(async {
        tokio::spawn(take_mails(far, Arc::new(|_: &str| {})));
        Session::open(near, &config, recorder)
            .await
            .expect("session opens")
    });
    criterion.bench_function("session/a mail, both ends", |bencher| {
        bencher.iter(|| {
            runtime
                .block_on(session.deliver(black_box(&wire), &Fence::none()))
                .expect("mail is accepted")
        });
    });
}

criterion_group!(parts, parse, render, wire, session);
criterion_main!(parts);

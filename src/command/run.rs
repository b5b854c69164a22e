//! `run`: watch the metadata service, and drain when a notice comes.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::clock::Clock;
use crate::command::{Failure, api_server};
use crate::handler::config::Config;
use crate::handler::run::{Goal, run as run_loop};
use crate::handler::threads::Threads;
use crate::handler::world::{News, World};
use crate::kube::client::Client;
use crate::kube::server;
use crate::moment::WallTime;
use crate::notice::NoticePath;
use crate::plan::Boot;
use crate::report::channel::KnownInstance;
use crate::report::events::{EventSource, Events};
use crate::report::fact::{Fact, Start};
use crate::report::health::ProcessHealth;
use crate::report::log::{Log, Style};
use crate::report::metrics::Metrics;
use crate::report::reporters::Reporters;
use crate::report::server::PageServer;
use crate::report::server::endpoints::{Endpoints, Shown};
use crate::report::webhook::{DeliveryContext, Webhooks};
use crate::report::{FactSink, Starter};
use crate::settings::{Reporting, Settings, WhichNode};
use crate::source::{Report, Source};

/// Runs until the process is terminated.
///
/// # Errors
/// Nothing was done: the system gives no socket pair and signals to wait with, or no thread that polls.
/// A reporter that fails is no reason: [`Threads::start`].
pub fn run(settings: Settings) -> Result<(), Failure> {
    let clock = Clock::start();
    let source = &settings.source;
    let config = config(&settings, source.paths(), boot(clock.read().wall));
    let start = Start {
        version: env!("CARGO_PKG_VERSION"),
        node: config.node.as_deref().map(str::to_owned),
        polled: source.addresses(),
        interruptions: config.paths.iter().any(|path| path.may_say_interruptions()),
        marks_only: config.policy.marks_only,
        dry: config.dry,
        given: settings.given.clone(),
    };
    let shown = shown(&settings.reporting, source);
    let server = Arc::new(api_server(&settings)?);
    let client = Client::new(Arc::clone(&server), clock);
    let (reporters, starters) = reporters(&settings, &client, shown.clone(), config.seed);
    let tell = reporters.sink(clock);
    server.observe(observer(&reporters, clock, shown));
    let own = config.rules.own.clone();
    let mut threads = Threads::new(clock, reporters, client, own, config.seed)?;

    threads.tell(Fact::Started(Box::new(start)));
    for remark in settings.remarks {
        threads.tell(Fact::Remark(remark));
    }
    for unusable in settings.unusable {
        tell(Fact::SettingUnusable(unusable.to_string()));
    }
    // First what the node is guarded by: those who report may have what is left.
    for poller in source.pollers() {
        let sender = threads.news_sender();
        poller.start(clock, move |report| {
            sender.send(news(report));
            ControlFlow::Continue(())
        })?;
    }
    for (who, start) in starters {
        threads.start(who, start);
    }
    run_loop(Goal::Notices, config, &mut threads);
    threads.finish();
    Ok(())
}

/// All reporters, and what starts their threads.
fn reporters(
    settings: &Settings,
    client: &Client,
    shown: Option<Shown>,
    seed: u64,
) -> (Reporters, Vec<(&'static str, Starter)>) {
    let clock = client.clock();
    let reporting = &settings.reporting;
    let style = if reporting.json {
        Style::Json
    } else {
        Style::Text { coloured: io::stderr().is_terminal() }
    };
    let log = Log::new(reporting.least);
    let mut reporters = Reporters::new(log.clone(), shown.clone());
    let mut starters: Vec<(_, Starter)> =
        vec![("the log", Box::new(move || log.write_to(io::stderr(), style)))];
    if let Some(shown) = shown {
        let (wanted, tell) = (wanted_pages(reporting), reporters.sink(clock));
        starters.push((
            "metrics and probes",
            Box::new(move || {
                PageServer::bind(&wanted).serve(clock, shown.clone(), FactSink::clone(&tell))
            }),
        ));
    }
    let instance = Arc::new(KnownInstance::new(settings.instance.clone(), clock));
    if !reporting.webhooks.is_empty() {
        let context = DeliveryContext {
            clock,
            client: client.clone(),
            instance: Arc::clone(&instance),
            cluster: reporting.cluster.clone(),
            tell: reporters.sink(clock),
            dry: settings.dry_run,
            seed,
        };
        let (webhooks, start) = Webhooks::new(reporting.webhooks.clone(), &context);
        reporters = reporters.with_webhooks(webhooks);
        starters.extend(start.into_iter().map(|start| ("a webhook", start)));
    }
    if let Some(annotations) = reporting.events.clone().filter(|_| !settings.dry_run) {
        let source = EventSource { pod: settings.rules.own.name.clone(), annotations };
        let tell = reporters.sink(clock);
        let (events, start) = Events::new(client.clone(), source, instance, seed, &tell);
        reporters = reporters.with_events(events);
        starters.push(("Kubernetes Events", start));
    }
    (reporters, starters)
}

/// What is served where.
pub(super) fn wanted_pages(reporting: &Reporting) -> Vec<(SocketAddr, Endpoints)> {
    let metrics = reporting.metrics.map(|at| (at, Endpoints { metrics: true, probes: None }));
    let probes = reporting
        .probes
        .clone()
        .map(|(address, liveness)| (address, Endpoints { metrics: false, probes: Some(liveness) }));
    metrics.into_iter().chain(probes).collect()
}

/// What is counted and watched for that; `None`: it would not be served.
fn shown(reporting: &Reporting, source: &Source) -> Option<Shown> {
    if reporting.metrics.is_none() && reporting.probes.is_none() {
        return None;
    }
    let paths = source.paths();
    let metrics = reporting.metrics.map(|_| Metrics::new(env!("CARGO_PKG_VERSION"), &paths));
    let intervals = source.addresses().into_iter().map(|(_, interval)| interval);
    let health = ProcessHealth::new(paths.into_iter().zip(intervals));
    Some(Shown { metrics: metrics.map(Arc::new), health: Arc::new(Mutex::new(health)) })
}

/// What is counted and reported of the requests to the API server.
fn observer(reporters: &Reporters, clock: Clock, shown: Option<Shown>) -> server::Observer {
    let tell = reporters.sink(clock);
    server::Observer {
        exchanged: Box::new(move |verb, status| {
            if let Some(shown) = &shown {
                shown.exchanged(verb, status);
            }
        }),
        identified: Box::new(move |identity| tell(Fact::ActsAs(identity))),
    }
}

fn news(report: Report) -> News {
    match report {
        Report::Polled(polled) => News::Polled(polled),
        Report::WithoutToken { status } => News::WithoutToken { status },
    }
}

/// What the settings make of the handler. `paths`: where notices are looked for.
pub(super) fn config(settings: &Settings, paths: Vec<NoticePath>, boot: Boot) -> Config {
    Config {
        node: match &settings.node {
            WhichNode::Named(name) => Some(Arc::from(name.as_str())),
            WhichNode::OfOwnPod => None,
        },
        boot,
        paths,
        policy: settings.policy.clone(),
        marks: settings.marks,
        load_balancer_hold: settings.load_balancer_hold,
        rules: settings.rules.clone(),
        longest_grace: settings.longest_grace,
        budget_override: settings.budget_override,
        margin: settings.safety_margin,
        node_shutdown: settings.node_shutdown_grace,
        shutdown_grace: settings.shutdown_grace,
        dry: settings.dry_run,
        // Randomly keyed in every process: nodes that start together do not retry together.
        seed: RandomState::new().build_hasher().finish(),
    }
}

/// This boot of the machine (proc(5)). Where its id cannot be read, every boot counts as the same.
fn boot(now: WallTime) -> Boot {
    let id = read("/proc/sys/kernel/random/boot_id");
    let up = read("/proc/uptime").and_then(|text| {
        let (seconds, _) = text.split_once('.')?;
        seconds.parse().ok().map(Duration::from_secs)
    });
    Boot {
        id: id.map_or_else(|| "unknown".to_owned(), |id| id.trim().to_owned()),
        began: up.map(|up| now - up),
    }
}

#[expect(clippy::disallowed_methods, reason = "an edge: what the kernel tells of this boot")]
fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

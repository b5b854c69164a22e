//! A handler that runs for long neither grows nor slows down: a week's polls, a thousand notices that are cancelled
//! and a thousand drains, in one process. Before and after each of these it has the same bytes on its heap, the same
//! threads and the same descriptors.
//!
//! This executable starts itself again as the handler, with nothing else in it: the loop, the threads and the reports
//! of the product, all of them switched on. A second between polls is a millisecond there.
//!
//! `cargo test` plays a short run, `cargo test --target x86_64-unknown-linux-musl --test long_runs -- --full` all of it,
//! with the allocator of the released binary.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![expect(clippy::panic, reason = "a test that panics has failed, as it should")]
#![expect(clippy::indexing_slicing, reason = "a test that panics has failed, as it should")]
#![expect(clippy::disallowed_methods, reason = "a test waits and reads files for real")]
#![expect(clippy::disallowed_macros, reason = "what was measured is printed")]

use std::alloc::System;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, BufRead, BufReader, Lines, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use cap::Cap;
use k8s_spot_handler::command::run;
use k8s_spot_handler::settings::{self, Invocation};
use rustix::process::{Pid, Signal, kill_process};
use simulator::{ApiServer, Endpoint, Metadata, Node, Pod};

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// Tells the child process what it is.
const IS_HANDLER: &str = "LONG_RUNS_IS_HANDLER";

fn main() {
    if std::env::var_os(IS_HANDLER).is_some() {
        return handler();
    }
    // The arguments of other tests (`--nocapture`, a filter) are none of its own.
    let sizes = if std::env::args().any(|argument| argument == "--full") { FULL } else { SHORT };
    play(&sizes);
}

/// How much of everything.
struct Sizes {
    notices: usize,
    drains: usize,
    days: usize,
    /// On each day.
    polls: usize,
}

const SHORT: Sizes = Sizes { notices: 40, drains: 33, days: 2, polls: 1_500 };

/// A week of days with 86,400 seconds.
const FULL: Sizes = Sizes { notices: 1_000, drains: 1_002, days: 7, polls: 86_400 };

/// All that has a bound has reached it after so many of each.
const WARM_UP: Sizes = Sizes { notices: 12, drains: 33, days: 1, polls: 1_000 };

fn play(sizes: &Sizes) {
    let mut stage = Stage::start();
    // To print takes memory, too.
    stage.measure("at the start", None);
    stage.polls(WARM_UP.polls);
    stage.notices(WARM_UP.notices);
    stage.drains(WARM_UP.drains);
    let first = stage.measure("after the warm-up", None);
    let parts = [
        ("notices, cancelled", sizes.notices, Stage::notices as fn(&mut Stage, usize)),
        ("drains", sizes.drains, Stage::drains),
    ];
    let days =
        (0..sizes.days).map(|_| ("polls of an interruption", sizes.polls, Stage::polls as _));
    for (what, count, run) in parts.into_iter().chain(days) {
        let began = Instant::now();
        run(&mut stage, count);
        let took = began.elapsed().as_secs();
        let now = stage.measure(&format!("after {count} {what} in {took} s"), Some(first));
        assert!(!now.has_grown(first), "it has grown: {now} after {first}");
    }
    for (endpoint, count) in &stage.polled {
        println!("{count:>7} polls of {endpoint:?}");
    }
    stage.end();
}

/// What a process has.
#[derive(Clone, Copy)]
struct Figures {
    heap: usize,
    threads: usize,
    descriptors: usize,
    resident: usize,
}

impl Figures {
    /// What should be the same. What is resident is decided by the allocator, too.
    fn kept(self) -> [usize; 3] {
        [self.heap, self.threads, self.descriptors]
    }

    fn has_grown(self, since: Self) -> bool {
        self.heap > since.heap + IN_WORDS
            || self.threads > since.threads
            || self.descriptors > since.descriptors
    }
}

/// What is kept of the last drain has in words what went wrong in it, on a busy machine.
const IN_WORDS: usize = 256;

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { heap, threads, descriptors, resident } = self;
        write!(f, "{heap} {threads} {descriptors} {resident}")
    }
}

/// The handler, as the child process is it.
fn handler() {
    let Ok(Invocation::Do(settings::Command::Run, mut settings)) =
        settings::read([], &settings::environment)
    else {
        panic!("the settings are not those of a handler")
    };
    settings.source.interval = Duration::from_millis(1);
    settings.source.calm_interval = Duration::from_millis(5);
    thread::spawn(answer);
    run::run(*settings).unwrap();
}

/// Measures for each line.
fn answer() {
    for _ in io::stdin().lines() {
        println!("{}", figures());
    }
}

/// What this process has when nothing is under way in it: the least of many looks.
fn figures() -> Figures {
    const LOOKS: u32 = 4_000;
    let mut heap = usize::MAX;
    for _ in 0..LOOKS {
        heap = heap.min(HEAP.allocated());
        thread::sleep(Duration::from_micros(100));
    }
    let least = |folder: &str| {
        let looks = (0..LOOKS / 20).map(|_| {
            thread::sleep(Duration::from_micros(200));
            fs::read_dir(folder).unwrap().count()
        });
        looks.min().unwrap()
    };
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    Figures {
        heap,
        threads: least("/proc/self/task"),
        descriptors: least("/proc/self/fd"),
        resident: resident.split_whitespace().next().unwrap().parse().unwrap(),
    }
}

/// Everything that is waited for comes within this time, or never.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The handler, and the world around it.
struct Stage {
    cloud: Metadata,
    cluster: ApiServer,
    metrics: u16,
    messages: Receiver<()>,
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    log: Receiver<String>,
    /// How often each path was polled, at least.
    polled: BTreeMap<Endpoint, usize>,
    /// Counts notices.
    number: usize,
}

impl Stage {
    fn start() -> Self {
        let cloud = Metadata::start().unwrap();
        cloud.target_lifecycle_state("InService");
        let cluster = ApiServer::start(Node::named("ip-10-0-1-17")).unwrap();
        let metrics = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (webhook, messages) = receiver();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env_clear()
            .env(IS_HANDLER, "")
            .envs(cluster.environment())
            .env("INSTANCE_METADATA_URL", cloud.url())
            .envs([
                ("ENABLE_REBALANCE_MONITORING", "true"),
                ("ENABLE_ASG_LIFECYCLE_DRAINING", "true"),
                ("ASG_LIFECYCLE_WINDOW", "1h"),
                ("MAINTENANCE_LEAD_TIMES", "instance-stop=10m"),
                ("TAINT_NODE", "true"),
                ("LISTEN_ADDRESS", "127.0.0.1"),
                ("ENABLE_PROMETHEUS_SERVER", "true"),
                ("PROMETHEUS_SERVER_PORT", &metrics.to_string()),
                ("WEBHOOK_URL", &webhook),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, log) = channel();
        thread::spawn(move || read_log(stderr, &sender));
        Self {
            stdin: child.stdin.take().unwrap(),
            stdout: BufReader::new(child.stdout.take().unwrap()).lines(),
            cloud,
            cluster,
            metrics,
            messages,
            child,
            log,
            polled: BTreeMap::new(),
            number: 0,
        }
    }

    /// What the handler has when nothing happens any more: a thread may take a while to end. What is `expected` is
    /// waited for.
    fn measure(&mut self, when: &str, expected: Option<Figures>) -> Figures {
        let until = Instant::now() + TIMEOUT / 4;
        let figures = loop {
            writeln!(self.stdin).unwrap();
            let line = self.stdout.next().unwrap().unwrap();
            let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
            let mut next = || numbers.next().unwrap();
            let figures =
                Figures { heap: next(), threads: next(), descriptors: next(), resident: next() };
            let is_expected = expected.is_none_or(|expected| figures.kept() == expected.kept());
            if is_expected || Instant::now() > until {
                break figures;
            }
        };
        let Figures { heap, threads, descriptors, resident } = figures;
        println!(
            "{when}: {heap} bytes on the heap, {threads} threads, {descriptors} descriptors, {resident} kB RssAnon"
        );
        figures
    }

    /// Waits until an interruption was polled for so many times more.
    fn polls(&mut self, more: usize) {
        let polls = |stage: &Self| stage.polled.get(&Endpoint::InstanceAction).copied();
        self.count_polls();
        let wanted = polls(self).unwrap_or(0) + more;
        let (mut before, mut since) = (None, Instant::now());
        while polls(self).unwrap_or(0) < wanted {
            thread::sleep(Duration::from_millis(50));
            self.count_polls();
            if polls(self) != before {
                (before, since) = (polls(self), Instant::now());
            }
            assert!(since.elapsed() < TIMEOUT, "it polls no more after {before:?}");
        }
    }

    /// Notices that are waited for, and called off before they have had to be dealt with.
    fn notices(&mut self, count: usize) {
        for _ in 0..count {
            let id = self.next_id();
            let event = stop(&id, Duration::from_hours(3));
            self.cloud.schedule(std::slice::from_ref(&event));
            self.says(&id);
            self.cancel(event);
            self.says(&format!("{id} was withdrawn"));
            self.count_polls();
        }
    }

    /// Drains, for a notice of each kind in turn, which is called off afterwards. Each tenth has more pods; the last
    /// is like the last of any other count that three divides and ten does not: what is kept of it is as large.
    fn drains(&mut self, count: usize) {
        for nth in 1..=count {
            let pods = if nth % 10 == 0 { 40 } else { 3 };
            let pods = (0..pods).map(|number| {
                let name = format!("default/web-{:06}-{number}", self.number);
                Pod::named(&name).replica_set("web").stops_in(Duration::from_millis(1))
            });
            self.cluster.add_pods(pods);
            let id = self.next_id();
            let event = stop(&id, Duration::from_mins(5));
            match nth % 3 {
                // A termination is never called off: its marks stay for a while.
                0 => self.cloud.announce("hibernate", &Metadata::timestamp(SystemTime::now())),
                1 => self.cloud.schedule(std::slice::from_ref(&event)),
                _ => self.cloud.target_lifecycle_state("Terminated"),
            }
            self.says("the drain is done");
            assert_eq!(self.cluster.pods(), [""; 0]);
            assert!(self.cluster.is_cordoned());
            match nth % 3 {
                0 => self.cloud.clear(),
                1 => self.cancel(event),
                _ => self.cloud.target_lifecycle_state("InService"),
            }
            self.says("the node is uncordoned");
            self.messages.recv_timeout(TIMEOUT).unwrap();
            self.scrape();
            self.count_polls();
        }
        let quiet = |cluster: &ApiServer| cluster.open_connections() == 0;
        assert!(self.cluster.wait_until(TIMEOUT, quiet), "it stays connected");
    }

    fn next_id(&mut self) -> String {
        self.number += 1;
        format!("instance-event-{:017x}", self.number)
    }

    /// As EC2 has an event in its history that was cancelled.
    fn cancel(&self, mut event: serde_json::Value) {
        event["Description"] =
            format!("[Canceled] {}", event["Description"].as_str().unwrap()).into();
        event["State"] = "canceled".into();
        self.cloud.history(&[event]);
        self.cloud.schedule(&[]);
    }

    /// Waits for a line of the log with these words.
    fn says(&self, words: &str) {
        loop {
            let line = self.log.recv_timeout(TIMEOUT);
            let line = line.unwrap_or_else(|_| panic!("it does not say `{words}`"));
            if line.contains(words) {
                return;
            }
        }
    }

    fn scrape(&self) {
        let mut socket = TcpStream::connect(("127.0.0.1", self.metrics)).unwrap();
        socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        socket.read_to_string(&mut page).unwrap();
        assert!(page.contains("drains_total"), "{page}");
    }

    /// Takes what was asked since; what comes in between is not counted.
    fn count_polls(&mut self) {
        let journal = self.cloud.journal();
        for entry in journal.entries() {
            *self.polled.entry(entry.kind).or_default() += 1;
        }
        journal.clear();
        self.cluster.journal().clear();
    }

    fn end(mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // It has ended, unless something has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stop of the instance, so far ahead.
fn stop(id: &str, ahead: Duration) -> serde_json::Value {
    Metadata::event("instance-stop", id, SystemTime::now() + ahead)
}

fn read_log(stderr: impl Read, sender: &Sender<String>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if sender.send(line).is_err() {
            return;
        }
    }
}

/// Takes the messages of a webhook.
fn receiver() -> (String, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, messages) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let lower = line.to_ascii_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            reader.into_inner().write_all(answer).unwrap();
            if sender.send(()).is_err() {
                return;
            }
        }
    });
    (url, messages)
}

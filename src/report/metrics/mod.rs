//! Metrics for Prometheus: counted wherever something happens, written when they are asked for.

mod format;
mod labels;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::drain::ask::{Answer, Ask};
use crate::drain::verdict::Verdict;
use crate::kube::request::Verb;
use crate::moment::WallTime;
use crate::notice::{NoticeId, NoticePath};
use crate::report::fact::Occasion;
use crate::report::metrics::format::Classic;
use crate::report::metrics::labels::{
    DrainOutcome, KINDS, Labels, NO_STATUS, POD_OUTCOMES, RETRIES, Value, kind, pod_outcome, retry,
};

pub use crate::report::metrics::format::Format;
pub use crate::report::metrics::labels::{Delivery, EventOutcome, Part};

/// Everything that is counted and measured. Any thread may tell it something at any time; nothing
/// here waits for more than another thread that counts or writes.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    notices: Counters<1>,
    drains: Counters<1>,
    drain_duration: Histogram,
    drain_in_progress: Gauge,
    drain_deadline: Seconds,
    drain_pods_left: Gauge<f64, AtomicU64>,
    pods: Counters<1>,
    api_requests: Counters<2>,
    retries: Counters<1>,
    metadata_requests: Counters<2>,
    last_good_poll: Seconds,
    webhook_deliveries: Counters<1>,
    kubernetes_events: Counters<1>,
    log_messages_lost: Counter,
    report_faults: Family<Labels<1>, Gauge>,
    /// When each path that is polled last answered well, in Unix seconds; 0: not yet.
    good_polls: Mutex<Vec<(NoticePath, f64)>>,
    table: Mutex<Table>,
}

type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Seconds = Gauge<f64, AtomicU64>;

/// What was counted of the tables of the drain under way: one that goes on after its table may get
/// another, in which most is the same.
#[derive(Debug, Default)]
struct Table {
    outcome: Option<DrainOutcome>,
    pods: BTreeMap<&'static str, u64>,
}

/// Upper bounds of the buckets of durations, in seconds: an interruption gives two minutes, and
/// maintenance up to an hour or more.
const BUCKETS: [f64; 13] =
    [1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 300.0, 900.0, 3600.0];

impl Metrics {
    /// Nothing has happened yet. Whatever an alert may look at is there from now on, with 0: of a
    /// series that begins with 1, nobody sees that it grew.
    pub fn new(version: &'static str, polled: &[NoticePath]) -> Self {
        let mut names = Names { registry: Registry::with_prefix(PREFIX) };
        names.build_info(version);
        Self {
            notices: names.counters(
                "notices",
                "Notices that were news, by what they are about",
                one("kind", KINDS),
            ),
            drains: names.counters(
                "drains",
                "Drains that came to their end, by how: complete (all pods that were to go had \
                 gone), incomplete, called_off (the notice was withdrawn), handed_over (this process \
                 had to end first), dry_run",
                one("outcome", DrainOutcome::ALL.map(DrainOutcome::word)),
            ),
            drain_duration: names.seconds(
                "drain_duration",
                "How long complete and incomplete drains took, from their beginning to their table",
                Histogram::new(BUCKETS),
            ),
            drain_in_progress: names.add(
                "drain_in_progress",
                "1 while a drain is under way, else 0",
                Gauge::default(),
            ),
            drain_deadline: names.seconds(
                "drain_deadline_timestamp",
                "When the drain under way must be done, as Unix time; 0 if there is none, or if it \
                 has no deadline",
                Seconds::default(),
            ),
            drain_pods_left: names.add(
                "drain_pods_left",
                "Pods that are yet to go in the drain under way; NaN while they are not known",
                Gauge::default(),
            ),
            pods: names.counters(
                "pods",
                "Pods by what became of them in drains, in the words of the table in the log",
                one("outcome", POD_OUTCOMES),
            ),
            api_requests: names.counters(
                "api_requests",
                "Requests to the API server, by verb and HTTP status; none: no answer came",
                Verb::ALL.map(|verb| api_request(verb, NO_STATUS)),
            ),
            retries: names.counters(
                "retries",
                "Requests about pods that are sent again, by what stood in the way; budget: a \
                 disruption budget refused the eviction",
                one("reason", RETRIES),
            ),
            metadata_requests: names.counters(
                "metadata_requests",
                "Polls of the metadata service, by path and HTTP status; none: no answer came. 404 \
                 is the usual answer: there is no notice",
                polled.iter().map(|&path| metadata_request(path, NO_STATUS)),
            ),
            last_good_poll: names.seconds(
                "last_good_poll_timestamp",
                "When the metadata service was last polled well, as Unix time: of the paths that \
                 are polled, the one for which that is longest ago; 0 before the first time",
                Seconds::default(),
            ),
            webhook_deliveries: names.counters(
                "webhook_deliveries",
                "Messages to the webhook, by what became of them; retried counts attempts",
                one("outcome", Delivery::ALL.map(Delivery::word)),
            ),
            kubernetes_events: names.counters(
                "kubernetes_events",
                "Kubernetes Events about the node, by what became of them",
                one("outcome", EventOutcome::ALL.map(EventOutcome::word)),
            ),
            log_messages_lost: names.add(
                "log_messages_lost",
                "Messages that the log had no room for, because nobody read it fast enough",
                Counter::default(),
            ),
            report_faults: names.faults(),
            good_polls: Mutex::new(polled.iter().map(|&path| (path, 0.0)).collect()),
            table: Mutex::default(),
            // Last: until here everything was registered.
            registry: names.registry,
        }
    }

    /// A path of the metadata service was polled, with this HTTP status, if an answer came. `good`:
    /// it was understood, be it that there is no notice.
    pub fn polled(&self, path: NoticePath, status: Option<u16>, good: bool, at: WallTime) {
        count(&self.metadata_requests, &metadata_request(path, Value::status(status)), 1);
        if good {
            let mut good_polls = lock(&self.good_polls);
            for (_, last) in good_polls.iter_mut().filter(|(polled, _)| *polled == path) {
                *last = at.unix_seconds();
            }
            let oldest = good_polls.iter().map(|(_, last)| *last).reduce(f64::min);
            self.last_good_poll.set(oldest.unwrap_or_default());
        }
    }

    /// The API server answered a request with this HTTP status; `None`: no answer came.
    pub fn api_answered(&self, verb: Verb, status: Option<u16>) {
        count(&self.api_requests, &api_request(verb, Value::status(status)), 1);
    }

    /// What a pod was asked was answered so.
    pub fn pod_answered(&self, ask: Ask, answer: &Answer) {
        if let Some(reason) = retry(ask, answer) {
            count(&self.retries, &[("reason", Value::Word(reason))], 1);
        }
    }

    /// A notice is news.
    pub fn notice(&self, id: &NoticeId) {
        count(&self.notices, &[("kind", Value::Word(kind(id)))], 1);
    }

    /// A drain begins, which must be done by `deadline`, if there is one.
    pub fn drain_began(&self, deadline: Option<WallTime>) {
        *lock(&self.table) = Table::default();
        self.drain_in_progress.set(1);
        self.drain_pods_left(None);
        self.drain_deadline(deadline);
    }

    /// The drain under way has another deadline.
    pub fn drain_deadline(&self, deadline: Option<WallTime>) {
        self.drain_deadline.set(deadline.map_or(0.0, WallTime::unix_seconds));
    }

    /// So many pods are yet to go; `None`: nobody knows.
    pub fn drain_pods_left(&self, pods: Option<u32>) {
        self.drain_pods_left.set(pods.map_or(f64::NAN, f64::from));
    }

    /// The table of a drain was told. It ends with that, unless it goes on because nothing is left
    /// but time; what another table then adds is counted besides. A drain that was complete, and
    /// into which a pod came that did not go, counts as incomplete, too: the worse is not hidden.
    pub fn verdict(&self, occasion: Occasion, verdict: &Verdict, dry: bool) {
        let outcome = DrainOutcome::of(occasion, verdict, dry);
        let mut table = lock(&self.table);
        if table.outcome.is_none()
            && matches!(outcome, DrainOutcome::Complete | DrainOutcome::Incomplete)
        {
            self.drain_duration.observe(verdict.took.as_secs_f64());
        }
        let grew_worse =
            outcome == DrainOutcome::Incomplete && table.outcome != Some(DrainOutcome::Incomplete);
        if table.outcome.is_none() || grew_worse {
            table.outcome = Some(outcome);
            count(&self.drains, &[("outcome", Value::Word(outcome.word()))], 1);
        }
        let mut pods = BTreeMap::new();
        for row in &verdict.rows {
            *pods.entry(pod_outcome(&row.outcome)).or_default() += 1;
        }
        for (word, now) in pods {
            let counted = table.pods.entry(word).or_default();
            let more = u64::saturating_sub(now, *counted);
            *counted += more;
            count(&self.pods, &[("outcome", Value::Word(word))], more);
        }
        drop(table);
        if verdict.end.is_some() {
            self.drain_ended();
        }
    }

    /// The drain under way has come to its end, whether a table was told or not.
    pub fn drain_ended(&self) {
        self.drain_in_progress.set(0);
        self.drain_deadline(None);
        self.drain_pods_left(Some(0));
    }

    /// What became of so many messages to a webhook.
    pub fn webhook(&self, delivery: Delivery, how_many: usize) {
        let more = u64::try_from(how_many).unwrap_or(u64::MAX);
        count(&self.webhook_deliveries, &[("outcome", Value::Word(delivery.word()))], more);
    }

    /// What became of so many Kubernetes Events.
    pub fn kubernetes_event(&self, outcome: EventOutcome, how_many: usize) {
        let more = u64::try_from(how_many).unwrap_or(u64::MAX);
        count(&self.kubernetes_events, &[("outcome", Value::Word(outcome.word()))], more);
    }

    /// The log had no room for a message.
    pub fn log_message_lost(&self) {
        self.log_messages_lost.inc();
    }

    /// So many more of these are at fault now; fewer, if it is below 0.
    pub fn fault(&self, part: Part, more: i64) {
        self.report_faults.get_or_create(&[("part", Value::Word(part.word()))]).inc_by(more);
    }

    /// All of it, as text.
    pub fn encode(&self, format: Format) -> String {
        // Writing to a String cannot fail.
        match format {
            Format::OpenMetrics => {
                let mut page = String::with_capacity(PAGE);
                let _ = text::encode(&mut page, &self.registry);
                page
            }
            Format::Classic => {
                let mut page = Classic::with_capacity(PAGE);
                let _ = text::encode(&mut page, &self.registry);
                page.into_page()
            }
        }
    }
}

/// Bytes that a page has room for at once, and the head of the answer with it: a page that grows
/// leaves behind what it was before.
const PAGE: usize = 16 * 1024;

const PREFIX: &str = "k8s_spot_handler";

/// Where metrics get their names. Help texts are sentences; the registry sets the full stop.
struct Names {
    registry: Registry,
}

impl Names {
    fn build_info(&mut self, version: &'static str) {
        let labelled = self.registry.sub_registry_with_label(("version".into(), version.into()));
        let help = "1, with the version of the program that runs";
        labelled.register("build_info", help, ConstGauge::new(1));
    }

    fn add<M: prometheus_client::registry::Metric + Clone>(
        &mut self,
        name: &str,
        help: &str,
        metric: M,
    ) -> M {
        self.registry.register(name, help, metric.clone());
        metric
    }

    fn seconds<M: prometheus_client::registry::Metric + Clone>(
        &mut self,
        name: &str,
        help: &str,
        metric: M,
    ) -> M {
        self.registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
        metric
    }

    fn faults(&mut self) -> Family<Labels<1>, Gauge> {
        let family = Family::default();
        for labels in one("part", Part::ALL.map(Part::word)) {
            drop(Family::<Labels<1>, Gauge>::get_or_create(&family, &labels));
        }
        let help = "What of the reports cannot be used or had now: settings that are not valid, ports, \
                    webhooks whose files are missing, threads. No drain is held up by it";
        self.add("report_faults", help, family)
    }

    /// Counters of which these are there from the start.
    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = Labels<N>>,
    ) -> Counters<N> {
        let family = Counters::default();
        for labels in series {
            count(&family, &labels, 0);
        }
        self.add(name, help, family)
    }
}

fn one<const M: usize>(label: &'static str, words: [&'static str; M]) -> [Labels<1>; M] {
    words.map(|word| [(label, Value::Word(word))])
}

fn api_request(verb: Verb, status: Value) -> Labels<2> {
    [("verb", Value::Word(verb.word())), ("code", status)]
}

fn metadata_request(path: NoticePath, status: Value) -> Labels<2> {
    [("path", Value::Path(path)), ("code", status)]
}

fn count<const N: usize>(family: &Counters<N>, labels: &Labels<N>, more: u64) {
    family.get_or_create(labels).inc_by(more);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl Metrics {
    /// The name of every sample that there can be.
    pub(crate) fn names() -> std::collections::BTreeSet<String> {
        let metrics = Self::new("0", &[NoticePath::InstanceAction]);
        let page = metrics.encode(Format::OpenMetrics);
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        let names = samples.filter_map(|line| line.split(['{', ' ']).next());
        names.map(str::to_owned).collect()
    }
}

//! Metrics for Prometheus: updated as things happen, written when they are scraped.

mod format;
mod labels;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::drain::ask::{Answer, Ask};
use crate::drain::verdict::Verdict;
use crate::kube::request::Verb;
use crate::moment::WallTime;
use crate::notice::{NoticeId, NoticePath};
use crate::report::fact::Occasion;
use crate::report::metrics::format::MetricsPage;
use crate::report::metrics::labels::{
    DrainOutcome, KINDS, POD_OUTCOMES, RETRIES, code, kind, label, pod_outcome, retry,
};

pub use crate::report::metrics::format::Format;
pub use crate::report::metrics::labels::{EventOutcome, FaultyPart, MessageOutcome};

/// All metrics. Any thread may update them at any time, and waits at most for another that updates or
/// writes them.
#[derive(Debug)]
pub struct Metrics {
    version: &'static str,
    values: Mutex<MetricValues>,
}

#[derive(Debug)]
struct MetricValues {
    notices: Family,
    drains: Family,
    drain_duration: Histogram,
    drain_in_progress: bool,
    /// In Unix seconds; 0: none.
    drain_deadline: f64,
    /// NaN while they are not known.
    drain_pods_left: f64,
    pods: Family,
    api_requests: Family,
    retries: Family,
    metadata_requests: Family,
    /// When each path that is polled last answered well, in Unix seconds; 0: not yet.
    good_polls: Vec<(NoticePath, f64)>,
    webhook_deliveries: Family,
    kubernetes_events: Family,
    log_messages_lost: Family,
    report_faults: Family,
    table: CountedTable,
}

/// The series of one metric: their labels as they are written, and their values.
#[derive(Debug)]
struct Family(Vec<(String, i64)>);

impl Family {
    /// With these series from the start.
    fn new(labels: impl IntoIterator<Item = String>) -> Self {
        Self(labels.into_iter().map(|labels| (labels, 0)).collect())
    }

    fn add(&mut self, labels: String, more: i64) {
        match self.0.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, value)) => *value = value.saturating_add(more),
            None => self.0.push((labels, more)),
        }
    }
}

/// Upper bounds of the buckets of durations, in seconds: an interruption gives two minutes, and
/// maintenance up to an hour or more.
const BUCKETS: [f64; 13] =
    [1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 300.0, 900.0, 3600.0];

#[derive(Debug, Default)]
struct Histogram {
    sum: f64,
    /// By bucket; the last one has no bound.
    counts: [u64; BUCKETS.len() + 1],
}

impl Histogram {
    fn observe(&mut self, value: f64) {
        self.sum += value;
        let bucket = BUCKETS.iter().position(|bound| value <= *bound).unwrap_or(BUCKETS.len());
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
    }

    /// Each bound, as it is written, with the number of values up to it.
    fn buckets(&self) -> impl Iterator<Item = (String, u64)> {
        let bounds = BUCKETS.iter().map(|bound| format!("{bound:?}"));
        let bounds = bounds.chain(["+Inf".to_owned()]);
        bounds.zip(self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        }))
    }
}

/// What was counted of the tables of the drain under way: one that goes on after its table may get
/// another, in which most is the same.
#[derive(Debug, Default)]
struct CountedTable {
    outcome: Option<DrainOutcome>,
    pods: BTreeMap<&'static str, i64>,
}

impl Metrics {
    /// Nothing has happened yet. Whatever an alert may look at is there from now on, with 0: a series
    /// that begins with 1 does not show that it grew.
    pub fn new(version: &'static str, polled: &[NoticePath]) -> Self {
        let outcomes =
            |words: &[&str]| Family::new(words.iter().map(|word| label("outcome", word)));
        Self {
            version,
            values: Mutex::new(MetricValues {
                notices: Family::new(KINDS.map(|kind| label("kind", kind))),
                drains: outcomes(DrainOutcome::WORDS),
                drain_duration: Histogram::default(),
                drain_in_progress: false,
                drain_deadline: 0.0,
                drain_pods_left: 0.0,
                pods: outcomes(&POD_OUTCOMES),
                api_requests: Family::new(Verb::ALL.map(|verb| api_request(verb, None))),
                retries: Family::new(RETRIES.map(|reason| label("reason", reason))),
                metadata_requests: Family::new(
                    polled.iter().map(|&path| metadata_request(path, None)),
                ),
                good_polls: polled.iter().map(|&path| (path, 0.0)).collect(),
                webhook_deliveries: outcomes(MessageOutcome::WORDS),
                kubernetes_events: outcomes(EventOutcome::WORDS),
                log_messages_lost: Family::new([String::new()]),
                report_faults: Family::new(
                    FaultyPart::WORDS.iter().map(|part| label("part", part)),
                ),
                table: CountedTable::default(),
            }),
        }
    }

    /// A path of the metadata service was polled, with this HTTP status, if an answer came. `good`:
    /// it was understood, be it that there is no notice.
    pub fn polled(&self, path: NoticePath, status: Option<u16>, good: bool, at: WallTime) {
        let mut values = self.values();
        values.metadata_requests.add(metadata_request(path, status), 1);
        if good {
            for (_, last) in values.good_polls.iter_mut().filter(|(polled, _)| *polled == path) {
                *last = at.unix_seconds();
            }
        }
    }

    /// The API server answered a request with this HTTP status; `None`: no answer came.
    pub fn api_answered(&self, verb: Verb, status: Option<u16>) {
        self.values().api_requests.add(api_request(verb, status), 1);
    }

    /// What a pod was asked was answered so.
    pub fn pod_answered(&self, ask: Ask, answer: &Answer) {
        if let Some(reason) = retry(ask, answer) {
            self.values().retries.add(label("reason", reason), 1);
        }
    }

    /// A notice is news.
    pub fn notice(&self, id: &NoticeId) {
        self.values().notices.add(label("kind", kind(id)), 1);
    }

    /// A drain begins, which must be done by `deadline`, if there is one.
    pub fn drain_began(&self, deadline: Option<WallTime>) {
        let mut values = self.values();
        values.table = CountedTable::default();
        values.drain_in_progress = true;
        values.drain_pods_left = f64::NAN;
        values.drain_deadline = unix_seconds(deadline);
    }

    /// The drain under way has another deadline.
    pub fn drain_deadline(&self, deadline: Option<WallTime>) {
        self.values().drain_deadline = unix_seconds(deadline);
    }

    /// So many pods are yet to go; `None`: that is not known.
    pub fn drain_pods_left(&self, pods: Option<u32>) {
        self.values().drain_pods_left = pods.map_or(f64::NAN, f64::from);
    }

    /// A drain has its table. It ends with that, unless it goes on because nothing is left but time;
    /// what another table then adds is counted besides. A drain that was complete, and into which a
    /// pod came that did not go, counts as incomplete, too: the worse is not hidden.
    pub fn verdict(&self, occasion: Occasion, verdict: &Verdict, dry: bool) {
        let outcome = DrainOutcome::of(occasion, verdict, dry);
        let mut values = self.values();
        let MetricValues { table, drains, drain_duration, pods, .. } = &mut *values;
        if table.outcome.is_none()
            && matches!(outcome, DrainOutcome::Complete | DrainOutcome::Incomplete)
        {
            drain_duration.observe(verdict.took.as_secs_f64());
        }
        let grew_worse =
            outcome == DrainOutcome::Incomplete && table.outcome != Some(DrainOutcome::Incomplete);
        if table.outcome.is_none() || grew_worse {
            table.outcome = Some(outcome);
            drains.add(label("outcome", outcome.word()), 1);
        }
        for (word, now) in verdict.counts() {
            let now = i64::try_from(now).unwrap_or(i64::MAX);
            let counted = table.pods.entry(word).or_default();
            pods.add(pod_outcome(word), (now - *counted).max(0));
            *counted = now.max(*counted);
        }
        if verdict.end.is_some() {
            values.end_drain();
        }
    }

    /// The drain under way has come to its end, with or without a table.
    pub fn drain_ended(&self) {
        self.values().end_drain();
    }

    /// What became of so many messages to a webhook.
    pub fn webhook(&self, outcome: MessageOutcome, how_many: usize) {
        let more = i64::try_from(how_many).unwrap_or(i64::MAX);
        self.values().webhook_deliveries.add(label("outcome", outcome.word()), more);
    }

    /// What became of so many Kubernetes Events.
    pub fn kubernetes_event(&self, outcome: EventOutcome, how_many: usize) {
        let more = i64::try_from(how_many).unwrap_or(i64::MAX);
        self.values().kubernetes_events.add(label("outcome", outcome.word()), more);
    }

    /// The log had no room for a message.
    pub fn log_message_lost(&self) {
        self.values().log_messages_lost.add(String::new(), 1);
    }

    /// So many more of these are at fault now; fewer, if it is below 0.
    pub fn fault(&self, part: FaultyPart, more: i64) {
        self.values().report_faults.add(label("part", part.word()), more);
    }

    fn values(&self) -> MutexGuard<'_, MetricValues> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it, as text.
    pub fn encode(&self, format: Format) -> String {
        let mut page = MetricsPage::new(format);
        self.values().write(&mut page);
        let version = Family(vec![(label("version", self.version), 1)]);
        page.series(
            "gauge",
            "build_info",
            "1, with the version of the program that runs",
            &version,
        );
        page.end()
    }
}

impl MetricValues {
    fn end_drain(&mut self) {
        self.drain_in_progress = false;
        self.drain_deadline = 0.0;
        self.drain_pods_left = 0.0;
    }

    fn write(&self, page: &mut MetricsPage) {
        page.counter("notices", "Notices that were news, by what they are about", &self.notices);
        page.counter("drains",
            "Drains that came to their end, by how: complete (all pods that were to go had gone), \
             incomplete, called_off (the notice was withdrawn), handed_over (this process had to end \
             first), dry_run",
            &self.drains,
        );
        page.histogram(
            "drain_duration_seconds",
            "How long complete and incomplete drains took, from their beginning to their table",
            &self.drain_duration,
        );
        page.gauge(
            "drain_in_progress",
            "1 while a drain is under way, else 0",
            u8::from(self.drain_in_progress),
        );
        page.gauge(
            "drain_deadline_timestamp_seconds",
            "When the drain under way must be done, as Unix time; 0 if there is none, or if it has no \
             deadline",
            self.drain_deadline,
        );
        page.gauge(
            "drain_pods_left",
            "Pods that are yet to go in the drain under way; NaN while they are not known",
            self.drain_pods_left,
        );
        page.counter(
            "pods",
            "Pods by what became of them in drains, in the words of the table in the log",
            &self.pods,
        );
        page.counter(
            "api_requests",
            "Requests to the API server, by verb and HTTP status; none: no answer came",
            &self.api_requests,
        );
        page.counter("retries",
            "Requests about pods that are sent again, by what stood in the way; budget: a disruption \
             budget refused the eviction",
            &self.retries,
        );
        page.counter("metadata_requests",
            "Polls of the metadata service, by path and HTTP status; none: no answer came. 404 is the \
             usual answer: there is no notice",
            &self.metadata_requests,
        );
        page.gauge(
            "last_good_poll_timestamp_seconds",
            "When the metadata service was last polled well, as Unix time: of the paths that are \
             polled, the one for which that is longest ago; 0 before the first time",
            self.good_polls.iter().map(|(_, last)| *last).reduce(f64::min).unwrap_or_default(),
        );
        page.counter(
            "webhook_deliveries",
            "Messages to the webhook, by what became of them; retried counts attempts",
            &self.webhook_deliveries,
        );
        page.counter(
            "kubernetes_events",
            "Kubernetes Events about the node, by what became of them",
            &self.kubernetes_events,
        );
        page.counter(
            "log_messages_lost",
            "Messages that the log had no room for, because nobody read it fast enough",
            &self.log_messages_lost,
        );
        page.series(
            "gauge",
            "report_faults",
            "What of the reports cannot be used or had now: settings that are not valid, ports, \
             webhooks whose files are missing, threads. No drain is held up by it",
            &self.report_faults,
        );
    }
}

fn api_request(verb: Verb, status: Option<u16>) -> String {
    format!("verb=\"{}\",code=\"{}\"", verb.word(), code(status))
}

fn metadata_request(path: NoticePath, status: Option<u16>) -> String {
    format!("path=\"{path}\",code=\"{}\"", code(status))
}

fn unix_seconds(time: Option<WallTime>) -> f64 {
    time.map_or(0.0, WallTime::unix_seconds)
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

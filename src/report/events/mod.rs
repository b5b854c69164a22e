//! Kubernetes Events: on the Node, what happens to it (`kubectl describe node`); on a pod that was deleted
//! without an eviction, that it was, for its owner. A thread of its own writes them, one after the other:
//! the drain does not wait for it.
//!
//! | Module | What it is | I/O |
//! |---|---|---|
//! | `record` | a fact → an Event, or one more of what was written before | none |
//! | `body` | as core/v1 has it | none |

mod body;
mod record;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::http::pool::STACK;
use crate::kube::client::Client;
use crate::kube::reply::{self, Written};
use crate::kube::request::Annotations;
use crate::kube::request::Request;
use crate::moment::WallTime;
use crate::report::channel::{ChannelStatus, KnownInstance};
use crate::report::envelope::Envelope;
use crate::report::events::record::{Correlated, Correlator, EventRecord, record};
use crate::report::fact::Channel;
use crate::report::queue::ReportQueue;
use crate::report::{FactSink, Starter};

/// The sender of Events.
pub struct Events {
    queue: Arc<ReportQueue<QueuedEvent>>,
    /// From before the name of the node was known.
    early: Vec<(WallTime, EventRecord)>,
    /// For those that find no room.
    status: ChannelStatus,
}

/// What all Events have in common: their source.
#[derive(Clone, Debug)]
pub struct EventSource {
    /// The handler's own pod, if known: the instance of the component that reports.
    pub pod: Option<String>,
    /// What the operator wants on each Event.
    pub annotations: Annotations,
}

/// An Event on its way to the thread.
struct QueuedEvent {
    at: WallTime,
    node: Arc<str>,
    event: EventRecord,
}

/// One for each of 250 pods, and those of the node.
const CAPACITY: usize = 300;
/// How long a response may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long one Event is retried.
const PERSISTENCE: Duration = Duration::from_mins(2);

impl Events {
    /// Queues Events for the thread that the starter starts. Failures go to `tell`.
    pub fn new(
        client: Client,
        source: EventSource,
        instance: Arc<KnownInstance>,
        seed: u64,
        tell: &FactSink,
    ) -> (Self, Starter) {
        let queue = Arc::new(ReportQueue::new(CAPACITY));
        let status = ChannelStatus::new(Channel::KubernetesEvents, tell);
        let (inbox, tell) = (Arc::clone(&queue), FactSink::clone(tell));
        let start = move || {
            let mut writer = EventWriter {
                queue: Arc::clone(&inbox),
                clock: client.clock(),
                client: client.clone(),
                source: source.clone(),
                instance: Arc::clone(&instance),
                correlator: Correlator::default(),
                status: ChannelStatus::new(Channel::KubernetesEvents, &tell),
                jitter: fastrand::Rng::with_seed(seed),
            };
            thread::Builder::new()
                .name("events".to_owned())
                .stack_size(STACK)
                .spawn(move || writer.run())
                .map(drop)
        };
        (Self { queue, early: Vec::new(), status }, Box::new(start))
    }

    /// Queues the Event for a fact, if there is one. Never blocks.
    pub fn tell(&mut self, envelope: &Envelope) {
        let event = record(envelope).map(|event| (envelope.at.wall, event));
        let Some(node) = &envelope.node else {
            return match event {
                Some(event) if self.early.len() < CAPACITY => self.early.push(event),
                Some(_) => self.status.lost(1, NO_NODE.to_owned()),
                None => {}
            };
        };
        for (at, event) in std::mem::take(&mut self.early).into_iter().chain(event) {
            if !self.queue.offer(QueuedEvent { at, node: Arc::clone(node), event }) {
                self.status.lost(1, "too many wait already".to_owned());
            }
        }
    }

    /// The thread ends when it has tried everything that is queued.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Waits for that, or `timeout`, and reports what is left.
    pub fn finish(&mut self, timeout: Duration) {
        if !self.early.is_empty() {
            self.status.lost(self.early.len(), NO_NODE.to_owned());
        }
        if !self.queue.wait_until_done(timeout) {
            // One is being sent.
            self.status.lost(self.queue.abandon() + 1, "this process has to end".to_owned());
        }
    }
}

const NO_NODE: &str = "the name of this node is not known";

struct EventWriter {
    queue: Arc<ReportQueue<QueuedEvent>>,
    client: Client,
    clock: Clock,
    source: EventSource,
    instance: Arc<KnownInstance>,
    correlator: Correlator,
    status: ChannelStatus,
    jitter: fastrand::Rng,
}

impl EventWriter {
    fn run(&mut self) {
        while let Some(item) = self.queue.wait() {
            self.write(&item);
        }
        self.queue.mark_done();
    }

    fn write(&mut self, QueuedEvent { at, node, event }: &QueuedEvent) {
        let name = match self.correlator.correlate(self.clock.now(), *at, node, event) {
            Correlated::New(name) => name,
            Correlated::Again(name, count) => {
                if self.send(&body::count(&name, event, count, *at)) {
                    return;
                }
                // The API server keeps Events for an hour.
                name
            }
        };
        let instance = self.instance.instance();
        self.send(&body::create(&name, event, *at, node, &self.source, &instance));
    }

    /// Sends it until it is written, refused, or too old. Returns false if the Event to update is gone.
    fn send(&mut self, request: &Request) -> bool {
        let until = self.clock.now() + PERSISTENCE;
        let mut backoff = Backoff::from_millis(500, 10_000);
        // One more attempt when this process ends.
        let mut is_last = false;
        loop {
            let (why, after) = match self.ask(request) {
                Written::Again { why, after } => (why, after),
                Written::Missing => return false,
                Written::Moot => return true,
                Written::Done => {
                    self.status.delivered();
                    return true;
                }
                Written::Refused { status, why } => {
                    self.status.refused(&status.to_string(), why);
                    return true;
                }
            };
            let pause = after.unwrap_or_default().max(backoff.next(&mut self.jitter));
            if is_last || pause > self.clock.now().until(until) {
                self.status.lost(1, why);
                return true;
            }
            self.status.failed(why);
            is_last = self.queue.wait_for_close(pause);
        }
    }

    fn ask(&mut self, request: &Request) -> Written {
        match self.client.ask(request, TIMEOUT) {
            Ok(reply) => reply::written(request, &reply),
            Err(error) => Written::Again { why: error.to_string(), after: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{self, Receiver};

    use super::*;
    use crate::kube::stand_in::{LONG, StandIn};
    use crate::node::FieldManager;
    use crate::node::marks::{Change, Cordon};
    use crate::report::envelope::Envelopes;
    use crate::report::fact::Fact;
    use crate::report::samples::noon;
    use crate::source::InstanceSource;
    use crate::source::url::MetadataUrl;

    const CREATED: &[u8] = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}";
    const AWAY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    const FORBIDDEN: &[u8] = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    const MISSING: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

    /// Events against an API server that gives these answers in turn.
    struct Play {
        events: Events,
        envelopes: Envelopes,
        asked: Receiver<String>,
        told: Receiver<Fact>,
        _server: StandIn,
    }

    impl Play {
        fn new(answers: &'static [&'static [u8]]) -> Self {
            let (ask, asked) = mpsc::channel();
            let answers = Mutex::new(answers.iter());
            let server = StandIn::start(move |_, mut peer| {
                while let Some(request) = peer.hears() {
                    let _ = ask.send(request);
                    let Some(answer) = answers.lock().unwrap().next() else { return };
                    peer.says(answer);
                }
            });
            let clock = Clock::start();
            // Nobody is there: nothing is known of the instance.
            let source = InstanceSource {
                metadata_url: MetadataUrl::parse("http://127.0.0.1:1").unwrap(),
                v1_fallback: false,
                zone_url: None,
                id_url: None,
                type_url: None,
            };
            let instance = Arc::new(KnownInstance::new(source, clock));
            let by = EventSource { pod: None, annotations: Annotations::new() };
            let (tell, told) = mpsc::channel();
            let tell: FactSink = Arc::new(move |fact| {
                let _ = tell.send(fact);
            });
            let client = Client::new(server.server(), clock);
            let (events, start) = Events::new(client, by, instance, 1, &tell);
            start().unwrap();
            Self { events, envelopes: Envelopes::default(), asked, told, _server: server }
        }

        fn tell(&mut self, fact: Fact) {
            self.events.tell(&self.envelopes.put(noon(), fact));
        }

        fn cordoned(&mut self) {
            let change = Box::new(Change::Cordon(Cordon::Done));
            self.tell(Fact::Marks { change, dry: false, by: FieldManager::Handler });
        }

        /// What was asked and told until everything is written.
        fn ends(mut self) -> (Vec<String>, Vec<String>) {
            self.events.close();
            self.events.finish(LONG);
            let line = |request: String| request.lines().next().unwrap().to_owned();
            let asked = self.asked.try_iter().map(line).collect();
            (asked, self.told.try_iter().map(|fact| fact.name().to_owned()).collect())
        }

        fn heard(&self) -> &'static str {
            self.told.recv().unwrap().name()
        }
    }

    const POST: &str = "POST /api/v1/namespaces/default/events HTTP/1.1";

    #[test]
    fn what_happened_before_the_node_was_known_is_written_when_it_is() {
        let mut play = Play::new(&[CREATED]);
        play.cordoned();
        play.tell(Fact::NodeFound("node-1".to_owned()));
        assert_eq!(play.heard(), "report_sent");
        let (asked, _) = play.ends();
        assert_eq!(asked, [POST]);
    }

    #[test]
    fn what_happens_again_is_counted_and_written_anew_where_it_was_forgotten() {
        let mut play = Play::new(&[CREATED, CREATED, MISSING, CREATED]);
        play.tell(Fact::NodeFound("node-1".to_owned()));
        for _ in 0..3 {
            play.cordoned();
        }
        for _ in 0..3 {
            assert_eq!(play.heard(), "report_sent");
        }
        let (asked, told) = play.ends();
        let patch =
            |line: &str| line.starts_with("PATCH /api/v1/namespaces/default/events/node-1.");
        assert_eq!(asked.len(), 4);
        assert!(asked[0] == POST && patch(&asked[1]) && patch(&asked[2]) && asked[3] == POST);
        assert_eq!(told, [""; 0]);
    }

    #[test]
    fn it_is_tried_again_and_that_is_said_once_and_when_it_is_over() {
        let mut play = Play::new(&[AWAY, AWAY, CREATED]);
        play.tell(Fact::NodeFound("node-1".to_owned()));
        play.cordoned();
        assert_eq!(play.heard(), "report_failing");
        assert_eq!(play.heard(), "report_retried");
        assert_eq!(play.told.recv(), Ok(Fact::ReportRecovered(Channel::KubernetesEvents, 2)));
        assert_eq!(play.ends().0, [POST; 3]);
    }

    #[test]
    fn a_missing_permission_is_said_once() {
        let mut play = Play::new(&[FORBIDDEN, FORBIDDEN]);
        play.tell(Fact::NodeFound("node-1".to_owned()));
        play.cordoned();
        let why = play.told.recv().unwrap().to_string();
        assert!(why.ends_with("`create` on `events` must be granted"), "{why}");
        play.tell(Fact::DrainBegins(Arc::from("node-1")));
        let again = play.told.recv().unwrap();
        assert!(matches!(again, Fact::ReportRefused { again: true, .. }), "{again:?}");
        assert_eq!(play.ends().0.len(), 2);
    }

    #[test]
    fn a_missing_permission_is_said_once_for_all_namespaces() {
        use crate::drain::ask::{Budget, PodRef};
        use crate::drain::progress::DrainProgress;
        use crate::drain::verdict::Obstacle;

        let mut play = Play::new(&[FORBIDDEN, FORBIDDEN, FORBIDDEN]);
        play.tell(Fact::NodeFound("node-1".to_owned()));
        for namespace in ["a", "b", "a"] {
            let (namespace, name) = (namespace.to_owned(), "web".to_owned());
            let pod = Arc::new(PodRef { namespace: namespace.clone(), name, uid: "u".to_owned() });
            let obstacle = Obstacle::Budget(Arc::new(Budget { namespace, name: "budget".into() }));
            play.tell(Fact::Drain(DrainProgress::Deleted { pod, grace: None, obstacle }));
        }
        let told: Vec<Fact> = (0..3).map(|_| play.told.recv().unwrap()).collect();
        let anew = |fact: &&Fact| matches!(fact, Fact::ReportRefused { again: false, .. });
        assert_eq!(told.iter().filter(anew).count(), 1, "{told:#?}");
    }
}

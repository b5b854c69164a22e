//! Writes Events to the API server, one after the other, in a thread of its own: the drain does not wait for
//! it.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::drain::timing::Backoff;
use crate::http::pool::STACK;
use crate::kube::client::Client;
use crate::kube::reply::{self, Written};
use crate::kube::request::Request;
use crate::moment::{Reading, WallTime};
use crate::report::events::body;
use crate::report::events::event::{Event, Recorder};
use crate::report::events::series::{Entry, Series};
use crate::report::fact::{Channel, Fact};
use crate::report::known_instance::KnownInstance;
use crate::report::queue::Queue;
use crate::report::standing::Standing;
use crate::report::{Starter, Teller};
use crate::settings::Annotations;

/// The end at which facts go in.
pub struct Events {
    queue: Arc<Queue<Happened>>,
    recorder: Recorder,
    /// Of what finds no room.
    standing: Standing,
}

/// Who writes.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The handler's own pod, if known: the instance of the component that reports.
    pub pod: Option<String>,
    /// What the operator wants on each Event.
    pub annotations: Annotations,
}

/// What the thread is told.
enum Happened {
    /// The handler's node is the one of this name.
    Node(String),
    Event(WallTime, Event),
}

/// One for each of 250 pods, and those of the node.
const CAPACITY: usize = 300;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// So long one Event is tried.
const PERSISTENCE: Duration = Duration::from_mins(2);

impl Events {
    /// Keeps what is to be written for the thread that the starter starts. What goes wrong is told to
    /// `tell`.
    pub fn new(
        client: Client,
        identity: Identity,
        instance: Arc<KnownInstance>,
        seed: u64,
        tell: &Teller,
    ) -> (Self, Starter) {
        let queue = Arc::new(Queue::new(CAPACITY));
        let standing = Standing::new(Channel::KubernetesEvents, tell);
        let (inbox, tell) = (Arc::clone(&queue), Teller::clone(tell));
        let start = move || {
            let mut writer = Writer {
                queue: Arc::clone(&inbox),
                clock: client.clock(),
                client: client.clone(),
                identity: identity.clone(),
                instance: Arc::clone(&instance),
                node: None,
                early: Vec::new(),
                series: Series::default(),
                standing: Standing::new(Channel::KubernetesEvents, &tell),
                jitter: fastrand::Rng::with_seed(seed),
            };
            thread::Builder::new()
                .name("events".to_owned())
                .stack_size(STACK)
                .spawn(move || writer.run())
                .map(drop)
        };
        (Self { queue, recorder: Recorder::default(), standing }, Box::new(start))
    }

    /// Has written what is to be said of a fact. Never waits.
    pub fn tell(&mut self, reading: Reading, fact: &Fact) {
        let node = match fact {
            Fact::Started(start) => start.node.as_ref(),
            Fact::NodeFound(name) => Some(name),
            _ => None,
        };
        if let Some(node) = node {
            self.queue.push(Happened::Node(node.clone()));
        }
        let Some(event) = self.recorder.event(fact) else { return };
        if !self.queue.offer(Happened::Event(reading.wall, event)) {
            self.standing.lost(1, "too many wait already".to_owned());
        }
    }

    /// Lets the thread end when it has tried everything that is queued.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Waits for that, but no longer than `timeout`, and says what is left then.
    pub fn finish(&mut self, timeout: Duration) {
        if !self.queue.wait_until_done(timeout) {
            // One is in hand.
            self.standing.lost(self.queue.abandon() + 1, "this process has to end".to_owned());
        }
    }
}

struct Writer {
    queue: Arc<Queue<Happened>>,
    client: Client,
    clock: Clock,
    identity: Identity,
    instance: Arc<KnownInstance>,
    node: Option<String>,
    /// What happened before the name of the node was known.
    early: Vec<(WallTime, Event)>,
    series: Series,
    standing: Standing,
    jitter: fastrand::Rng,
}

const NO_NODE: &str = "the name of this node is not known";

impl Writer {
    fn run(&mut self) {
        while let Some(happened) = self.queue.wait() {
            match happened {
                Happened::Node(name) => {
                    self.node = Some(name);
                    for (at, event) in std::mem::take(&mut self.early) {
                        self.write(at, &event);
                    }
                }
                Happened::Event(at, event) => self.write(at, &event),
            }
        }
        if !self.early.is_empty() {
            self.standing.lost(self.early.len(), NO_NODE.to_owned());
        }
        self.queue.mark_done();
    }

    fn write(&mut self, at: WallTime, event: &Event) {
        let Some(node) = self.node.clone() else {
            if self.early.len() < CAPACITY {
                self.early.push((at, event.clone()));
            } else {
                self.standing.lost(1, NO_NODE.to_owned());
            }
            return;
        };
        let entry = self.series.enter(self.clock.now(), at, &node, event);
        let name = match entry {
            Entry::New(name) => name,
            Entry::Again(name, count) => {
                if self.send(&body::count(&name, event, count, at)) {
                    return;
                }
                // The API server keeps Events for an hour.
                name
            }
        };
        let instance = self.instance.instance();
        let create = body::create(&name, event, at, &node, &self.identity, &instance);
        self.send(&create);
    }

    /// Sends it until it is done, refused, or not worth it any more; whether there was something to
    /// be changed.
    fn send(&mut self, request: &Request) -> bool {
        let until = self.clock.now() + PERSISTENCE;
        let mut backoff = Backoff::from_millis(500, 10_000);
        // One more try when this process is to end.
        let mut is_last = false;
        loop {
            let (why, after) = match self.ask(request) {
                Written::Again { why, after } => (why, after),
                Written::Missing => return false,
                Written::Moot => return true,
                Written::Done => {
                    self.standing.got_through();
                    return true;
                }
                Written::Refused { status, why } => {
                    self.standing.refused(&status.to_string(), why);
                    return true;
                }
            };
            let pause = after.unwrap_or_default().max(backoff.next(&mut self.jitter));
            if is_last || pause > self.clock.now().until(until) {
                self.standing.lost(1, why);
                return true;
            }
            self.standing.failed(why);
            is_last = self.queue.wait_for_close(pause);
        }
    }

    fn ask(&mut self, request: &Request) -> Written {
        match self.client.ask(request, PATIENCE) {
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
    use crate::moment::Moment;
    use crate::node::Hand;
    use crate::node::marks::{Change, Cordon};
    use crate::source::InstanceSource;
    use crate::source::url::MetadataUrl;

    const CREATED: &[u8] = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}";
    const AWAY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    const FORBIDDEN: &[u8] = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    const MISSING: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

    /// Events against an API server that gives these answers in turn.
    struct Play {
        events: Events,
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
            let identity = Identity { pod: None, annotations: Annotations::new() };
            let (tell, told) = mpsc::channel();
            let tell: Teller = Arc::new(move |fact| {
                let _ = tell.send(fact);
            });
            let client = Client::new(server.server(), clock);
            let (events, start) = Events::new(client, identity, instance, 1, &tell);
            start().unwrap();
            Self { events, asked, told, _server: server }
        }

        fn tell(&mut self, fact: &Fact) {
            let wall = WallTime::parse("2026-11-23T12:00:00Z").unwrap();
            self.events.tell(Reading { now: Moment::START, wall }, fact);
        }

        fn cordoned(&mut self) {
            let change = Box::new(Change::Cordon(Cordon::Done));
            self.tell(&Fact::Marks { change, dry: false, by: Hand::Handler });
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
        play.tell(&Fact::NodeFound("node-1".to_owned()));
        assert_eq!(play.heard(), "report_sent");
        let (asked, _) = play.ends();
        assert_eq!(asked, [POST]);
    }

    #[test]
    fn what_happens_again_is_counted_and_written_anew_where_it_was_forgotten() {
        let mut play = Play::new(&[CREATED, CREATED, MISSING, CREATED]);
        play.tell(&Fact::NodeFound("node-1".to_owned()));
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
        play.tell(&Fact::NodeFound("node-1".to_owned()));
        play.cordoned();
        assert_eq!(play.heard(), "report_failing");
        assert_eq!(play.heard(), "report_retried");
        assert_eq!(play.told.recv(), Ok(Fact::ReportRecovered(Channel::KubernetesEvents, 2)));
        assert_eq!(play.ends().0, [POST; 3]);
    }

    #[test]
    fn a_missing_permission_is_said_once() {
        let mut play = Play::new(&[FORBIDDEN, FORBIDDEN]);
        play.tell(&Fact::NodeFound("node-1".to_owned()));
        play.cordoned();
        let why = play.told.recv().unwrap().to_string();
        assert!(why.ends_with("`create` on `events` must be granted"), "{why}");
        play.tell(&Fact::DrainBegins(Arc::from("node-1")));
        let again = play.told.recv().unwrap();
        assert!(matches!(again, Fact::ReportRefused { again: true, .. }), "{again:?}");
        assert_eq!(play.ends().0.len(), 2);
    }

    #[test]
    fn a_missing_permission_is_said_once_for_all_namespaces() {
        use crate::drain::ask::{Budget, PodRef};
        use crate::drain::progress::Progress;
        use crate::drain::verdict::Obstacle;

        let mut play = Play::new(&[FORBIDDEN, FORBIDDEN, FORBIDDEN]);
        play.tell(&Fact::NodeFound("node-1".to_owned()));
        for namespace in ["a", "b", "a"] {
            let of = |name: &str| (namespace.into(), name.into());
            let (namespace, name) = of("web");
            let pod = Arc::new(PodRef { namespace, name, uid: "u".into() });
            let (namespace, name) = of("budget");
            let obstacle = Obstacle::Budget(Arc::new(Budget { namespace, name }));
            play.tell(&Fact::Drain(Progress::Deleted { pod, grace: None, obstacle }));
        }
        let told: Vec<Fact> = (0..3).map(|_| play.told.recv().unwrap()).collect();
        let anew = |fact: &&Fact| matches!(fact, Fact::ReportRefused { again: false, .. });
        assert_eq!(told.iter().filter(anew).count(), 1, "{told:#?}");
    }
}

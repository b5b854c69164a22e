//! A world in virtual time. Events stand in a queue by moment; time passes only while the loop
//! waits. Nothing sleeps, no clock is read.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::drain::ask::{Answer, Job, PodRef};
use crate::drain::machine::Drain;
use crate::drain::pod::PodNews;
use crate::drain::tests::cluster::{Arrival, ms, secs};
use crate::handler::config::Config;
use crate::handler::run::{self, Goal};
use crate::handler::tests::metadata::{INTERVAL, poll};
use crate::handler::tests::node::Object;
use crate::handler::tests::pods::Pods;
use crate::handler::tests::script::{Edit, End, NODE, Script, What, With};
use crate::handler::tests::timeline::{Entry, Run};
use crate::handler::threads::{PATCH_TIMEOUT, READ_TIMEOUT};
use crate::handler::world::{News, Order, World};
use crate::moment::{Moment, Reading};
use crate::node::NodeAnswer;
use crate::node::marks::Patch;
use crate::notice::{NoticePath, Polled};
use crate::report::fact::Fact;

/// Runs the loop until it returns.
pub(super) fn run(script: &Script) -> Run {
    let mut model = Model::new(script);
    let mut config = script.config.clone();
    while let Err(end) = run_until_killed(config.clone(), &mut model) {
        model.begin_anew(end);
        if end == End::Rebooted {
            config.boot.id.push('+');
            config.boot.began = Some(model.read_clock().wall);
        }
    }
    assert!(model.terminated, "the process ended by itself at {:?}", model.now);
    Run::new(model.timeline, model.now, model.node, model.pods)
}

/// Runs one process. A process that is killed between two steps leaves the loop by unwinding.
fn run_until_killed(config: Config, model: &mut Model<'_>) -> Result<(), End> {
    let run = AssertUnwindSafe(|| run::run(Goal::Notices, config, model));
    catch_unwind(run).map(drop).map_err(|cause| match cause.downcast::<End>() {
        Ok(end) => *end,
        Err(panicked) => resume_unwind(panicked),
    })
}

/// More steps than any run here can need between two moments.
const MOST_STEPS: u32 = 5000;
/// No run here goes on so long: one that does has missed its SIGTERM.
const END_OF_TIME: Moment = Moment::at(Duration::from_hours(2));
/// Before another process begins: no request of the one before is under way any more.
const RESTART: Duration = secs(2);
/// Before a watch that was refused is opened again.
const WATCH_AGAIN: Duration = secs(1);

/// What will happen.
#[derive(Debug)]
enum Event {
    Polls(NoticePath),
    OthersEdit(Edit),
    PodArrives(usize),
    PodEnds(usize),
    /// A request reaches the API server.
    Reaches(Sent),
    /// A request ends, in one way or the other.
    Answers(Option<u32>, News),
    /// The watch is opened.
    WatchOpens(u32),
    /// The watch says something.
    Reported(u32, PodNews),
    /// Whatever happens: for any generation.
    Comes(News),
    /// The process ends before its time.
    Ends(End),
}

/// A request on its way.
#[derive(Debug)]
struct Sent {
    generation: u32,
    request: Request,
    back: Moment,
    given_up: Moment,
}

#[derive(Debug)]
enum Request {
    ReadNode,
    PatchNode(Patch),
    FindNode,
    Ask(Job),
}

struct Model<'a> {
    script: &'a Script,
    now: Moment,
    queue: BTreeMap<(Moment, u64), Event>,
    queued: u64,
    node: Object,
    pods: Pods,
    /// Answers to what was ordered before the last disconnect are nobody's.
    generation: u32,
    under_way: usize,
    /// The watch, by its generation, once its first set was sent.
    watching: Option<u32>,
    terminated: bool,
    /// The process has ended before its time, so that its next step is another's.
    killed: Option<End>,
    orders: u32,
    /// Those that have reached the API server.
    requests: u32,
    /// Since time last went on.
    steps: std::cell::Cell<u32>,
    random: fastrand::Rng,
    timeline: Vec<(Moment, Entry)>,
}

impl<'a> Model<'a> {
    fn new(script: &'a Script) -> Self {
        let mut model = Self {
            script,
            now: Moment::START,
            queue: BTreeMap::new(),
            queued: 0,
            node: Object::new(script),
            pods: Pods::new(&script.pods, script.budgets_free),
            generation: 0,
            under_way: 0,
            watching: None,
            terminated: false,
            killed: None,
            orders: 0,
            requests: 0,
            steps: std::cell::Cell::new(0),
            random: fastrand::Rng::with_seed(script.seed),
            timeline: Vec::new(),
        };
        for path in script.paths.keys() {
            model.plan(Moment::START, Event::Polls(*path));
        }
        for (index, life) in script.pods.iter().enumerate() {
            let Arrival::At(when) = life.arrival else { panic!("not in this model") };
            model.plan(Moment::at(when), Event::PodArrives(index));
        }
        for (when, edit) in &script.edits {
            model.plan(Moment::at(*when), Event::OthersEdit(edit.clone()));
        }
        for (when, end) in &script.ends {
            model.plan(Moment::at(*when), Event::Ends(*end));
        }
        for when in &script.sigterm {
            model.plan(Moment::at(*when), Event::Comes(News::Terminate));
        }
        model
    }

    fn plan(&mut self, when: Moment, event: Event) {
        self.queued += 1;
        self.queue.insert((when.max(self.now), self.queued), event);
    }

    /// Another process begins: nothing comes to it that was asked by the one before, though the API
    /// server may still be doing it.
    fn begin_anew(&mut self, end: End) {
        self.note(Entry::BeginsAnew { rebooted: end == End::Rebooted });
        self.generation += 1;
        self.under_way = 0;
        self.watching = None;
        let begins = self.now + RESTART;
        while let Some((when, event)) = self.queue.pop_first() {
            if when.0 >= begins {
                self.queue.insert(when, event);
                break;
            }
            self.go_on(when.0);
            match event {
                // SIGTERM finds the next process.
                Event::Comes(News::Terminate) => self.plan(begins, event),
                event => drop(self.happens(event)),
            }
        }
        self.go_on(begins);
        self.killed = None;
        if self.terminated {
            // Whoever wanted the process gone wants the next one gone.
            self.plan(begins, Event::Comes(News::Terminate));
        }
    }

    fn note(&mut self, entry: Entry) {
        self.timeline.push((self.now, entry));
    }

    fn go_on(&mut self, to: Moment) {
        if to > self.now {
            self.now = to;
            self.steps.set(0);
        }
    }

    /// News for the handler, if what happens is any.
    fn happens(&mut self, event: Event) -> Option<News> {
        match event {
            Event::Polls(path) => {
                self.plan(self.now + INTERVAL, Event::Polls(path));
                let polled = poll(self.script, path, self.now);
                if self.script.repeats && self.says_so_again(path, &polled) {
                    self.plan(self.now, Event::Comes(News::Polled(polled.clone())));
                }
                return Some(News::Polled(polled));
            }
            Event::OthersEdit(edit) => self.node.edit(&edit),
            Event::PodArrives(index) => {
                let pod = self.pods.arrives(index);
                self.report(PodNews::Seen(pod));
            }
            Event::PodEnds(index) => {
                if let Some(pod) = self.pods.ends(self.now, index) {
                    self.report(PodNews::Gone { uid: pod.uid.clone() });
                }
            }
            Event::Reaches(sent) => self.serve(&sent),
            Event::Answers(generation, news) => {
                if generation.is_none_or(|generation| generation == self.generation) {
                    self.under_way -= 1;
                    return Some(news);
                }
            }
            Event::WatchOpens(generation) if generation == self.generation => {
                return Some(self.watch_opens());
            }
            Event::Reported(generation, news) if generation == self.generation => {
                return Some(News::Pods(news));
            }
            Event::WatchOpens(_) | Event::Reported(..) => {}
            Event::Ends(end) => self.killed = Some(end),
            Event::Comes(news) => {
                self.terminated |= news == News::Terminate;
                return Some(news);
            }
        }
        None
    }
}

impl Model<'_> {
    /// Whether the path has said the same notices for as long as it takes to withdraw another.
    fn says_so_again(&self, path: NoticePath, polled: &Polled) -> bool {
        let ids = |polled: &Polled| {
            let answer = polled.outcome.as_ref().ok()?;
            Some(answer.standing.iter().map(|notice| notice.id.clone()).collect::<Vec<_>>())
        };
        let before = |polls: u32| poll(self.script, path, self.now - INTERVAL * polls);
        let said = ids(polled);
        said.as_ref().is_some_and(|ids| !ids.is_empty())
            && self.now >= Moment::START + INTERVAL * 3
            && (1..3).all(|polls| ids(&before(polls)) == said)
    }
}

impl World for Model<'_> {
    fn read_clock(&self) -> Reading {
        self.steps.set(self.steps.get() + 1);
        assert!(self.steps.get() < MOST_STEPS, "no end of steps at {:?}", self.now);
        self.script.reading(self.now)
    }

    fn wait(&mut self, until: Option<Moment>) -> Option<News> {
        assert!(
            until.is_none_or(|until| until > self.now),
            "to wait until {until:?} at {:?} is to spin",
            self.now
        );
        assert!(self.now < END_OF_TIME, "the process does not end");
        let news = loop {
            let next = self.queue.first_key_value().map(|((when, _), _)| *when);
            let Some(when) = next.filter(|when| until.is_none_or(|until| *when <= until)) else {
                let until = until.expect("something happens before the end");
                let late = self.random.u64(0..=self.script.oversleep);
                self.go_on(until + ms(late));
                break None;
            };
            let Some((_, event)) = self.queue.pop_first() else { continue };
            self.go_on(when);
            let news = self.happens(event);
            if news.is_some() || self.killed.is_some() {
                break news;
            }
        };
        self.note(Entry::Came(news.clone()));
        self.die_if_killed();
        news
    }

    fn show(&mut self, _: Option<&Drain>, _: Moment) {}

    fn free(&self) -> usize {
        let since_start = self.now.since(Moment::START);
        if self.script.busy.iter().any(|busy| busy.contains(&since_start)) {
            return 0;
        }
        self.script.free.saturating_sub(self.under_way)
    }

    fn carry_out(&mut self, order: Order) {
        self.note(Entry::Ordered(order.clone()));
        self.orders += 1;
        if self.script.killed_after == Some(self.orders) {
            self.killed = Some(End::Killed);
        }
        match order {
            Order::CheckCredentials => {
                let there = self.now >= Moment::at(self.script.credentials);
                let own = self.script.own.clone();
                let read = there.then_some(own).ok_or_else(|| "no token file".to_owned());
                self.plan(self.now, Event::Comes(News::Credentials(read)));
            }
            Order::FindNode => self.send(Request::FindNode, READ_TIMEOUT),
            Order::ReadNode(name) => {
                assert_eq!(&*name, NODE);
                self.send(Request::ReadNode, READ_TIMEOUT);
            }
            Order::PatchNode(name, patch) => {
                assert_eq!(&*name, NODE);
                self.send(Request::PatchNode(patch), PATCH_TIMEOUT);
            }
            Order::FollowPods(name) => {
                assert_eq!(&*name, NODE);
                self.follow();
            }
            Order::Ask(job) => {
                let timeout = job.timeout;
                self.send(Request::Ask(job), timeout);
            }
            Order::GiveUp(pod) => self.give_up(&pod),
            Order::Disconnect => {
                self.generation += 1;
                self.under_way = 0;
                self.watching = None;
            }
        }
        self.die_if_killed();
    }

    fn tell(&mut self, fact: Fact) {
        self.note(Entry::Told(fact));
        let annotation = self.node.annotation().map(str::to_owned);
        self.note(Entry::NodeIs { annotation });
    }
}

impl Model<'_> {
    fn die_if_killed(&mut self) {
        if let Some(end) = self.killed.take() {
            resume_unwind(Box::new(end));
        }
    }
}

/// Requests.
impl Model<'_> {
    fn send(&mut self, request: Request, patience: Duration) {
        // Of the Node's there is always room for one.
        if let Request::Ask(_) = request {
            assert!(self.free() > 0, "{request:?} at {:?}, and nobody to send it", self.now);
        }
        self.under_way += 1;
        let latency = self.script.latency.clone();
        let reaches = self.now + ms(self.random.u64(latency.clone()));
        let back = reaches + ms(self.random.u64(latency));
        let given_up = self.now + patience;
        self.plan(
            reaches,
            Event::Reaches(Sent { generation: self.generation, request, back, given_up }),
        );
    }

    /// What was asked about this pod is asked no more, and its connection closed.
    fn give_up(&mut self, pod: &Arc<PodRef>) {
        self.queue.retain(|_, event| match event {
            Event::Reaches(Sent { request: Request::Ask(job), .. }) => job.pod != *pod,
            Event::Answers(_, News::Answered { pod: about, .. }) => about != pod,
            _ => true,
        });
        let answer = Answer::Broken("given up".to_owned());
        let news = News::Answered { pod: Arc::clone(pod), answer };
        self.plan(self.now + ms(1), Event::Answers(Some(self.generation), news));
    }

    fn serve(&mut self, sent: &Sent) {
        self.requests += 1;
        let trouble = self.trouble(With::of(&sent.request));
        let silence = "no answer in time";
        let (when, news) = match trouble {
            Some(What::HasNoNode)
                if matches!(sent.request, Request::ReadNode | Request::PatchNode(_)) =>
            {
                let why = format!("there is no node named {NODE}");
                (sent.back, News::Node(NodeAnswer::Missing(why)))
            }
            Some(What::Refuses | What::HasNoNode) => {
                (sent.back, sent.request.failed("connection refused"))
            }
            Some(What::Hangs) => (sent.given_up, sent.request.failed(silence)),
            Some(What::LosesAnswer) => {
                self.answer(&sent.request);
                (sent.given_up, sent.request.failed(silence))
            }
            None => {
                let news = self.answer(&sent.request);
                if sent.back <= sent.given_up {
                    (sent.back, news)
                } else {
                    (sent.given_up, sent.request.failed(silence))
                }
            }
        };
        self.plan(when.max(self.now), Event::Answers(Some(sent.generation), news));
    }

    fn trouble(&self, with: With) -> Option<What> {
        if let Some((number, what)) = self.script.request_meets
            && number == self.requests
        {
            return Some(what);
        }
        let since_start = self.now.since(Moment::START);
        let trouble = self.script.troubles.iter().find(|trouble| {
            trouble.when.contains(&since_start)
                && (trouble.with == With::Everything || trouble.with == with)
        });
        trouble.map(|trouble| trouble.what)
    }

    fn answer(&mut self, request: &Request) -> News {
        match request {
            Request::ReadNode => News::Node(NodeAnswer::Is(self.node.read())),
            Request::PatchNode(patch) => News::Node(self.node.patch(patch)),
            Request::FindNode if self.now < Moment::at(self.script.name) => {
                request.failed("the pod is not bound to a node")
            }
            Request::FindNode => News::NodeFound(Ok(NODE.to_owned())),
            Request::Ask(job) => {
                let before = self.pods.ending(&job.pod);
                let answer = self.pods.ask(self.now, job);
                let after = self.pods.ending(&job.pod);
                if before != after {
                    self.is_ending(&job.pod);
                }
                News::Answered { pod: Arc::clone(&job.pod), answer }
            }
        }
    }

    fn is_ending(&mut self, pod: &PodRef) {
        if let Some((index, ends, described)) = self.pods.ending(pod) {
            self.plan(ends, Event::PodEnds(index));
            self.report(PodNews::Seen(described));
        }
    }
}

impl Request {
    fn failed(&self, why: &str) -> News {
        let why = why.to_owned();
        match self {
            Self::ReadNode | Self::PatchNode(_) => News::Node(NodeAnswer::Failed(why)),
            Self::FindNode => News::NodeFound(Err(why)),
            Self::Ask(job) => {
                News::Answered { pod: Arc::clone(&job.pod), answer: Answer::Broken(why) }
            }
        }
    }
}

impl With {
    fn of(request: &Request) -> Self {
        match request {
            Request::ReadNode => Self::ReadNode,
            Request::PatchNode(_) => Self::PatchNode,
            Request::FindNode => Self::FindNode,
            Request::Ask(_) => Self::Pods,
        }
    }
}

/// The watch.
impl Model<'_> {
    fn follow(&mut self) {
        let latency = ms(2 * *self.script.latency.end());
        self.plan(self.now + latency, Event::WatchOpens(self.generation));
    }

    fn watch_opens(&mut self) -> News {
        assert_eq!(self.watching, None, "two watches at {:?}", self.now);
        self.requests += 1;
        if self.trouble(With::Pods).is_some() {
            self.plan(self.now + WATCH_AGAIN, Event::WatchOpens(self.generation));
            return News::Pods(PodNews::Lost { why: "connection refused".to_owned() });
        }
        self.watching = Some(self.generation);
        for pod in self.pods.list() {
            self.report(PodNews::Seen(pod));
        }
        self.report(PodNews::SetComplete);
        News::Pods(PodNews::SetBegins)
    }

    fn report(&mut self, news: PodNews) {
        if let Some(generation) = self.watching {
            self.plan(self.now, Event::Reported(generation, news));
        }
    }
}

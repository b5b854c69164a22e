//! The simulation: what happens, in the order of virtual time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::Seconds;
use super::client::{self, CORDON_WAIT, DEADLINE, OWN_TIME, Pod};
use super::level::{Level, Seated, Width};
use super::processor::Processor;
use super::random::{Random, hash};
use super::seats::{self, NODE_HIGH, SYSTEM, Seats, WORKLOAD_HIGH};
use super::setup::{Identity, Setup, cost};

/// An eviction waits for the cache of budgets until etcd has confirmed it, which is asked so often.
const TICK: f64 = 0.1;
/// The API server refuses what has waited so long for a seat: a quarter of `--request-timeout`.
const LONGEST_WAIT: f64 = 15.0;
/// The containers of a pod end so long after they were told to.
const CONTAINERS_END: f64 = 1.0;
/// Workers of the controllers that replace pods.
const WORKERS: usize = 16;
/// Nodes that are not drained ask for something so often, all together.
const EACH_BYSTANDER: f64 = 0.02;
/// The longest that an opening watch stays away when it is told to.
const LONGEST_WATCH_PAUSE: f64 = 5.0;

/// What came of it. Times from the notice, in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    pub first_cordon: f64,
    pub last_accepted: f64,
    /// Answers 429 to handlers.
    pub refused: usize,
    /// Pods that had not been told to end at their own time.
    pub late: usize,
    /// Of these, those that had not been asked.
    pub unasked: usize,
    /// Pods that were deleted, as their time was up.
    pub deleted: usize,
    /// Pods that were not told to end before the deadline.
    pub lost: usize,
    /// The API server's processor time.
    pub processor: f64,
    /// How long requests of kubelets of other nodes took.
    pub bystanders: Vec<f64>,
    /// How many of these were refused.
    pub bystanders_refused: usize,
    /// The most seats in use of the level that the evictions have.
    pub seats: usize,
}

impl Outcome {
    /// The time that all but that part of the bystanders' requests took.
    pub fn bystander(&self, part: f64) -> f64 {
        let mut sorted = self.bystanders.clone();
        sorted.sort_by(f64::total_cmp);
        let beyond = (0..sorted.len()).find(|at| *at as f64 >= part * sorted.len() as f64);
        beyond.and_then(|at| sorted.get(at)).or(sorted.last()).copied().unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Poll(usize),
    CordonIsLate(usize),
    Again(usize, Kind),
    AskAgain(usize),
    Tick,
    Vacate(usize),
    Kubelet(u64),
    Replace,
    Bystander,
    Adjust,
    OwnTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    Shaken(usize),
    /// Of a request: before it has a level, before it waits for the cache, and to its end.
    Door(usize),
    First(usize),
    Last(usize),
    Replaced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Cordon,
    Watch,
    Evict,
    Delete,
    Kubelet,
    Bystander,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    kind: Kind,
    node: usize,
    pod: usize,
    level: usize,
    flow: u64,
    width: Width,
    sent: f64,
    queue: Option<usize>,
    seated: Option<Seated>,
    /// How often this place was used.
    generation: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    cordoned: bool,
    watches: bool,
    /// The first of its pods that was never asked, as far as is known.
    next: usize,
}

struct Simulation {
    setup: Setup,
    now: f64,
    random: Random,
    events: BinaryHeap<Reverse<(Seconds, u64, Event)>>,
    scheduled: u64,
    processor: Processor<Job>,
    /// Requests that came into a queue: until when they wait, at most.
    queued: VecDeque<(f64, usize, u32)>,
    levels: Vec<Level>,
    seats: Seats,
    requests: Vec<Request>,
    free: Vec<usize>,
    ticking: Vec<usize>,
    /// Evictions that list the budgets: these lists are exempt from limits, and counted all the same.
    listing: usize,
    most_listing: usize,
    nodes: Vec<Node>,
    pods: Vec<Pod>,
    staying: usize,
    to_replace: usize,
    workers: usize,
    outcome: Outcome,
}

/// Runs it to its end.
pub fn simulate(setup: &Setup) -> Outcome {
    let mut simulation = Simulation::new(*setup);
    simulation.run();
    simulation.outcome
}

impl Simulation {
    fn new(setup: Setup) -> Self {
        let mut configured = seats::DEFAULT.to_vec();
        configured.extend(setup.own_level);
        let mut seats = Seats::new(&configured);
        let limits = seats.adjust(&[], 0.0);
        let level = |index: usize| {
            let limit = if setup.borrows { limits[index] } else { seats.nominal(index) };
            Level::new(configured[index].shape, limit)
        };
        let levels = (0..configured.len()).map(level).collect();
        let all = setup.nodes * setup.pods;
        Self {
            setup,
            now: 0.0,
            random: Random::new(setup.seed),
            events: BinaryHeap::new(),
            scheduled: 0,
            processor: Processor::new(setup.cores),
            queued: VecDeque::new(),
            levels,
            seats,
            requests: Vec::new(),
            free: Vec::new(),
            ticking: Vec::new(),
            listing: 0,
            most_listing: 0,
            nodes: vec![Node::default(); setup.nodes],
            pods: vec![Pod::default(); all],
            staying: all,
            to_replace: 0,
            workers: 0,
            outcome: Outcome { first_cordon: f64::INFINITY, ..Outcome::default() },
        }
    }

    fn run(&mut self) {
        for node in 0..self.setup.nodes {
            let at = self.random.unit() + self.setup.jitter * self.random.unit();
            self.at(at, Event::Poll(node));
        }
        self.at(OWN_TIME, Event::OwnTime);
        self.at(EACH_BYSTANDER, Event::Bystander);
        if self.setup.borrows {
            let phase = seats::BORROWING * self.random.unit();
            self.at(phase, Event::Adjust);
        }
        loop {
            let event = self.events.peek().map(|Reverse((at, ..))| at.0);
            let done = self.processor.next();
            let next = event.into_iter().chain(done).fold(f64::INFINITY, f64::min);
            if self.refuse_what_has_waited(next) {
                continue;
            }
            match (event, done) {
                (Some(event), done) if done.is_none_or(|done| event <= done) => {
                    self.now = event;
                    let Some(Reverse((.., event))) = self.events.pop() else { return };
                    self.happens(event);
                }
                (_, Some(done)) => {
                    self.now = done;
                    let Some(job) = self.processor.finish(done) else { return };
                    self.done(job);
                }
                (_, None) => break,
            }
        }
        self.outcome.lost = self.staying;
        self.outcome.processor = self.processor.used();
        self.outcome.seats = self.levels[self.level_of_evictions()].most_in_use;
    }

    fn at(&mut self, at: f64, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((Seconds(at), self.scheduled, event)));
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Poll(node) => {
                self.processor.start(self.now, cost::HANDSHAKE, Job::Shaken(node));
            }
            Event::CordonIsLate(node) => {
                self.nodes[node].cordoned = true;
                self.evict(node);
            }
            Event::Again(node, kind) => {
                if self.now < DEADLINE {
                    self.send(kind, node, 0);
                }
            }
            Event::AskAgain(pod) => self.ask_again(pod),
            Event::Tick => {
                for id in std::mem::take(&mut self.ticking) {
                    self.listing -= 1;
                    self.processor.start(self.now, cost::EVICTION / 2.0, Job::Last(id));
                }
            }
            Event::Vacate(id) => self.vacate(id),
            Event::Kubelet(flow) => self.kubelet(Kind::Kubelet, flow),
            Event::Replace => {
                self.to_replace += 1;
                self.replace();
            }
            Event::Bystander => {
                if self.staying > 0 && self.now < DEADLINE {
                    let flow = self.random.number();
                    self.kubelet(Kind::Bystander, flow);
                    self.at(self.now + EACH_BYSTANDER, Event::Bystander);
                }
            }
            Event::Adjust => self.adjust(),
            Event::OwnTime => self.own_time(),
        }
    }

    fn done(&mut self, job: Job) {
        match job {
            Job::Shaken(node) => {
                self.at(self.now + CORDON_WAIT, Event::CordonIsLate(node));
                self.send(Kind::Cordon, node, 0);
                self.send(Kind::Watch, node, 0);
            }
            Job::Door(id) => self.enter(id),
            Job::First(id) => {
                if self.ticking.is_empty() {
                    let next = ((self.now / TICK).floor() + 1.0) * TICK;
                    self.at(next, Event::Tick);
                }
                self.ticking.push(id);
                self.listing += 1;
                self.most_listing = self.most_listing.max(self.listing);
            }
            Job::Last(id) => self.answered(id),
            Job::Replaced => {
                self.workers -= 1;
                self.replace();
                let flow = self.random.number();
                for _ in 0..cost::REPORTS / 2 {
                    self.at(self.now + CONTAINERS_END, Event::Kubelet(flow));
                }
            }
        }
    }

    fn level_of_evictions(&self) -> usize {
        match (self.setup.own_level, self.setup.identity) {
            (Some(_), _) => seats::DEFAULT.len(),
            (None, Identity::Node) => SYSTEM,
            (None, Identity::ServiceAccount { .. }) => WORKLOAD_HIGH,
        }
    }

    fn send(&mut self, kind: Kind, node: usize, pod: usize) {
        let changing = self.setup.changing_a_pod();
        let (level, width) = match kind {
            Kind::Cordon => (NODE_HIGH, Width { seats: 1, after: 0, lingers: 0.0 }),
            Kind::Watch => (SYSTEM, self.setup.watching()),
            Kind::Evict => (self.level_of_evictions(), changing),
            Kind::Delete | Kind::Kubelet | Kind::Bystander => (SYSTEM, changing),
        };
        let user = hash(node as u64);
        let (level, flow) = match self.setup.identity {
            Identity::Node => (level, user),
            // Nodes and watches on all namespaces have none.
            Identity::ServiceAccount { namespaces } => {
                let namespace = if matches!(kind, Kind::Cordon | Kind::Watch) {
                    0
                } else {
                    1 + hash(pod as u64) % namespaces.max(1) as u64
                };
                (WORKLOAD_HIGH, hash(namespace))
            }
        };
        self.submit(kind, (node, pod), (level, flow), width);
    }

    fn kubelet(&mut self, kind: Kind, flow: u64) {
        let width = self.setup.changing_a_pod();
        self.submit(kind, (0, 0), (SYSTEM, flow), width);
    }

    fn submit(&mut self, kind: Kind, of: (usize, usize), to: (usize, u64), width: Width) {
        let ((node, pod), (level, flow)) = (of, to);
        let sent = self.now;
        let request = Request {
            kind,
            node,
            pod,
            level,
            flow,
            width,
            sent,
            queue: None,
            seated: None,
            generation: 0,
        };
        let id = self.free.pop().unwrap_or(self.requests.len());
        if let Some(place) = self.requests.get_mut(id) {
            *place = Request { generation: place.generation + 1, ..request };
        } else {
            self.requests.push(request);
        }
        self.processor.start(self.now, cost::DOOR, Job::Door(id));
    }

    /// A request has come as far as to its level.
    fn enter(&mut self, id: usize) {
        let Request { kind, level, flow, width, generation, .. } = self.requests[id];
        if self.setup.kwok && kind == Kind::Kubelet {
            self.processor.start(self.now, cost::KUBELET, Job::Last(id));
            return;
        }
        match self.levels[level].offer(self.now, id, flow, width) {
            Some(queue) => {
                self.requests[id].queue = Some(queue);
                self.queued.push_back((self.now + LONGEST_WAIT, id, generation));
                self.seat(level);
            }
            None => self.refuse(id),
        }
    }

    fn seat(&mut self, level: usize) {
        while let Some(seated) = self.levels[level].seat(self.now) {
            let id = seated.id;
            let request = &mut self.requests[id];
            request.queue = None;
            request.seated = Some(seated);
            let (cost, job) = match request.kind {
                Kind::Cordon => (cost::CORDON, Job::Last(id)),
                Kind::Watch => (cost::WATCH, Job::Last(id)),
                Kind::Evict => (cost::EVICTION / 2.0, Job::First(id)),
                Kind::Delete => (cost::DELETION, Job::Last(id)),
                Kind::Kubelet | Kind::Bystander => (cost::KUBELET, Job::Last(id)),
            };
            self.processor.start(self.now, cost, job);
        }
    }

    /// The first one that has waited for too long before that moment, when the next thing happens.
    fn refuse_what_has_waited(&mut self, next: f64) -> bool {
        while let Some((until, id, generation)) = self.queued.front().copied() {
            let waits =
                self.requests[id].generation == generation && self.requests[id].queue.is_some();
            if waits && until > next {
                return false;
            }
            self.queued.pop_front();
            if waits && self.withdraw(id) {
                self.now = until;
                self.refuse(id);
                return true;
            }
        }
        false
    }

    fn withdraw(&mut self, id: usize) -> bool {
        let Request { level, queue, .. } = self.requests[id];
        self.requests[id].queue = None;
        queue.is_some_and(|queue| self.levels[level].withdraw(self.now, id, queue))
    }

    fn refuse(&mut self, id: usize) {
        let Request { kind, node, pod, level, .. } = self.requests[id];
        self.free.push(id);
        let told = self.levels[level].retry_after(self.now);
        match kind {
            Kind::Kubelet => {}
            Kind::Bystander => self.outcome.bystanders_refused += 1,
            Kind::Cordon | Kind::Watch => {
                self.outcome.refused += 1;
                let pause = (told as f64).min(LONGEST_WATCH_PAUSE);
                self.at(self.now + pause, Event::Again(node, kind));
            }
            Kind::Evict | Kind::Delete => {
                self.outcome.refused += 1;
                let retry = self.setup.retry;
                let state = &mut self.pods[pod];
                state.in_flight = false;
                let at = state.next_try(self.now, told, retry, &mut self.random);
                self.at(at, Event::AskAgain(pod));
                self.evict(node);
            }
        }
    }

    fn answered(&mut self, id: usize) {
        let Request { kind, node, pod, level, sent, seated, .. } = self.requests[id];
        if let Some(seated) = seated {
            self.levels[level].answered(self.now, &seated);
            if seated.lingers() > 0.0 {
                self.at(self.now + seated.lingers(), Event::Vacate(id));
            } else {
                self.vacate(id);
            }
        } else {
            self.free.push(id);
        }
        match kind {
            Kind::Cordon => {
                self.outcome.first_cordon = self.outcome.first_cordon.min(self.now);
                self.nodes[node].cordoned = true;
                self.evict(node);
            }
            Kind::Watch => {
                self.nodes[node].watches = true;
                self.evict(node);
            }
            Kind::Evict | Kind::Delete => self.accepted(node, pod, kind),
            Kind::Kubelet => {}
            Kind::Bystander => self.outcome.bystanders.push(self.now - sent),
        }
    }

    fn vacate(&mut self, id: usize) {
        let Request { level, seated, .. } = self.requests[id];
        if let Some(seated) = seated {
            self.levels[level].vacate(self.now, &seated);
        }
        self.free.push(id);
        self.seat(level);
    }

    fn accepted(&mut self, node: usize, pod: usize, kind: Kind) {
        self.pods[pod].in_flight = false;
        if !std::mem::replace(&mut self.pods[pod].is_leaving, true) {
            self.staying -= 1;
            self.outcome.last_accepted = self.now;
            self.outcome.deleted += usize::from(kind == Kind::Delete);
            for _ in 0..cost::REPORTS / 2 {
                self.at(self.now + CONTAINERS_END, Event::Kubelet(hash(node as u64)));
            }
            self.at(self.now, Event::Replace);
        }
        self.evict(node);
    }

    /// Sends the first evictions that are due.
    fn evict(&mut self, node: usize) {
        let Node { cordoned, watches, next } = self.nodes[node];
        if !cordoned || !watches || self.now >= DEADLINE {
            return;
        }
        let (begin, end) = (node * self.setup.pods, (node + 1) * self.setup.pods);
        for pod in begin + next..end {
            let is_up = self.now >= OWN_TIME;
            if !is_up && client::is_crowded(&self.pods[begin..end], self.setup.streams, self.now) {
                return;
            }
            self.nodes[node].next += 1;
            self.ask(pod, Kind::Evict);
        }
    }

    fn ask(&mut self, pod: usize, kind: Kind) {
        self.pods[pod].asked = Some(self.now);
        self.pods[pod].in_flight = true;
        self.send(kind, pod / self.setup.pods, pod);
    }

    fn ask_again(&mut self, pod: usize) {
        let Pod { in_flight, is_leaving, .. } = self.pods[pod];
        if !in_flight && !is_leaving && self.now < DEADLINE {
            self.ask(pod, if self.now < OWN_TIME { Kind::Evict } else { Kind::Delete });
        }
    }

    /// The own time of all pods is up: who was asked is deleted, whatever keeps it.
    fn own_time(&mut self) {
        self.outcome.late = self.staying;
        let unasked = self.pods.iter().filter(|pod| pod.asked.is_none() && !pod.is_leaving);
        self.outcome.unasked = unasked.count();
        for id in 0..self.requests.len() {
            if self.requests[id].kind == Kind::Evict && self.withdraw(id) {
                let pod = self.requests[id].pod;
                self.free.push(id);
                self.pods[pod].in_flight = false;
                self.ask_again(pod);
            }
        }
        for node in 0..self.nodes.len() {
            self.evict(node);
        }
    }

    /// Controllers replace pods, so many at a time.
    fn replace(&mut self) {
        while self.workers < WORKERS && self.to_replace > 0 {
            self.workers += 1;
            self.to_replace -= 1;
            self.processor.start(self.now, cost::CONTROLLERS, Job::Replaced);
        }
    }

    fn adjust(&mut self) {
        let now = self.now;
        let demands: Vec<_> = self.levels.iter_mut().map(|level| level.demand(now)).collect();
        let limits = self.seats.adjust(&demands, self.most_listing as f64);
        self.most_listing = self.listing;
        for (level, limit) in limits.into_iter().enumerate() {
            self.levels[level].set_limit(now, limit);
            self.seat(level);
        }
        if self.staying > 0 && now < DEADLINE {
            self.at(now + seats::BORROWING, Event::Adjust);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::setup::Retry;
    use super::*;

    #[test]
    fn every_pod_of_a_few_nodes_is_evicted_and_nothing_refused() {
        let outcome = simulate(&Setup::new(10, 30, 8.0));
        assert_eq!((outcome.lost, outcome.late, outcome.refused, outcome.deleted), (0, 0, 0, 0));
        assert!(outcome.last_accepted > 0.1 && outcome.last_accepted < 3.0);
    }

    #[test]
    fn the_same_seed_gives_the_same() {
        let setup = Setup::new(100, 30, 8.0);
        let [first, again] = [simulate(&setup), simulate(&setup)];
        assert_eq!(first, again);
        assert_ne!(first, simulate(&Setup { seed: 2, ..setup }));
    }

    #[test]
    fn what_is_too_much_is_refused_and_comes_again() {
        let setup = Setup { retry: Retry::SPREAD, ..Setup::new(1000, 30, 64.0) };
        let outcome = simulate(&setup);
        assert_eq!((outcome.lost, outcome.late), (0, 0));
        assert!(outcome.refused > 1000, "{} refused", outcome.refused);
    }

    #[test]
    fn where_time_is_short_pods_are_deleted_and_all_that_stay_are_counted() {
        let outcome = simulate(&Setup::new(1000, 30, 1.0));
        let Outcome { late, deleted, lost, .. } = outcome;
        assert!(deleted > 0 && lost > 0 && deleted + lost <= late, "{late} {deleted} {lost}");
    }
}

//! A model of API server, kubelet and watch in virtual time. Events stand in a queue by moment; the
//! machine is driven between any two of them as the handler drives it. Nothing sleeps, no clock is
//! read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::drain::ask::{Answer, Ask, Budget, Job, PodRef};
use crate::drain::limit::Limit;
use crate::drain::machine::{Drain, Presence, Step};
use crate::drain::pod::{Pod, Terminating};
use crate::drain::tests::cluster::{Arrival, Cluster, Verb, Wrong, at, ms, secs};
use crate::drain::tests::trace::{Cause, Did, Run, Truth};
use crate::drain::verdict::Verdict;
use crate::moment::Moment;

/// More steps than any drain here can need: a machine that reaches them does not end.
const MOST_STEPS: u32 = 200_000;

/// Runs a drain to its end.
pub(super) fn run(cluster: &Cluster) -> Run {
    let mut model = Model::new(cluster);
    let mut drain = Drain::begin(Moment::START, cluster.options.clone());
    drain.node_is(Presence::Present);
    for _ in 0..MOST_STEPS {
        if let Some(verdict) = model.called_off.take() {
            return model.ended(verdict);
        }
        match drain.next(model.now, model.free()) {
            Step::Tell(progress) => model.note(Did::Told(progress)),
            Step::Ask(job) => model.send(job),
            Step::Verdict(_, verdict) => model.note(Did::Empty(verdict)),
            Step::GiveUp(pod) => model.give_up(&pod),
            Step::Wait(until) => {
                assert!(until > model.now, "to wait until {until:?} at {:?} is to spin", model.now);
                model.wait(until, &mut drain);
            }
            Step::Done(_) => {
                let verdict = drain.verdict(model.now);
                return model.ended(verdict);
            }
        }
    }
    panic!("no end after {MOST_STEPS} steps, at {:?}", model.now);
}

/// What will happen.
#[derive(Debug)]
enum Event {
    Arrives(usize),
    OthersDelete(usize, u32),
    /// The kubelet is done with it, if this is still its latest order to end.
    Ends(usize, u32),
    /// A replacement is ready: the budget lets one more go.
    Freed(usize),
    /// A request reaches the API server.
    Reaches(Request),
    /// The API server comes to carry it out, if it is still waited for.
    CarriesOut(Request),
    /// The status of the budget behind an eviction is written.
    Updated(Request),
    /// Its answer reaches the handler, or what the handler takes for one.
    Answers(Request, Answer),
    WatchBreaks {
        until: Moment,
        new_set: bool,
    },
    WatchOpens,
    /// The watch that was opened as the n-th says something.
    Reported(u32, Report),
    Cordoned,
    PulledIn(Moment),
    TakenOver(Limit),
    CalledOff,
    Balanced(Moment),
    Stopped(Moment),
}

/// What the watch says.
#[derive(Debug)]
enum Report {
    SetBegins,
    Pod(Pod),
    Gone(String),
    SetComplete,
}

/// A request on its way.
#[derive(Clone, Copy, Debug)]
struct Request {
    number: u64,
    whom: usize,
    ask: Ask,
    /// How long its answer is under way.
    back: Duration,
}

/// A pod at the API server.
#[derive(Debug, Default)]
struct Object {
    there: bool,
    ending: Option<Ending>,
}

#[derive(Debug)]
struct Ending {
    /// When it was first deleted: later deletions count from then, as the API server does.
    since: Moment,
    grace: u32,
    /// When the kubelet will be done, and the number of its order.
    ends: Moment,
    order: u32,
}

struct Model<'a> {
    cluster: &'a Cluster,
    now: Moment,
    queue: BTreeMap<(Moment, u64), Event>,
    queued: u64,
    objects: Vec<Object>,
    left: Vec<u32>,
    /// Until when each budget's status is being written.
    written: Vec<Moment>,
    /// The requests whose answer the handler still waits for.
    open: Vec<Request>,
    watching: bool,
    /// How often a watch was opened; what an older one still had to say is lost.
    watch: u32,
    /// What the watch says next is not said before that.
    spoken: Moment,
    random: fastrand::Rng,
    trace: Vec<(Moment, Did)>,
    truth: BTreeMap<String, Truth>,
    /// The last verdict of a drain that was called off.
    called_off: Option<Verdict>,
}

impl<'a> Model<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        let mut model = Self {
            cluster,
            now: Moment::START,
            queue: BTreeMap::new(),
            queued: 0,
            objects: cluster.pods.iter().map(|_| Object::default()).collect(),
            left: cluster.budgets.iter().map(|budget| budget.at_once).collect(),
            written: vec![Moment::START; cluster.budgets.len()],
            open: Vec::new(),
            watching: false,
            watch: 0,
            spoken: Moment::START,
            random: fastrand::Rng::with_seed(cluster.seed),
            trace: Vec::new(),
            truth: BTreeMap::new(),
            called_off: None,
        };
        for (index, life) in cluster.pods.iter().enumerate() {
            if let Arrival::At(when) = life.arrival {
                model.plan(at(when), Event::Arrives(index));
            }
            if let Some((when, grace)) = life.deleted_by_others {
                model.plan(at(when), Event::OthersDelete(index, grace));
            }
        }
        if let Some(when) = cluster.cordoned {
            model.plan(at(when), Event::Cordoned);
        }
        for (when, deadline) in &cluster.pulled_in {
            model.plan(at(*when), Event::PulledIn(at(*deadline)));
        }
        for (when, limit) in &cluster.taken_over {
            model.plan(at(*when), Event::TakenOver(*limit));
        }
        if let Some(when) = cluster.called_off {
            model.plan(at(when), Event::CalledOff);
        }
        if let Some((when, until)) = cluster.balanced {
            model.plan(at(when), Event::Balanced(at(until)));
        }
        if let Some((when, stop)) = cluster.stopped {
            model.plan(at(when), Event::Stopped(at(stop)));
        }
        model.plan(at(cluster.watch.opens), Event::WatchOpens);
        for gap in &cluster.watch.breaks {
            let (until, new_set) = (at(gap.until), gap.new_set);
            model.plan(at(gap.from), Event::WatchBreaks { until, new_set });
        }
        model
    }

    fn plan(&mut self, when: Moment, event: Event) {
        self.queued += 1;
        self.queue.insert((when.max(self.now), self.queued), event);
    }

    fn ended(self, verdict: Verdict) -> Run {
        Run { trace: self.trace, truth: self.truth, verdict, ended: self.now }
    }

    fn note(&mut self, did: Did) {
        self.trace.push((self.now, did));
    }

    fn free(&self) -> usize {
        self.cluster.free - self.open.len()
    }

    /// Lets time pass until the next event, but not beyond `until`.
    fn wait(&mut self, until: Moment, drain: &mut Drain) {
        let next = self.queue.keys().next().map_or(Moment::at(Duration::MAX), |(when, _)| *when);
        if self.free() > 0 && next > self.now {
            self.note(Did::Idle { until: next.min(until) });
        }
        self.now = next.min(until);
        if next <= until
            && let Some((_, event)) = self.queue.pop_first()
        {
            self.happens(event, drain);
        }
    }

    fn happens(&mut self, event: Event, drain: &mut Drain) {
        match event {
            Event::Arrives(index) => self.arrives(index),
            Event::OthersDelete(index, grace) => self.terminate(index, grace, Cause::Others),
            Event::Ends(index, order) => self.ends(index, order),
            Event::Freed(budget) => self.left[budget] += 1,
            Event::Reaches(request) => self.serve(request),
            Event::CarriesOut(request) if self.waits_for(request) => self.carry_out(request),
            Event::Updated(request) if self.waits_for(request) => {
                if let Ask::Evict { grace, .. } = request.ask {
                    self.terminate(request.whom, grace.get(), Cause::Eviction);
                }
                self.answer(request, Answer::Accepted);
            }
            Event::Answers(request, answer) if self.waits_for(request) => {
                self.open.retain(|other| other.number != request.number);
                let uid = self.uid(request.whom);
                let ask = request.ask;
                self.note(Did::Answered { uid: uid.clone(), ask, answer: answer.clone() });
                drain.answered(self.now, &uid, answer);
            }
            Event::WatchBreaks { until, new_set } => {
                drain.watch_lost("cut off".to_owned());
                self.watch_breaks(until, new_set);
            }
            Event::WatchOpens => self.watch_opens(),
            Event::Reported(watch, report) if watch == self.watch => self.hear(report, drain),
            // Of what nobody waits for any more.
            Event::CarriesOut(_) | Event::Updated(_) | Event::Answers(..) | Event::Reported(..) => {
            }
            Event::Cordoned => {
                self.note(Did::Released);
                drain.release(self.now);
            }
            Event::PulledIn(deadline) => {
                self.note(Did::PulledIn(deadline));
                let limit = drain.options.limit;
                drain.retarget(limit.with_end(deadline.min(limit.end())));
            }
            Event::TakenOver(limit) => {
                let before = drain.options.limit;
                drain.retarget(before.tighten(limit));
                let moved = drain.options.limit.end() + secs(1) <= before.end();
                self.note(Did::TakenOver(limit, moved));
            }
            Event::CalledOff => {
                self.note(Did::CalledOff);
                for progress in drain.take_progress() {
                    self.note(Did::Told(progress));
                }
                self.called_off = Some(drain.call_off(self.now));
            }
            Event::Balanced(until) => {
                self.note(Did::Balanced(until));
                drain.hold_evictions_until(until);
            }
            Event::Stopped(moment) => {
                self.note(Did::StopAt(moment));
                drain.stop_at(moment);
            }
        }
    }
}

/// Pods and their ends.
impl Model<'_> {
    fn reference(&self, index: usize) -> Arc<PodRef> {
        self.cluster.pods[index].pod.reference.clone()
    }

    fn uid(&self, index: usize) -> String {
        self.reference(index).uid.clone()
    }

    fn truth(&mut self, index: usize) -> &mut Truth {
        self.truth.entry(self.uid(index)).or_default()
    }

    fn arrives(&mut self, index: usize) {
        self.objects[index].there = true;
        self.truth(index).arrived = Some(self.now);
        self.report_pod(index);
    }

    /// The pod is told to end, or to end sooner.
    fn terminate(&mut self, index: usize, grace: u32, cause: Cause) {
        let life = &self.cluster.pods[index];
        let now = self.now;
        let object = &mut self.objects[index];
        let sooner = object.ending.as_ref().is_none_or(|ending| grace < ending.grace);
        if !object.there || !sooner {
            return;
        }
        let ends = now + life.takes.min(secs(grace.into()));
        let ending = match object.ending.take() {
            None => Ending { since: now, grace, ends, order: 0 },
            Some(before) => Ending {
                since: before.since,
                grace,
                ends: ends.min(before.ends),
                order: before.order + 1,
            },
        };
        let (ends, order) = (ending.ends, ending.order);
        object.ending = Some(ending);
        self.truth(index).cause.get_or_insert(cause);
        if life.pod.finalizer.is_none() {
            self.plan(ends, Event::Ends(index, order));
        }
        self.report_pod(index);
    }

    fn ends(&mut self, index: usize, order: u32) {
        let latest =
            self.objects[index].ending.as_ref().is_some_and(|ending| ending.order == order);
        if !latest || !self.objects[index].there {
            return;
        }
        self.objects[index].there = false;
        self.truth(index).gone = Some(self.now);
        self.report(Report::Gone(self.uid(index)));
        let cluster = self.cluster;
        if let Some(budget) = cluster.pods[index].budget
            && let Some(after) = cluster.budgets[budget].replaced_after
        {
            self.plan(self.now + after, Event::Freed(budget));
        }
        for (next, life) in cluster.pods.iter().enumerate() {
            if let Arrival::After(before, pause) = life.arrival
                && before == index
            {
                self.plan(self.now + pause, Event::Arrives(next));
            }
        }
    }
}

/// Requests.
impl Model<'_> {
    fn send(&mut self, job: Job) {
        let whom = self.cluster.pods.iter().position(|life| life.pod.reference == job.pod);
        let whom = whom.expect("only pods that are known can be asked");
        let latency = self.cluster.latency.clone();
        let reaches = self.now + ms(self.random.u64(latency.clone()));
        let back = ms(self.random.u64(latency));
        let request = Request { number: self.queued, whom, ask: job.ask, back };
        self.open.push(request);
        self.plan(reaches, Event::Reaches(request));
        let given_up = Answer::Broken("no answer in time".to_owned());
        self.plan(self.now + job.timeout, Event::Answers(request, given_up));
        self.note(Did::Asked(job));
    }

    /// The connection is closed, and the server knows it.
    fn give_up(&mut self, pod: &PodRef) {
        let whom = |request: &Request| *self.cluster.pods[request.whom].pod.reference == *pod;
        let request = *self.open.iter().find(|it| whom(it)).expect("only what is under way");
        self.note(Did::GaveUp(pod.uid.clone()));
        self.queue.retain(
            |_, event| !matches!(event, Event::Answers(other, _) if other.number == request.number),
        );
        let given_up = Answer::Broken("given up".to_owned());
        self.plan(self.now + ms(1), Event::Answers(request, given_up));
    }

    fn waits_for(&self, request: Request) -> bool {
        self.open.iter().any(|other| other.number == request.number)
    }

    fn answer(&mut self, request: Request, answer: Answer) {
        self.plan(self.now + request.back, Event::Answers(request, answer));
    }

    fn serve(&mut self, request: Request) {
        let answer = match self.wrong(request.whom, request.ask) {
            None => return self.carry_out(request),
            Some(Wrong::Slow(pause)) => {
                return self.plan(self.now + pause, Event::CarriesOut(request));
            }
            Some(Wrong::Failed) => Answer::Failed("500 no answer of webhook".to_owned()),
            Some(Wrong::Busy(retry_after)) => {
                Answer::Busy { retry_after, why: "503 overloaded".to_owned() }
            }
            Some(Wrong::Unauthorized) => Answer::Unauthorized("the token"),
            Some(Wrong::Forbidden) => Answer::Forbidden("not for you".to_owned()),
            Some(Wrong::NamespaceTerminating) => Answer::NamespaceTerminating,
            Some(Wrong::CutOff { carried_out }) => {
                if carried_out {
                    self.do_it(request.whom, request.ask);
                }
                Answer::Broken("connection cut off".to_owned())
            }
            Some(Wrong::Silent { carried_out }) => {
                if carried_out {
                    self.do_it(request.whom, request.ask);
                }
                return;
            }
        };
        self.answer(request, answer);
    }

    /// An eviction that a budget lets go is done when the budget's status is written; one after the
    /// other.
    fn carry_out(&mut self, request: Request) {
        let update = |budget: usize| self.cluster.budgets[budget].update;
        let budget = self.cluster.pods[request.whom].budget;
        let slow = budget.filter(|budget| !update(*budget).is_zero() && self.left[*budget] > 0);
        let object = &self.objects[request.whom];
        let is_eviction = matches!(request.ask, Ask::Evict { dry: false, .. });
        match slow {
            Some(budget) if is_eviction && object.there && object.ending.is_none() => {
                self.left[budget] -= 1;
                let written = self.written[budget].max(self.now) + update(budget);
                self.written[budget] = written;
                self.plan(written, Event::Updated(request));
            }
            _ => {
                let answer = self.do_it(request.whom, request.ask);
                self.answer(request, answer);
            }
        }
    }

    fn wrong(&mut self, whom: usize, ask: Ask) -> Option<Wrong> {
        let (now, random) = (self.now, &mut self.random);
        let hit = self.cluster.faults.iter().find(|fault| {
            at(fault.from) <= now
                && now < at(fault.until)
                && fault.pod.is_none_or(|pod| pod == whom)
                && fault.verb.is_none_or(|verb| verb == Verb::from(ask))
                && random.u8(0..100) < fault.percent
        });
        hit.map(|fault| fault.what.clone())
    }

    fn do_it(&mut self, whom: usize, ask: Ask) -> Answer {
        if !self.objects[whom].there {
            return if self.name_is_taken(whom) { Answer::Replaced } else { Answer::Gone };
        }
        let life = &self.cluster.pods[whom];
        match ask {
            Ask::MarkDisrupted => {}
            Ask::Delete { grace } => self.terminate(whom, grace.get(), Cause::Deletion),
            // Accepted whatever a budget says, and without effect on its grace.
            Ask::Evict { .. } if self.objects[whom].ending.is_some() => {}
            Ask::Evict { grace, dry } => {
                if let Some(budget) = life.budget {
                    if self.left[budget] == 0 {
                        return Answer::Blocked(self.refusal(whom, budget));
                    }
                    self.left[budget] -= u32::from(!dry);
                }
                if !dry {
                    self.terminate(whom, grace.get(), Cause::Eviction);
                }
            }
        }
        Answer::Accepted
    }

    fn refusal(&mut self, whom: usize, budget: usize) -> Budget {
        let budget = self.cluster.budgets[budget].budget.clone();
        self.truth(whom).refused_by.push(budget.clone());
        budget
    }

    fn name_is_taken(&self, whom: usize) -> bool {
        let this = &self.cluster.pods[whom].pod.reference;
        self.cluster.pods.iter().zip(&self.objects).any(|(life, object)| {
            let other = &life.pod.reference;
            object.there && other.name == this.name && other.namespace == this.namespace
        })
    }
}

/// The watch.
impl Model<'_> {
    fn watch_opens(&mut self) {
        self.watching = true;
        self.watch += 1;
        self.spoken = self.now;
        self.plan(self.now, Event::Reported(self.watch, Report::SetBegins));
        for index in 0..self.objects.len() {
            if self.objects[index].there {
                let pod = Report::Pod(self.described(index));
                self.plan(self.spoken, Event::Reported(self.watch, pod));
                self.spoken = self.spoken + self.cluster.watch.pace;
            }
        }
        self.plan(self.spoken, Event::Reported(self.watch, Report::SetComplete));
    }

    fn watch_breaks(&mut self, until: Moment, new_set: bool) {
        if new_set {
            self.watch += 1;
            self.watching = false;
            self.queue.retain(|_, event| !matches!(event, Event::WatchOpens));
            self.plan(until, Event::WatchOpens);
            return;
        }
        // It goes on where it was: what it had and will have to say is said after the break.
        self.spoken = until;
        let reported = |_: &_, event: &mut Event| matches!(event, Event::Reported(..));
        let late: Vec<Event> =
            self.queue.extract_if(.., reported).map(|(_, event)| event).collect();
        for event in late {
            self.plan(until, event);
        }
    }

    fn report_pod(&mut self, index: usize) {
        self.report(Report::Pod(self.described(index)));
    }

    fn described(&self, index: usize) -> Pod {
        let mut pod = self.cluster.pods[index].pod.clone();
        pod.terminating = self.objects[index].ending.as_ref().map(|ending| Terminating {
            grace: ending.grace,
            ends: self.as_told(ending.since + secs(ending.grace.into())),
        });
        pod
    }

    /// A moment as the API server tells it: by its own clock, and in whole seconds.
    fn as_told(&self, moment: Moment) -> Moment {
        let skew = Duration::from_millis(self.cluster.watch.skew.unsigned_abs().into());
        let theirs = if self.cluster.watch.skew < 0 { moment - skew } else { moment + skew };
        at(secs(theirs.since(Moment::START).as_secs()))
    }

    fn report(&mut self, report: Report) {
        if self.watching {
            self.spoken = self.spoken.max(self.now + self.cluster.watch.delay);
            self.plan(self.spoken, Event::Reported(self.watch, report));
        }
    }

    fn hear(&mut self, report: Report, drain: &mut Drain) {
        match report {
            Report::SetBegins => {
                self.note(Did::SetBegins);
                drain.set_begins();
            }
            Report::Pod(pod) => {
                let terminating = pod.terminating.map(|terminating| terminating.grace);
                self.note(Did::Saw { uid: pod.reference.uid.clone(), terminating });
                drain.pod_seen(self.now, pod);
            }
            Report::Gone(uid) => {
                self.note(Did::SawGone(uid.clone()));
                drain.pod_gone(self.now, &uid);
            }
            Report::SetComplete => {
                self.note(Did::SetComplete);
                drain.set_complete(self.now);
            }
        }
    }
}

//! A priority level of API priority and fairness as kube-apiserver has it: shuffle sharding, queues, seats, fair
//! queuing between the queues (`k8s.io/apiserver/pkg/util/flowcontrol/fairqueuing/queueset`), and what `Retry-After`
//! says to those who are refused (`dropped_requests_tracker.go`).

use std::collections::VecDeque;

/// What the API server takes a request to last before it knows better.
const ESTIMATED: f64 = 0.003;
const LONGEST_RETRY_AFTER: u64 = 32;

/// The queues of a level (`QueuingConfiguration`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub queues: usize,
    pub hand: usize,
    pub length: usize,
}

/// What a request takes up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Width {
    /// Seats while it is carried out.
    pub seats: usize,
    /// Seats after it was answered, while watchers are served.
    pub after: usize,
    /// For how long.
    pub lingers: f64,
}

impl Width {
    /// The seats that are kept for it all the time.
    pub fn most(self) -> usize {
        self.seats.max(self.after)
    }

    fn work(self) -> f64 {
        self.seats as f64 * ESTIMATED + self.after as f64 * self.lingers
    }
}

/// A request that has its seats.
#[derive(Clone, Copy, Debug)]
pub struct Seated {
    pub id: usize,
    queue: usize,
    width: Width,
    since: f64,
}

impl Seated {
    /// How long it keeps its seats after it was answered.
    pub fn lingers(&self) -> f64 {
        self.width.lingers
    }
}

/// See the module.
pub struct Level {
    shape: Shape,
    queues: Vec<Queue>,
    limit: usize,
    in_use: usize,
    wanted: usize,
    waiting: usize,
    executing: usize,
    /// How many queues have requests, waiting or executing.
    active: usize,
    /// The progress that each of them should have made, in seconds of one seat.
    progress: f64,
    since: f64,
    robin: usize,
    offered: usize,
    demand: Demand,
    dropped: Dropped,
    /// The most seats that were taken at a time.
    pub most_in_use: usize,
}

#[derive(Clone, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    work: f64,
    executing: usize,
    next: f64,
}

#[derive(Clone, Copy)]
struct Waiting {
    id: usize,
    width: Width,
    arrived: f64,
}

impl Queue {
    fn is_active(&self) -> bool {
        !self.waiting.is_empty() || self.executing > 0
    }

    /// No request begins before it has come.
    fn bound(&mut self) {
        if let Some(first) = self.waiting.front() {
            self.next = self.next.max(first.arrived);
        }
    }
}

impl Level {
    pub fn new(shape: Shape, limit: usize) -> Self {
        Self {
            shape,
            queues: vec![Queue::default(); shape.queues],
            limit,
            in_use: 0,
            wanted: 0,
            waiting: 0,
            executing: 0,
            active: 0,
            progress: 0.0,
            since: 0.0,
            robin: 0,
            offered: 0,
            demand: Demand::default(),
            dropped: Dropped::default(),
            most_in_use: 0,
        }
    }

    /// Puts a request into a queue of its flow's hand, and gives the queue; `None`: it is refused.
    pub fn offer(&mut self, now: f64, id: usize, flow: u64, width: Width) -> Option<usize> {
        self.advance(now);
        let index = self.shortest(flow);
        let queue = &mut self.queues[index];
        if self.in_use >= self.limit && queue.waiting.len() >= self.shape.length {
            return None;
        }
        if !queue.is_active() {
            queue.next = self.progress;
            self.active += 1;
        }
        queue.work += width.work();
        queue.waiting.push_back(Waiting { id, width, arrived: self.progress });
        queue.bound();
        self.waiting += 1;
        self.wanted += width.most();
        self.note(now);
        Some(index)
    }

    /// The next request that is carried out, if there are seats for it.
    pub fn seat(&mut self, now: f64) -> Option<Seated> {
        if self.waiting == 0 || self.in_use >= self.limit {
            return None;
        }
        self.advance(now);
        let count = self.queues.len();
        let (mut best, mut first) = (f64::INFINITY, None);
        for step in 1..=count {
            let index = (self.robin + step) % count;
            let queue = &self.queues[index];
            let Some(waiting) = queue.waiting.front() else { continue };
            let finish = queue.next + waiting.width.work();
            if finish < best {
                (best, first) = (finish, Some((index, *waiting)));
            }
        }
        let (index, Waiting { id, width, .. }) = first?;
        let fits = if width.most() > self.limit {
            self.executing == 0
        } else {
            self.in_use + width.most() <= self.limit
        };
        if !fits {
            return None;
        }
        self.robin = index;
        let queue = &mut self.queues[index];
        queue.waiting.pop_front();
        queue.work -= width.work();
        queue.executing += 1;
        queue.next += width.work();
        queue.bound();
        self.waiting -= 1;
        self.wanted -= width.most();
        self.executing += 1;
        self.in_use += width.most();
        self.most_in_use = self.most_in_use.max(self.in_use);
        self.note(now);
        Some(Seated { id, queue: index, width, since: now })
    }

    /// It was answered. Its seats are taken until [`Self::vacate`].
    pub fn answered(&mut self, now: f64, seated: &Seated) {
        self.advance(now);
        let queue = &mut self.queues[seated.queue];
        queue.executing -= 1;
        queue.next -= seated.width.seats as f64 * (ESTIMATED - (now - seated.since));
        queue.bound();
        if !queue.is_active() {
            self.active -= 1;
        }
        self.executing -= 1;
    }

    /// Its seats are free again.
    pub fn vacate(&mut self, now: f64, seated: &Seated) {
        self.advance(now);
        self.in_use -= seated.width.most();
        self.note(now);
    }

    /// Takes a request out of that queue; false: it is not there.
    pub fn withdraw(&mut self, now: f64, id: usize, queue: usize) -> bool {
        self.advance(now);
        let queue = &mut self.queues[queue];
        let Some(at) = queue.waiting.iter().position(|waiting| waiting.id == id) else {
            return false;
        };
        if let Some(Waiting { width, .. }) = queue.waiting.remove(at) {
            queue.work -= width.work();
            self.waiting -= 1;
            self.wanted -= width.most();
        }
        queue.bound();
        if !queue.is_active() {
            self.active -= 1;
        }
        self.note(now);
        true
    }

    /// What one who is refused now is told, in seconds.
    pub fn retry_after(&mut self, now: f64) -> u64 {
        self.dropped.record(now)
    }

    /// Changes the number of seats.
    pub fn set_limit(&mut self, now: f64, limit: usize) {
        self.advance(now);
        self.limit = limit;
    }

    /// The demand for seats since this was asked last.
    pub fn demand(&mut self, now: f64) -> (f64, f64) {
        self.demand.take(now)
    }

    fn note(&mut self, now: f64) {
        self.demand.set(now, (self.in_use + self.wanted) as f64);
    }

    fn advance(&mut self, now: f64) {
        let wanted = (self.in_use + self.wanted).min(self.limit);
        if self.active > 0 {
            self.progress += (now - self.since) * wanted as f64 / self.active as f64;
        }
        self.since = now;
    }

    /// The queue of the hand with the least work.
    fn shortest(&mut self, flow: u64) -> usize {
        let hand = deal(flow, self.shape);
        let offset = self.offered % hand.len();
        self.offered += 1;
        let rotated = hand.iter().cycle().skip(offset).take(hand.len()).copied();
        let work = |queue: &usize| self.queues[*queue].work;
        rotated.min_by(|a, b| work(a).total_cmp(&work(b))).unwrap_or(0)
    }
}

/// The queues of a flow (`shufflesharding.Dealer`).
fn deal(mut hash: u64, shape: Shape) -> Vec<usize> {
    let mut rests = Vec::with_capacity(shape.hand);
    for dealt in 0..shape.hand {
        let left = (shape.queues - dealt) as u64;
        rests.push(usize::try_from(hash % left).unwrap_or_default());
        hash /= left;
    }
    let card = |dealt: usize| {
        rests[..dealt]
            .iter()
            .rev()
            .fold(rests[dealt], |card, rest| card + usize::from(card >= *rest))
    };
    (0..shape.hand).map(card).collect()
}

/// How many seats are wanted, over time.
#[derive(Default)]
struct Demand {
    begin: f64,
    since: f64,
    value: f64,
    sum: f64,
    squares: f64,
    most: f64,
}

impl Demand {
    fn set(&mut self, now: f64, value: f64) {
        let span = now - self.since;
        self.sum += self.value * span;
        self.squares += self.value * self.value * span;
        (self.since, self.value) = (now, value);
        self.most = self.most.max(value);
    }

    /// The most, and the mean plus the standard deviation.
    fn take(&mut self, now: f64) -> (f64, f64) {
        self.set(now, self.value);
        let span = (now - self.begin).max(f64::MIN_POSITIVE);
        let mean = self.sum / span;
        let deviation = (self.squares / span - mean * mean).max(0.0).sqrt();
        let taken = (self.most, mean + deviation);
        let value = self.value;
        *self = Self { begin: now, since: now, value, most: value, ..Self::default() };
        taken
    }
}

/// By how many were refused, the API server tells for how long to stay away.
struct Dropped {
    second: u64,
    count: u64,
    history: VecDeque<(u64, u64)>,
    retry_after: u64,
    raised: Option<u64>,
}

impl Default for Dropped {
    fn default() -> Self {
        Self { second: 0, count: 0, history: VecDeque::new(), retry_after: 1, raised: None }
    }
}

impl Dropped {
    fn record(&mut self, now: f64) -> u64 {
        let second = whole(now);
        if second != self.second {
            self.history.push_back((self.second, self.count));
            let kept = (2 * self.retry_after).min(LONGEST_RETRY_AFTER);
            self.history.retain(|(at, _)| second - at <= kept);
            (self.second, self.count) = (second, 0);
            self.update(second);
        }
        self.count += 1;
        self.retry_after
    }

    fn update(&mut self, second: u64) {
        let current = self.retry_after;
        let recent = self.history.iter().filter(|(at, _)| second - at <= current);
        let dropped: u64 = recent.map(|(_, count)| count).sum();
        if self.raised.is_none_or(|raised| second - raised >= current) && dropped >= 3 * current {
            self.retry_after = (2 * current).min(LONGEST_RETRY_AFTER);
            self.raised = Some(second);
        } else if dropped < current && current > 1 {
            self.retry_after -= 1;
        }
    }
}

/// Whole seconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "virtual time is short and positive"
)]
fn whole(seconds: f64) -> u64 {
    seconds as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: Shape = Shape { queues: 64, hand: 6, length: 50 };
    const ONE: Width = Width { seats: 1, after: 0, lingers: 0.0 };

    #[test]
    fn a_hand_has_different_queues_and_every_hand_is_dealt() {
        let shape = Shape { queues: 4, hand: 2, length: 1 };
        let mut hands: Vec<_> = (0..12).map(|hash| deal(hash, shape)).collect();
        assert!(hands.iter().all(|hand| hand[0] != hand[1]));
        hands.sort();
        hands.dedup();
        assert_eq!(hands.len(), 12);
    }

    #[test]
    fn a_flow_fills_its_hand_and_no_more() {
        let mut level = Level::new(SYSTEM, 10);
        let mut seated = 0;
        let accepted = (0..1000).filter(|id| {
            let accepted = level.offer(0.0, *id, 7, ONE).is_some();
            while level.seat(0.0).is_some() {
                seated += 1;
            }
            accepted
        });
        assert_eq!(accepted.count(), 10 + 6 * 50);
        assert_eq!(seated, 10);
        // One of another flow still finds room.
        assert!((0..10).any(|flow| level.offer(0.0, 5000, flow, ONE).is_some()));
    }

    #[test]
    fn queues_have_their_turns_whatever_their_length() {
        let mut level = Level::new(Shape { queues: 2, hand: 1, length: 50 }, 4);
        for id in 0..20 {
            level.offer(0.0, id, 0, ONE);
        }
        // Of the other flow, requests are four times as wide.
        for id in 100..105 {
            level.offer(0.0, id, 1, Width { seats: 4, after: 0, lingers: 0.0 });
        }
        let (mut now, mut order) = (0.0, Vec::new());
        while let Some(seated) = level.seat(now) {
            now += 0.003;
            level.answered(now, &seated);
            level.vacate(now, &seated);
            order.push(seated.id);
        }
        assert_eq!(order.len(), 25);
        let narrow = order.iter().take(10).filter(|id| **id < 100).count();
        assert!((7..=8).contains(&narrow), "{order:?}");
    }

    #[test]
    fn a_wide_request_waits_until_its_seats_are_free_and_keeps_them_afterwards() {
        let mut level = Level::new(SYSTEM, 10);
        let wide = Width { seats: 1, after: 8, lingers: 0.005 };
        level.offer(0.0, 1, 1, wide);
        level.offer(0.0, 2, 2, wide);
        let first = level.seat(0.0).unwrap();
        assert!(level.seat(0.0).is_none());
        level.answered(0.1, &first);
        assert!(level.seat(0.1).is_none());
        level.vacate(0.105, &first);
        assert_eq!(level.seat(0.105).map(|seated| seated.id), Some(2));
        assert_eq!(level.most_in_use, 8);
    }

    #[test]
    fn a_withdrawn_request_is_not_carried_out() {
        let mut level = Level::new(SYSTEM, 1);
        let queue = level.offer(0.0, 1, 1, ONE).unwrap();
        assert!(level.withdraw(0.0, 1, queue) && !level.withdraw(0.0, 1, queue));
        assert!(level.seat(0.0).is_none());
        assert_eq!((level.waiting, level.wanted, level.active), (0, 0, 0));
    }

    #[test]
    fn retry_after_doubles_under_refusals_and_falls_without() {
        let mut dropped = Dropped::default();
        let mut told = Vec::new();
        for tenth in 0..400 {
            told.push(dropped.record(f64::from(tenth) / 10.0));
        }
        told.dedup();
        assert_eq!(told, [1, 2, 4, 8, 16, 32]);
        assert_eq!(dropped.record(200.0), 31);
    }
}

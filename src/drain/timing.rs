//! When things are due, given the deadline. All spans in real seconds of the monotonic clock.

use std::time::Duration;

use crate::drain::ask::{Ask, Grace};
use crate::moment::Moment;

/// The deadline D, the safety margin m, and what follows from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    deadline: Moment,
    margin: Duration,
}

impl Timing {
    /// The instance goes at `deadline`; every pod is to have ended `margin` before.
    pub fn new(deadline: Moment, margin: Duration) -> Self {
        Self { deadline, margin }
    }

    /// D: no new request after it.
    pub fn deadline(&self) -> Moment {
        self.deadline
    }

    /// Moves the deadline, if `earlier` is earlier; true if by a second or more. It never moves later.
    pub fn pull_in(&mut self, earlier: Moment) -> bool {
        // Two readings of one time differ by fractions of a second.
        let moved = earlier + Duration::from_secs(1) <= self.deadline;
        self.deadline = self.deadline.min(earlier);
        moved
    }

    /// D − m: when the last pod should have ended.
    pub fn end_of_grace(&self) -> Moment {
        self.deadline - self.margin
    }

    /// D − m − g: the last moment at which a pod with this grace can be asked and still have it
    /// all. Its "own time": budgets and tiers hold it up no longer.
    pub fn own_time(&self, grace: Grace) -> Moment {
        self.end_of_grace() - seconds(grace)
    }

    /// The grace to ask for now: the pod's own, cut to what is left, at least one second. Rounded
    /// to the nearest second: who is asked a moment after its own time keeps all of its grace, and
    /// half a second is the margin's.
    pub fn cut(&self, now: Moment, grace: Grace) -> Grace {
        let left = now.until(self.end_of_grace()) + Duration::from_millis(500);
        let left = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
        grace.min(Grace::new(left).unwrap_or(Grace::MIN))
    }

    /// When to try again after `pause`, with a pod of this grace: not beyond its own time, at which
    /// other means are open, nor, after that, beyond a second.
    pub fn pause(&self, now: Moment, pause: Duration, grace: Grace) -> Moment {
        let own_time = self.own_time(grace);
        let last = if now < own_time { own_time } else { now + LONGEST_LATE_PAUSE };
        (now + pause).min(last)
    }

    /// How long one request may take: five seconds, less when less is left; one for what is only
    /// best effort and holds up a deletion.
    pub fn patience(&self, now: Moment, ask: Ask) -> Duration {
        let longest = match ask {
            Ask::MarkDisrupted => LONGEST_MARKING,
            Ask::Evict { .. } | Ask::Delete { .. } => LONGEST_REQUEST,
        };
        now.until(self.deadline).min(longest)
    }
}

/// Between tries about a pod whose own time is up.
const LONGEST_LATE_PAUSE: Duration = Duration::from_secs(1);

/// A request that has no answer by then is given up, and asked again.
const LONGEST_REQUEST: Duration = Duration::from_secs(5);

/// The condition `DisruptionTarget` is worth no more of a pod's grace.
const LONGEST_MARKING: Duration = Duration::from_secs(1);

/// A grace as a span.
pub fn seconds(grace: Grace) -> Duration {
    Duration::from_secs(u64::from(grace.get()))
}

/// How long to wait before the same thing is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first_ms: u32,
    last_ms: u32,
    tries: u32,
}

impl Backoff {
    /// From `first_ms`, doubling, up to `last_ms`.
    pub const fn from_millis(first_ms: u32, last_ms: u32) -> Self {
        Self { first_ms, last_ms, tries: 0 }
    }

    /// The next pause: between half of its step and all of it, so that a thousand nodes that were
    /// refused together do not come back together.
    pub fn next(&mut self, jitter: &mut fastrand::Rng) -> Duration {
        self.next_within(Duration::MAX, jitter)
    }

    /// The next pause, of a step that this time is no longer than `longest`.
    pub fn next_within(&mut self, longest: Duration, jitter: &mut fastrand::Rng) -> Duration {
        let step_ms = self.first_ms.saturating_mul(1 << self.tries.min(16)).min(self.last_ms);
        self.tries = self.tries.saturating_add(1);
        let step = Duration::from_millis(u64::from(step_ms)).min(longest);
        step.mul_f64(0.5 + jitter.f64() / 2.0)
    }

    /// It worked: the next pause is a first one again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: Moment = Moment::at(Duration::from_mins(2));

    fn timing() -> Timing {
        Timing::new(D, Duration::from_secs(2))
    }

    fn grace(seconds: u32) -> Grace {
        Grace::new(seconds).unwrap()
    }

    fn at(seconds: u64) -> Moment {
        Moment::at(Duration::from_secs(seconds))
    }

    #[test]
    fn own_time_leaves_margin_and_grace() {
        assert_eq!(timing().own_time(grace(30)), at(88));
        assert_eq!(timing().own_time(grace(300)), Moment::START);
    }

    #[test]
    fn grace_is_cut_to_what_is_left_and_is_never_zero() {
        assert_eq!(timing().cut(at(0), grace(300)), grace(118));
        assert_eq!(timing().cut(at(0), grace(30)), grace(30));
        assert_eq!(timing().cut(at(88) + Duration::from_millis(400), grace(30)), grace(30));
        assert_eq!(timing().cut(at(88) + Duration::from_millis(600), grace(30)), grace(29));
        assert_eq!(timing().cut(at(117), grace(30)), grace(1));
        assert_eq!(timing().cut(at(500), grace(30)), grace(1));
    }

    #[test]
    fn the_deadline_only_moves_earlier() {
        let mut timing = timing();
        assert!(!timing.pull_in(at(121)));
        assert_eq!(timing.deadline(), D);
        assert!(timing.pull_in(at(60)));
        assert_eq!(timing.deadline(), at(60));
    }

    #[test]
    fn a_pause_ends_with_the_own_time_of_the_pod_and_is_short_after_it() {
        let minute = Duration::from_mins(1);
        assert_eq!(timing().pause(at(10), minute, grace(30)), at(70));
        assert_eq!(timing().pause(at(50), minute, grace(30)), at(88));
        assert_eq!(timing().pause(at(90), minute, grace(30)), at(91));
    }

    #[test]
    fn patience_ends_with_the_deadline() {
        let delete = Ask::Delete { grace: grace(30) };
        assert_eq!(timing().patience(at(0), delete), Duration::from_secs(5));
        assert_eq!(timing().patience(at(118), delete), Duration::from_secs(2));
        assert_eq!(timing().patience(at(121), delete), Duration::ZERO);
        assert_eq!(timing().patience(at(0), Ask::MarkDisrupted), Duration::from_secs(1));
    }

    #[test]
    fn pauses_double_with_jitter_up_to_the_last() {
        let mut jitter = fastrand::Rng::with_seed(7);
        let mut backoff = Backoff::from_millis(100, 1000);
        for step in [100, 200, 400, 800, 1000, 1000] {
            let pause = backoff.next(&mut jitter);
            assert!(
                pause >= Duration::from_millis(step / 2) && pause <= Duration::from_millis(step)
            );
        }
        backoff.reset();
        assert!(backoff.next(&mut jitter) <= Duration::from_millis(100));
    }
}

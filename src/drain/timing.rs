//! When things are due, given the limit of a drain. All spans in real seconds of the monotonic clock.

use std::time::Duration;

use crate::drain::ask::{Ask, Grace};
use crate::drain::limit::Limit;
use crate::moment::Moment;

pub use crate::backoff::Backoff;

/// When a drain is over and every pod is to have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    /// No new request at or after it.
    end: Moment,
    /// When the last pod should have ended: D − m, later by the time of a graceful node shutdown, or at once;
    /// `None`: nothing happens to the instance, and every pod has all the time that it wants.
    end_of_grace: Option<Moment>,
    /// No pod's own time comes later: D − m, or at once.
    last_own_time: Moment,
}

impl Timing {
    /// What follows from this limit, where every pod is to have ended `margin` before a deadline, or before the end
    /// of a `shutdown` that begins at the deadline.
    pub(super) fn of(limit: Limit, margin: Duration, shutdown: Duration) -> Self {
        let end = limit.end();
        let (end_of_grace, last_own_time) = match limit {
            // Every pod's own time is over, and it gets the least grace there is.
            Limit::AtOnce { since, .. } => (Some(since), since),
            Limit::Deadline(at) => (Some(at - margin + shutdown), at - margin),
            Limit::Timeout(_) => (None, end),
        };
        Self { end, end_of_grace, last_own_time }
    }

    /// D − m − g: the last moment at which a pod with this grace can be asked and still have it
    /// all, or D − m where a graceful node shutdown leaves it more. Its "own time": budgets and tiers hold it up no
    /// longer. `None`: it never comes.
    pub(super) fn own_time(&self, grace: Grace) -> Option<Moment> {
        self.end_of_grace.map(|end| (end - seconds(grace)).min(self.last_own_time))
    }

    /// When the last pod should have been asked that is to have any grace; `None`: nothing happens to the instance.
    pub(super) fn last_own_time(&self) -> Option<Moment> {
        self.end_of_grace.map(|_| self.last_own_time)
    }

    /// The grace to ask for now: the pod's own, cut to what is left, at least one second. Rounded
    /// to the nearest second: who is asked a moment after its own time keeps all of its grace, and
    /// half a second is the margin's.
    pub(super) fn cut(&self, now: Moment, grace: Grace) -> Grace {
        let Some(end) = self.end_of_grace else { return grace };
        let left = now.until(end) + Duration::from_millis(500);
        let left = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
        grace.min(Grace::new(left).unwrap_or(Grace::MIN))
    }

    /// Whether a terminating pod that would end at `ends` is to be deleted again now: that is
    /// later than it should be, and it would end sooner.
    pub(super) fn is_too_late(&self, now: Moment, ends: Moment, grace: Grace) -> bool {
        let Some(end_of_grace) = self.end_of_grace else { return false };
        let at_best = now + seconds(self.cut(now, grace));
        ends > at_best.max(end_of_grace) + TOLERANCE
    }

    /// When to try again after a `pause` that began at `since`, with a pod of this grace: not
    /// beyond its own time, at which other means are open, nor, after that, beyond a second.
    pub(super) fn pause(&self, since: Moment, pause: Duration, grace: Grace) -> Moment {
        let last = match self.own_time(grace) {
            Some(own_time) if since < own_time => own_time,
            Some(_) => since + LONGEST_LATE_PAUSE,
            None => self.end,
        };
        (since + pause).min(last)
    }

    /// The longest pause between two tries of a budget that holds a pod of this grace: a second,
    /// and up to five where more than two minutes are left until its own time, or until the
    /// drain is given up. What is right for two minutes is rude for an hour.
    pub(super) fn budget_pause(&self, now: Moment, grace: Grace) -> Duration {
        let left = now.until(self.own_time(grace).unwrap_or(self.end));
        let growth = left.saturating_sub(HASTE) / SLOWING_DOWN;
        (SHORTEST_BUDGET_PAUSE + growth).min(LONGEST_BUDGET_PAUSE)
    }

    /// How long one request may take: as long as the API server gives itself, less when less is left, and so much
    /// less that another can follow where it hangs. A deletion leaves a third of the time to another one, for
    /// nothing else ends the pod, but waits for an admission webhook. One second for what is only best effort and
    /// holds up a deletion.
    pub(super) fn time_to_answer(&self, now: Moment, ask: Ask) -> Duration {
        let left = now.until(self.end);
        let and_another = left.saturating_sub(LAST_TRY);
        let latest = if and_another < LEAST_WAIT { left } else { and_another };
        let longest = match ask {
            Ask::MarkDisrupted => LONGEST_MARKING,
            Ask::Delete { .. } if self.end_of_grace.is_some() => {
                (left * 2 / 3).clamp(LONG_WAIT, LONGEST_REQUEST)
            }
            Ask::Evict { .. } | Ask::Delete { .. } => LONGEST_REQUEST,
        };
        latest.min(longest)
    }

    /// Until when the answer to an eviction that was sent at `sent` is waited for, before a pod of
    /// this grace is deleted: until its own time. Where that is over already, waiting costs grace,
    /// and may cost a tenth of what is left. `None`: no pod is deleted.
    pub(super) fn last_answer(&self, sent: Moment, grace: Grace) -> Option<Moment> {
        let (end_of_grace, own_time) = (self.end_of_grace?, self.own_time(grace)?);
        let least = if own_time <= sent {
            (sent.until(end_of_grace) / 10).max(LEAST_WAIT)
        } else {
            LEAST_WAIT
        };
        Some(own_time.max(sent + least))
    }
}

/// Clocks of API server and node differ, and a deletion timestamp is in whole seconds: a pod is
/// hurried only if it would end later than this.
const TOLERANCE: Duration = Duration::from_secs(1);

/// With so little time left, budgets are tried as often as is decent.
const HASTE: Duration = Duration::from_mins(2);
/// So much more time makes the pause a second longer: all of it at five minutes.
const SLOWING_DOWN: u32 = 45;
/// Where two minutes or less are left.
const SHORTEST_BUDGET_PAUSE: Duration = Duration::from_secs(1);
/// Where five minutes or more are left.
const LONGEST_BUDGET_PAUSE: Duration = Duration::from_secs(5);

/// Between tries about a pod whose own time is up.
const LONGEST_LATE_PAUSE: Duration = Duration::from_secs(1);

/// A request that has no answer by then is given up, and asked again. kube-apiserver gives itself
/// 60 s (`--request-timeout`); an eviction may need most of them: admission webhooks have up to 30 s
/// each, and an update of a budget's status that meets another one is tried for 10 s.
pub const LONGEST_REQUEST: Duration = Duration::from_secs(62);

/// A request that has gone unanswered for so long gives way: to a pod that was never asked, where nothing
/// else can ask it, and to the next pod behind the same budget. Longer than an admission webhook may
/// take by default (`timeoutSeconds`: 10). A deletion is waited for as long, where so much is left.
pub const LONG_WAIT: Duration = Duration::from_secs(12);

/// An eviction or a deletion has at least so long to be answered.
const LEAST_WAIT: Duration = Duration::from_secs(2);

/// So long before the end what has no answer is given up and asked for the last time.
const LAST_TRY: Duration = Duration::from_secs(3);

/// The condition `DisruptionTarget` is worth no more of a pod's grace.
const LONGEST_MARKING: Duration = Duration::from_secs(1);

/// A grace as a span.
pub fn seconds(grace: Grace) -> Duration {
    Duration::from_secs(u64::from(grace.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: Moment = Moment::at(Duration::from_mins(2));
    const MARGIN: Duration = Duration::from_secs(2);
    const SHUTDOWN: Duration = Duration::from_mins(2);

    fn timing() -> Timing {
        Timing::of(Limit::Deadline(D), MARGIN, Duration::ZERO)
    }

    fn timeout() -> Timing {
        Timing::of(Limit::Timeout(at(3600)), MARGIN, SHUTDOWN)
    }

    fn grace(seconds: u32) -> Grace {
        Grace::new(seconds).unwrap()
    }

    fn at(seconds: u64) -> Moment {
        Moment::at(Duration::from_secs(seconds))
    }

    #[test]
    fn own_time_leaves_margin_and_grace() {
        assert_eq!(timing().own_time(grace(30)), Some(at(88)));
        assert_eq!(timing().own_time(grace(300)), Some(Moment::START));
    }

    #[test]
    fn a_graceful_node_shutdown_gives_grace_after_the_deadline_and_no_request() {
        let timing = Timing::of(Limit::Deadline(D), MARGIN, SHUTDOWN);
        // Ends at 238 s; nothing is asked after 118 s.
        assert_eq!(timing.own_time(grace(30)), Some(at(118)));
        assert_eq!(timing.own_time(grace(120)), Some(at(118)));
        assert_eq!(timing.own_time(grace(150)), Some(at(88)));
        assert_eq!(timing.own_time(grace(300)), Some(Moment::START));
        assert_eq!(timing.cut(at(0), grace(300)), grace(238));
        assert_eq!(timing.cut(at(118), grace(300)), grace(120));
        assert!(!timing.is_too_late(at(0), at(238), grace(300)));
        assert!(timing.is_too_late(at(0), at(240), grace(300)));
        assert_eq!(timing.time_to_answer(at(119), Ask::MarkDisrupted), Duration::from_secs(1));
        assert_eq!(timing.time_to_answer(at(120), Ask::MarkDisrupted), Duration::ZERO);
    }

    #[test]
    fn at_once_every_own_time_is_over_and_every_grace_the_least() {
        let limit = Limit::AtOnce { since: at(50), until: at(110) };
        let timing = Timing::of(limit, MARGIN, SHUTDOWN);
        assert!(timing.own_time(Grace::MIN).is_some_and(|own_time| own_time < at(50)));
        assert_eq!(timing.cut(at(50), grace(300)), Grace::MIN);
        assert_eq!(timing.end, at(110));
    }

    #[test]
    fn with_a_timeout_no_own_time_comes_and_no_grace_is_cut() {
        assert_eq!(timeout().own_time(grace(30)), None);
        assert_eq!(timeout().cut(at(3599), grace(300)), grace(300));
        assert_eq!(timeout().pause(at(10), Duration::from_mins(1), grace(30)), at(70));
        assert_eq!(timeout().end, at(3600));
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
    fn a_pause_ends_with_the_own_time_of_the_pod_and_is_short_after_it() {
        let minute = Duration::from_mins(1);
        assert_eq!(timing().pause(at(10), minute, grace(30)), at(70));
        assert_eq!(timing().pause(at(50), minute, grace(30)), at(88));
        assert_eq!(timing().pause(at(90), minute, grace(30)), at(91));
    }

    #[test]
    fn the_pauses_of_a_budget_grow_with_the_time_that_is_left() {
        let timing = Timing::of(Limit::Deadline(at(602)), MARGIN, Duration::ZERO);
        let pause = |now| timing.budget_pause(at(now), grace(100)).as_millis();
        // Its own time is up at 500 s.
        assert_eq!([0, 199, 200].map(pause), [5000, 5000, 5000]);
        assert_eq!([290, 380, 500, 600].map(pause), [3000, 1000, 1000, 1000]);
        let pause = |now| timeout().budget_pause(at(now), grace(100)).as_millis();
        assert_eq!([0, 3300, 3390, 3600].map(pause), [5000, 5000, 3000, 1000]);
    }

    #[test]
    fn a_third_of_what_is_left_is_kept_for_another_deletion() {
        let delete = Ask::Delete { grace: grace(30) };
        let of = |timing: Timing, now| timing.time_to_answer(at(now), delete).as_secs();
        assert_eq!([0, 88, 108, 118].map(|now| of(timing(), now)), [62, 21, 9, 2]);
        assert_eq!(of(timeout(), 0), LONGEST_REQUEST.as_secs(), "nothing ends the pod");
    }

    #[test]
    fn no_answer_is_awaited_beyond_the_end() {
        let delete = Ask::Delete { grace: grace(30) };
        let evict = Ask::Evict { grace: grace(30), dry: false };
        assert_eq!(timing().time_to_answer(at(0), evict), LONGEST_REQUEST);
        assert_eq!(timing().time_to_answer(at(114), evict), Duration::from_secs(3));
        assert_eq!(timing().time_to_answer(at(116), evict), Duration::from_secs(4));
        assert_eq!(timing().time_to_answer(at(118), evict), Duration::from_secs(2));
        assert_eq!(timing().time_to_answer(at(118), delete), Duration::from_secs(2));
        assert_eq!(timing().time_to_answer(at(121), delete), Duration::ZERO);
        assert_eq!(timing().time_to_answer(at(0), Ask::MarkDisrupted), Duration::from_secs(1));
    }
}

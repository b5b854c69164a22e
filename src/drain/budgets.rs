//! Pods that wait for a disruption budget. Budgets are asked, not pods: one eviction at a time
//! tries each budget, with another of its pods every time, and when one is let go the next follows
//! at once. A hundred pods behind one budget so cost the API server no more than one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::drain::ask::Budget;
use crate::drain::timing::{Backoff, LONG_WAIT};
use crate::moment::Moment;

/// The budgets that have refused an eviction.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    queues: BTreeMap<Arc<Budget>, Queue>,
}

/// How one budget is tried.
#[derive(Debug)]
struct Queue {
    /// When it last refused, or let a pod go.
    changed_at: Moment,
    /// How long it is left alone after that, unless there is less time.
    pause: Duration,
    /// So many times as long, for so many others are tried besides.
    crowd: u32,
    backoff: Backoff,
    /// Since when it is being tried, if it is.
    trying: Option<Moment>,
}

/// What is known of a refusal beside the budget.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    /// Not the first of this budget for this pod.
    pub(super) again: bool,
    /// How many budgets hold pods back.
    pub(super) waiting: usize,
    /// With the time that this pod has left, its budget is left alone no longer.
    pub(super) longest_pause: Duration,
}

/// Where every pod has a budget of its own, all budgets together are tried about so often.
const TRIES_A_SECOND: usize = 50;

/// A budget frees when a replacement becomes ready, which can be any moment. The longest pause is
/// that of [`Timing::budget_pause`](crate::drain::timing::Timing::budget_pause).
const TRIES: Backoff = Backoff::from_millis(200, 10_000);

impl Queue {
    /// When it is tried next, where pauses are no longer than `longest` now: what was a short pause
    /// when it began may be a long one since.
    fn next(&self, longest: Duration) -> Moment {
        self.changed_at + self.pause.min(longest) * self.crowd
    }
}

impl Budgets {
    /// When the next pod behind `budget` may be tried, with pauses no longer than `longest`. While one
    /// is being tried, others wait for the answer, but not for one that does not come.
    pub(super) fn next_try(&self, budget: &Budget, longest: Duration) -> Moment {
        let Some(queue) = self.queues.get(budget) else { return Moment::START };
        queue.trying.map_or(queue.next(longest), |since| since + LONG_WAIT)
    }

    /// A pod behind `budget` is being tried.
    pub(super) fn trying(&mut self, now: Moment, budget: &Budget) {
        if let Some(queue) = self.queues.get_mut(budget) {
            queue.trying = Some(now);
        }
    }

    /// The try has ended in one way or the other. An answer that says nothing about the budget
    /// leaves its turn where it was.
    /// `since`: when it began, for another one may have begun meanwhile.
    pub(super) fn tried(&mut self, since: Option<Moment>, budget: &Budget) {
        if let Some(queue) = self.queues.get_mut(budget) {
            queue.trying = queue.trying.filter(|trying| Some(*trying) != since);
        }
    }

    /// `budget` has refused. Gives the one copy of the budget that everybody shares.
    pub(super) fn refused(
        &mut self,
        now: Moment,
        budget: Budget,
        refusal: Refusal,
        jitter: &mut fastrand::Rng,
    ) -> Arc<Budget> {
        let known = self.queues.get_key_value(&budget).map(|(known, _)| Arc::clone(known));
        let budget = known.unwrap_or_else(|| Arc::new(budget));
        let queue = self.queues.entry(Arc::clone(&budget)).or_insert(Queue {
            changed_at: now,
            pause: Duration::ZERO,
            crowd: 1,
            backoff: TRIES,
            trying: None,
        });
        if refusal.again || queue.next(refusal.longest_pause) <= now {
            queue.changed_at = now;
            queue.pause = queue.backoff.next_within(refusal.longest_pause, jitter);
            let crowd = u32::try_from(refusal.waiting / TRIES_A_SECOND).unwrap_or(u32::MAX);
            queue.crowd = crowd.max(1);
        }
        budget
    }

    /// `budget` has let a pod go: the next may be tried at once.
    pub(super) fn freed(&mut self, now: Moment, budget: &Budget) {
        if let Some(queue) = self.queues.get_mut(budget) {
            queue.changed_at = now;
            queue.pause = Duration::ZERO;
            queue.backoff.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn named(name: &str) -> Budget {
        Budget { namespace: "shop".to_owned(), name: name.to_owned() }
    }

    /// The longest pause of a budget that has refused often, beside so many others, where pauses
    /// may be so long.
    fn longest_pause(others: usize, longest: Duration) -> Duration {
        let mut budgets = Budgets::default();
        let mut jitter = fastrand::Rng::with_seed(1);
        let refusal = Refusal { again: true, waiting: others + 1, longest_pause: longest };
        let pauses = (0..20).map(|_| {
            let budget = budgets.refused(Moment::START, named("web"), refusal, &mut jitter);
            budgets.next_try(&budget, longest).since(Moment::START)
        });
        pauses.max().unwrap_or_default()
    }

    #[test]
    fn many_budgets_share_the_api_server() {
        assert!(longest_pause(0, SECOND) <= SECOND);
        assert!(longest_pause(98, SECOND) <= SECOND);
        let crowded = longest_pause(249, SECOND);
        assert!(crowded > 3 * SECOND && crowded <= 5 * SECOND);
    }

    #[test]
    fn pauses_are_as_long_as_they_may_be_and_shrink_when_less_is_left() {
        let long = longest_pause(0, 5 * SECOND);
        assert!(long > 4 * SECOND && long <= 5 * SECOND);
        let mut budgets = Budgets::default();
        let mut jitter = fastrand::Rng::with_seed(1);
        let refusal = Refusal { again: true, waiting: 1, longest_pause: 5 * SECOND };
        for _ in 0..20 {
            budgets.refused(Moment::START, named("web"), refusal, &mut jitter);
        }
        let next = |longest| budgets.next_try(&named("web"), longest);
        assert!(next(5 * SECOND) > Moment::at(2 * SECOND));
        assert_eq!(next(SECOND), Moment::at(SECOND));
    }
}

//! Pods that wait for a disruption budget. Budgets are asked, not pods: one eviction at a time
//! tries each budget, with another of its pods every time, and when one is let go the next follows
//! at once. A hundred pods behind one budget so cost the API server no more than one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::drain::ask::Budget;
use crate::drain::timing::Backoff;
use crate::moment::Moment;

/// The budgets that have refused an eviction.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    queues: BTreeMap<Arc<Budget>, Queue>,
}

/// How one budget is tried.
#[derive(Debug)]
struct Queue {
    next: Moment,
    backoff: Backoff,
    trying: bool,
}

/// Where every pod has a budget of its own, all budgets together are tried about so often.
const TRIES_A_SECOND: usize = 50;

/// A budget frees when a replacement becomes ready, which can be any moment.
const TRIES: Backoff = Backoff::from_millis(200, 1000);

impl Budgets {
    /// When the next pod behind `budget` may be tried; `None` while one is being tried.
    pub(super) fn next_try(&self, budget: &Budget) -> Option<Moment> {
        match self.queues.get(budget) {
            Some(queue) if queue.trying => None,
            Some(queue) => Some(queue.next),
            None => Some(Moment::START),
        }
    }

    /// A pod behind `budget` is being tried.
    pub(super) fn trying(&mut self, budget: &Budget) {
        if let Some(queue) = self.queues.get_mut(budget) {
            queue.trying = true;
        }
    }

    /// The try has ended in one way or the other. An answer that says nothing about the budget
    /// leaves its turn where it was.
    pub(super) fn tried(&mut self, budget: &Budget) {
        if let Some(queue) = self.queues.get_mut(budget) {
            queue.trying = false;
        }
    }

    /// `budget` has refused; `again`: not for the first time; `waiting`: so many budgets hold pods back.
    /// Gives the one copy of the budget that
    /// everybody shares.
    pub(super) fn refused(
        &mut self,
        now: Moment,
        budget: Budget,
        again: bool,
        waiting: usize,
        jitter: &mut fastrand::Rng,
    ) -> Arc<Budget> {
        let known = self.queues.get_key_value(&budget).map(|(known, _)| Arc::clone(known));
        let budget = known.unwrap_or_else(|| Arc::new(budget));
        let queue = self.queues.entry(Arc::clone(&budget)).or_insert(Queue {
            next: now,
            backoff: TRIES,
            trying: false,
        });
        if again || queue.next <= now {
            let pause = queue.backoff.next(jitter);
            let crowd = u32::try_from(waiting / TRIES_A_SECOND).unwrap_or(u32::MAX);
            if let Some(queue) = self.queues.get_mut(&budget) {
                queue.next = now + pause * crowd.max(1);
            }
        }
        budget
    }

    /// `budget` has let a pod go: the next may be tried at once.
    pub(super) fn freed(&mut self, now: Moment, budget: &Budget) {
        if let Some(queue) = self.queues.get_mut(budget) {
            queue.next = now;
            queue.backoff.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The longest pause of a budget that has refused often, beside so many others.
    fn longest_pause(others: usize) -> Duration {
        let mut budgets = Budgets::default();
        let mut jitter = fastrand::Rng::with_seed(1);
        let named = |name: String| Budget { namespace: "shop".to_owned(), name };
        let pauses = (0..20).map(|_| {
            let budget = budgets.refused(
                Moment::START,
                named("web".to_owned()),
                true,
                others + 1,
                &mut jitter,
            );
            budgets.next_try(&budget).map_or(Duration::MAX, |next| next.since(Moment::START))
        });
        pauses.max().unwrap_or_default()
    }

    #[test]
    fn many_budgets_share_the_api_server() {
        assert!(longest_pause(0) <= Duration::from_secs(1));
        assert!(longest_pause(98) <= Duration::from_secs(1));
        let crowded = longest_pause(249);
        assert!(crowded > Duration::from_secs(3) && crowded <= Duration::from_secs(5));
    }
}

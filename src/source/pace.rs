//! How often a path is polled. Pure.

use std::time::Duration;

use crate::moment::Moment;

/// Between polls that fail, whatever the interval.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// What a poll says of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Answering,
    Failing,
}

/// When the next poll begins: an interval after this one began; while polls fail, longer and
/// longer after, from the interval to the longest wait. An interval that is longer stays.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    interval: Duration,
    longest_wait: Duration,
    /// After the next failure.
    wait: Duration,
}

impl Pace {
    pub(super) fn new(interval: Duration, longest_wait: Duration) -> Self {
        Self { interval, longest_wait, wait: interval.max(SHORTEST_WAIT) }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// May lie in the past, if the poll that began at `began` took longer: then it begins at once.
    pub(super) fn next(&mut self, began: Moment, health: Health) -> Moment {
        match health {
            Health::Answering => {
                *self = Self::new(self.interval, self.longest_wait);
                began + self.interval
            }
            Health::Failing => {
                let wait = self.wait;
                self.wait = (wait * 2).min(self.longest_wait.max(self.interval));
                began + wait
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Health::{Answering, Failing};
    use super::*;

    #[test]
    fn failures_are_followed_by_longer_and_longer_waits_up_to_the_longest() {
        let waits = |interval: u64, longest: u64, polls: &[Health]| -> Vec<u128> {
            let mut pace = Pace::new(Duration::from_millis(interval), Duration::from_secs(longest));
            let began = Moment::at(Duration::from_mins(1));
            polls.iter().map(|&health| pace.next(began, health).since(began).as_millis()).collect()
        };
        let polls = [Answering, Failing, Failing, Failing, Failing, Failing, Answering, Failing];
        let seconds = |seconds: [u128; 8]| seconds.map(|second| second * 1000);
        assert_eq!(waits(1000, 5, &polls), seconds([1, 1, 2, 4, 5, 5, 1, 1]));
        assert_eq!(waits(5000, 30, &polls), seconds([5, 5, 10, 20, 30, 30, 5, 5]));
        assert_eq!(waits(30_000, 5, &polls), [30_000; 8]);
        assert_eq!(waits(0, 5, &polls[..3]), [0, 100, 200]);
    }
}

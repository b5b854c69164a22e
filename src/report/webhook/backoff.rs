//! When a message is tried again. Pure.

use std::time::Duration;

/// Pauses between tries: anything from nothing to a step that doubles from 1 s to 30 s, so that a
/// thousand nodes with the same news do not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    failures: u32,
    jitter: fastrand::Rng,
}

const FIRST: Duration = Duration::from_secs(1);

const LONGEST: Duration = Duration::from_secs(30);

impl Backoff {
    /// For one message; the same seed gives the same pauses.
    pub fn new(seed: u64) -> Self {
        Self { failures: 0, jitter: fastrand::Rng::with_seed(seed) }
    }

    /// How long to wait after one more try that failed. Where the server has said for how long it
    /// wants to be left alone, the pause comes on top of that.
    pub fn next(&mut self, not_before: Option<Duration>) -> Duration {
        let step = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        not_before.unwrap_or_default().saturating_add(step.mul_f64(self.jitter.f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_spread_over_a_step_that_doubles_up_to_the_longest() {
        let steps = [1, 2, 4, 8, 16, 30, 30, 30].map(Duration::from_secs);
        let mut longest = [Duration::ZERO; 8];
        let mut shortest = [Duration::MAX; 8];
        for seed in 0..500 {
            let mut backoff = Backoff::new(seed);
            for place in 0..steps.len() {
                let pause = backoff.next(None);
                longest[place] = longest[place].max(pause);
                shortest[place] = shortest[place].min(pause);
            }
        }
        for (place, step) in steps.into_iter().enumerate() {
            assert!(longest[place] <= step && longest[place] > step.mul_f64(0.9), "{longest:?}");
            assert!(shortest[place] < step.mul_f64(0.1), "{shortest:?}");
        }
    }

    #[test]
    fn the_step_stays_however_often_it_fails() {
        let mut backoff = Backoff { failures: u32::MAX, jitter: fastrand::Rng::with_seed(7) };
        assert!((0..3).all(|_| backoff.next(None) <= LONGEST));
        assert_eq!(backoff.next(Some(Duration::MAX)), Duration::MAX);
    }

    #[test]
    fn the_same_seed_gives_the_same_pauses_and_another_gives_others() {
        let pauses = |seed| {
            let mut backoff = Backoff::new(seed);
            [(); 4].map(|()| backoff.next(None))
        };
        assert_eq!(pauses(1), pauses(1));
        assert_ne!(pauses(1), pauses(2));
    }

    #[test]
    fn nobody_comes_back_before_the_server_wants_it() {
        let wait = Duration::from_mins(2);
        let pauses: Vec<_> = (0..50).map(|seed| Backoff::new(seed).next(Some(wait))).collect();
        assert!(pauses.iter().all(|pause| *pause >= wait && *pause <= wait + FIRST));
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }
}

//! Exponential backoff with jitter.

use std::time::Duration;

/// A pause that doubles with each retry.
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

    /// Starts over with the first pause.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

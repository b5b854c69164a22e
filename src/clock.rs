//! The machine's clocks: nothing else reads them, nothing else sleeps.

use std::time::{Duration, Instant, SystemTime};

use crate::moment::{Moment, Reading, WallTime};

/// Monotonic clock and calendar. A copy counts from the same start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clocks")]
impl Clock {
    /// A clock whose [`Moment::START`] is now.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The monotonic clock.
    pub fn now(&self) -> Moment {
        Moment::at(self.started.elapsed())
    }

    /// Both clocks.
    pub fn read(&self) -> Reading {
        Reading { now: self.now(), wall: WallTime::from(SystemTime::now()) }
    }

    /// Lets this thread sleep until `moment`.
    pub fn sleep_until(&self, moment: Moment) {
        match self.now().until(moment) {
            Duration::ZERO => {}
            left => std::thread::sleep(left),
        }
    }
}

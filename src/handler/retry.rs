//! What is tried until it succeeds. Pure.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::moment::Moment;

/// Something that is tried until it succeeds.
#[derive(Debug)]
pub(super) struct Retry {
    stage: Stage,
    backoff: Backoff,
    failed: bool,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Due(Moment),
    UnderWay,
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Transition {
    /// It failed, and had not before.
    Failing,
    /// It succeeded after having failed.
    Recovered,
    /// None.
    Nothing,
}

impl Retry {
    const BACKOFF: Backoff = Backoff::from_millis(1000, 30_000);

    /// To be done at once.
    pub(super) fn due() -> Self {
        Self { stage: Stage::Due(Moment::START), backoff: Self::BACKOFF, failed: false }
    }

    /// Not to be done.
    pub(super) fn done() -> Self {
        Self { stage: Stage::Done, ..Self::due() }
    }

    /// Whether it is to be begun now; it then is under way.
    pub(super) fn take(&mut self, now: Moment) -> bool {
        let due = self.wake().is_some_and(|due| due <= now);
        if due {
            self.stage = Stage::UnderWay;
        }
        due
    }

    /// When it is to be begun, unless it is under way or done.
    pub(super) fn wake(&self) -> Option<Moment> {
        match self.stage {
            Stage::Due(due) => Some(due),
            Stage::UnderWay | Stage::Done => None,
        }
    }

    /// Whether it has succeeded.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// Whether its outcome is waited for.
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.stage, Stage::UnderWay)
    }

    /// If it was under way, its outcome will never be known.
    pub(super) fn lost(&mut self, now: Moment) {
        if let Stage::UnderWay = self.stage {
            self.stage = Stage::Due(now);
        }
    }

    /// If it is to be tried again, then now.
    pub(super) fn hurry(&mut self, now: Moment) {
        if let Stage::Due(due) = &mut self.stage {
            *due = now.min(*due);
        }
        self.backoff = Self::BACKOFF;
    }

    /// It has ended.
    pub(super) fn finished(
        &mut self,
        now: Moment,
        succeeded: bool,
        longest_pause: Duration,
        jitter: &mut fastrand::Rng,
    ) -> Transition {
        if succeeded {
            self.stage = Stage::Done;
            return if std::mem::take(&mut self.failed) {
                Transition::Recovered
            } else {
                Transition::Nothing
            };
        }
        let pause = self.backoff.next(jitter).min(longest_pause);
        self.stage = Stage::Due(now + pause);
        if std::mem::replace(&mut self.failed, true) {
            Transition::Nothing
        } else {
            Transition::Failing
        }
    }
}

//! A notice that stands, and how far it has been dealt with. Pure.

use std::cmp::Reverse;
use std::time::Duration;

use crate::drain::limit::Limit;
use crate::handler::recall::Judgement;
use crate::intent::{Basis, Effect, Intent, NEAREST, Policy};
use crate::moment::{Moment, Reading, WallTime};
use crate::node::state::{Known, Occurrence, Progress};
use crate::notice::{Action, Notice, NoticeId, When};

/// A notice that stands.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it says now.
    pub notice: Notice,
    /// What was made of it.
    pub intent: Intent,
    /// When its drain ends, if the notice itself does not state it: for the annotation.
    end: Option<WallTime>,
    /// When the marks for it end, for the annotation.
    until: Option<WallTime>,
    /// How far it has been dealt with.
    pub(super) stage: Stage,
    /// It is older than this process.
    pub from_the_start: bool,
    /// It was spoken of.
    pub(super) spoken: bool,
    number: u32,
    /// No path says it any more; its marks stay until then.
    pub(super) withdrawn: Option<Moment>,
}

/// How far a notice has been dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is waited for, or being dealt with.
    Open,
    /// Its drain is over, and the marks stay while it stands.
    Drained {
        /// The Node is to remember that: else a restart drains again.
        noted: bool,
        /// Of several, the marks are for the one with the highest.
        rank: u32,
    },
    /// It is done with, and asks for no marks any more.
    Over,
}

/// Which entry, and which appearance of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The notice.
    pub id: NoticeId,
    number: u32,
}

/// What is made of a notice that has appeared, or was planned anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: it was dealt with before.
    Nothing,
    /// It is begun with at once.
    Now,
    /// It is begun with at that moment.
    Later(Moment),
}

impl Entry {
    /// A notice that has appeared, and nothing was done about it yet. `number`: of its appearance.
    pub(super) fn new(
        notice: Notice,
        reading: Reading,
        policy: &Policy,
        from_the_start: bool,
        number: u32,
    ) -> Self {
        let intent = Intent::of(&notice, reading, policy);
        Self {
            end: unstated_end(reading, &intent),
            until: wall(reading, intent.marks_until),
            intent,
            stage: Stage::Open,
            from_the_start,
            spoken: false,
            number,
            withdrawn: None,
            notice,
        }
    }

    /// Which entry this is.
    pub fn item(&self) -> Item {
        Item { id: self.notice.id.clone(), number: self.number }
    }

    /// It has another time, and what was made of it is made anew.
    pub(super) fn remake(&mut self, reading: Reading, intent: Intent) {
        self.end = unstated_end(reading, &intent);
        self.until = wall(reading, intent.marks_until);
        self.intent = intent;
    }

    /// What is made of it.
    pub(super) fn plan(&self, now: Moment) -> Plan {
        match self.stage {
            Stage::Open if self.intent.from > now => Plan::Later(self.intent.from),
            Stage::Open => Plan::Now,
            Stage::Drained { .. } | Stage::Over => Plan::Nothing,
        }
    }

    /// Whether it stands, its time has come, and it is not dealt with yet.
    pub(super) fn has_come(&self, now: Moment) -> bool {
        self.stage == Stage::Open && self.withdrawn.is_none() && self.intent.from <= now
    }

    /// Whether the Node bears marks for it, without a drain under way.
    pub(super) fn bears_marks(&self, now: Moment) -> bool {
        match self.stage {
            // What was withdrawn before a drain for it began keeps its marks for a while, too.
            Stage::Open => {
                let marks = self.intent.effect == Effect::Mark || self.withdrawn.is_some();
                marks && self.intent.from <= now
            }
            Stage::Drained { .. } => true,
            Stage::Over => false,
        }
    }

    /// What was done about it before this process, or before this boot.
    pub(super) fn judge(&mut self, judgement: Judgement, reading: Reading) {
        self.stage = match judgement.progress {
            Progress::Open => Stage::Open,
            Progress::Drained => Stage::Drained { noted: true, rank: 0 },
            Progress::Over => Stage::Over,
        };
        // What was done was done for that one; whether there is a later one its path tells.
        if let Some(made) = judgement.made {
            self.notice.when = When::At(made);
        }
        // Whatever this process makes of it, what was said before is not put off.
        if let Some(end) = judgement.end.filter(|_| self.stage == Stage::Open) {
            self.end_by(end, reading);
        }
        if let Some(until) = judgement.marks_until {
            self.until = Some(self.until.map_or(until, |own| own.min(until)));
            let until = reading.moment_of(until).unwrap_or(reading.now);
            let own = self.intent.marks_until;
            self.intent.marks_until = Some(own.map_or(until, |own| own.min(until)));
            if until <= reading.now && self.bears_marks(reading.now) {
                self.stage = Stage::Over;
            }
        }
    }

    /// Its drain was to end then. Patience that is over is over; a deadline that is over without the
    /// instance being gone is none.
    fn end_by(&mut self, end: WallTime, reading: Reading) {
        let Effect::Drain(own) = self.intent.effect else { return };
        let is_ahead = |moment: &Moment| reading.now.until(*moment) >= NEAREST;
        let limit = match (own, reading.moment_of(end).filter(is_ahead)) {
            (_, Some(moment)) => own.with_end(own.end().min(moment)),
            (Limit::Timeout(_), None) => {
                self.intent.effect = Effect::Drain(Limit::Timeout(reading.now));
                self.stage = Stage::Drained { noted: true, rank: 0 };
                return;
            }
            (Limit::Deadline(_) | Limit::AtOnce { .. }, None) => return,
        };
        if limit != own && matches!(limit, Limit::Deadline(_)) {
            self.intent.basis = Basis::Remembered;
        }
        self.intent.effect = Effect::Drain(limit);
        self.end = self.end.map(|own| own.min(end));
    }

    /// What is to be remembered of it, if anything is.
    pub(super) fn known(&self) -> Option<Known> {
        let progress = match self.stage {
            Stage::Open | Stage::Drained { noted: false, .. } => Progress::Open,
            Stage::Drained { noted: true, .. } => Progress::Drained,
            Stage::Over => Progress::Over,
        };
        let end = self.end.filter(|_| progress == Progress::Open);
        let marks_until = self.until;
        let is_new = progress == Progress::Open && end.is_none() && marks_until.is_none();
        (!is_new && self.withdrawn.is_none()).then(|| Known {
            notice: Occurrence::of(&self.notice).as_str().to_owned(),
            progress,
            end: end.map(|end| end.to_string()),
            marks_until: marks_until.map(|until| until.to_string()),
            made: match (&self.notice.id, self.notice.when) {
                (NoticeId::Rebalance, When::At(made)) => Some(made.to_string()),
                _ => None,
            },
        })
    }

    /// Of several, the marks are for the first: what is more certain to come, then what the node was
    /// drained for last.
    pub(super) fn precedence(&self, draining: Option<&Item>) -> impl Ord {
        let rank = match self.stage {
            _ if draining.is_some_and(|item| item.id == self.notice.id) => u32::MAX,
            Stage::Drained { rank, .. } => rank,
            Stage::Open | Stage::Over => 0,
        };
        (doubt(&self.notice.id), Reverse(rank), self.notice.id.clone())
    }
}

/// What is more certain to come has less of it.
pub(super) fn doubt(id: &NoticeId) -> u8 {
    match id {
        NoticeId::Interruption(_) => 0,
        NoticeId::Lifecycle(_) => 1,
        NoticeId::Maintenance(_) => 2,
        NoticeId::Rebalance => 3,
    }
}

/// Whether a drain goes on, and marks stay for a while, when the metadata service says the notice no
/// more: it may be wrong, and pods would pay for it. Hibernation begins with its notice: when that is
/// gone, the machine is back.
pub fn outlives_its_notice(id: &NoticeId) -> bool {
    matches!(id, NoticeId::Interruption(Action::Terminate | Action::Stop))
}

/// Whether a notice is known long before its time, so that its time may be moved and it may be
/// called off.
pub fn is_planned(id: &NoticeId) -> bool {
    match id {
        NoticeId::Maintenance(_) => true,
        NoticeId::Interruption(_) | NoticeId::Rebalance | NoticeId::Lifecycle(_) => false,
    }
}

/// Whether a recommendation that was made at `time` is another one than that of `before`. The Node
/// remembers milliseconds.
pub fn is_newer(before: When, time: When) -> bool {
    match (before, time) {
        (When::At(before), When::At(time)) => {
            before.until(time).is_some_and(|later| later >= Duration::from_secs(1))
        }
        _ => false,
    }
}

/// The end of a drain that the notice itself does not state.
fn unstated_end(reading: Reading, intent: &Intent) -> Option<WallTime> {
    let stated = matches!(intent.basis, Basis::Stated(_));
    wall(reading, intent.effect.end().filter(|_| !stated))
}

fn wall(reading: Reading, moment: Option<Moment>) -> Option<WallTime> {
    moment.map(|moment| reading.wall + reading.now.until(moment))
}

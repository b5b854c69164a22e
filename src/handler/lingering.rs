//! What remains of a drain while its notice still stands: the note on the Node that it has come to
//! its end, and the memory of which notice it was. Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::handler::draining::Draining;
use crate::handler::marking::{self, Marking};
use crate::handler::state::{Config, Step};
use crate::handler::world::{News, Order};
use crate::moment::Moment;
use crate::notice::NoticeId;
use crate::report::fact::Fact;

/// After a drain, while its notice still stands.
#[derive(Debug)]
pub struct Lingering {
    notice: NoticeId,
    over: bool,
    /// The note on the Node that the drain has come to its end, until when it is tried.
    note: Option<(Marking, Moment)>,
    at_rest: bool,
}

/// How long it is tried to note the end of a drain.
const NOTE_PATIENCE: Duration = Duration::from_secs(30);

impl Lingering {
    /// After this drain.
    pub fn after(now: Moment, draining: &Draining, config: &Config) -> Self {
        let marks = config.marks(draining.notice(), true);
        let note = (Marking::begin(now, marks), now + NOTE_PATIENCE);
        Self {
            notice: draining.notice(),
            over: draining.is_notice_over(),
            note: (!config.dry).then_some(note),
            at_rest: false,
        }
    }

    /// Nothing was drained.
    pub fn idle(notice: NoticeId) -> Self {
        Self { notice, over: false, note: None, at_rest: true }
    }

    /// For which notice.
    pub fn notice(&self) -> NoticeId {
        self.notice
    }

    /// It stands no more: the same words would be a new notice.
    pub fn notice_over(&mut self) {
        self.over = true;
    }

    /// Whether `notice` is the one that was drained for, and still stands.
    pub fn is_for(&self, notice: NoticeId) -> bool {
        !self.over && self.notice == notice
    }

    /// The next step.
    pub fn next(&mut self, now: Moment, free: usize, node: Option<&Arc<str>>) -> Step {
        let (Some((marking, until)), Some(node)) = (&mut self.note, node) else {
            return self.rest();
        };
        if now >= *until || marking.is_set() {
            self.note = None;
            return self.rest();
        }
        if free > 0
            && let Some(ask) = marking.next(now)
        {
            return Step::Do(ask.order(node));
        }
        let until = marking.wake().map_or(*until, |wake| wake.max(now).min(*until));
        Step::Wait(Some(until))
    }

    /// Something happened.
    pub fn observe(
        &mut self,
        now: Moment,
        news: News,
        jitter: &mut fastrand::Rng,
        todo: &mut VecDeque<Step>,
    ) {
        let (News::Node(answer), Some((marking, _))) = (news, &mut self.note) else { return };
        if let marking::Progress::Failing(why) = marking.observe(now, answer, jitter) {
            todo.push_back(Step::Tell(Fact::NotNoted(why)));
        }
    }

    fn rest(&mut self) -> Step {
        if std::mem::replace(&mut self.at_rest, true) {
            Step::Wait(None)
        } else {
            Step::Do(Order::Rest)
        }
    }
}

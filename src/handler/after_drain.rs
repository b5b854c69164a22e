//! What remains of a drain while its notice is still active: the note on the Node that it has come
//! to its end, and the memory of which notice it was. Pure.

use std::sync::Arc;
use std::time::Duration;

use crate::handler::config::Config;
use crate::handler::draining::Draining;
use crate::handler::marking::{self, Marking};
use crate::handler::step::Step;
use crate::handler::world::{News, Order};
use crate::moment::Moment;
use crate::notice::NoticeId;
use crate::report::fact::Fact;

/// After a drain, while its notice is still active.
#[derive(Debug)]
pub struct AfterDrain {
    notice: NoticeId,
    note: Option<Note>,
    disconnected: bool,
}

/// The note on the Node that the drain has come to its end.
#[derive(Debug)]
struct Note {
    marking: Marking,
    /// It is tried until then.
    until: Moment,
    /// Why it failed at first, if it did.
    failed: Option<String>,
}

/// How long it is tried to note the end of a drain.
const NOTE_PATIENCE: Duration = Duration::from_secs(30);

impl AfterDrain {
    /// After this drain.
    pub fn of(now: Moment, draining: &Draining, config: &Config) -> Self {
        let marks = config.marks(draining.notice(), true);
        let marking = Marking::begin(now, marks);
        let note = Note { marking, until: now + NOTE_PATIENCE, failed: None };
        // Pods that were never seen were not drained: a restart is to try again.
        let note = (draining.has_listed() && !config.dry).then_some(note);
        Self { notice: draining.notice(), note, disconnected: true }
    }

    /// Nothing was drained.
    pub fn idle(notice: NoticeId) -> Self {
        Self { notice, note: None, disconnected: true }
    }

    /// For which notice.
    pub fn notice(&self) -> NoticeId {
        self.notice
    }

    /// The next step.
    pub fn next(&mut self, now: Moment, free: usize, node: Option<&Arc<str>>) -> Step {
        let (Some(Note { marking, until, failed }), Some(node)) = (&mut self.note, node) else {
            return self.disconnect();
        };
        if marking.is_set() {
            self.note = None;
            return self.disconnect();
        }
        if now >= *until {
            let why = failed.take().unwrap_or_else(|| "no answer came".to_owned());
            self.note = None;
            return Step::Tell(Fact::NotNoted(why));
        }
        if free > 0
            && let Some(request) = marking.next(now)
        {
            self.disconnected = false;
            return Step::Do(request.order(node));
        }
        let wake = marking.wake().filter(|_| free > 0);
        Step::Wait(Some(wake.map_or(*until, |wake| wake.min(*until))))
    }

    /// Something happened.
    pub fn observe(&mut self, now: Moment, news: News, jitter: &mut fastrand::Rng) {
        let (News::Node(answer), Some(note)) = (news, &mut self.note) else { return };
        if let marking::Event::Failing(why) = note.marking.observe(now, answer, jitter) {
            note.failed = Some(why);
        }
    }

    fn disconnect(&mut self) -> Step {
        if std::mem::replace(&mut self.disconnected, true) {
            Step::Wait(None)
        } else {
            Step::Do(Order::Disconnect)
        }
    }
}

//! What the paths of the metadata service say, and what is made of it.

use std::time::Duration;

use crate::handler::entry::{Plan, is_newer, is_planned, outlives_its_notice};
use crate::handler::notices::{Change, Health};
use crate::handler::state::Handler;
use crate::intent::Effect;
use crate::moment::{Moment, Reading};
use crate::notice::{Notice, NoticeId, NoticePath, Polled};
use crate::report::fact::{Fact, Withdrawal};

/// A drain that was to begin so much later is not called off: it would begin again at once.
const SHORT_WHILE: Duration = Duration::from_mins(1);

impl Handler {
    /// A path was polled.
    pub(super) fn polled(&mut self, reading: Reading, polled: Polled) {
        let path = polled.path;
        let (status, good) = (polled.status, polled.outcome.is_ok());
        self.tell(Fact::Polled { path, status, good });
        let (health, changes) = self.notices.observe(reading, polled);
        match health {
            Some(Health::Failing(why)) => self.tell(Fact::MetadataFailing(path, why)),
            Some(Health::Recovered(failed)) => self.tell(Fact::MetadataRecovered(path, failed)),
            None => {}
        }
        if path == NoticePath::Maintenance {
            self.agenda.read_calendar(reading);
        }
        for change in changes {
            match change {
                Change::Appeared { notice, from_the_start } => {
                    let plan = self.agenda.appeared(reading, notice.clone(), from_the_start);
                    self.planned(reading, notice, plan, false);
                }
                Change::Updated(notice) => self.updated(reading, notice),
                Change::Withdrawn(id) => self.withdrawn(reading.now, id),
            }
        }
    }

    /// Says what is made of a notice. What is to be drained for now is spoken of when all that this
    /// answer says is known: of several, the one whose instance goes first is drained for.
    fn planned(&mut self, reading: Reading, notice: Notice, plan: Plan, moved: bool) {
        let Some(entry) = self.agenda.entry(&notice.id) else { return };
        let (intent, now) = (entry.intent, reading.now);
        let notice = Box::new(notice);
        match (plan, intent.effect) {
            (Plan::Nothing, _) => self.tell(Fact::DrainedBefore(notice.id)),
            (Plan::Later(from), _) => {
                let (basis, ahead) = (intent.basis, now.until(from));
                self.tell(Fact::NoticeScheduled { notice, basis, ahead, moved });
            }
            (Plan::Now, Effect::Mark) => {}
            (Plan::Now, Effect::Drain(limit)) => {
                let drained = self.draining.as_ref().filter(|drain| !drain.is_called_off());
                if drained
                    .and_then(|drain| drain.item())
                    .is_some_and(|item| replaces(&notice.id, &item.id))
                {
                    let entry = entry.clone();
                    self.take_over(now, &entry, limit);
                }
            }
        }
    }

    fn updated(&mut self, reading: Reading, notice: Notice) {
        let before = self.agenda.entry(&notice.id).map(|entry| entry.notice.when);
        let is_drained_for = self.is_draining_for(&notice.id);
        let plan = self.agenda.updated(reading, notice.clone());
        let Some(entry) = self.agenda.entry(&notice.id) else { return };
        let (basis, end) = (entry.intent.basis, entry.intent.effect.end());
        let is_another = notice.id == NoticeId::Rebalance
            && before.is_some_and(|before| is_newer(before, notice.when));
        if is_another
            && self.draining.is_none()
            && self.agenda.is_marked_for(reading.now, &notice.id)
        {
            // Whoever has taken its marks off did not know of this one.
            self.marker.renew(reading.now);
        }
        if !is_drained_for {
            if is_planned(&notice.id) && before != Some(notice.when) {
                self.planned(reading, notice, plan, true);
            }
            return;
        }
        let Some(draining) = &mut self.draining else { return };
        if let Plan::Later(from) = plan
            && reading.now.until(from) > SHORT_WHILE
        {
            draining.call_off(reading.now);
            self.planned(reading, notice, plan, true);
        } else if let Some(end) = end
            && draining.has_deadline()
            && draining.pull_in(end)
        {
            let left = reading.now.until(end);
            self.tell(Fact::DeadlineMoved { basis, left });
        }
    }

    pub(super) fn is_draining_for(&self, id: &NoticeId) -> bool {
        self.draining
            .as_ref()
            .is_some_and(|draining| draining.item().is_some_and(|item| item.id == *id))
    }

    fn withdrawn(&mut self, now: Moment, id: NoticeId) {
        let is_drained_for = self.is_draining_for(&id);
        let stood = self.agenda.entry(&id).is_some() || self.agenda.memory().marked() == Some(&id);
        let goes_on = is_drained_for && outlives_its_notice(&id);
        if is_drained_for
            && !goes_on
            && let Some(draining) = &mut self.draining
        {
            draining.call_off(now);
        }
        self.agenda.withdrawn(now, &id, goes_on);
        let withdrawal = match (is_drained_for, goes_on) {
            (false, _) => Withdrawal::Quiet,
            (true, true) => Withdrawal::DrainGoesOn,
            (true, false) => Withdrawal::DrainCalledOff,
        };
        // Of an interruption whose action has changed, the other one is spoken of.
        let is_replaced = self.agenda.stands_otherwise(&id);
        if withdrawal == Withdrawal::DrainCalledOff || stood && !is_replaced {
            self.tell(Fact::NoticeWithdrawn(id, withdrawal));
        }
    }
}

/// Whether this notice stands in the place of the other: an interruption has one action, which may
/// change.
fn replaces(id: &NoticeId, other: &NoticeId) -> bool {
    id != other && matches!((id, other), (NoticeId::Interruption(_), NoticeId::Interruption(_)))
}

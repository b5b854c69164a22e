//! What the operator's settings make of a notice: marks, or marks and a drain; from when, and by
//! when. Pure.

use std::time::Duration;

use crate::moment::{Moment, Reading, WallTime};
use crate::notice::{Action, Code, Notice, NoticeId, When};

/// What the operator wants done about notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whatever the notice, the node is marked only.
    pub marks_only: bool,
    /// How long before planned maintenance the drain begins.
    pub lead_times: LeadTimes,
    /// What a rebalance recommendation leads to.
    pub rebalance: Rebalance,
    /// How long the marks for a rebalance recommendation stay, unless something else follows.
    pub rebalance_marks: Duration,
}

/// What a rebalance recommendation leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebalance {
    /// Marks only.
    Mark,
    /// Marks and a drain that ends after so long at the latest. Nobody dies in it: it has no
    /// deadline, and budgets are not overridden.
    Drain {
        /// How long it is tried.
        patience: Duration,
    },
}

/// How long before planned maintenance the drain begins, for each code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeadTimes {
    /// `instance-reboot`.
    pub instance_reboot: Duration,
    /// `system-reboot`.
    pub system_reboot: Duration,
    /// `system-maintenance`.
    pub system_maintenance: Duration,
    /// `instance-retirement`.
    pub instance_retirement: Duration,
    /// `instance-stop`.
    pub instance_stop: Duration,
}

impl LeadTimes {
    /// The one for this code.
    pub fn of(&self, code: Code) -> Duration {
        match code {
            Code::InstanceReboot => self.instance_reboot,
            Code::SystemReboot => self.system_reboot,
            Code::SystemMaintenance => self.system_maintenance,
            Code::InstanceRetirement => self.instance_retirement,
            Code::InstanceStop => self.instance_stop,
        }
    }
}

/// What is made of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    /// When it begins.
    pub from: Moment,
    /// What is done then.
    pub effect: Effect,
    /// When the marks end by themselves, if they do.
    pub marks_until: Option<Moment>,
    /// What the times come from.
    pub basis: Basis,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The node is marked, and its pods are left alone.
    Mark,
    /// The node is marked and drained.
    Drain(Limit),
}

impl Effect {
    /// Of two drains the lesser one goes first; see [`Limit::urgency`].
    pub fn urgency(self) -> Option<(u8, Moment)> {
        match self {
            Self::Drain(limit) => Some(limit.urgency()),
            Self::Mark => None,
        }
    }

    /// When a drain is over, come what may; `None`: there is none.
    pub fn end(self) -> Option<Moment> {
        match self {
            Self::Drain(limit) => Some(limit.end()),
            Self::Mark => None,
        }
    }
}

/// What limits a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The instance goes then.
    Deadline(Moment),
    /// The instance is going already: everybody is asked at once, with the least grace, until then
    /// at the latest.
    AtOnce(Moment),
    /// Nothing happens to the instance; then it is given up.
    Patience(Moment),
}

impl Limit {
    /// Of two limits the lesser one counts: what happens already before what has a deadline, that
    /// before patience, and of two of a kind the earlier.
    pub fn urgency(self) -> (u8, Moment) {
        let rank = match self {
            Self::AtOnce(_) => 0,
            Self::Deadline(_) => 1,
            Self::Patience(_) => 2,
        };
        (rank, self.end())
    }

    /// Whether the instance goes.
    pub fn has_deadline(self) -> bool {
        !matches!(self, Self::Patience(_))
    }

    /// The same kind of limit, with this end.
    #[must_use]
    pub fn with_end(self, end: Moment) -> Self {
        match self {
            Self::AtOnce(_) => Self::AtOnce(end),
            Self::Deadline(_) => Self::Deadline(end),
            Self::Patience(_) => Self::Patience(end),
        }
    }

    /// When the drain is over, come what may.
    pub fn end(self) -> Moment {
        match self {
            Self::Deadline(end) | Self::AtOnce(end) | Self::Patience(end) => end,
        }
    }
}

/// What the times of an intent were taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The time that the notice states.
    Stated(WallTime),
    /// The notice states a time that is over: the cloud's usual window, from now.
    Over(WallTime, Duration),
    /// The notice states a time too far ahead to be true: the usual window, from now.
    TooFar(WallTime, Duration),
    /// The notice states no time that can be read: the usual window, from now.
    Unstated(Duration),
    /// It begins with the notice, whatever time that states.
    AtOnce,
    /// The notice has no deadline.
    NoDeadline,
    /// The notice does not tell, and an earlier process assumed this.
    Remembered,
}

/// EC2 gives an interruption two minutes. A time beyond this is a clock or a text gone wrong, and
/// to believe it would keep pods on the node until it is cut off.
const FARTHEST: Duration = Duration::from_secs(150);

/// With less than this nobody can be asked anything: such a time counts as over.
pub const NEAREST: Duration = Duration::from_secs(1);

impl Intent {
    /// What is made of `notice`, first read at `reading`.
    pub fn of(notice: &Notice, reading: Reading, policy: &Policy) -> Self {
        let intent = match &notice.id {
            NoticeId::Interruption(Action::Hibernate) => hibernation(notice, reading),
            NoticeId::Interruption(_) => by(deadline(notice, reading, Some(FARTHEST)), reading),
            NoticeId::Lifecycle(_) => by(deadline(notice, reading, None), reading),
            NoticeId::Maintenance(event) => {
                let lead_time = policy.lead_times.of(event.code);
                let intent = by(deadline(notice, reading, None), reading);
                match (intent.basis, intent.effect.end()) {
                    (Basis::Stated(_), Some(deadline)) => {
                        Self { from: (deadline - lead_time).max(reading.now), ..intent }
                    }
                    // It may come at any moment.
                    _ => intent,
                }
            }
            NoticeId::Rebalance => rebalance(reading, policy),
        };
        if policy.marks_only { Self { effect: Effect::Mark, ..intent } } else { intent }
    }
}

fn by((deadline, basis): (Moment, Basis), reading: Reading) -> Intent {
    let effect = Effect::Drain(Limit::Deadline(deadline));
    Intent { from: reading.now, effect, marks_until: None, basis }
}

/// When the instance goes; no farther ahead than `farthest`.
fn deadline(notice: &Notice, reading: Reading, farthest: Option<Duration>) -> (Moment, Basis) {
    let (now, window) = (reading.now, notice.window);
    match notice.when {
        When::Unstated => (now + window, Basis::Unstated(window)),
        When::At(time) => match reading.moment_of(time) {
            Some(deadline) if farthest.is_some_and(|farthest| now.until(deadline) > farthest) => {
                // Whatever is wrong with the time, the instance stays no longer than it says.
                let window = window.min(now.until(deadline));
                (now + window, Basis::TooFar(time, window))
            }
            Some(deadline) if now.until(deadline) >= NEAREST => (deadline, Basis::Stated(time)),
            Some(_) | None => (now + window, Basis::Over(time, window)),
        },
    }
}

/// Hibernation begins with its notice. How long the machine goes on is not known: it is asked until
/// the time that the notice states.
fn hibernation(notice: &Notice, reading: Reading) -> Intent {
    let (end, _) = deadline(notice, reading, Some(FARTHEST));
    let effect = Effect::Drain(Limit::AtOnce(end));
    Intent { from: reading.now, effect, marks_until: None, basis: Basis::AtOnce }
}

fn rebalance(reading: Reading, policy: &Policy) -> Intent {
    let now = reading.now;
    let effect = match policy.rebalance {
        Rebalance::Mark => Effect::Mark,
        Rebalance::Drain { patience } => Effect::Drain(Limit::Patience(now + patience)),
    };
    let marks_until = Some(now + policy.rebalance_marks);
    Intent { from: now, effect, marks_until, basis: Basis::NoDeadline }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::notice::Event;

    const WINDOW: Duration = Duration::from_mins(2);
    const HOUR: Duration = Duration::from_hours(1);
    const INTERRUPTION: NoticeId = NoticeId::Interruption(Action::Terminate);

    fn policy() -> Policy {
        Policy {
            marks_only: false,
            lead_times: LeadTimes {
                instance_reboot: Duration::from_mins(1),
                system_reboot: Duration::from_mins(2),
                system_maintenance: Duration::from_mins(3),
                instance_retirement: Duration::from_mins(4),
                instance_stop: Duration::from_mins(5),
            },
            rebalance: Rebalance::Mark,
            rebalance_marks: HOUR,
        }
    }

    /// What is made of a notice that is read at 09:00, a thousand seconds after the start.
    fn made(id: NoticeId, when: &str, policy: &Policy) -> Intent {
        let when = WallTime::parse(when).map_or(When::Unstated, When::At);
        let notice = Notice { id, when, until: None, window: WINDOW, wording: String::new() };
        let wall = WallTime::parse("2026-11-23T09:00:00Z").unwrap();
        Intent::of(&notice, Reading { now: at(1000), wall }, policy)
    }

    fn intent(id: NoticeId, when: &str) -> Intent {
        made(id, when, &policy())
    }

    fn maintenance(code: Code) -> NoticeId {
        NoticeId::Maintenance(Event { code, id: Arc::from("event"), nth: 0 })
    }

    fn at(seconds: u64) -> Moment {
        Moment::at(Duration::from_secs(seconds))
    }

    fn deadline(seconds: u64) -> Effect {
        Effect::Drain(Limit::Deadline(at(seconds)))
    }

    #[test]
    fn a_stated_time_is_the_deadline() {
        for (when, second) in [
            ("2026-11-23T09:01:40Z", 1100),
            ("2026-11-23T09:02:30Z", 1150),
            ("2026-11-23T09:00:01Z", 1001),
        ] {
            let intent = intent(INTERRUPTION, when);
            assert_eq!((intent.effect, intent.from), (deadline(second), at(1000)), "{when}");
            assert!(matches!(intent.basis, Basis::Stated(_)), "{when}");
        }
    }

    #[test]
    fn a_time_that_cannot_be_true_starts_the_usual_window() {
        for when in
            ["2026-11-23T08:59:59Z", "2026-11-23T09:00:00.9Z", "2026-11-23T09:02:31Z", "soon"]
        {
            let intent = intent(INTERRUPTION, when);
            assert_eq!(intent.effect, deadline(1120), "{when}");
            assert!(!matches!(intent.basis, Basis::Stated(_)), "{when}");
        }
    }

    #[test]
    fn hibernation_begins_with_its_notice() {
        let hibernate = NoticeId::Interruption(Action::Hibernate);
        for (when, end) in [("2026-11-23T09:01:40Z", 1100), ("soon", 1120)] {
            let intent = intent(hibernate.clone(), when);
            assert_eq!(intent.effect, Effect::Drain(Limit::AtOnce(at(end))));
            assert_eq!(intent.basis, Basis::AtOnce);
        }
    }

    #[test]
    fn maintenance_is_begun_with_a_lead_time_before_it() {
        for (code, lead_time) in Code::ALL.into_iter().zip([60, 120, 180, 240, 300]) {
            let intent = intent(maintenance(code), "2026-11-23T10:00:00Z");
            assert_eq!((intent.from, intent.effect), (at(4600 - lead_time), deadline(4600)));
            assert_eq!(intent.marks_until, None);
        }
    }

    #[test]
    fn maintenance_that_is_near_over_or_without_a_time_is_begun_with_at_once() {
        for (when, end) in
            [("2026-11-23T09:00:30Z", 1030), ("2026-11-22T09:00:00Z", 1120), ("", 1120)]
        {
            let intent = intent(maintenance(Code::InstanceStop), when);
            assert_eq!((intent.from, intent.effect), (at(1000), deadline(end)), "{when}");
        }
    }

    #[test]
    fn the_life_cycle_has_the_time_of_its_hook() {
        let intent = intent(NoticeId::Lifecycle(Action::Terminate), "");
        assert_eq!(intent.effect, deadline(1120));
        assert_eq!(intent.basis, Basis::Unstated(WINDOW));
    }

    #[test]
    fn a_recommendation_has_no_deadline_and_its_marks_an_end() {
        let marks = intent(NoticeId::Rebalance, "2026-11-23T08:00:00Z");
        assert_eq!((marks.effect, marks.basis), (Effect::Mark, Basis::NoDeadline));
        assert_eq!((marks.from, marks.marks_until), (at(1000), Some(at(4600))));
        let patience = Duration::from_secs(50);
        let drains = Policy { rebalance: Rebalance::Drain { patience }, ..policy() };
        let drains = made(NoticeId::Rebalance, "", &drains);
        assert_eq!(drains.effect, Effect::Drain(Limit::Patience(at(1050))));
        assert_eq!(drains.marks_until, Some(at(4600)));
    }

    #[test]
    fn marks_only_whatever_the_notice() {
        let marks_only = Policy { marks_only: true, ..policy() };
        let soon = maintenance(Code::SystemReboot);
        for id in [INTERRUPTION, NoticeId::Rebalance, NoticeId::Lifecycle(Action::Stop), soon] {
            let intent = made(id.clone(), "2026-11-23T09:05:00Z", &marks_only);
            assert_eq!(intent.effect, Effect::Mark, "{id}");
        }
        let later = made(maintenance(Code::SystemReboot), "2026-11-23T10:00:00Z", &marks_only);
        assert_eq!(later.from, at(4480));
    }

    #[test]
    fn a_deadline_counts_before_patience_and_the_earlier_of_two() {
        let early = Limit::Patience(at(1));
        assert!(Limit::Deadline(at(2)).urgency() < early.urgency());
        assert!(Limit::AtOnce(at(3)).urgency() < Limit::Deadline(at(2)).urgency());
        assert!(early.urgency() < Limit::Patience(at(2)).urgency());
    }
}

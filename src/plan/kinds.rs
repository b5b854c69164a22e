//! What each kind of notice means: one table with a row per kind. What is done about a notice is decided here; which
//! path states which kind stands in `source/`, how a notice is written in `notice.rs` and `node/state.rs`, how it is
//! named in `report/`.

use std::time::Duration;

use crate::drain::limit::Limit;
use crate::moment::{Moment, Reading, WallTime};
use crate::node::marks::MarkSet;
use crate::node::{MarkPolicy, RebalanceMark, Taint, TaintEffect};
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
    /// Marks and a drain without a deadline: no grace is cut, and no budget overridden.
    Drain {
        /// When the drain is given up.
        timeout: Duration,
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

#[cfg(test)]
impl LeadTimes {
    /// The same for every code.
    pub(crate) fn all(lead: Duration) -> Self {
        Self {
            instance_reboot: lead,
            system_reboot: lead,
            system_maintenance: lead,
            instance_retirement: lead,
            instance_stop: lead,
        }
    }
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

/// A row of the table.
#[expect(clippy::struct_excessive_bools, reason = "columns of a table")]
#[derive(Debug)]
pub struct Traits {
    /// Of several notices the marks are for the one with the lowest: 0 is the most certain to come.
    pub uncertainty: u8,
    limit: Ends,
    /// A stated time farther ahead than this is not believed; `None`: any is.
    farthest: Option<Duration>,
    /// It is known long before its time: it begins a lead time before, its time may move either way until then,
    /// and a later time makes it stand anew.
    pub planned: bool,
    /// The metadata service may lose it while the instance goes: its drain goes on without it, and its marks stay
    /// for [`LINGERS`](crate::plan::memory::LINGERS).
    pub lingers: bool,
    /// The instance has one of these at a time: another one takes its place, whatever its time.
    pub exclusive: bool,
    /// It is issued again with a later time, and is another one then.
    pub reissued: bool,
    /// What a boot of the machine says about it.
    pub after_boot: AfterBoot,
    /// Its marks end by themselves ([`Policy::rebalance_marks`]).
    marks_end: bool,
    /// Where it only marks the node, its pods go on serving: load balancers keep the node, and a soft taint may
    /// take the place of the cordon ([`RebalanceMark`]).
    mild: bool,
}

/// What limits the drain for a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// The instance goes at the stated time.
    Deadline,
    /// It is going already.
    AtOnce,
    /// Nothing happens to it; [`Policy::rebalance`] says what is done.
    ByPolicy,
}

/// Whether a notice that the annotation knows from an earlier boot is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterBoot {
    /// Never: the notice is for the instance, and what is known of it holds in every boot.
    SameInstance,
    /// If it states a time, and that is over.
    OverInTime,
    /// Whatever its time: the boot is what it announced.
    OverOnceBegun,
}

/// EC2 gives an interruption two minutes. A time beyond this is a clock or a text gone wrong, and to believe it
/// would keep pods on the node until it is cut off.
const FARTHEST: Duration = Duration::from_secs(150);

/// With less than this no pod can be asked anything: such a time counts as over.
pub const NEAREST: Duration = Duration::from_secs(1);

const INTERRUPTION: Traits = Traits {
    uncertainty: 0,
    limit: Ends::Deadline,
    farthest: Some(FARTHEST),
    planned: false,
    lingers: true,
    exclusive: true,
    reissued: false,
    after_boot: AfterBoot::OverInTime,
    marks_end: false,
    mild: false,
};

/// Hibernation begins with its notice (EC2 user guide): when that is gone, the machine is back.
const HIBERNATION: Traits = Traits { limit: Ends::AtOnce, lingers: false, ..INTERRUPTION };

const LIFECYCLE: Traits =
    Traits { uncertainty: 1, lingers: false, exclusive: false, ..INTERRUPTION };

const MAINTENANCE: Traits = Traits {
    uncertainty: 2,
    farthest: None,
    planned: true,
    lingers: false,
    exclusive: false,
    ..INTERRUPTION
};

/// Maintenance that starts the machine anew.
const REBOOT: Traits = Traits { after_boot: AfterBoot::OverOnceBegun, ..MAINTENANCE };

const REBALANCE: Traits = Traits {
    uncertainty: 3,
    limit: Ends::ByPolicy,
    lingers: false,
    exclusive: false,
    reissued: true,
    after_boot: AfterBoot::SameInstance,
    marks_end: true,
    mild: true,
    ..INTERRUPTION
};

/// The row of this notice.
pub fn traits(id: &NoticeId) -> &'static Traits {
    match id {
        NoticeId::Interruption(Action::Terminate | Action::Stop) => &INTERRUPTION,
        NoticeId::Interruption(Action::Hibernate) => &HIBERNATION,
        NoticeId::Lifecycle(_) => &LIFECYCLE,
        NoticeId::Maintenance(event) if event.code.ends_with_reboot() => &REBOOT,
        NoticeId::Maintenance(_) => &MAINTENANCE,
        NoticeId::Rebalance => &REBALANCE,
    }
}

/// When a notice is acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From when on.
    pub begins: Moment,
    /// What limits the drain; `None`: the node is only marked.
    pub limit: Option<Limit>,
    /// When the marks end by themselves, if they do.
    pub marks_until: Option<Moment>,
    /// Where the times come from.
    pub basis: Basis,
}

/// Where the times of a [`Schedule`] come from.
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

impl Schedule {
    /// That of `notice`, first read at `reading`.
    pub fn of(notice: &Notice, reading: Reading, policy: &Policy) -> Self {
        let (traits, now) = (traits(&notice.id), reading.now);
        let (end, basis) = end(notice, reading, traits.farthest);
        let (limit, basis) = match traits.limit {
            Ends::Deadline => (Some(Limit::Deadline(end)), basis),
            Ends::AtOnce => (Some(Limit::AtOnce { since: now, until: end }), Basis::AtOnce),
            Ends::ByPolicy => match policy.rebalance {
                Rebalance::Mark => (None, Basis::NoDeadline),
                Rebalance::Drain { timeout } => {
                    (Some(Limit::Timeout(now + timeout)), Basis::NoDeadline)
                }
            },
        };
        let begins = match (&notice.id, basis) {
            (NoticeId::Maintenance(event), Basis::Stated(_)) => {
                (end - policy.lead_times.of(event.code)).max(now)
            }
            _ => now,
        };
        Self {
            begins,
            limit: limit.filter(|_| !policy.marks_only),
            marks_until: traits.marks_end.then(|| now + policy.rebalance_marks),
            basis,
        }
    }
}

/// When the cloud acts, and where that comes from.
fn end(notice: &Notice, reading: Reading, farthest: Option<Duration>) -> (Moment, Basis) {
    let (now, window) = (reading.now, notice.window);
    let When::At(time) = notice.when else { return (now + window, Basis::Unstated(window)) };
    match reading.moment_of(time) {
        Some(end) if farthest.is_some_and(|farthest| now.until(end) > farthest) => {
            // Whatever is wrong with the time, the instance stays no longer than it says.
            let window = window.min(now.until(end));
            (now + window, Basis::TooFar(time, window))
        }
        Some(end) if now.until(end) >= NEAREST => (end, Basis::Stated(time)),
        Some(_) | None => (now + window, Basis::Over(time, window)),
    }
}

/// The marks for a notice whose drain has this limit.
pub fn mark_set(notice: &NoticeId, limit: Option<Limit>, policy: MarkPolicy) -> MarkSet {
    let is_mild = limit.is_none() && traits(notice).mild;
    let (cordon, taint) = match policy.rebalance_mark {
        RebalanceMark::SoftTaint if is_mild => (false, Some(TaintEffect::PreferNoSchedule)),
        RebalanceMark::SoftTaint | RebalanceMark::Cordon => (true, policy.taint),
    };
    // Where the instance stays, the taint ends no pod.
    let goes = limit.is_some_and(Limit::instance_goes);
    let taint = taint.map(|effect| match effect {
        TaintEffect::NoExecute if !goes => TaintEffect::NoSchedule,
        other => other,
    });
    MarkSet {
        cordon,
        taint: taint.map(|effect| Taint::of(notice, effect)),
        exclusion: policy.exclude_from_load_balancers && !is_mild,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::notice::Event;

    const STOP: NoticeId = NoticeId::Interruption(Action::Stop);
    const DRAIN: Option<Limit> = Some(Limit::Deadline(Moment::START));
    const TIMEOUT: Option<Limit> = Some(Limit::Timeout(Moment::START));
    const MARKS: MarkPolicy = MarkPolicy {
        taint: Some(TaintEffect::NoSchedule),
        exclude_from_load_balancers: true,
        rebalance_mark: RebalanceMark::Cordon,
    };
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
    fn made(id: NoticeId, when: &str, policy: &Policy) -> Schedule {
        let when = WallTime::parse(when).map_or(When::Unstated, When::At);
        let notice = Notice { id, when, until: None, window: WINDOW, wording: String::new() };
        let wall = WallTime::parse("2026-11-23T09:00:00Z").unwrap();
        Schedule::of(&notice, Reading { now: at(1000), wall }, policy)
    }

    fn schedule(id: NoticeId, when: &str) -> Schedule {
        made(id, when, &policy())
    }

    fn maintenance(code: Code) -> NoticeId {
        NoticeId::Maintenance(Event { code, id: Arc::from("event"), nth: 0 })
    }

    fn at(seconds: u64) -> Moment {
        Moment::at(Duration::from_secs(seconds))
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is compared with the limit of a schedule")]
    fn deadline(seconds: u64) -> Option<Limit> {
        Some(Limit::Deadline(at(seconds)))
    }

    #[test]
    fn a_stated_time_is_the_deadline() {
        for (when, second) in [
            ("2026-11-23T09:01:40Z", 1100),
            ("2026-11-23T09:02:30Z", 1150),
            ("2026-11-23T09:00:01Z", 1001),
        ] {
            let schedule = schedule(INTERRUPTION, when);
            assert_eq!((schedule.limit, schedule.begins), (deadline(second), at(1000)), "{when}");
            assert!(matches!(schedule.basis, Basis::Stated(_)), "{when}");
        }
    }

    #[test]
    fn a_time_that_cannot_be_true_starts_the_usual_window() {
        for when in
            ["2026-11-23T08:59:59Z", "2026-11-23T09:00:00.9Z", "2026-11-23T09:02:31Z", "soon"]
        {
            let schedule = schedule(INTERRUPTION, when);
            assert_eq!(schedule.limit, deadline(1120), "{when}");
            assert!(!matches!(schedule.basis, Basis::Stated(_)), "{when}");
        }
    }

    #[test]
    fn hibernation_begins_with_its_notice() {
        let hibernate = NoticeId::Interruption(Action::Hibernate);
        for (when, end) in
            [("2026-11-23T09:01:40Z", 1100), ("2026-11-23T09:10:00Z", 1120), ("soon", 1120)]
        {
            let schedule = schedule(hibernate.clone(), when);
            assert_eq!(schedule.limit, Some(Limit::AtOnce { since: at(1000), until: at(end) }));
            assert_eq!(schedule.basis, Basis::AtOnce);
        }
    }

    #[test]
    fn maintenance_is_begun_with_a_lead_time_before_it() {
        for (code, lead_time) in Code::ALL.into_iter().zip([60, 120, 180, 240, 300]) {
            let schedule = schedule(maintenance(code), "2026-11-23T10:00:00Z");
            assert_eq!((schedule.begins, schedule.limit), (at(4600 - lead_time), deadline(4600)));
            assert_eq!(schedule.marks_until, None);
        }
    }

    #[test]
    fn maintenance_that_is_near_over_or_without_a_time_is_begun_with_at_once() {
        for (when, end) in
            [("2026-11-23T09:00:30Z", 1030), ("2026-11-22T09:00:00Z", 1120), ("", 1120)]
        {
            let schedule = schedule(maintenance(Code::InstanceStop), when);
            assert_eq!((schedule.begins, schedule.limit), (at(1000), deadline(end)), "{when}");
        }
    }

    #[test]
    fn the_life_cycle_has_the_time_of_its_hook() {
        let schedule = schedule(NoticeId::Lifecycle(Action::Terminate), "");
        assert_eq!(schedule.limit, deadline(1120));
        assert_eq!(schedule.basis, Basis::Unstated(WINDOW));
    }

    #[test]
    fn a_recommendation_has_no_deadline_and_its_marks_an_end() {
        let marks = schedule(NoticeId::Rebalance, "2026-11-23T08:00:00Z");
        assert_eq!((marks.limit, marks.basis), (None, Basis::NoDeadline));
        assert_eq!((marks.begins, marks.marks_until), (at(1000), Some(at(4600))));
        let timeout = Duration::from_secs(50);
        let drains = Policy { rebalance: Rebalance::Drain { timeout }, ..policy() };
        let drains = made(NoticeId::Rebalance, "", &drains);
        assert_eq!(drains.limit, Some(Limit::Timeout(at(1050))));
        assert_eq!(drains.marks_until, Some(at(4600)));
    }

    #[test]
    fn marks_only_whatever_the_notice() {
        let marks_only = Policy { marks_only: true, ..policy() };
        let soon = maintenance(Code::SystemReboot);
        for id in [INTERRUPTION, NoticeId::Rebalance, NoticeId::Lifecycle(Action::Stop), soon] {
            let schedule = made(id.clone(), "2026-11-23T09:05:00Z", &marks_only);
            assert_eq!(schedule.limit, None, "{id}");
        }
        let later = made(maintenance(Code::SystemReboot), "2026-11-23T10:00:00Z", &marks_only);
        assert_eq!(later.begins, at(4480));
    }

    #[test]
    fn a_recommendation_ends_nobody_and_leaves_load_balancers_alone() {
        let ends = MarkPolicy { taint: Some(TaintEffect::NoExecute), ..MARKS };
        let set = mark_set(&NoticeId::Rebalance, None, ends);
        let taint = Taint::of(&NoticeId::Rebalance, TaintEffect::NoSchedule);
        assert_eq!(set, MarkSet { cordon: true, taint: Some(taint), exclusion: false });
        let soft = MarkPolicy { rebalance_mark: RebalanceMark::SoftTaint, ..ends };
        let taint = Taint::of(&NoticeId::Rebalance, TaintEffect::PreferNoSchedule);
        let set = mark_set(&NoticeId::Rebalance, None, soft);
        assert_eq!(set, MarkSet { cordon: false, taint: Some(taint), exclusion: false });
        // A drain for it is a drain, and an interruption is no recommendation.
        let drained = mark_set(&NoticeId::Rebalance, TIMEOUT, soft);
        assert!(drained.cordon && drained.exclusion);
        assert!(mark_set(&STOP, None, soft).cordon);
        // Only a taint for an instance that goes may end pods.
        let effect = |limit| mark_set(&STOP, limit, ends).taint.unwrap().effect;
        assert_eq!([DRAIN, TIMEOUT, None].map(effect), ["NoExecute", "NoSchedule", "NoSchedule"]);
    }
}

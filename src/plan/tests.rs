//! What rows of the table, and what an earlier process left, make of a notice: one plan after the other.

use std::sync::Arc;
use std::time::Duration;

use crate::moment::{Moment, Reading, WallTime};
use crate::node::state::{Known, Occurrence, Progress, Remembered, State};
use crate::node::{MarkPolicy, Node, RebalanceMark};
use crate::notice::{Action, Code, Event, Notice, NoticeId, NoticePath, PathAnswer, Polled, When};
use crate::plan::kinds::{LeadTimes, Policy, Rebalance};
use crate::plan::memory::Done;
use crate::plan::observed::{DrainStatus, Observed};
use crate::plan::{Boot, Plan, PlanConfig, plan};

const TERMINATE: NoticeId = NoticeId::Interruption(Action::Terminate);
const HIBERNATE: NoticeId = NoticeId::Interruption(Action::Hibernate);
const STOP: NoticeId = NoticeId::Interruption(Action::Stop);
const BOOT: &str = "boot-1";
/// So many seconds after the start the tests begin, at 09:00.
const BEGIN: u64 = 1000;
const OVER: &str = "2026-11-23T08:59:00Z";
const AHEAD: &str = "2026-11-23T09:01:00Z";

/// What is observed and planned, second by second.
struct Course {
    seen: Observed,
    plan: Plan,
    config: PlanConfig,
    second: u64,
}

impl Course {
    fn new(paths: &[NoticePath]) -> Self {
        let lead = Duration::from_mins(10);
        let policy = Policy {
            marks_only: false,
            lead_times: LeadTimes::all(lead),
            rebalance: Rebalance::Mark,
            rebalance_marks: Duration::from_hours(1),
        };
        let marks = MarkPolicy {
            taint: None,
            exclude_from_load_balancers: false,
            rebalance_mark: RebalanceMark::Cordon,
        };
        let boot = Boot { id: BOOT.to_owned(), began: None };
        let config = PlanConfig { policy, marks, boot };
        Self { seen: Observed::new(paths), plan: Plan::default(), config, second: 0 }
    }

    /// The Node is read: that boot has left marks for this notice, and knows these.
    fn left(mut self, boot: &str, marked: &NoticeId, known: &[(&Notice, Progress)]) -> Self {
        let mut state = State::new(boot.to_owned());
        (state.notice, state.cordoned) = (Some(marked.to_string()), true);
        let known = known.iter().map(|(notice, progress)| Known {
            notice: Occurrence::of(notice).as_str().to_owned(),
            progress: *progress,
            end: None,
            marks_until: None,
            made: None,
        });
        state.notices = known.collect();
        let state = Remembered::State(state);
        self.seen.node = Some(Box::new(Node { unschedulable: true, state, ..Node::bare() }));
        self
    }

    /// A second later the path says this.
    fn answers(&mut self, path: NoticePath, standing: &[&Notice]) {
        self.second += 1;
        let wall = WallTime::parse("2026-11-23T09:00:00Z").unwrap();
        let wall = wall + Duration::from_secs(self.second);
        let reading = Reading { now: at(BEGIN + self.second), wall };
        let standing = standing.iter().map(|notice| (*notice).clone()).collect();
        let outcome = Ok(PathAnswer { standing, over: Vec::new() });
        self.seen.polled(reading, Polled { path, status: None, outcome });
        self.plan = plan(&self.seen, &self.plan, &self.config, reading);
        self.seen.drain = self.plan.drain.as_ref().map(|_| DrainStatus {
            ended: false,
            listed: true,
            asked: true,
        });
    }

    fn done(&self, id: &NoticeId) -> Done {
        self.plan.memory.record(id).unwrap().done
    }
}

fn notice(id: NoticeId, when: &str) -> Notice {
    let when = WallTime::parse(when).map_or(When::Unstated, When::At);
    Notice { id, when, until: None, window: Duration::from_mins(2), wording: String::new() }
}

fn maintenance(code: Code) -> NoticeId {
    NoticeId::Maintenance(Event { code, id: Arc::from("event"), nth: 0 })
}

fn at(seconds: u64) -> Moment {
    Moment::at(Duration::from_secs(seconds))
}

#[test]
fn what_an_earlier_boot_had_drained_for_is_over_in_its_time_or_with_the_boot() {
    let drained = Done::Drained { noted: true, drain: None };
    let (stop, reboot) = (maintenance(Code::InstanceStop), maintenance(Code::SystemReboot));
    let (interruption, lifecycle) =
        (NoticePath::InstanceAction, NoticeId::Lifecycle(Action::Terminate));
    for (path, id, when, expected) in [
        (interruption, TERMINATE, OVER, Done::Over),
        (interruption, TERMINATE, AHEAD, Done::No),
        (interruption, HIBERNATE, OVER, Done::Over),
        (interruption, HIBERNATE, AHEAD, Done::No),
        (NoticePath::Lifecycle, lifecycle, "", Done::No),
        (NoticePath::Maintenance, stop.clone(), OVER, Done::Over),
        (NoticePath::Maintenance, stop, AHEAD, Done::No),
        (NoticePath::Maintenance, reboot.clone(), OVER, Done::Over),
        (NoticePath::Maintenance, reboot, AHEAD, Done::Over),
        (NoticePath::Rebalance, NoticeId::Rebalance, OVER, drained),
    ] {
        let notice = notice(id.clone(), when);
        let known = [(&notice, Progress::Drained)];
        let mut course = Course::new(&[path]).left("boot-0", &id, &known);
        course.answers(path, &[&notice]);
        assert_eq!(course.done(&id), expected, "{id} {when}");
    }
}

#[test]
fn a_drain_goes_on_without_its_notice_though_another_interruption_stands() {
    let (url, action) = (NoticePath::NoticeUrl, NoticePath::InstanceAction);
    let (stop, terminate) = (notice(STOP, AHEAD), notice(TERMINATE, AHEAD));
    let mut course = Course::new(&[url, action]);
    course.answers(url, &[&stop]);
    course.answers(action, &[&terminate]);
    for _ in 0..5 {
        course.answers(action, &[]);
    }
    let drain = course.plan.drain.unwrap();
    assert!(drain.drain == 1 && drain.serves(&TERMINATE));
}

#[test]
fn marks_stay_when_another_notice_of_the_same_annotation_is_withdrawn() {
    let (stop, reboot) = (notice(STOP, AHEAD), notice(maintenance(Code::SystemReboot), AHEAD));
    let mut course = Course::new(&[NoticePath::InstanceAction, NoticePath::Maintenance]).left(
        BOOT,
        &reboot.id,
        &[(&stop, Progress::Over), (&reboot, Progress::Drained)],
    );
    // Of the maintenance no path has answered yet.
    for _ in 0..60 {
        course.answers(NoticePath::InstanceAction, &[]);
    }
    assert_eq!(course.plan.marks.notice, Some(reboot.id));
    assert_eq!((course.plan.marks.wanted, course.plan.marks.until), (None, None));
}

#[test]
fn maintenance_that_moves_is_followed_at_once_either_way() {
    let code = maintenance(Code::SystemReboot);
    let path = NoticePath::Maintenance;
    let mut course = Course::new(&[path]);
    for (when, begins) in [
        ("2026-11-23T11:00:00Z", 6600),
        ("2026-11-23T10:00:00Z", 3000),
        ("2026-11-23T12:00:00Z", 10_200),
        // Its lead time has begun.
        ("2026-11-23T09:05:00Z", 4),
    ] {
        course.answers(path, &[&notice(code.clone(), when)]);
        let record = course.plan.memory.record(&code).unwrap();
        assert_eq!(record.schedule.begins, at(BEGIN + begins), "{when}");
    }
}

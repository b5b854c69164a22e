//! What is: what each path of the metadata service says, the Node as it was first read, and the drain under way.
//! Plain data; what follows from it, [`plan()`](crate::plan::plan()) works out.

use std::sync::Arc;
use std::time::Duration;

use crate::moment::{Moment, Reading};
use crate::node::Node;
use crate::notice::{Notice, NoticeId, NoticePath, Polled, When};

/// What is.
#[derive(Clone, Debug)]
pub struct Observed {
    paths: Vec<Path>,
    /// The Node as this process first read it: its annotation holds what an earlier process did.
    pub node: Option<Box<Node>>,
    /// The drain under way.
    pub drain: Option<DrainStatus>,
}

/// What a drain under way has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainStatus {
    /// It has ended.
    pub ended: bool,
    /// All pods of the node are known.
    pub listed: bool,
    /// A pod was asked to go.
    pub asked: bool,
}

/// What one path says.
#[derive(Clone, Debug)]
struct Path {
    which: NoticePath,
    notices: Vec<StatedNotice>,
    /// The events that the last answer calls completed or cancelled.
    over: Vec<Arc<str>>,
    /// Good answers so far, up to 255.
    answers: u8,
    /// Failed polls since the last good one.
    failed: u32,
}

/// A notice that a path says.
#[derive(Clone, Debug)]
pub struct StatedNotice {
    /// As last stated.
    pub notice: Notice,
    /// It was in the first answer of its path: it may be older than this process.
    pub first_answer: bool,
    /// Its time is certain: a recommendation's was stated again later.
    pub confirmed: bool,
    /// Since when its time is stated.
    since: Moment,
    /// Answers without it, one after the other.
    missed: u8,
}

/// A path's health, when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathHealth {
    /// It begins to fail.
    Failing(String),
    /// It answers again, after so many failed polls.
    Recovered(u32),
}

/// A notice is withdrawn when its path has answered without it so many times running: a metadata service that
/// restarts may lose it for a moment.
pub const WITHDRAWN_AFTER: u8 = 3;

/// The time of a recommendation counts once it was stated again so much later: there are metadata services that
/// state the time of the question.
const CONFIRMED_AFTER: Duration = Duration::from_secs(2);

/// A path that has failed so many times running is not waited for where another one, which would say the same,
/// answers.
const GIVEN_UP_AFTER: u32 = 10;

impl Observed {
    /// Nothing was observed yet; these paths are polled.
    pub fn new(paths: &[NoticePath]) -> Self {
        let paths = paths.iter().copied().map(Path::new).collect();
        Self { paths, node: None, drain: None }
    }

    /// A path was polled.
    pub fn polled(&mut self, reading: Reading, polled: Polled) -> Option<PathHealth> {
        let index = self.paths.iter().position(|it| it.which == polled.path).unwrap_or_else(|| {
            self.paths.push(Path::new(polled.path));
            self.paths.len() - 1
        });
        let path = self.paths.get_mut(index)?;
        match polled.outcome {
            Err(why) => {
                path.failed = path.failed.saturating_add(1);
                (path.failed == 1).then_some(PathHealth::Failing(why))
            }
            Ok(answer) => {
                path.answered(reading, answer.standing, answer.over);
                let failed = std::mem::take(&mut path.failed);
                (failed > 0).then_some(PathHealth::Recovered(failed))
            }
        }
    }

    /// The notices that are stated. Where paths state different times for one, what was stated last counts.
    pub fn notices(&self) -> impl Iterator<Item = &StatedNotice> {
        let all = || {
            let paths = self.paths.iter().enumerate();
            paths.flat_map(|(path, it)| it.notices.iter().map(move |notice| (path, notice)))
        };
        let is_newer = |stated: &(usize, &StatedNotice), other: &(usize, &StatedNotice)| {
            other.1.notice.id == stated.1.notice.id
                && (stated.1.since, stated.0) < (other.1.since, other.0)
        };
        let newest = all().filter(move |stated| !all().any(|other| is_newer(stated, &other)));
        newest.map(|(_, stated)| stated)
    }

    /// Whether a path says this notice.
    pub fn says(&self, id: &NoticeId) -> bool {
        self.paths.iter().any(|path| path.stated(id).is_some())
    }

    /// Whether it is certain that no path says this notice, which an earlier process knew: each path that may has
    /// given so many answers without it. One that only fails is not waited for where another has answered.
    pub fn denies(&self, id: &NoticeId, answers: u8) -> bool {
        let mut paths = self.paths.iter().filter(|path| path.which.may_say(id)).peekable();
        let has_denied = |path: &Path| path.answers >= answers || path.calls_over(id);
        let is_none = paths.peek().is_none();
        let mut denied = is_none;
        let all = paths.all(|path| {
            denied |= has_denied(path);
            has_denied(path) || path.failed >= GIVEN_UP_AFTER
        });
        all && denied && !self.says(id)
    }
}

impl Path {
    fn new(path: NoticePath) -> Self {
        Self { which: path, notices: Vec::new(), over: Vec::new(), answers: 0, failed: 0 }
    }

    fn answered(&mut self, reading: Reading, mut notices: Vec<Notice>, over: Vec<Arc<str>>) {
        if self.which == NoticePath::TerminationTime {
            // A time that is over says nothing there, unless it was stated before.
            notices.retain(|it| self.stated(&it.id).is_some() || !it.when.is_over(reading));
        }
        let first_answer = self.answers == 0;
        self.answers = self.answers.saturating_add(1);
        self.over = over;
        for stated in &mut self.notices {
            stated.missed += 1;
        }
        for notice in notices {
            self.says(reading.now, notice, first_answer);
        }
        let mut notices = std::mem::take(&mut self.notices);
        notices.retain(|stated| {
            stated.missed == 0
                || stated.missed < WITHDRAWN_AFTER && !self.calls_over(&stated.notice.id)
        });
        self.notices = notices;
    }

    fn says(&mut self, now: Moment, notice: Notice, first_answer: bool) {
        let Some(stated) = self.notices.iter_mut().find(|stated| stated.notice.id == notice.id)
        else {
            let stated =
                StatedNotice { notice, first_answer, confirmed: false, since: now, missed: 0 };
            return self.notices.push(stated);
        };
        stated.missed = 0;
        if stated.notice.when != notice.when {
            (stated.since, stated.confirmed) = (now, false);
        }
        stated.confirmed |= now.since(stated.since) >= CONFIRMED_AFTER;
        stated.notice = notice;
    }

    fn stated(&self, id: &NoticeId) -> Option<&StatedNotice> {
        self.notices.iter().find(|stated| stated.notice.id == *id)
    }

    /// Whether the cloud itself calls it completed or cancelled.
    fn calls_over(&self, id: &NoticeId) -> bool {
        matches!(id, NoticeId::Maintenance(event) if self.over.contains(&event.id))
    }
}

/// Whether a recommendation that was made at `time` is another one than that of `before`. The Node remembers
/// milliseconds.
pub fn is_later(before: When, time: When) -> bool {
    let (When::At(before), When::At(time)) = (before, time) else { return false };
    before.until(time).is_some_and(|later| later >= Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::WallTime;
    use crate::notice::{Action, Code, Event, PathAnswer};

    use NoticePath::{InstanceAction, Maintenance, NoticeUrl, TerminationTime};

    const NOON: &str = "2026-11-23T12:00:00Z";

    fn interruption(action: Action, second: u8) -> Notice {
        notice(NoticeId::Interruption(action), &format!("2026-11-23T12:00:{second:02}Z"))
    }

    fn event(name: &str, nth: u8) -> Notice {
        let event = Event { code: Code::SystemReboot, id: Arc::from(name), nth };
        notice(NoticeId::Maintenance(event), NOON)
    }

    fn notice(id: NoticeId, when: &str) -> Notice {
        let when = When::At(WallTime::parse(when).unwrap());
        Notice { id, when, until: None, window: Duration::from_mins(2), wording: String::new() }
    }

    fn observed() -> Observed {
        Observed::new(&[InstanceAction, TerminationTime, NoticeUrl, Maintenance])
    }

    impl Observed {
        fn hears(&mut self, path: NoticePath, answer: Option<PathAnswer>) -> Option<PathHealth> {
            let reading = Reading { now: Moment::START, wall: WallTime::parse(NOON).unwrap() };
            let outcome = answer.ok_or_else(|| "no answer".to_owned());
            self.polled(reading, Polled { path, status: None, outcome })
        }

        /// Polled so many times, a path says this each time.
        fn answers(&mut self, path: NoticePath, times: u8, notices: &[&Notice]) {
            for _ in 0..times {
                let standing = notices.iter().map(|notice| (*notice).clone()).collect();
                self.hears(path, Some(PathAnswer { standing, over: Vec::new() }));
            }
        }

        fn fails(&mut self, path: NoticePath, times: u32) {
            for _ in 0..times {
                self.hears(path, None);
            }
        }
    }

    #[test]
    fn a_notice_stands_until_three_answers_without_it_and_failures_do_not_count() {
        let mut seen = observed();
        let stop = interruption(Action::Stop, 1);
        seen.fails(InstanceAction, 1);
        seen.answers(InstanceAction, 1, &[&stop]);
        assert!(seen.notices().all(|stated| stated.first_answer));
        seen.answers(InstanceAction, 2, &[]);
        seen.fails(InstanceAction, 5);
        assert!(seen.says(&stop.id));
        seen.answers(InstanceAction, 1, &[&stop]);
        seen.answers(InstanceAction, 2, &[]);
        assert!(seen.says(&stop.id));
        seen.answers(InstanceAction, 1, &[]);
        assert!(!seen.says(&stop.id));
        seen.answers(InstanceAction, 1, &[&stop]);
        assert!(seen.notices().all(|stated| !stated.first_answer), "it comes back");
    }

    #[test]
    fn it_stands_while_another_path_says_it() {
        let mut seen = observed();
        let stop = interruption(Action::Stop, 1);
        seen.answers(InstanceAction, 1, &[&stop]);
        seen.answers(NoticeUrl, 1, &[&stop]);
        seen.answers(NoticeUrl, 9, &[]);
        assert!(seen.says(&stop.id));
        seen.answers(InstanceAction, 3, &[]);
        assert!(!seen.says(&stop.id));
    }

    #[test]
    fn several_events_come_and_go_each_by_itself() {
        let mut seen = observed();
        let (one, two, again) = (event("one", 0), event("two", 0), event("one", 1));
        seen.answers(Maintenance, 1, &[&one, &two, &again]);
        // What the cloud itself calls over is over at once; another may be missing for a moment.
        let answer = PathAnswer { standing: vec![one.clone()], over: vec![Arc::from("two")] };
        seen.hears(Maintenance, Some(answer));
        let stand = |seen: &Observed| [&one, &two, &again].map(|it| seen.says(&it.id));
        assert_eq!(stand(&seen), [true, false, true]);
        seen.answers(Maintenance, 2, &[&one]);
        assert_eq!(stand(&seen), [true, false, false]);
    }

    #[test]
    fn a_termination_time_that_is_over_says_nothing_unless_it_stood_before() {
        let mut seen = observed();
        let over = notice(NoticeId::Interruption(Action::Terminate), "2026-11-23T11:59:59Z");
        let ahead = interruption(Action::Terminate, 9);
        seen.answers(TerminationTime, 1, &[&over]);
        assert!(!seen.says(&over.id));
        seen.answers(TerminationTime, 1, &[&ahead]);
        seen.answers(TerminationTime, 1, &[&over]);
        assert!(
            seen.notices().all(|stated| stated.notice.when == over.when) && seen.says(&over.id)
        );
    }

    #[test]
    fn an_earlier_notice_is_denied_when_each_path_that_may_say_it_has_answered() {
        let stop = interruption(Action::Stop, 1);
        let mut seen = observed();
        for path in [InstanceAction, TerminationTime] {
            seen.answers(path, 5, &[]);
            assert!(!seen.denies(&stop.id, 3), "another path may say it");
        }
        seen.answers(NoticeUrl, 2, &[]);
        assert!(!seen.denies(&stop.id, 3) && seen.denies(&stop.id, 1));
        seen.answers(NoticeUrl, 1, &[]);
        assert!(seen.denies(&stop.id, 3));
        assert!(seen.denies(&NoticeId::Rebalance, 3), "no path is asked for it");
        seen.answers(NoticeUrl, 1, &[&stop]);
        assert!(!seen.denies(&stop.id, 3), "it stands");
        let two = event("two", 0);
        assert!(!seen.denies(&two.id, 1));
        let answer = PathAnswer { standing: Vec::new(), over: vec![Arc::from("two")] };
        seen.hears(Maintenance, Some(answer));
        assert!(seen.denies(&two.id, 3), "the cloud calls it over");
    }

    #[test]
    fn a_path_that_only_fails_is_not_waited_for_where_another_answers() {
        let stop = NoticeId::Interruption(Action::Stop);
        let mut seen = observed();
        for path in [InstanceAction, TerminationTime, NoticeUrl] {
            seen.fails(path, 20);
        }
        assert!(!seen.denies(&stop, 3), "no path has answered");
        seen.answers(TerminationTime, 2, &[]);
        seen.answers(InstanceAction, 3, &[]);
        assert!(!seen.denies(&stop, 3), "another path answers");
        seen.answers(TerminationTime, 1, &[]);
        assert!(seen.denies(&stop, 3));

        let mut seen = observed();
        seen.answers(InstanceAction, 3, &[]);
        seen.answers(TerminationTime, 3, &[]);
        seen.fails(NoticeUrl, GIVEN_UP_AFTER - 1);
        assert!(!seen.denies(&stop, 3), "it may answer in a moment");
        seen.fails(NoticeUrl, 1);
        assert!(seen.denies(&stop, 3));
    }

    #[test]
    fn failures_are_reported_when_they_begin_and_counted_when_they_are_over() {
        let mut seen = observed();
        assert!(matches!(seen.hears(NoticeUrl, None), Some(PathHealth::Failing(_))));
        assert_eq!(seen.hears(NoticeUrl, None), None);
        let answer = Some(PathAnswer::default());
        assert_eq!(seen.hears(NoticeUrl, answer), Some(PathHealth::Recovered(2)));
    }
}

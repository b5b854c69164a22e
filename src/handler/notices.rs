//! The notices that the paths of the metadata service say: which answers are one notice, and when a
//! notice counts as withdrawn. Pure.

use std::time::Duration;

use crate::moment::{Moment, Reading};
use crate::notice::{Answer, Notice, NoticeId, NoticePath, Polled, When};

/// What the paths have said so far.
#[derive(Debug)]
pub struct Notices {
    paths: Vec<PathState>,
}

/// What one path says.
#[derive(Debug)]
struct PathState {
    path: NoticePath,
    standing: Vec<Standing>,
    /// What an earlier process remembered and this path may say, and has not yet.
    recalled: Vec<Recalled>,
    /// Answers so far, up to a few.
    answers: u8,
    /// Failed polls, one after the other.
    failed: u32,
}

/// A notice that a path says.
#[derive(Debug)]
struct Standing {
    id: NoticeId,
    when: When,
    /// Answers without it, one after the other.
    absent: u8,
    /// When its time was first said; `None`: it was said again since.
    unsteady: Option<Moment>,
}

/// A notice that a path may say.
#[derive(Debug)]
struct Recalled {
    id: NoticeId,
    /// So many answers without it make certain that it does not.
    left: u8,
}

/// What a poll has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A notice is there that no path said before.
    Appeared {
        /// What it says now.
        notice: Notice,
        /// It was there already when this process first asked.
        from_the_start: bool,
    },
    /// A standing notice is said with another time, or by another path; or the time of a recommendation
    /// is certain.
    Updated(Notice),
    /// No path says the notice any more, or the cloud calls it completed or cancelled.
    Withdrawn(NoticeId),
}

/// A path's health, when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It begins to fail.
    Failing(String),
    /// It answers again, after so many failed polls.
    Recovered(u32),
}

/// A notice is withdrawn when its path has answered without it so many times running: a metadata
/// service that restarts may lose it for a moment.
pub const WITHDRAWN_AFTER: u8 = 3;

/// The time of a recommendation counts once it was said again so much later: there are metadata
/// services that state the time of the question.
const STEADY: Duration = Duration::from_secs(2);

/// A path that has failed so many times running is not waited for any more where another one, which
/// would say the same, answers.
const HOPELESS: u32 = 10;

impl Notices {
    /// Nothing said yet by these paths, which are polled.
    pub fn new(paths: &[NoticePath]) -> Self {
        Self { paths: paths.iter().copied().map(PathState::new).collect() }
    }

    /// A poll has ended.
    pub fn observe(&mut self, reading: Reading, polled: Polled) -> (Option<Health>, Vec<Change>) {
        let path = polled.path;
        let known = self.paths.iter().position(|state| state.path == path);
        let index = known.unwrap_or_else(|| {
            self.paths.push(PathState::new(path));
            self.paths.len() - 1
        });
        let Some(state) = self.paths.get_mut(index) else { return (None, Vec::new()) };
        let mut answer = match polled.outcome {
            Ok(answer) => answer,
            Err(why) => {
                state.failed = state.failed.saturating_add(1);
                let begins = state.failed == 1;
                let changes = if state.is_hopeless() { self.given_up(index) } else { Vec::new() };
                return (begins.then_some(Health::Failing(why)), changes);
            }
        };
        let failed = std::mem::take(&mut state.failed);
        if path == NoticePath::TerminationTime {
            let is_to_come = |notice: &Notice| !notice.when.is_over(reading);
            answer.standing.retain(|notice| state.says(&notice.id) || is_to_come(notice));
        }
        let from_the_start = state.answers == 0;
        let gone = state.gone(&answer);
        let stood: Vec<bool> =
            answer.standing.iter().map(|notice| self.stands(&notice.id)).collect();
        let mut changes = self.withdrawn(gone);
        let Some(state) = self.paths.get_mut(index) else { return (None, changes) };
        for (notice, stood) in answer.standing.into_iter().zip(stood) {
            if state.is_news(reading.now, &notice) {
                changes.push(if stood {
                    Change::Updated(notice)
                } else {
                    Change::Appeared { notice, from_the_start }
                });
            }
        }
        // Of what was heard of, the paths that say it know more than any memory.
        for state in &mut self.paths {
            let said = |recalled: &Recalled| {
                changes.iter().any(|change| match change {
                    Change::Appeared { notice, .. } => notice.id == recalled.id,
                    Change::Updated(_) | Change::Withdrawn(_) => false,
                })
            };
            state.recalled.retain(|recalled| !said(recalled));
        }
        ((failed > 0).then_some(Health::Recovered(failed)), changes)
    }

    /// An earlier process remembered this notice. It counts as withdrawn once the paths that may say
    /// it have answered so many times without it; false if that is so already.
    pub fn recall(&mut self, id: &NoticeId, answers: u8) -> bool {
        if self.stands(id) {
            return true;
        }
        let mut open = false;
        for state in self.paths.iter_mut().filter(|state| state.path.may_say(id)) {
            let left = answers.saturating_sub(state.answers);
            if left > 0 {
                state.recalled.push(Recalled { id: id.clone(), left });
                open = true;
            }
        }
        open
    }

    /// Whether any path says it.
    fn stands(&self, id: &NoticeId) -> bool {
        self.paths.iter().any(|state| state.says(id))
    }

    /// A path says these no more, or will not: what no other path says, or may yet.
    fn withdrawn(&mut self, mut gone: Vec<NoticeId>) -> Vec<Change> {
        gone.retain(|id| {
            let is_waited_for = |state: &PathState| state.recalls(id) && !state.is_hopeless();
            !self.stands(id) && !self.paths.iter().any(is_waited_for)
        });
        for state in &mut self.paths {
            state.recalled.retain(|recalled| !gone.contains(&recalled.id));
        }
        gone.into_iter().map(Change::Withdrawn).collect()
    }

    /// This path only fails: what it might say is not waited for where another one has answered.
    fn given_up(&mut self, index: usize) -> Vec<Change> {
        let Some(state) = self.paths.get(index) else { return Vec::new() };
        let mut gone: Vec<NoticeId> = state.recalled.iter().map(|it| it.id.clone()).collect();
        gone.retain(|id| {
            let mut others = self.paths.iter().filter(|state| state.path.may_say(id));
            others.any(|state| state.answers > 0 && !state.recalls(id))
        });
        self.withdrawn(gone)
    }
}

impl PathState {
    fn new(path: NoticePath) -> Self {
        Self { path, standing: Vec::new(), recalled: Vec::new(), answers: 0, failed: 0 }
    }

    fn says(&self, id: &NoticeId) -> bool {
        self.standing.iter().any(|standing| standing.id == *id)
    }

    fn recalls(&self, id: &NoticeId) -> bool {
        self.recalled.iter().any(|recalled| recalled.id == *id)
    }

    fn is_hopeless(&self) -> bool {
        self.failed >= HOPELESS
    }

    /// It has given this answer: what it says no more, or will not say.
    fn gone(&mut self, answer: &Answer) -> Vec<NoticeId> {
        self.answers = self.answers.saturating_add(1);
        let says = |id: &NoticeId| answer.standing.iter().any(|notice| notice.id == *id);
        let mut gone = Vec::new();
        self.standing.retain_mut(|Standing { id, absent, .. }| {
            if says(id) {
                return true;
            }
            *absent += 1;
            let is_gone = *absent >= WITHDRAWN_AFTER || is_over(id, answer);
            if is_gone {
                gone.push(id.clone());
            }
            !is_gone
        });
        self.recalled.retain_mut(|Recalled { id, left }| {
            if says(id) {
                return false;
            }
            *left -= 1;
            let is_gone = *left == 0 || is_over(id, answer);
            if is_gone {
                gone.push(id.clone());
            }
            !is_gone
        });
        gone
    }

    /// It says `notice`. Whether that is something else than before, or is certain now.
    fn is_news(&mut self, now: Moment, notice: &Notice) -> bool {
        let known = self.standing.iter_mut().find(|standing| standing.id == notice.id);
        let Some(Standing { when, absent, unsteady, .. }) = known else {
            let (id, when) = (notice.id.clone(), notice.when);
            self.standing.push(Standing { id, when, absent: 0, unsteady: Some(now) });
            return true;
        };
        *absent = 0;
        let moved = std::mem::replace(when, notice.when) != notice.when;
        if notice.id != NoticeId::Rebalance {
            return moved;
        }
        if moved {
            *unsteady = Some(now);
        }
        unsteady.take_if(|since| now.since(*since) >= STEADY).is_some()
    }
}

/// Whether the cloud itself calls it completed or cancelled.
fn is_over(id: &NoticeId, answer: &Answer) -> bool {
    match id {
        NoticeId::Maintenance(event) => answer.over.contains(&event.id),
        NoticeId::Interruption(_) | NoticeId::Rebalance | NoticeId::Lifecycle(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::WallTime;
    use crate::notice::{Action, Code, Event};
    use std::sync::Arc;

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

    struct Paths(Notices);

    impl Paths {
        fn hears(&mut self, path: NoticePath, outcome: Result<Answer, String>) -> Vec<Change> {
            let wall = WallTime::parse(NOON).unwrap();
            let reading = Reading { now: Moment::START, wall };
            self.0.observe(reading, Polled { path, status: None, outcome }).1
        }

        fn says(&mut self, path: NoticePath, standing: &[Notice]) -> Vec<Change> {
            let standing = standing.to_vec();
            self.hears(path, Ok(Answer { standing, over: Vec::new() }))
        }

        /// It says nothing, so many times; what the last of them changes.
        fn is_silent(&mut self, path: NoticePath, times: u8) -> Vec<Change> {
            for _ in 1..times {
                assert_eq!(self.says(path, &[]), []);
            }
            self.says(path, &[])
        }

        fn health(&mut self, path: NoticePath, outcome: Result<Answer, String>) -> Option<Health> {
            let wall = WallTime::parse(NOON).unwrap();
            let polled = Polled { path, status: None, outcome };
            self.0.observe(Reading { now: Moment::START, wall }, polled).0
        }
    }

    fn paths() -> Paths {
        Paths(Notices::new(&[InstanceAction, TerminationTime, NoticeUrl, Maintenance]))
    }

    fn appeared(notice: &Notice, from_the_start: bool) -> Vec<Change> {
        vec![Change::Appeared { notice: notice.clone(), from_the_start }]
    }

    #[test]
    fn a_notice_appears_once_and_is_updated_when_its_time_moves() {
        let mut paths = paths();
        assert_eq!(paths.says(InstanceAction, &[]), []);
        let first = interruption(Action::Terminate, 1);
        assert_eq!(
            paths.says(InstanceAction, std::slice::from_ref(&first)),
            appeared(&first, false)
        );
        assert_eq!(paths.says(InstanceAction, &[first]), []);
        let moved = interruption(Action::Terminate, 2);
        let updated = [Change::Updated(moved.clone())];
        assert_eq!(paths.says(InstanceAction, std::slice::from_ref(&moved)), updated);
        assert_eq!(paths.says(NoticeUrl, &[moved]), updated);
        let other = interruption(Action::Stop, 2);
        assert_eq!(
            paths.says(InstanceAction, std::slice::from_ref(&other)),
            appeared(&other, false)
        );
    }

    #[test]
    fn what_the_first_answer_says_was_there_from_the_start() {
        let mut paths = paths();
        paths.hears(InstanceAction, Err("no answer".to_owned()));
        let first = interruption(Action::Stop, 1);
        assert_eq!(
            paths.says(InstanceAction, std::slice::from_ref(&first)),
            appeared(&first, true)
        );
    }

    #[test]
    fn it_is_withdrawn_after_three_answers_without_it_and_failures_do_not_count() {
        let mut paths = paths();
        let standing = [interruption(Action::Terminate, 1)];
        paths.says(InstanceAction, &standing);
        assert_eq!(paths.is_silent(InstanceAction, 2), []);
        paths.hears(InstanceAction, Err("no answer".to_owned()));
        assert_eq!(paths.says(InstanceAction, &standing), []);
        let gone = [Change::Withdrawn(standing[0].id.clone())];
        assert_eq!(paths.is_silent(InstanceAction, 3), gone);
        assert_eq!(paths.says(InstanceAction, &standing), appeared(&standing[0], false));
    }

    #[test]
    fn it_is_not_withdrawn_while_another_path_says_it() {
        let mut paths = paths();
        let standing = [interruption(Action::Terminate, 1)];
        paths.says(InstanceAction, &standing);
        paths.says(NoticeUrl, &standing);
        assert_eq!(paths.is_silent(NoticeUrl, 9), []);
        let gone = [Change::Withdrawn(standing[0].id.clone())];
        assert_eq!(paths.is_silent(InstanceAction, 3), gone);
    }

    #[test]
    fn several_events_come_and_go_each_for_itself() {
        let mut paths = paths();
        let (one, two, again) = (event("one", 0), event("two", 0), event("one", 1));
        let all = [one.clone(), two.clone(), again.clone()];
        assert_eq!(paths.says(Maintenance, &all).len(), 3);
        let answer = Answer { standing: vec![one.clone()], over: vec![Arc::from("two")] };
        // What the cloud itself calls over is over, the other one may be forgotten for a moment.
        assert_eq!(paths.hears(Maintenance, Ok(answer)), [Change::Withdrawn(two.id)]);
        assert_eq!(paths.says(Maintenance, std::slice::from_ref(&one)), []);
        assert_eq!(paths.says(Maintenance, &[one]), [Change::Withdrawn(again.id)]);
    }

    #[test]
    fn a_termination_time_that_is_over_says_nothing_unless_it_stood_before() {
        let mut paths = paths();
        let over = notice(NoticeId::Interruption(Action::Terminate), "2026-11-23T11:59:59Z");
        assert_eq!(paths.says(TerminationTime, std::slice::from_ref(&over)), []);
        let ahead = interruption(Action::Terminate, 9);
        assert_eq!(
            paths.says(TerminationTime, std::slice::from_ref(&ahead)),
            appeared(&ahead, false)
        );
        assert_eq!(
            paths.says(TerminationTime, std::slice::from_ref(&over)),
            [Change::Updated(over)]
        );
    }

    #[test]
    fn what_was_remembered_is_waited_for_as_long_as_it_takes_to_be_certain() {
        let id = NoticeId::Interruption(Action::Stop);
        let mut paths = paths();
        assert!(paths.0.recall(&id, 3));
        for path in [InstanceAction, TerminationTime] {
            assert_eq!(paths.is_silent(path, 5), [], "another path may say it");
        }
        assert_eq!(paths.is_silent(NoticeUrl, 3), [Change::Withdrawn(id.clone())]);
        assert!(!paths.0.recall(&id, 3), "all have answered without it");
        assert!(!paths.0.recall(&NoticeId::Rebalance, 3), "nobody asks for it");
    }

    #[test]
    fn what_only_a_path_that_fails_might_say_is_not_waited_for() {
        let id = NoticeId::Interruption(Action::Stop);
        let gone = [Change::Withdrawn(id.clone())];
        let fails = || Err("no answer".to_owned());
        let mut paths = paths();
        assert!(paths.0.recall(&id, 3));
        for _ in 1..20 {
            assert_eq!(paths.hears(NoticeUrl, fails()), [], "no path has answered");
        }
        assert_eq!(paths.is_silent(TerminationTime, 2), []);
        assert_eq!(paths.is_silent(InstanceAction, 3), [], "another path answers");
        assert_eq!(paths.is_silent(TerminationTime, 1), gone);

        let mut paths = self::paths();
        assert!(paths.0.recall(&id, 3));
        for path in [InstanceAction, TerminationTime] {
            assert_eq!(paths.is_silent(path, 3), []);
        }
        for _ in 1..HOPELESS {
            assert_eq!(paths.hears(NoticeUrl, fails()), [], "it may be there in a moment");
        }
        assert_eq!(paths.hears(NoticeUrl, fails()), gone);
        let said = paths.says(NoticeUrl, &[interruption(Action::Stop, 1)]);
        assert_eq!(said, appeared(&interruption(Action::Stop, 1), true));
    }

    #[test]
    fn what_was_remembered_and_is_said_appears() {
        let standing = interruption(Action::Stop, 1);
        let mut paths = paths();
        assert!(paths.0.recall(&standing.id, 3));
        paths.says(InstanceAction, &[]);
        let said = paths.says(NoticeUrl, std::slice::from_ref(&standing));
        assert_eq!(said, appeared(&standing, true));
        let gone = [Change::Withdrawn(standing.id.clone())];
        assert_eq!(paths.is_silent(NoticeUrl, 3), gone, "no other path is waited for");
        paths.says(NoticeUrl, std::slice::from_ref(&standing));
        assert!(paths.0.recall(&standing.id, 3), "it stands");
    }

    #[test]
    fn trouble_is_told_when_it_begins_and_counted_when_it_is_over() {
        let mut paths = paths();
        let fails = || Err("no answer".to_owned());
        assert!(matches!(paths.health(NoticeUrl, fails()), Some(Health::Failing(_))));
        assert_eq!(paths.health(NoticeUrl, fails()), None);
        let answered = Ok(Answer::default());
        assert_eq!(paths.health(NoticeUrl, answered), Some(Health::Recovered(2)));
    }
}

//! Which facts are worth a message: a drain that begins, its end, and a node that is only marked. Pure.

use crate::drain::progress::Progress;
use crate::drain::verdict::Verdict;
use crate::notice::{Notice, When};
use crate::plan::kinds::Basis;
use crate::report::fact::{Fact, Level, Occasion};

/// What is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Milestone {
    /// A drain begins, or goes on for another notice.
    Begins {
        /// For which.
        notice: Box<Notice>,
        /// Where its end comes from.
        basis: Basis,
        /// Another notice has taken over: who is to go is known.
        taken_over: bool,
    },
    /// Who is to go, each as `namespace/name`.
    Listed(Vec<String>),
    /// The notice that is drained for has an earlier time now.
    Moved {
        /// The notice, with that time.
        notice: Box<Notice>,
        /// Where the drain's end comes from now.
        basis: Basis,
    },
    /// The node is only marked for this notice.
    Marked {
        /// Which.
        notice: Box<Notice>,
        /// Where its times come from.
        basis: Basis,
        /// How much it matters.
        level: Level,
    },
    /// What became of every pod.
    Ends(Occasion, Box<Verdict>),
}

/// Follows the facts.
#[derive(Debug, Default)]
pub(super) struct Milestones {
    drained: Option<(Box<Notice>, Basis)>,
    begun: bool,
}

impl Milestones {
    /// What a fact leads to.
    pub(super) fn next(&mut self, fact: &Fact) -> Vec<Milestone> {
        match fact {
            Fact::NoticeSeen { notice, basis, .. } => {
                (self.drained, self.begun) = (Some((notice.clone(), *basis)), false);
                Vec::new()
            }
            // Until then it may turn out that the notice was drained for before.
            Fact::DrainBegins(_) => self.beginning(),
            Fact::TakenOver { notice, basis, .. } => {
                self.drained = Some((notice.clone(), *basis));
                let (notice, basis) = (notice.clone(), *basis);
                let begins = Milestone::Begins { notice, basis, taken_over: true };
                if self.begun { vec![begins] } else { Vec::new() }
            }
            Fact::DeadlineMoved { basis, .. } => {
                let Some((notice, old)) = &mut self.drained else { return Vec::new() };
                *old = *basis;
                if let Basis::Stated(time) = basis {
                    notice.when = When::At(*time);
                }
                let moved = Milestone::Moved { notice: notice.clone(), basis: *basis };
                if self.begun { vec![moved] } else { Vec::new() }
            }
            Fact::NoticeMarks { notice, basis } => {
                let (notice, basis) = (notice.clone(), *basis);
                vec![Milestone::Marked { notice, basis, level: fact.level() }]
            }
            Fact::Drain(Progress::Listed { to_go, .. }) => {
                vec![Milestone::Listed(to_go.iter().map(ToString::to_string).collect())]
            }
            Fact::Verdict(occasion, verdict) => {
                // A drain that could not even begin has its end all the same.
                let mut milestones = if self.begun { Vec::new() } else { self.beginning() };
                milestones.push(Milestone::Ends(*occasion, verdict.clone()));
                milestones
            }
            _ => Vec::new(),
        }
    }

    fn beginning(&mut self) -> Vec<Milestone> {
        self.begun = true;
        let begins = |(notice, basis)| Milestone::Begins { notice, basis, taken_over: false };
        self.drained.clone().map(begins).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::moment::WallTime;
    use crate::notice::{Action, NoticeId};

    fn notice(action: Action) -> Notice {
        let window = Duration::from_mins(2);
        let id = NoticeId::Interruption(action);
        Notice { id, when: When::Unstated, until: None, window, wording: String::new() }
    }

    fn seen(action: Action) -> Fact {
        let (notice, basis) = (Box::new(notice(action)), Basis::AtOnce);
        Fact::NoticeSeen { notice, basis, left: Duration::ZERO }
    }

    fn taken_over(action: Action) -> Fact {
        let (notice, basis) = (Box::new(notice(action)), Basis::AtOnce);
        Fact::TakenOver { notice, basis, left: Duration::ZERO }
    }

    fn begins() -> Fact {
        Fact::DrainBegins(Arc::from("node-1"))
    }

    fn milestones(facts: &[Fact]) -> Vec<Milestone> {
        let mut milestones = Milestones::default();
        facts.iter().flat_map(|fact| milestones.next(fact)).collect()
    }

    fn beginning(action: Action, taken_over: bool) -> Milestone {
        Milestone::Begins { notice: Box::new(notice(action)), basis: Basis::AtOnce, taken_over }
    }

    #[test]
    fn a_drain_begins_once_and_again_for_another_notice() {
        let told = milestones(&[seen(Action::Stop), begins(), taken_over(Action::Terminate)]);
        assert_eq!(told, [beginning(Action::Stop, false), beginning(Action::Terminate, true)]);
    }

    #[test]
    fn a_notice_that_was_drained_for_before_begins_none() {
        let before = Fact::DrainedBefore(NoticeId::Interruption(Action::Stop));
        assert_eq!(milestones(&[seen(Action::Stop), before]), []);
    }

    #[test]
    fn a_notice_that_takes_over_before_the_drain_begins_is_the_one_it_begins_for() {
        let told = milestones(&[seen(Action::Stop), taken_over(Action::Terminate), begins()]);
        assert_eq!(told, [beginning(Action::Terminate, false)]);
    }

    #[test]
    fn a_notice_that_moves_is_told_of_with_its_new_time() {
        let time = WallTime::parse("2026-11-23T09:02:00Z").unwrap();
        let basis = Basis::Stated(time);
        let moved = Fact::DeadlineMoved { basis, left: Duration::ZERO };
        let notice = Box::new(Notice { when: When::At(time), ..notice(Action::Stop) });
        let told = Milestone::Moved { notice: notice.clone(), basis };
        let earlier = Milestone::Begins { notice, basis, taken_over: false };
        assert_eq!(milestones(&[seen(Action::Stop), moved.clone(), begins()]), [earlier]);
        let later = [beginning(Action::Stop, false), told];
        assert_eq!(milestones(&[seen(Action::Stop), begins(), moved]), later);
    }

    #[test]
    fn an_end_that_an_earlier_process_set_is_told_as_such() {
        let moved = Fact::DeadlineMoved { basis: Basis::Remembered, left: Duration::ZERO };
        let notice = Box::new(notice(Action::Stop));
        let told = Milestone::Moved { notice, basis: Basis::Remembered };
        let all = milestones(&[seen(Action::Stop), begins(), moved]);
        assert_eq!(all, [beginning(Action::Stop, false), told]);
    }

    #[test]
    fn a_drain_that_could_not_begin_is_told_of_with_its_end() {
        let took = Duration::from_secs(1);
        let verdict = Verdict { rows: vec![], listed: false, unread: 0, took, end: None };
        let ends = Fact::Verdict(Occasion::Deadline, Box::new(verdict.clone()));
        let told = milestones(&[seen(Action::Stop), ends]);
        let end = Milestone::Ends(Occasion::Deadline, Box::new(verdict));
        assert_eq!(told, [beginning(Action::Stop, false), end]);
    }
}

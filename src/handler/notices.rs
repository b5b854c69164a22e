//! The notices that the paths of the metadata service say: which answers are one notice, and when a
//! notice counts as withdrawn. Pure.

use std::collections::BTreeMap;

use crate::notice::{Notice, NoticeId, NoticePath, Polled};

/// What the paths have said so far.
#[derive(Debug, Default)]
pub struct Notices {
    paths: BTreeMap<NoticePath, PathState>,
}

/// What one path says.
#[derive(Debug, Default)]
struct PathState {
    active: Option<Notice>,
    /// Answers without a notice, one after the other.
    absent: u8,
    /// Whether it has ever answered without a notice.
    was_absent: bool,
    /// Failed polls, one after the other.
    failed: u32,
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
    /// An active notice is said with another time, or by another path.
    Updated(Notice),
    /// No path says the notice any more.
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
const WITHDRAWN_AFTER: u8 = 3;

impl Notices {
    /// A poll has ended.
    pub fn observe(&mut self, polled: Polled) -> (Option<Health>, Option<Change>) {
        let state = self.paths.entry(polled.path).or_default();
        let found = match polled.outcome {
            Ok(found) => found,
            Err(why) => {
                state.failed = state.failed.saturating_add(1);
                let begins = state.failed == 1;
                return (begins.then_some(Health::Failing(why)), None);
            }
        };
        let failed = std::mem::take(&mut state.failed);
        let health = (failed > 0).then_some(Health::Recovered(failed));
        let change = match found {
            Some(notice) => self.found(polled.path, notice),
            None => state.found_none().and_then(|id| self.withdrawn(id)),
        };
        (health, change)
    }

    /// `path` says `notice`.
    fn found(&mut self, path: NoticePath, notice: Notice) -> Option<Change> {
        let was_active = self.is_active(notice.id());
        let state = self.paths.entry(path).or_default();
        let from_the_start = !state.was_absent;
        if !state.found(&notice) {
            return None;
        }
        Some(if was_active {
            Change::Updated(notice)
        } else {
            Change::Appeared { notice, from_the_start }
        })
    }

    /// `id` is withdrawn once no other path says it.
    fn withdrawn(&self, id: NoticeId) -> Option<Change> {
        (!self.is_active(id)).then_some(Change::Withdrawn(id))
    }

    /// Whether any path says it.
    pub fn is_active(&self, id: NoticeId) -> bool {
        let mut active = self.paths.values().filter_map(|state| state.active.as_ref());
        active.any(|notice| notice.id() == id)
    }
}

impl PathState {
    /// It says `notice`. Whether that is something else than before.
    fn found(&mut self, notice: &Notice) -> bool {
        self.absent = 0;
        let known = self.active.as_ref();
        if known.is_some_and(|known| known.id() == notice.id() && known.when == notice.when) {
            return false;
        }
        self.active = Some(notice.clone());
        true
    }

    /// The notice that this path says no more, if that is now certain.
    fn found_none(&mut self) -> Option<NoticeId> {
        self.was_absent = true;
        self.absent = self.absent.saturating_add(1);
        if self.absent < WITHDRAWN_AFTER {
            return None;
        }
        self.active.take().map(|notice| notice.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::WallTime;
    use crate::notice::{Action, Kind, When};
    use std::time::Duration;

    fn notice(action: Action, second: u8) -> Notice {
        let time = WallTime::parse(&format!("2026-11-23T09:00:{second:02}Z")).unwrap();
        Notice {
            kind: Kind::SpotInterruption,
            action,
            when: When::At(time),
            window: Duration::from_mins(2),
            wording: String::new(),
        }
    }

    struct Paths(Notices);

    impl Paths {
        fn says(&mut self, path: NoticePath, found: Option<Notice>) -> Option<Change> {
            self.0.observe(Polled { path, status: None, outcome: Ok(found) }).1
        }

        fn fails(&mut self, path: NoticePath) -> Option<Health> {
            let outcome = Err("no answer".to_owned());
            self.0.observe(Polled { path, status: None, outcome }).0
        }
    }

    fn paths() -> Paths {
        Paths(Notices::default())
    }

    use NoticePath::{InstanceAction, NoticeUrl};

    #[test]
    fn a_notice_appears_once_and_is_updated_when_its_time_moves() {
        let mut paths = paths();
        assert_eq!(paths.says(InstanceAction, None), None);
        let first = notice(Action::Terminate, 1);
        assert_eq!(
            paths.says(InstanceAction, Some(first.clone())),
            Some(Change::Appeared { notice: first.clone(), from_the_start: false })
        );
        assert_eq!(paths.says(InstanceAction, Some(first)), None);
        let moved = notice(Action::Terminate, 2);
        assert_eq!(
            paths.says(InstanceAction, Some(moved.clone())),
            Some(Change::Updated(moved.clone()))
        );
        assert_eq!(paths.says(NoticeUrl, Some(moved.clone())), Some(Change::Updated(moved)));
        let other = notice(Action::Stop, 2);
        assert!(matches!(
            paths.says(InstanceAction, Some(other)),
            Some(Change::Appeared { from_the_start: false, .. })
        ));
    }

    #[test]
    fn what_the_first_poll_finds_was_there_from_the_start() {
        let found = paths().says(InstanceAction, Some(notice(Action::Stop, 1)));
        assert!(matches!(found, Some(Change::Appeared { from_the_start: true, .. })));
    }

    #[test]
    fn it_is_withdrawn_after_three_answers_without_it_and_failures_do_not_count() {
        let mut paths = paths();
        let active = notice(Action::Terminate, 1);
        paths.says(InstanceAction, Some(active.clone()));
        assert_eq!(paths.says(InstanceAction, None), None);
        assert_eq!(paths.says(InstanceAction, None), None);
        assert!(paths.fails(InstanceAction).is_some());
        assert_eq!(paths.says(InstanceAction, Some(active.clone())), None);
        for _ in 0..2 {
            assert_eq!(paths.says(InstanceAction, None), None);
        }
        assert_eq!(paths.says(InstanceAction, None), Some(Change::Withdrawn(active.id())));
        assert_eq!(paths.says(InstanceAction, None), None);
        assert!(matches!(
            paths.says(InstanceAction, Some(active)),
            Some(Change::Appeared { from_the_start: false, .. })
        ));
    }

    #[test]
    fn it_is_not_withdrawn_while_another_path_says_it() {
        let mut paths = paths();
        let active = notice(Action::Terminate, 1);
        paths.says(InstanceAction, Some(active.clone()));
        paths.says(NoticeUrl, Some(active.clone()));
        for _ in 0..9 {
            assert_eq!(paths.says(NoticeUrl, None), None);
        }
        paths.says(InstanceAction, None);
        paths.says(InstanceAction, None);
        assert_eq!(paths.says(InstanceAction, None), Some(Change::Withdrawn(active.id())));
    }

    #[test]
    fn trouble_is_told_when_it_begins_and_counted_when_it_is_over() {
        let mut paths = paths();
        assert!(matches!(paths.fails(NoticeUrl), Some(Health::Failing(_))));
        assert_eq!(paths.fails(NoticeUrl), None);
        let answered = Polled { path: NoticeUrl, status: Some(404), outcome: Ok(None) };
        assert_eq!(paths.0.observe(answered).0, Some(Health::Recovered(2)));
    }
}

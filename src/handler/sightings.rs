//! What stands on the paths of the metadata service: which answers are one notice, and when a notice
//! is over. Pure.

use std::collections::BTreeMap;

use crate::notice::{Notice, NoticeId, NoticePath, Polled};

/// What the paths have said so far.
#[derive(Debug, Default)]
pub struct Sightings {
    paths: BTreeMap<NoticePath, Sight>,
}

/// What one path says.
#[derive(Debug, Default)]
struct Sight {
    standing: Option<Notice>,
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
    /// A notice stands that stood nowhere before.
    Stands {
        /// What it says now.
        notice: Notice,
        /// It stood there already when this process first asked.
        from_the_start: bool,
    },
    /// A notice that stands already is said with another time, or by another path.
    Repeated(Notice),
    /// A notice that stood there stands nowhere any more.
    Over(NoticeId),
}

/// A path's health, when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It begins to fail.
    Failing(String),
    /// It answers again, after so many failed polls.
    Recovered(u32),
}

/// A notice is over when its path has answered without it so many times running: a metadata service
/// that restarts may lose it for a moment.
const OVER_AFTER: u8 = 3;

impl Sightings {
    /// A poll has ended.
    pub fn observe(&mut self, polled: Polled) -> (Option<Health>, Option<Change>) {
        let sight = self.paths.entry(polled.path).or_default();
        let found = match polled.outcome {
            Ok(found) => found,
            Err(why) => {
                sight.failed = sight.failed.saturating_add(1);
                let begins = sight.failed == 1;
                return (begins.then_some(Health::Failing(why)), None);
            }
        };
        let failed = std::mem::take(&mut sight.failed);
        let health = (failed > 0).then_some(Health::Recovered(failed));
        let change = match found {
            Some(notice) => self.stands(polled.path, notice),
            None => sight.is_absent().and_then(|id| self.over(id)),
        };
        (health, change)
    }

    fn stands(&mut self, path: NoticePath, notice: Notice) -> Option<Change> {
        let stood = self.is_standing(notice.id());
        let sight = self.paths.entry(path).or_default();
        let from_the_start = !sight.was_absent;
        if !sight.stands(&notice) {
            return None;
        }
        Some(if stood {
            Change::Repeated(notice)
        } else {
            Change::Stands { notice, from_the_start }
        })
    }

    /// `id` is over once no other path says it.
    fn over(&self, id: NoticeId) -> Option<Change> {
        (!self.is_standing(id)).then_some(Change::Over(id))
    }

    /// Whether any path says it.
    pub fn is_standing(&self, id: NoticeId) -> bool {
        let mut standing = self.paths.values().filter_map(|sight| sight.standing.as_ref());
        standing.any(|notice| notice.id() == id)
    }
}

impl Sight {
    /// Whether that is something else than before.
    fn stands(&mut self, notice: &Notice) -> bool {
        self.absent = 0;
        let known = self.standing.as_ref();
        if known.is_some_and(|known| known.id() == notice.id() && known.when == notice.when) {
            return false;
        }
        self.standing = Some(notice.clone());
        true
    }

    fn is_absent(&mut self) -> Option<NoticeId> {
        self.was_absent = true;
        self.absent = self.absent.saturating_add(1);
        if self.absent < OVER_AFTER {
            return None;
        }
        self.standing.take().map(|notice| notice.id())
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

    struct Paths(Sightings);

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
        Paths(Sightings::default())
    }

    use NoticePath::{InstanceAction, NoticeUrl};

    #[test]
    fn a_notice_is_news_once_and_repeated_when_its_time_moves() {
        let mut paths = paths();
        assert_eq!(paths.says(InstanceAction, None), None);
        let first = notice(Action::Terminate, 1);
        assert_eq!(
            paths.says(InstanceAction, Some(first.clone())),
            Some(Change::Stands { notice: first.clone(), from_the_start: false })
        );
        assert_eq!(paths.says(InstanceAction, Some(first)), None);
        let moved = notice(Action::Terminate, 2);
        assert_eq!(
            paths.says(InstanceAction, Some(moved.clone())),
            Some(Change::Repeated(moved.clone()))
        );
        assert_eq!(paths.says(NoticeUrl, Some(moved.clone())), Some(Change::Repeated(moved)));
        let other = notice(Action::Stop, 2);
        assert!(matches!(
            paths.says(InstanceAction, Some(other)),
            Some(Change::Stands { from_the_start: false, .. })
        ));
    }

    #[test]
    fn what_the_first_poll_finds_stood_there_from_the_start() {
        let found = paths().says(InstanceAction, Some(notice(Action::Stop, 1)));
        assert!(matches!(found, Some(Change::Stands { from_the_start: true, .. })));
    }

    #[test]
    fn it_is_over_after_three_answers_without_it_and_failures_do_not_count() {
        let mut paths = paths();
        let stood = notice(Action::Terminate, 1);
        paths.says(InstanceAction, Some(stood.clone()));
        assert_eq!(paths.says(InstanceAction, None), None);
        assert_eq!(paths.says(InstanceAction, None), None);
        assert!(paths.fails(InstanceAction).is_some());
        assert_eq!(paths.says(InstanceAction, Some(stood.clone())), None);
        for _ in 0..2 {
            assert_eq!(paths.says(InstanceAction, None), None);
        }
        assert_eq!(paths.says(InstanceAction, None), Some(Change::Over(stood.id())));
        assert_eq!(paths.says(InstanceAction, None), None);
        assert!(matches!(
            paths.says(InstanceAction, Some(stood)),
            Some(Change::Stands { from_the_start: false, .. })
        ));
    }

    #[test]
    fn it_is_not_over_while_another_path_says_it() {
        let mut paths = paths();
        let stood = notice(Action::Terminate, 1);
        paths.says(InstanceAction, Some(stood.clone()));
        paths.says(NoticeUrl, Some(stood.clone()));
        for _ in 0..9 {
            assert_eq!(paths.says(NoticeUrl, None), None);
        }
        paths.says(InstanceAction, None);
        paths.says(InstanceAction, None);
        assert_eq!(paths.says(InstanceAction, None), Some(Change::Over(stood.id())));
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

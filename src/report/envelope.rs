//! What each fact is reported with: when it became known, of which node, for which notice.

use std::sync::Arc;

use crate::moment::Reading;
use crate::notice::{Notice, When};
use crate::plan::kinds::Basis;
use crate::report::fact::Fact;

/// A fact with its context.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// When it became known.
    pub at: Reading,
    /// The name of this node, if known.
    pub node: Option<Arc<str>>,
    /// The drain under way, or the one that was last; `None`: there was none.
    pub drain: Option<Arc<DrainContext>>,
    /// What happened.
    pub fact: Fact,
}

/// What a drain is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainContext {
    /// The notice, with the time that holds now.
    pub notice: Notice,
    /// Where the drain's end comes from.
    pub basis: Basis,
    /// It began before this fact. Until it begins it may turn out that an earlier process has done it.
    pub begun: bool,
}

/// Follows the facts, and gives each its context.
#[derive(Clone, Debug, Default)]
pub(super) struct Envelopes {
    node: Option<Arc<str>>,
    drain: Option<Arc<DrainContext>>,
}

impl Envelopes {
    pub(super) fn put(&mut self, at: Reading, fact: Fact) -> Envelope {
        self.take_in(&fact);
        let envelope = Envelope { at, node: self.node.clone(), drain: self.drain.clone(), fact };
        // A drain that cannot begin has a verdict all the same.
        if let (Fact::DrainBegins(_) | Fact::Verdict(..), Some(drain)) =
            (&envelope.fact, &mut self.drain)
            && !drain.begun
        {
            Arc::make_mut(drain).begun = true;
        }
        envelope
    }

    fn take_in(&mut self, fact: &Fact) {
        match fact {
            Fact::Started(start) => self.node = start.node.as_deref().map(Arc::from),
            Fact::NodeFound(name) => self.node = Some(Arc::from(name.as_str())),
            Fact::NoticeSeen { notice, basis, .. } | Fact::TakenOver { notice, basis, .. } => {
                let takes_over = matches!(fact, Fact::TakenOver { .. });
                let begun = takes_over && self.drain.as_ref().is_some_and(|drain| drain.begun);
                let notice = (**notice).clone();
                self.drain = Some(Arc::new(DrainContext { notice, basis: *basis, begun }));
            }
            Fact::DeadlineMoved { basis, .. } => {
                let Some(drain) = &mut self.drain else { return };
                let drain = Arc::make_mut(drain);
                drain.basis = *basis;
                if let Basis::Stated(time) = basis {
                    drain.notice.when = When::At(*time);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain::verdict::Verdict;
    use crate::moment::WallTime;
    use crate::report::fact::Occasion;
    use crate::report::samples::{
        STOP, TERMINATE, begins, in_envelopes, last_of, moved, noon, notice, seen, start,
        taken_over,
    };
    use std::time::Duration;

    fn context(facts: &[Fact]) -> DrainContext {
        (*last_of(facts).drain.unwrap()).clone()
    }

    #[test]
    fn a_fact_is_of_the_node_that_was_found() {
        let mut envelopes = Envelopes::default();
        let mut node = |fact| envelopes.put(noon(), fact).node.as_deref().map(str::to_owned);
        assert_eq!(node(Fact::Started(Box::new(start(None)))), None);
        assert_eq!(node(Fact::NodeFound("node-1".to_owned())), Some("node-1".to_owned()));
        assert_eq!(node(Fact::MarksUnreadable), Some("node-1".to_owned()));
        assert_eq!(node(Fact::Started(Box::new(start(Some("node-2"))))), Some("node-2".to_owned()));
    }

    #[test]
    fn a_fact_is_of_the_notice_that_is_drained_for_now() {
        let drains = in_envelopes(&[Fact::MarksUnreadable, seen(STOP), Fact::DeadlineReached]);
        let of: Vec<_> =
            drains.iter().map(|it| it.drain.as_ref().map(|it| &it.notice.id)).collect();
        assert_eq!(of, [None, Some(&STOP), Some(&STOP)]);
        let taken_over = taken_over(TERMINATE, Basis::AtOnce);
        let context = context(&[seen(STOP), begins(), taken_over]);
        assert_eq!(
            (context.notice.id, context.basis, context.begun),
            (TERMINATE, Basis::AtOnce, true)
        );
    }

    #[test]
    fn a_notice_that_moves_has_its_new_time_from_then_on() {
        let time = WallTime::parse("2026-11-23T09:02:00Z").unwrap();
        let basis = Basis::Stated(time);
        let stated = context(&[seen(STOP), moved(basis), begins()]);
        let notice = Notice { when: When::At(time), ..notice(STOP) };
        assert_eq!(stated, DrainContext { notice: notice.clone(), basis, begun: false });
        // The end that an earlier process set is no time of the notice.
        let remembered = context(&[seen(STOP), moved(basis), begins(), moved(Basis::Remembered)]);
        assert_eq!(remembered, DrainContext { notice, basis: Basis::Remembered, begun: true });
    }

    #[test]
    fn a_drain_has_begun_after_its_beginning_or_its_table_and_another_has_not() {
        let rows = Vec::new();
        let took = std::time::Duration::ZERO;
        let verdict = Verdict {
            rows,
            listed: false,
            unread: 0,
            took,
            end: None,
            node_shutdown: Duration::ZERO,
        };
        let ends = || Fact::Verdict(Occasion::Deadline, Box::new(verdict.clone()));
        assert!(!context(&[seen(STOP), begins()]).begun);
        assert!(context(&[seen(STOP), begins(), ends()]).begun);
        assert!(!context(&[seen(STOP), ends()]).begun);
        assert!(context(&[seen(STOP), ends(), ends()]).begun);
        assert!(!context(&[seen(STOP), begins(), seen(TERMINATE)]).begun);
    }
}

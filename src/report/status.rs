//! How far a drain is, in less than a line: for an operator who watches.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::drain::verdict::{Outcome, Reason, Verdict};

/// How far a drain is.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DrainStatus {
    listed: bool,
    to_go: usize,
    gone: usize,
    ending: usize,
    failing: usize,
    held: BTreeMap<String, usize>,
}

impl DrainStatus {
    /// By the verdict so far.
    pub fn of(verdict: &Verdict) -> Self {
        let mut status = Self { listed: verdict.listed, ..Self::default() };
        for row in &verdict.rows {
            status.to_go += 1;
            match &row.outcome {
                Outcome::LeftAlone(_) => status.to_go -= 1,
                Outcome::StillThere(Reason::Blocked(budget)) => {
                    *status.held.entry(budget.to_string()).or_default() += 1;
                }
                Outcome::StillThere(Reason::Ending { .. }) => status.ending += 1,
                Outcome::StillThere(Reason::Failed(_)) => status.failing += 1,
                Outcome::StillThere(_) => {}
                _ => status.gone += 1,
            }
        }
        status
    }

    /// `87 of 110 gone; 11 ending, 12 held by disruption budget shop/web; 98 s left`
    pub fn in_words(&self, left: Duration) -> String {
        if !self.listed {
            return format!("the pods of the node are being read; {} s left", left.as_secs());
        }
        let held: usize = self.held.values().sum();
        let holders = match self.held.keys().next() {
            Some(budget) if self.held.len() == 1 => format!("held by disruption budget {budget}"),
            _ => format!("held by {} disruption budgets", self.held.len()),
        };
        let waits = [
            (self.ending, "ending"),
            (held, holders.as_str()),
            (self.failing, "cannot be asked: see above"),
        ];
        let mut words = format!("{} of {} gone", self.gone, self.to_go);
        let mut before = ';';
        for (count, what) in waits.into_iter().filter(|(count, _)| *count > 0) {
            // Writing to a String does not fail.
            let _ = write!(words, "{before} {count} {what}");
            before = ',';
        }
        let _ = write!(words, "; {} s left", left.as_secs());
        words
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::drain::ask::{Budget, PodRef};
    use crate::drain::verdict::{Failed, Row};

    fn pod(name: &str) -> Arc<PodRef> {
        let named = |text: &str| text.to_owned();
        Arc::new(PodRef { namespace: named("shop"), name: named(name), uid: named(name) })
    }

    #[test]
    fn how_far_it_is_fits_on_a_line() {
        let row = |name: &str, outcome| Row { pod: pod(name), outcome, gone_after: None };
        let blocked = |budget: &str| {
            let budget = Budget { namespace: "shop".to_owned(), name: budget.to_owned() };
            Outcome::StillThere(Reason::Blocked(Arc::new(budget)))
        };
        let mut verdict = Verdict {
            rows: Vec::new(),
            listed: false,
            unread: 0,
            took: Duration::ZERO,
            end: None,
            node_shutdown: Duration::ZERO,
        };
        let left = Duration::from_secs(98);
        let words = |verdict: &Verdict| DrainStatus::of(verdict).in_words(left);
        assert_eq!(words(&verdict), "the pods of the node are being read; 98 s left");
        verdict.listed = true;
        verdict.rows = vec![
            row("a", blocked("web")),
            row("b", blocked("api")),
            row("c", Outcome::StillThere(Reason::Ending { by: None, finalizer: None })),
            row("d", Outcome::EndedByOthers),
            row(
                "e",
                Outcome::StillThere(Reason::Failed(Failed { answered: true, why: "500".into() })),
            ),
            row("f", Outcome::StillThere(Reason::NotAsked)),
        ];
        assert_eq!(
            words(&verdict),
            "1 of 6 gone; 1 ending, 2 held by 2 disruption budgets, 1 cannot be asked: see above; 98 s left"
        );
    }
}

//! PodDisruptionBudgets, and the replacements that free them again.

use std::time::{Duration, Instant};

/// A budget to put over pods. Without more words it allows nothing.
#[derive(Debug, Clone)]
pub struct Budget {
    pub(super) namespace: String,
    pub(super) name: String,
    selector: (String, String),
    rule: Rule,
    elsewhere: usize,
    replaced_after: Option<Duration>,
    processing: bool,
    replacements: Vec<Replacement>,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    MaxUnavailable(usize),
    MinAvailable(usize),
}

#[derive(Debug, Clone)]
struct Replacement {
    ready_at: Option<Instant>,
    ready: bool,
}

/// What a budget says to an eviction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    Go,
    /// So many healthy pods are needed, and so many there are.
    No {
        needed: usize,
        healthy: usize,
    },
    /// Its controller has not looked at it yet.
    Processing,
}

impl Budget {
    /// A budget of this name, `namespace/name`, over the pods with the label
    /// `app` of the same name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            selector: ("app".to_owned(), name.to_owned()),
            rule: Rule::MaxUnavailable(0),
            elsewhere: 0,
            replaced_after: None,
            processing: false,
            replacements: Vec::new(),
        }
    }

    /// Over the pods of its namespace with this label instead.
    #[must_use]
    pub fn selecting(mut self, key: &str, value: &str) -> Self {
        self.selector = (key.to_owned(), value.to_owned());
        self
    }

    /// `maxUnavailable`: so many may be missing at a time.
    #[must_use]
    pub fn max_unavailable(mut self, count: usize) -> Self {
        self.rule = Rule::MaxUnavailable(count);
        self
    }

    /// `minAvailable`: so many must be healthy.
    #[must_use]
    pub fn min_available(mut self, count: usize) -> Self {
        self.rule = Rule::MinAvailable(count);
        self
    }

    /// So many healthy pods of it run on other nodes.
    #[must_use]
    pub fn elsewhere(mut self, count: usize) -> Self {
        self.elsewhere = count;
        self
    }

    /// For each pod that goes, another is ready elsewhere after this time.
    /// Without it, never.
    #[must_use]
    pub fn replaced_after(mut self, time: Duration) -> Self {
        self.replaced_after = Some(time);
        self
    }

    /// Not looked at by its controller yet: refuses with a `Retry-After`.
    #[must_use]
    pub fn still_processing(mut self) -> Self {
        self.processing = true;
        self
    }

    pub(super) fn covers<'a>(
        &self,
        namespace: &str,
        label: impl Fn(&str) -> Option<&'a str>,
    ) -> bool {
        self.namespace == namespace && label(&self.selector.0) == Some(self.selector.1.as_str())
    }

    /// Judges the eviction of a pod that is healthy or not, while of the pods
    /// on the node `staying` do not terminate and `healthy` of these are ready.
    pub(super) fn word(&self, pod_is_healthy: bool, staying: usize, healthy: usize) -> Word {
        if self.processing {
            return Word::Processing;
        }
        let healthy =
            self.elsewhere + healthy + self.replacements.iter().filter(|one| one.ready).count();
        let needed = match self.rule {
            Rule::MinAvailable(count) => count,
            Rule::MaxUnavailable(count) => {
                (self.elsewhere + staying + self.replacements.len()).saturating_sub(count)
            }
        };
        // unhealthyPodEvictionPolicy IfHealthyBudget, the default.
        let allowed =
            if pod_is_healthy { healthy > needed } else { healthy >= needed && needed > 0 };
        if allowed { Word::Go } else { Word::No { needed, healthy } }
    }

    /// One of its pods goes: a replacement is on its way.
    pub(super) fn lose_one(&mut self, now: Instant) {
        let ready_at = self.replaced_after.map(|time| now + time);
        self.replacements.push(Replacement { ready_at, ready: false });
    }

    /// Makes the replacements ready whose time has come; how many.
    pub(super) fn advance(&mut self, now: Instant) -> usize {
        let due = self
            .replacements
            .iter_mut()
            .filter(|one| !one.ready && one.ready_at.is_some_and(|at| at <= now));
        due.map(|one| one.ready = true).count()
    }

    /// Makes all replacements due.
    pub(super) fn hasten(&mut self, now: Instant) {
        for replacement in &mut self.replacements {
            replacement.ready_at = Some(now);
        }
    }

    /// When the next replacement becomes ready.
    pub(super) fn next_ready(&self) -> Option<Instant> {
        self.replacements.iter().filter(|one| !one.ready).filter_map(|one| one.ready_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_frees_when_the_replacement_is_ready() {
        let start = Instant::now();
        let mut budget =
            Budget::named("web").max_unavailable(1).replaced_after(Duration::from_secs(2));
        assert_eq!(budget.word(true, 3, 3), Word::Go);
        budget.lose_one(start);
        assert_eq!(budget.word(true, 2, 2), Word::No { needed: 2, healthy: 2 });
        assert_eq!(budget.advance(start + Duration::from_secs(2)), 1);
        assert_eq!(budget.word(true, 2, 2), Word::Go);
    }

    #[test]
    fn a_budget_that_allows_nothing_allows_nothing() {
        assert_eq!(Budget::named("db").word(true, 2, 2), Word::No { needed: 2, healthy: 2 });
        assert_eq!(
            Budget::named("db").min_available(3).elsewhere(1).word(true, 2, 2),
            Word::No { needed: 3, healthy: 3 }
        );
    }
}

//! A run, cut into its drains.

use std::collections::BTreeSet;

use crate::drain::pod::PodNews;
use crate::drain::verdict::Verdict;
use crate::handler::tests::timeline::{Entry, Run};
use crate::handler::world::News;
use crate::moment::Moment;
use crate::report::fact::Fact;

/// One drain.
#[derive(Debug, Default)]
pub(super) struct DrainSpan<'a> {
    /// UIDs of the pods that the watch has told of.
    pub(super) seen: BTreeSet<&'a str>,
    /// The table that was told last.
    pub(super) last_table: Option<&'a Verdict>,
    pub(super) ended: Option<Moment>,
}

/// All drains of a run, in order.
pub(super) struct DrainSpans;

impl DrainSpans {
    pub(super) fn of(run: &Run) -> Vec<DrainSpan<'_>> {
        let mut drains = Vec::new();
        for (at, entry) in &run.timeline {
            if let Entry::Told(Fact::NoticeSeen { .. }) = entry {
                drains.push(DrainSpan::default());
            }
            let Some(drain) = drains.last_mut() else { continue };
            match entry {
                Entry::Came(Some(News::Pods(PodNews::Seen(pod)))) => {
                    drain.seen.insert(pod.reference.uid.as_str());
                }
                Entry::Told(Fact::Verdict(_, verdict)) => {
                    drain.last_table = Some(verdict);
                    drain.ended = Some(*at);
                }
                // Then nothing need be told of the pods.
                Entry::Told(Fact::DrainedBefore(_)) if drain.seen.is_empty() => {
                    drain.last_table = None;
                }
                Entry::BeginsAnew { .. } => {
                    drain.last_table = drain.last_table.filter(|table| table.end.is_some());
                }
                _ => {}
            }
        }
        drains
    }
}

//! A run, cut into its drains.

use std::collections::BTreeSet;

use crate::drain::pod::PodNews;
use crate::drain::verdict::Verdict;
use crate::handler::tests::journal::{Entry, Run};
use crate::handler::world::News;
use crate::moment::Moment;
use crate::report::fact::Fact;

/// One drain.
#[derive(Debug, Default)]
pub(super) struct Chapter<'a> {
    /// UIDs of the pods that the watch has told of.
    pub(super) seen: BTreeSet<&'a str>,
    /// The table that was told last.
    pub(super) last_table: Option<&'a Verdict>,
    pub(super) ended: Option<Moment>,
}

/// All drains of a run, in order.
pub(super) struct Chapters;

impl Chapters {
    pub(super) fn of(run: &Run) -> Vec<Chapter<'_>> {
        let mut chapters = Vec::new();
        for (at, entry) in &run.journal {
            if let Entry::Told(Fact::NoticeSeen { .. }) = entry {
                chapters.push(Chapter::default());
            }
            let Some(chapter) = chapters.last_mut() else { continue };
            match entry {
                Entry::Came(Some(News::Pods(PodNews::Seen(pod)))) => {
                    chapter.seen.insert(pod.reference.uid.as_str());
                }
                Entry::Told(Fact::Verdict(_, verdict)) => {
                    chapter.last_table = Some(verdict);
                    chapter.ended = Some(*at);
                }
                // Then nothing need be told of the pods.
                Entry::Told(Fact::DrainedBefore(_)) if chapter.seen.is_empty() => {
                    chapter.last_table = None;
                }
                Entry::BeginsAnew { .. } => {
                    chapter.last_table = chapter.last_table.filter(|table| table.end.is_some());
                }
                _ => {}
            }
        }
        chapters
    }
}

//! What was said before is counted, not said again: an Event that comes again and again would fill
//! the API server.

use std::time::Duration;

use crate::moment::{Moment, WallTime};
use crate::report::events::event::{Event, Regarding};

/// So long after it was last said, something is said anew.
const MEMORY: Duration = Duration::from_mins(10);
/// Of one reason and one object at most so many Events; from then on the last one is changed.
const DIFFERENT: usize = 10;
/// What is remembered in all.
const MOST: usize = 64;

/// The Events that were written lately.
#[derive(Debug, Default)]
pub(super) struct Series {
    written: Vec<Written>,
    /// Makes names differ.
    number: u32,
}

#[derive(Clone, Debug)]
struct Written {
    event: Event,
    name: String,
    count: u32,
    last: Moment,
}

/// What is to be done to have an Event said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A new one, by this name.
    New(String),
    /// The one of this name, which has happened so many times now.
    Again(String, u32),
}

impl Series {
    /// How this Event is to be written.
    pub(super) fn enter(
        &mut self,
        now: Moment,
        wall: WallTime,
        node: &str,
        event: &Event,
    ) -> Entry {
        self.written.retain(|one| now.since(one.last) < MEMORY);
        let alike = |one: &Event| {
            (&one.regarding, one.reason, one.is_warning)
                == (&event.regarding, event.reason, event.is_warning)
        };
        let same = self.written.iter_mut().rev().filter(|one| alike(&one.event));
        let mut same: Vec<&mut Written> = same.collect();
        let many = same.len() >= DIFFERENT;
        let known = same.iter().position(|one| one.event.message == event.message);
        if let Some(one) = known.or(many.then_some(0)).and_then(|index| same.get_mut(index)) {
            (one.count, one.last, one.event) = (one.count + 1, now, event.clone());
            return Entry::Again(one.name.clone(), one.count);
        }
        self.number += 1;
        let name = self.name(wall, node, event);
        if self.written.len() >= MOST {
            self.written.remove(0);
        }
        // A pod is deleted once: there is nothing to remember.
        if event.regarding == Regarding::Node {
            let name = name.clone();
            self.written.push(Written { event: event.clone(), name, count: 1, last: now });
        }
        Entry::New(name)
    }

    /// As client-go names them: whom it regards, then something that no other has.
    fn name(&self, wall: WallTime, node: &str, event: &Event) -> String {
        let of = match &event.regarding {
            Regarding::Node => node,
            Regarding::Pod(pod) => &pod.name,
        };
        let of: String = of.chars().take(200).collect();
        let milliseconds = wall.unix_milliseconds();
        format!("{}.{milliseconds:x}{:04x}", of.trim_end_matches(['.', '-']), self.number & 0xffff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str) -> Event {
        Event {
            regarding: Regarding::Node,
            is_warning: false,
            reason: "ScheduledEvent",
            message: message.to_owned(),
        }
    }

    fn enter(series: &mut Series, second: u64, event: &Event) -> Entry {
        let wall = WallTime::parse("2026-11-23T12:00:00Z").unwrap();
        series.enter(Moment::at(Duration::from_secs(second)), wall, "node-1", event)
    }

    fn name(entry: &Entry) -> &str {
        match entry {
            Entry::New(name) | Entry::Again(name, _) => name,
        }
    }

    #[test]
    fn what_is_said_again_is_counted() {
        let mut series = Series::default();
        let first = enter(&mut series, 0, &event("a"));
        assert_eq!(first, Entry::New("node-1.1a20846fe000001".to_owned()));
        let other = enter(&mut series, 1, &event("b"));
        assert!(matches!(&other, Entry::New(other) if other != name(&first)));
        let again = Entry::Again(name(&first).to_owned(), 2);
        assert_eq!(enter(&mut series, 2, &event("a")), again);
        let warning = Event { is_warning: true, ..event("a") };
        assert!(matches!(enter(&mut series, 3, &warning), Entry::New(_)));
        assert!(matches!(enter(&mut series, 700, &event("a")), Entry::New(_)), "long after");
    }

    #[test]
    fn what_differs_all_the_time_changes_one_event_from_the_tenth_on() {
        let mut series = Series::default();
        let entries: Vec<_> =
            (0..30).map(|n| enter(&mut series, n, &event(&n.to_string()))).collect();
        let new = entries.iter().filter(|entry| matches!(entry, Entry::New(_))).count();
        assert_eq!(new, DIFFERENT);
        assert_eq!(entries[29], Entry::Again(name(&entries[9]).to_owned(), 21));
    }
}

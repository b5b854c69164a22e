//! Whether the table of verdicts says what really happened.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use jiff::Timestamp;

use crate::cluster::audit::Exchange;
use crate::verdicts::{Row, Verdicts};
use crate::witness::Sighting;

/// The handler and the tests see the same event on two watches; those of a busy
/// server lag, each in its own way.
const APART: Duration = Duration::from_secs(5);

/// From the handler's sending to the server's log.
const ON_THE_WAY: Duration = Duration::from_secs(1);

/// In the summary of a table where the API server did not give all pods.
pub const NOT_ALL: &str = "the list of pods was not read to its end";

/// Checks every table of one handler's log.
///
/// # Errors
/// Names every row that is not so, and every pod without one; the first ten.
pub fn check(log: &str, exchanges: &[Exchange], sightings: &[Sighting]) -> Result<()> {
    let Some(mut start) = log.split(' ').next().and_then(|time| time.parse::<Timestamp>().ok())
    else {
        return Ok(());
    };
    let mut lies = Vec::new();
    for table in Verdicts::all(log) {
        let facts = Facts { table: &table, start, exchanges, sightings };
        lies.extend(facts.counts());
        lies.extend(facts.missing());
        lies.extend(table.rows().iter().filter_map(|row| facts.lie(row)));
        // The next is about the next notice.
        start = table.at;
    }
    if lies.is_empty() {
        return Ok(());
    }
    lies.truncate(10);
    bail!("the table of verdicts is not true:\n  {}", lies.join("\n  "))
}

struct Facts<'a> {
    table: &'a Verdicts,
    /// Nothing before this is the table's concern.
    start: Timestamp,
    exchanges: &'a [Exchange],
    sightings: &'a [Sighting],
}

impl Facts<'_> {
    /// The numbers below the table are those of its rows.
    fn counts(&self) -> Option<String> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for row in self.table.rows() {
            *counts.entry(&row.outcome).or_default() += 1;
        }
        let wrong = counts
            .iter()
            .find(|(outcome, count)| !self.table.summary.contains(&format!("{count} {outcome}")))?;
        Some(format!("{} rows {}, and the summary is {:?}", wrong.1, wrong.0, self.table.summary))
    }

    /// Every pod that was there between the handler's start and the table has
    /// a row, unless the table says that it does not know of all.
    fn missing(&self) -> Vec<String> {
        if self.table.summary.contains(NOT_ALL) {
            return Vec::new();
        }
        let there = self.sightings.iter().filter(|pod| {
            pod.seen < before(self.table.at) && pod.gone.is_none_or(|at| at > after(self.start))
        });
        // Pods that went before the notice came were nobody's business.
        let concerned = there.filter(|pod| pod.gone.is_none() || self.asked(pod).is_some());
        concerned
            .filter(|pod| self.table.of(&pod.namespace(), &pod.name()).is_err())
            .map(|pod| format!("{}/{} has no row", pod.namespace(), pod.name()))
            .collect()
    }

    fn lie(&self, row: &Row) -> Option<String> {
        let same_name = |pod: &&Sighting| format!("{}/{}", pod.namespace(), pod.name()) == row.pod;
        let pods: Vec<&Sighting> = self.sightings.iter().filter(same_name).collect();
        let so = match row.outcome.as_str() {
            "evicted" => pods.iter().any(|pod| self.is_gone(pod) && self.was_evicted(pod)),
            "deleted" | "shortened" => {
                pods.iter().any(|pod| self.is_gone(pod) && self.did(pod, Exchange::is_deletion))
            }
            "ended by others" | "ending already" => pods.iter().any(|pod| self.is_gone(pod)),
            "still there" | "handed over" => {
                pods.iter().any(|pod| pod.gone.is_none_or(|at| at > before(self.table.at)))
            }
            "left alone" => pods.iter().any(|pod| self.asked(pod).is_none()),
            "called off" => pods.iter().any(|pod| {
                pod.gone.is_none_or(|at| at > before(self.table.at)) && !self.was_evicted(pod)
            }),
            "told to end" if row.note.contains("no answer had come") => {
                pods.iter().any(|pod| self.was_evicted(pod) || self.is_unanswered(pod))
            }
            "told to end" => pods.iter().any(|pod| pod.ending.is_some() || self.was_evicted(pod)),
            "would be evicted" | "would be refused" => {
                pods.iter().any(|pod| pod.ending.is_none_or(|at| at > self.table.at))
            }
            _ => false,
        };
        (!so).then(|| format!("{} stands as {:?}", row.pod, row.outcome))
    }

    fn is_gone(&self, pod: &Sighting) -> bool {
        pod.gone.is_some_and(|at| at < after(self.table.at))
    }

    /// By the server's log or, if it was killed before it could write that, by
    /// what an eviction leaves on the pod.
    fn was_evicted(&self, pod: &Sighting) -> bool {
        self.did(pod, Exchange::is_eviction) || pod.disruption() == Some("EvictionByEvictionAPI")
    }

    fn did(&self, pod: &Sighting, what: impl Fn(&Exchange) -> bool) -> bool {
        let uid = pod.uid();
        self.exchanges
            .iter()
            .any(|one| what(one) && one.accepted() && one.uid_precondition() == Some(&uid))
    }

    /// Whether a request about it may have been under way when the table was
    /// told. One that was cut off before it left the handler is in no log of the
    /// server: what it saw is that the pod was asked before, and was refused or
    /// not answered. That a table tells it only where a request was handed over
    /// is a law of the drain's own tests.
    fn is_unanswered(&self, pod: &Sighting) -> bool {
        let uid = pod.uid();
        let of_pod = |one: &&Exchange| one.uid_precondition() == Some(&uid);
        self.exchanges.iter().filter(of_pod).any(|one| one.received <= self.table.at + ON_THE_WAY)
    }

    fn asked(&self, pod: &Sighting) -> Option<&Exchange> {
        let uid = pod.uid();
        self.exchanges.iter().find(|one| one.uid_precondition() == Some(&uid))
    }
}

fn before(time: Timestamp) -> Timestamp {
    time.checked_sub(APART).unwrap_or(time)
}

fn after(time: Timestamp) -> Timestamp {
    time.checked_add(APART).unwrap_or(time)
}

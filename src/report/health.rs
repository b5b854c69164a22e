//! Whether this process does its work, as the kubelet's probes ask. Pure.

use std::sync::Arc;
use std::time::Duration;

use crate::moment::Moment;
use crate::notice::NoticePath;

/// What the answers of the metadata service and the API server show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessHealth {
    watched: Vec<PathHealth>,
    metadata_answered: bool,
    api_answered: bool,
    /// The name of the node, where there is no such Node.
    missing: Option<Arc<str>>,
    /// Pages that could not be served so far.
    not_served: Vec<String>,
}

/// A path that is polled.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PathHealth {
    path: NoticePath,
    interval: Duration,
    /// The last poll, good or not; before the first, the start of the process.
    last_turn: Moment,
}

/// A path may miss this many polls and this much time on top: polls that fail are up to half a minute
/// apart, and each may take a while.
const TURNS: u32 = 3;
const SLACK: Duration = Duration::from_mins(1);

impl ProcessHealth {
    /// At the start of the process: these paths are to be polled, each at such an interval.
    pub fn new(polled: impl IntoIterator<Item = (NoticePath, Duration)>) -> Self {
        let watched = polled.into_iter().map(|(path, interval)| PathHealth {
            path,
            interval,
            last_turn: Moment::START,
        });
        Self {
            watched: watched.collect(),
            metadata_answered: false,
            api_answered: false,
            missing: None,
            not_served: Vec::new(),
        }
    }

    /// A path was polled. `good`: the answer was understood, be it that there is no notice.
    pub fn polled(&mut self, path: NoticePath, at: Moment, good: bool) {
        for watched in self.watched.iter_mut().filter(|watched| watched.path == path) {
            watched.last_turn = watched.last_turn.max(at);
        }
        self.metadata_answered |= good;
    }

    /// The API server answered.
    pub fn api_answered(&mut self) {
        self.api_answered = true;
    }

    /// There is no Node of this name; `None`: there is one, or that is not known.
    pub fn node_missing(&mut self, name: Option<Arc<str>>) {
        self.missing = name;
    }

    /// These pages cannot be served.
    pub fn not_served(&mut self, pages: &str) {
        self.not_served.push(pages.to_owned());
    }

    /// They are served now.
    pub fn served(&mut self, pages: &str) {
        self.not_served.retain(|known| known != pages);
    }

    /// Pages that cannot be served, in a line. They do not affect readiness.
    pub fn missing_pages(&self) -> Option<String> {
        let pages = self.not_served.join(", ");
        (!pages.is_empty()).then(|| format!("not served: {pages}; the log says why"))
    }

    /// Whether every path is polled: a thread that hangs does not poll. A metadata service that fails
    /// is no reason to restart this process, which would not help.
    pub fn live(&self, now: Moment) -> Result<(), String> {
        for PathHealth { path, interval, last_turn } in &self.watched {
            let silent_for = now.since(*last_turn);
            if silent_for > interval.saturating_mul(TURNS).saturating_add(SLACK) {
                return Err(format!(
                    "{path} was last polled {} s ago, and is to be polled every {} s",
                    silent_for.as_secs(),
                    interval.as_secs_f64()
                ));
            }
        }
        Ok(())
    }

    /// Whether the metadata service, if it is polled, and the API server have each answered once, and
    /// there is a Node of the name that is set, as far as is known: with these settings this process
    /// can do its work. The log and the metrics show what fails later.
    pub fn ready(&self) -> Result<(), String> {
        if let Some(name) = &self.missing {
            return Err(format!("there is no node named {name}"));
        }
        let metadata_answered = self.metadata_answered || self.watched.is_empty();
        let awaited = match (metadata_answered, self.api_answered) {
            (true, true) => return Ok(()),
            (false, true) => "the metadata service has not answered yet",
            (true, false) => "the API server has not answered yet",
            (false, false) => "neither the metadata service nor the API server has answered yet",
        };
        Err(awaited.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTION: NoticePath = NoticePath::InstanceAction;
    const REBALANCE: NoticePath = NoticePath::Rebalance;

    fn at(seconds: u64) -> Moment {
        Moment::at(Duration::from_secs(seconds))
    }

    fn health() -> ProcessHealth {
        ProcessHealth::new([(ACTION, Duration::from_secs(1)), (REBALANCE, Duration::from_secs(5))])
    }

    fn why_not_live(health: &ProcessHealth, now: u64) -> Option<String> {
        health.live(at(now)).err()
    }

    #[test]
    fn before_the_first_turn_silence_counts_from_the_start() {
        assert_eq!(why_not_live(&health(), 63), None);
        let why = "spot/instance-action was last polled 64 s ago, and is to be polled every 1 s";
        assert_eq!(why_not_live(&health(), 64).as_deref(), Some(why));
    }

    #[test]
    fn each_path_is_to_have_its_turns_by_its_own_interval() {
        let mut health = health();
        health.polled(ACTION, at(100), true);
        let why = "events/recommendations/rebalance was last polled 101 s ago, and is to be polled \
                   every 5 s";
        assert_eq!(why_not_live(&health, 101).as_deref(), Some(why));
        health.polled(REBALANCE, at(110), true);
        health.polled(ACTION, at(130), true);
        assert_eq!(why_not_live(&health, 110 + 75), None);
        assert!(why_not_live(&health, 110 + 76).is_some());
    }

    #[test]
    fn a_turn_that_came_to_nothing_is_a_turn() {
        let mut health = health();
        for turn in (0..600).step_by(60) {
            health.polled(ACTION, at(turn), false);
            health.polled(REBALANCE, at(turn), false);
            assert_eq!(why_not_live(&health, turn + 60), None);
        }
        assert!(health.ready().is_err());
    }

    #[test]
    fn an_older_turn_that_is_told_late_and_a_path_that_is_not_polled_change_nothing() {
        let mut health = health();
        health.polled(ACTION, at(100), true);
        health.polled(REBALANCE, at(100), true);
        health.polled(ACTION, at(20), true);
        health.polled(NoticePath::Lifecycle, at(20), true);
        assert_eq!(why_not_live(&health, 163), None);
    }

    #[test]
    fn an_interval_without_measure_is_waited_for_and_does_not_overflow() {
        let health = ProcessHealth::new([(ACTION, Duration::MAX)]);
        assert_eq!(health.live(Moment::at(Duration::MAX)), Ok(()));
    }

    #[test]
    fn ready_is_who_heard_both_once() {
        let why = |health: &ProcessHealth| health.ready().err();
        let mut health = health();
        let neither = "neither the metadata service nor the API server has answered yet";
        assert_eq!(why(&health).as_deref(), Some(neither));
        health.polled(ACTION, at(1), false);
        assert_eq!(why(&health).as_deref(), Some(neither));
        let mut other = health.clone();
        health.polled(ACTION, at(2), true);
        assert_eq!(why(&health).as_deref(), Some("the API server has not answered yet"));
        other.api_answered();
        assert_eq!(why(&other).as_deref(), Some("the metadata service has not answered yet"));
        health.api_answered();
        other.polled(REBALANCE, at(2), true);
        assert_eq!((why(&health), why(&other)), (None, None));
        health.polled(ACTION, at(3), false);
        assert_eq!(why(&health), None);
    }

    #[test]
    fn a_node_that_is_not_there_cannot_be_drained() {
        let mut health = health();
        health.polled(ACTION, at(2), true);
        health.api_answered();
        health.node_missing(Some(Arc::from("ip-10-0-0-1.ec2.internal")));
        let why = health.ready();
        assert_eq!(why, Err("there is no node named ip-10-0-0-1.ec2.internal".to_owned()));
        assert_eq!(why_not_live(&health, 3), None, "to start anew helps nothing");
        health.node_missing(None);
        assert_eq!(health.ready(), Ok(()));
    }

    #[test]
    fn where_nothing_is_polled_nothing_is_waited_for_but_the_api_server() {
        let mut health = ProcessHealth::new([]);
        assert_eq!(health.live(at(1_000_000)), Ok(()));
        assert!(health.ready().is_err());
        health.api_answered();
        assert_eq!(health.ready(), Ok(()));
    }

    #[test]
    fn a_page_that_is_not_served_is_told_and_makes_nobody_less_ready() {
        let mut health = ProcessHealth::new([]);
        health.api_answered();
        assert_eq!((health.ready(), health.missing_pages()), (Ok(()), None));
        health.not_served("metrics");
        let told = health.missing_pages();
        assert_eq!(told.as_deref(), Some("not served: metrics; the log says why"));
        assert_eq!(health.ready(), Ok(()));
        health.served("metrics");
        assert_eq!(health.missing_pages(), None);
    }
}

//! The endpoints: which there are, and what they return.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::moment::Moment;
use crate::report::health::ProcessHealth;
use crate::report::metrics::{Format, Metrics};
use crate::report::server::message::{PageMethod, PageRequest, PageResponse, PageStatus};
use crate::settings::{LivePath, METRICS, READY};

/// The endpoints of one socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The metrics, at `/metrics`.
    pub metrics: bool,
    /// The probes: whether this process is ready at `/readyz`, and whether it is alive at this path.
    pub probes: Option<LivePath>,
}

impl Endpoints {
    /// Adds those of `other`.
    pub(super) fn add(&mut self, other: &Self) {
        self.metrics |= other.metrics;
        if self.probes.is_none() {
            self.probes.clone_from(&other.probes);
        }
    }

    /// The settings of the port, for people.
    pub(super) fn port_settings(&self) -> &'static str {
        match (self.metrics, &self.probes) {
            (true, None) => "PROMETHEUS_SERVER_PORT",
            (true, Some(_)) => "PROMETHEUS_SERVER_PORT and PROBES_SERVER_PORT",
            (false, _) => "PROBES_SERVER_PORT",
        }
    }

    /// The response to a request.
    pub(super) fn answer(
        &self,
        asked: &PageRequest,
        pages: &impl PageContent,
        now: Moment,
    ) -> PageResponse {
        let Some(page) = self.page(&asked.path) else {
            return PageResponse::of(PageStatus::NotFound);
        };
        if asked.method == PageMethod::Other {
            return PageResponse::of(PageStatus::MethodNotAllowed);
        }
        match page {
            Endpoint::Metrics => {
                let format = Format::accepted(&asked.accept);
                PageResponse::page(format.content_type(), pages.metrics(format))
            }
            Endpoint::Live => probe(pages.live(now).map(|()| None)),
            Endpoint::Ready => probe(pages.ready()),
        }
    }

    fn page(&self, path: &str) -> Option<Endpoint> {
        match &self.probes {
            _ if self.metrics && path == METRICS => Some(Endpoint::Metrics),
            Some(_) if path == READY => Some(Endpoint::Ready),
            Some(live) if live.is(path) => Some(Endpoint::Live),
            _ => None,
        }
    }
}

impl fmt::Display for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.metrics, &self.probes) {
            (true, None) => "metrics",
            (true, Some(_)) => "metrics and probes",
            (false, _) => "probes",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Metrics,
    Live,
    Ready,
}

fn probe(outcome: Result<Option<String>, String>) -> PageResponse {
    match outcome {
        Ok(None) => PageResponse::words(PageStatus::Ok, "ok"),
        Ok(Some(besides)) => PageResponse::words(PageStatus::Ok, &format!("ok\n{besides}")),
        Err(why) => PageResponse::words(PageStatus::Unavailable, &why),
    }
}

/// What the endpoints return. Called on the listener's thread for each request; must not block.
pub trait PageContent {
    /// The metrics.
    fn metrics(&self, format: Format) -> String;
    /// Whether this process is live; else why it is not, in one line.
    fn live(&self, now: Moment) -> Result<(), String>;
    /// Whether it is ready, with a warning, if there is one; else why it is not: one line.
    fn ready(&self) -> Result<Option<String>, String>;
}

/// What metrics and probes show, shared with those that update it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// `None` if metrics are disabled: the page is empty.
    pub metrics: Option<Arc<Metrics>>,
    /// The state behind the probes.
    pub health: Arc<Mutex<ProcessHealth>>,
}

impl Shown {
    pub(in crate::report) fn health(&self) -> MutexGuard<'_, ProcessHealth> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PageContent for Shown {
    fn metrics(&self, format: Format) -> String {
        self.metrics.as_ref().map(|metrics| metrics.encode(format)).unwrap_or_default()
    }

    fn live(&self, now: Moment) -> Result<(), String> {
        self.health().live(now)
    }

    fn ready(&self) -> Result<Option<String>, String> {
        let health = self.health();
        health.ready()?;
        Ok(health.missing_pages())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_alive_at_every_path_still_has_its_other_pages() {
        let endpoints = Endpoints { metrics: true, probes: Some(LivePath::anywhere()) };
        for (path, page) in [
            ("/metrics", Endpoint::Metrics),
            ("/readyz", Endpoint::Ready),
            ("/healthz", Endpoint::Live),
            ("/", Endpoint::Live),
            ("/a/b", Endpoint::Live),
        ] {
            assert_eq!(endpoints.page(path), Some(page), "{path}");
        }
    }
}

//! What is answered where. Pure.

use std::fmt;

use crate::moment::Moment;
use crate::report::metrics::Format;
use crate::report::server::pages::Pages;
use crate::report::server::request::{Asked, Method};
use crate::report::server::response::{Response, Status};
use crate::settings::{LivePath, METRICS, READY};

/// What one socket answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The metrics, at `/metrics`.
    pub metrics: bool,
    /// The probes: whether this process is ready at `/readyz`, and whether it is alive at this path.
    pub probes: Option<LivePath>,
}

impl Endpoints {
    /// Answers what `other` does, too.
    pub(super) fn add(&mut self, other: &Self) {
        self.metrics |= other.metrics;
        if self.probes.is_none() {
            self.probes.clone_from(&other.probes);
        }
    }

    /// The settings that say on which port, for people.
    pub(super) fn port_settings(&self) -> &'static str {
        match (self.metrics, &self.probes) {
            (true, None) => "PROMETHEUS_SERVER_PORT",
            (true, Some(_)) => "PROMETHEUS_SERVER_PORT and PROBES_SERVER_PORT",
            (false, _) => "PROBES_SERVER_PORT",
        }
    }

    /// What is answered.
    pub(super) fn answer(&self, asked: &Asked, pages: &impl Pages, now: Moment) -> Response {
        let Some(page) = self.page(&asked.path) else { return Response::of(Status::NotFound) };
        if asked.method == Method::Other {
            return Response::of(Status::MethodNotAllowed);
        }
        match page {
            Page::Metrics => {
                let format = Format::accepted(&asked.accept);
                Response::page(format.content_type(), pages.metrics(format))
            }
            Page::Live => probe(pages.live(now).map(|()| None)),
            Page::Ready => probe(pages.ready()),
        }
    }

    fn page(&self, path: &str) -> Option<Page> {
        match &self.probes {
            _ if self.metrics && path == METRICS => Some(Page::Metrics),
            Some(_) if path == READY => Some(Page::Ready),
            Some(live) if live.is(path) => Some(Page::Live),
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
enum Page {
    Metrics,
    Live,
    Ready,
}

fn probe(outcome: Result<Option<String>, String>) -> Response {
    match outcome {
        Ok(None) => Response::words(Status::Ok, "ok"),
        Ok(Some(besides)) => Response::words(Status::Ok, &format!("ok\n{besides}")),
        Err(why) => Response::words(Status::Unavailable, &why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_alive_at_every_path_still_has_its_other_pages() {
        let endpoints = Endpoints { metrics: true, probes: Some(LivePath::anywhere()) };
        for (path, page) in [
            ("/metrics", Page::Metrics),
            ("/readyz", Page::Ready),
            ("/healthz", Page::Live),
            ("/", Page::Live),
            ("/a/b", Page::Live),
        ] {
            assert_eq!(endpoints.page(path), Some(page), "{path}");
        }
    }
}

//! Lists, and what a watch begins with.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::selector::Selector;
use super::store::{Line, Store, event};
use crate::http::{Request, Response};

/// What the server makes of `sendInitialEvents`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WatchList {
    /// It sends them, and a bookmark at their end (1.32, 1.34 and later).
    #[default]
    Offered,
    /// It refuses them: 422 (the feature gate is off).
    Refused,
    /// It has never heard of them, and pays no heed.
    Unknown,
}

/// A watch that has begun.
pub(super) struct Watcher {
    pub(super) selector: Selector,
    /// What is to be sent first.
    pub(super) first: VecDeque<Arc<[u8]>>,
    /// Where in the store's lines it goes on.
    pub(super) position: usize,
    /// Whether bookmarks are wanted.
    pub(super) bookmarks: bool,
    /// Whether it ends after the first lines.
    pub(super) ends: bool,
}

impl Store {
    /// GET of the pods. There is no cache that could lag behind: every list is of the present state, and
    /// so as new as any `resourceVersion` may ask for. It is given whole, as from the cache of a real one.
    pub(super) fn list(
        &self,
        namespace: Option<&str>,
        request: &Request,
    ) -> Result<Response, Refusal> {
        let selector = Selector::of(request, namespace)?;
        for parameter in ["limit", "continue"] {
            if request.parameter(parameter).is_some() {
                let message = format!("{parameter}: this stand-in gives no list in parts");
                return Err(Refusal::new(400, message));
            }
        }
        let asked_revision = self.asked_revision(request)?;
        match (request.parameter("resourceVersionMatch"), asked_revision) {
            (None, _) | (Some("NotOlderThan"), Some(_)) => {}
            (Some(_), None) => {
                return Err(invalid(
                    "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless \
                     resourceVersion is provided",
                ));
            }
            (Some(other), Some(_)) => {
                let message = format!("resourceVersionMatch: Unsupported value: {other:?}");
                return Err(invalid(&message));
            }
        }
        let present = self.pods.values().filter(|held| selector.matches(&held.subject()));
        let items: Vec<String> = present.map(|held| item(&held.object)).collect();
        let (revision, items) = (self.revision(), items.join(","));
        let list = format!(
            r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"{revision}"}},"items":[{items}]}}"#
        );
        Ok(Response::new(200, "application/json", list))
    }

    /// Begins a watch of the pods.
    pub(super) fn watch(
        &self,
        namespace: Option<&str>,
        request: &Request,
        watch_list: WatchList,
    ) -> Result<Watcher, Refusal> {
        let selector = Selector::of(request, namespace)?;
        let bookmarks = request.switched_on("allowWatchBookmarks");
        let asked = request.switched_on("sendInitialEvents") && watch_list != WatchList::Unknown;
        if watch_list != WatchList::Unknown {
            check_initial_events(request, watch_list)?;
        }
        let revision = self.asked_revision(request)?;
        let mut watcher = Watcher {
            selector,
            first: VecDeque::new(),
            position: self.lines.len(),
            bookmarks,
            ends: false,
        };
        match revision {
            Some(revision) if asked && revision > self.revision() => {
                return Err(self.too_large(revision));
            }
            Some(revision) if revision > 0 && !asked => {
                if revision < self.compacted() {
                    let refusal = Refusal::new(
                        410,
                        format!("too old resource version: {revision} ({})", self.compacted()),
                    );
                    watcher.first.push_back(event("ERROR", &refusal.status()).into());
                    watcher.ends = true;
                } else {
                    watcher.first = self.since(revision, &watcher.selector);
                }
            }
            _ => {
                let present =
                    self.pods.values().filter(|held| watcher.selector.matches(&held.subject()));
                watcher.first = present.map(|held| event("ADDED", &held.object).into()).collect();
                if asked && bookmarks {
                    watcher.first.push_back(self.bookmark(true).into());
                }
            }
        }
        Ok(watcher)
    }

    /// A bookmark of the store's present state.
    pub(super) fn bookmark(&self, ends_initial_events: bool) -> Vec<u8> {
        let mut metadata =
            json!({ "resourceVersion": self.revision().to_string(), "creationTimestamp": null });
        if ends_initial_events {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let object = json!({ "kind": "Pod", "apiVersion": "v1", "metadata": metadata,
            "spec": { "containers": null }, "status": {} });
        event("BOOKMARK", &object)
    }

    fn since(&self, revision: u64, selector: &Selector) -> VecDeque<Arc<[u8]>> {
        let missed = self.lines.iter().filter_map(|line| match line {
            Line::Event { revision: at, subject, bytes }
                if *at > revision && selector.matches(subject) =>
            {
                Some(Arc::clone(bytes))
            }
            _ => None,
        });
        missed.collect()
    }

    fn asked_revision(&self, request: &Request) -> Result<Option<u64>, Refusal> {
        let Some(text) = request.parameter("resourceVersion") else { return Ok(None) };
        let revision = text
            .parse()
            .map_err(|_| Refusal::new(400, format!("resourceVersion: Invalid value: {text:?}")))?;
        let watching = request.switched_on("watch");
        if !watching && revision > self.revision() {
            return Err(self.too_large(revision));
        }
        Ok(Some(revision))
    }

    fn too_large(&self, revision: u64) -> Refusal {
        Refusal::new(
            504,
            format!(
                "Timeout: Too large resource version: {revision}, current: {}",
                self.revision()
            ),
        )
        .because("ResourceVersionTooLarge", "Too large resource version")
        .retry_after(1)
    }
}

/// An item of a list, which does not say what it is: the list does.
fn item(object: &Value) -> String {
    let fields = object.as_object().into_iter().flatten();
    let fields = fields.filter(|(name, _)| !matches!(name.as_str(), "kind" | "apiVersion"));
    let fields: Vec<String> = fields.map(|(name, value)| format!("{name:?}:{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

fn check_initial_events(request: &Request, watch_list: WatchList) -> Result<(), Refusal> {
    let matching = request.parameter("resourceVersionMatch");
    if request.parameter("sendInitialEvents").is_none() {
        if matching.is_some() {
            return Err(invalid(
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch \
                 unless sendInitialEvents is provided",
            ));
        }
        return Ok(());
    }
    if watch_list == WatchList::Refused {
        return Err(invalid(
            "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the \
             WatchList feature gate is enabled",
        ));
    }
    if matching != Some("NotOlderThan") {
        return Err(invalid(
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting \
             resourceVersionMatch to NotOlderThan",
        ));
    }
    Ok(())
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(422, format!("ListOptions.meta.k8s.io \"\" is invalid: {message}"))
}

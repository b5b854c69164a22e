//! Lists, and what a watch begins with.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::selector::Selector;
use super::store::{Line, Page, Store, event};
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
    /// GET of the pods.
    pub(super) fn list(
        &mut self,
        namespace: Option<&str>,
        request: &Request,
    ) -> Result<Response, Refusal> {
        let selector = Selector::of(request, namespace)?;
        let limit = match request.parameter("limit") {
            None => 0,
            Some(text) => text
                .parse::<usize>()
                .map_err(|_| Refusal::new(400, format!("limit: {text:?} is not a number")))?,
        };
        let asked_revision = self.asked_revision(request)?;
        let page = match request.parameter("continue") {
            Some(_) if asked_revision.is_some() => {
                let message = "specifying resource version is not allowed when using continue";
                return Err(Refusal::new(400, message));
            }
            Some(token) => self.pages.remove(token).ok_or_else(|| {
                Refusal::new(410, "The provided continue parameter is too old to display a consistent list result.")
            })?,
            None => Page { revision: self.revision(), rest: self.items(&selector) },
        };
        // A list from the cache (resourceVersion 0) is given whole.
        let whole = limit == 0 || asked_revision == Some(0);
        Ok(self.give(page, if whole { usize::MAX } else { limit }))
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

    fn items(&self, selector: &Selector) -> VecDeque<Value> {
        let present = self.pods.values().filter(|held| selector.matches(&held.subject()));
        let bare = present.map(|held| {
            let mut item = held.object.clone();
            // Items of a list do not say what they are: the list does.
            if let Some(fields) = item.as_object_mut() {
                fields.remove("kind");
                fields.remove("apiVersion");
            }
            item
        });
        bare.collect()
    }

    fn give(&mut self, mut page: Page, limit: usize) -> Response {
        let count = limit.min(page.rest.len());
        let items: Vec<Value> = page.rest.drain(..count).collect();
        let mut metadata = json!({ "resourceVersion": page.revision.to_string() });
        if !page.rest.is_empty() {
            let token = format!("from-{}-rest-{}", page.revision, page.rest.len());
            metadata["continue"] = json!(token);
            self.pages.insert(token, page);
        }
        let list =
            json!({ "kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items });
        Response::json(200, &list)
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

fn check_initial_events(request: &Request, watch_list: WatchList) -> Result<(), Refusal> {
    let invalid = |message: &str| {
        let message = format!("ListOptions.meta.k8s.io \"\" is invalid: {message}");
        Err(Refusal::new(422, message))
    };
    let matching = request.parameter("resourceVersionMatch");
    if request.parameter("sendInitialEvents").is_none() {
        if matching.is_some() {
            return invalid(
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch \
                 unless sendInitialEvents is provided",
            );
        }
        return Ok(());
    }
    if watch_list == WatchList::Refused {
        return invalid(
            "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the \
             WatchList feature gate is enabled",
        );
    }
    if matching != Some("NotOlderThan") {
        return invalid(
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting \
             resourceVersionMatch to NotOlderThan",
        );
    }
    Ok(())
}

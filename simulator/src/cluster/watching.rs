//! Sending a watch, line by line, for as long as the client listens.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::pod::Pod;
use super::reading::Watcher;
use super::refusal::Refusal;
use super::service::Api;
use super::store::{Line, event};
use crate::fault::Disturbance;
use crate::http::{After, Chunks, Wire};
use crate::lock;

/// How long a watch sleeps at most before it looks whether it is still heard.
const GLANCE: Duration = Duration::from_millis(50);

/// How often a watch gets a bookmark.
const BOOKMARKS: Duration = Duration::from_mins(1);

/// A watch that is being sent.
pub(super) struct Sending<'a> {
    api: &'a Api,
    watcher: Watcher,
    /// After so many lines this happens.
    disturbance: Option<(usize, Disturbance)>,
    sent: usize,
    ends_at: Option<Instant>,
}

/// What is to be sent.
enum Item {
    Line(Arc<[u8]>),
    Disturbance(Disturbance),
}

enum Go {
    On,
    End,
    Cut,
}

impl<'a> Sending<'a> {
    pub(super) fn new(
        api: &'a Api,
        watcher: Watcher,
        disturbance: Option<(usize, Disturbance)>,
        lasts: Option<Duration>,
    ) -> Self {
        let ends_at = lasts.map(|time| Instant::now() + time);
        Self { api, watcher, disturbance, sent: 0, ends_at }
    }

    /// Sends until the watch ends or the client hangs up.
    pub(super) fn run(mut self, wire: &mut Wire) -> io::Result<After> {
        let mut body = Chunks::begin(wire, 200, "application/json")?;
        let first = std::mem::take(&mut self.watcher.first);
        let mut items: VecDeque<Item> = first.into_iter().map(Item::Line).collect();
        let mut last_bookmark = Instant::now();
        loop {
            let item = match self.disturbance_due() {
                Some(disturbance) => Some(Item::Disturbance(disturbance)),
                None => items.pop_front(),
            };
            match item {
                Some(Item::Line(bytes)) => {
                    body.piece(&bytes)?;
                    self.sent += 1;
                    continue;
                }
                Some(Item::Disturbance(disturbance)) => {
                    match self.disturb(disturbance, &mut body)? {
                        Go::On => continue,
                        Go::End => return body.end().map(|()| After::Keep),
                        Go::Cut => return Ok(After::Cut),
                    }
                }
                None => {}
            }
            let over = self.ends_at.is_some_and(|end| Instant::now() >= end);
            if self.watcher.ends || over {
                return body.end().map(|()| After::Keep);
            }
            if self.watcher.bookmarks && last_bookmark.elapsed() >= BOOKMARKS {
                last_bookmark = Instant::now();
                let bookmark = lock(&self.api.store).bookmark(false);
                body.piece(&bookmark)?;
            }
            if body.wire().is_over() {
                return Ok(After::Cut);
            }
            items = self.wait();
        }
    }

    /// What has come since, or nothing after a while.
    fn wait(&mut self) -> VecDeque<Item> {
        let store = lock(&self.api.store);
        let store = if store.lines.len() > self.watcher.position {
            store
        } else {
            match self.api.changed.wait_timeout(store, GLANCE) {
                Ok((store, _)) => store,
                Err(poisoned) => poisoned.into_inner().0,
            }
        };
        let fresh = store.lines.iter().skip(self.watcher.position);
        let items = fresh.filter_map(|line| match line {
            Line::Event { subject, bytes, .. } => {
                self.watcher.selector.matches(subject).then(|| Item::Line(Arc::clone(bytes)))
            }
            Line::Disturbed(what) => Some(Item::Disturbance(what.clone())),
        });
        let items = items.collect();
        self.watcher.position = store.lines.len();
        items
    }

    fn disturbance_due(&mut self) -> Option<Disturbance> {
        self.disturbance.take_if(|(after, _)| self.sent >= *after).map(|(_, what)| what)
    }

    fn disturb(&self, disturbance: Disturbance, body: &mut Chunks<'_, Wire>) -> io::Result<Go> {
        match disturbance {
            Disturbance::Expired => {
                let refusal =
                    Refusal::new(410, "The resourceVersion for the provided watch is too old.");
                body.piece(&event("ERROR", &refusal.status()))?;
                Ok(Go::End)
            }
            Disturbance::ErrorWithoutCode => {
                let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {},
                    "status": "Failure" });
                body.piece(&event("ERROR", &status))?;
                Ok(Go::End)
            }
            Disturbance::CutLine => {
                body.piece(
                    br#"{"type":"MODIFIED","object":{"kind":"Pod","apiVersion":"v1","meta"#,
                )?;
                Ok(Go::Cut)
            }
            Disturbance::Ended => Ok(Go::End),
            Disturbance::LongLine(length) => {
                for piece in self.long_line(length).chunks(64 * 1024) {
                    body.piece(piece)?;
                }
                Ok(Go::On)
            }
            Disturbance::Bytes(bytes) => body.piece(&bytes).map(|()| Go::On),
            Disturbance::Silence => {
                body.wire().hang();
                Ok(Go::Cut)
            }
        }
    }

    /// A line about a pod of the Node, of that length without its newline.
    fn long_line(&self, length: usize) -> Vec<u8> {
        let node = lock(&self.api.store).node_name().to_owned();
        let uid = "00000000-0000-4000-8000-000000000000";
        let pod = Pod::named("default/long").size(length.saturating_sub(100));
        let mut line = event("ADDED", &pod.object(&node, uid, "2026-01-01T00:00:00Z"));
        // JSON may end in spaces.
        line.pop();
        line.resize(line.len().max(length), b' ');
        line.push(b'\n');
        line
    }
}

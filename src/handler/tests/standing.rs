//! Which notices stand, worked out from what the paths said, and from nothing of the handler's own.

use std::collections::BTreeMap;

use crate::handler::tests::script::Script;
use crate::intent::Intent;
use crate::moment::Moment;
use crate::notice::{NoticeId, NoticePath, Polled, When};

/// The notices that stand.
pub(super) struct Standing<'a> {
    script: &'a Script,
    paths: BTreeMap<NoticePath, BTreeMap<NoticeId, u8>>,
    seen: BTreeMap<NoticeId, Seen>,
    /// What stood when earlier processes ended, and by when it was to be dealt with.
    earlier: BTreeMap<NoticeId, Option<Moment>>,
    appearances: u32,
}

/// A notice that stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// What is to be made of it.
    pub(super) intent: Intent,
    when: When,
    /// When a drain for it is over: an earlier process may have said so, and the Node remembers it.
    pub(super) end: Option<Moment>,
    /// Numbers the appearances of all notices.
    pub(super) appearance: u32,
}

impl<'a> Standing<'a> {
    pub(super) fn new(script: &'a Script) -> Self {
        Self {
            script,
            paths: BTreeMap::new(),
            seen: BTreeMap::new(),
            earlier: BTreeMap::new(),
            appearances: 0,
        }
    }

    /// Another process begins.
    pub(super) fn begin_anew(&mut self) {
        self.paths.clear();
        let stood = std::mem::take(&mut self.seen).into_iter();
        self.earlier.extend(stood.map(|(id, seen)| (id, seen.end)));
    }

    /// A poll has ended. What has appeared with it.
    pub(super) fn observe(&mut self, at: Moment, polled: &Polled) -> Vec<NoticeId> {
        let Ok(answer) = &polled.outcome else { return Vec::new() };
        let reading = self.script.reading(at);
        let path = self.paths.entry(polled.path).or_default();
        path.retain(|id, absent| {
            let says = answer.standing.iter().any(|notice| notice.id == *id);
            let over = matches!(id, NoticeId::Maintenance(it) if answer.over.contains(&it.id));
            *absent = if says { 0 } else { *absent + 1 };
            *absent < 3 && (says || !over)
        });
        let mut appeared = Vec::new();
        for notice in &answer.standing {
            let is_old = polled.path == NoticePath::TerminationTime
                && matches!(notice.when, When::At(time) if reading.moment_of(time).is_none())
                && !path.contains_key(&notice.id);
            if is_old {
                continue;
            }
            path.insert(notice.id.clone(), 0);
            let intent = Intent::of(notice, reading, &self.script.config.policy);
            if let Some(seen) = self.seen.get_mut(&notice.id) {
                let moves = matches!(notice.id, NoticeId::Maintenance(_));
                if moves && notice.when != seen.when
                    || intent.effect.end() < seen.intent.effect.end()
                {
                    (seen.intent, seen.when, seen.end) = (intent, notice.when, intent.effect.end());
                }
            } else {
                self.appearances += 1;
                let own = intent.effect.end();
                let end = match self.earlier.remove(&notice.id).flatten() {
                    Some(earlier) => own.map(|own| own.min(earlier)),
                    None => own,
                };
                let seen = Seen { intent, when: notice.when, end, appearance: self.appearances };
                self.seen.insert(notice.id.clone(), seen);
                appeared.push(notice.id.clone());
            }
        }
        let paths = &self.paths;
        self.seen.retain(|id, _| paths.values().any(|path| path.contains_key(id)));
        appeared
    }

    pub(super) fn stands(&self, id: &NoticeId) -> bool {
        self.seen.contains_key(id)
    }

    pub(super) fn get(&self, id: &NoticeId) -> Option<&Seen> {
        self.seen.get(id)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&NoticeId, &Seen)> {
        self.seen.iter()
    }
}

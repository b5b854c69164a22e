//! Which notices stand, and what is to be made of them, worked out from what the paths said, and from
//! nothing of the handler's own.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::drain::limit::Limit;
use crate::drain::tests::cluster::secs;
use crate::handler::tests::script::Script;
use crate::moment::{Moment, Reading};
use crate::notice::{Action, Code, Notice, NoticeId, NoticePath, Polled, When};
use crate::plan::kinds::{Policy, Rebalance};

/// The notices that stand.
pub(super) struct ExpectedNotices<'a> {
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
    /// From when on.
    pub(super) from: Moment,
    /// What is to be done then.
    pub(super) limit: Option<Limit>,
    pub(super) when: When,
    /// When a drain for it is over: an earlier process may have said so, and the Node remembers it.
    pub(super) end: Option<Moment>,
    /// Numbers the appearances of all notices.
    pub(super) appearance: u32,
}

impl<'a> ExpectedNotices<'a> {
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
            let (from, limit) = meant(notice, reading, &self.script.config.policy);
            if let Some(seen) = self.seen.get_mut(&notice.id) {
                let moves = matches!(notice.id, NoticeId::Maintenance(_));
                if moves && notice.when != seen.when || end(limit) < end(seen.limit) {
                    (seen.from, seen.limit, seen.end) = (from, limit, end(limit));
                    seen.when = notice.when;
                }
            } else {
                self.appearances += 1;
                let own = end(limit);
                let end = match self.earlier.remove(&notice.id).flatten() {
                    Some(earlier) => own.map(|own| own.min(earlier)),
                    None => own,
                };
                let (when, appearance) = (notice.when, self.appearances);
                let seen = Seen { from, limit, when, end, appearance };
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

/// What EC2 gives before an interruption, and what is taken where no time can be believed.
const TWO_MINUTES: Duration = secs(120);
/// A time beyond this is not believed of an interruption.
const TOO_FAR: Duration = secs(150);
/// With less nobody can be asked anything.
const TOO_NEAR: Duration = secs(1);
/// The lifecycle hook of these scripts.
const HOOK: Duration = secs(55 * 60);

/// From when on what is to be done about a notice that is first read at `reading`: the rules of
/// docs/notices.md and docs/settings.md, in numbers of their own.
fn meant(notice: &Notice, reading: Reading, policy: &Policy) -> (Moment, Option<Limit>) {
    let now = reading.now;
    let stated = match notice.when {
        When::At(time) => reading.moment_of(time).filter(|at| now.until(*at) >= TOO_NEAR),
        When::Unstated => None,
    };
    let (from, limit) = match &notice.id {
        NoticeId::Interruption(action) => {
            let end = match stated {
                Some(at) if now.until(at) <= TOO_FAR => at,
                _ => now + TWO_MINUTES,
            };
            let begins_at_once = *action == Action::Hibernate;
            let limit = if begins_at_once {
                Limit::AtOnce { since: now, until: end }
            } else {
                Limit::Deadline(end)
            };
            (now, Some(limit))
        }
        NoticeId::Lifecycle(_) => (now, Some(Limit::Deadline(now + HOOK))),
        NoticeId::Maintenance(event) => {
            let leads = &policy.lead_times;
            let lead = match event.code {
                Code::InstanceReboot => leads.instance_reboot,
                Code::SystemReboot => leads.system_reboot,
                Code::SystemMaintenance => leads.system_maintenance,
                Code::InstanceRetirement => leads.instance_retirement,
                Code::InstanceStop => leads.instance_stop,
            };
            let from = stated.map_or(now, |at| now.max(at - lead));
            (from, Some(Limit::Deadline(stated.unwrap_or(now + TWO_MINUTES))))
        }
        NoticeId::Rebalance => match policy.rebalance {
            Rebalance::Mark => (now, None),
            Rebalance::Drain { timeout } => (now, Some(Limit::Timeout(now + timeout))),
        },
    };
    (from, if policy.marks_only { None } else { limit })
}

fn end(limit: Option<Limit>) -> Option<Moment> {
    limit.map(|(Limit::Deadline(end) | Limit::AtOnce { until: end, .. } | Limit::Timeout(end))| end)
}

//! What an earlier process, or an earlier boot of the machine, left on the Node, and what that says
//! of the notices that stand. Pure.

use crate::handler::entry::{Entry, outlives_its_notice};
use crate::intent::Basis;
use crate::moment::{Moment, Reading, WallTime};
use crate::node::Node;
use crate::node::state::{Known, Occurrence, Progress};
use crate::notice::NoticeId;

/// What is remembered.
#[derive(Debug)]
pub struct Memory(Option<Recollection>);

/// What the Node told.
#[derive(Debug, Default)]
struct Recollection {
    /// There was something to tell.
    found: bool,
    /// It was written in this boot.
    same_boot: bool,
    /// The node was cordoned when it was read.
    cordoned: bool,
    /// What was not heard of since, and is not known to be gone: of these, what the marks are for.
    marked: Option<Marked>,
    /// And all that was known.
    unheard: Vec<(NoticeId, Known)>,
}

/// What the Node bears marks for.
#[derive(Debug)]
struct Marked {
    id: NoticeId,
    /// When they end by themselves.
    until: Option<Moment>,
    /// No path says it any more; the marks stay for a while.
    withdrawn: bool,
}

/// How that for which the Node bears marks has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its marks have stood for their time.
    Expired(NoticeId),
    /// It was withdrawn a while ago.
    Gone(NoticeId),
}

/// What the memory says of a notice that stood before this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// How far it was dealt with.
    pub progress: Progress,
    /// When its drain was to end.
    pub end: Option<WallTime>,
    /// When its marks were to end.
    pub marks_until: Option<WallTime>,
    /// When it was made: of a recommendation.
    pub made: Option<WallTime>,
}

impl Judgement {
    /// Nothing is known of it.
    const NEW: Self = Self { progress: Progress::Open, end: None, marks_until: None, made: None };
    /// It came with the boot.
    const OVER: Self = Self { progress: Progress::Over, ..Self::NEW };

    /// The same times, and it is being dealt with.
    #[must_use]
    pub fn still_open(self) -> Self {
        Self { progress: Progress::Open, ..self }
    }
}

impl Memory {
    /// The Node was not read yet.
    pub fn unread() -> Self {
        Self(None)
    }

    /// What `node` tells a process of the boot `boot_id`.
    pub fn read(reading: Reading, node: &Node, boot_id: &str) -> Self {
        let Some(state) = node.state.state() else {
            return Self(Some(Recollection::default()));
        };
        let known = state.notices.iter();
        let unheard: Vec<(NoticeId, Known)> = known
            .filter_map(|known| Some((Occurrence::notice(&known.notice)?, known.clone())))
            .collect();
        let marked = state.notice.as_deref().and_then(NoticeId::parse).map(|id| {
            let known = unheard.iter().find(|(known, _)| *known == id);
            let until = known.and_then(|(_, known)| time(known.marks_until.as_deref()));
            let until = until.map(|until| reading.moment_of(until).unwrap_or(reading.now));
            Marked { id, until, withdrawn: false }
        });
        Self(Some(Recollection {
            same_boot: state.boot_id == boot_id,
            cordoned: node.unschedulable,
            marked,
            unheard,
            found: true,
        }))
    }

    /// Whether the Node was read.
    pub fn is_read(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the Node told nothing.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|recollection| !recollection.found)
    }

    /// Whether it was written in this boot, if anything was.
    pub fn is_of_this_boot(&self) -> bool {
        self.0.as_ref().is_none_or(|recollection| recollection.same_boot)
    }

    /// For which notice the Node bears marks, while that was not heard of yet.
    pub fn marked(&self) -> Option<&NoticeId> {
        self.0.as_ref()?.marked.as_ref().map(|marked| &marked.id)
    }

    /// The notices that were not heard of yet.
    pub fn open(&self) -> Vec<NoticeId> {
        let unheard = self.0.iter().flat_map(|recollection| &recollection.unheard);
        let mut open: Vec<NoticeId> = self.marked().cloned().into_iter().collect();
        open.extend(unheard.map(|(id, _)| id.clone()).filter(|id| Some(id) != self.marked()));
        open
    }

    /// What is known of the notices that were not heard of yet, and holds in this boot.
    pub fn unheard(&self) -> impl Iterator<Item = &Known> {
        self.0.iter().flat_map(|recollection| {
            let holds = |id: &NoticeId| recollection.same_boot || *id == NoticeId::Rebalance;
            let known = recollection.unheard.iter().filter(move |(id, _)| holds(id));
            known.map(|(_, known)| known)
        })
    }

    /// This notice was heard of, or is known to be gone.
    pub fn forget(&mut self, id: &NoticeId) {
        let Some(recollection) = &mut self.0 else { return };
        recollection.marked.take_if(|marked| marked.id == *id);
        recollection.unheard.retain(|(known, _)| known != id);
    }

    /// This notice is not said any more. Marks of this boot for an interruption stay until
    /// `lingers_until`: the metadata service may be wrong, whichever process hears that.
    pub fn withdrawn(&mut self, id: &NoticeId, lingers_until: Moment) {
        let Some(recollection) = &mut self.0 else { return };
        if !recollection.same_boot || !outlives_its_notice(id) {
            return self.forget(id);
        }
        if let Some(marked) = recollection.marked.as_mut().filter(|marked| marked.id == *id) {
            marked.until = Some(lingers_until);
            marked.withdrawn = true;
        }
        recollection.unheard.retain(|(known, _)| known != id);
    }

    /// When marks end whose notice was not heard of yet.
    pub fn ends(&self) -> Option<Moment> {
        self.0.as_ref()?.marked.as_ref()?.until
    }

    /// Ends such marks, if their time is over.
    pub fn expire(&mut self, now: Moment) -> Option<Ending> {
        let over = self.ends().is_some_and(|until| until <= now);
        let Marked { id, withdrawn, .. } = self.0.as_mut()?.marked.take_if(|_| over)?;
        Some(if withdrawn { Ending::Gone(id) } else { Ending::Expired(id) })
    }

    /// What is remembered of a notice that stood when this process first asked.
    pub fn judge(&self, entry: &Entry, reading: Reading) -> Judgement {
        let Some(Recollection { same_boot, cordoned, unheard, .. }) = &self.0 else {
            return Judgement::NEW;
        };
        let occurrence = Occurrence::of(&entry.notice);
        let mut known = unheard.iter().map(|(_, known)| known);
        let known = known.find(|known| known.notice == occurrence.as_str());
        let marked = self.marked() == Some(&entry.notice.id);
        // A recommendation is for the instance, not for one boot of it.
        if !*same_boot && entry.notice.id != NoticeId::Rebalance {
            let begun = marked || known.is_some_and(|known| known.progress != Progress::Open);
            let is_known = marked || known.is_some();
            return if is_known && came_with_the_boot(entry, reading, begun) {
                Judgement::OVER
            } else {
                Judgement::NEW
            };
        }
        let Some(known) = known else { return Judgement::NEW };
        let is_interruption = matches!(entry.notice.id, NoticeId::Interruption(_));
        let is_ahead = is_interruption && matches!(entry.intent.basis, Basis::Stated(_));
        Judgement {
            progress: match known.progress {
                // A node that somebody has uncordoned since is in use again.
                Progress::Drained if is_ahead && marked && !cordoned => Progress::Open,
                // That one had come with a boot.
                Progress::Over if is_ahead => Progress::Open,
                progress => progress,
            },
            end: time(known.end.as_deref()),
            marks_until: time(known.marks_until.as_deref()),
            made: time(known.made.as_deref()),
        }
    }
}

fn time(text: Option<&str>) -> Option<WallTime> {
    text.and_then(WallTime::parse)
}

/// Whether what the notice said has come, now that the machine was started anew. `begun`: its time
/// had come, and the node was being drained for it.
fn came_with_the_boot(entry: &Entry, reading: Reading, begun: bool) -> bool {
    let is_over = entry.notice.when.is_over(reading);
    match &entry.notice.id {
        NoticeId::Maintenance(event) => is_over || begun && event.code.ends_with_reboot(),
        NoticeId::Interruption(_) => is_over,
        NoticeId::Rebalance | NoticeId::Lifecycle(_) => false,
    }
}

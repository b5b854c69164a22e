//! The marks that our Node is to bear, and the patch that gives it just these: what is missing is
//! set, what is ours and not wanted any more is taken back, what is not ours stays as it is.

use std::fmt;

use miniserde::json::{self, Array, Object, Value};

use crate::node::state::{Known, Occurrence, State};
use crate::node::{EXCLUSION_LABEL, FieldManager, Node, Setter, Taint};
use crate::notice::NoticeId;

/// What the Node is to bear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Whose marks.
    pub manager: FieldManager,
    /// Why it is marked, and how; `None`: it is to bear no marks of ours.
    pub reason: Option<MarkReason>,
    /// The boot of this machine.
    pub boot_id: String,
    /// What is to be remembered of the notices that stand.
    pub notices: Vec<Known>,
}

/// Why a Node is marked, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkReason {
    /// For what.
    pub cause: MarkCause,
    /// What is set.
    pub set: MarkSet,
}

/// What a Node is marked for. `Display` is how the annotation names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarkCause {
    /// A notice.
    Notice(NoticeId),
    /// An operator's command.
    ByHand,
}

impl fmt::Display for MarkCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Notice(id) => id.fmt(f),
            Self::ByHand => f.write_str("by-hand"),
        }
    }
}

/// Which marks are set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkSet {
    /// `spec.unschedulable`.
    pub cordon: bool,
    /// A taint.
    pub taint: Option<Taint>,
    /// [`EXCLUSION_LABEL`].
    pub exclusion: bool,
}

/// A JSON merge patch (RFC 7386) of the Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The patch itself.
    pub text: String,
    /// It changes the taints, which no node may of its own (admission plugin `NodeRestriction`).
    pub taints: bool,
    /// Who changes it.
    pub manager: FieldManager,
}

/// What is different about a Node, or stays against what was wanted, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The node is cordoned, in this way.
    Cordon(Cordon),
    /// It is uncordoned: we had cordoned it.
    Uncordoned,
    /// We had cordoned it, and another has cordoned it since: it stays.
    CordonStays,
    /// We had cordoned it, and another has uncordoned it since.
    CordonLifted,
    /// A taint was added.
    Tainted(Taint),
    /// Another manager has a taint in the place of the one that was to be added: it stays.
    TaintForeign(Taint),
    /// Our taint was taken off.
    Untainted(Taint),
    /// Our taint was changed by another to this: it stays.
    TaintStays(Taint),
    /// There are more taints than are read: they stay as they are.
    TaintsTooMany,
    /// The label was added.
    Excluded,
    /// Another has set the label, to this value: it stays.
    ExclusionForeign(String),
    /// Our label was taken off.
    Included,
    /// Our label was changed by another to this value: it stays.
    ExclusionStays(String),
}

impl Change {
    /// Whether something is made different, rather than found to be so.
    pub fn is_made(&self) -> bool {
        match self {
            Self::Cordon(Cordon::Done)
            | Self::Uncordoned
            | Self::Tainted(_)
            | Self::Untainted(_)
            | Self::Excluded
            | Self::Included => true,
            Self::Cordon(Cordon::Kept | Cordon::Foreign)
            | Self::CordonStays
            | Self::CordonLifted
            | Self::TaintForeign(_)
            | Self::TaintStays(_)
            | Self::TaintsTooMany
            | Self::ExclusionForeign(_)
            | Self::ExclusionStays(_) => false,
        }
    }
}

/// How a node came to be cordoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cordon {
    /// By us, now.
    Done,
    /// By us, earlier: for another notice, or before a restart.
    Kept,
    /// By another, before.
    Foreign,
}

/// The value of our label: who set it.
const EXCLUSION_VALUE: &str = "k8s-spot-handler";

impl Marks {
    /// How `node` comes to bear these marks and no other of ours. `renew`: marks that were
    /// taken off since we set them are set again; otherwise that may have been meant.
    pub fn draft(&self, node: &Node, renew: bool) -> Draft {
        self.drafted(node, renew, true)
    }

    /// The same, but for taints: they stay as they are, whatever is wanted, and whose they are stays noted.
    pub fn draft_without_taints(&self, node: &Node, renew: bool) -> Draft {
        self.drafted(node, renew, false)
    }

    fn drafted(&self, node: &Node, renew: bool, taints: bool) -> Draft {
        let empty = State::new(self.boot_id.clone());
        let mut draft = Drafting {
            manager: self.manager,
            before: node.remembered(self.manager).state().unwrap_or(&empty),
            renew,
            another: false,
            node,
            state: empty.clone(),
            spec: Object::new(),
            labels: Object::new(),
            changes: Vec::new(),
        };
        let reason = self.reason.as_ref();
        draft.state.notice = reason.map(|reason| reason.cause.to_string());
        draft.state.notices.clone_from(&self.notices);
        let taint = reason.and_then(|reason| reason.set.taint.as_ref());
        let other_taint = |ours: &Taint| taint.is_none_or(|taint| !taint.says_same(ours));
        // Another notice, or other settings than when it was marked.
        draft.another = draft.before.notice != draft.state.notice
            || draft.before.taint.as_ref().is_some_and(other_taint);
        draft.cordon(reason);
        if taints {
            draft.taint(reason);
        } else {
            draft.state.taint.clone_from(&draft.before.taint);
        }
        draft.exclusion(reason);
        draft.finish()
    }
}

/// How a Node comes to bear the marks that are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// What is to be sent; `None`: it bears them.
    pub patch: Option<Patch>,
    /// What is different then.
    pub changes: Vec<Change>,
    /// It then bears our [`EXCLUSION_LABEL`].
    pub excluded: bool,
}

impl Draft {
    /// Whether it changes the taints.
    pub fn taints(&self) -> bool {
        self.patch.as_ref().is_some_and(|patch| patch.taints)
    }
}

/// A draft in the making.
struct Drafting<'a> {
    manager: FieldManager,
    node: &'a Node,
    /// What was remembered.
    before: &'a State,
    renew: bool,
    /// The marks that it bears are other ones, or it bears none.
    another: bool,
    /// What is to be remembered.
    state: State,
    spec: Object,
    labels: Object,
    changes: Vec<Change>,
}

impl Drafting<'_> {
    fn cordon(&mut self, reason: Option<&MarkReason>) {
        let was_ours = self.before.cordoned;
        let is_ours = self.may_lift();
        match (reason.filter(|reason| reason.set.cordon), self.node.unschedulable) {
            (Some(_), true) => {
                let taken_over = self.manager == FieldManager::Operator
                    && self.node.cordoned_by == Setter::Manager(FieldManager::Handler);
                self.state.cordoned = is_ours || taken_over;
                let cordon = if self.state.cordoned { Cordon::Kept } else { Cordon::Foreign };
                self.found(Change::Cordon(cordon));
            }
            // It was lifted by another, who knew what it was for.
            (Some(reason), false) if was_ours && !self.renew && self.knew(&reason.cause) => {
                self.state.cordoned = true;
            }
            (Some(_), false) if was_ours || self.renew || self.another => {
                self.state.cordoned = true;
                self.spec.insert("unschedulable".to_owned(), Value::Bool(true));
                self.changes.push(Change::Cordon(Cordon::Done));
            }
            // The operator's drain outlasts the notice.
            (None, true) if is_ours && self.operator_holds(|state| state.cordoned) => {
                self.changes.push(Change::CordonStays);
            }
            (None, true) if is_ours => {
                self.spec.insert("unschedulable".to_owned(), Value::Null);
                self.changes.push(Change::Uncordoned);
            }
            (None, true) if was_ours => self.changes.push(Change::CordonStays),
            (None, false) if was_ours => self.changes.push(Change::CordonLifted),
            (Some(_) | None, _) => {}
        }
    }

    /// Whether a cordon that stands is this manager's to lift. An operator answers for the handler, too.
    fn may_lift(&self) -> bool {
        self.before.cordoned
            && match self.node.cordoned_by {
                Setter::Manager(manager) => {
                    manager == self.manager || self.manager == FieldManager::Operator
                }
                Setter::Others => false,
                Setter::Unknown => true,
            }
    }

    /// Whether the node bears this for an operator, too, who has not taken it back.
    fn operator_holds(&self, what: impl Fn(&State) -> bool) -> bool {
        self.manager == FieldManager::Handler && self.node.by_hand.state().is_some_and(what)
    }

    fn taint(&mut self, reason: Option<&MarkReason>) {
        let wanted = reason.and_then(|reason| reason.set.taint.as_ref());
        if self.node.too_many_taints {
            self.state.taint.clone_from(&self.before.taint);
            if wanted != self.before.taint.as_ref() {
                self.found(Change::TaintsTooMany);
            }
            return;
        }
        let mut taints = self.node.taints.clone();
        // A right to write the note is not to be a right to take off any taint.
        let ours = self.before.taint.as_ref().filter(|taint| taint.has_our_key());
        if let Some(ours) = ours.filter(|ours| wanted.is_none_or(|wanted| !wanted.says_same(ours)))
        {
            match taints.iter().position(|taint| taint.is_in_place_of(ours)) {
                Some(index) if taints.get(index).is_some_and(|taint| taint.says_same(ours)) => {
                    let removed = taints.remove(index);
                    self.changes.push(Change::Untainted(removed));
                }
                Some(index) => {
                    self.changes.extend(taints.get(index).cloned().map(Change::TaintStays));
                }
                None => {}
            }
        }
        if let Some(wanted) = wanted {
            let was_ours = ours.is_some_and(|ours| ours.says_same(wanted));
            let there = taints.iter().find(|taint| taint.is_in_place_of(wanted));
            self.state.taint = match there {
                Some(taint) if was_ours && taint.says_same(wanted) => Some(wanted.clone()),
                Some(taint) => {
                    self.found(Change::TaintForeign(taint.clone()));
                    None
                }
                None if self.renew || !was_ours => {
                    taints.push(wanted.clone());
                    self.changes.push(Change::Tainted(wanted.clone()));
                    Some(wanted.clone())
                }
                None => ours.filter(|_| was_ours).cloned(),
            };
        }
        if taints != self.node.taints {
            // A merge patch replaces a list whole.
            self.spec.insert("taints".to_owned(), list(&taints));
        }
    }

    fn exclusion(&mut self, reason: Option<&MarkReason>) {
        let was_ours = self.before.excluded;
        let wanted = reason.filter(|reason| reason.set.exclusion);
        let label = || EXCLUSION_LABEL.to_owned();
        match (wanted, self.node.exclusion.as_deref()) {
            (Some(_), Some(EXCLUSION_VALUE))
                if was_ours || self.manager == FieldManager::Operator =>
            {
                self.state.excluded = true;
            }
            (Some(_), Some(other)) => self.found(Change::ExclusionForeign(other.to_owned())),
            (Some(_), None) if self.renew || !was_ours => {
                self.state.excluded = true;
                self.labels.insert(label(), Value::String(EXCLUSION_VALUE.to_owned()));
                self.changes.push(Change::Excluded);
            }
            (Some(_), None) => self.state.excluded = was_ours,
            (None, Some(value @ EXCLUSION_VALUE))
                if was_ours && self.operator_holds(|state| state.excluded) =>
            {
                self.changes.push(Change::ExclusionStays(value.to_owned()));
            }
            (None, Some(EXCLUSION_VALUE)) if was_ours => {
                self.labels.insert(label(), Value::Null);
                self.changes.push(Change::Included);
            }
            (None, Some(other)) if was_ours => {
                self.changes.push(Change::ExclusionStays(other.to_owned()));
            }
            (None, _) => {}
        }
    }

    /// Whether the marks were for this, or it was known when they were set for another.
    fn knew(&self, cause: &MarkCause) -> bool {
        let is_it = |known: &Known| match cause {
            MarkCause::Notice(id) => Occurrence::notice(&known.notice).as_ref() == Some(id),
            MarkCause::ByHand => false,
        };
        self.before.notice == self.state.notice || self.before.notices.iter().any(is_it)
    }

    /// What is so already is reported when the marks are set, and not whenever something about them is
    /// noted.
    fn found(&mut self, change: Change) {
        if self.renew || self.another {
            self.changes.push(change);
        }
    }

    fn finish(self) -> Draft {
        let Self { manager, node, before, state, spec, labels, changes, .. } = self;
        let remembers = node.remembered(manager).state().is_some();
        let is_noted = if state.is_empty() { !remembers } else { remembers && state == *before };
        if is_noted && spec.is_empty() && labels.is_empty() {
            return Draft { patch: None, changes, excluded: state.excluded };
        }
        let note =
            if state.is_empty() { Value::Null } else { Value::String(json::to_string(&state)) };
        let mut metadata = Object::new();
        let version = Value::String(node.resource_version.clone());
        metadata.insert("resourceVersion".to_owned(), version);
        metadata.insert("annotations".to_owned(), object([(manager.annotation(), note)]));
        if !labels.is_empty() {
            metadata.insert("labels".to_owned(), Value::Object(labels));
        }
        let taints = spec.contains_key("taints");
        let mut patch = Object::new();
        patch.insert("metadata".to_owned(), Value::Object(metadata));
        if !spec.is_empty() {
            patch.insert("spec".to_owned(), Value::Object(spec));
        }
        let patch = Patch { text: json::to_string(&Value::Object(patch)), taints, manager };
        Draft { patch: Some(patch), changes, excluded: state.excluded }
    }
}

fn list(taints: &[Taint]) -> Value {
    let entries = taints.iter().map(|taint| {
        let fields = [
            ("key", Some(&taint.key)),
            ("value", taint.value.as_ref()),
            ("effect", Some(&taint.effect)),
            ("timeAdded", taint.time_added.as_ref()),
        ];
        let given = fields.into_iter().filter_map(|(name, field)| Some((name, field?)));
        object(given.map(|(name, text)| (name, Value::String(text.clone()))))
    });
    Value::Array(entries.collect::<Array>())
}

fn object(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
    Value::Object(fields.collect())
}

#[cfg(test)]
mod tests;

//! A Node before and after: each patch is read by the official types and merged as the API server
//! does it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node as OfficialNode;

use super::*;
use crate::node::state::{Progress, Remembered, STATE_ANNOTATION};
use crate::node::{MarkPolicy, RebalanceMark, TaintEffect};
use crate::notice::Action;

const STOP: NoticeId = NoticeId::Interruption(Action::Stop);
const TERMINATE: NoticeId = NoticeId::Interruption(Action::Terminate);

const ALL: MarkPolicy = MarkPolicy {
    taint: Some(TaintEffect::NoSchedule),
    exclude_from_load_balancers: true,
    rebalance_mark: RebalanceMark::Cordon,
};

fn marks(id: &NoticeId, policy: MarkPolicy) -> Marks {
    let set = MarkSet {
        cordon: true,
        taint: policy.taint.map(|effect| Taint::of(id, effect)),
        exclusion: policy.exclude_from_load_balancers,
    };
    let reason = MarkReason { cause: MarkCause::Notice(id.clone()), set };
    Marks { reason: Some(reason), ..none() }
}

fn none() -> Marks {
    Marks {
        manager: FieldManager::Handler,
        reason: None,
        boot_id: "boot-1".to_owned(),
        notices: Vec::new(),
    }
}

fn known(progress: Progress) -> Known {
    let notice = NoticeId::Rebalance.to_string();
    Known { notice, progress, end: None, marks_until: None, made: None }
}

fn bare() -> Node {
    Node::bare()
}

fn taint(key: &str, value: &str) -> Taint {
    Taint {
        key: key.to_owned(),
        value: Some(value.to_owned()),
        effect: "NoSchedule".to_owned(),
        time_added: Some("2026-11-25T10:00:00Z".to_owned()),
    }
}

/// The Node as the patch leaves it, and what has changed.
fn patched(marks: &Marks, node: &Node, renew: bool) -> (Node, Vec<Change>) {
    let Draft { patch, changes, excluded } = marks.draft(node, renew);
    let Some(Patch { text: body, .. }) = patch else { return (node.clone(), changes) };
    let raw: serde_json::Value = serde_json::from_str(&body).unwrap();
    let official: OfficialNode = serde_json::from_value(without_nulls(raw.clone())).unwrap();
    assert_eq!(official.metadata.resource_version.as_ref(), Some(&node.resource_version));
    let mut after = node.clone();
    if let Some(value) = raw["spec"].get("unschedulable") {
        assert!(*value == true || value.is_null(), "{body}");
        after.unschedulable = *value == true;
        after.cordoned_by =
            if after.unschedulable { Setter::Manager(marks.manager) } else { Setter::Unknown };
    }
    if let Some(taints) = official.spec.and_then(|spec| spec.taints) {
        let read = |taint: k8s_openapi::api::core::v1::Taint| Taint {
            key: taint.key,
            value: taint.value,
            effect: taint.effect,
            time_added: taint.time_added.map(|time| time.0.to_string()),
        };
        after.taints = taints.into_iter().map(read).collect();
    }
    if let Some(label) = raw["metadata"]["labels"].get(EXCLUSION_LABEL) {
        after.exclusion = label.as_str().map(str::to_owned);
    }
    let annotations: BTreeMap<String, Option<String>> =
        serde_json::from_value(raw["metadata"]["annotations"].clone()).unwrap();
    assert_eq!(annotations.len(), 1, "only its own: {body}");
    let noted = Remembered::parse(annotations[marks.manager.annotation()].as_deref());
    assert_ne!(noted, Remembered::Unreadable, "{body}");
    assert_eq!(noted.state().is_some_and(|state| state.excluded), excluded);
    match marks.manager {
        FieldManager::Handler => after.state = noted,
        FieldManager::Operator => after.by_hand = noted,
    }
    (after, changes)
}

/// In a merge patch null takes a field away.
fn without_nulls(mut value: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| !field.is_null());
        for field in fields.values_mut() {
            *field = without_nulls(field.take());
        }
    }
    value
}

#[test]
fn one_patch_sets_all_and_the_next_takes_all_back() {
    let foreign = Node { taints: vec![taint("dedicated", "gpu")], ..bare() };
    let (marked, changes) = patched(&marks(&STOP, ALL), &foreign, true);
    let ours = Taint::of(&STOP, TaintEffect::NoSchedule);
    assert!(marked.unschedulable && marked.exclusion.is_some());
    assert_eq!(marked.taints, [taint("dedicated", "gpu"), ours.clone()]);
    assert_eq!(
        changes,
        [Change::Cordon(Cordon::Done), Change::Tainted(ours.clone()), Change::Excluded]
    );
    assert_eq!(marks(&STOP, ALL).draft(&marked, true).patch, None, "it bears them");

    let (after, changes) = patched(&none(), &marked, false);
    assert_eq!(after, foreign);
    assert_eq!(changes, [Change::Uncordoned, Change::Untainted(ours), Change::Included]);
    assert_eq!(none().draft(&after, true), Draft::default());
}

#[test]
fn what_others_had_set_before_stays() {
    let ours = Taint::of(&STOP, TaintEffect::NoSchedule);
    let theirs = Taint { value: Some("mine".to_owned()), ..ours };
    let before = Node {
        unschedulable: true,
        taints: vec![theirs.clone()],
        exclusion: Some("true".to_owned()),
        ..bare()
    };
    let (marked, changes) = patched(&marks(&STOP, ALL), &before, true);
    assert_eq!(Node { state: Remembered::Nothing, ..marked.clone() }, before);
    assert_eq!(
        changes,
        [
            Change::Cordon(Cordon::Foreign),
            Change::TaintForeign(theirs),
            Change::ExclusionForeign("true".to_owned())
        ]
    );
    assert_eq!(patched(&none(), &marked, false), (before, Vec::new()));
}

#[test]
fn what_others_have_changed_since_stays_and_is_said() {
    let (mut marked, _) = patched(&marks(&STOP, ALL), &bare(), true);
    let theirs = Taint { value: Some("mine".to_owned()), ..marked.taints.remove(0) };
    marked.taints.push(theirs.clone());
    marked.exclusion = Some("true".to_owned());
    marked.cordoned_by = Setter::Others;
    let (after, changes) = patched(&none(), &marked, false);
    assert_eq!(Node { state: Remembered::Nothing, ..marked }, after);
    assert_eq!(
        changes,
        [
            Change::CordonStays,
            Change::TaintStays(theirs),
            Change::ExclusionStays("true".to_owned())
        ]
    );
}

#[test]
fn what_others_have_taken_off_is_not_missed() {
    let (marked, _) = patched(&marks(&STOP, ALL), &bare(), true);
    let lifted = Node { state: marked.state.clone(), ..bare() };
    // After the drain they may have meant it, before it they may not know.
    let (after, changes) = patched(&marks(&STOP, ALL), &lifted, false);
    assert_eq!((after, changes), (lifted.clone(), Vec::new()));
    assert_eq!(patched(&marks(&STOP, ALL), &lifted, true).0, marked);
    let (after, changes) = patched(&none(), &lifted, false);
    assert_eq!((after, changes), (bare(), vec![Change::CordonLifted]));
}

#[test]
fn a_server_that_does_not_keep_who_cordoned_leaves_it_to_the_memory() {
    let (marked, _) = patched(&marks(&STOP, ALL), &bare(), true);
    let unknown = Node { cordoned_by: Setter::Unknown, ..marked };
    assert!(!patched(&none(), &unknown, false).0.unschedulable);
}

#[test]
fn marks_for_another_notice_take_the_place_of_the_first() {
    let (first, _) = patched(&marks(&NoticeId::Rebalance, ALL), &bare(), true);
    let (second, changes) = patched(&marks(&TERMINATE, ALL), &first, false);
    assert_eq!(second.taints, [Taint::of(&TERMINATE, TaintEffect::NoSchedule)]);
    assert_eq!(changes[0], Change::Cordon(Cordon::Kept));
    assert_eq!(patched(&none(), &second, false).0, bare());
    // Whoever has uncordoned it did not know of this notice.
    let uncordoned = Node { unschedulable: false, cordoned_by: Setter::Unknown, ..first };
    assert!(patched(&marks(&TERMINATE, ALL), &uncordoned, false).0.unschedulable);
    let mut informed = uncordoned;
    let Remembered::State(state) = &mut informed.state else { panic!("it is remembered") };
    state.notices.push(Known { notice: TERMINATE.to_string(), ..known(Progress::Drained) });
    assert!(!patched(&marks(&TERMINATE, ALL), &informed, false).0.unschedulable);
}

#[test]
fn what_is_done_with_is_remembered_without_marks() {
    let notices = vec![known(Progress::Over)];
    let memory = Marks { notices: notices.clone(), ..none() };
    let (after, changes) = patched(&memory, &bare(), false);
    assert!(changes.is_empty());
    let state = after.state.state().unwrap();
    assert_eq!(state.notices, notices);
    assert_eq!((&state.notice, &*state.boot_id), (&None, "boot-1"));
    assert_eq!(memory.draft(&after, false).patch, None);
    assert_eq!(patched(&none(), &after, false).0, bare());
}

#[test]
fn another_boot_is_noted() {
    let (marked, _) = patched(&marks(&STOP, ALL), &bare(), true);
    let later = Marks { boot_id: "boot-2".to_owned(), ..marks(&STOP, ALL) };
    let (after, _) = patched(&later, &marked, false);
    assert_eq!(after.state.state().unwrap().boot_id, "boot-2");
    assert_eq!(patched(&none(), &after, false).0, bare());
}

#[test]
fn other_settings_than_when_it_was_marked_are_told_and_set() {
    let none = MarkPolicy { taint: None, ..ALL };
    let (before, _) = patched(&marks(&STOP, ALL), &bare(), true);
    let (after, changes) = patched(&marks(&STOP, none), &before, false);
    assert_eq!(after.taints, []);
    assert_eq!(changes[0], Change::Cordon(Cordon::Kept));
}

#[test]
fn what_is_only_noted_sets_nothing_again() {
    let (marked, _) = patched(&marks(&STOP, ALL), &bare(), true);
    let lifted = Node { state: marked.state, ..bare() };
    let noted = Marks { notices: vec![known(Progress::Drained)], ..marks(&STOP, ALL) };
    let (after, changes) = patched(&noted, &lifted, false);
    assert!(changes.is_empty() && !after.unschedulable && after.taints.is_empty());
    assert_eq!(after.exclusion, None);
}

fn by_hand() -> Marks {
    let set = MarkSet { cordon: true, taint: None, exclusion: true };
    Marks {
        manager: FieldManager::Operator,
        reason: Some(MarkReason { cause: MarkCause::ByHand, set }),
        ..none()
    }
}

fn unmark(manager: FieldManager) -> Marks {
    Marks { manager, ..none() }
}

#[test]
fn the_handler_leaves_what_an_operator_set() {
    let (drained, _) = patched(&by_hand(), &bare(), true);
    let (both, changes) = patched(&marks(&STOP, ALL), &drained, true);
    assert!(changes.contains(&Change::Cordon(Cordon::Foreign)), "{changes:?}");
    let (after, _) = patched(&unmark(FieldManager::Handler), &both, false);
    assert!(after.unschedulable && after.exclusion.is_some());
    assert_eq!(after.remembered(FieldManager::Handler), &Remembered::Nothing);
    let (after, changes) = patched(&unmark(FieldManager::Operator), &after, false);
    assert!(changes.contains(&Change::Uncordoned), "{changes:?}");
    assert_eq!(after, bare());
}

#[test]
fn what_the_handler_set_outlasts_its_notice_where_an_operator_wants_it_too() {
    let (marked, _) = patched(&marks(&STOP, ALL), &bare(), true);
    let (both, changes) = patched(&by_hand(), &marked, true);
    assert!(changes.contains(&Change::Cordon(Cordon::Kept)), "{changes:?}");
    let (after, changes) = patched(&unmark(FieldManager::Handler), &both, false);
    assert!(changes.contains(&Change::CordonStays), "{changes:?}");
    assert!(after.unschedulable && after.exclusion.is_some() && after.taints.is_empty());
    let (after, changes) = patched(&unmark(FieldManager::Operator), &after, false);
    assert!(changes.contains(&Change::Uncordoned), "{changes:?}");
    assert_eq!(after, bare());
}

#[test]
fn an_operator_without_a_note_lifts_no_cordon_of_the_handler() {
    let (marked, _) = patched(&marks(&STOP, ALL), &bare(), true);
    let (after, changes) = patched(&unmark(FieldManager::Operator), &marked, false);
    assert_eq!((after, changes), (marked, Vec::new()));
}

#[test]
fn taints_that_may_not_be_changed_stay_and_stay_noted() {
    let (marked, _) = patched(&marks(&STOP, ALL), &bare(), true);
    for wanted in [none(), marks(&TERMINATE, ALL), marks(&STOP, ALL)] {
        let draft = wanted.draft_without_taints(&marked, true);
        assert!(!draft.taints());
        let state = draft.patch.map(|patch| {
            let raw: serde_json::Value = serde_json::from_str(&patch.text).unwrap();
            Remembered::parse(raw["metadata"]["annotations"][STATE_ANNOTATION].as_str())
        });
        let taint = match &state {
            Some(state) => state.state().and_then(|state| state.taint.clone()),
            None => marked.state.state().and_then(|state| state.taint.clone()),
        };
        assert_eq!(taint, Some(Taint::of(&STOP, TaintEffect::NoSchedule)), "{state:?}");
    }
}

#[test]
fn a_note_has_no_foreign_taint_taken_off() {
    let (marked, _) = patched(&marks(&STOP, ALL), &bare(), true);
    let mut state = marked.state.state().unwrap().clone();
    state.taint = Some(taint("dedicated", "gpu"));
    let forged =
        Node { taints: vec![taint("dedicated", "gpu")], state: Remembered::State(state), ..marked };
    let (after, changes) = patched(&none(), &forged, false);
    assert_eq!(after.taints, [taint("dedicated", "gpu")]);
    assert!(!changes.iter().any(|change| matches!(change, Change::Untainted(_))), "{changes:?}");
}

#[test]
fn too_many_taints_stay_as_they_are_and_the_node_is_cordoned_all_the_same() {
    let node = Node { too_many_taints: true, ..bare() };
    let marks = marks(&STOP, ALL);
    let draft = marks.draft(&node, true);
    let patch = draft.patch.unwrap();
    assert!(!patch.taints && patch.text.contains("\"unschedulable\":true"), "{patch:?}");
    assert!(draft.changes.contains(&Change::TaintsTooMany), "{:?}", draft.changes);
    assert!(draft.changes.contains(&Change::Cordon(Cordon::Done)), "{:?}", draft.changes);
    // Taken back, too; what we may have added is not forgotten.
    let (marked, _) = patched(&marks, &bare(), true);
    let crowded = Node { taints: Vec::new(), too_many_taints: true, ..marked };
    let draft = none().draft(&crowded, false);
    let patch = draft.patch.unwrap();
    assert!(!patch.taints && patch.text.contains("\"unschedulable\":null"), "{patch:?}");
    assert!(patch.text.contains("spot-itn"), "{patch:?}");
    assert!(draft.changes.contains(&Change::TaintsTooMany), "{:?}", draft.changes);
}

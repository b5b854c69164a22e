//! The Node with what it bears and what was remembered on it: marks are set and taken back by patches that the
//! target applies itself. Once one is applied nothing is left to do.
#![no_main]

use k8s_spot_handler::kube::reply::{KnownBy, Reply, node, profile};
use k8s_spot_handler::kube::request::read_node;
use k8s_spot_handler::node::marks::{MarkCause, MarkReason, MarkSet, Marks};
use k8s_spot_handler::node::state::{Known, Progress, Remembered};
use k8s_spot_handler::node::{FieldManager, Node, NodeAnswer, Setter, Taint, TaintEffect};
use k8s_spot_handler::notice::{Action, NoticeId};
use libfuzzer_sys::fuzz_target;
use miniserde::json;
use serde_json::{Map, Value};

fuzz_target!(|input: &[u8]| {
    let (mode, body) = fuzz::mode(input);
    let read = fuzz::within(input, 100, 64 * 1024, || read(body));
    if let Some(profile) = profile(&reply(body)) {
        let labels = profile.labels.iter().flat_map(|(name, value)| [name, value]);
        fuzz::are_lines(labels.chain(&profile.provider_id).map(String::as_str));
    }
    let (Some(node), Ok(mut json)) = (read, serde_json::from_slice::<Value>(body)) else { return };
    annotation_is_read_as_written(&node);
    let before = json["spec"].clone();
    let manager = if mode & 1 == 0 { FieldManager::Handler } else { FieldManager::Operator };
    // An operator takes back what the handler has done, too.
    let is_taken_over = manager == FieldManager::Operator
        && node.cordoned_by == Setter::Manager(FieldManager::Handler);
    let is_foreign =
        node.state.state().is_none() && node.by_hand.state().is_none() && !is_taken_over;
    let marks = marks(mode, manager);
    let marked = apply(&mut json, &marks, node);
    apply(&mut json, &Marks { reason: None, notices: Vec::new(), ..marks }, marked);
    // What was not ours is as it was.
    if is_foreign {
        let is_set = |spec: &Value| spec["unschedulable"] == Value::Bool(true);
        assert_eq!(is_set(&json["spec"]), is_set(&before), "{before} became {}", json["spec"]);
        let taints = |spec: &Value| spec["taints"].as_array().map_or(0, Vec::len);
        assert_eq!(taints(&json["spec"]), taints(&before), "{before} became {}", json["spec"]);
    }
});

fn reply(body: &[u8]) -> Reply {
    Reply { status: 200, retry_after: None, date: None, by: KnownBy::Token, body: body.to_vec() }
}

fn read(body: &[u8]) -> Option<Node> {
    match node("n", &read_node("n"), &reply(body)) {
        NodeAnswer::Is(node) => Some(*node),
        NodeAnswer::Failed(why) => {
            fuzz::is_one_line(&why);
            None
        }
        other => panic!("{other:?} with status 200"),
    }
}

fn annotation_is_read_as_written(node: &Node) {
    for remembered in [&node.state, &node.by_hand] {
        let Some(state) = remembered.state() else { continue };
        // It may have grown: what is escaped is longer.
        let written = json::to_string(state);
        if written.len() <= 32 * 1024 {
            assert_eq!(Remembered::parse(Some(&written)), *remembered);
        }
    }
}

fn marks(mode: u8, manager: FieldManager) -> Marks {
    let id = NoticeId::Interruption(Action::Terminate);
    let effect = [TaintEffect::NoSchedule, TaintEffect::NoExecute][usize::from(mode >> 1 & 1)];
    let set = MarkSet {
        cordon: mode & 4 == 0,
        taint: (mode & 8 == 0).then(|| Taint::of(&id, effect)),
        exclusion: mode & 16 == 0,
    };
    let known = Known {
        notice: id.to_string(),
        progress: Progress::Open,
        end: None,
        marks_until: None,
        made: None,
    };
    let cause =
        if manager == FieldManager::Handler { MarkCause::Notice(id) } else { MarkCause::ByHand };
    Marks {
        manager,
        reason: Some(MarkReason { cause, set }),
        boot_id: "b".to_owned(),
        notices: if mode & 32 == 0 { vec![known] } else { Vec::new() },
    }
}

/// Sends the patch, as the API server would apply it, and reads the Node again.
fn apply(json: &mut Value, marks: &Marks, node: Node) -> Node {
    let draft = marks.draft(&node, true);
    draft.changes.iter().for_each(|change| fuzz::is_one_line(&change.to_string()));
    let Some(patch) = draft.patch else { return node };
    let text: Value = serde_json::from_str(&patch.text).expect("a patch is JSON");
    assert_eq!(text["metadata"]["resourceVersion"], node.resource_version);
    merge(json, &text);
    if text["spec"].get("unschedulable").is_some() {
        // Whose it is now the API server would note.
        json["metadata"]["managedFields"] = Value::Null;
    }
    let patched = read(json.to_string().as_bytes()).expect("a patch leaves a Node");
    let again = marks.draft(&patched, false);
    assert_eq!(again.patch, None, "{} and again", patch.text);
    patched
}

/// RFC 7386.
fn merge(json: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *json = patch.clone();
        return;
    };
    if !json.is_object() {
        *json = Value::Object(Map::new());
    }
    let Value::Object(json) = json else { return };
    for (key, value) in patch {
        if value.is_null() {
            json.remove(key);
        } else {
            merge(json.entry(key).or_insert(Value::Null), value);
        }
    }
}

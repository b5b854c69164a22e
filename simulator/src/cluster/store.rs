//! What the API server holds, and the kubelet's part in it. Every change gets
//! a resourceVersion and a line for the watches.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::budget::Budget;
use super::happening::{Happened, Happening};
use super::node::Node;
use super::pod::Pod;
use crate::fault::Disturbance;

/// Namespace and name.
pub(super) type Key = (String, String);

/// A change to the Node that happens between a client's GET and its PATCH.
pub(super) type Interference = Box<dyn FnOnce(&mut Value) + Send>;

pub(super) struct Store {
    pub(super) node: Value,
    pub(super) pods: BTreeMap<Key, Held>,
    pub(super) budgets: Vec<Budget>,
    pub(super) lines: Vec<Line>,
    pub(super) terminating_namespaces: BTreeSet<String>,
    pub(super) interferences: VecDeque<Interference>,
    pub(super) happened: Vec<Happened>,
    pub(super) observers: Vec<Sender<Happened>>,
    revision: u64,
    /// Changes up to this one are forgotten.
    compacted: u64,
    uids: u64,
    started: Instant,
}

/// A pod, and what its kubelet makes of it.
pub(super) struct Held {
    pub(super) object: Value,
    /// How long it takes to stop; `None`: it never does.
    takes: Option<Duration>,
    /// When it will have stopped by itself.
    stops_at: Option<Instant>,
    /// When it is killed.
    killed_at: Option<Instant>,
}

/// What the watches are told.
#[derive(Clone)]
pub(super) enum Line {
    Event { revision: u64, subject: Subject, bytes: Arc<[u8]> },
    Disturbed(Disturbance),
}

/// What selectors look at.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) node: String,
    pub(super) labels: BTreeMap<String, String>,
}

/// Who asked a pod to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Eviction,
    Deletion,
}

impl Store {
    pub(super) fn new(node: Node, started: Instant) -> Self {
        let mut store = Self {
            node: node.into_object(&timestamp(Duration::ZERO)),
            pods: BTreeMap::new(),
            budgets: Vec::new(),
            lines: Vec::new(),
            terminating_namespaces: BTreeSet::new(),
            interferences: VecDeque::new(),
            happened: Vec::new(),
            observers: Vec::new(),
            revision: 1000,
            compacted: 0,
            uids: 0,
            started,
        };
        store.touch_node();
        store
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn compacted(&self) -> u64 {
        self.compacted
    }

    /// Forgets all changes up to now.
    pub(super) fn compact(&mut self) {
        self.compacted = self.revision;
    }

    pub(super) fn node_name(&self) -> &str {
        self.node["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Gives the Node the next resourceVersion.
    pub(super) fn touch_node(&mut self) {
        self.revision += 1;
        self.node["metadata"]["resourceVersion"] = json!(self.revision.to_string());
    }

    /// Adds a pod. One of the same name goes at once; its UID is another's.
    pub(super) fn add(&mut self, pod: Pod) -> String {
        self.uids += 1;
        let uid = pod.uid.clone().unwrap_or_else(|| {
            format!("{:08x}-51b0-4c7e-9d2a-{:012x}", 0x7c3e_0000 + self.uids, self.uids)
        });
        let mut object = pod.object(self.node_name(), &uid, &timestamp(Duration::ZERO));
        let now = Instant::now();
        let mut held =
            Held { object: Value::Null, takes: pod.takes, stops_at: None, killed_at: None };
        if let Some(left) = pod.terminating {
            object["metadata"]["deletionTimestamp"] = json!(timestamp(left));
            object["metadata"]["deletionGracePeriodSeconds"] =
                object["spec"]["terminationGracePeriodSeconds"].clone();
            held.stops_at = pod.takes.map(|takes| now + takes);
            held.killed_at = Some(now + left);
        }
        held.object = object;
        let key = (pod.namespace, pod.name);
        if self.pods.contains_key(&key) {
            self.remove(&key, false);
        }
        self.pods.insert(key.clone(), held);
        self.tell_of(&key, "ADDED");
        uid
    }

    /// Asks a pod to go within so many seconds; 0 takes it away at once. A pod
    /// that is going already is only ever hurried.
    pub(super) fn ask_to_go(&mut self, key: &Key, grace: u64, asked: Asked) {
        let now = Instant::now();
        let pod = format!("{}/{}", key.0, key.1);
        let Some(held) = self.pods.get_mut(key) else { return };
        let given = held.object["metadata"]["deletionGracePeriodSeconds"].as_u64();
        match given {
            Some(given) if grace >= given => return,
            Some(given) => {
                let began = parse(held.object["metadata"]["deletionTimestamp"].as_str())
                    - Duration::from_secs(given);
                let deadline = began + Duration::from_secs(grace);
                held.object["metadata"]["deletionTimestamp"] = json!(format(deadline));
                held.object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
                let killed_at = now + Duration::from_secs(grace);
                held.killed_at = Some(held.killed_at.map_or(killed_at, |at| at.min(killed_at)));
                self.happen(Happening::Hurried { pod, grace });
            }
            None => {
                held.stops_at = held.takes.map(|takes| now + takes);
                held.killed_at = Some(now + Duration::from_secs(grace));
                held.object["metadata"]["deletionTimestamp"] =
                    json!(timestamp(Duration::from_secs(grace)));
                held.object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
                self.lose_from_budgets(key, now);
                self.happen(match asked {
                    Asked::Eviction => Happening::Evicted { pod, grace },
                    Asked::Deletion => Happening::Deleted { pod, grace },
                });
            }
        }
        let finished = self.pods.get(key).is_some_and(Held::is_finished);
        if grace == 0 || finished {
            self.remove(key, finished);
        } else {
            self.tell_of(key, "MODIFIED");
        }
    }

    /// Sets a condition in a pod's status, in the place of one of its type.
    pub(super) fn set_condition(&mut self, key: &Key, condition: &Value) {
        let Some(held) = self.pods.get_mut(key) else { return };
        if let Some(conditions) = held.object["status"]["conditions"].as_array_mut() {
            conditions.retain(|one| one["type"] != condition["type"]);
            conditions.push(condition.clone());
        }
    }

    /// Tells the watches of a pod's new state.
    pub(super) fn tell_of(&mut self, key: &Key, kind: &str) {
        let Some(held) = self.pods.get_mut(key) else { return };
        self.revision += 1;
        held.object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        self.lines.push(Line::Event {
            revision: self.revision,
            subject: held.subject(),
            bytes: event(kind, &held.object).into(),
        });
    }

    /// Takes a pod away.
    pub(super) fn remove(&mut self, key: &Key, by_itself: bool) {
        self.tell_of(key, "DELETED");
        if self.pods.remove(key).is_some() {
            self.happen(Happening::Gone { pod: format!("{}/{}", key.0, key.1), by_itself });
        }
    }

    /// Lets happen what is due: pods that have stopped or are killed leave,
    /// replacements become ready. When to come again.
    pub(super) fn advance(&mut self, now: Instant) -> Option<Instant> {
        let leaving: Vec<(Key, bool)> = self
            .pods
            .iter()
            .filter(|(_, held)| held.leaves().is_some_and(|at| at <= now))
            .map(|(key, held)| (key.clone(), held.stops_at <= held.killed_at))
            .collect();
        for (key, by_itself) in leaving {
            self.remove(&key, by_itself);
        }
        let mut replaced = Vec::new();
        for budget in &mut self.budgets {
            for _ in 0..budget.advance(now) {
                replaced.push(format!("{}/{}", budget.namespace, budget.name));
            }
        }
        for budget in replaced {
            self.happen(Happening::Replaced { budget });
        }
        let pods = self.pods.values().filter_map(Held::leaves);
        let budgets = self.budgets.iter().filter_map(Budget::next_ready);
        pods.chain(budgets).min()
    }

    pub(super) fn happen(&mut self, what: Happening) {
        let happened = Happened { at: self.started.elapsed(), what };
        self.observers.retain(|observer| observer.send(happened.clone()).is_ok());
        self.happened.push(happened);
    }

    fn lose_from_budgets(&mut self, key: &Key, now: Instant) {
        let Some(held) = self.pods.get(key) else { return };
        if held.is_finished() {
            return;
        }
        for budget in &mut self.budgets {
            if budget.covers(&key.0, |label| held.label(label)) {
                budget.lose_one(now);
            }
        }
    }
}

impl Held {
    pub(super) fn uid(&self) -> &str {
        self.object["metadata"]["uid"].as_str().unwrap_or_default()
    }

    pub(super) fn grace(&self) -> u64 {
        self.object["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30)
    }

    pub(super) fn label(&self, key: &str) -> Option<&str> {
        self.object["metadata"]["labels"][key].as_str()
    }

    pub(super) fn is_terminating(&self) -> bool {
        !self.object["metadata"]["deletionTimestamp"].is_null()
    }

    pub(super) fn is_finished(&self) -> bool {
        matches!(self.object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
    }

    pub(super) fn is_pending(&self) -> bool {
        self.object["status"]["phase"] == "Pending"
    }

    pub(super) fn is_ready(&self) -> bool {
        let conditions = self.object["status"]["conditions"].as_array();
        conditions.is_some_and(|all| {
            all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
        })
    }

    pub(super) fn subject(&self) -> Subject {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &self.object["metadata"];
        let labels = metadata["labels"].as_object();
        Subject {
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            node: text(&self.object["spec"]["nodeName"]),
            labels: labels
                .map(|all| all.iter().map(|(key, value)| (key.clone(), text(value))).collect())
                .unwrap_or_default(),
        }
    }

    fn leaves(&self) -> Option<Instant> {
        // One that never stops is not killed either: its kubelet is stuck.
        Some(self.stops_at?.min(self.killed_at?))
    }
}

/// One line of a watch.
pub(super) fn event(kind: &str, object: &Value) -> Vec<u8> {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n").into_bytes()
}

/// The wall-clock time so far ahead, in the API server's form.
pub(super) fn timestamp(ahead: Duration) -> String {
    format(OffsetDateTime::now_utc() + ahead)
}

fn format(time: OffsetDateTime) -> String {
    let whole = time.replace_nanosecond(0).unwrap_or(time);
    whole.format(&Rfc3339).unwrap_or_default()
}

fn parse(text: Option<&str>) -> OffsetDateTime {
    text.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
        .unwrap_or_else(OffsetDateTime::now_utc)
}

//! What the API server says of the node's pods: a line of a watch, an item of a list. Only the few
//! fields that the drain needs are read. A pod's author chooses most of it: of no list more is kept than
//! is needed, and of no text that is only shown more than an excerpt. Pure.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod as PodKind;
use k8s_openapi::{ListableResource, Resource};
use miniserde::{Deserialize, json};

use crate::drain::ask::PodRef;
use crate::drain::pod::{Controller, Pod, Terminating, Tier};
use crate::excerpt::excerpt;
use crate::kube::json::{AnyObject, Excerpt, Fold, Folded};
use crate::kube::request::{is_label, is_subdomain};
use crate::moment::{Moment, Reading, WallTime};

/// What Kubernetes takes where `spec.terminationGracePeriodSeconds` is not set.
const DEFAULT_GRACE: u32 = 30;

/// In the message of a 410 (`storage/cacher` in k8s.io/apiserver).
const TOO_OLD: &str = "too old resource version";

/// The node whose pods are read, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// A pod of any other node is an error: this handler must not drain it.
    pub(super) node: &'a str,
    /// Turns times of the calendar into moments.
    pub(super) at: Reading,
}

/// A pod that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its UID, or else its namespace and name, as far as known.
    pub pod: Option<String>,
    /// Why, in words.
    pub why: String,
}

impl From<String> for Unread {
    fn from(why: String) -> Self {
        Self { pod: None, why }
    }
}

/// One line of a watch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WatchEvent {
    /// A pod is there, or changed.
    Seen {
        /// The pod.
        pod: Result<Pod, Unread>,
        /// The pod had not been there before, or belongs to a first set.
        added: bool,
        /// Where the watch now stands.
        version: Option<String>,
    },
    /// A pod is gone.
    Gone {
        /// Its UID.
        uid: Result<String, Unread>,
        /// Where the watch now stands.
        version: Option<String>,
    },
    /// Nothing happened up to here.
    Bookmark {
        /// Where the watch now stands.
        version: String,
        /// Every pod of the first set has come.
        ends_set: bool,
    },
    /// The server ends the watch, and says why.
    Error {
        /// The watch's resource version is too old: what came after it is forgotten.
        expired: bool,
        /// What it says.
        why: String,
    },
}

impl WatchEvent {
    /// Reads a line of a watch. An error says what is wrong with it.
    pub(super) fn read(line: &[u8], context: Context<'_>) -> Result<Self, String> {
        let unread = |what: &str| format!("a line of {} bytes is {what}", line.len());
        let text = std::str::from_utf8(line).map_err(|_| unread("not UTF-8"))?;
        let line = parse(text).filter(|RawEvent { kind, .. }| kind != "ERROR");
        let Some(line) = line else {
            let error = parse(text).filter(|RawError { kind, .. }| kind == "ERROR");
            let error = error.ok_or_else(|| unread("not an event in JSON"))?;
            return Ok(Self::error(error.object));
        };
        let kind = line.kind;
        let broken = || unread(&format!("no event of type {}", excerpt(&kind)));
        let object = line.object.ok_or_else(broken)?;
        let version = version(object.metadata.as_ref());
        match kind.as_str() {
            "ADDED" | "MODIFIED" => {
                Ok(Self::Seen { pod: object.parse(context), added: kind == "ADDED", version })
            }
            "DELETED" => Ok(Self::Gone { uid: object.uid(), version }),
            "BOOKMARK" => {
                let version = version.ok_or_else(broken)?;
                Ok(Self::Bookmark { version, ends_set: object.ends_set() })
            }
            _ => Err(broken()),
        }
    }

    fn error(status: RawStatus) -> Self {
        let message = status.message.map_or_else(|| "no message".to_owned(), |text| text.0);
        let expired = status.code == Some(410)
            || matches!(status.reason.as_deref(), Some("Expired" | "Gone"))
            || message.contains(TOO_OLD);
        let code = status.code.map(|code| format!("{code}: ")).unwrap_or_default();
        Self::Error { expired, why: format!("{code}{message}") }
    }
}

/// Reads one item of a list of pods: the pod, and its resource version.
pub(super) fn item(text: &[u8], context: Context<'_>) -> Result<(Pod, Option<String>), Unread> {
    let unread = |what| Unread::from(format!("an item of {} bytes is {what}", text.len()));
    let text = std::str::from_utf8(text).map_err(|_| unread("not UTF-8"))?;
    let object = parse::<RawObject>(text).ok_or_else(|| unread("not a pod in JSON"))?;
    let version = version(object.metadata.as_ref());
    Ok((object.parse(context)?, version))
}

/// What stands around the items of a list: as of which resource version it is complete. `None` if it is no
/// complete list of pods.
pub(super) fn list_version(frame: &[u8]) -> Option<String> {
    let list: RawList = parse(std::str::from_utf8(frame).ok()?)?;
    // A server that gives the list in parts was not asked to.
    let is_whole =
        list.kind == PodKind::LIST_KIND && list.metadata.token.is_none_or(|it| it.is_empty());
    list.metadata.resource_version.filter(|text| is_whole && is_version(text))
}

/// The UID of a pod of which no more was kept than what it began with. Before it the API server writes
/// nothing that may hold a quotation mark.
pub(super) fn uid_at(beginning: &[u8]) -> Option<String> {
    const UID: &str = "\"uid\":\"";
    let text = String::from_utf8_lossy(beginning);
    let (_, metadata) = text.split_once("\"metadata\":{")?;
    let (uid, _) = metadata.split_once(UID)?.1.split_once('"')?;
    Some(uid.to_owned()).filter(|uid| is_uid(uid))
}

fn parse<T: Deserialize>(text: &str) -> Option<T> {
    json::from_str(text).ok()
}

/// The UID in a line of type DELETED, by what the line begins with.
pub(super) fn uid_of_deleted(beginning: &[u8]) -> Option<String> {
    beginning.starts_with(b"{\"type\":\"DELETED\"").then(|| uid_at(beginning)).flatten()
}

/// Whether this may be a UID: it becomes part of requests.
fn is_uid(text: &str) -> bool {
    (1..=MOST_OF_UID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The API server makes UIDs of 36 characters.
const MOST_OF_UID: usize = 128;

fn version(metadata: Option<&RawMeta>) -> Option<String> {
    metadata?.resource_version.clone().filter(|text| is_version(text))
}

/// Whether a watch may go on from there: from "" or "0" it would start anywhere.
fn is_version(text: &str) -> bool {
    !text.is_empty() && text != "0"
}

#[derive(Deserialize)]
struct RawEvent {
    #[serde(rename = "type")]
    kind: String,
    object: Option<RawObject>,
}

#[derive(Deserialize)]
struct RawList {
    kind: String,
    metadata: RawListMeta,
}

#[derive(Deserialize)]
struct RawListMeta {
    #[serde(rename = "continue")]
    token: Option<String>,
    #[serde(rename = "resourceVersion")]
    resource_version: Option<String>,
}

#[derive(Deserialize)]
struct RawError {
    #[serde(rename = "type")]
    kind: String,
    object: RawStatus,
}

/// A Status, which says why a watch ends. Unlike a pod's its field `status` is a word.
#[derive(Deserialize)]
struct RawStatus {
    code: Option<u16>,
    reason: Option<String>,
    message: Option<Excerpt>,
}

/// A pod.
#[derive(Deserialize)]
struct RawObject {
    /// Not given within a list.
    kind: Option<String>,
    metadata: Option<RawMeta>,
    spec: Option<RawSpec>,
    status: Option<RawPhase>,
}

#[derive(Default, Deserialize)]
struct RawMeta {
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
    #[serde(rename = "resourceVersion")]
    resource_version: Option<String>,
    annotations: Option<RawAnnotations>,
    finalizers: Option<Folded<First>>,
    #[serde(rename = "ownerReferences")]
    owners: Option<Folded<Owners>>,
    #[serde(rename = "deletionTimestamp")]
    deletion_timestamp: Option<String>,
    #[serde(rename = "deletionGracePeriodSeconds")]
    deletion_grace: Option<i64>,
}

impl RawMeta {
    /// Which pod it is, as far as that is known.
    fn id(&self) -> Option<String> {
        let name =
            || Some(excerpt(&format!("{}/{}", self.namespace.as_ref()?, self.name.as_ref()?)));
        self.uid.clone().filter(|uid| is_uid(uid)).or_else(name)
    }
}

#[derive(Deserialize)]
struct RawAnnotations {
    #[serde(rename = "kubernetes.io/config.mirror")]
    mirror: Option<Excerpt>,
    #[serde(rename = "k8s.io/initial-events-end")]
    initial_events_end: Option<String>,
}

/// The first of the finalizers.
#[derive(Default)]
struct First(Option<String>);

impl Fold for First {
    type Element = Excerpt;

    fn fold(&mut self, element: Excerpt) {
        self.0.get_or_insert(element.0);
    }
}

/// The first owner that is the controller, as `metav1.GetControllerOf` in k8s.io/apimachinery has it.
#[derive(Default)]
struct Owners(Option<Controller>);

impl Fold for Owners {
    type Element = RawOwner;

    fn fold(&mut self, owner: RawOwner) {
        if owner.controller == Some(true) {
            self.0.get_or_insert_with(|| owner.controller());
        }
    }
}

#[derive(Deserialize)]
struct RawOwner {
    kind: String,
    name: Excerpt,
    uid: Option<String>,
    controller: Option<bool>,
}

impl RawOwner {
    /// Of whatever group the kind DaemonSet is: kubectl compares the kind alone, too, and that of
    /// `apps.kruise.io` starts its pods on this very node again as well.
    fn controller(self) -> Controller {
        match self.kind.as_str() {
            DaemonSet::KIND => Controller::DaemonSet(self.name.0.into()),
            _ => Controller::Other(self.uid.unwrap_or_default().into()),
        }
    }
}

#[derive(Deserialize)]
struct RawSpec {
    #[serde(rename = "nodeName")]
    node_name: Option<String>,
    #[serde(rename = "terminationGracePeriodSeconds")]
    grace: Option<i64>,
    #[serde(rename = "priorityClassName")]
    priority_class: Option<String>,
    volumes: Option<Folded<Volumes>>,
}

/// Which kinds of volumes there are.
#[derive(Default)]
struct Volumes {
    empty_dir: bool,
    claim: bool,
}

impl Fold for Volumes {
    type Element = RawVolume;

    fn fold(&mut self, volume: RawVolume) {
        self.empty_dir |= volume.empty_dir.is_some();
        self.claim |= volume.claim.is_some();
    }
}

#[derive(Deserialize)]
struct RawVolume {
    #[serde(rename = "emptyDir")]
    empty_dir: Option<AnyObject>,
    #[serde(rename = "persistentVolumeClaim")]
    claim: Option<AnyObject>,
}

#[derive(Deserialize)]
struct RawPhase {
    phase: Option<String>,
}

impl RawObject {
    fn ends_set(&self) -> bool {
        let annotations = self.metadata.as_ref().and_then(|meta| meta.annotations.as_ref());
        annotations.and_then(|these| these.initial_events_end.as_deref()) == Some("true")
    }

    fn uid(self) -> Result<String, Unread> {
        let metadata = self.metadata.unwrap_or_default();
        let id = metadata.id();
        let no_uid = || "a pod was deleted, but its UID is not given".to_owned();
        metadata.uid.filter(|uid| is_uid(uid)).ok_or_else(|| Unread { pod: id, why: no_uid() })
    }

    fn parse(self, context: Context<'_>) -> Result<Pod, Unread> {
        let id = self.metadata.as_ref().and_then(RawMeta::id);
        self.parsed(context).map_err(|why| Unread { pod: id, why })
    }

    fn parsed(self, context: Context<'_>) -> Result<Pod, String> {
        let metadata = self.metadata.ok_or("a pod has no metadata")?;
        let name = metadata.name.ok_or("a pod has no name")?;
        let namespace = metadata
            .namespace
            .ok_or_else(|| format!("the pod {} has no namespace", excerpt(&name)))?;
        // They become parts of a path: `..` must never get there.
        if !is_label(&namespace) || !is_subdomain(&name) {
            let called = excerpt(&format!("{namespace}/{name}"));
            return Err(format!("the pod {called} has a name that no pod can have"));
        }
        let called = format!("{namespace}/{name}");
        if self.kind.is_some_and(|kind| kind != PodKind::KIND) {
            return Err(format!("{called} is not a pod"));
        }
        let uid = metadata
            .uid
            .filter(|uid| !uid.is_empty())
            .ok_or_else(|| format!("the pod {called} has no UID"))?;
        if !is_uid(&uid) {
            return Err(format!("the pod {called} has a UID that no pod can have"));
        }
        let spec = self.spec.ok_or_else(|| format!("the pod {called} has no spec"))?;
        let node = spec.node_name.unwrap_or_default();
        if node != context.node {
            let (node, ours) = (excerpt(&node), context.node);
            return Err(format!("the pod {called} is on the node \"{node}\", not on {ours}"));
        }
        let grace = spec.grace.map_or(DEFAULT_GRACE, seconds);
        let volumes = spec.volumes.map(|Folded(volumes)| volumes).unwrap_or_default();
        let controller = metadata.owners.and_then(|Folded(Owners(controller))| controller);
        Ok(Pod {
            reference: Arc::new(PodRef { namespace, name, uid }),
            grace,
            tier: Tier::of(spec.priority_class.as_deref(), controller.as_ref()),
            controller,
            mirror: metadata.annotations.is_some_and(|these| these.mirror.is_some()),
            finished: matches!(
                self.status.and_then(|status| status.phase).as_deref(),
                Some("Succeeded" | "Failed")
            ),
            empty_dir: volumes.empty_dir,
            volume_claim: volumes.claim,
            finalizer: metadata.finalizers.and_then(|Folded(First(first))| first),
            terminating: metadata.deletion_timestamp.map(|time| {
                terminating(&time, metadata.deletion_grace.map_or(grace, clamped), context.at)
            }),
        })
    }
}

/// `time` lies in the future, or is over. If it is no time at all, the whole grace still runs.
fn terminating(time: &str, grace: u32, at: Reading) -> Terminating {
    let ends = match WallTime::parse(time) {
        Some(time) => at.moment_of(time).unwrap_or(Moment::START),
        None => at.now + Duration::from_secs(grace.into()),
    };
    Terminating { grace, ends }
}

/// A grace as the kubelet takes it: a negative one is 1 s.
fn seconds(grace: i64) -> u32 {
    if grace < 0 { 1 } else { clamped(grace) }
}

/// A grace within the range of seconds that there can be.
fn clamped(grace: i64) -> u32 {
    u32::try_from(grace.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;

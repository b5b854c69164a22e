//! What the API server says of the node's pods: a line of a watch, a page of a list. Only the few
//! fields that the drain needs are read. Pure.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod as PodKind;
use k8s_openapi::{ListableResource, Resource};
use miniserde::{Deserialize, json};

use crate::drain::ask::PodRef;
use crate::drain::pod::{Controller, Pod, Terminating, Tier};
use crate::excerpt::excerpt;
use crate::kube::name::{is_label, is_subdomain};
use crate::kube::reply::{self, Reply, Status};
use crate::kube::request::Request;
use crate::moment::{Moment, Reading, WallTime};

/// What Kubernetes takes where `spec.terminationGracePeriodSeconds` is not set.
const DEFAULT_GRACE: u32 = 30;

/// In the message of a 410 (`storage/cacher` in k8s.io/apiserver).
const TOO_OLD: &str = "too old resource version";

/// The node of which pods are told, and when that is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// A pod of any other node is an error: it is not for this handler to drain.
    pub(super) node: &'a str,
    /// Turns times of the calendar into moments.
    pub(super) at: Reading,
}

/// One line of a watch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A pod is there, or changed. In words why not, if it cannot be read.
    Seen {
        /// The pod.
        pod: Result<Pod, String>,
        /// The pod had not been there before, or belongs to a first set.
        added: bool,
        /// Where the watch now stands.
        version: Option<String>,
    },
    /// A pod is gone.
    Gone {
        /// Its UID; in words why not, if it cannot be read.
        uid: Result<String, String>,
        /// Where the watch now stands.
        version: Option<String>,
    },
    /// Nothing happened up to here.
    Bookmark {
        /// Where the watch now stands.
        version: String,
        /// Every pod of the first set has been told.
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

impl Event {
    /// Reads a line of a watch. An error says what is wrong with it.
    pub(super) fn read(line: &[u8], context: Context<'_>) -> Result<Self, String> {
        let unread = |what: &str| format!("a line of {} bytes is {what}", line.len());
        let text = std::str::from_utf8(line).map_err(|_| unread("not UTF-8"))?;
        let kind = parse::<Typed>(text).ok_or_else(|| unread("not an event in JSON"))?.kind;
        let broken = || unread(&format!("no event of type {}", excerpt(&kind)));
        match kind.as_str() {
            "ADDED" | "MODIFIED" => {
                let raw = parse::<Holding<RawPod>>(text).ok_or_else(broken)?.object;
                let version = version(raw.metadata.as_ref());
                Ok(Self::Seen { pod: raw.parse(context), added: kind == "ADDED", version })
            }
            "DELETED" => {
                let raw = parse::<Holding<RawPod>>(text).ok_or_else(broken)?.object;
                let version = version(raw.metadata.as_ref());
                Ok(Self::Gone { uid: raw.uid(), version })
            }
            "BOOKMARK" => {
                let raw = parse::<Holding<RawPod>>(text).ok_or_else(broken)?.object;
                let version = version(raw.metadata.as_ref()).ok_or_else(broken)?;
                Ok(Self::Bookmark { version, ends_set: raw.ends_set() })
            }
            "ERROR" => {
                let status = parse::<Holding<Status>>(text).ok_or_else(broken)?.object;
                Ok(Self::error(&status))
            }
            _ => Err(broken()),
        }
    }

    fn error(status: &Status) -> Self {
        let message = excerpt(status.message.as_deref().unwrap_or("no message"));
        let expired = status.code == Some(410)
            || matches!(status.reason.as_deref(), Some("Expired" | "Gone"))
            || message.contains(TOO_OLD);
        let code = status.code.map(|code| format!("{code}: ")).unwrap_or_default();
        Self::Error { expired, why: format!("{code}{message}") }
    }
}

/// A page of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The pods; in words why not, where one cannot be read.
    pub pods: Vec<Result<Pod, String>>,
    /// What comes after it.
    pub then: Then,
}

/// What comes after a page.
#[derive(Debug, PartialEq, Eq)]
pub enum Then {
    /// The next page, for which this token stands.
    Page(String),
    /// Nothing: the list is complete, as of this resource version.
    End(String),
}

/// What the reply to [`list_pods`](crate::kube::request::list_pods) means, for `node`.
///
/// # Errors
/// It is no page of pods; in words why not.
pub fn page(node: &str, at: Reading, request: &Request, reply: &Reply) -> Result<Page, String> {
    match reply.status {
        200 => Page::read(&reply.body, Context { node, at })
            .ok_or_else(|| reply::unexpected(request, reply)),
        403 => Err(format!("{}; `list` on `pods` must be granted", reply::refusal(request, reply))),
        _ => Err(reply::refusal(request, reply)),
    }
}

impl Page {
    /// Reads a page; `None` if the body is anything else.
    pub(super) fn read(body: &[u8], context: Context<'_>) -> Option<Self> {
        let list: RawList = parse(std::str::from_utf8(body).ok()?)?;
        if list.kind != PodKind::LIST_KIND {
            return None;
        }
        let token = list.metadata.token.filter(|token| !token.is_empty());
        let then = match token {
            Some(token) => Then::Page(token),
            None => Then::End(list.metadata.resource_version.filter(|text| is_version(text))?),
        };
        let pods = list.items.unwrap_or_default().into_iter().map(|raw| raw.parse(context));
        Some(Self { pods: pods.collect(), then })
    }
}

fn parse<T: Deserialize>(text: &str) -> Option<T> {
    json::from_str(text).ok()
}

fn version(metadata: Option<&RawMeta>) -> Option<String> {
    metadata?.resource_version.clone().filter(|text| is_version(text))
}

/// Whether a watch may go on from there: from "" or "0" it would start anywhere.
fn is_version(text: &str) -> bool {
    !text.is_empty() && text != "0"
}

#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Holding<T> {
    object: T,
}

#[derive(Deserialize)]
struct RawList {
    kind: String,
    metadata: RawListMeta,
    items: Option<Vec<RawPod>>,
}

#[derive(Deserialize)]
struct RawListMeta {
    #[serde(rename = "continue")]
    token: Option<String>,
    #[serde(rename = "resourceVersion")]
    resource_version: Option<String>,
}

#[derive(Deserialize)]
struct RawPod {
    /// Not given within a list.
    kind: Option<String>,
    metadata: Option<RawMeta>,
    spec: Option<RawSpec>,
    status: Option<RawStatus>,
}

#[derive(Deserialize)]
struct RawMeta {
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
    #[serde(rename = "resourceVersion")]
    resource_version: Option<String>,
    annotations: Option<RawAnnotations>,
    finalizers: Option<Vec<String>>,
    #[serde(rename = "ownerReferences")]
    owners: Option<Vec<RawOwner>>,
    #[serde(rename = "deletionTimestamp")]
    deletion_timestamp: Option<String>,
    #[serde(rename = "deletionGracePeriodSeconds")]
    deletion_grace: Option<i64>,
}

#[derive(Deserialize)]
struct RawAnnotations {
    #[serde(rename = "kubernetes.io/config.mirror")]
    mirror: Option<String>,
    #[serde(rename = "k8s.io/initial-events-end")]
    initial_events_end: Option<String>,
}

#[derive(Deserialize)]
struct RawOwner {
    kind: String,
    name: String,
    uid: Option<String>,
    controller: Option<bool>,
}

#[derive(Deserialize)]
struct RawSpec {
    #[serde(rename = "nodeName")]
    node_name: Option<String>,
    #[serde(rename = "terminationGracePeriodSeconds")]
    grace: Option<i64>,
    #[serde(rename = "priorityClassName")]
    priority_class: Option<String>,
    volumes: Option<Vec<RawVolume>>,
}

#[derive(Deserialize)]
struct RawVolume {
    #[serde(rename = "emptyDir")]
    empty_dir: Option<Anything>,
    #[serde(rename = "persistentVolumeClaim")]
    claim: Option<Anything>,
}

#[derive(Deserialize)]
struct Anything {}

#[derive(Deserialize)]
struct RawStatus {
    phase: Option<String>,
}

impl RawPod {
    fn ends_set(&self) -> bool {
        let annotations = self.metadata.as_ref().and_then(|meta| meta.annotations.as_ref());
        annotations.and_then(|these| these.initial_events_end.as_deref()) == Some("true")
    }

    fn uid(self) -> Result<String, String> {
        self.metadata
            .and_then(|metadata| metadata.uid)
            .filter(|uid| !uid.is_empty())
            .ok_or_else(|| "a pod was deleted, but its UID is not given".to_owned())
    }

    fn parse(self, context: Context<'_>) -> Result<Pod, String> {
        let metadata = self.metadata.ok_or("a pod has no metadata")?;
        let name = metadata.name.ok_or("a pod has no name")?;
        let namespace = metadata
            .namespace
            .ok_or_else(|| format!("the pod {} has no namespace", excerpt(&name)))?;
        let called = excerpt(&format!("{namespace}/{name}"));
        // They become parts of a path: `..` must never get there.
        if !is_label(&namespace) || !is_subdomain(&name) {
            return Err(format!("the pod {called} has a name that no pod can have"));
        }
        if self.kind.is_some_and(|kind| kind != PodKind::KIND) {
            return Err(format!("{called} is not a pod"));
        }
        let uid = metadata
            .uid
            .filter(|uid| !uid.is_empty())
            .ok_or_else(|| format!("the pod {called} has no UID"))?;
        let spec = self.spec.ok_or_else(|| format!("the pod {called} has no spec"))?;
        let node = spec.node_name.unwrap_or_default();
        if node != context.node {
            let (node, ours) = (excerpt(&node), context.node);
            return Err(format!("the pod {called} is on the node \"{node}\", not on {ours}"));
        }
        let grace = spec.grace.map_or(DEFAULT_GRACE, seconds);
        let volumes = spec.volumes.unwrap_or_default();
        let controller = controller(metadata.owners);
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
            empty_dir: volumes.iter().any(|volume| volume.empty_dir.is_some()),
            volume_claim: volumes.iter().any(|volume| volume.claim.is_some()),
            finalizer: metadata.finalizers.and_then(|these| these.into_iter().next()),
            terminating: metadata.deletion_timestamp.map(|time| {
                terminating(&time, metadata.deletion_grace.map_or(grace, clamped), context.at)
            }),
        })
    }
}

fn controller(owners: Option<Vec<RawOwner>>) -> Option<Controller> {
    let owner = owners?.into_iter().find(|owner| owner.controller == Some(true))?;
    Some(match owner.kind.as_str() {
        "DaemonSet" => Controller::DaemonSet(owner.name.into()),
        _ => Controller::Other(owner.uid.unwrap_or_default().into()),
    })
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

//! Requests to the API server, as values: method, path, body. What it takes for a name (RFC 1123): names go into
//! paths and selectors as they are. Pure.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use k8s_openapi::Resource;
use k8s_openapi::api::core::v1::{Event, Namespace, Node, Pod};
use k8s_openapi::api::policy::v1::Eviction;
use miniserde::json;
use ureq_proto::http::Method;

use crate::drain::ask::{Ask, Grace, Job, PodRef};
use crate::moment::WallTime;
use crate::node::marks::Patch;

/// An answer that is one object: etcd holds objects of up to 1.5 MiB.
const OBJECT_LIMIT: usize = 4 << 20;

/// An answer that is a Status.
const STATUS_LIMIT: usize = 256 << 10;

/// Of an answer that is a whole pod, and says no more than that it was done: each of many may get
/// one at once, of up to 1.5 MiB each.
const BEGINNING: usize = 4 << 10;

/// One request. `Display` is its endpoint, for people: method and path, without the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is done.
    pub method: Method,
    /// To what: path and query, percent-encoded; begins with `/`.
    pub path: String,
    /// What goes with it.
    pub body: Option<Body>,
    /// The most bytes that an answer may have.
    pub answer_limit: usize,
    /// So many bytes of an answer 2xx are kept; the rest is read and dropped.
    pub answer_kept: usize,
    /// The identity that it may have.
    pub caller: Caller,
}

/// The identity that a request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The node's, where that is possible: its rights are enough.
    Node,
    /// The ServiceAccount's only.
    ServiceAccount,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split_once('?').map_or(self.path.as_str(), |(path, _)| path);
        write!(f, "{} {path}", self.method)
    }
}

impl Request {
    /// What it is for the API server.
    pub fn verb(&self) -> Verb {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        match self.method {
            Method::GET if query.split('&').any(|part| part == "watch=1") => Verb::Watch,
            // One object has no query.
            Method::GET if !query.is_empty() => Verb::List,
            Method::GET => Verb::Get,
            Method::POST if path.ends_with("/eviction") => Verb::Evict,
            Method::POST => Verb::Create,
            Method::PATCH => Verb::Patch,
            _ => Verb::Delete,
        }
    }

    /// Whether the handler cannot do without it. Events and the condition of a pod are best effort.
    pub(super) fn is_needed(&self) -> bool {
        let path = self.path.split_once('?').map_or(self.path.as_str(), |(path, _)| path);
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        !matches!(
            *parts,
            ["api", "v1", "namespaces", _, "events", ..]
                | ["api", "v1", "namespaces", _, "pods", _, "status"]
        )
    }
}

/// What a request is for the API server: its verbs (Kubernetes documentation, "Request verb"), and the
/// creation of an eviction as one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// One object is read.
    Get,
    /// Several are.
    List,
    /// Changes are followed.
    Watch,
    /// Something is created.
    Create,
    /// Something is changed.
    Patch,
    /// Something is deleted.
    Delete,
    /// A pod is evicted.
    Evict,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Get, Self::List, Self::Watch, Self::Create, Self::Patch, Self::Delete, Self::Evict];

    /// As the API server writes it (its metric `apiserver_request_total`); `evict` is ours.
    pub fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Evict => "evict",
        }
    }
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// The bytes.
    pub text: String,
}

/// Reads the Node.
pub fn read_node(name: &str) -> Request {
    get(node_path(name), OBJECT_LIMIT)
}

/// Changes the Node.
pub fn patch_node(name: &str, patch: &Patch) -> Request {
    let target = format!("{}?fieldManager={}", node_path(name), patch.manager.field_manager());
    let body = Body { content_type: MERGE_PATCH, text: patch.text.clone() };
    let caller = if patch.taints { Caller::ServiceAccount } else { Caller::Node };
    Request { caller, answer_kept: OBJECT_LIMIT, ..changes(Method::PATCH, target, body) }
}

/// Asks the API server for its version. Any authenticated user may.
pub fn read_version() -> Request {
    Request { caller: Caller::ServiceAccount, ..get("/version".to_owned(), STATUS_LIMIT) }
}

/// Asks whether the ServiceAccount may do this (`SelfSubjectAccessReview`): a verb, and a resource of the
/// core group with its part after a slash. To a Node: to that of this name; to list or watch pods: those
/// of this node. `prefix` stands before the verb.
///
/// It is never sent as the node: a review allows a node other Nodes and their pods, too, since it is NodeRestriction
/// that forbids these, which no review sees.
pub fn review(prefix: &str, verb: &str, resource: &str, node: &str) -> Request {
    let node = json::to_string(node);
    let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
    let name = if resource == "nodes" { node.as_str() } else { "\"\"" };
    let selector = match verb {
        "list" | "watch" => format!(
            r#","fieldSelector":{{"requirements":[{{"key":"spec.nodeName","operator":"In","values":[{node}]}}]}}"#
        ),
        _ => String::new(),
    };
    let text = format!(
        r#"{{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{{"resourceAttributes":{{"verb":"{prefix}{verb}","resource":"{resource}","subresource":"{part}","name":{name}{selector}}}}}}}"#
    );
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned();
    let body = Some(Body { content_type: JSON, text });
    let caller = Caller::ServiceAccount;
    Request { method: Method::POST, body, caller, ..get(path, STATUS_LIMIT) }
}

/// Reads one pod: the handler's own, to find its node.
pub fn find_pod(namespace: &str, name: &str) -> Request {
    get(pod_path(namespace, name), OBJECT_LIMIT)
}

/// From where on pods are listed or watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since<'a> {
    /// A set from the server's cache, however old: fastest, and right where nothing newer has been
    /// seen yet.
    Cached,
    /// A set that is not older than this resource version. The cache has it, but for a moment.
    NotOlderThan(&'a str),
    /// A set of the newest state. Servers before Kubernetes 1.31 read all pods of the cluster for it.
    Newest,
    /// What changed since this resource version; not for a list.
    Version(&'a str),
}

/// Lists the pods of a node, all at once: with a limit, servers before Kubernetes 1.34 ask etcd, and read
/// all pods of the cluster.
pub fn list_pods(node: &str, since: Since<'_>) -> Request {
    let mut query = Query::pods_of(node);
    query.begin_at(since);
    get(query.path, STATUS_LIMIT)
}

/// Watches the pods of a node. Where a set comes first, a bookmark marks its end (`WatchList`).
pub fn watch_pods(node: &str, since: Since<'_>) -> Request {
    let mut query = Query::pods_of(node);
    query.add("watch", "1");
    query.add("allowWatchBookmarks", "true");
    query.begin_at(since);
    if !matches!(since, Since::Version(_)) {
        query.add("sendInitialEvents", "true");
    }
    // Validation wants it beside sendInitialEvents, and forbids it otherwise.
    if matches!(since, Since::Cached | Since::Newest) {
        query.add("resourceVersionMatch", "NotOlderThan");
    }
    get(query.path, STATUS_LIMIT)
}

/// Asks a pod what `job` says. `now` becomes the time of the condition `DisruptionTarget`.
pub fn for_job(job: &Job, now: WallTime) -> Request {
    let pod = &job.pod;
    let path = pod_path(&pod.namespace, &pod.name);
    match job.ask {
        Ask::Evict { grace, dry } => evict(&path, pod, grace, dry),
        Ask::MarkDisrupted => mark_disrupted(&path, pod, now),
        Ask::Delete { grace } => {
            let text = delete_options(pod, grace, false);
            changes(Method::DELETE, path, Body { content_type: JSON, text })
        }
    }
}

fn evict(path: &str, pod: &PodRef, grace: Grace, dry: bool) -> Request {
    let (name, namespace) = (json::to_string(&pod.name), json::to_string(&pod.namespace));
    let text = format!(
        r#"{{"apiVersion":"{}","kind":"{}","metadata":{{"name":{name},"namespace":{namespace}}},"deleteOptions":{}}}"#,
        Eviction::API_VERSION,
        Eviction::KIND,
        delete_options(pod, grace, dry)
    );
    // The body's dryRun reaches the deletion, the query's also the admission webhooks before it.
    let query = if dry { "?dryRun=All" } else { "" };
    let path = format!("{path}/{}{query}", Eviction::URL_PATH_SEGMENT);
    let body = Some(Body { content_type: JSON, text });
    Request { method: Method::POST, body, ..get(path, STATUS_LIMIT) }
}

fn mark_disrupted(path: &str, pod: &PodRef, now: WallTime) -> Request {
    let uid = json::to_string(&pod.uid);
    let text = format!(
        r#"{{"metadata":{{"uid":{uid}}},"status":{{"conditions":[{{"type":"DisruptionTarget","status":"True","reason":"DeletionByNodeTermination","message":"k8s-spot-handler: the pod is deleted because its node is taken back","lastTransitionTime":"{now}"}}]}}}}"#
    );
    let content_type = "application/strategic-merge-patch+json";
    changes(Method::PATCH, format!("{path}/status"), Body { content_type, text })
}

fn delete_options(pod: &PodRef, grace: Grace, dry: bool) -> String {
    let (uid, dry) = (json::to_string(&pod.uid), if dry { r#""All""# } else { "" });
    format!(
        r#"{{"apiVersion":"{}","kind":"DeleteOptions","gracePeriodSeconds":{grace},"preconditions":{{"uid":{uid}}},"dryRun":[{dry}]}}"#,
        Pod::API_VERSION
    )
}

/// What an operator wants on each Event: names and values.
pub type Annotations = BTreeMap<String, String>;

/// Writes a new Event.
pub fn create_event(namespace: &str, text: String) -> Request {
    changes(Method::POST, events_path(namespace), Body { content_type: JSON, text })
}

/// Changes an Event.
pub fn patch_event(namespace: &str, name: &str, text: String) -> Request {
    let path = format!("{}/{}", events_path(namespace), Encoded(name));
    changes(Method::PATCH, path, Body { content_type: MERGE_PATCH, text })
}

const JSON: &str = "application/json";

const MERGE_PATCH: &str = "application/merge-patch+json";

/// Of whose answer, the object, no more is needed than its kind.
fn changes(method: Method, path: String, body: Body) -> Request {
    Request { method, body: Some(body), answer_kept: BEGINNING, ..get(path, OBJECT_LIMIT) }
}

fn get(path: String, answer_limit: usize) -> Request {
    Request {
        method: Method::GET,
        path,
        body: None,
        answer_limit,
        answer_kept: answer_limit,
        caller: Caller::Node,
    }
}

fn node_path(name: &str) -> String {
    format!("/api/{}/{}/{}", Node::API_VERSION, Node::URL_PATH_SEGMENT, Encoded(name))
}

fn pod_path(namespace: &str, name: &str) -> String {
    format!(
        "/api/{}/{}/{}/{}/{}",
        Pod::API_VERSION,
        Namespace::URL_PATH_SEGMENT,
        Encoded(namespace),
        Pod::URL_PATH_SEGMENT,
        Encoded(name)
    )
}

fn events_path(namespace: &str) -> String {
    format!(
        "/api/{}/{}/{}/{}",
        Event::API_VERSION,
        Namespace::URL_PATH_SEGMENT,
        Encoded(namespace),
        Event::URL_PATH_SEGMENT
    )
}

/// A path with a query under construction.
struct Query {
    path: String,
}

impl Query {
    /// The pods of one node, in all namespaces.
    fn pods_of(node: &str) -> Self {
        let selector = format!("spec.nodeName={node}");
        let path = format!(
            "/api/{}/{}?fieldSelector={}",
            Pod::API_VERSION,
            Pod::URL_PATH_SEGMENT,
            Encoded(&selector)
        );
        Self { path }
    }

    fn begin_at(&mut self, since: Since<'_>) {
        match since {
            Since::Cached => self.add("resourceVersion", "0"),
            Since::NotOlderThan(version) => {
                self.add("resourceVersion", version);
                self.add("resourceVersionMatch", "NotOlderThan");
            }
            Since::Newest => {}
            Since::Version(version) => self.add("resourceVersion", version),
        }
    }

    fn add(&mut self, name: &str, value: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.path, "&{name}={}", Encoded(value));
    }
}

/// A path segment or a query value: all but RFC 3986's unreserved characters percent-encoded.
struct Encoded<'a>(&'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    f.write_char(char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

/// Whether a Node or a Pod can have this name: a DNS subdomain of at most 253 characters.
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_part)
}

/// Whether a namespace can have this name: a DNS label of at most 63 characters.
pub fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

/// Whether a label or an annotation can have this name: at most 63 characters, after the name of a
/// domain and a slash, if it has one.
pub fn is_qualified(text: &str) -> bool {
    let (domain, name) =
        text.split_once('/').map_or((None, text), |(domain, name)| (Some(domain), name));
    let ends_well = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    domain.is_none_or(is_subdomain)
        && bytes.len() <= 63
        && ends_well(bytes.first())
        && ends_well(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_part(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests;

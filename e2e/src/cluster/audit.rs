//! What the handler asked of the API server, as the server itself wrote it
//! down.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// `get`, `list`, `watch`, `create`, `patch`, `delete`.
    pub verb: String,
    /// What was asked for, subresource included: `pods`, `pods/eviction`.
    pub resource: String,
    /// Namespace of the object, if it has one.
    pub namespace: String,
    /// Name of the object, if one was named.
    pub name: String,
    /// Path and query.
    pub uri: String,
    /// The node to which the asker's token is bound.
    pub node: String,
    /// Which token it was asked with: its id.
    pub credential: String,
    /// As whom it was asked, if not in the asker's own name.
    pub acting_as: Option<String>,
    /// HTTP status of the answer.
    pub code: u16,
    /// The answer's reason, where it is not a success.
    pub reason: String,
    /// Its message.
    pub message: String,
    /// When the server had read the request's head.
    pub received: Timestamp,
    /// When the server was done with the answer (a watch: when it began it).
    pub answered: Timestamp,
    /// The request's body, for requests that change something.
    pub body: Value,
}

impl Exchange {
    /// The UID that the request was conditional on.
    #[must_use]
    pub fn uid_precondition(&self) -> Option<&str> {
        self.delete_options()["preconditions"]["uid"].as_str()
    }

    /// The grace that an eviction or deletion asked for, in seconds.
    #[must_use]
    pub fn grace(&self) -> Option<i64> {
        self.delete_options()["gracePeriodSeconds"].as_i64()
    }

    /// Whether it asked for an answer without the deed.
    #[must_use]
    pub fn dry_run(&self) -> bool {
        let in_body = &self.delete_options()["dryRun"];
        in_body.as_array().is_some_and(|all| !all.is_empty()) || self.uri.contains("dryRun=All")
    }

    /// Whether it is an eviction.
    #[must_use]
    pub fn is_eviction(&self) -> bool {
        self.verb == "create" && self.resource == "pods/eviction"
    }

    /// Whether it is a deletion of a pod.
    #[must_use]
    pub fn is_deletion(&self) -> bool {
        self.verb == "delete" && self.resource == "pods"
    }

    /// Whether it is about pods, or what belongs to one.
    #[must_use]
    pub fn is_about_pods(&self) -> bool {
        self.resource == "pods" || self.resource.starts_with("pods/")
    }

    /// Whether it changes the Node.
    #[must_use]
    pub fn is_node_patch(&self) -> bool {
        self.verb == "patch" && self.resource == "nodes"
    }

    /// Whether it cordons the Node.
    #[must_use]
    pub fn cordons(&self) -> bool {
        self.is_node_patch() && self.body["spec"]["unschedulable"] == true
    }

    /// Whether it uncordons the Node: the key is there, and null.
    #[must_use]
    pub fn uncordons(&self) -> bool {
        let spec = self.body["spec"].as_object();
        self.is_node_patch()
            && spec.and_then(|spec| spec.get("unschedulable")).is_some_and(Value::is_null)
    }

    /// Whether the server did what was asked.
    #[must_use]
    pub fn accepted(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// Whether it is an eviction that a disruption budget stood in the way of:
    /// it allows none, or there are two of them, which the server takes ill. One whose status others
    /// were always quicker to write (409) has not refused.
    #[must_use]
    pub fn refused_by_budget(&self) -> bool {
        let message = self.message.to_lowercase();
        let budget = ["disruption budget", "poddisruptionbudget"]
            .iter()
            .any(|words| message.contains(words));
        self.is_eviction() && !self.accepted() && self.code != 409 && budget
    }

    /// Whether the asker was not let act as its node.
    #[must_use]
    pub fn refuses_the_node(&self) -> bool {
        self.code == 403 && self.message.contains("\" cannot impersonate")
    }

    fn delete_options(&self) -> &Value {
        if self.is_eviction() { &self.body["deleteOptions"] } else { &self.body }
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, resource, namespace, name, code, reason, .. } = self;
        write!(f, "{} {verb} {resource} {namespace}/{name}", self.received)?;
        if let Some(grace) = self.grace() {
            write!(f, " grace {grace}")?;
        }
        if self.dry_run() {
            write!(f, " dry")?;
        }
        if self.name.is_empty() {
            write!(f, " {}", self.uri)?;
        }
        write!(f, " → {code} {reason} {}", self.answered.duration_since(self.received))
    }
}

/// Reads the log, but for requests that were not come to: those that a
/// ServiceAccount made as its node, and was not let. It asks for the same again in
/// its own name.
///
/// # Errors
/// The file cannot be read, or a line is not an audit event.
pub fn read(path: &Path) -> Result<Vec<Exchange>> {
    let mut exchanges = read_all(path)?;
    exchanges.retain(|exchange| !exchange.refuses_the_node());
    Ok(exchanges)
}

/// Reads the log: one exchange a line, in the order of their answers. A
/// running watch is there once.
///
/// # Errors
/// The file cannot be read, or a line is not an audit event.
pub fn read_all(path: &Path) -> Result<Vec<Exchange>> {
    Follower::of(path).more()
}

/// Reads a log that grows.
pub struct Follower {
    path: PathBuf,
    read: u64,
}

impl Follower {
    /// From its beginning.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), read: 0 }
    }

    /// What has been added, as [`read_all`] gives it.
    ///
    /// # Errors
    /// The file cannot be read, or a line is not an audit event.
    pub fn more(&mut self) -> Result<Vec<Exchange>> {
        let reading = || format!("reading {}", self.path.display());
        let mut file = File::open(&self.path).with_context(reading)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).with_context(reading)?;
        // The last line may be half written.
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        text.truncate(end);
        self.read += u64::try_from(end)?;
        let text = String::from_utf8(text)?;
        let mut exchanges = Vec::new();
        for line in text.lines() {
            let event: Event =
                serde_json::from_str(line).with_context(|| format!("audit event {line}"))?;
            let watch_ended = event.verb == "watch" && event.stage == "ResponseComplete";
            if !watch_ended {
                exchanges.push(event.into());
            }
        }
        Ok(exchanges)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    user: User,
    #[serde(default)]
    impersonated_user: User,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: Status,
    #[serde(default)]
    request_object: Value,
    request_received_timestamp: Timestamp,
    stage_timestamp: Timestamp,
}

#[derive(Default, Deserialize)]
struct User {
    username: Option<String>,
    #[serde(default)]
    extra: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
    reason: String,
    message: String,
}

impl From<Event> for Exchange {
    fn from(event: Event) -> Self {
        let object = event.object_ref;
        let extra = |name: &str| {
            let value = &event.user.extra[format!("authentication.kubernetes.io/{name}")][0];
            value.as_str().unwrap_or_default().to_owned()
        };
        Self {
            node: extra("node-name"),
            credential: extra("credential-id"),
            verb: event.verb,
            resource: if object.subresource.is_empty() {
                object.resource
            } else {
                format!("{}/{}", object.resource, object.subresource)
            },
            namespace: object.namespace,
            name: object.name,
            uri: event.request_uri,
            acting_as: event.impersonated_user.username,
            code: event.response_status.code,
            reason: event.response_status.reason,
            message: event.response_status.message,
            received: event.request_received_timestamp,
            answered: event.stage_timestamp,
            body: event.request_object,
        }
    }
}

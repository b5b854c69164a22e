//! What the API server's replies mean, each read once. Pure.
//!
//! The wording and the causes are those of kube-apiserver 1.34 to 1.37.

use std::time::Duration;

use miniserde::Deserialize;
use ureq_proto::http::Method;

use crate::drain::ask::{Answer, Ask, Budget, Job, PodRef};
use crate::excerpt::excerpt;
use crate::kube::json::{Fold, Folded, read};
use crate::kube::nodes::{self, Profile};
use crate::kube::request::{Request, is_subdomain};
use crate::moment::WallTime;
use crate::node::NodeAnswer;

/// A whole reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The header `Retry-After`, as [`retry_after`] reads it.
    pub retry_after: Option<Duration>,
    /// The header `Date`: the server's clock, to the second.
    pub date: Option<WallTime>,
    /// What authenticated the request.
    pub by: KnownBy,
    /// As it came.
    pub body: Vec<u8>,
}

/// What authenticates a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// A bearer token.
    Token,
    /// A client certificate.
    Certificate,
}

impl KnownBy {
    /// In a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Token => "the token",
            Self::Certificate => "the client certificate",
        }
    }
}

/// Reads the header `Retry-After`: whole seconds. The other form, a date, is for calendars that
/// agree; it counts as not given.
pub fn retry_after(header: &str) -> Option<Duration> {
    header.trim().parse().ok().map(|seconds: u32| Duration::from_secs(seconds.into()))
}

/// What a reply means for the job that was asked.
///
/// "Done" is believed only if the body says so too. A page of a proxy that answers 200 would
/// otherwise end the pod's turn, while asking once more what was done already does no harm.
pub fn answer(job: &Job, request: &Request, reply: &Reply) -> Answer {
    if (200..300).contains(&reply.status) {
        return if confirms(&reply.body, request.answer_kept) {
            Answer::Accepted
        } else {
            Answer::Broken(unexpected(request, reply))
        };
    }
    let status = Status::read(&reply.body);
    if let Some(budget) = status.as_ref().and_then(|status| status.budget(&job.pod)) {
        return Answer::Blocked(budget);
    }
    let why = described(request, reply, status.as_ref());
    let says = |question: fn(&Status, &Job) -> bool| {
        status.as_ref().is_some_and(|status| question(status, job))
    };
    match reply.status {
        401 => Answer::Unauthorized(reply.by.words()),
        403 if status.as_ref().is_some_and(Status::says_namespace_terminates) => {
            Answer::NamespaceTerminating
        }
        403 => Answer::Forbidden(why),
        404 if says(Status::says_pod_is_gone) => Answer::Gone,
        409 | 422 if says(Status::says_uid_differs) => Answer::Replaced,
        500 if status.as_ref().is_some_and(Status::says_it_failed) => Answer::Failed(why),
        408 | 409 | 429 | 500..=599 => Answer::Busy {
            retry_after: reply.retry_after.or_else(|| status?.details?.retry_after()),
            why,
        },
        // A policy or a webhook may refuse with any code.
        400..=403 | 405..=499 if status.is_some() => Answer::Failed(why),
        _ => Answer::Broken(why),
    }
}

/// What a reply to reading or changing the Node `name` means.
pub fn node(name: &str, request: &Request, reply: &Reply) -> NodeAnswer {
    let status = Status::read(&reply.body);
    let why = || described(request, reply, status.as_ref());
    match reply.status {
        200 | 201 => match nodes::node(name, &reply.body) {
            Some(node) => NodeAnswer::Is(Box::new(node)),
            None => NodeAnswer::Failed(unexpected(request, reply)),
        },
        409 => NodeAnswer::Conflict,
        403 => {
            let verb = if request.method == Method::GET { "get" } else { "patch" };
            NodeAnswer::Forbidden(format!("{}; `{verb}` on `nodes` must be granted", why()))
        }
        404 if status.as_ref().is_some_and(|status| status.is_about(&["nodes", "node"], name)) => {
            NodeAnswer::Missing(format!("there is no node named {name} ({request}: 404)"))
        }
        _ => NodeAnswer::Failed(why()),
    }
}

/// Labels and provider id, by the reply to [`read_node`](crate::kube::request::read_node); `None` if it is none.
pub fn profile(reply: &Reply) -> Option<Profile> {
    nodes::profile(&reply.body).filter(|_| reply.status == 200)
}

/// On which node a pod runs, by the reply to [`find_pod`](crate::kube::request::find_pod).
pub fn node_of_pod(request: &Request, reply: &Reply) -> Result<String, String> {
    let status = Status::read(&reply.body);
    let why = described(request, reply, status.as_ref());
    match reply.status {
        200 => Placed::read(&reply.body).ok_or_else(|| unexpected(request, reply)),
        403 => Err(format!("{why}; set NODE_NAME, or grant `get` on `pods`")),
        404 => Err(format!("{why}; set NODE_NAME, or correct POD_NAME and NAMESPACE")),
        _ => Err(why),
    }
}

/// The version of the API server, by the reply to [`read_version`](crate::kube::request::read_version).
pub fn version(reply: &Reply) -> Option<String> {
    let Version { version } = read(&reply.body)?;
    version.as_deref().map(excerpt)
}

/// Whether it is allowed, by the reply to [`review`](crate::kube::request::review).
///
/// # Errors
/// The reply does not say: why.
pub fn is_allowed(request: &Request, reply: &Reply) -> Result<bool, String> {
    match read(&reply.body) {
        Some(Review { status }) => Ok(status.allowed),
        None => Err(refusal(request, reply)),
    }
}

/// `Info` in k8s.io/apimachinery/pkg/version.
#[derive(Deserialize)]
struct Version {
    #[serde(rename = "gitVersion")]
    version: Option<String>,
}

/// A `SelfSubjectAccessReview`.
#[derive(Deserialize)]
struct Review {
    status: Allowed,
}

#[derive(Deserialize)]
struct Allowed {
    allowed: bool,
}

/// What became of an Event that was to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is written, or was before.
    Done,
    /// There is none of that name to be changed.
    Missing,
    /// It is not accepted, and would not be later.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why, in words.
        why: String,
    },
    /// Its namespace is being deleted, and it would be with it.
    Moot,
    /// Not now.
    Again {
        /// Why, in words.
        why: String,
        /// The server's `Retry-After`, if it gave one.
        after: Option<Duration>,
    },
}

/// What became of an Event, by the reply to [`create_event`](crate::kube::request::create_event) or
/// [`patch_event`](crate::kube::request::patch_event).
pub fn written(request: &Request, reply: &Reply) -> Written {
    let status = Status::read(&reply.body);
    let why = || described(request, reply, status.as_ref());
    match (reply.status, &request.method) {
        // With 409 the one before it got through, and its answer did not.
        (200..=299, _) | (409, &Method::POST) => Written::Done,
        (404, &Method::PATCH) => Written::Missing,
        (403, _) if status.as_ref().is_some_and(Status::says_namespace_terminates) => Written::Moot,
        (status @ 403, method) => {
            let verb = if method == Method::POST { "create" } else { "patch" };
            Written::Refused {
                status,
                why: format!("{}; `{verb}` on `events` must be granted", why()),
            }
        }
        (401 | 408 | 409 | 429 | 500..=599, _) => {
            Written::Again { why: why(), after: reply.retry_after }
        }
        (status, _) => Written::Refused { status, why: why() },
    }
}

/// The message of the API server where it does not let the ServiceAccount act as its node: for either kind of
/// impersonation (`endpoints/filters/impersonation` in k8s.io/apiserver) the verb begins with this word.
pub(super) fn refused_impersonation(reply: &Reply) -> Option<String> {
    let status = Status::read(&reply.body).filter(|_| reply.status == 403)?;
    let message = status.message();
    message.contains("\" cannot impersonate").then(|| excerpt(message))
}

/// Whether a right was missing, which the node may have. A namespace that is being deleted, a budget, an admission
/// webhook and a policy answer 403, too (`forbiddenMessage` in `endpoints/handlers/responsewriters`
/// in k8s.io/apiserver).
pub(super) fn lacks_right(reply: &Reply) -> bool {
    let status = Status::read(&reply.body).filter(|_| reply.status == 403);
    status.is_some_and(|status| {
        let message = status.message();
        let user = message.split_once("User \"").and_then(|(_, rest)| rest.split_once('"'));
        user.is_some_and(|(_, rest)| rest.starts_with(" cannot "))
    })
}

/// Whether what was asked for is newer than anything that the server has.
pub(super) fn says_version_is_too_large(reply: &Reply) -> bool {
    let status = Status::read(&reply.body);
    status.and_then(|status| status.causes().map(|causes| causes.too_new)).unwrap_or(false)
}

/// A refusal in words: what was asked, the status, and what the server says or how much it sent.
pub(super) fn refusal(request: &Request, reply: &Reply) -> String {
    described(request, reply, Status::read(&reply.body).as_ref())
}

/// A reply with a good status and a body that is not what was asked for, in words.
pub(super) fn unexpected(request: &Request, reply: &Reply) -> String {
    let (status, length) = (reply.status, reply.body.len());
    format!("{request}: {status}, but its {length} bytes are not what was asked for")
}

fn described(request: &Request, reply: &Reply, status: Option<&Status>) -> String {
    let code = reply.status;
    if code == 401 {
        return format!("{request}: 401, the API server does not accept {}", reply.by.words());
    }
    match status.and_then(|status| status.message.as_deref()).map(excerpt) {
        Some(message) if !message.is_empty() => format!("{request}: {code}: {message}"),
        _ => format!("{request}: {code}, with {} bytes that say no reason", reply.body.len()),
    }
}

/// Whether the body says that it was done: the object as it is now, of which only `kept` bytes were
/// kept, or a Status `Success`.
fn confirms(body: &[u8], kept: usize) -> bool {
    match read::<Kind>(body).map(|object| object.kind).as_deref() {
        Some("Status") => read::<Status>(body).is_some_and(|status| status.succeeded()),
        Some("Pod" | "Eviction") => true,
        Some(_) => false,
        None => body.len() >= kept && begins_a_pod(body),
    }
}

/// Kind and version stand before everything else in what the API server writes.
fn begins_a_pod(body: &[u8]) -> bool {
    const KIND: &[u8] = br#""kind":"Pod","#;
    let beginning = body.get(..64).unwrap_or_default();
    beginning.starts_with(b"{") && beginning.windows(KIND.len()).any(|part| part == KIND)
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

/// The API server's own account of how a request went (`meta/v1` Status).
#[derive(Deserialize)]
struct Status {
    kind: String,
    #[serde(rename = "status")]
    outcome: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    details: Option<Details>,
}

/// The cause of a refusal by a budget (`DisruptionBudgetCause` in `policy/v1`).
const BUDGET_CAUSE: &str = "DisruptionBudget";

/// What stands before the budget's name in the cause's message (`registry/core/pod/storage`,
/// eviction.go).
const BUDGET_NAMED: &str = "The disruption budget ";

/// In the message of a 500: such a pod is never evicted (eviction.go, too).
const SEVERAL_BUDGETS: &str = "more than one PodDisruptionBudget";

/// The cause of a refusal to create in a namespace that is being deleted
/// (`NamespaceTerminatingCause` in `core/v1`).
const NAMESPACE_CAUSE: &str = "NamespaceTerminating";

/// The cause of a refusal to read what is newer than anything the server has (`NewTooLargeResourceVersionError`
/// in k8s.io/apiserver).
const TOO_NEW_CAUSE: &str = "ResourceVersionTooLarge";

/// In the message of a 409 by another UID: of `registry/rest` (delete.go) and eviction.go, and of
/// the storage (`storage/interfaces.go`), both in k8s.io/apiserver.
const UID_PRECONDITION: [&str; 2] = ["UID in the precondition", "UID in precondition"];

#[derive(Deserialize)]
struct Details {
    group: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    causes: Option<Folded<Causes>>,
    #[serde(rename = "retryAfterSeconds")]
    retry_after_seconds: Option<u32>,
}

impl Details {
    fn retry_after(&self) -> Option<Duration> {
        self.retry_after_seconds.map(|seconds| Duration::from_secs(seconds.into()))
    }
}

#[derive(Deserialize)]
struct Cause {
    reason: Option<String>,
    message: Option<String>,
    field: Option<String>,
}

/// What the causes come to, however many there are.
#[expect(clippy::option_option, reason = "no such cause, and one without a message")]
#[derive(Default)]
struct Causes {
    /// A budget refuses: what the first such cause says.
    budget: Option<Option<String>>,
    /// The namespace is being deleted.
    namespace: bool,
    /// The UID is another.
    uid: bool,
    /// What was asked for is newer than anything there is.
    too_new: bool,
}

impl Fold for Causes {
    type Element = Cause;

    fn fold(&mut self, Cause { reason, message, field }: Cause) {
        match reason.as_deref() {
            Some(BUDGET_CAUSE) => _ = self.budget.get_or_insert(message),
            Some(NAMESPACE_CAUSE) => self.namespace = true,
            Some(TOO_NEW_CAUSE) => self.too_new = true,
            _ => {}
        }
        self.uid |= field.as_deref() == Some("metadata.uid");
    }
}

impl Status {
    /// Reads it; `None` if the body is anything else.
    fn read(body: &[u8]) -> Option<Self> {
        read::<Self>(body).filter(|status| status.kind == "Status")
    }

    fn succeeded(&self) -> bool {
        self.outcome.as_deref() == Some("Success")
    }

    fn message(&self) -> &str {
        self.message.as_deref().unwrap_or_default()
    }

    fn causes(&self) -> Option<&Causes> {
        self.details.as_ref()?.causes.as_ref().map(|Folded(causes)| causes)
    }

    /// The budget that stands in the way, if one does. Besides 429, a budget whose own numbers are
    /// off answers 403 with the same cause, and two budgets over one pod answer 500 without one.
    fn budget(&self, pod: &PodRef) -> Option<Budget> {
        let named = |name: String| Budget { namespace: pod.namespace.clone(), name };
        if let Some(message) = self.causes().and_then(|causes| causes.budget.as_ref()) {
            let text = message.as_deref().unwrap_or_else(|| self.message());
            let name = text
                .strip_prefix(BUDGET_NAMED)
                .and_then(|rest| rest.split(' ').next())
                .filter(|name| !name.is_empty());
            return Some(named(excerpt(name.unwrap_or(text))));
        }
        self.message().contains(SEVERAL_BUDGETS).then(|| named("(more than one)".to_owned()))
    }

    /// Whether the server has tried and failed. Otherwise the same may succeed in a moment: it says so
    /// itself (`NewServerTimeout` in k8s.io/apimachinery has code 500), or etcd has a new leader.
    fn says_it_failed(&self) -> bool {
        let again = self.details.as_ref().is_some_and(|details| details.retry_after().is_some());
        !again && !self.message().contains("leader changed")
    }

    fn says_namespace_terminates(&self) -> bool {
        self.causes().is_some_and(|causes| causes.namespace)
    }

    /// Whether it says that this very pod does not exist: a wrong path is a 404, too.
    fn says_pod_is_gone(&self, job: &Job) -> bool {
        self.is_about(&["pods", "pod"], &job.pod.name)
    }

    /// Whether the object of one of these kinds with this name was not found.
    fn is_about(&self, kinds: &[&str], name: &str) -> bool {
        self.reason.as_deref() == Some("NotFound")
            && self.details.as_ref().is_some_and(|details| {
                let kind = details.kind.as_deref().unwrap_or_default();
                details.name.as_deref() == Some(name)
                    && details.group.as_deref().unwrap_or_default().is_empty()
                    && kinds.iter().any(|of| of.eq_ignore_ascii_case(kind))
            })
    }

    /// Whether the UID in the request is not that of the pod: for deletions in either of two
    /// wordings, for a patch as the immutable field that it would change.
    fn says_uid_differs(&self, job: &Job) -> bool {
        let message = self.message();
        let precondition = UID_PRECONDITION.iter().any(|words| message.contains(words));
        match job.ask {
            Ask::Evict { .. } | Ask::Delete { .. } => {
                precondition && message.contains(job.pod.uid.as_str())
            }
            Ask::MarkDisrupted => precondition || self.causes().is_some_and(|causes| causes.uid),
        }
    }
}

#[derive(Deserialize)]
struct Placed {
    kind: String,
    spec: PlacedSpec,
}

#[derive(Deserialize)]
struct PlacedSpec {
    #[serde(rename = "nodeName")]
    node_name: String,
}

impl Placed {
    fn read(body: &[u8]) -> Option<String> {
        let pod: Self = read(body)?;
        (pod.kind == "Pod" && is_subdomain(&pod.spec.node_name)).then_some(pod.spec.node_name)
    }
}

#[cfg(test)]
mod tests;

//! Kubernetes Events: how they are written, and what became of that. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::Resource;
use k8s_openapi::api::core::v1::{Event, Namespace};

use crate::kube::reply::{Reply, Status, described};
use crate::kube::request::{BEGINNING, Body, Encoded, Method, Name, OBJECT_LIMIT, Request};

/// What an operator wants on each Event: names and values.
pub type Annotations = BTreeMap<String, String>;

/// Writes a new Event, whose body this is.
pub fn create(namespace: &str, body: String) -> Request {
    Request {
        method: Method::Post,
        path: events_path(namespace),
        body: Some(Body { content_type: "application/json", text: body }),
        answer_limit: OBJECT_LIMIT,
        answer_kept: BEGINNING,
        name: Name::Node,
    }
}

/// Changes an Event.
pub fn patch(namespace: &str, name: &str, patch: String) -> Request {
    Request {
        method: Method::Patch,
        path: format!("{}/{}", events_path(namespace), Encoded(name)),
        body: Some(Body { content_type: "application/merge-patch+json", text: patch }),
        answer_limit: OBJECT_LIMIT,
        answer_kept: BEGINNING,
        name: Name::Node,
    }
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

/// What became of an Event, by the reply to [`create`] or [`patch`].
pub fn written(request: &Request, reply: &Reply) -> Written {
    let status = Status::read(&reply.body);
    let why = || described(request, reply, status.as_ref());
    match (reply.status, request.method) {
        // With 409 the one before it got through, and its answer did not.
        (200..=299, _) | (409, Method::Post) => Written::Done,
        (404, Method::Patch) => Written::Missing,
        (403, _) if status.as_ref().is_some_and(Status::says_namespace_terminates) => Written::Moot,
        (status @ 403, method) => {
            let verb = if method == Method::Post { "create" } else { "patch" };
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

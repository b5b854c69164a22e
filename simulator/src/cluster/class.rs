//! What a request asks of the API server.

use crate::http::Request;

/// The kinds of requests a handler sends, for faults, rights and the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// GET of the Node.
    NodeGet,
    /// PATCH of the Node.
    NodePatch,
    /// GET of one pod.
    PodGet,
    /// GET of the pods, once.
    List,
    /// GET of the pods, to be told of changes.
    Watch,
    /// POST of an Eviction.
    Evict,
    /// DELETE of a pod.
    Delete,
    /// PATCH of a pod's status.
    Status,
    /// POST of a `SelfSubjectAccessReview`.
    Review,
    /// Anything else (kubectl's questions about the API).
    Other,
}

/// A request that has been understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) class: Class,
    /// The namespace asked about, if the path has one.
    pub(super) namespace: Option<String>,
    /// The object's name, if the path has one.
    pub(super) name: Option<String>,
}

impl Route {
    pub(super) fn of(request: &Request) -> Self {
        let path = request.path.trim_start_matches('/');
        let parts: Vec<&str> = path.split('/').collect();
        let (class, namespace, name) = match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["api", "v1", "nodes", name]) => (Class::NodeGet, None, Some(*name)),
            ("PATCH", ["api", "v1", "nodes", name]) => (Class::NodePatch, None, Some(*name)),
            ("GET", ["api", "v1", "pods"]) => (Self::list_or_watch(request), None, None),
            ("GET", ["api", "v1", "namespaces", namespace, "pods"]) => {
                (Self::list_or_watch(request), Some(*namespace), None)
            }
            ("GET", ["api", "v1", "namespaces", namespace, "pods", name]) => {
                (Class::PodGet, Some(*namespace), Some(*name))
            }
            ("DELETE", ["api", "v1", "namespaces", namespace, "pods", name]) => {
                (Class::Delete, Some(*namespace), Some(*name))
            }
            ("POST", ["api", "v1", "namespaces", namespace, "pods", name, "eviction"]) => {
                (Class::Evict, Some(*namespace), Some(*name))
            }
            ("PATCH", ["api", "v1", "namespaces", namespace, "pods", name, "status"]) => {
                (Class::Status, Some(*namespace), Some(*name))
            }
            ("POST", ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"]) => {
                (Class::Review, None, None)
            }
            _ => (Class::Other, None, None),
        };
        Self { class, namespace: namespace.map(str::to_owned), name: name.map(str::to_owned) }
    }

    /// `namespace/name` of the pod it is about.
    pub(super) fn pod(&self) -> Option<String> {
        Some(format!("{}/{}", self.namespace.as_ref()?, self.name.as_ref()?))
    }

    fn list_or_watch(request: &Request) -> Class {
        if request.switched_on("watch") { Class::Watch } else { Class::List }
    }
}

impl Class {
    /// Verb, resource and API group, as a refusal names them.
    pub(super) fn verb_and_resource(self) -> (&'static str, &'static str) {
        match self {
            Self::NodeGet => ("get", "nodes"),
            Self::NodePatch => ("patch", "nodes"),
            Self::PodGet => ("get", "pods"),
            Self::List => ("list", "pods"),
            Self::Watch => ("watch", "pods"),
            Self::Evict => ("create", "pods/eviction"),
            Self::Delete => ("delete", "pods"),
            Self::Status => ("patch", "pods/status"),
            Self::Review => ("create", "selfsubjectaccessreviews"),
            Self::Other => ("get", "other"),
        }
    }
}

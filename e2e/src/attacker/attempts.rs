//! What an attacker tries.

use serde_json::{Value, json};

use crate::diary::EXCLUSION;
use crate::rights::Flavour;

/// One request. `{own}` and `{other}` stand for the nodes, `{ns}` for the
/// namespace of the victims, `{system}` for that of the account, `{own-pod}` and
/// `{other-pod}` for a new pod on one of the nodes, `{uid}` for its UID.
pub struct Attempt {
    /// Whose things are touched.
    pub whose: Whose,
    /// In words, for the security page.
    pub what: &'static str,
    /// Of HTTP.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// Content type, if it is a patch.
    pub patch: &'static str,
    /// What goes with it.
    pub body: Body,
    /// As whom else it is tried; `None`: in the account's own name, and as its node.
    pub posing: Option<Who>,
    /// Who must not succeed.
    pub law: Law,
}

/// The body of a request.
pub enum Body {
    /// None.
    None,
    /// This one.
    Json(Value),
    /// A patch of the taints that the Node has.
    Taints(fn(Vec<Value>) -> Vec<Value>),
}

/// Whose things are touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those of another node.
    Other,
    /// Those of the cluster.
    Cluster,
    /// Those of the node whose handler's token it is.
    Own,
}

impl Whose {
    /// For the security page.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Other => "node B",
            Self::Cluster => "cluster",
            Self::Own => "node A, its own",
        }
    }
}

/// As whom a request is sent.
#[derive(Clone, Debug)]
pub enum Who {
    /// In the account's own name.
    Account,
    /// As the node that the token's pod runs on.
    OwnNode,
    /// As the other node.
    OtherNode,
    /// As somebody else, with these headers.
    Else(&'static [(&'static str, &'static str)]),
}

impl Who {
    pub(super) fn headers(&self, own: &str, other: &str) -> Vec<(&'static str, String)> {
        let node = |name: &str| vec![("Impersonate-User", format!("system:node:{name}"))];
        match self {
            Self::Account => Vec::new(),
            Self::OwnNode => node(own),
            Self::OtherNode => node(other),
            Self::Else(headers) => {
                let text = |value: &str| value.replace("{own}", own);
                headers.iter().map(|(name, value)| (*name, text(value))).collect()
            }
        }
    }
}

/// In which flavours an attempt may succeed: in these, and there it must, so that
/// it is known to be well formed. Whatever the page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// In none.
    Never,
    /// Only where the account's own name is all there is.
    ClassicOnly,
    /// Where a node is trusted with all of its own things, as a kubelet is.
    ConfinedOnly,
    /// Where taints are allowed.
    Taints,
    /// In all.
    Always,
}

impl Law {
    /// Whether it succeeds there.
    #[must_use]
    pub fn allows(self, flavour: Flavour) -> bool {
        match self {
            Self::Never => false,
            Self::ClassicOnly => flavour == Flavour::Classic,
            Self::ConfinedOnly => flavour.is_confined(),
            Self::Taints => flavour != Flavour::Confined,
            Self::Always => true,
        }
    }
}

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const JSON: &str = "application/json-patch+json";

/// All of them, in the order in which they are made: what is changed early does
/// not stand in the way later.
#[must_use]
pub fn all() -> Vec<Attempt> {
    let mut all = elsewhere();
    all.extend(posing());
    all.extend(cluster());
    all.extend(own());
    all
}

impl Attempt {
    fn new(whose: Whose, what: &'static str, law: Law, method: &'static str, path: &str) -> Self {
        let (path, body, posing) = (path.to_owned(), Body::None, None);
        Self { whose, what, method, path, patch: MERGE, body, posing, law }
    }

    fn json(mut self, body: Value) -> Self {
        self.body = Body::Json(body);
        self
    }

    fn patch(mut self, patch: &'static str, body: Value) -> Self {
        self.patch = patch;
        self.json(body)
    }

    fn taints(mut self, change: fn(Vec<Value>) -> Vec<Value>) -> Self {
        self.body = Body::Taints(change);
        self
    }
}

const NODE: &str = "/api/v1/nodes/{own}";
const OTHER_NODE: &str = "/api/v1/nodes/{other}";
const POD: &str = "/api/v1/namespaces/{ns}/pods/{own-pod}";
const OTHER_POD: &str = "/api/v1/namespaces/{ns}/pods/{other-pod}";

/// As the handler asks for it.
fn eviction(pod: &str) -> Value {
    with_options(pod, &json!({"preconditions": {"uid": "{uid}"}, "gracePeriodSeconds": 30}))
}

/// It ends whatever has the name by then.
fn eviction_without_uid(pod: &str) -> Value {
    with_options(pod, &json!({"gracePeriodSeconds": 30}))
}

/// The pod is gone at once, for all but its node.
fn eviction_without_grace(pod: &str) -> Value {
    with_options(pod, &json!({"preconditions": {"uid": "{uid}"}, "gracePeriodSeconds": 0}))
}

fn with_options(pod: &str, options: &Value) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": pod, "namespace": "{ns}"}, "deleteOptions": options,
    })
}

fn condition(kind: &str, status: &str) -> Value {
    json!({"status": {"conditions": [{"type": kind, "status": status}]}})
}

/// The marks, without taints.
fn cordon() -> Value {
    json!({"spec": {"unschedulable": true}})
}

fn exclusion() -> Value {
    json!({"metadata": {"labels": {EXCLUSION: "k8s-spot-handler"}}})
}

fn note() -> Value {
    json!({"metadata": {"annotations": {"k8s-spot-handler/state": "{}"}}})
}

fn own_taint(mut taints: Vec<Value>) -> Vec<Value> {
    let key = "aws-node-termination-handler/spot-itn";
    taints.push(json!({"key": key, "value": "terminate", "effect": "NoSchedule"}));
    taints
}

fn foreign_taint(mut taints: Vec<Value>) -> Vec<Value> {
    taints.push(json!({"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}));
    taints
}

fn elsewhere() -> Vec<Attempt> {
    use Law::{ClassicOnly, Never};
    let new = |what, law, method, path: &str| Attempt::new(Whose::Other, what, law, method, path);
    let pods = "/api/v1/pods?fieldSelector=spec.nodeName%3D{other}";
    vec![
        new("read its Node", ClassicOnly, "GET", OTHER_NODE),
        new("list its pods", ClassicOnly, "GET", pods),
        new("watch its pods", ClassicOnly, "GET", &format!("{pods}&watch=1&timeoutSeconds=1")),
        new("evict a pod", ClassicOnly, "POST", &format!("{OTHER_POD}/eviction"))
            .json(eviction("{other-pod}")),
        new("evict a pod without its UID", Never, "POST", &format!("{OTHER_POD}/eviction"))
            .json(eviction_without_uid("{other-pod}")),
        new("evict a pod with a grace of 0", Never, "POST", &format!("{OTHER_POD}/eviction"))
            .json(eviction_without_grace("{other-pod}")),
        new("delete a pod", Never, "DELETE", OTHER_POD).json(json!({})),
        new(
            "set a pod's condition `DisruptionTarget`",
            Never,
            "PATCH",
            &format!("{OTHER_POD}/status"),
        )
        .patch(STRATEGIC, condition("DisruptionTarget", "True")),
        new("cordon it", Never, "PATCH", OTHER_NODE).json(cordon()),
        new("taint it", Never, "PATCH", OTHER_NODE).taints(own_taint),
        new("take it out of load balancers", Never, "PATCH", OTHER_NODE).json(exclusion()),
        new("annotate it", Never, "PATCH", OTHER_NODE).json(note()),
        new("delete its Node", Never, "DELETE", OTHER_NODE).json(json!({})),
    ]
}

/// As somebody else.
fn posing() -> Vec<Attempt> {
    let as_ = |what, who, path: &str| Attempt {
        posing: Some(who),
        ..Attempt::new(Whose::Cluster, what, Law::Never, "GET", path)
    };
    let pods = "/api/v1/pods?fieldSelector=spec.nodeName%3D{other}";
    vec![
        as_("act as node B", Who::OtherNode, pods),
        as_(
            "act as the first administrator",
            Who::Else(&[("Impersonate-User", "kubernetes-admin")]),
            pods,
        ),
        as_(
            "act as its own node, and in the group `system:masters`",
            Who::Else(&[
                ("Impersonate-User", "system:node:{own}"),
                ("Impersonate-Group", "system:masters"),
            ]),
            pods,
        ),
        as_(
            "act as a controller's ServiceAccount",
            Who::Else(&[("Impersonate-User", "system:serviceaccount:kube-system:node-controller")]),
            pods,
        ),
    ]
}

fn cluster() -> Vec<Attempt> {
    use Law::{Always, ClassicOnly, Never};
    let new = |what, law, method, path: &str| Attempt::new(Whose::Cluster, what, law, method, path);
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let tokens = "/api/v1/namespaces/{system}/serviceaccounts";
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    vec![
        new("list the pods of all nodes", ClassicOnly, "GET", "/api/v1/pods"),
        new("list the Nodes", Never, "GET", "/api/v1/nodes"),
        new("read all Secrets", Never, "GET", "/api/v1/secrets"),
        new("read a Secret that a pod on its own node uses", Never, "GET", "/api/v1/namespaces/{ns}/secrets/used"),
        new("read all ConfigMaps", Never, "GET", "/api/v1/configmaps"),
        new("read a ConfigMap that a pod on its own node uses", Never, "GET", "/api/v1/namespaces/{ns}/configmaps/used"),
        new("read the Deployments", Never, "GET", "/apis/apps/v1/deployments"),
        new("read the Leases of nodes", Never, "GET", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"),
        new("make a token of its own ServiceAccount", Never, "POST", &format!("{tokens}/k8s-spot-handler/token"))
            .json(token.clone()),
        new("make a token of another ServiceAccount", Never, "POST", &format!("{tokens}/default/token")).json(token),
        new("grant itself more", Never, "PATCH", &format!("{roles}/k8s-spot-handler-{{system}}"))
            .patch(JSON, json!([{"op": "replace", "path": "/rules", "value": [
                {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
            ]}])),
        new("create a Node", Never, "POST", "/api/v1/nodes")
            .json(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "{own}-new"}})),
        new("create a Node by server-side apply", Never, "PATCH", "/api/v1/nodes/{own}-new?fieldManager=x")
            .patch(APPLY, json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "{own}-new"}})),
        new("create a pod", Never, "POST", "/api/v1/namespaces/{ns}/pods").json(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "new"},
            "spec": {"containers": [{"name": "main", "image": "none"}]},
        })),
        new("delete all pods of a namespace", Never, "DELETE", "/api/v1/namespaces/{ns}/pods").json(json!({})),
        new("write an Event about anything", Always, "POST", "/api/v1/namespaces/{ns}/events").json(json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"generateName": "e-"},
            "involvedObject": {"kind": "Pod", "namespace": "{ns}", "name": "some"}, "reason": "Some",
        })),
    ]
}

fn own() -> Vec<Attempt> {
    use Law::{Always, ConfinedOnly, Never, Taints};
    let new = |what, law, method, path: &str| Attempt::new(Whose::Own, what, law, method, path);
    let pods = "/api/v1/pods?fieldSelector=spec.nodeName%3D{own}";
    let status = format!("{POD}/status");
    let access = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    vec![
        new("run a program in a pod", Never, "POST", &format!("{POD}/exec?command=id&stdout=true")),
        new("read a pod's log", Never, "GET", &format!("{POD}/log")),
        new("reach its kubelet through the API server", Never, "GET", &format!("{NODE}/proxy/pods")),
        new("set the Node's status", Never, "PATCH", &format!("{NODE}/status"))
            .json(json!({"status": {"allocatable": {"pods": "1"}}})),
        new("add a taint with a foreign key", Never, "PATCH", NODE).taints(foreign_taint),
        new("take off all taints", Never, "PATCH", NODE).taints(|_| Vec::new()),
        new("make the Node another's dependent", Never, "PATCH", NODE).json(json!({"metadata": {
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "{other}", "uid": "none"}],
        }})),
        new("set a label of others", ConfinedOnly, "PATCH", NODE)
            .json(json!({"metadata": {"labels": {"example.com/pool": "gold"}}})),
        new("set a label `node-restriction.kubernetes.io/…`", Never, "PATCH", NODE)
            .json(json!({"metadata": {"labels": {"node-restriction.kubernetes.io/pool": "gold"}}})),
        new("set an annotation of others", ConfinedOnly, "PATCH", NODE)
            .json(json!({"metadata": {"annotations": {"example.com/note": "none"}}})),
        new("take off all labels", ConfinedOnly, "PATCH", NODE).json(json!({"metadata": {"labels": null}})),
        new("set a finalizer on the Node", ConfinedOnly, "PATCH", NODE)
            .json(json!({"metadata": {"finalizers": ["example.com/none"]}})),
        new("set the Node's `providerID`", ConfinedOnly, "PATCH", NODE)
            .json(json!({"spec": {"providerID": "aws:///none/i-0"}})),
        new("evict a pod without its UID", ConfinedOnly, "POST", &format!("{POD}/eviction"))
            .json(eviction_without_uid("{own-pod}")),
        new("evict a pod with a grace of 0", ConfinedOnly, "POST", &format!("{POD}/eviction"))
            .json(eviction_without_grace("{own-pod}")),
        new("set a pod's address", ConfinedOnly, "PATCH", &status)
            .patch(STRATEGIC, json!({"status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}})),
        new("set a pod's condition `Ready`", ConfinedOnly, "PATCH", &status)
            .patch(STRATEGIC, condition("Ready", "False")),
        new("set a pod's label through its status", Never, "PATCH", &status)
            .patch(STRATEGIC, json!({"metadata": {"labels": {"app": "other"}}})),
        new("read its Node", Always, "GET", NODE),
        new("list its pods", Always, "GET", pods),
        new("watch its pods", Always, "GET", &format!("{pods}&watch=1&timeoutSeconds=1")),
        new("evict a pod", Always, "POST", &format!("{POD}/eviction")).json(eviction("{own-pod}")),
        new("delete a pod", Always, "DELETE", POD).json(json!({})),
        new("set a pod's condition `DisruptionTarget`", Always, "PATCH", &status)
            .patch(STRATEGIC, condition("DisruptionTarget", "True")),
        new("taint it", Taints, "PATCH", NODE).taints(own_taint),
        new("cordon it", Always, "PATCH", NODE).json(cordon()),
        new("take it out of load balancers", Always, "PATCH", NODE).json(exclusion()),
        new("annotate it", Always, "PATCH", NODE).json(note()),
        new("ask what it may do", Always, "POST", access).json(json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": "get", "resource": "nodes", "name": "{own}"}},
        })),
    ]
}

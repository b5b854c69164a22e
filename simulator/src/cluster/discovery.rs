//! What kubectl wants to know before it does anything. The handler asks none
//! of it.

use serde_json::{Value, json};

use super::refusal::Refusal;
use crate::http::{Request, Response};

/// Answers a question about the API itself.
pub(super) fn discover(request: &Request) -> Result<Response, Refusal> {
    if request.method != "GET" {
        return Err(Refusal::new(
            405,
            "the server does not allow this method on the requested resource",
        ));
    }
    let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    let answer = match parts.as_slice() {
        ["healthz" | "livez" | "readyz"] => return Ok(Response::new(200, "text/plain", "ok")),
        ["version"] => json!({ "major": "1", "minor": "37", "gitVersion": "v1.37.2",
            "gitCommit": "", "gitTreeState": "clean", "buildDate": "2026-10-01T00:00:00Z",
            "goVersion": "go1.26", "compiler": "gc", "platform": "linux/amd64" }),
        ["api"] => json!({ "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [] }),
        ["api", "v1"] => resources(
            "v1",
            &json!([
                resource("nodes", "Node", false, &["get", "patch"]),
                resource("pods", "Pod", true, &["get", "list", "watch", "delete"]),
                { "name": "pods/eviction", "singularName": "", "namespaced": true, "group": "policy",
                    "version": "v1", "kind": "Eviction", "verbs": ["create"] },
                resource("pods/status", "Pod", true, &["patch"]),
            ]),
        ),
        ["apis"] => json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [{
            "name": "policy",
            "versions": [{ "groupVersion": "policy/v1", "version": "v1" }],
            "preferredVersion": { "groupVersion": "policy/v1", "version": "v1" },
        }] }),
        ["apis", "policy", "v1"] => resources("policy/v1", &json!([])),
        ["apis", "apps", "v1", "namespaces", namespace, "daemonsets", name] => json!({
            "kind": "DaemonSet", "apiVersion": "apps/v1",
            "metadata": { "namespace": namespace, "name": name,
                "uid": "9d1f7a44-5c1e-4b3a-8a77-3c2b1a0f9e8d" },
        }),
        _ => return Err(Refusal::new(404, "the server could not find the requested resource")),
    };
    Ok(Response::json(200, &answer))
}

fn resources(group_version: &str, list: &Value) -> Value {
    json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version,
        "resources": list })
}

fn resource(name: &str, kind: &str, namespaced: bool, verbs: &[&str]) -> Value {
    json!({ "name": name, "singularName": kind.to_lowercase(), "namespaced": namespaced,
        "kind": kind, "verbs": verbs })
}

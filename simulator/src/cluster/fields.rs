//! Who set what on the Node: `metadata.managedFields`, as far as it is about
//! the cordon.

use serde_json::{Value, json};

use super::store::timestamp;
use crate::http::Request;

/// Under this name people cordon nodes: `kubectl cordon`.
pub(super) const OTHERS: &str = "kubectl-cordon";

/// The name under which a request changes objects: `fieldManager`, else what
/// its `User-Agent` begins with.
pub(super) fn manager(request: &Request) -> String {
    let agent = request.header("user-agent").unwrap_or("unknown");
    let agent = agent.split('/').next().unwrap_or(agent);
    request.parameter("fieldManager").unwrap_or(agent).to_owned()
}

/// Notes who has changed the Node from what it was. Whoever sets a field to
/// what it is already changes nothing; a field that is removed is nobody's.
pub(super) fn note(node: &mut Value, was_unschedulable: &Value, manager: &str) {
    let is = node["spec"]["unschedulable"].clone();
    if is == *was_unschedulable {
        return;
    }
    let mut entries = node["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries.retain(|entry| entry["fieldsV1"]["f:spec"]["f:unschedulable"].is_null());
    if !is.is_null() {
        entries.push(json!({
            "manager": manager,
            "operation": "Update",
            "apiVersion": "v1",
            "time": timestamp(std::time::Duration::ZERO),
            "fieldsType": "FieldsV1",
            "fieldsV1": { "f:spec": { "f:unschedulable": {} } },
        }));
    }
    node["metadata"]["managedFields"] = Value::Array(entries);
}

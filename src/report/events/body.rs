//! Events as in core/v1 (Kubernetes API reference, "Event v1 core"). Requests as values.

use std::collections::BTreeMap;

use k8s_openapi::Resource;
use k8s_openapi::api::core::v1::{self, Node, Pod};

use crate::instance::Instance;
use crate::json::Object;
use crate::kube::request::Annotations;
use crate::kube::request::{Request, create_event, patch_event};
use crate::moment::WallTime;
use crate::report::events::EventSource;
use crate::report::events::record::{EventRecord, Regarding};

/// The component that reports.
const COMPONENT: &str = "k8s-spot-handler";

/// The namespace of Events about objects without one, such as Nodes.
const NO_NAMESPACE: &str = "default";

/// A message has at most so many bytes (events.k8s.io/v1, `note`).
const LONGEST: usize = 1024;

/// Creates an Event.
pub(super) fn create(
    name: &str,
    event: &EventRecord,
    at: WallTime,
    node: &str,
    source: &EventSource,
    instance: &Instance,
) -> Request {
    let time = at.to_string();
    let (api_version, kind, of_namespace, of_name, uid) = match &event.regarding {
        // As the kubelet does: `kubectl describe node` looks for the name in place of the UID.
        Regarding::Node => (Node::API_VERSION, Node::KIND, "", node, node),
        Regarding::Pod(pod) => {
            (Pod::API_VERSION, Pod::KIND, &*pod.namespace, &*pod.name, &*pod.uid)
        }
    };
    let metadata = Object::new()
        .text("name", name)
        .text("namespace", namespace(event))
        .json("annotations", &annotations(instance, &source.annotations));
    let involved_object = Object::new()
        .text("apiVersion", api_version)
        .text("kind", kind)
        .text("namespace", of_namespace)
        .text("name", of_name)
        .text("uid", uid);
    let body = Object::new()
        .text("apiVersion", v1::Event::API_VERSION)
        .text("kind", v1::Event::KIND)
        .json("metadata", &metadata.end())
        .json("involvedObject", &involved_object.end())
        .text("reason", event.reason)
        .text("message", message(event))
        .text("type", if event.is_warning { "Warning" } else { "Normal" })
        .json("source", &Object::new().text("component", COMPONENT).text("host", node).end())
        .text("firstTimestamp", &time)
        .text("lastTimestamp", &time)
        .json("count", "1")
        .text("reportingComponent", COMPONENT)
        .text("reportingInstance", source.pod.as_deref().unwrap_or(node));
    create_event(namespace(event), body.end())
}

/// Updates the count of an Event.
pub(super) fn count(name: &str, event: &EventRecord, count: u32, at: WallTime) -> Request {
    let patch = Object::new()
        .text("message", message(event))
        .json("count", &count.to_string())
        .text("lastTimestamp", &at.to_string());
    patch_event(namespace(event), name, patch.end())
}

fn namespace(event: &EventRecord) -> &str {
    match &event.regarding {
        Regarding::Node => NO_NAMESPACE,
        Regarding::Pod(pod) => &pod.namespace,
    }
}

fn message(event: &EventRecord) -> &str {
    let text = event.message.as_str();
    text.get(..text.floor_char_boundary(LONGEST)).unwrap_or(text)
}

/// Those of aws-node-termination-handler, as far as they are known, and the operator's.
fn annotations(instance: &Instance, more: &Annotations) -> String {
    let own = [
        ("account-id", &instance.account_id),
        ("availability-zone", &instance.availability_zone),
        ("instance-id", &instance.instance_id),
        ("instance-life-cycle", &instance.life_cycle),
        ("instance-type", &instance.instance_type),
        ("local-hostname", &instance.local_hostname),
        ("local-ipv4", &instance.local_ip),
        ("public-hostname", &instance.public_hostname),
        ("public-ipv4", &instance.public_ip),
        ("region", &instance.region),
    ];
    let own = own.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
    let more = more.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // A key must not be given twice: the operator's counts.
    let all: BTreeMap<&str, &str> = own.chain(more).collect();
    all.iter().fold(Object::new(), |object, (name, value)| object.text(name, value)).end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::pod;

    fn source() -> EventSource {
        EventSource {
            pod: Some("handler-x".to_owned()),
            annotations: [("team".to_owned(), "a \"b\"".to_owned())].into(),
        }
    }

    fn at() -> WallTime {
        WallTime::parse("2026-11-23T12:00:00.5Z").unwrap()
    }

    fn event(regarding: Regarding) -> EventRecord {
        let message = format!("é\"{}", "x".repeat(2000));
        EventRecord { regarding, is_warning: true, reason: "PreDrain", message }
    }

    /// As the API server would read it: the oracle of the tests.
    fn written(event: &EventRecord) -> (String, v1::Event) {
        let instance = Instance { region: Some("eu-west-1".into()), ..Instance::default() };
        let request = create("node-1.1", event, at(), "node-1", &source(), &instance);
        let body = serde_json::from_str(&request.body.unwrap().text).unwrap();
        (request.path, body)
    }

    #[test]
    fn an_event_on_the_node_is_found_by_describe() {
        let (path, event) = written(&event(Regarding::Node));
        assert_eq!(path, "/api/v1/namespaces/default/events");
        assert_eq!(event.metadata.namespace.as_deref(), Some("default"));
        let of = event.involved_object;
        assert_eq!((of.kind.as_deref(), of.name.as_deref()), (Some("Node"), Some("node-1")));
        assert_eq!(of.uid.as_deref(), Some("node-1"));
        assert_eq!(event.type_.as_deref(), Some("Warning"));
        assert_eq!(event.reporting_component.as_deref(), Some("k8s-spot-handler"));
        assert_eq!(event.reporting_instance.as_deref(), Some("handler-x"));
        assert_eq!(event.source.unwrap().host.as_deref(), Some("node-1"));
        assert_eq!(event.count, Some(1));
        assert_eq!(event.first_timestamp, event.last_timestamp);
        assert!(event.first_timestamp.is_some());
        assert_eq!(event.message.unwrap().len(), LONGEST);
        let annotations = event.metadata.annotations.unwrap();
        assert_eq!(annotations.len(), 2);
        assert_eq!((&*annotations["region"], &*annotations["team"]), ("eu-west-1", "a \"b\""));
    }

    #[test]
    fn an_event_on_a_pod_stands_in_its_namespace() {
        let (path, event) = written(&event(Regarding::Pod(pod("web-1"))));
        assert_eq!(path, "/api/v1/namespaces/shop/events");
        let of = event.involved_object;
        assert_eq!((of.kind.as_deref(), of.uid.as_deref()), (Some("Pod"), Some("web-1")));
        assert_eq!(of.namespace, event.metadata.namespace);
    }

    #[test]
    fn what_happens_again_changes_count_time_and_words() {
        let request = count("node-1.1", &event(Regarding::Node), 3, at());
        assert_eq!(request.path, "/api/v1/namespaces/default/events/node-1.1");
        let body: v1::Event = serde_json::from_str(&request.body.unwrap().text).unwrap();
        assert_eq!(body.count, Some(3));
        assert!(body.last_timestamp.is_some() && body.message.is_some());
    }
}

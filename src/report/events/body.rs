//! Events as in core/v1 (Kubernetes API reference, "Event v1 core"). Requests as values.

use k8s_openapi::Resource;
use k8s_openapi::api::core::v1::{self, Node, Pod};
use miniserde::{Serialize, json};

use crate::instance::Instance;
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
    let involved_object = match &event.regarding {
        // As the kubelet does: `kubectl describe node` looks for the name in place of the UID.
        Regarding::Node => Reference {
            api_version: Node::API_VERSION,
            kind: Node::KIND,
            namespace: "",
            name: node,
            uid: node,
        },
        Regarding::Pod(pod) => Reference {
            api_version: Pod::API_VERSION,
            kind: Pod::KIND,
            namespace: &pod.namespace,
            name: &pod.name,
            uid: &pod.uid,
        },
    };
    let body = EventBody {
        api_version: v1::Event::API_VERSION,
        kind: v1::Event::KIND,
        metadata: EventMeta {
            name,
            namespace: namespace(event),
            annotations: annotations(instance, &source.annotations),
        },
        involved_object,
        reason: event.reason,
        message: message(event),
        r#type: if event.is_warning { "Warning" } else { "Normal" },
        source: Component { component: COMPONENT, host: node },
        first_timestamp: &time,
        last_timestamp: &time,
        count: 1,
        reporting_component: COMPONENT,
        reporting_instance: source.pod.as_deref().unwrap_or(node),
    };
    create_event(namespace(event), json::to_string(&body))
}

/// Updates the count of an Event.
pub(super) fn count(name: &str, event: &EventRecord, count: u32, at: WallTime) -> Request {
    let patch = EventPatch { message: message(event), count, last_timestamp: at.to_string() };
    patch_event(namespace(event), name, json::to_string(&patch))
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
fn annotations(instance: &Instance, more: &Annotations) -> json::Object {
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
    own.chain(more)
        .map(|(name, value)| (name.to_owned(), json::Value::String(value.to_owned())))
        .collect()
}

#[derive(Serialize)]
struct EventBody<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'a str,
    kind: &'a str,
    metadata: EventMeta<'a>,
    #[serde(rename = "involvedObject")]
    involved_object: Reference<'a>,
    reason: &'a str,
    message: &'a str,
    r#type: &'a str,
    source: Component<'a>,
    #[serde(rename = "firstTimestamp")]
    first_timestamp: &'a str,
    #[serde(rename = "lastTimestamp")]
    last_timestamp: &'a str,
    count: u32,
    #[serde(rename = "reportingComponent")]
    reporting_component: &'a str,
    #[serde(rename = "reportingInstance")]
    reporting_instance: &'a str,
}

#[derive(Serialize)]
struct EventMeta<'a> {
    name: &'a str,
    namespace: &'a str,
    annotations: json::Object,
}

#[derive(Serialize)]
struct Reference<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
}

#[derive(Serialize)]
struct Component<'a> {
    component: &'a str,
    host: &'a str,
}

#[derive(Serialize)]
struct EventPatch<'a> {
    message: &'a str,
    count: u32,
    #[serde(rename = "lastTimestamp")]
    last_timestamp: String,
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

//! What a Node is called besides its name: for messages. Pure.

use std::collections::BTreeMap;

use miniserde::de::{Map, Visitor};
use miniserde::{Deserialize, json, make_place};

use crate::excerpt::excerpt;
use crate::kube::kept::Excerpt;
use crate::kube::reply::Reply;

/// Labels and provider id of a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// `metadata.labels`: the first 256, in the order of their names. A Node has some dozens.
    pub labels: BTreeMap<String, String>,
    /// `spec.providerID`.
    pub provider_id: Option<String>,
}

/// So many labels are kept.
const MOST_LABELS: usize = 256;

/// By the reply to [`read_node`](crate::kube::request::read_node); `None` if it is none.
pub fn profile(reply: &Reply) -> Option<Profile> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
        spec: Option<Spec>,
    }
    #[derive(Deserialize)]
    struct Metadata {
        labels: Option<Labels>,
    }
    #[derive(Deserialize)]
    struct Spec {
        #[serde(rename = "providerID")]
        provider_id: Option<Excerpt>,
    }
    let text = std::str::from_utf8(&reply.body).ok().filter(|_| reply.status == 200)?;
    let object: Object = json::from_str(text).ok()?;
    Some(Profile {
        labels: object.metadata.labels.map(|Labels(labels)| labels).unwrap_or_default(),
        provider_id: object.spec.and_then(|spec| spec.provider_id).map(|Excerpt(text)| text),
    })
}

struct Labels(BTreeMap<String, String>);

make_place!(Place);

impl Visitor for Place<Labels> {
    fn map(&mut self) -> miniserde::Result<Box<dyn Map + '_>> {
        let labels = BTreeMap::new();
        Ok(Box::new(ReadingLabels { out: &mut self.out, labels, name: None, value: None }))
    }
}

impl Deserialize for Labels {
    fn begin(out: &mut Option<Self>) -> &mut dyn Visitor {
        Place::new(out)
    }
}

struct ReadingLabels<'a> {
    out: &'a mut Option<Labels>,
    labels: BTreeMap<String, String>,
    name: Option<String>,
    value: Option<Excerpt>,
}

impl ReadingLabels<'_> {
    fn keep(&mut self) {
        if let (Some(name), Some(Excerpt(value))) = (self.name.take(), self.value.take()) {
            self.labels.insert(name, value);
        }
        if self.labels.len() > MOST_LABELS {
            self.labels.pop_last();
        }
    }
}

impl Map for ReadingLabels<'_> {
    fn key(&mut self, name: &str) -> miniserde::Result<&mut dyn Visitor> {
        self.keep();
        self.name = Some(excerpt(name));
        Ok(Deserialize::begin(&mut self.value))
    }

    fn finish(&mut self) -> miniserde::Result<()> {
        self.keep();
        *self.out = Some(Labels(std::mem::take(&mut self.labels)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(node: &Value) -> Option<Profile> {
        let body = node.to_string().into_bytes();
        profile(&Reply {
            status: 200,
            retry_after: None,
            date: None,
            by: crate::kube::reply::KnownBy::Token,
            body,
        })
    }

    #[test]
    fn of_any_number_of_labels_the_first_are_kept() {
        let labels =
            |count| (0..count).map(|n| (format!("l{n:06}"), json!("v"))).collect::<Value>();
        for (count, kept) in [(0, 0), (60, 60), (256, 256), (257, 256), (100_000, 256)] {
            let profile = of(&json!({"metadata": {"labels": labels(count)}})).unwrap();
            assert_eq!(profile.labels.len(), kept, "{count}");
            assert!(profile.labels.keys().enumerate().all(|(n, name)| *name == format!("l{n:06}")));
        }
        assert_eq!(of(&json!({"metadata": {"labels": null}})), Some(Profile::default()));
        assert_eq!(of(&json!({"metadata": {}})), Some(Profile::default()));
        assert_eq!(of(&json!({"metadata": {"labels": []}})), None);
    }

    #[test]
    fn what_it_says_is_one_line() {
        let node =
            json!({"metadata": {"labels": {"a\nb": "c\nd"}}, "spec": {"providerID": "x\ny"}});
        let profile = of(&node).unwrap();
        assert_eq!(profile.provider_id.as_deref(), Some("x y"));
        assert_eq!(profile.labels, BTreeMap::from([("a b".to_owned(), "c d".to_owned())]));
    }
}

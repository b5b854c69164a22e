//! Which pods a list or a watch is about.

use super::refusal::Refusal;
use super::store::Subject;
use crate::http::Request;

/// Field and label selectors, and the namespace of the path.
pub(super) struct Selector {
    namespace: Option<String>,
    fields: Vec<Term>,
    labels: Vec<Term>,
}

struct Term {
    key: String,
    value: String,
    equal: bool,
}

impl Selector {
    pub(super) fn of(request: &Request, namespace: Option<&str>) -> Result<Self, Refusal> {
        let fields = terms(request.parameter("fieldSelector").unwrap_or_default())?;
        for term in &fields {
            let known = ["spec.nodeName", "metadata.name", "metadata.namespace"];
            if !known.contains(&term.key.as_str()) {
                return Err(Refusal::new(400, format!("field label not supported: {}", term.key)));
            }
        }
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            fields,
            labels: terms(request.parameter("labelSelector").unwrap_or_default())?,
        })
    }

    pub(super) fn matches(&self, subject: &Subject) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| *namespace == subject.namespace)
            && self.fields.iter().all(|term| {
                let value = match term.key.as_str() {
                    "spec.nodeName" => &subject.node,
                    "metadata.name" => &subject.name,
                    _ => &subject.namespace,
                };
                (*value == term.value) == term.equal
            })
            && self
                .labels
                .iter()
                .all(|term| (subject.labels.get(&term.key) == Some(&term.value)) == term.equal)
    }
}

fn terms(text: &str) -> Result<Vec<Term>, Refusal> {
    text.split(',')
        .filter(|term| !term.is_empty())
        .map(|term| {
            let (key, value, equal) = if let Some((key, value)) = term.split_once("!=") {
                (key, value, false)
            } else if let Some((key, value)) = term.split_once("==") {
                (key, value, true)
            } else if let Some((key, value)) = term.split_once('=') {
                (key, value, true)
            } else {
                return Err(Refusal::new(400, format!("invalid selector: '{term}'")));
            };
            Ok(Term { key: key.to_owned(), value: value.to_owned(), equal })
        })
        .collect()
}

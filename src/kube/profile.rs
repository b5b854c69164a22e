//! What a Node is called besides its name: for messages. Pure.

use std::collections::BTreeMap;

use miniserde::{Deserialize, json};

use crate::kube::reply::Reply;

/// Labels and provider id of a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `spec.providerID`.
    pub provider_id: Option<String>,
}

/// By the reply to [`read_node`](crate::kube::request::read_node); `None` if it is none.
pub fn profile(reply: &Reply) -> Option<Profile> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
        spec: Option<Spec>,
    }
    #[derive(Deserialize)]
    struct Metadata {
        labels: Option<BTreeMap<String, String>>,
    }
    #[derive(Deserialize)]
    struct Spec {
        #[serde(rename = "providerID")]
        provider_id: Option<String>,
    }
    let text = std::str::from_utf8(&reply.body).ok().filter(|_| reply.status == 200)?;
    let object: Object = json::from_str(text).ok()?;
    Some(Profile {
        labels: object.metadata.labels.unwrap_or_default(),
        provider_id: object.spec.and_then(|spec| spec.provider_id),
    })
}

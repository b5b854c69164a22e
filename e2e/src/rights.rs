//! What `deploy/rbac/` gives to the handler's ServiceAccount: read, taken apart,
//! and given to an account of a scenario's own.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::cluster::{Cluster, GLANCE};
use crate::manifest::{NAME, NAMESPACE};
use crate::scene::{SOON, create_namespace};
use crate::workload::typed;

/// How the handler is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// It asks as its own node.
    Confined,
    /// The same, and taints beside it.
    ConfinedTaints,
    /// It asks in its account's name.
    Classic,
}

impl Flavour {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Confined, Self::ConfinedTaints, Self::Classic];

    /// Its name, as scenarios have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Confined => "confined",
            Self::ConfinedTaints => "confined-taints",
            Self::Classic => "classic",
        }
    }

    /// Whether its requests are those of a node.
    #[must_use]
    pub fn is_confined(self) -> bool {
        self != Self::Classic
    }

    /// Whether policies hold what it does in the account's own name.
    #[must_use]
    pub fn has_policies(self) -> bool {
        self != Self::Confined
    }

    /// Its folders in `deploy/rbac/`.
    #[must_use]
    pub fn folders(self) -> &'static [&'static str] {
        match self {
            Self::Confined => &["confined"],
            Self::ConfinedTaints => &["confined", "confined-taints"],
            Self::Classic => &["classic"],
        }
    }
}

/// One verb on one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// The API group; the core group's name is empty.
    pub group: String,
    /// With its subresource: `pods/eviction`.
    pub resource: String,
    /// As the role says it.
    pub verb: String,
}

/// Before a verb on which the account acts as its own node.
const ON_OWN_NODE: &str = "impersonate-on:associated-node:";

/// The right to act as it at all.
const AS_OWN_NODE: &str = "impersonate:associated-node";

impl Grant {
    /// The verb of the request, if it is sent as the node.
    #[must_use]
    pub fn verb_as_node(&self) -> Option<&str> {
        self.verb.strip_prefix(ON_OWN_NODE)
    }

    /// Whether it is the right to act as the node at all.
    #[must_use]
    pub fn is_impersonation(&self) -> bool {
        self.verb == AS_OWN_NODE
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)
    }
}

/// What the shipped roles of a flavour grant, one by one.
///
/// # Errors
/// A role cannot be read, or has a form that is not known here.
pub fn grants(deploy: &Path, flavour: Flavour) -> Result<Vec<Grant>> {
    let mut all = Vec::new();
    for folder in flavour.folders() {
        let path = deploy.join("rbac").join(folder).join("clusterrole.yaml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let role: Value = serde_saphyr::from_str(&text)?;
        for rule in role["rules"].as_array().context("a role without rules")? {
            let fields: Vec<_> =
                rule.as_object().into_iter().flatten().map(|(key, _)| key).collect();
            ensure!(fields.len() == 3, "{}: fields {fields:?}", path.display());
            for group in words(&rule["apiGroups"])? {
                for resource in words(&rule["resources"])? {
                    for verb in words(&rule["verbs"])? {
                        ensure!(verb != "*" && resource != "*", "{}: *", path.display());
                        let (group, resource) = (group.clone(), resource.clone());
                        all.push(Grant { group, resource, verb });
                    }
                }
            }
        }
    }
    Ok(all)
}

fn words(list: &Value) -> Result<Vec<String>> {
    let list = list.as_array().context("no list")?;
    list.iter().map(|word| word.as_str().map(str::to_owned).context("no text")).collect()
}

/// Gives an account of that namespace, which is made, what ships for a flavour,
/// but for one grant. Nothing else of the cluster is changed: objects of the
/// cluster have the namespace's name in theirs.
///
/// # Errors
/// The API server refuses something, or does not know of it after a minute.
pub async fn give(
    cluster: &Cluster,
    deploy: &Path,
    namespace: &str,
    flavour: Flavour,
    without: Option<&Grant>,
) -> Result<()> {
    create_namespace(cluster, namespace).await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client(), namespace);
    let account = typed(json!({"metadata": {"name": NAME}}))?;
    accounts.create(&PostParams::default(), &account).await?;
    let mut items = Vec::new();
    for folder in flavour.folders() {
        let folder = deploy.join("rbac").join(folder);
        let folder = folder.to_str().context("a path that is not UTF-8")?;
        let text = cluster.run_kubectl(&["kustomize", folder]).await?;
        for object in serde_saphyr::from_multiple::<Value>(&text)? {
            items.push(of_account(object, namespace, without)?);
        }
    }
    let file = cluster.folder().join(format!("{namespace}-rights.json"));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    fs::write(&file, serde_json::to_vec_pretty(&list)?)?;
    let file = file.to_str().context("a path that is not UTF-8")?;
    cluster.run_kubectl(&["apply", "--server-side", "--validate=strict", "-f", file]).await?;
    for grant in grants(deploy, flavour)? {
        let wanted = without != Some(&grant);
        in_force(cluster, namespace, &grant, wanted).await?;
    }
    Ok(())
}

/// An object of the cluster as it is for the account of another namespace.
fn of_account(mut object: Value, namespace: &str, without: Option<&Grant>) -> Result<Value> {
    if let (Some(grant), true) = (without, object["kind"] == "ClusterRole") {
        for rule in list_mut(&mut object, "/rules") {
            let is_it = words(&rule["apiGroups"])?.contains(&grant.group)
                && words(&rule["resources"])?.contains(&grant.resource);
            if is_it && let Some(verbs) = rule["verbs"].as_array_mut() {
                verbs.retain(|verb| *verb != *grant.verb);
            }
        }
        if let Some(rules) = object["rules"].as_array_mut() {
            rules.retain(|rule| rule["verbs"] != json!([]));
        }
    }
    for place in ["/metadata/name", "/roleRef/name", "/spec/policyName"] {
        if let Some(name) = object.pointer_mut(place) {
            *name = format!("{}-{namespace}", name.as_str().unwrap_or_default()).into();
        }
    }
    for subject in list_mut(&mut object, "/subjects") {
        ensure!(
            *subject == json!({"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE})
        );
        subject["namespace"] = namespace.into();
    }
    for condition in list_mut(&mut object, "/spec/matchConditions") {
        let shipped = format!("system:serviceaccount:{NAMESPACE}:{NAME}");
        let expression = condition["expression"].as_str().unwrap_or_default();
        ensure!(expression.contains(&shipped), "{expression} does not name {shipped}");
        let own = format!("system:serviceaccount:{namespace}:{NAME}");
        condition["expression"] = expression.replace(&shipped, &own).into();
    }
    Ok(object)
}

fn list_mut<'a>(object: &'a mut Value, place: &str) -> impl Iterator<Item = &'a mut Value> {
    object.pointer_mut(place).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Waits until the authorizer has heard of it.
async fn in_force(cluster: &Cluster, namespace: &str, grant: &Grant, wanted: bool) -> Result<()> {
    let reviews: Api<SubjectAccessReview> = Api::all(cluster.client());
    let (resource, subresource) = grant.resource.split_once('/').unwrap_or((&grant.resource, ""));
    let review = typed(json!({"spec": {
        "user": format!("system:serviceaccount:{namespace}:{NAME}"),
        "groups": ["system:serviceaccounts"],
        "resourceAttributes": {
            "group": grant.group, "verb": grant.verb,
            "resource": resource, "subresource": subresource,
        },
    }}))?;
    let waiting = async {
        loop {
            let answer = reviews.create(&PostParams::default(), &review).await?;
            if answer.status.is_some_and(|status| status.allowed) == wanted {
                return anyhow::Ok(());
            }
            sleep(GLANCE).await;
        }
    };
    timeout(SOON, waiting).await.with_context(|| format!("{grant}: allowed is not {wanted}"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deploy() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
    }

    #[test]
    fn every_grant_of_a_confined_account_is_one_on_its_own_node() {
        let grants = grants(&deploy(), Flavour::Confined).unwrap();
        assert!(grants.iter().all(|one| one.is_impersonation() != one.verb_as_node().is_some()));
        assert_eq!(grants.iter().filter(|grant| grant.is_impersonation()).count(), 1);
    }

    #[test]
    fn both_flavours_grant_the_same_requests() {
        let requests = |flavour| {
            let grants = grants(&deploy(), flavour).unwrap();
            let mut all: Vec<_> = grants
                .iter()
                // Everybody may ask in their own name what they may.
                .filter(|grant| grant.group.is_empty())
                .map(|grant| {
                    (grant.resource.clone(), grant.verb_as_node().unwrap_or(&grant.verb).to_owned())
                })
                .collect();
            all.sort();
            all
        };
        assert_eq!(requests(Flavour::Confined), requests(Flavour::Classic));
    }

    #[test]
    fn one_grant_is_taken_out_of_a_role() {
        let grant = Grant { group: String::new(), resource: "pods".into(), verb: "list".into() };
        let role = json!({"kind": "ClusterRole", "metadata": {"name": "r"}, "rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
            {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]},
        ]});
        let cut = of_account(role, "own", Some(&grant)).unwrap();
        assert_eq!(cut["rules"][0]["verbs"], json!(["watch"]));
        assert_eq!(cut["rules"][1]["verbs"], json!(["list"]));
        assert_eq!(cut["metadata"]["name"], "r-own");
    }
}

//! Eviction and deletion of pods.

use serde_json::{Value, json};

use super::budget::{Budget, Word};
use super::happening::Happening;
use super::refusal::Refusal;
use super::store::{Asked, Held, Key, Store, timestamp};
use crate::http::{Request, Response};

/// What a `DeleteOptions` says.
struct Options {
    grace: Option<u64>,
    uid: Option<String>,
    resource_version: Option<String>,
    dry_run: bool,
}

impl Store {
    /// POST of an Eviction.
    pub(super) fn evict(&mut self, key: &Key, request: &Request) -> Result<Response, Refusal> {
        let body = parse(&request.body)?;
        if body["kind"] != "Eviction" || body["apiVersion"] != "policy/v1" {
            return Err(Refusal::new(
                400,
                format!(
                    "no kind {} is registered for version {}",
                    body["kind"], body["apiVersion"]
                ),
            ));
        }
        if body["metadata"]["name"].as_str().is_some_and(|name| name != key.1) {
            return Err(Refusal::new(400, "name in URL does not match name in Eviction object"));
        }
        if self.terminating_namespaces.contains(&key.0) {
            let message = format!(
                "pods \"{}\" is forbidden: unable to create new content in namespace {} because it \
                 is being terminated",
                key.1, key.0
            );
            return Err(Refusal::new(403, message).about("pods", &key.1).because(
                "NamespaceTerminating",
                &format!("namespace {} is being terminated", key.0),
            ));
        }
        let options = Options::of(&body["deleteOptions"], request)?;
        let held = self.find(key, &options)?;
        let already_going = held.is_terminating();
        let grace = options.grace.unwrap_or_else(|| held.grace());
        if !already_going && !held.is_finished() && !held.is_pending() {
            let refused_by = self.judge(key)?;
            if let Some((budget, refusal)) = refused_by {
                if !options.dry_run {
                    let pod = format!("{}/{}", key.0, key.1);
                    self.happen(Happening::Refused { pod, budget });
                }
                return Err(refusal);
            }
        }
        if !options.dry_run && !already_going {
            let message = "Eviction API: evicting";
            self.set_condition(key, &disruption("EvictionByEvictionAPI", message));
            self.ask_to_go(key, grace, Asked::Eviction);
        }
        Ok(Response::json(
            201,
            &json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "code": 201 }),
        ))
    }

    /// DELETE of a pod.
    pub(super) fn delete(&mut self, key: &Key, request: &Request) -> Result<Response, Refusal> {
        let body = if request.body.is_empty() { Value::Null } else { parse(&request.body)? };
        let options = Options::of(&body, request)?;
        let held = self.find(key, &options)?;
        let grace = options.grace.unwrap_or_else(|| held.grace());
        let before = held.object.clone();
        if !options.dry_run {
            self.ask_to_go(key, grace, Asked::Deletion);
        }
        let object = self.pods.get(key).map_or(before, |held| held.object.clone());
        Ok(Response::json(200, &object))
    }

    /// The pod, if it is the one that is meant.
    fn find(&self, key: &Key, options: &Options) -> Result<&Held, Refusal> {
        let held = self.pods.get(key).ok_or_else(|| Refusal::not_found("pods", &key.1))?;
        let conflict = |what: &str, wanted: &str, there: &str| {
            let message = format!(
                "Operation cannot be fulfilled on pods \"{}\": Precondition failed: {what} in \
                 precondition: {wanted}, {what} in object meta: {there}",
                key.1
            );
            Err(Refusal::new(409, message).about("pods", &key.1))
        };
        if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != held.uid()) {
            return conflict("UID", uid, held.uid());
        }
        let revision = held.object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if let Some(wanted) = options.resource_version.as_deref().filter(|it| *it != revision) {
            return conflict("ResourceVersion", wanted, revision);
        }
        Ok(held)
    }

    /// Asks the budgets. `Ok(Some(…))`: this one says no, in these words.
    fn judge(&self, key: &Key) -> Result<Option<(String, Refusal)>, Refusal> {
        let Some(held) = self.pods.get(key) else { return Ok(None) };
        let mut budgets =
            self.budgets.iter().filter(|budget| budget.covers(&key.0, |label| held.label(label)));
        let Some(budget) = budgets.next() else { return Ok(None) };
        if budgets.next().is_some() {
            let message = "This pod has more than one PodDisruptionBudget, which the eviction \
                subresource does not support.";
            return Err(Refusal::new(500, message));
        }
        let name = &budget.name;
        let refusal =
            Refusal::new(429, "Cannot evict pod as it would violate the pod's disruption budget.");
        let refusal = match self.ask(budget, held.is_ready()) {
            Word::Go => return Ok(None),
            Word::No { needed, healthy } => refusal.because(
                "DisruptionBudget",
                &format!(
                    "The disruption budget {name} needs {needed} healthy pods and has {healthy} \
                     currently"
                ),
            ),
            Word::Processing => refusal
                .because(
                    "DisruptionBudget",
                    &format!(
                        "The disruption budget {name} is still being processed by the server."
                    ),
                )
                .retry_after(10),
        };
        Ok(Some((format!("{}/{name}", budget.namespace), refusal)))
    }

    fn ask(&self, budget: &Budget, pod_is_healthy: bool) -> Word {
        let covered = self.pods.iter().filter(|(key, held)| {
            budget.covers(&key.0, |label| held.label(label))
                && !held.is_terminating()
                && !held.is_finished()
        });
        let (mut staying, mut healthy) = (0, 0);
        for (_, held) in covered {
            staying += 1;
            healthy += usize::from(held.is_ready());
        }
        budget.word(pod_is_healthy, staying, healthy)
    }
}

impl Options {
    fn of(body: &Value, request: &Request) -> Result<Self, Refusal> {
        let grace = match &body["gracePeriodSeconds"] {
            Value::Null => {
                request.parameter("gracePeriodSeconds").and_then(|text| text.parse().ok())
            }
            value => Some(value.as_u64().ok_or_else(|| {
                Refusal::new(400, format!("gracePeriodSeconds: {value} is not a number of seconds"))
            })?),
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let asked = body["dryRun"].as_array().is_some_and(|all| all.contains(&json!("All")));
        Ok(Self {
            grace,
            uid: text(&body["preconditions"]["uid"]),
            resource_version: text(&body["preconditions"]["resourceVersion"]),
            dry_run: asked || request.parameter("dryRun") == Some("All"),
        })
    }
}

/// The condition of a pod that somebody makes go.
fn disruption(reason: &str, message: &str) -> Value {
    json!({
        "type": "DisruptionTarget",
        "status": "True",
        "reason": reason,
        "message": message,
        "lastProbeTime": null,
        "lastTransitionTime": timestamp(std::time::Duration::ZERO),
    })
}

fn parse(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::new(400, format!("the body of the request is not JSON: {error}")))
}

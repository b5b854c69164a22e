//! What the API server holds against somebody who has the handler's token.

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::attacker::{self, Answer, Attacker, Attempt, Body, Law, Refusal, Target, Who};
use crate::cluster::{GLANCE, Release};
use crate::manifest;
use crate::page::{self, Row};
use crate::rights::{self, Flavour};
use crate::scene::{SOON, Scene, create_node};
use crate::workload::typed;

/// Everything is tried, in the account's own name and as its node, and the
/// security page says what came of it.
pub async fn attacks(scene: &mut Scene, flavour: Flavour) -> Result<()> {
    let target = target(scene, flavour).await?;
    let pod = pod_of(scene, &target).await?;
    let attacker = Attacker::with_token_of(&pod, scene.cluster(), &target).await?;
    if flavour.has_policies() {
        policies_in_force(scene, &attacker, flavour).await?;
    }
    let mut rows = Vec::new();
    let mut breaches = Vec::new();
    for attempt in attacker::all() {
        let answers = answers(&attacker, &attempt).await?;
        let done = answers.iter().any(Answer::is_done);
        if done != attempt.law.allows(flavour) {
            breaches.push(format!("{}: {}: {answers:?}", attempt.whose.name(), attempt.what));
        }
        let whole = |answer: &&Answer| answer.refusal == Some(Refusal::Other);
        breaches.extend(answers.iter().find(whole).map(|odd| format!("{}: {odd:?}", attempt.what)));
        let cell = cell(flavour, &attempt, &answers);
        rows.push(Row { whose: attempt.whose.name(), what: attempt.what, cell: cell? });
    }
    ensure!(breaches.is_empty(), "not as it should be:\n{}", breaches.join("\n"));
    let column = match (flavour, scene.cluster().plan().release) {
        (Flavour::Confined, _) => "confined",
        (Flavour::ConfinedTaints, _) => "confined, taints",
        (Flavour::Classic, Release::V1_37) => "classic",
        (Flavour::Classic, Release::V1_34) => "classic, 1.34",
    };
    page::settle(column, &rows)
}

/// A server that does not know this kind of right gives the account nothing.
pub async fn confined_where_it_is_not_known(scene: &mut Scene) -> Result<()> {
    let target = target(scene, Flavour::Confined).await?;
    let pod = pod_of(scene, &target).await?;
    let attacker = Attacker::with_token_of(&pod, scene.cluster(), &target).await?;
    let mut all = 0;
    for attempt in attacker::all() {
        for answer in answers(&attacker, &attempt).await? {
            // What everybody may, and asks in their own name.
            let own_name = attempt.path.contains("selfsubjectaccessreviews") && answer.is_done();
            let refused = answer.code == 403 && answer.refusal == Some(Refusal::Role);
            ensure!(refused || own_name, "{}: {answer:?}", attempt.what);
            all += 1;
        }
    }
    ensure!(all > 80, "only {all} requests were made");
    Ok(())
}

/// A token that is bound to no pod says no node: nothing is changed with it.
pub async fn token_without_a_pod(scene: &mut Scene) -> Result<()> {
    let target = target(scene, Flavour::Classic).await?;
    let pod = pod_of(scene, &target).await?;
    let bound = Attacker::with_token_of(&pod, scene.cluster(), &target).await?;
    policies_in_force(scene, &bound, Flavour::Classic).await?;
    let unbound = Attacker::without_pod(scene.cluster(), &target).await?;
    for attempt in attacker::all() {
        let changes = matches!(attempt.method, "PATCH" | "DELETE");
        if changes && attempt.posing.is_none() {
            let answer = unbound.tries(&attempt, &Who::Account).await?;
            let refused = matches!(answer.refusal, Some(Refusal::Role | Refusal::Policy));
            ensure!(refused, "{}: {answer:?}", attempt.what);
        }
    }
    Ok(())
}

/// Two nodes, a namespace with what one of its pods uses, and the account.
async fn target(scene: &Scene, flavour: Flavour) -> Result<Target> {
    let name = scene.name();
    let target = Target {
        own: format!("{name}-a"),
        other: format!("{name}-b"),
        namespace: name.to_owned(),
        system: format!("{name}-system"),
    };
    for node in [&target.own, &target.other] {
        let node = typed(json!({
            "metadata": {
                "name": node,
                "labels": {"kubernetes.io/os": "linux", "example.com/pool": "silver"},
                "annotations": {"example.com/note": "some"},
            },
            "spec": {"taints": [{"key": "example.com/team", "value": "db", "effect": "NoSchedule"}]},
        }))?;
        create_node(scene.cluster(), &node).await?;
    }
    let secret: Secret = typed(json!({"metadata": {"name": "used"}}))?;
    let config: ConfigMap = typed(json!({"metadata": {"name": "used"}}))?;
    scene.create(&secret).await?;
    scene.create(&config).await?;
    let user: Pod = typed(json!({"metadata": {"name": "user"}, "spec": {
        "nodeName": target.own,
        "containers": [{"name": "main", "image": "none", "envFrom": [
            {"secretRef": {"name": "used"}}, {"configMapRef": {"name": "used"}},
        ]}],
    }}))?;
    scene.create(&user).await?;
    rights::give(scene.cluster(), scene.deploy(), &target.system, flavour, None).await?;
    Ok(target)
}

/// The handler's pod on the attacker's node.
async fn pod_of(scene: &Scene, target: &Target) -> Result<Pod> {
    manifest::create_pod(scene.cluster().client(), &target.system, &target.own, Some(150)).await
}

/// An attempt, as all those as whom it is made.
async fn answers(attacker: &Attacker<'_>, attempt: &Attempt) -> Result<Vec<Answer>> {
    if let Some(who) = &attempt.posing {
        return Ok(vec![attacker.tries(attempt, who).await?]);
    }
    let account = attacker.tries(attempt, &Who::Account).await?;
    let node = attacker.tries(attempt, &Who::OwnNode).await?;
    Ok(vec![account, node])
}

/// What the security page says of it.
fn cell(flavour: Flavour, attempt: &Attempt, answers: &[Answer]) -> Result<String> {
    let (first, node) = (answers.first().context("no answer")?, answers.get(1));
    if let (false, Some(node)) = (flavour.is_confined(), node) {
        // Said once for all, above the table.
        let refused = node.code == 403 && node.refusal == Some(Refusal::Role);
        ensure!(refused, "{} as its node: {node:?}", attempt.what);
        return Ok(if first.is_done() { "**done**".to_owned() } else { first.to_string() });
    }
    Ok(match (first.is_done(), node) {
        (true, _) => "**done**".to_owned(),
        (false, Some(node)) if node.is_done() => "**done** as its node".to_owned(),
        (false, Some(node)) if node.to_string() == first.to_string() => first.to_string(),
        (false, Some(node)) => format!("{first}; {node}"),
        (false, None) => first.to_string(),
    })
}

/// Waits until each policy refuses something, and sees that the server found
/// nothing to say about them.
async fn policies_in_force(scene: &Scene, attacker: &Attacker<'_>, flavour: Flavour) -> Result<()> {
    let held = |attempt: &Attempt| {
        let on_nodes = attempt.path.ends_with("/nodes/{other}") && attempt.method == "PATCH";
        let on_pods = attempt.path.ends_with("{other-pod}") && attempt.method == "DELETE"
            || attempt.path.ends_with("{other-pod}/status")
            || attempt.path.ends_with("{other-pod}/eviction") && attempt.law == Law::Never;
        on_nodes || (on_pods && flavour == Flavour::Classic)
    };
    let waiting = async {
        for mut attempt in attacker::all().into_iter().filter(held) {
            attempt.path.push_str("?dryRun=All");
            if let Body::Taints(_) = attempt.body {
                continue;
            }
            loop {
                let answer = attacker.tries(&attempt, &Who::Account).await?;
                match answer.refusal {
                    Some(Refusal::Policy) => break,
                    None => sleep(GLANCE).await,
                    Some(_) => bail!("{}: {answer:?}", attempt.what),
                }
            }
        }
        anyhow::Ok(())
    };
    timeout(SOON, waiting).await.context("a policy refuses nothing")??;
    if !scene.cluster().plan().controllers {
        return Ok(());
    }
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(scene.cluster().client());
    let checking = async {
        loop {
            let mut all = policies.list(&ListParams::default()).await?.items;
            all.retain(|policy| policy.name_any().ends_with(&format!("-{}-system", scene.name())));
            ensure!(!all.is_empty(), "there is no policy");
            let checked = |policy: &ValidatingAdmissionPolicy| {
                policy.status.as_ref().is_some_and(|status| status.type_checking.is_some())
            };
            if all.iter().all(checked) {
                for policy in all {
                    let checking = policy.status.and_then(|status| status.type_checking);
                    let warnings = checking.and_then(|checking| checking.expression_warnings);
                    ensure!(warnings.is_none(), "{:?}: {warnings:?}", policy.metadata.name);
                }
                return Ok(());
            }
            sleep(GLANCE).await;
        }
    };
    timeout(SOON, checking).await.context("the policies' types are not checked")?
}

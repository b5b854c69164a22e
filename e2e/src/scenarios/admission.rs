//! Something other than a disruption budget keeps pods from being evicted: a webhook, a policy, a
//! right that is missing, a namespace that ends. Who has asked in vain until a pod's own time deletes
//! it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::json;

use super::reports::events;
use super::{AHEAD, MARGIN};
use crate::cluster::audit::Exchange;
use crate::observers::Answer;
use crate::rights::{self, Flavour};
use crate::scene::{FailurePolicy, Intercepted, SOON, Scene};
use crate::verdicts::Verdicts;
use crate::workload::Shape;

/// What keeps the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// A webhook refuses with this status, as one does that moves the pods itself.
    Denies(u16),
    /// A webhook takes the question and gives no answer.
    Hangs,
    /// A webhook that is down.
    Unreachable,
    /// A `ValidatingAdmissionPolicy` with this reason.
    Policy(&'static str),
    /// The right to evict is missing.
    NotGranted,
}

/// In what webhook and policy say: somebody has to find it again.
const WORDS: &str = "e2e will move this pod itself";

/// How many pods are kept.
const COUNT: usize = 3;

/// Their grace, in seconds.
const GRACE: u32 = 5;

/// The default of a webhook's `timeoutSeconds`.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests under way meet a busy server.
const BUSY: Duration = Duration::from_secs(3);

const EVENTS: (&str, &str) = ("EMIT_KUBERNETES_EVENTS", "true");

/// The pods are deleted when their own time is up, with their grace, and everybody is told what kept
/// them.
pub async fn deleted_in_time(scene: &mut Scene, keeper: Keeper) -> Result<()> {
    let mut settings = vec![EVENTS];
    if keeper == Keeper::NotGranted {
        without_evictions(scene).await?;
        settings.push(("IDENTITY", "service-account"));
    }
    scene.deployment("kept", COUNT, &Shape { grace: GRACE, ..Shape::default() }).await?;
    let (_webhook, words) = keep(scene, keeper).await?;
    let mut handler = scene.polling_handler(&settings).await?;
    let end = scene.announce(25).await?;
    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    // Everything is written before it ends.
    handler.stop(SOON).await?;

    told(scene, &table, end, &words)?;
    let of_pods = events(scene, scene.name(), "source=k8s-spot-handler").await?;
    for pod in scene.of("kept") {
        let uid = json!(pod.uid());
        let event = of_pods.iter().find(|event| event["involvedObject"]["uid"] == uid);
        let event = event.with_context(|| format!("no Event of {}", pod.name()))?;
        let message = event["message"].as_str().unwrap_or_default();
        ensure!(message.contains(&words), "the Event does not say {words:?}: {message}");
        ensure!(event["type"] == "Warning", "{event}");
        let reason = event["reason"].as_str().unwrap_or_default();
        ensure!(!reason.contains("Budget"), "there is no budget: {event}");
    }
    Ok(())
}

/// Puts it in the way. Gives what holds it there, and words by which it can be known.
async fn keep(
    scene: &Scene,
    keeper: Keeper,
) -> Result<(Option<crate::observers::Receiver>, String)> {
    let evictions = Intercepted::Evictions;
    let said = match keeper {
        Keeper::Denies(code) => {
            let answer = Answer::Denial { code, message: WORDS.to_owned() };
            let webhook = scene.webhook(evictions, answer, FailurePolicy::Fail).await?;
            scene.expect_denials(WORDS);
            (Some(webhook), WORDS.to_owned())
        }
        Keeper::Hangs => {
            let webhook = scene.webhook(evictions, Answer::Hang, FailurePolicy::Fail).await?;
            // The last answer is never waited for.
            (Some(webhook), "/eviction".to_owned())
        }
        Keeper::Unreachable => {
            scene.webhook_of_nobody(evictions, FailurePolicy::Fail).await?;
            (None, scene.webhook_name())
        }
        Keeper::Policy(reason) => {
            scene.forbid_evictions(reason, WORDS).await?;
            scene.expect_denials(WORDS);
            (None, WORDS.to_owned())
        }
        Keeper::NotGranted => (None, "pods/eviction".to_owned()),
    };
    Ok(said)
}

/// The handler gets an account that may do all but evict.
async fn without_evictions(scene: &mut Scene) -> Result<()> {
    let grants = rights::grants(scene.deploy(), Flavour::Classic)?;
    let evict = grants.iter().find(|grant| grant.resource == "pods/eviction");
    scene.held(Flavour::Classic, Some(evict.context("nobody may evict")?)).await?;
    scene.expect_denials("cannot create resource \"pods/eviction\"");
    Ok(())
}

/// What became of the pods, and what the table says of it.
fn told(scene: &Scene, table: &Verdicts, end: Timestamp, words: &str) -> Result<()> {
    let earliest = end.checked_sub(MARGIN + Duration::from_secs(GRACE.into()))?;
    let exchanges = scene.exchanges()?;
    let pods = scene.of("kept");
    ensure!(pods.len() == COUNT, "{} pods were there", pods.len());
    for pod in pods {
        let name = pod.name();
        let row = table.of(scene.name(), &name)?;
        ensure!(row.outcome == "deleted", "{name}: {} {}", row.outcome, row.note);
        ensure!(row.note.contains(words), "the note does not say {words:?}: {:?}", row.note);
        ensure!(!row.note.contains("disruption budget"), "there is no budget: {:?}", row.note);
        ensure!(pod.disruption().is_some(), "{name} had no DisruptionTarget");
        let kept = pod.graces.iter().all(|given| (1..=i64::from(GRACE)).contains(given));
        ensure!(kept && !pod.graces.is_empty(), "{name} got {:?} s", pod.graces);
        let uid = pod.uid();
        let deletion = exchanges
            .iter()
            .find(|one| one.is_deletion() && one.uid_precondition() == Some(&uid))
            .with_context(|| format!("{name} was not deleted"))?;
        ensure!(deletion.received >= earliest, "{name} deleted before {earliest}");
        let grace = deletion.grace().unwrap_or_default();
        // A second of it may be lost to requests and the rounding of times.
        ensure!(grace >= i64::from(GRACE) - 1, "{name} was left {grace} s of its {GRACE}");
    }
    Ok(())
}

/// A webhook that hangs and may be passed over: the server evicts after its time-out, and who waits
/// for that has nobody to delete.
pub async fn passed_over(scene: &mut Scene) -> Result<()> {
    scene.deployment("web", COUNT, &Shape { grace: GRACE, ..Shape::default() }).await?;
    let _webhook =
        scene.webhook(Intercepted::Evictions, Answer::Hang, FailurePolicy::Ignore).await?;
    scene.open_spare().await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(AHEAD).await?;
    scene.emptied().await?;

    let table = handler.verdicts(1, SOON).await?;
    let evicted = table.count(scene.name(), "evicted");
    ensure!(evicted == COUNT, "{evicted} of {COUNT} pods evicted; {}", table.summary);
    let exchanges = scene.exchanges()?;
    ensure!(!exchanges.iter().any(Exchange::is_deletion), "a pod was deleted");
    let evictions: Vec<_> = exchanges.iter().filter(|one| one.is_eviction()).collect();
    ensure!(evictions.len() == COUNT, "{} evictions of {COUNT} pods", evictions.len());
    for one in evictions {
        let took = Duration::try_from(one.answered.duration_since(one.received))?;
        ensure!(took >= WEBHOOK_TIMEOUT, "the webhook did not hold it up: {one}");
    }
    handler.stop(SOON).await
}

/// The operator does not want pods deleted whose eviction is refused, whoever refuses it.
pub async fn never_deleted(scene: &mut Scene) -> Result<()> {
    scene.deployment("kept", COUNT, &Shape { grace: GRACE, ..Shape::default() }).await?;
    let (_webhook, words) = keep(scene, Keeper::Denies(500)).await?;
    let mut handler = scene.polling_handler(&[("BUDGET_OVERRIDE", "never")]).await?;
    scene.announce(15).await?;

    let table = handler.verdicts(1, SOON).await?;
    let there = table.count(scene.name(), "still there");
    ensure!(there == COUNT, "{there} of {COUNT} still there; {}", table.summary);
    for row in table.rows_in(scene.name()) {
        ensure!(row.note.contains(&words), "the note does not say {words:?}: {:?}", row.note);
    }
    ensure!(scene.sightings().iter().all(|pod| pod.ending.is_none()), "a pod was ended");
    let marked = scene.exchanges()?.iter().any(|one| one.resource == "pods/status");
    ensure!(!marked, "a pod that stays is marked as one that goes");
    handler.stop(SOON).await
}

/// A namespace that ends, and nobody ends what is in it: the server evicts nobody there, and deletes.
pub async fn ending_namespace(scene: &mut Scene) -> Result<()> {
    scene.pods("kept", COUNT, &Shape { grace: GRACE, ..Shape::default() }).await?;
    scene.end_namespace().await?;
    scene.expect_denials("because it is being terminated");
    let mut handler = scene.polling_handler(&[]).await?;
    let end = scene.announce(20).await?;
    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    let refused = |one: &Exchange| one.is_eviction() && one.code == 403;
    ensure!(scene.exchanges()?.iter().any(refused), "no eviction was refused");
    told(scene, &table, end, "its namespace")?;
    handler.stop(SOON).await
}

/// A webhook on Nodes that hangs and may be passed over: the cordon comes after its time-out, and
/// nobody waits for it.
pub async fn slow_cordon(scene: &mut Scene) -> Result<()> {
    // Without an owner: one's would come back to a node that is not cordoned yet.
    scene.pods("web", COUNT, &Shape { grace: GRACE, ..Shape::default() }).await?;
    let _webhook = scene.webhook(Intercepted::Node, Answer::Hang, FailurePolicy::Ignore).await?;
    let mut handler = scene.polling_handler(&[]).await?;
    scene.announce(AHEAD).await?;
    scene.emptied().await?;
    let table = handler.verdicts(1, SOON).await?;
    let evicted = table.count(scene.name(), "evicted");
    ensure!(evicted == COUNT, "{evicted} of {COUNT} pods evicted; {}", table.summary);
    scene.asked("the cordon is through", |all| all.iter().any(Exchange::cordons)).await?;

    let exchanges = scene.exchanges()?;
    let cordons: Vec<_> = exchanges.iter().filter(|one| one.cordons()).collect();
    ensure!(cordons.len() == 1, "cordoned {} times", cordons.len());
    let cordon = cordons.first().context("no cordon")?;
    ensure!(cordon.accepted(), "the cordon did not come through: {cordon}");
    let took = Duration::try_from(cordon.answered.duration_since(cordon.received))?;
    ensure!(took >= WEBHOOK_TIMEOUT, "the webhook did not hold it up: {cordon}");
    let evictions = exchanges.iter().filter(|one| one.is_eviction()).map(|one| one.received);
    let first = evictions.min().context("no eviction")?;
    let waited = first.duration_since(cordon.received);
    ensure!(waited <= (Duration::from_secs(1) + BUSY).try_into()?, "evictions waited {waited}");
    handler.stop(SOON).await
}

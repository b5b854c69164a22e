//! On a real node: a kubelet, containerd and real containers, and the handler as the pod that ships.

pub mod drain;
pub mod ready;
pub mod replaced;
pub mod shutdown;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde_json::{Value, json};

use crate::manifest::NAME;
use crate::node::CONTAINER;
use crate::scene::{SOON, Scene};
use crate::workload::Shape;

/// A pod of our own containers, which ends at once.
fn shape() -> Shape {
    Shape { image: CONTAINER, grace: 30, ..Shape::default() }
}

/// One that ends only when it is killed.
fn stubborn(grace: u32) -> Shape {
    Shape { arguments: &["never"], grace, ..shape() }
}

/// Waits until the handler polls.
async fn polling(scene: &Scene) -> Result<()> {
    scene.handler_log(0)?.says(&["Polling"], SOON).await.map(drop)
}

/// A preStop hook that takes so many seconds.
fn pre_stop(seconds: u32) -> Value {
    json!({"preStop": {"exec": {"command": ["/container", "hook", seconds.to_string()]}}})
}

fn status<'a>(pod: &'a Pod, container: &str) -> Result<&'a ContainerStatus> {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let mut statuses = statuses.into_iter().flatten();
    statuses.find(|status| status.name == container).context("no status of the container")
}

/// How a container ended.
fn exit_code(pod: &Pod, container: &str) -> Option<i32> {
    Some(status(pod, container).ok()?.state.as_ref()?.terminated.as_ref()?.exit_code)
}

/// Prints what the handler's pod is charged, and of that its own container: the other one holds the pod's
/// network.
fn print_memory(scene: &mut Scene, when: &str) -> Result<()> {
    let pod = scene.handler_pod().clone();
    let machine = scene.machine()?;
    let (all, own) = (machine.memory(&pod)?, machine.container_memory(&pod, NAME)?);
    println!(
        "memory {when}: pod {} kB, peak {} kB; its container {} kB, peak {} kB",
        all.now / 1000,
        all.peak / 1000,
        own.now / 1000,
        own.peak / 1000
    );
    Ok(())
}

//! On a real node.

use anyhow::{Result, ensure};

use crate::scene::{SOON, Scene};

/// The pod of the DaemonSet is ready and has what it asks for.
pub async fn ready(scene: &mut Scene) -> Result<()> {
    let log = scene.handler_log(0)?;
    log.says(&["Polling"], SOON).await?;
    let pod = scene.handler_pod().clone();
    let memory = scene.machine()?.memory(&pod)?;
    println!("{memory:?}");
    ensure!(memory.limit == 16 << 20, "{memory:?}");
    Ok(())
}

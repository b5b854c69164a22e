//! smoke
use e2e::cluster::{Binaries, Cluster, Plan, Release};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let binaries = Binaries::build()?;
    let runs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/runs/smoke");
    let _ = std::fs::remove_dir_all(&runs);
    let start = std::time::Instant::now();
    let plan =
        Plan { name: "main", release: Release::V1_37, feature_gates: None, controllers: true };
    let mut cluster = Cluster::start(plan, &binaries, &runs).await?;
    println!("up {:?}", start.elapsed());
    println!("{}", cluster.run_kubectl(&["version"]).await?);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    cluster.check_running()?;
    println!("{}", cluster.run_kubectl(&["get", "ns,sa,cm", "-A"]).await?);
    cluster.stop().await
}

//! `cargo demo`: the real handler drains a node of a stand-in cluster, and
//! shows it.

mod stage;

use std::time::Duration;
fn main() -> std::io::Result<()> {
    let cloud = simulator::Metadata::start()?;
    let roles = stage::cast();
    let cluster = stage::set(&roles)?;
    println!("export INSTANCE_METADATA_URL={}", cloud.url());
    for (k, v) in cluster.environment() {
        println!("export {k}={v}");
    }
    println!("export SERVER=https://{}", cluster.address());
    cloud.announce_in(Duration::from_secs(30));
    for h in cluster.follow() {
        println!("{:7.3} {}", h.at.as_secs_f64(), h.what);
    }
    Ok(())
}

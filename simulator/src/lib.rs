//! Stand-ins for what a node's termination handler speaks to, on loopback: the
//! EC2 instance metadata service and a Kubernetes API server with one Node.
//! They behave well until told otherwise, and write down what they are asked.
//!
//! ```
//! use simulator::{ApiServer, Budget, Class, Fault, Metadata, Node, Pod};
//! use std::time::Duration;
//!
//! # fn main() -> std::io::Result<()> {
//! let cloud = Metadata::start()?;
//! let cluster = ApiServer::start(Node::named("n1"))?;
//! cluster.add_pod(Pod::named("default/web-1").replica_set("web").grace(30));
//! cluster.add_budget(Budget::named("default/web").max_unavailable(1));
//! cluster.fail(Class::Evict).times(2).with(Fault::Code(503));
//! // Start the handler with cloud.url() and cluster.environment(), then:
//! cloud.announce_in(Duration::from_secs(120));
//! assert_eq!(cluster.journal().count(Class::Evict), 0, "nobody has asked yet");
//! # Ok(())
//! # }
//! ```

mod cluster;
mod fault;
mod http;
mod journal;
mod metadata;
mod tls;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use cluster::{
    ApiServer, Budget, Class, HANDLER_POD, HANDLER_POD_UID, Happened, Happening, Node, Pod,
    WatchList,
};
pub use fault::{Disturbance, Failing, Fault};
pub use http::Framing;
pub use journal::{Entry, Journal};
pub use metadata::{Endpoint, Metadata, Version};

/// Locks, also after a panic elsewhere: that has been reported, and no change
/// here is left half done by one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

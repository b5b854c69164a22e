//! What is around the handler, as an operator's own parts are: a Prometheus, proxies, the receiver of a
//! webhook, a network that loses connections. Programs are Debian's; `.ci/install` names the packages.

mod front;
mod loss;
mod prometheus;
mod promtool;
mod proxy;
mod receiver;
mod relay;

pub use front::Front;
pub use loss::Loss;
pub use prometheus::{Format, Prometheus, Sample, Scrape, Target};
pub use promtool::check_metrics;
pub use proxy::Proxy;
pub use receiver::{Answer, Received, Receiver};

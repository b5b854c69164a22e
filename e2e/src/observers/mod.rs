//! What looks at the handler from outside, as an operator's own parts do: a Prometheus, a proxy, the
//! receiver of a webhook. Programs are Debian's; `.ci/install` names the packages.

mod prometheus;
mod promtool;
mod proxy;
mod receiver;
mod relay;

pub use prometheus::{Format, Prometheus, Sample, Scrape, Target};
pub use promtool::check_metrics;
pub use proxy::Proxy;
pub use receiver::{Answer, Received, Receiver};

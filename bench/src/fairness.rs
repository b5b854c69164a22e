//! What the API server's own metrics tell of the requests of handlers, by API priority and fairness.

use anyhow::{Context, Result};
use http::Request;
use kube::Client;

/// Of requests in the name of a node, and in that of a `ServiceAccount` of kube-system.
const SCHEMAS: [&str; 2] =
    ["flow_schema=\"system-nodes\"", "flow_schema=\"kube-system-service-accounts\""];
/// Where the first ones are.
const LEVEL: &str = "priority_level=\"system\"";

/// Since the API server was started, but for `seats` and `limit`, which are of the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fairness {
    /// Requests that were refused (429) for want of a seat.
    pub rejected: f64,
    /// Requests that were carried out, and how long they had waited for their seats, in seconds.
    pub requests: f64,
    /// The same.
    pub waited: f64,
    /// Seats in use.
    pub seats: f64,
    /// Seats that nodes may have.
    pub limit: f64,
}

impl Fairness {
    /// As it is now. The page is large: once a second is often enough.
    ///
    /// # Errors
    /// The API server does not tell.
    pub async fn now(client: &Client) -> Result<Self> {
        let request = Request::get("/metrics").body(Vec::new())?;
        let page =
            client.request_text(request).await.context("asking for the API server's metrics")?;
        Ok(Self::read(&page))
    }

    /// The mean wait for a seat since then, in milliseconds; of nothing it is 0.
    #[must_use]
    pub fn mean_wait_since(&self, before: &Self) -> f64 {
        let requests = (self.requests - before.requests).max(1.0);
        (self.waited - before.waited) / requests * 1000.0
    }

    fn read(page: &str) -> Self {
        let sum = |name: &str, wanted: &[&str], besides: &str| -> f64 {
            let lines = page.lines().filter_map(|line| line.strip_prefix(name));
            let lines = lines.filter(|rest| {
                let is_wanted = wanted.iter().any(|wanted| rest.contains(wanted));
                rest.starts_with('{') && is_wanted && rest.contains(besides)
            });
            lines.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        let wait = "apiserver_flowcontrol_request_wait_duration_seconds";
        Self {
            rejected: sum("apiserver_flowcontrol_rejected_requests_total", &SCHEMAS, ""),
            requests: sum("apiserver_flowcontrol_dispatched_requests_total", &SCHEMAS, ""),
            waited: sum(&format!("{wait}_sum"), &SCHEMAS, "execute=\"true\""),
            seats: sum("apiserver_flowcontrol_current_executing_seats", &SCHEMAS, ""),
            limit: sum("apiserver_flowcontrol_current_limit_seats", &[LEVEL], ""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_handlers_have_is_read_from_a_page() {
        // As kube-apiserver 1.37 writes it.
        let page = "\
# TYPE apiserver_flowcontrol_current_limit_seats gauge
apiserver_flowcontrol_current_limit_seats{priority_level=\"node-high\"} 170
apiserver_flowcontrol_current_limit_seats{priority_level=\"system\"} 117
apiserver_flowcontrol_current_executing_seats{flow_schema=\"system-nodes\",priority_level=\"system\"} 12
apiserver_flowcontrol_rejected_requests_total{flow_schema=\"system-nodes\",priority_level=\"system\",reason=\"queue-full\"} 3
apiserver_flowcontrol_rejected_requests_total{flow_schema=\"system-nodes\",priority_level=\"system\",reason=\"time-out\"} 2
apiserver_flowcontrol_request_wait_duration_seconds_bucket{execute=\"true\",flow_schema=\"system-nodes\",priority_level=\"system\",le=\"0.1\"} 9
apiserver_flowcontrol_request_wait_duration_seconds_sum{execute=\"true\",flow_schema=\"system-nodes\",priority_level=\"system\"} 0.5
apiserver_flowcontrol_request_wait_duration_seconds_sum{execute=\"false\",flow_schema=\"system-nodes\",priority_level=\"system\"} 15
apiserver_flowcontrol_dispatched_requests_total{flow_schema=\"system-nodes\",priority_level=\"system\"} 10
";
        let fairness = Fairness::read(page);
        let wanted =
            Fairness { rejected: 5.0, requests: 10.0, waited: 0.5, seats: 12.0, limit: 117.0 };
        assert_eq!(fairness, wanted);
        assert!((fairness.mean_wait_since(&Fairness::default()) - 50.0).abs() < 1e-9);
    }
}

//! The cluster the demo plays in: one of each kind of pod, two budgets.

use std::io;
use std::time::Duration;

use simulator::{ApiServer, Budget, Node, Pod};

/// The node that is taken away.
pub(crate) const NODE: &str = "ip-10-0-1-17";

/// What should become of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Evicted, and gone before the end.
    Evicted,
    /// Refused by its budget until the last moment; then deleted, marked as
    /// disrupted before, and gone before the end.
    Deleted,
    /// Never asked.
    LeftAlone,
}

/// A pod, why it is here and what should become of it.
pub(crate) struct Role {
    /// `namespace/name`.
    pub(crate) name: String,
    /// Its kind, for people.
    pub(crate) kind: &'static str,
    pub(crate) expected: Expected,
    /// Whether its own grace is longer than the time there is.
    pub(crate) grace_is_cut: bool,
    pod: Pod,
}

/// The budget that allows one pod at a time.
pub(crate) const CART: &str = "shop/cart";
/// The budget that allows nothing.
pub(crate) const LEDGER: &str = "shop/ledger";
/// The pod that goes after the ordinary ones.
pub(crate) const CRITICAL: &str = "kube-system/coredns-6799fbcd5-k2v9x";

/// All pods of the node.
pub(crate) fn cast() -> Vec<Role> {
    let mut roles = Vec::new();
    let mut add = |pod: Pod, kind, expected| {
        roles.push(Role { name: pod.full_name(), kind, expected, grace_is_cut: false, pod });
    };
    for (number, suffix) in ["7xk2p", "b4m9s", "c8w5t", "f2n6z", "hq3rd", "l9vjc", "p5gxw", "s7tbk"]
        .into_iter()
        .enumerate()
    {
        let pod = Pod::named(&format!("shop/web-5d4f8c7b9-{suffix}"))
            .replica_set("web")
            .stops_in(Duration::from_millis(700 + 250 * number as u64))
            .size(9_000);
        add(pod, "Deployment", Expected::Evicted);
    }
    for suffix in ["2fkxq", "6zr8n", "d9vwm", "jx4tl"] {
        let pod = Pod::named(&format!("shop/cart-7c9d6f5b8-{suffix}"))
            .replica_set("cart")
            .grace(10)
            .stops_in(Duration::from_millis(1200));
        add(pod, "Deployment, one at a time", Expected::Evicted);
    }
    let pod = Pod::named("shop/ledger-0")
        .stateful_set("ledger")
        .grace(6)
        .stops_in(Duration::from_millis(2500));
    add(pod, "StatefulSet, its budget allows nothing", Expected::Deleted);
    let pod = Pod::named("shop/cache-0").stateful_set("cache").empty_dir();
    add(pod, "StatefulSet with an emptyDir", Expected::Evicted);
    let pod = Pod::named("batch/report-28714560-m4xqz").job("report-28714560").grace(5);
    add(pod, "Job", Expected::Evicted);
    add(
        Pod::named("batch/import-28714500-9wq2c").job("import-28714500").succeeded(),
        "Job, finished",
        Expected::Evicted,
    );
    add(Pod::named("default/debug-shell"), "bare, without a controller", Expected::Evicted);
    let pod = Pod::named(CRITICAL)
        .replica_set("coredns")
        .priority_class("system-cluster-critical")
        .grace(10);
    add(pod, "critical for the cluster", Expected::Evicted);
    add(
        Pod::named("kube-system/fluent-bit-q8z7d").daemon_set("fluent-bit"),
        "DaemonSet",
        Expected::LeftAlone,
    );
    add(
        Pod::named(&format!("kube-system/kube-proxy-{NODE}")).mirror(),
        "static (mirror)",
        Expected::LeftAlone,
    );
    add(Pod::handler(), "the handler itself", Expected::LeftAlone);
    let pod = Pod::named("batch/training-0")
        .stateful_set("training")
        .grace(300)
        .stops_in(Duration::from_secs(4));
    roles.push(Role {
        name: pod.full_name(),
        kind: "StatefulSet, 300 s of grace",
        expected: Expected::Evicted,
        grace_is_cut: true,
        pod,
    });
    roles
}

/// Starts the API server with the node, these pods and the two budgets.
pub(crate) fn set(roles: &[Role]) -> io::Result<ApiServer> {
    let cluster = ApiServer::start(Node::named(NODE))?;
    cluster.add_pods(roles.iter().map(|role| role.pod.clone()));
    cluster.add_budget(
        Budget::named(CART).max_unavailable(1).replaced_after(Duration::from_millis(1500)),
    );
    cluster.add_budget(Budget::named(LEDGER).max_unavailable(0));
    Ok(cluster)
}

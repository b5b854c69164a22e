//! From the table's values to [`Settings`].

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use crate::drain::BudgetOverride;
use crate::drain::ask::Grace;
use crate::drain::pod::{OwnPod, Rules};
use crate::http::address::Address;
use crate::kube::identity::Choice;
use crate::level::Level;
use crate::node::MarkPolicy;
use crate::notice::Code;
use crate::plan::kinds::{LeadTimes, Policy, Rebalance};
use crate::settings::arguments::Flags;
use crate::settings::compare::{compare, margin_over};
use crate::settings::lookup::{Lookup, Origin};
use crate::settings::table::Values;
use crate::settings::value::{GraceLimit, LivePath, written};
use crate::settings::webhooks::webhooks;
use crate::settings::{
    ApiServer, BadSettings, ByHandSettings, Probes, Reporting, Settings, WhichNode,
};
use crate::source::{InstanceSource, Source, Watched};

/// Between polls of paths that are not in a hurry; AWS advises it (EC2 user guide, "EC2 instance
/// rebalance recommendations").
const CALM_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The settings in force.
pub(super) fn settle(
    flags: Flags,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Settings, BadSettings> {
    let mut lookup = Lookup::new(flags, variable);
    match parse(&mut lookup) {
        Some(settings) if lookup.problems.is_empty() => {
            let Lookup { given, remarks, unusable, .. } = lookup;
            Ok(Settings { given, remarks, unusable, ..settings })
        }
        _ => Err(refused(lookup)),
    }
}

/// Every problem; those that end the program come first.
pub(super) fn refused(lookup: Lookup<'_>) -> BadSettings {
    let unusable = lookup.unusable.into_iter().map(|unusable| unusable.problem);
    BadSettings(lookup.problems.into_iter().chain(unusable).collect())
}

/// Reads and checks every setting, whatever is wrong with others. `None` only if there are problems.
pub(super) fn parse(lookup: &mut Lookup<'_>) -> Option<Settings> {
    let values = lookup.read();
    let node = node(lookup, &values);
    let api_server = api_server(lookup, &values);
    let reporting = reporting(lookup, &values);
    let by_hand = by_hand(lookup, &values);
    let longest_grace = values.pod_termination_grace_period.map(|it| longest_grace(lookup, it));
    let lead_times = lead_times(lookup, &values);
    compare(lookup, &values, lead_times.as_ref());

    let v = values;
    let timeout = v.rebalance_patience?;
    let drains = v.enable_rebalance_draining?;
    Some(Settings {
        node: node?,
        source: Source {
            metadata_url: v.metadata_url.clone()?,
            notice_url: v.notice_url,
            interval: v.poll_interval?,
            calm_interval: v.poll_interval?.max(CALM_POLL_INTERVAL),
            v1_fallback: v.imds_v1_fallback?,
            watched: Watched {
                interruption: v.enable_spot_interruption_draining?,
                rebalance: drains || v.enable_rebalance_monitoring?,
                maintenance: v.enable_scheduled_event_draining?,
                lifecycle: v.enable_asg_lifecycle_draining?,
            },
            window: v.node_termination_grace_period?,
            lifecycle_window: v.asg_lifecycle_window?,
        },
        instance: InstanceSource {
            metadata_url: v.metadata_url?,
            v1_fallback: v.imds_v1_fallback?,
            zone_url: v.az_url,
            id_url: v.instance_id_url,
            type_url: v.instance_type_url,
        },
        policy: Policy {
            marks_only: v.cordon_only?,
            lead_times: lead_times?,
            rebalance: if drains { Rebalance::Drain { timeout } } else { Rebalance::Mark },
            rebalance_marks: v.rebalance_mark_duration?,
        },
        marks: MarkPolicy {
            taint: v.taint_effect.filter(|_| v.taint_node == Some(true)),
            exclude_from_load_balancers: v.exclude_from_load_balancers?,
            rebalance_mark: v.rebalance_mark?,
        },
        load_balancer_hold: v.load_balancer_hold?,
        api_server: api_server?,
        dry_run: v.dry_run?,
        rules: Rules {
            own: OwnPod { namespace: v.namespace, name: v.pod_name, uid: None },
            ignore_daemon_sets: v.ignore_daemon_sets?,
            delete_local_data: v.delete_local_data?,
            drain_unmanaged: v.drain_unmanaged?,
        },
        longest_grace: longest_grace?,
        budget_override: v.budget_override?,
        safety_margin: v.safety_margin?,
        node_shutdown_grace: v.node_shutdown_grace_period?,
        shutdown_grace: v.shutdown_grace_period?,
        reporting: reporting?,
        by_hand: by_hand?,
        given: Vec::new(),
        remarks: Vec::new(),
        unusable: Vec::new(),
    })
}

/// The node to drain.
fn node(lookup: &mut Lookup<'_>, values: &Values) -> Option<WhichNode> {
    let named = values.node_name.clone().map(WhichNode::Named);
    let node = named.or(values.pod_name.as_ref().map(|_| WhichNode::OfOwnPod));
    if node.is_none() && !lookup.is_bad("NODE_NAME") && !lookup.is_bad("POD_NAME") {
        lookup.missing("NODE_NAME", NO_NODE);
    }
    node
}

const NO_NODE: &str = "neither NODE_NAME nor POD_NAME is set, so the node is unknown; in the \
    DaemonSet give the container the variable NODE_NAME with valueFrom.fieldRef.fieldPath: \
    spec.nodeName (or POD_NAME from metadata.name and NAMESPACE from metadata.namespace); by hand name it \
    after the command";

/// The list's lead time, else the node termination grace period if that was changed, else the usual
/// one. 120 is no change: every manifest of aws-node-termination-handler sets it, and it is too short
/// for a machine that does not come back.
fn lead_times(lookup: &mut Lookup<'_>, values: &Values) -> Option<LeadTimes> {
    let (list, window) =
        (values.maintenance_lead_times.as_ref()?, values.node_termination_grace_period?);
    let listed = lookup.is_given("MAINTENANCE_LEAD_TIMES");
    let chosen = lookup.is_changed("NODE_TERMINATION_GRACE_PERIOD").then_some(window);
    let of = |code, usual| {
        let named = list.get(&code).copied().filter(|_| listed);
        named.or(chosen).unwrap_or(usual)
    };
    let times = LeadTimes {
        instance_reboot: of(Code::InstanceReboot, BACK_SOON),
        system_reboot: of(Code::SystemReboot, BACK_SOON),
        system_maintenance: of(Code::SystemMaintenance, BACK_SOON),
        instance_retirement: of(Code::InstanceRetirement, GONE),
        instance_stop: of(Code::InstanceStop, GONE),
    };
    let all = Code::ALL.map(|code| format!("{code}={}", written(times.of(code)))).join(",");
    let origin = chosen.map(|_| Origin::Follows("NODE_TERMINATION_GRACE_PERIOD"));
    lookup.made("MAINTENANCE_LEAD_TIMES", all, origin.filter(|_| !listed));
    Some(times)
}

/// For a machine that is back in minutes.
const BACK_SOON: Duration = Duration::from_mins(10);
/// For a machine that does not come back by itself.
const GONE: Duration = Duration::from_hours(1);

fn api_server(lookup: &mut Lookup<'_>, values: &Values) -> Option<ApiServer> {
    const SERVER: &str = "K8S_SPOT_HANDLER_SERVER";
    let (kubeconfig, server) = (values.kubeconfig.clone(), values.server.clone());
    let flags = (lookup.is_flag_given("KUBECONFIG"), lookup.is_flag_given(SERVER));
    if kubeconfig.is_some() && server.is_some() && flags.0 == flags.1 {
        let words = "--kubeconfig and --server (or KUBECONFIG and K8S_SPOT_HANDLER_SERVER) both say where the API server \
             is: give one of them";
        lookup.contradiction(words);
    }
    let is_outside = lookup.is_given("KUBECONFIG") || lookup.is_given(SERVER);
    let host = values.kubernetes_service_host.as_ref();
    if host.is_none() && !is_outside && !lookup.is_bad("KUBERNETES_SERVICE_HOST") {
        lookup.missing("KUBERNETES_SERVICE_HOST", NO_SERVER);
    }
    // A flag takes precedence over the environment.
    if let Some(file) = kubeconfig.filter(|_| flags.0 || !flags.1) {
        return Some(ApiServer::Kubeconfig(file));
    }
    let identity = match values.identity? {
        // Outside the cluster there is no pod bound to a node.
        Choice::Auto if is_outside && !lookup.is_given("IDENTITY") => Choice::ServiceAccount,
        chosen => chosen,
    };
    let url = match server {
        Some(url) => url,
        None if is_outside => return None,
        None => Address::parse(host?, values.kubernetes_service_port?)?.into(),
    };
    let (token_file, ca_file) = (values.token_file.clone()?, values.ca_file.clone()?);
    Some(ApiServer::Named { url, token_file, ca_file, identity })
}

const NO_SERVER: &str = "KUBERNETES_SERVICE_HOST is not set, so the API server is unknown; Kubernetes \
    sets it in every pod, so this does not seem to be one, or its environment was cleared; elsewhere give \
    --server or --kubeconfig";

/// A grace period of 0 would be a forced deletion that bypasses the kubelet: it counts as 1.
fn longest_grace(lookup: &mut Lookup<'_>, limit: GraceLimit) -> Option<Grace> {
    let GraceLimit::AtMost(seconds) = limit else { return None };
    if seconds == 0 {
        lookup.remark(
            "A pod termination grace period of 0 counts as 1 second: 0 would delete pods by force.",
        );
    }
    Some(Grace::new(seconds).unwrap_or(Grace::MIN))
}

/// The environment configures the handler: for an operator's drain only flags shorten or override.
fn by_hand(lookup: &mut Lookup<'_>, values: &Values) -> Option<ByHandSettings> {
    let (deadline, margin) = (values.deadline, values.safety_margin);
    if let (Some(deadline), Some(margin)) = (deadline, margin)
        && let Some(words) = margin_over(margin, "deadline", deadline)
    {
        lookup.wrong_in("K8S_SPOT_HANDLER_DEADLINE", words);
    }
    let overrides = values.budget_override? == BudgetOverride::AtDeadline;
    Some(ByHandSettings {
        deadline: deadline.or(values.node_termination_grace_period)?,
        overrides_budgets: overrides && lookup.is_flag_given("BUDGET_OVERRIDE"),
        shortens_graces: lookup.is_flag_given("POD_TERMINATION_GRACE_PERIOD"),
        output: values.output?,
    })
}

fn reporting(lookup: &mut Lookup<'_>, values: &Values) -> Option<Reporting> {
    let webhooks = webhooks(lookup, values);
    let annotations = values.kubernetes_events_extra_annotations.clone();
    let least = if values.verbose? { Level::Debug } else { values.log_level? };
    let (metrics, probes) = pages(lookup, values)?;
    Some(Reporting {
        json: values.json_logging?,
        least,
        events: values.emit_kubernetes_events?.then(|| annotations.unwrap_or_default()),
        webhooks,
        cluster: values.cluster.clone(),
        metrics,
        probes,
    })
}

/// Where metrics are served, and probes.
fn pages(lookup: &Lookup<'_>, values: &Values) -> Option<(Option<SocketAddr>, Option<Probes>)> {
    let at = |port: Option<u16>| Some(SocketAddr::new(values.listen_address?, port?));
    // Where a liveness probe is not answered, the kubelet restarts the handler: if in doubt, serve more.
    let probes = values.enable_probes_server? || lookup.is_bad("ENABLE_PROBES_SERVER");
    let is_lost = lookup.is_bad("PROBES_SERVER_ENDPOINT");
    let liveness =
        if is_lost { LivePath::anywhere() } else { values.probes_server_endpoint.clone()? };
    // Metrics may be meant for some addresses only: if in doubt, serve none.
    let metrics = values.enable_prometheus_server? && !lookup.is_bad("LISTEN_ADDRESS");
    let address = at(values.probes_server_port)?;
    let probes = probes.then_some((address, liveness));
    Some((metrics.then_some(at(values.prometheus_server_port)?), probes))
}

//! From the table's values to [`Settings`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use crate::drain::BudgetOverride;
use crate::drain::ask::Grace;
use crate::drain::pod::{OwnPod, Rules};
use crate::http::address::Address;
use crate::kube::identity::Choice;
use crate::node::MarkPolicy;
use crate::notice::Code;
use crate::plan::kinds::{LeadTimes, Policy, Rebalance};
use crate::settings::arguments::Flags;
use crate::settings::compare::compare;
use crate::settings::overview::Origin;
use crate::settings::reporting::reporting;
use crate::settings::sources::Sources;
use crate::settings::value::{GraceLimit, written};
use crate::settings::{
    ApiServer, BadSettings, ByHand, Metadata, Problem, Settings, Watched, WhichNode, table,
};

/// Reads every setting.
pub(super) fn settle(
    flags: Flags,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Settings, BadSettings> {
    let mut sources = Sources::new(flags, variable);
    match parse(&mut sources) {
        Some(settings) if sources.problems.is_empty() => {
            let Sources { given, remarks, unusable, .. } = sources;
            Ok(Settings { given, remarks, unusable, ..settings })
        }
        _ => Err(refused(sources)),
    }
}

/// What was found to be wrong, all of it: what ends the program first.
pub(super) fn refused(sources: Sources<'_>) -> BadSettings {
    let unusable = sources.unusable.into_iter().map(|unusable| unusable.problem);
    BadSettings(sources.problems.into_iter().chain(unusable).collect())
}

/// Reads every setting before it gives up on any: `None` only if there are problems.
pub(super) fn parse(sources: &mut Sources<'_>) -> Option<Settings> {
    let (node, own) = identity(sources);
    let metadata = metadata(sources);
    let notices = notices(sources);
    let marking = marking(sources);
    let ignore_daemon_sets = sources.value(&table::IGNORE_DAEMON_SETS);
    let delete_local_data = sources.value(&table::DELETE_LOCAL_DATA);
    let drain_unmanaged = sources.value(&table::DRAIN_UNMANAGED);
    let grace_limit = sources.value(&table::POD_TERMINATION_GRACE_PERIOD);
    let budget_override = sources.value(&table::BUDGET_OVERRIDE);
    let safety_margin = sources.value(&table::SAFETY_MARGIN);
    let shutdown_grace = sources.value(&table::SHUTDOWN_GRACE_PERIOD);
    let api_server = api_server(sources);
    let reporting = reporting(sources);
    let by_hand = by_hand(sources, notices.as_ref().map(|notices| notices.window), safety_margin);
    sources.names_without_effect();
    let longest_grace = grace_limit.map(|limit| longest_grace(sources, limit));
    // Before anything that is missing ends this: what is wrong is said in one go.
    compare(
        sources,
        metadata.as_ref(),
        notices.as_ref(),
        marking.as_ref(),
        safety_margin,
        reporting.as_ref(),
    );

    let Notices { watched, policy, dry_run, window, lifecycle_window } = notices?;
    let budget_override = budget_override?;
    let mut by_hand = by_hand?;
    by_hand.overrides_budgets &= budget_override == BudgetOverride::AtDeadline;
    let Marking { marks, load_balancer_hold } = marking?;
    Some(Settings {
        node: node?,
        metadata: metadata?,
        watched,
        policy,
        marks,
        load_balancer_hold,
        lifecycle_window,
        api_server: api_server?,
        dry_run,
        rules: Rules {
            own,
            ignore_daemon_sets: ignore_daemon_sets?,
            delete_local_data: delete_local_data?,
            drain_unmanaged: drain_unmanaged?,
        },
        longest_grace: longest_grace?,
        budget_override,
        safety_margin: safety_margin?,
        window,
        shutdown_grace: shutdown_grace?,
        reporting: reporting?,
        by_hand,
        given: Vec::new(),
        remarks: Vec::new(),
        unusable: Vec::new(),
    })
}

/// The node to drain, and the own pod as far as it was named.
fn identity(sources: &mut Sources<'_>) -> (Option<WhichNode>, OwnPod) {
    let before = sources.problems.len();
    let node = sources.value(&table::NODE_NAME);
    let name = sources.value(&table::POD_NAME);
    if name.is_none() && node.is_none() && sources.problems.len() == before {
        sources.missing(&table::NODE_NAME.row, NO_NODE);
    }
    let namespace = sources.value(&table::NAMESPACE);
    let of_own_pod = name.as_ref().map(|_| WhichNode::OfOwnPod);
    (node.map(WhichNode::Named).or(of_own_pod), OwnPod { namespace, name, uid: None })
}

const NO_NODE: &str = "neither NODE_NAME nor POD_NAME is set, so the node is unknown; in the \
    DaemonSet give the container the variable NODE_NAME with valueFrom.fieldRef.fieldPath: \
    spec.nodeName (or POD_NAME from metadata.name and NAMESPACE from metadata.namespace); by hand name it \
    after the command";

fn metadata(sources: &mut Sources<'_>) -> Option<Metadata> {
    let url = sources.value(&table::METADATA_URL);
    let notice_url = sources.value(&table::NOTICE_URL);
    let poll_interval = sources.value(&table::POLL_INTERVAL);
    let v1_fallback = sources.value(&table::IMDS_V1_FALLBACK);
    Some(Metadata {
        url: url?,
        notice_url,
        poll_interval: poll_interval?,
        v1_fallback: v1_fallback?,
    })
}

/// What is done about which notice.
pub(super) struct Notices {
    pub(super) watched: Watched,
    pub(super) policy: Policy,
    pub(super) dry_run: bool,
    pub(super) window: Duration,
    pub(super) lifecycle_window: Duration,
}

fn notices(sources: &mut Sources<'_>) -> Option<Notices> {
    let interruption = sources.value(&table::ENABLE_SPOT_INTERRUPTION_DRAINING);
    let maintenance = sources.value(&table::ENABLE_SCHEDULED_EVENT_DRAINING);
    let rebalance_marks = sources.value(&table::ENABLE_REBALANCE_MONITORING);
    let rebalance_drains = sources.value(&table::ENABLE_REBALANCE_DRAINING);
    let lifecycle = sources.value(&table::ENABLE_ASG_LIFECYCLE_DRAINING);
    let cordon_only = sources.value(&table::CORDON_ONLY);
    let dry_run = sources.value(&table::DRY_RUN);
    let window = sources.value(&table::NODE_TERMINATION_GRACE_PERIOD);
    let named = sources.value(&table::MAINTENANCE_LEAD_TIMES);
    let patience = sources.value(&table::REBALANCE_PATIENCE);
    let lifecycle_window = sources.value(&table::ASG_LIFECYCLE_WINDOW);
    let mark_duration = sources.value(&table::REBALANCE_MARK_DURATION);

    let patience = patience?;
    let rebalance = if rebalance_drains? { Rebalance::Drain { patience } } else { Rebalance::Mark };
    Some(Notices {
        watched: Watched {
            interruption: interruption?,
            rebalance: rebalance_marks? || rebalance_drains?,
            maintenance: maintenance?,
            lifecycle: lifecycle?,
        },
        policy: Policy {
            marks_only: cordon_only?,
            lead_times: lead_times(sources, &named?, window?),
            rebalance,
            rebalance_marks: mark_duration?,
        },
        dry_run: dry_run?,
        window: window?,
        lifecycle_window: lifecycle_window?,
    })
}

/// What the operator's list names; else the node termination grace period, where somebody chose
/// one; else what is usual. 120 is no choice: every manifest of aws-node-termination-handler has it,
/// and for a machine that does not come back it would be little.
fn lead_times(
    sources: &mut Sources<'_>,
    list: &BTreeMap<Code, Duration>,
    window: Duration,
) -> LeadTimes {
    let listed = sources.is_given(&table::MAINTENANCE_LEAD_TIMES.row);
    let chosen = sources.is_changed(&table::NODE_TERMINATION_GRACE_PERIOD.row).then_some(window);
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
    let origin = chosen.map(|_| Origin::Follows(table::NODE_TERMINATION_GRACE_PERIOD.row.variable));
    sources.made(&table::MAINTENANCE_LEAD_TIMES.row, all, origin.filter(|_| !listed));
    times
}

/// Enough to move pods from a machine that is back in minutes.
const BACK_SOON: Duration = Duration::from_mins(10);
/// For a machine that does not come back by itself.
const GONE: Duration = Duration::from_hours(1);

/// How the node is marked.
pub(super) struct Marking {
    pub(super) marks: MarkPolicy,
    pub(super) load_balancer_hold: Duration,
}

fn marking(sources: &mut Sources<'_>) -> Option<Marking> {
    let taint = sources.value(&table::TAINT_NODE);
    let effect = sources.value(&table::TAINT_EFFECT);
    let exclude = sources.value(&table::EXCLUDE_FROM_LOAD_BALANCERS);
    let load_balancer_hold = sources.value(&table::LOAD_BALANCER_HOLD);
    let rebalance_mark = sources.value(&table::REBALANCE_MARK);
    let marks = MarkPolicy {
        taint: effect.filter(|_| taint == Some(true)),
        exclude_from_load_balancers: exclude?,
        rebalance_mark: rebalance_mark?,
    };
    Some(Marking { marks, load_balancer_hold: load_balancer_hold? })
}

fn api_server(sources: &mut Sources<'_>) -> Option<ApiServer> {
    let kubeconfig = sources.value(&table::KUBECONFIG);
    let server = sources.value(&table::SERVER);
    let flags =
        (sources.is_flag_given(&table::KUBECONFIG.row), sources.is_flag_given(&table::SERVER.row));
    if kubeconfig.is_some() && server.is_some() && flags.0 == flags.1 {
        let words = "--kubeconfig and --server (or KUBECONFIG and K8S_SPOT_HANDLER_SERVER) both say where the API server \
             is: give one of them";
        sources.contradiction(words);
    }
    // The flag comes first, whatever the environment says.
    let kubeconfig = kubeconfig.filter(|_| flags.0 || !flags.1);
    let is_outside =
        sources.is_given(&table::KUBECONFIG.row) || sources.is_given(&table::SERVER.row);
    let host = if is_outside {
        sources.value(&table::KUBERNETES_SERVICE_HOST)
    } else {
        sources.required(&table::KUBERNETES_SERVICE_HOST, NO_SERVER)
    };
    let port = sources.value(&table::KUBERNETES_SERVICE_PORT);
    let token_file = sources.value(&table::TOKEN_FILE);
    let ca_file = sources.value(&table::CA_FILE);
    let identity = sources.value(&table::IDENTITY);
    if let Some(file) = kubeconfig {
        return Some(ApiServer::Kubeconfig(file));
    }
    let identity = match identity? {
        // Whoever asks from outside is no pod of a node.
        Choice::Auto if is_outside && !sources.is_given(&table::IDENTITY.row) => {
            Choice::ServiceAccount
        }
        chosen => chosen,
    };
    let url = match server {
        Some(url) => url,
        None if is_outside => return None,
        None => Address::parse(&host?, port?)?.into(),
    };
    Some(ApiServer::Named { url, token_file: token_file?, ca_file: ca_file?, identity })
}

fn by_hand(
    sources: &mut Sources<'_>,
    window: Option<Duration>,
    margin: Option<Duration>,
) -> Option<ByHand> {
    let deadline = sources.value(&table::DEADLINE);
    let output = sources.value(&table::OUTPUT);
    // What the handler was told in its DaemonSet is not said of a drain by hand.
    let overrides_budgets = sources.is_flag_given(&table::BUDGET_OVERRIDE.row);
    let shortens_graces = sources.is_flag_given(&table::POD_TERMINATION_GRACE_PERIOD.row);
    if let (Some(deadline), Some(margin)) = (deadline, margin)
        && deadline <= margin
    {
        let words = format!(
            "the safety margin ({}) must be shorter than the deadline ({}), or no time is left for the pods",
            written(margin),
            written(deadline)
        );
        sources.wrong(&table::DEADLINE.row, Problem::Contradiction(words));
    }
    let deadline = deadline.or(window)?;
    Some(ByHand { deadline, overrides_budgets, shortens_graces, output: output? })
}

const NO_SERVER: &str = "KUBERNETES_SERVICE_HOST is not set, so the API server is unknown; Kubernetes \
    sets it in every pod, so this does not seem to be one, or its environment was cleared; elsewhere give \
    --server or --kubeconfig";

/// A grace of 0 would be a forced deletion, past the kubelet: it counts as 1.
fn longest_grace(sources: &mut Sources<'_>, limit: GraceLimit) -> Option<Grace> {
    let GraceLimit::AtMost(seconds) = limit else { return None };
    if seconds == 0 {
        sources.remark(
            "A pod termination grace period of 0 counts as 1 second: 0 would delete pods by force.",
        );
    }
    Some(Grace::new(seconds).unwrap_or(Grace::MIN))
}

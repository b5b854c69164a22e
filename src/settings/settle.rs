//! From the table's values to [`Settings`], and what is wrong only of several of them together.

use std::ffi::OsString;
use std::time::Duration;

use crate::drain::ask::Grace;
use crate::drain::pod::{OwnPod, Rules};
use crate::kube::address::Address;
use crate::settings::arguments::Flags;
use crate::settings::sources::Sources;
use crate::settings::value::GraceLimit;
use crate::settings::{ApiServer, BadSettings, Metadata, Problem, Settings, WhichNode, table};

/// Reads every setting.
pub(super) fn settle(
    flags: Flags,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Settings, BadSettings> {
    let mut sources = Sources::new(flags, variable);
    match parse(&mut sources) {
        Some(settings) if sources.problems.is_empty() => {
            Ok(Settings { given: sources.given, remarks: sources.remarks, ..settings })
        }
        _ => Err(BadSettings(sources.problems)),
    }
}

/// Reads every setting before it gives up on any: `None` only if there are problems.
fn parse(sources: &mut Sources<'_>) -> Option<Settings> {
    let (node, own) = identity(sources);
    let metadata = metadata(sources);
    let api_server = api_server(sources);
    let dry_run = sources.value(&table::DRY_RUN);
    let ignore_daemon_sets = sources.value(&table::IGNORE_DAEMON_SETS);
    let delete_local_data = sources.value(&table::DELETE_LOCAL_DATA);
    let drain_unmanaged = sources.value(&table::DRAIN_UNMANAGED);
    let grace_limit = sources.value(&table::POD_TERMINATION_GRACE_PERIOD);
    let window = sources.value(&table::NODE_TERMINATION_GRACE_PERIOD);
    let budget_override = sources.value(&table::BUDGET_OVERRIDE);
    let safety_margin = sources.value(&table::SAFETY_MARGIN);
    let workers = sources.value(&table::WORKERS);
    let shutdown_grace = sources.value(&table::SHUTDOWN_GRACE_PERIOD);
    let verbose = sources.value(&table::VERBOSE);
    sources.names_without_effect();

    let settings = Settings {
        node: node?,
        metadata: metadata?,
        api_server: api_server?,
        dry_run: dry_run?,
        rules: Rules {
            own,
            ignore_daemon_sets: ignore_daemon_sets?,
            delete_local_data: delete_local_data?,
            drain_unmanaged: drain_unmanaged?,
        },
        longest_grace: longest_grace(sources, grace_limit?),
        budget_override: budget_override?,
        safety_margin: safety_margin?,
        window: window?,
        workers: workers?,
        shutdown_grace: shutdown_grace?,
        verbose: verbose?,
        given: Vec::new(),
        remarks: Vec::new(),
    };
    compare(sources, &settings);
    Some(settings)
}

/// The node to drain, and the own pod as far as it was named.
fn identity(sources: &mut Sources<'_>) -> (Option<WhichNode>, OwnPod) {
    let namespace = sources.value(&table::NAMESPACE);
    let before = sources.problems.len();
    let name = sources.value(&table::POD_NAME);
    let node = sources.value(&table::NODE_NAME);
    let unset = name.is_none() && node.is_none() && sources.problems.len() == before;
    if unset {
        sources.problems.push(Problem::Missing(NO_NODE));
    }
    let of_own_pod = name.as_ref().map(|_| WhichNode::OfOwnPod);
    (node.map(WhichNode::Named).or(of_own_pod), OwnPod { namespace, name, uid: None })
}

const NO_NODE: &str = "neither NODE_NAME nor POD_NAME is set, so the node is unknown; in the \
    DaemonSet give the container the variable NODE_NAME with valueFrom.fieldRef.fieldPath: \
    spec.nodeName (or POD_NAME from metadata.name and NAMESPACE from metadata.namespace)";

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

fn api_server(sources: &mut Sources<'_>) -> Option<ApiServer> {
    let host = sources.required(&table::KUBERNETES_SERVICE_HOST, NO_SERVER);
    let port = sources.value(&table::KUBERNETES_SERVICE_PORT);
    let token_file = sources.value(&table::TOKEN_FILE);
    let ca_file = sources.value(&table::CA_FILE);
    let address = Address::parse(&host?, port?)?;
    Some(ApiServer { address, token_file: token_file?, ca_file: ca_file? })
}

const NO_SERVER: &str = "KUBERNETES_SERVICE_HOST is not set, so the API server is unknown; Kubernetes \
    sets it in every pod, so this does not seem to be one, or its environment was cleared; elsewhere give \
    --kubernetes-service-host and --kubernetes-service-port";

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

/// What is wrong or doubtful only of several settings together.
fn compare(sources: &mut Sources<'_>, settings: &Settings) {
    let Settings { safety_margin, window, .. } = settings;
    if safety_margin >= window {
        sources.problems.push(Problem::Contradiction(format!(
            "the safety margin ({safety_margin:?}) must be shorter than the node termination grace \
             period ({window:?}), or no time is left for the pods"
        )));
    }
    let interval = settings.metadata.poll_interval;
    if interval > LONG_INTERVAL {
        sources.remark(format!(
            "With {interval:?} between polls, up to so much of the two minutes after a notice is \
             lost; EC2 advises 5 seconds."
        ));
    }
}

/// Twice what the EC2 user guide advises.
const LONG_INTERVAL: Duration = Duration::from_secs(10);

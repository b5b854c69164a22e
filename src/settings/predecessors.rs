//! Names of older versions of k8s-spot-handler and of aws-node-termination-handler that have no effect here.
//! Users have them in their manifests. If that makes a difference it is logged once at start; only a request
//! for another mode of operation is an error.

use std::ffi::OsStr;

use crate::settings::value::truth;

/// One such name.
#[derive(Debug)]
pub(super) struct Former {
    /// The environment variable.
    pub(super) variable: &'static str,
    /// The value that asks for what is done here anyway; `None`: every value is remarked.
    pub(super) as_here: Option<&'static str>,
    /// Its flag takes no value.
    pub(super) is_switch: bool,
    /// The variable is commonly set for other programs: only the flag is remarked.
    pub(super) is_common: bool,
    /// Its effect.
    pub(super) effect: Effect,
}

/// The effect of a value that asks for something else.
#[derive(Debug)]
pub(super) enum Effect {
    /// None; what is done instead.
    None(&'static str),
    /// The program does not start: the whole message.
    Refused(&'static str),
}

/// All of them.
pub(super) const FORMER: &[Former] = &[
    // What starts a drain.
    Former {
        variable: "ENABLE_SQS_TERMINATION_DRAINING",
        as_here: Some("false"),
        is_switch: true,
        is_common: false,
        effect: Effect::Refused(
            "ENABLE_SQS_TERMINATION_DRAINING asks for the mode in which one process reads a queue \
             for all nodes; there is no queue mode here: this program runs on each node and asks \
             the metadata service there; unset it, and run this program as a DaemonSet",
        ),
    },
    any("QUEUE_URL", NO_QUEUE),
    any("MANAGED_TAG", NO_QUEUE),
    any("MANAGED_ASG_TAG", NO_QUEUE),
    former("ASSUME_ASG_TAG_PROPAGATION", "false", NO_QUEUE),
    switch("CHECK_TAG_BEFORE_DRAINING", NO_QUEUE),
    switch("CHECK_ASG_TAG_BEFORE_DRAINING", NO_QUEUE),
    former("USE_PROVIDER_ID", "false", NO_QUEUE),
    former("DELETE_SQS_MSG_IF_NODE_NOT_FOUND", "false", NO_QUEUE),
    former("COMPLETE_LIFECYCLE_ACTION_DELAY_SECONDS", "-1", NO_QUEUE),
    former("HEARTBEAT_INTERVAL", "-1", NO_QUEUE),
    former("HEARTBEAT_UNTIL", "-1", NO_QUEUE),
    former("SQS_MSG_VISIBILITY_TIMEOUT_SEC", "20", NO_QUEUE),
    Former { is_common: true, ..any("AWS_REGION", NO_AWS) },
    any("AWS_ENDPOINT", NO_AWS),
    // What else is done to the node.
    former(
        "ENABLE_OUT_OF_SERVICE_TAINT",
        "false",
        "on a node that still runs that taint corrupts volumes",
    ),
    former("DETACH_ASG", "false", "the instance stays in its Auto Scaling group"),
    // Reports.
    any("HIPCHAT_ROOM_ID", NO_MESSAGES),
    any("HIPCHAT_AUTH_TOKEN", NO_MESSAGES),
    any("GMAIL_USER", NO_MESSAGES),
    any("GMAIL_PASS", NO_MESSAGES),
    any("GMAIL_EMAILTO", NO_MESSAGES),
    former("LOG_FORMAT_VERSION", "1", "the log has one form"),
    // How it works.
    former("WORKERS", "10", "the API server says how many requests it takes at a time"),
    former("KUBE_API_QPS", "5", NO_RATE),
    former("KUBE_API_BURST", "10", NO_RATE),
    former("USE_APISERVER_CACHE", "false", "pods are read by one watch"),
    former("METADATA_TRIES", "3", "there is no number of errors after which it gives up"),
    former("UPTIME_FROM_FILE", "/proc/uptime", "the boot id tells a reboot"),
    any("SPOT_POD_IP", "the pod's address is not needed"),
];

const NO_QUEUE: &str = "there is no queue mode here";
const NO_AWS: &str = "no AWS API is called; the metadata service says what is to be known";
const NO_MESSAGES: &str =
    "no mail is sent, and HipChat is no more; WEBHOOK_URL reaches other services";
const NO_RATE: &str = "requests are not limited here; the API server's Retry-After is obeyed";

/// A name that is not remarked if its value is `as_here`.
const fn former(variable: &'static str, as_here: &'static str, instead: &'static str) -> Former {
    let is_switch = matches!(as_here.as_bytes(), b"true" | b"false");
    Former {
        variable,
        as_here: Some(as_here),
        is_switch,
        is_common: false,
        effect: Effect::None(instead),
    }
}

/// A name that is remarked with any value.
const fn any(variable: &'static str, instead: &'static str) -> Former {
    Former {
        variable,
        as_here: None,
        is_switch: false,
        is_common: false,
        effect: Effect::None(instead),
    }
}

/// The same, with a flag that takes no value.
const fn switch(variable: &'static str, instead: &'static str) -> Former {
    Former { is_switch: true, ..any(variable, instead) }
}

impl Former {
    /// The one with the flag `--name`.
    pub(super) fn by_flag(name: &str) -> Option<&'static Self> {
        FORMER.iter().find(|former| former.variable.to_ascii_lowercase().replace('_', "-") == name)
    }

    /// Whether the value asks for what is done here anyway.
    pub(super) fn is_as_here(&self, value: &OsStr) -> bool {
        let (Some(as_here), Some(value)) = (self.as_here, value.to_str()) else { return false };
        value == as_here || truth(as_here).is_some_and(|so| truth(value) == Some(so))
    }
}

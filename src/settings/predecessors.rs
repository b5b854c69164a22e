//! Names that users of k8s-spot-handler before this one and of aws-node-termination-handler have in
//! their manifests and that change nothing here. Where that makes a difference it is said once at
//! start; only what asks for another way of working altogether is an error.

use std::ffi::OsStr;

use crate::settings::value::truth;

/// One such name.
#[derive(Debug)]
pub(super) struct Former {
    /// The environment variable.
    pub(super) variable: &'static str,
    /// The value that is no different from what is done here; `None` if any other is worth a word.
    pub(super) as_here: Option<&'static str>,
    /// Its flag stands alone, without a value.
    pub(super) is_switch: bool,
    /// Other programs read the variable, too, and set it for them all: only the flag is worth a word.
    pub(super) is_common: bool,
    /// What becomes of it.
    pub(super) effect: Effect,
}

/// What becomes of a value that would make a difference.
#[derive(Debug)]
pub(super) enum Effect {
    /// Nothing; what is so instead.
    None(&'static str),
    /// The program does not begin: the whole sentence.
    Refused(&'static str),
}

/// All of them.
pub(super) const FORMER: &[Former] = &[
    // What begins a drain.
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
    // Who is told.
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

/// A name that makes no difference if it is `as_here`.
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

/// A name that is worth a word with any value.
const fn any(variable: &'static str, instead: &'static str) -> Former {
    Former {
        variable,
        as_here: None,
        is_switch: false,
        is_common: false,
        effect: Effect::None(instead),
    }
}

/// The same, of a flag that stands alone.
const fn switch(variable: &'static str, instead: &'static str) -> Former {
    Former { is_switch: true, ..any(variable, instead) }
}

impl Former {
    /// The one whose flag is `--name`.
    pub(super) fn by_flag(name: &str) -> Option<&'static Self> {
        FORMER.iter().find(|former| former.variable.to_ascii_lowercase().replace('_', "-") == name)
    }

    /// Whether this value asks for what is done here anyway.
    pub(super) fn is_as_here(&self, value: &OsStr) -> bool {
        let (Some(as_here), Some(value)) = (self.as_here, value.to_str()) else { return false };
        value == as_here || truth(as_here).is_some_and(|so| truth(value) == Some(so))
    }
}

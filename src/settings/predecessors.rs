//! Names that k8s-spot-handler's and aws-node-termination-handler's users have in their manifests
//! and that change nothing here. None is an error; each is said once at start.

/// One such name.
#[derive(Debug)]
pub(super) struct Former {
    /// The environment variable.
    pub(super) variable: &'static str,
    /// Whether its flag stands alone, without a value.
    pub(super) switch: bool,
    /// The value with which its absence changes what becomes of the node; `None` if any is worth a
    /// word.
    pub(super) matters_if: Option<bool>,
    /// What is so instead.
    pub(super) instead: &'static str,
}

/// All of them.
pub(super) const FORMER: &[Former] = &[
    Former {
        variable: "CORDON_ONLY",
        switch: true,
        matters_if: Some(true),
        instead: "this version does not know it: a notice cordons the node AND drains it",
    },
    Former {
        variable: "ENABLE_SPOT_INTERRUPTION_DRAINING",
        switch: true,
        matters_if: Some(false),
        instead: "this version does not know it: a spot interruption drains the node",
    },
    plain("SPOT_POD_IP", "the pod's address is not needed"),
    plain("KUBE_API_QPS", "requests are not limited here; the API server's Retry-After is obeyed"),
    plain(
        "KUBE_API_BURST",
        "requests are not limited here; the API server's Retry-After is obeyed",
    ),
    plain("METADATA_TRIES", "there is no number of errors after which it gives up"),
    Former {
        variable: "USE_APISERVER_CACHE",
        switch: true,
        matters_if: None,
        instead: "pods are read by one watch",
    },
    plain("LOG_FORMAT_VERSION", "the log has one form"),
    plain("UPTIME_FROM_FILE", "the boot id tells a reboot"),
];

const fn plain(variable: &'static str, instead: &'static str) -> Former {
    Former { variable, switch: false, matters_if: None, instead }
}

impl Former {
    /// The one whose flag is `--name`.
    pub(super) fn by_flag(name: &str) -> Option<&'static Self> {
        FORMER.iter().find(|former| former.variable.to_ascii_lowercase().replace('_', "-") == name)
    }
}

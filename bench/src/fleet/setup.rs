//! What is simulated.

use super::level::Width;
use super::seats::Configured;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub nodes: usize,
    /// On each node.
    pub pods: usize,
    /// Cores that the API server has for itself.
    pub cores: f64,
    /// So many evictions a handler sends side by side before any is answered.
    pub streams: usize,
    /// Each handler waits for a random time of up to so many seconds after its poll.
    pub jitter: f64,
    /// What it does when the API server refuses.
    pub retry: Retry,
    /// By whose name the API server knows a handler.
    pub identity: Identity,
    /// A priority level for the evictions of nodes alone.
    pub own_level: Option<Configured>,
    /// Watches on all pods, or on all of a namespace, that are open on the API server.
    pub watchers: usize,
    /// Whether kwok plays the kubelets, whose requests then have no priority level.
    pub kwok: bool,
    /// Whether other levels leave their seats for these to borrow.
    pub borrows: bool,
    pub seed: u64,
}

/// How `Retry-After` is obeyed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// At most for so long.
    pub longest: f64,
    /// Plus up to this part of it, at random.
    pub spread: f64,
}

impl Retry {
    /// As the handler does it: to the second.
    pub const TO_THE_SECOND: Self = Self { longest: f64::INFINITY, spread: 0.0 };
    /// For 5 s at most, and up to as much again.
    pub const SPREAD: Self = Self { longest: 5.0, spread: 1.0 };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    Node,
    /// The pods are spread over so many namespaces.
    ServiceAccount {
        namespaces: usize,
    },
}

impl Setup {
    /// The handler's defaults on a cluster of some size.
    pub const fn new(nodes: usize, pods: usize, cores: f64) -> Self {
        Self {
            nodes,
            pods,
            cores,
            streams: super::client::SIDE_BY_SIDE,
            jitter: 0.0,
            retry: Retry::TO_THE_SECOND,
            identity: Identity::Node,
            own_level: None,
            watchers: 20,
            kwok: false,
            borrows: true,
            seed: 1,
        }
    }

    /// The cluster of `bench/run`, whose cores the API server shares with all others.
    pub const fn measured(nodes: usize, pods: usize) -> Self {
        Self { watchers: 6, kwok: true, ..Self::new(nodes, pods, CORES_OF_THE_BENCH) }
    }

    /// What a change of a pod takes up (`mutating_work_estimator.go`).
    pub(super) fn changing_a_pod(&self) -> Width {
        if self.watchers < WATCHES_PER_SEAT {
            return Width { seats: 1, after: 0, lingers: 0.0 };
        }
        let work = self.watchers.div_ceil(WATCHES_PER_SEAT);
        let after = work.min(MOST_SEATS);
        Width { seats: 1, after, lingers: EACH_EVENT * work as f64 / after as f64 }
    }

    /// What the beginning of a watch takes up: by the size of all pods of the cluster, whatever it selects
    /// (`list_work_estimator.go`).
    pub(super) fn watching(&self) -> Width {
        let size = self.nodes * self.pods * POD_SIZE;
        Width { seats: size.div_ceil(100_000).clamp(1, MOST_SEATS), after: 0, lingers: 0.0 }
    }
}

const WATCHES_PER_SEAT: usize = 10;
const MOST_SEATS: usize = 10;
const EACH_EVENT: f64 = 0.005;
/// In bytes.
const POD_SIZE: usize = 4000;

/// What requests cost the API server, in seconds of processor time: fitted to what `bench/run` measures.
pub(super) mod cost {
    /// Of a handshake with the certificate's RSA key, and of the connection.
    pub const HANDSHAKE: f64 = 0.002;
    /// Of any request before it has a priority level: authentication, the audit log.
    pub const DOOR: f64 = 0.0004;
    /// Of reading and patching the Node.
    pub const CORDON: f64 = 0.006;
    /// Of beginning a watch.
    pub const WATCH: f64 = 0.003;
    /// Of an eviction, without [`DOOR`].
    pub const EVICTION: f64 = 0.004;
    /// Of the condition and the deletion of one pod.
    pub const DELETION: f64 = 0.004;
    /// Of what a kubelet reports of one pod at a time.
    pub const KUBELET: f64 = 0.0015;
    /// How often it does: two for the pod that ends, two for the one in its place.
    pub const REPORTS: usize = 4;
    /// Of what controllers and the scheduler ask for one pod in its place.
    pub const CONTROLLERS: f64 = 0.008;
}

/// Of the two cores, what is left by etcd, controllers, kwok and handlers.
const CORES_OF_THE_BENCH: f64 = 1.4;

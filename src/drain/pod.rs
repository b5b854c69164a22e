//! A pod as the drain sees it, and who goes.

use std::sync::Arc;
use std::time::Duration;

use crate::drain::ask::PodRef;
use crate::moment::Moment;

/// What the drain needs to know of a pod; everything else stays unread.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and most are rare")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Which pod.
    pub reference: Arc<PodRef>,
    /// `spec.terminationGracePeriodSeconds`; 30 where unset. May be 0.
    pub grace: u32,
    /// When its turn comes.
    pub tier: Tier,
    /// The owner reference with `controller: true`.
    pub controller: Option<Controller>,
    /// Run by the kubelet from a file or URL: annotation `kubernetes.io/config.mirror`.
    pub mirror: bool,
    /// Phase `Succeeded` or `Failed`.
    pub finished: bool,
    /// Has a volume of type `emptyDir`.
    pub empty_dir: bool,
    /// Has a volume of a `PersistentVolumeClaim`: it is detached from the node once the pod has ended.
    pub volume_claim: bool,
    /// The first of its finalizers, if it has any: such a pod may stay as an object.
    pub finalizer: Option<String>,
    /// Set once it was deleted or evicted (`metadata.deletionTimestamp`).
    pub terminating: Option<Terminating>,
}

impl Pod {
    /// How long it has from SIGTERM to SIGKILL: as its deletion set it, else as its
    /// spec says.
    pub fn time_to_end(&self) -> Duration {
        let grace = self.terminating.map_or(self.grace, |terminating| terminating.grace);
        Duration::from_secs(u64::from(grace))
    }
}

/// Events of the watch of the node's pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodNews {
    /// A complete set of pods begins.
    SetBegins,
    /// The set is complete: a pod not seen since it began is gone.
    SetComplete,
    /// A pod is there, as described.
    Seen(Pod),
    /// The pod with this UID is gone.
    Gone {
        /// Its UID.
        uid: String,
    },
    /// A pod could not be read, and was skipped.
    Unread {
        /// Its UID, or else its namespace and name, as far as known.
        pod: Option<String>,
        /// Why, in words.
        why: String,
    },
    /// The watch ended, and is opened again.
    Lost {
        /// Why, in words.
        why: String,
    },
}

/// A pod that is terminating.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminating {
    /// `metadata.deletionGracePeriodSeconds`.
    pub grace: u32,
    /// When that grace ends (`metadata.deletionTimestamp`); [`Moment::START`] if it is over.
    pub ends: Moment,
}

/// The controller of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Controller {
    /// A DaemonSet of this name: it would put the pod back on this very node.
    DaemonSet(Box<str>),
    /// Anything else, of this UID: it starts the pod elsewhere, unless the pod tolerates the cordon.
    Other(Box<str>),
}

/// The order in which pods go: each tier when the one before is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Everything else.
    Ordinary,
    /// Pods of a `DaemonSet`, where those go: others may need them to end (logs, volumes, network).
    DaemonSet,
    /// `system-cluster-critical`.
    ClusterCritical,
    /// `system-node-critical`.
    NodeCritical,
}

impl Tier {
    /// All of them, in order.
    pub const ALL: [Self; 4] =
        [Self::Ordinary, Self::DaemonSet, Self::ClusterCritical, Self::NodeCritical];

    /// The tier of a pod with this `spec.priorityClassName` and this controller.
    pub fn of(priority_class: Option<&str>, controller: Option<&Controller>) -> Self {
        match (priority_class, controller) {
            (Some("system-cluster-critical"), _) => Self::ClusterCritical,
            (Some("system-node-critical"), _) => Self::NodeCritical,
            (_, Some(Controller::DaemonSet(_))) => Self::DaemonSet,
            _ => Self::Ordinary,
        }
    }
}

/// Which pods the operator wants gone. The defaults are those of a node that is going to die.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The handler's own pod: never goes.
    pub own: OwnPod,
    /// Leave DaemonSet pods alone. Otherwise those of the first set go, their replacements stay:
    /// the DaemonSet puts them back on a cordoned node for ever.
    pub ignore_daemon_sets: bool,
    /// Let pods with an `emptyDir` volume go, and its data with them.
    pub delete_local_data: bool,
    /// Let pods without a controller go, which nothing will start elsewhere.
    pub drain_unmanaged: bool,
}

/// How the handler knows its own pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPod {
    /// Its namespace, if known.
    pub namespace: Option<String>,
    /// Its name, if known.
    pub name: Option<String>,
    /// Its UID, if known (from the token's claims).
    pub uid: Option<String>,
}

impl OwnPod {
    /// Takes from `other` what is not known yet.
    pub fn complete(&mut self, other: Self) {
        self.namespace = self.namespace.take().or(other.namespace);
        self.name = self.name.take().or(other.name);
        self.uid = self.uid.take().or(other.uid);
    }

    /// Whether `pod` is the handler's own.
    pub fn is(&self, pod: &PodRef) -> bool {
        let by_name = self.name.as_ref() == Some(&pod.name)
            && self.namespace.as_ref() == Some(&pod.namespace);
        by_name || self.uid.as_ref() == Some(&pod.uid)
    }
}

impl Rules {
    /// Why `pod` is left alone; `None` if it goes. kubectl's filters, in an order of which each pod
    /// gets one reason.
    pub fn exempt(&self, pod: &Pod, late: bool) -> Option<Exempt> {
        if self.own.is(&pod.reference) {
            return Some(Exempt::Own);
        }
        if pod.mirror {
            return Some(Exempt::Mirror);
        }
        if pod.finished {
            return None;
        }
        match &pod.controller {
            Some(Controller::DaemonSet(name)) if self.ignore_daemon_sets || late => {
                return Some(Exempt::DaemonSet(name.clone()));
            }
            None if !self.drain_unmanaged => return Some(Exempt::Unmanaged),
            _ => {}
        }
        (pod.empty_dir && !self.delete_local_data).then_some(Exempt::EmptyDir)
    }
}

/// Why a pod is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exempt {
    /// It is the handler's own.
    Own,
    /// A static pod of the kubelet: its mirror object can be deleted, the pod cannot.
    Mirror,
    /// Its DaemonSet, named here, would put it back on this node.
    DaemonSet(Box<str>),
    /// It has no controller, and the setting says to leave such pods.
    Unmanaged,
    /// It has an `emptyDir` volume, and the setting says to leave such pods.
    EmptyDir,
    /// Nothing happens to the instance, and its controller has had it run on this node again after
    /// so many evictions.
    Returning(u32),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain::tests::cluster;

    /// A pod of a `ReplicaSet`, but for this.
    fn pod(change: fn(&mut Pod)) -> Pod {
        cluster::pod("web").but(change).pod
    }

    fn of_daemon_set(pod: &mut Pod) {
        pod.controller = Some(Controller::DaemonSet("logs".into()));
    }

    /// A pod, the switches, and why it stays.
    type Row = (&'static str, fn(&mut Pod), [bool; 3], Option<Exempt>);

    /// What `kubectl drain` does with a pod (`pkg/drain/filters.go`), for each kind of pod and each of its
    /// switches. Where it ends with an error because of one pod, that pod stays here and the others go.
    #[test]
    fn who_goes_is_kubectls_rule() {
        const GOES: Option<Exempt> = None;
        let daemon_set = || Some(Exempt::DaemonSet("logs".into()));
        // ignore_daemon_sets (--ignore-daemonsets), delete_local_data (--delete-emptydir-data),
        // drain_unmanaged (--force).
        let (all, none) = ([true, true, true], [false, false, false]);
        let rows: Vec<Row> = vec![
            ("of a ReplicaSet", |_| {}, all, GOES),
            ("of a ReplicaSet", |_| {}, none, GOES),
            ("of a DaemonSet", of_daemon_set, all, daemon_set()),
            // kubectl ends with an error here; IGNORE_DAEMON_SETS=false asks for it.
            ("of a DaemonSet", of_daemon_set, [false, true, true], GOES),
            (
                "of a DaemonSet, finished",
                |it| {
                    of_daemon_set(it);
                    it.finished = true;
                },
                all,
                GOES,
            ),
            ("static", |it| it.mirror = true, all, Some(Exempt::Mirror)),
            (
                "static, finished",
                |it| (it.mirror, it.finished) = (true, true),
                all,
                Some(Exempt::Mirror),
            ),
            (
                "static, without a controller",
                |it| (it.mirror, it.controller) = (true, None),
                none,
                Some(Exempt::Mirror),
            ),
            ("with an emptyDir", |it| it.empty_dir = true, all, GOES),
            (
                "with an emptyDir",
                |it| it.empty_dir = true,
                [true, false, true],
                Some(Exempt::EmptyDir),
            ),
            (
                "with an emptyDir, finished",
                |it| (it.empty_dir, it.finished) = (true, true),
                none,
                GOES,
            ),
            ("without a controller", |it| it.controller = None, all, GOES),
            (
                "without a controller",
                |it| it.controller = None,
                [true, true, false],
                Some(Exempt::Unmanaged),
            ),
            (
                "without a controller, finished",
                |it| (it.controller, it.finished) = (None, true),
                none,
                GOES,
            ),
            // The first filter that says no gives the reason.
            (
                "of a DaemonSet, with an emptyDir",
                |it| {
                    of_daemon_set(it);
                    it.empty_dir = true;
                },
                [true, false, false],
                daemon_set(),
            ),
            (
                "of a DaemonSet, with an emptyDir",
                |it| {
                    of_daemon_set(it);
                    it.empty_dir = true;
                },
                [false, false, true],
                Some(Exempt::EmptyDir),
            ),
            ("with a finalizer", |it| it.finalizer = Some("example.com/wait".into()), none, GOES),
            ("with a claim", |it| it.volume_claim = true, none, GOES),
            ("critical", |it| it.tier = Tier::NodeCritical, none, GOES),
        ];
        for (what, change, [ignore_daemon_sets, delete_local_data, drain_unmanaged], expected) in
            rows
        {
            let own = OwnPod { namespace: None, name: None, uid: None };
            let rules = Rules { own, ignore_daemon_sets, delete_local_data, drain_unmanaged };
            let switches = [ignore_daemon_sets, delete_local_data, drain_unmanaged];
            assert_eq!(rules.exempt(&pod(change), false), expected, "{what}, {switches:?}");
        }
    }

    #[test]
    fn the_own_pod_never_goes() {
        let known = [
            OwnPod { namespace: Some("shop".into()), name: Some("web".into()), uid: None },
            OwnPod { namespace: None, name: None, uid: Some("web".into()) },
        ];
        for own in known {
            let rules = Rules {
                own,
                ignore_daemon_sets: false,
                delete_local_data: true,
                drain_unmanaged: true,
            };
            for change in [|_: &mut Pod| {}, |it: &mut Pod| it.finished = true, of_daemon_set] {
                assert_eq!(rules.exempt(&pod(change), false), Some(Exempt::Own));
            }
        }
    }

    #[test]
    fn a_turn_follows_from_priority_class_and_controller() {
        let (daemon_set, other) =
            (Some(Controller::DaemonSet("d".into())), Some(Controller::Other("u".into())));
        for (class, controller, tier) in [
            (None, &other, Tier::Ordinary),
            (None, &None, Tier::Ordinary),
            (None, &daemon_set, Tier::DaemonSet),
            (Some("high"), &other, Tier::Ordinary),
            (Some("high"), &daemon_set, Tier::DaemonSet),
            (Some("system-cluster-critical"), &other, Tier::ClusterCritical),
            (Some("system-cluster-critical"), &daemon_set, Tier::ClusterCritical),
            (Some("system-node-critical"), &other, Tier::NodeCritical),
            (Some("system-node-critical"), &daemon_set, Tier::NodeCritical),
        ] {
            assert_eq!(Tier::of(class, controller.as_ref()), tier, "{class:?} {controller:?}");
        }
        assert!(Tier::ALL.is_sorted());
    }
}

//! What happens around the handler, written down before it runs: what the metadata service says and
//! when, the Node and who else changes it, pods, troubles, SIGTERM.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use crate::drain::BudgetOverride;
use crate::drain::pod::{OwnPod, Rules};
use crate::drain::tests::cluster::{Life, MARGIN, ms, secs};
use crate::handler::config::Config;
use crate::handler::tests::metadata::{calendar, milliseconds};
use crate::handler::tests::model;
use crate::handler::tests::timeline::Run;
use crate::moment::{Moment, Reading};
use crate::node::{MarkPolicy, RebalanceMark};
use crate::notice::{Action, Code, NoticePath};
use crate::plan::Boot;
use crate::plan::kinds::{LeadTimes, Policy, Rebalance};

/// A world and what will befall it. All spans are counted from the start of the process.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) config: Config,
    /// What each path says, and from when on. A path that is not named is not polled.
    pub(super) paths: BTreeMap<NoticePath, Vec<(Duration, Says)>>,
    pub(super) pods: Vec<Life>,
    /// `spec.unschedulable` at the start.
    pub(super) cordoned: bool,
    /// Our annotation at the start.
    pub(super) annotation: Option<String>,
    /// What others do to the Node.
    pub(super) edits: Vec<(Duration, Edit)>,
    pub(super) troubles: Vec<Trouble>,
    /// What the request of this number meets, counted from 1, together with those that open the watch.
    pub(super) request_meets: Option<(u32, What)>,
    /// From when the budgets let pods go.
    pub(super) budgets_free: Option<Duration>,
    /// Milliseconds to the API server, and as many again back.
    pub(super) latency: RangeInclusive<u64>,
    /// A wait for a moment may end so many milliseconds after it.
    pub(super) oversleep: u64,
    /// How many requests can be under way at once, but for those about the Node.
    pub(super) free: usize,
    /// Nothing can be asked about pods at these times.
    pub(super) busy: Vec<Range<Duration>>,
    /// From when address, roots and token are there.
    pub(super) credentials: Duration,
    /// What the token tells of the own pod.
    pub(super) own: OwnPod,
    /// From when the node's name can be found out.
    pub(super) name: Duration,
    /// An answer of the metadata service comes twice, if the last ones have said the same notices.
    pub(super) repeats: bool,
    /// No answer of the metadata service comes at these times.
    pub(super) silent: Vec<Range<Duration>>,
    /// When a process ends before its time.
    pub(super) ends: Vec<(Duration, End)>,
    /// The process is killed when it has carried out so many orders, and started anew; once.
    pub(super) killed_after: Option<u32>,
    /// When SIGTERM comes. The first one ends the run.
    pub(super) sigterm: Vec<Duration>,
    /// The calendar is set: when, and by how many seconds.
    pub(super) clock_set: Option<(Duration, i64)>,
    /// Seed of everything random in the model.
    pub(super) seed: u64,
}

/// What a path of the metadata service says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// 404.
    Nothing,
    /// This will be done, at so many seconds after the start.
    At(Action, i64),
    /// This will be done, so many seconds after the question.
    In(Action, i64),
    /// This will be done, no telling when.
    Soon(Action),
    /// A rebalance recommendation.
    Recommended,
    /// A rebalance recommendation that was made at so many seconds after the start.
    RecommendedAt(i64),
    /// A rebalance recommendation that says, whenever it is asked for, that it was made then.
    RecommendedNow,
    /// The Auto Scaling group does this to the instance.
    Leaves(Action),
    /// Maintenance is planned.
    Planned(Vec<Planned>),
    /// No answer.
    Fails,
}

/// One planned maintenance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) code: Code,
    pub(super) name: &'static str,
    pub(super) nth: u8,
    /// Seconds after the start.
    pub(super) at: i64,
    /// The cloud calls it completed or cancelled.
    pub(super) over: bool,
}

/// Maintenance of this code, called `event`, so many seconds after the start.
pub(super) fn planned(code: Code, at: i64) -> Planned {
    Planned { code, name: "event", nth: 0, at, over: false }
}

/// A reboot of the host, so many seconds after the start.
pub(super) fn reboot(at: i64) -> Planned {
    planned(Code::SystemReboot, at)
}

impl Planned {
    /// The same, completed or cancelled.
    pub(super) fn over(self) -> Self {
        Self { over: true, ..self }
    }
}

/// How a process ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By SIGKILL; another is started.
    Killed,
    /// The machine is started anew.
    Rebooted,
}

/// What others do to the Node.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// A new resourceVersion, as by the kubelet.
    Touch,
    Cordon,
    Uncordon,
    /// A taint with this key, value and effect takes its place.
    Taint(&'static str, &'static str, &'static str),
    /// The taints with this key go.
    Untaint(&'static str),
    /// The label that excludes the node from load balancers.
    Label(Option<&'static str>),
}

/// The API server is in trouble from then until then.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) when: Range<Duration>,
    pub(super) with: With,
    pub(super) what: What,
}

/// With which requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum With {
    Everything,
    ReadNode,
    PatchNode,
    FindNode,
    Pods,
}

/// What comes instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A failure, at once.
    Refuses,
    /// None, until the request is given up.
    Hangs,
    /// None, but it was carried out.
    LosesAnswer,
    /// That there is no Node of this name; of anything else, as [`What::Refuses`].
    HasNoNode,
}

pub(super) const NODE: &str = "node-1";
pub(super) const BOOT: &str = "boot-1";

/// A handler on its node, SIGTERM after five minutes, 0.1 s for each answer.
pub(super) fn a_node() -> Script {
    let rules = Rules {
        own: OwnPod { namespace: None, name: None, uid: None },
        ignore_daemon_sets: true,
        delete_local_data: true,
        drain_unmanaged: true,
    };
    Script {
        config: Config {
            node: Some(Arc::from(NODE)),
            boot: Boot { id: BOOT.to_owned(), began: None },
            paths: vec![NoticePath::InstanceAction],
            policy: policy(),
            marks: MarkPolicy {
                taint: None,
                exclude_from_load_balancers: false,
                rebalance_mark: RebalanceMark::Cordon,
            },
            load_balancer_hold: Duration::ZERO,
            rules,
            longest_grace: None,
            budget_override: BudgetOverride::AtDeadline,
            margin: MARGIN,
            node_shutdown: Duration::ZERO,
            shutdown_grace: secs(150),
            dry: false,
            seed: 1,
        },
        paths: BTreeMap::from([(NoticePath::InstanceAction, Vec::new())]),
        pods: Vec::new(),
        cordoned: false,
        annotation: None,
        edits: Vec::new(),
        troubles: Vec::new(),
        request_meets: None,
        budgets_free: None,
        latency: 50..=50,
        oversleep: 0,
        free: 32,
        busy: Vec::new(),
        credentials: Duration::ZERO,
        own: OwnPod {
            namespace: Some("kube-system".to_owned()),
            name: Some("handler".to_owned()),
            uid: Some("handler".to_owned()),
        },
        name: Duration::ZERO,
        repeats: false,
        silent: Vec::new(),
        ends: Vec::new(),
        killed_after: None,
        sigterm: vec![secs(300)],
        clock_set: None,
        seed: 1,
    }
}

/// These pods on a node with the usual notice.
pub(super) fn interrupted_node<const N: usize>(pods: [Life; N]) -> Script {
    a_node().interrupted().pods(pods)
}

/// Reboots and maintenance ten minutes ahead, the rest an hour; recommendations mark for an hour.
fn policy() -> Policy {
    let (reboot, rest) = (secs(600), secs(3600));
    Policy {
        marks_only: false,
        lead_times: LeadTimes {
            instance_reboot: reboot,
            system_reboot: reboot,
            system_maintenance: reboot,
            instance_retirement: rest,
            instance_stop: rest,
        },
        rebalance: Rebalance::Mark,
        rebalance_marks: secs(3600),
    }
}

impl Script {
    /// From these seconds on, `spot/instance-action` says this.
    pub(super) fn says<const N: usize>(self, says: [(u64, Says); N]) -> Self {
        self.path_says(NoticePath::InstanceAction, says)
    }

    /// From these seconds on, that path says this.
    pub(super) fn path_says<const N: usize>(
        mut self,
        path: NoticePath,
        says: [(u64, Says); N],
    ) -> Self {
        self.polls(path);
        let says = says.map(|(second, says)| (secs(second), says));
        self.paths.entry(path).or_default().extend(says);
        self
    }

    /// From that second on, just these are planned.
    pub(super) fn maintenance<const N: usize>(self, second: u64, planned: [Planned; N]) -> Self {
        self.path_says(NoticePath::Maintenance, [(second, Says::Planned(planned.into()))])
    }

    /// That path is polled, too.
    pub(super) fn polls(&mut self, path: NoticePath) {
        self.paths.entry(path).or_default();
        if !self.config.paths.contains(&path) {
            self.config.paths.push(path);
        }
    }

    /// A process ends before its time.
    pub(super) fn ends(mut self, second: u64, end: End) -> Self {
        self.ends.push((secs(second), end));
        self
    }

    /// The usual spot interruption: seen at 10 s, the instance is terminated at 130 s.
    pub(super) fn interrupted(self) -> Self {
        self.says([(10, Says::At(Action::Terminate, 130))])
    }

    pub(super) fn pods(mut self, pods: impl IntoIterator<Item = Life>) -> Self {
        self.pods = pods.into_iter().collect();
        self
    }

    /// The annotation of an earlier process.
    pub(super) fn remembers(mut self, boot: &str, cordoned: bool, drained: bool) -> Self {
        self.annotation = Some(annotation(boot, cordoned, drained));
        self.cordoned = true;
        self
    }

    pub(super) fn edit(mut self, milliseconds: u64, edit: Edit) -> Self {
        self.edits.push((ms(milliseconds), edit));
        self
    }

    pub(super) fn trouble(mut self, seconds: Range<u64>, with: With, what: What) -> Self {
        let when = secs(seconds.start)..secs(seconds.end);
        self.troubles.push(Trouble { when, with, what });
        self
    }

    pub(super) fn sigterm(mut self, seconds: &[u64]) -> Self {
        self.sigterm = seconds.iter().copied().map(secs).collect();
        self
    }

    /// Both clocks.
    pub(super) fn reading(&self, now: Moment) -> Reading {
        let set = self.clock_set.filter(|(when, _)| Moment::at(*when) <= now);
        let ahead = set.map_or(0, |(_, seconds)| seconds * 1000);
        Reading { now, wall: calendar(milliseconds(now) + ahead) }
    }

    /// When everything that goes wrong is over.
    pub(super) fn last_trouble(&self) -> Duration {
        let troubles = self.troubles.iter().map(|trouble| trouble.when.end);
        troubles.chain(self.busy.iter().map(|busy| busy.end)).max().unwrap_or_default()
    }

    /// From 10 s on a recommendation; its drain times out and its marks expire after so many seconds.
    pub(super) fn recommended(self, timeout: u64, marks: u64) -> Self {
        self.path_says(NoticePath::Rebalance, [(10, Says::Recommended)]).but(|it| {
            it.config.policy.rebalance = Rebalance::Drain { timeout: secs(timeout) };
            it.config.policy.rebalance_marks = secs(marks);
        })
    }

    pub(super) fn run(&self) -> Run {
        model::run(self)
    }

    /// Its run, of which only what happens from that second on is shown.
    pub(super) fn since(&self, second: u64) -> Run {
        let mut run = self.run();
        run.shown_since = Moment::at(secs(second));
        run
    }

    /// [`Run::shows`] of its run.
    #[track_caller]
    pub(super) fn shows<const N: usize>(&self, expected: [&str; N]) {
        self.run().shows(expected);
    }

    /// [`Run::transcript_is`] of its run.
    #[track_caller]
    pub(super) fn transcript_is<const N: usize>(&self, expected: [&str; N]) {
        self.run().transcript_is(expected);
    }

    /// Anything else.
    pub(super) fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// The annotation for a termination.
pub(super) fn annotation(boot: &str, cordoned: bool, drained: bool) -> String {
    let notice = "spot-interruption/terminate";
    let known = serde_json::json!({
        "notice": notice, "progress": "drained", "end": null, "marksUntil": null,
    });
    serde_json::json!({
        "version": 1,
        "bootId": boot,
        "notice": notice,
        "cordoned": cordoned,
        "taint": null,
        "excluded": false,
        "notices": if drained { vec![known] } else { Vec::new() },
    })
    .to_string()
}

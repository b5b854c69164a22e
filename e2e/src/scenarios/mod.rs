//! The scenarios. Each is a function over a scene of its own.

mod admission;
mod arrivals;
mod attackers;
mod balancers;
mod budgets;
mod by_hand;
mod check;
mod crowd;
mod crowded;
mod grace;
mod grants;
mod hands;
mod installed;
mod kinds;
mod lifecycle;
mod links;
mod maintenance;
mod marks;
mod nobody;
mod notices;
mod outage;
mod plans;
mod real;
mod rebalance;
mod reboot;
mod reports;
mod restarts;
mod returning;
mod servers;
mod shipped;
mod spot;
mod steps;
mod watching;
mod webhooks;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::cluster::{Plan, Release};
use crate::gate::Side::{After, Before};
use crate::observers::Format;
use crate::rights::Flavour;
use crate::scene::Scene;
use admission::Keeper;
use links::Silence;
use outage::Farewell;
use reboot::Reboot;
use returning::Place;
use servers::FirstSet;
use steps::Step;

/// One scenario.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its name: of the node, the namespace and the folder too.
    pub name: &'static str,
    /// On which control plane it plays.
    pub plan: Plan,
    /// What happens.
    pub run: fn(&mut Scene) -> BoxFuture<'_, Result<()>>,
}

/// How far ahead a notice lies, in seconds, where nothing else is wanted.
const AHEAD: u32 = 40;

/// What the handler keeps of the time left (`SAFETY_MARGIN`).
const MARGIN: Duration = Duration::from_secs(2);

/// Settings for all the marks there are.
const ALL_MARKS: [(&str, &str); 2] =
    [("TAINT_NODE", "true"), ("EXCLUDE_FROM_LOAD_BALANCERS", "true")];

/// Where most of them play.
const MAIN: Plan = Plan {
    name: "main",
    release: Release::V1_37,
    flags: &[],
    etcd_distance: Duration::ZERO,
    controllers: true,
    kubelets: false,
};

/// Its API server cannot begin a watch with what is there.
const NO_WATCH_LIST: Plan = Plan {
    name: "no-watch-list",
    flags: &["--feature-gates=WatchList=false"],
    controllers: false,
    ..MAIN
};

/// Its API server reads the pages of a list from etcd, as 1.33 and all before 1.32 do, and its cluster
/// has many pods.
const CROWDED: Plan = Plan {
    name: "crowded",
    flags: &["--feature-gates=WatchList=false,ListFromCacheSnapshot=false"],
    controllers: false,
    ..MAIN
};

/// Its etcd is 20 ms away, there and back.
const FAR: Plan = Plan { name: "far", etcd_distance: Duration::from_millis(10), ..MAIN };

/// The oldest API server.
const OLDEST: Plan = Plan { name: "oldest", release: Release::V1_34, controllers: false, ..MAIN };

/// Its API server is taken away in the middle.
const OUTAGE: Plan = Plan { name: "outage", controllers: false, ..MAIN };

/// Its API server is taken away when the notice comes.
const OUTAGE_FIRST: Plan = Plan { name: "outage-first", controllers: false, ..MAIN };

/// Its API server ends in the middle, as for an upgrade, and is started again.
const RESTART: Plan = Plan { name: "restart", controllers: false, ..MAIN };

/// Its API server crashes in the middle, and is started again.
const CRASH: Plan = Plan { name: "crash", controllers: false, ..MAIN };

/// Its API server sends clients that speak HTTP/2 away (GOAWAY), as often as it can be told to.
const GOAWAY: Plan = Plan { name: "goaway", flags: &["--goaway-chance=0.02"], ..MAIN };

/// Where the chart is installed.
const CHART: Plan = Plan { name: "chart", controllers: false, ..MAIN };

/// The same on the oldest API server.
const CHART_OLDEST: Plan = Plan { name: "chart-oldest", ..OLDEST };

/// Its scenes are real nodes, one after the other.
const REAL: Plan = Plan { name: "real", kubelets: true, ..MAIN };

/// Those that need no reading; the longest first, since they run side by side.
const ALL: &[Scenario] = &[
    on(MAIN, "grace-300", |scene| grace::longer_than_the_notice(scene).boxed()),
    on(MAIN, "budget-nothing-120", |scene| {
        budgets::nothing_allowed(scene, 120, &[5, 30, 90]).boxed()
    }),
    on(MAIN, "rebalance-mark", |scene| rebalance::cordoned_for_a_while(scene).boxed()),
    on(MAIN, "rebalance-patience", |scene| rebalance::patience(scene).boxed()),
    on(MAIN, "returning-rebalance", |scene| returning::left_alone(scene).boxed()),
    on(FAR, "budget-all-100", |scene| budgets::all_allowed(scene, 1, 100).boxed()),
    on(CROWDED, "pods-elsewhere", |scene| crowded::first_set(scene, 10_000).boxed()),
    on(OUTAGE, "outage", |scene| outage::in_the_middle(scene).boxed()),
    on(OUTAGE_FIRST, "outage-first", |scene| outage::from_the_start(scene).boxed()),
    on(RESTART, "restart", |scene| outage::evictions_open(scene, Farewell::Told).boxed()),
    on(CRASH, "crash", |scene| outage::evictions_open(scene, Farewell::None).boxed()),
    on(GOAWAY, "goaway", |scene| links::sent_away(scene, 110).boxed()),
    on(MAIN, "frozen-link", |scene| links::silent(scene, Silence::Frozen).boxed()),
    on(MAIN, "half-open", |scene| links::silent(scene, Silence::Lost).boxed()),
    on(MAIN, "token-rotated", |scene| restarts::token_rotated(scene).boxed()),
    on(MAIN, "rebalance-then-spot", |scene| rebalance::interrupted(scene).boxed()),
    on(MAIN, "withdrawn", |scene| spot::withdrawn(scene).boxed()),
    on(MAIN, "instance-reboot", |scene| {
        maintenance::planned(scene, "instance-reboot", "completed").boxed()
    }),
    on(MAIN, "system-reboot", |scene| {
        maintenance::planned(scene, "system-reboot", "completed").boxed()
    }),
    on(MAIN, "system-maintenance", |scene| {
        maintenance::planned(scene, "system-maintenance", "completed").boxed()
    }),
    on(MAIN, "instance-retirement", |scene| {
        maintenance::planned(scene, "instance-retirement", "canceled").boxed()
    }),
    on(MAIN, "instance-stop", |scene| {
        maintenance::planned(scene, "instance-stop", "canceled").boxed()
    }),
    on(MAIN, "returning-pinned", |scene| returning::not_hunted(scene, Place::Pinned).boxed()),
    on(MAIN, "returning", |scene| returning::not_hunted(scene, Place::Free).boxed()),
    on(FAR, "budget-all-owners", |scene| budgets::all_allowed(scene, 4, 40).boxed()),
    on(FAR, "budget-one-at-a-time-far", |scene| budgets::one_at_a_time(scene).boxed()),
    on(MAIN, "admission-denies-500", |scene| {
        admission::deleted_in_time(scene, Keeper::Denies(500)).boxed()
    }),
    on(MAIN, "admission-denies-403", |scene| {
        admission::deleted_in_time(scene, Keeper::Denies(403)).boxed()
    }),
    on(MAIN, "admission-hangs", |scene| admission::deleted_in_time(scene, Keeper::Hangs).boxed()),
    on(MAIN, "admission-unreachable", |scene| {
        admission::deleted_in_time(scene, Keeper::Unreachable).boxed()
    }),
    on(MAIN, "admission-policy-forbids", |scene| {
        admission::deleted_in_time(scene, Keeper::Policy("Forbidden")).boxed()
    }),
    on(MAIN, "admission-policy-invalid", |scene| {
        admission::deleted_in_time(scene, Keeper::Policy("Invalid")).boxed()
    }),
    on(MAIN, "admission-not-granted", |scene| {
        admission::deleted_in_time(scene, Keeper::NotGranted).boxed()
    }),
    on(MAIN, "admission-passed-over", |scene| admission::passed_over(scene).boxed()),
    on(MAIN, "admission-slow-cordon", |scene| admission::slow_cordon(scene).boxed()),
    on(NO_WATCH_LIST, "admission-ending-namespace", |scene| {
        admission::ending_namespace(scene).boxed()
    }),
    on(MAIN, "admission-never", |scene| admission::never_deleted(scene).boxed()),
    on(MAIN, "pods-110", |scene| crowd::drained(scene, 110).boxed()),
    on(MAIN, "second-notice", |scene| notices::second(scene).boxed()),
    on(MAIN, "budget-nothing", |scene| budgets::nothing_allowed(scene, AHEAD, &[5, 10]).boxed()),
    on(NO_WATCH_LIST, "no-watch-list", |scene| {
        servers::whole_drain(scene, FirstSet::Listed).boxed()
    }),
    on(OLDEST, "oldest", |scene| servers::whole_drain(scene, FirstSet::Streamed).boxed()),
    on(MAIN, "confined", |scene| servers::confined(scene).boxed()),
    on(MAIN, "plan", |scene| plans::every_fate(scene).boxed()),
    on(MAIN, "by-hand", |scene| by_hand::from_outside(scene).boxed()),
    on(MAIN, "by-hand-inside", |scene| by_hand::in_the_container(scene).boxed()),
    on(MAIN, "plan-never", |scene| plans::kept(scene).boxed()),
    on(MAIN, "handed-over", |scene| restarts::handed_over(scene).boxed()),
    on(MAIN, "killed-before-cordon", |scene| steps::killed_at(scene, Step::Cordon(Before)).boxed()),
    on(MAIN, "killed-after-cordon", |scene| steps::killed_at(scene, Step::Cordon(After)).boxed()),
    on(MAIN, "killed-before-eviction", |scene| {
        steps::killed_at(scene, Step::Eviction(Before)).boxed()
    }),
    on(MAIN, "killed-after-eviction", |scene| {
        steps::killed_at(scene, Step::Eviction(After)).boxed()
    }),
    on(MAIN, "killed-before-deletion", |scene| {
        steps::killed_at(scene, Step::Deletion(Before)).boxed()
    }),
    on(MAIN, "killed-after-deletion", |scene| {
        steps::killed_at(scene, Step::Deletion(After)).boxed()
    }),
    on(MAIN, "killed-after-table", |scene| steps::killed_at(scene, Step::Table).boxed()),
    on(MAIN, "killed-before-note", |scene| steps::killed_at(scene, Step::Note(Before)).boxed()),
    on(MAIN, "killed-after-note", |scene| steps::killed_at(scene, Step::Note(After)).boxed()),
    on(MAIN, "killed-after-reading", |scene| steps::killed_at(scene, Step::Reading(After)).boxed()),
    on(MAIN, "killed-before-back", |scene| steps::killed_at(scene, Step::Back(Before)).boxed()),
    on(MAIN, "killed-after-back", |scene| steps::killed_at(scene, Step::Back(After)).boxed()),
    on(MAIN, "rebalance-taken-over", |scene| rebalance::taken_over(scene).boxed()),
    on(MAIN, "lifecycle", |scene| lifecycle::out_of_service_and_back(scene).boxed()),
    on(MAIN, "load-balancer-hold", |scene| balancers::hold(scene).boxed()),
    on(MAIN, "rebooted", |scene| reboot::announced(scene, Reboot::InTime).boxed()),
    on(MAIN, "rebooted-early", |scene| reboot::announced(scene, Reboot::Early).boxed()),
    on(MAIN, "stopped-and-started", |scene| spot::stopped_and_started(scene).boxed()),
    on(MAIN, "cordon-only", |scene| spot::cordon_only(scene).boxed()),
    on(MAIN, "event-moved", |scene| maintenance::moved(scene).boxed()),
    on(MAIN, "event-canceled", |scene| maintenance::canceled_during(scene).boxed()),
    on(MAIN, "event-canceled-before", |scene| maintenance::canceled_before(scene).boxed()),
    on(MAIN, "killed", |scene| restarts::killed(scene).boxed()),
    on(MAIN, "killed-after-the-end", |scene| restarts::killed_after_the_end(scene).boxed()),
    on(MAIN, "terminated-draining", |scene| restarts::terminated_draining(scene).boxed()),
    on(MAIN, "budget-one-at-a-time", |scene| budgets::one_at_a_time(scene).boxed()),
    on(MAIN, "budget-never", |scene| budgets::never_overridden(scene).boxed()),
    on(MAIN, "webhook-secure", |scene| webhooks::secure(scene).boxed()),
    on(MAIN, "webhook-tunnel", |scene| webhooks::through_a_proxy(scene, true).boxed()),
    on(MAIN, "webhook-proxy", |scene| webhooks::through_a_proxy(scene, false).boxed()),
    on(MAIN, "webhook-retried", |scene| webhooks::retried(scene).boxed()),
    on(MAIN, "webhook-hanging", |scene| webhooks::hanging(scene).boxed()),
    on(MAIN, "webhook-refused", |scene| webhooks::refused(scene).boxed()),
    on(MAIN, "metrics", |scene| watching::scraped(scene, Format::OpenMetrics).boxed()),
    on(MAIN, "metrics-plain", |scene| watching::scraped(scene, Format::PlainText).boxed()),
    on(MAIN, "probes", |scene| watching::probed(scene).boxed()),
    on(MAIN, "no-such-node", |scene| nobody::no_such_node(scene).boxed()),
    on(MAIN, "port-taken", |scene| watching::port_taken(scene).boxed()),
    on(MAIN, "kubernetes-events", |scene| reports::kubernetes_events(scene).boxed()),
    on(MAIN, "moved", |scene| notices::moved(scene).boxed()),
    on(MAIN, "changed-action", |scene| notices::changed_action(scene).boxed()),
    on(MAIN, "budget-two", |scene| budgets::two(scene).boxed()),
    on(MAIN, "job", |scene| budgets::job(scene).boxed()),
    on(MAIN, "held", |scene| arrivals::held(scene).boxed()),
    on(MAIN, "dry-run", |scene| marks::dry_run(scene).boxed()),
    on(MAIN, "same-name", |scene| arrivals::same_name(scene).boxed()),
    on(MAIN, "late", |scene| arrivals::late(scene).boxed()),
    on(MAIN, "critical-last", |scene| kinds::critical_last(scene).boxed()),
    on(MAIN, "pods-250", |scene| crowd::drained(scene, 250).boxed()),
    on(MAIN, "every-kind", |scene| kinds::every_kind(scene).boxed()),
    on(MAIN, "kept-kinds", |scene| kinds::kept_kinds(scene).boxed()),
    on(MAIN, "in-the-past", |scene| notices::in_the_past(scene).boxed()),
    on(MAIN, "bare-time", |scene| notices::bare_time(scene).boxed()),
    on(MAIN, "trailing-newline", |scene| notices::trailing_newline(scene).boxed()),
    on(MAIN, "rebooted-unrelated", |scene| reboot::unrelated(scene).boxed()),
    on(MAIN, "rebalance-soft-taint", |scene| rebalance::soft_taint(scene).boxed()),
    on(MAIN, "lifecycle-restarted", |scene| lifecycle::restarted(scene).boxed()),
    on(MAIN, "load-balancer-hold-cut", |scene| balancers::hold_cut(scene).boxed()),
    on(MAIN, "rebalance-restarted", |scene| rebalance::restarted(scene, false).boxed()),
    on(MAIN, "rebalance-drained-restarted", |scene| rebalance::restarted(scene, true).boxed()),
    on(MAIN, "other-settings", |scene| restarts::other_settings(scene).boxed()),
    on(MAIN, "switched-off", |scene| restarts::switched_off(scene).boxed()),
    on(MAIN, "hibernate", |scene| spot::hibernate(scene).boxed()),
    on(MAIN, "cold", |scene| restarts::cold(scene).boxed()),
    on(MAIN, "marks", |scene| marks::all_at_once(scene).boxed()),
    on(MAIN, "marks-conflicts", |scene| marks::conflicts(scene).boxed()),
    on(MAIN, "marks-cut", |scene| marks::cut(scene).boxed()),
    on(MAIN, "marks-restless", |scene| marks::restless(scene).boxed()),
    on(MAIN, "marks-no-execute", |scene| marks::no_execute(scene).boxed()),
    on(MAIN, "marks-other-values", |scene| hands::other_values(scene).boxed()),
    on(MAIN, "marks-taken-off", |scene| hands::taken_off(scene).boxed()),
    on(MAIN, "already-cordoned", |scene| hands::cordoned_before(scene).boxed()),
    on(MAIN, "cordoned-again", |scene| hands::cordoned_again(scene).boxed()),
    on(MAIN, "uncordoned", |scene| hands::uncordoned(scene).boxed()),
    on(MAIN, "http1-only", |scene| crowd::over_http1(scene, 60).boxed()),
    on(MAIN, "terminated-idle", |scene| restarts::terminated_idle(scene).boxed()),
    on(CHART, "chart", |scene| installed::by_the_chart(scene, "confined").boxed()),
    on(CHART_OLDEST, "chart-oldest", |scene| installed::by_the_chart(scene, "classic").boxed()),
    on(MAIN, "spot-nodes", |scene| installed::on_spot_nodes(scene).boxed()),
    on(MAIN, "manifests", |scene| installed::every_manifest(scene).boxed()),
    on(OLDEST, "manifests-oldest", |scene| installed::every_manifest(scene).boxed()),
    on(MAIN, "everywhere", |scene| shipped::everywhere(scene).boxed()),
    on(NO_WATCH_LIST, "rights-confined", |scene| {
        grants::just_enough(scene, Flavour::Confined).boxed()
    }),
    on(NO_WATCH_LIST, "rights-confined-taints", |scene| {
        grants::just_enough(scene, Flavour::ConfinedTaints).boxed()
    }),
    on(NO_WATCH_LIST, "rights-classic", |scene| {
        grants::just_enough(scene, Flavour::Classic).boxed()
    }),
    on(MAIN, "check-confined", |scene| check::all_well(scene, Flavour::Confined).boxed()),
    on(MAIN, "check-confined-taints", |scene| {
        check::all_well(scene, Flavour::ConfinedTaints).boxed()
    }),
    on(MAIN, "check-classic", |scene| check::all_well(scene, Flavour::Classic).boxed()),
    on(OLDEST, "check-oldest", |scene| check::all_well(scene, Flavour::Classic).boxed()),
    on(OLDEST, "check-confined-oldest", |scene| {
        check::confined_where_it_is_not_known(scene).boxed()
    }),
    on(MAIN, "check-confined-without-eviction", |scene| {
        check::one_missing(scene, Flavour::Confined, "create", "pods/eviction").boxed()
    }),
    on(MAIN, "check-classic-without-status", |scene| {
        check::one_missing(scene, Flavour::Classic, "patch", "pods/status").boxed()
    }),
    on(MAIN, "attacker-confined", |scene| attackers::attacks(scene, Flavour::Confined).boxed()),
    on(MAIN, "attacker-confined-taints", |scene| {
        attackers::attacks(scene, Flavour::ConfinedTaints).boxed()
    }),
    on(MAIN, "attacker-classic", |scene| attackers::attacks(scene, Flavour::Classic).boxed()),
    on(OLDEST, "attacker-classic-oldest", |scene| {
        attackers::attacks(scene, Flavour::Classic).boxed()
    }),
    on(OLDEST, "attacker-confined-oldest", |scene| {
        attackers::confined_where_it_is_not_known(scene).boxed()
    }),
    on(MAIN, "attacker-token-without-a-pod", |scene| attackers::token_without_a_pod(scene).boxed()),
    on(REAL, "node-ready", |scene| real::ready::ready(scene).boxed()),
    on(REAL, "node-drain", |scene| real::drain::sixty(scene).boxed()),
    on(REAL, "node-replaced", |scene| real::replaced::replaced(scene).boxed()),
    on(REAL, "node-shutdown", |scene| real::shutdown::graceful(scene).boxed()),
];

/// All of them, and one for each grant of the roles in `deploy`.
///
/// # Errors
/// The roles cannot be read.
pub fn all(deploy: &Path) -> Result<Vec<Scenario>> {
    let mut all = ALL.to_vec();
    for (flavour, grant) in grants::tried(deploy)? {
        // As long as the program runs, like the others.
        let name = grants::name_without(flavour, &grant).leak();
        all.push(on(NO_WATCH_LIST, name, |scene| grants::without(scene).boxed()));
    }
    Ok(all)
}

const fn on(
    plan: Plan,
    name: &'static str,
    run: fn(&mut Scene) -> BoxFuture<'_, Result<()>>,
) -> Scenario {
    Scenario { name, plan, run }
}

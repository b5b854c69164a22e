//! The forecast of a drain, alone, and against what the drain then does where the API server goes on
//! answering as it did.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::drain::ask::{Answer, Ask};
use crate::drain::forecast::{Fate, Forecast, Held, forecast, is_asked, rehearsal};
use crate::drain::limit::Limit;
use crate::drain::pod::{Exempt, Pod, Terminating, Tier};
use crate::drain::tests::cluster::{Arrival, Cluster, Watch, Wrong, at, grace, ms, pod, secs};
use crate::drain::tests::model::run;
use crate::drain::tests::properties::{calm_clusters, config};
use crate::drain::tests::scenarios::are;
use crate::drain::tests::story::{Known, Story};
use crate::drain::verdict::{Outcome, Row};
use crate::drain::{BudgetOverride, DrainOptions};
use crate::moment::Moment;

/// The forecast for a cluster as it stands at the start. The answers come from the machine itself, which
/// only asks.
fn foresee(cluster: &Cluster) -> Vec<Forecast> {
    let pods: Vec<Pod> = cluster
        .pods
        .iter()
        .map(|life| {
            let ending = life
                .deleted_by_others
                .map(|(_, grace)| Terminating { grace, ends: at(secs(grace.into())) });
            Pod { terminating: ending, ..life.pod.clone() }
        })
        .collect();
    let asking = cluster.clone().but(|it| {
        it.options = rehearsal(&cluster.options, Moment::START, at(secs(30)));
        it.balanced = None;
        it.pods.retain(|life| life.deleted_by_others.is_none());
        it.pods.iter_mut().for_each(|life| life.pod.tier = Tier::Ordinary);
    });
    let asked = run(&asking);
    assert!(asked.asked().all(|(_, job)| matches!(job.ask, Ask::Evict { dry: true, .. })));
    assert!(pods.iter().filter(|pod| is_asked(pod)).count() == asking.pods.len());
    let hold = cluster.balanced.map(|(_, until)| until);
    let options = DrainOptions { load_balancer_hold: hold, ..cluster.options.clone() };
    forecast(&options, Moment::START, &pods, &asked.verdict)
}

/// One line for each pod.
fn lines(cluster: &Cluster) -> Vec<String> {
    let line = |one: &Forecast| {
        let asked = one.asked.map_or("-".to_owned(), |asked| {
            format!("{}–{}", asked.from.as_secs_f64(), asked.by.as_secs_f64())
        });
        let grace = one.grace.map_or("-".to_owned(), |grace| format!("{grace}/{}", one.whole));
        let lost = if one.is_lost() { " LOST" } else { "" };
        let (name, note) = (one.name(), one.to_string());
        format!("{} {asked} {grace} {name}{lost}: {note}", one.pod.name)
    };
    foresee(cluster).iter().map(line).collect()
}

#[test]
fn the_worst_stand_last_and_the_others_in_the_order_in_which_they_go() {
    let cluster = Cluster::with([
        pod("never").covered(),
        pod("dns").tier(Tier::ClusterCritical),
        pod("cni").tier(Tier::NodeCritical),
        pod("slow").grace(300),
        pod("web"),
        pod("logs").of_daemon_set(),
        pod("leaving").deleted(0, 60),
        pod("lingering").deleted(0, 600),
        pod("bare").but(|it| it.controller = None),
    ]);
    let cluster = cluster.budget("nothing", 0, None);
    are(
        &lines(&cluster),
        &[
            "logs - - left alone: DaemonSet logs",
            "leaving - 60/60 ending already: was told to end before",
            "bare 0–0 30/30 evicted: no controller, nothing starts it elsewhere",
            "web 0–0 30/30 evicted: ",
            "dns 0–88 30/30 evicted: ",
            "cni 0–88 30/30 evicted: ",
            "lingering 0–0 30/600 cut short LOST: is ending already, with more time than is left",
            "slow 0–0 118/300 cut short LOST: no more time is left",
            "never 0–0 30/30 deleted LOST: in 88 s, if it is refused until then",
        ],
    );
}

#[test]
fn a_tier_waits_no_longer_than_the_tiers_before_it_may_take() {
    let critical = || [pod("dns").tier(Tier::ClusterCritical), pod("cni").tier(Tier::NodeCritical)];
    let with = |first: [_; 1]| Cluster::with(first.into_iter().chain(critical()));
    are(
        &lines(&with([pod("web").grace(20)])),
        &["web 0–0 20/20 evicted: ", "dns 0–20 30/30 evicted: ", "cni 0–50 30/30 evicted: "],
    );
    are(
        &lines(&Cluster::with(critical())),
        &["dns 0–0 30/30 evicted: ", "cni 0–30 30/30 evicted: "],
    );
    // Nobody knows when this one is gone.
    let held = pod("web").but(|it| it.finalizer = Some("example.org/wait".to_owned()));
    are(
        &lines(&with([held])),
        &[
            "web 0–0 30/30 evicted: finalizer example.org/wait may keep its object",
            "dns 0–88 30/30 evicted: ",
            "cni 0–88 30/30 evicted: ",
        ],
    );
}

#[test]
fn whom_a_setting_keeps_dies_with_the_node() {
    let people =
        || [pod("bare").but(|it| it.controller = None), pod("cache").but(|it| it.empty_dir = true)];
    let cautious = Cluster::with(people()).but(|it| {
        it.options.rules.drain_unmanaged = false;
        it.options.rules.delete_local_data = false;
    });
    are(
        &lines(&cautious),
        &[
            "bare - - dies with the node LOST: no controller, and such pods are to stay",
            "cache - - dies with the node LOST: emptyDir volume, and such pods are to stay",
        ],
    );
}

#[test]
fn a_budget_that_is_never_overridden_lets_its_pod_die_with_the_node() {
    let cluster = Cluster::with([pod("web").covered()]).budget("nothing", 0, None);
    are(
        &lines(&cluster.but(|it| it.options.budget_override = BudgetOverride::Never)),
        &["web 0–0 - dies with the node LOST: refused, and budgets are not overridden"],
    );
}

#[test]
fn what_the_operator_cuts_is_said_and_no_loss() {
    let cluster = Cluster::with([pod("web").grace(300)]);
    are(
        &lines(&cluster.but(|it| it.options.longest_grace = Some(grace(60)))),
        &["web 0–0 60/60 evicted: its own grace of 300 s is more than the setting allows"],
    );
}

#[test]
fn a_volume_needs_time_after_the_grace() {
    let database = || pod("db").but(|it| it.volume_claim = true);
    are(&lines(&Cluster::with([database().grace(110)])), &["db 0–0 110/110 evicted: "]);
    are(
        &lines(&Cluster::with([database().grace(111)])),
        &[
            "db 0–0 111/111 evicted: its volume may still be attached when the node goes, 9 s after its \
             grace",
        ],
    );
    let cluster = Cluster::with([database().covered()]).budget("db", 0, None);
    are(
        &lines(&cluster),
        &[
            "db 0–0 30/30 deleted LOST: in 88 s, if it is refused until then; its volume may still be \
             attached when the node goes, 2 s after its grace",
        ],
    );
}

#[test]
fn evictions_that_wait_for_the_load_balancers_are_foreseen() {
    let cluster = Cluster::with([pod("web"), pod("slow").grace(115)]).balanced(0..=5);
    are(&lines(&cluster), &["slow 3–3 115/115 evicted: ", "web 5–5 30/30 evicted: "]);
}

#[test]
fn who_has_finished_loses_nothing() {
    let cluster = Cluster::with([pod("job").grace(300).but(|it| it.finished = true)]);
    are(&lines(&cluster), &["job 0–0 118/118 evicted: "]);
}

#[test]
fn what_the_api_server_did_not_say_is_unclear() {
    let cut_off = Wrong::CutOff { carried_out: false };
    let cluster = Cluster::with([pod("web")]).fault(0..=100, cut_off);
    are(&lines(&cluster), &["web 0–0 - unclear: connection cut off"]);
    assert!(foresee(&cluster)[0].is_unclear());
}

#[test]
fn whom_the_api_server_does_not_let_be_evicted_is_deleted_in_time() {
    let refused = || Cluster::with([pod("web")]).fault(0..=100, Wrong::Forbidden);
    are(
        &lines(&refused()),
        &["web 0–0 30/30 deleted LOST: in 88 s, if it is refused until then; not for you"],
    );
    are(
        &lines(&refused().but(|it| it.options.budget_override = BudgetOverride::Never)),
        &[
            "web 0–0 - dies with the node LOST: refused, and no pod is deleted for that: not for you",
        ],
    );
}

/// Drains whose API server answers at the end as at the start: budgets let all go or nobody, no pod
/// comes or is told to end later.
fn steady_clusters() -> impl Strategy<Value = Cluster> {
    calm_clusters().prop_map(|mut cluster| {
        let end = cluster.options.limit.end().since(Moment::START);
        cluster.options.limit = Limit::Deadline(at(secs(end.as_secs())));
        cluster.options.dry = false;
        cluster.pods.retain(|life| matches!(life.arrival, Arrival::At(_)));
        for life in &mut cluster.pods {
            life.arrival = Arrival::At(Duration::ZERO);
            let by_others = life.deleted_by_others.filter(|(when, _)| *when < secs(2));
            life.deleted_by_others = by_others.map(|(_, grace)| (Duration::ZERO, grace));
            // None is gone before it can be asked.
            life.takes = life.takes.max(ms(100));
        }
        for budget in &mut cluster.budgets {
            budget.at_once *= 100;
            budget.replaced_after = None;
        }
        cluster.watch = Watch {
            opens: Duration::ZERO,
            pace: Duration::ZERO,
            delay: Duration::ZERO,
            skew: 0,
            breaks: Vec::new(),
        };
        cluster.cordoned = Some(Duration::ZERO);
        cluster.latency = 1..=20;
        cluster.free = 32;
        (cluster.pulled_in, cluster.taken_over) = (Vec::new(), Vec::new());
        (cluster.called_off, cluster.stopped) = (None, None);
        cluster.balanced = cluster.balanced.map(|(_, until)| (Duration::ZERO, until));
        cluster
    })
}

/// What requests and reports take on their way, and those of the pods before: nothing of it is foreseen.
const ON_THE_WAY: Duration = ms(400);

/// What is wrong about the forecast of one pod.
fn lie(one: &Forecast, row: &Row, known: &Known) -> Option<String> {
    let sent = |wanted: fn(&Ask) -> bool| known.asked.iter().find(move |it| wanted(&it.ask));
    let evict = sent(|ask| matches!(ask, Ask::Evict { .. }));
    let delete = sent(|ask| matches!(ask, Ask::Delete { .. }));
    let refused = known.asked.iter().any(|it| matches!(it.answered, Some((_, Answer::Blocked(_)))));
    let (eviction, deletion) = (
        evict.and_then(|it| if let Ask::Evict { grace, .. } = it.ask { Some(grace) } else { None }),
        delete.and_then(|it| if let Ask::Delete { grace } = it.ask { Some(grace) } else { None }),
    );
    let first = known.first_asked();
    if let (Some(asked), Some(first)) = (one.asked, first) {
        let (from, by) = (at(asked.from), at(asked.by) + ON_THE_WAY);
        if first < from || first > by {
            return Some(format!("asked at {first:?}, not from {from:?} to {by:?}"));
        }
    } else if one.asked.is_some() != first.is_some() {
        return Some(format!("first asked at {first:?}"));
    }
    let stays = matches!(row.outcome, Outcome::StillThere(_));
    let so = match &one.fate {
        Fate::LeftAlone(why) | Fate::DiesWithNode(Held::Setting(why)) => {
            row.outcome == Outcome::LeftAlone(why.clone())
        }
        Fate::EndingAlready => stays || row.outcome == Outcome::EndingAlready,
        Fate::Evicted => {
            let is = stays || matches!(row.outcome, Outcome::Evicted(_));
            is && !refused && delete.is_none() && eviction == one.grace
        }
        Fate::Shortened => {
            let is = stays || row.outcome == Outcome::Shortened;
            is && eviction.is_none() && deletion == one.grace
        }
        Fate::Deleted(obstacle, after) => {
            let is = stays || matches!(&row.outcome, Outcome::Deleted(by, _) if by == obstacle);
            let deleted = delete.map(|it| it.asked);
            let due = at(*after);
            let in_time = deleted.is_some_and(|then| due <= then && then <= due + ON_THE_WAY);
            is && refused && in_time && deletion == one.grace
        }
        Fate::DiesWithNode(Held::Obstacle(obstacle)) => {
            row.outcome.budget() == obstacle.budget() && stays && delete.is_none()
        }
        Fate::Unclear(_) => false,
    };
    // What a loss is, said in what happened.
    let cut = eviction.is_some_and(|got| got < one.whole);
    let kept = matches!(row.outcome, Outcome::LeftAlone(Exempt::Unmanaged | Exempt::EmptyDir));
    let lost = refused || delete.is_some() || cut || kept;
    (!so || lost != one.is_lost()).then(|| format!("{:?}, {row:?}, {:?}", one.fate, known.asked))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_foreseen_happens(cluster in steady_clusters()) {
        let forecasts = foresee(&cluster);
        let run = run(&cluster);
        let story = Story::of(&cluster, &run);
        prop_assert_eq!(forecasts.len(), run.verdict.rows.len());
        for one in &forecasts {
            let row = run.verdict.rows.iter().find(|row| row.pod == one.pod).unwrap();
            let known = &story.pods[one.pod.uid.as_str()];
            if let Some(found) = lie(one, row, known) {
                let requests = run.requests().join("\n  ");
                return Err(TestCaseError::fail(format!("{one:?}\n{found}\n  {requests}")));
            }
        }
    }
}

/// The comparison is worth what is compared.
#[test]
fn steady_drains_come_to_every_fate() {
    let mut runner = TestRunner::new(config());
    let mut met = std::collections::BTreeMap::<&str, u32>::new();
    for _ in 0..config().cases {
        for one in foresee(&steady_clusters().new_tree(&mut runner).unwrap().current()) {
            *met.entry(one.name()).or_default() += 1;
        }
    }
    assert!(met.len() == 6 && met.values().all(|times| *times >= 20), "{met:#?}");
}

//! Laws that compare two runs of one world: whatever delays or kills the handler in one of them, both end with the
//! same Node and the same pods.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use crate::drain::tests::cluster::{Arrival, secs};
use crate::drain::tests::properties::config;
use crate::handler::tests::model::run;
use crate::handler::tests::properties::{calm, check, every_notice};
use crate::handler::tests::script::{Edit, Planned, Says, Script};
use crate::handler::tests::timeline::Run;
use crate::moment::WallTime;
use crate::node::state::STATE_ANNOTATION;
use crate::notice::Action::{Hibernate, Stop, Terminate};
use crate::notice::Code;
use crate::notice::NoticePath::{
    InstanceAction, Lifecycle, Maintenance, NoticeUrl, Rebalance as Recommendations,
};
use crate::plan::kinds::Rebalance;
use crate::report::fact::{Fact, Occasion};

proptest! {
    #![proptest_config(fewer())]

    #[test]
    fn answers_that_are_repeated_change_nothing(script in every_notice(calm())) {
        let once = run(&script);
        let twice = run(&script.but(|it| it.repeats = true));
        prop_assert_eq!(once.end(), twice.end());
        prop_assert_eq!(outcomes(&once), outcomes(&twice));
    }

    #[test]
    fn answers_that_are_delayed_change_nothing(
        script in lasting(), silent in vec(silence(), 1..4), latency in 0..1500_u64,
    ) {
        let at_once = run(&script);
        let delayed = script.but(|it| (it.silent, it.latency) = (silent, 0..=latency));
        ends_alike(&at_once, &run(&delayed))?;
    }

    #[test]
    fn a_process_that_is_killed_ends_as_one_that_runs_through(
        script in lasting(), orders in 1..60_u32,
    ) {
        let through = run(&script);
        ends_alike(&through, &run(&script.but(|it| it.killed_after = Some(orders))))?;
    }
}

/// Each world is run twice, and for long.
fn fewer() -> ProptestConfig {
    let config = config();
    ProptestConfig { cases: config.cases / 6, ..config }
}

/// What the verdicts say.
fn outcomes(run: &Run) -> BTreeSet<(String, &'static str)> {
    let verdicts = run.facts().filter_map(|(_, fact)| match fact {
        Fact::Verdict(_, verdict) => Some(verdict),
        _ => None,
    });
    let rows = verdicts.flat_map(|verdict| &verdict.rows);
    rows.map(|row| (row.pod.name.clone(), row.outcome.name())).collect()
}

/// With the same Node, and the same pods gone, unless a drain was called off: that is a question of time.
fn ends_alike(one: &Run, other: &Run) -> Result<(), TestCaseError> {
    let is_called_off =
        |run: &Run| run.facts().any(|(_, it)| matches!(it, Fact::Verdict(Occasion::CalledOff, _)));
    let ((mut node, pods), (mut other_node, other_pods)) = (one.end(), other.end());
    for node in [&mut node, &mut other_node] {
        if let Some(taints) = node["spec"]["taints"].as_array_mut() {
            taints.sort_by_key(Value::to_string);
        }
    }
    let nodes = are_near(&times(&mut node), &times(&mut other_node)) && node == other_node;
    let pods = pods == other_pods || is_called_off(one) || is_called_off(other);
    let finding = if nodes && pods {
        Ok(())
    } else {
        let lines = one.lines().join("\n  ");
        Err(format!("{:#?}\n{:#?}\n  {lines}\n--", one.end(), other.end()))
    };
    check(other, "the same end", finding)
}

/// The times in the annotation, which depend on when a notice was first read; taken out of it.
fn times(node: &mut Value) -> Vec<Option<WallTime>> {
    let known = node["metadata"]["annotations"][STATE_ANNOTATION]["notices"].as_array_mut();
    let Some(known) = known else { return Vec::new() };
    // So does their order.
    known.sort_by_key(|known| known["notice"].to_string());
    let times = known.iter_mut().flat_map(|known| {
        ["end", "marksUntil", "noticeTime"].map(|name| {
            let time = known.get_mut(name).map(Value::take);
            time.and_then(|time| WallTime::parse(time.as_str()?))
        })
    });
    times.collect()
}

/// Whether the times differ by no more than a silence and a restart.
fn are_near(ones: &[Option<WallTime>], others: &[Option<WallTime>]) -> bool {
    let is_near = |(one, other): (&Option<WallTime>, &Option<WallTime>)| match (one, other) {
        (Some(one), Some(other)) => {
            let (first, last) = (one.min(other), one.max(other));
            first.until(*last).is_none_or(|apart| apart < LONGEST_SILENCE + secs(10))
        }
        (one, other) => one == other,
    };
    ones.len() == others.len() && ones.iter().zip(others).all(is_near)
}

const LONGEST_SILENCE: Duration = secs(8);
/// So long a drain has at least: enough for every pod to be asked.
const LEAST: Duration = secs(40);

/// The metadata service is silent.
fn silence() -> impl Strategy<Value = Range<Duration>> {
    (0..250_u64, 1..LONGEST_SILENCE.as_secs())
        .prop_map(|(from, length)| secs(from)..secs(from + length))
}

/// Notices of every kind, several at once, each of which stands for longer than a restart or a silence takes. An
/// interruption is not withdrawn, others leave our marks alone, and no pod is bound late: there a restart makes a
/// difference (docs/notices.md, "Restarts"), and so does what comes first.
fn lasting() -> impl Strategy<Value = Script> {
    let until = || option::of(80..200_u64);
    let interruption =
        (select(vec![Terminate, Stop, Hibernate]), 5..60_u64, 40..130_i64, any::<bool>());
    let event = (select(Code::ALL.to_vec()), 100..400_i64, 0..60_u64, until(), any::<bool>());
    let recommends = select(vec![Says::Recommended, Says::RecommendedAt(0), Says::RecommendedNow]);
    let others = (
        option::weighted(0.6, interruption),
        vec(event, 0..3),
        option::weighted(0.4, (select(vec![Terminate, Stop]), 0..60_u64, until())),
        option::weighted(0.4, (recommends, 0..60_u64, until())),
    );
    (every_notice(calm()), others).prop_map(|(mut script, others)| {
        let (interruption, events, leaves, recommends) = others;
        script.paths.clear();
        script.annotation = None;
        script.edits.retain(|(_, edit)| match edit {
            Edit::Touch => true,
            Edit::Taint(key, ..) | Edit::Untaint(key) => *key == "dedicated",
            Edit::Cordon | Edit::Uncordon | Edit::Label(_) => false,
        });
        for life in &mut script.pods {
            life.arrival = Arrival::At(Duration::ZERO);
        }
        let it = &mut script.config.policy;
        let leads = &mut it.lead_times;
        for lead in [
            &mut leads.instance_reboot,
            &mut leads.system_reboot,
            &mut leads.system_maintenance,
            &mut leads.instance_retirement,
            &mut leads.instance_stop,
        ] {
            *lead = (*lead).max(LEAST);
        }
        if let Rebalance::Drain { timeout } = &mut it.rebalance {
            *timeout = (*timeout).max(LEAST);
        }
        script.sigterm = vec![secs(550)];
        let mut script = script.path_says(InstanceAction, [(0, Says::Nothing)]);
        if let Some((action, second, ahead, twice)) = interruption {
            let at = i64::try_from(second).unwrap() + ahead;
            script = script.says([(second, Says::At(action, at))]);
            if twice {
                script = script.path_says(NoticeUrl, [(second + 3, Says::At(action, at))]);
            }
        }
        if !events.is_empty() {
            let mut moments: Vec<u64> = events.iter().map(|(.., from, _, _)| *from).collect();
            moments.extend(events.iter().filter_map(|(.., until, _)| *until));
            moments.sort_unstable();
            for moment in moments {
                let events = ["event-0", "event-1"].into_iter().zip(&events);
                let planned = events.filter_map(|(name, (code, at, from, until, is_said))| {
                    let over = until.is_some_and(|until| until <= moment);
                    let planned = Planned { code: *code, name, nth: 0, at: *at, over };
                    (*from <= moment && (!over || *is_said)).then_some(planned)
                });
                script =
                    script.path_says(Maintenance, [(moment, Says::Planned(planned.collect()))]);
            }
        }
        if let Some((action, from, until)) = leaves {
            script = script.path_says(Lifecycle, [(from, Says::Leaves(action))]);
            if let Some(until) = until {
                script = script.path_says(Lifecycle, [(until, Says::Nothing)]);
            }
        }
        if let Some((says, from, until)) = recommends {
            script = script.path_says(Recommendations, [(from, says)]);
            if let Some(until) = until {
                script = script.path_says(Recommendations, [(until, Says::Nothing)]);
            }
        }
        script
    })
}

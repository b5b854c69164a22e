//! Every small world of a kind: two pods, one of them behind a budget, a process that is killed after any order and
//! started anew, and one request that fails in any way. Random worlds reach these by luck.

use std::time::Duration;

use crate::drain::tests::cluster::{pod, secs};
use crate::handler::tests::model::run;
use crate::handler::tests::pods::Fate;
use crate::handler::tests::script::{Says, Script, What, a_node};
use crate::handler::tests::timeline::Run;
use crate::handler::world::Order;
use crate::moment::Moment;
use crate::notice::Action;

/// The instance goes, so many seconds after the start. The notice is seen at 1 s.
const GOES: i64 = 31;

/// When the budget lets its pod go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Budget {
    None,
    Never,
    From(Duration),
}

/// What becomes of a request: `None`, or it is answered.
const FAILURES: [What; 3] = [What::Refuses, What::Hangs, What::LosesAnswer];

/// A killed process is missed for 2 s, an answer that is lost is waited for as long, and a patch of the Node holds up
/// evictions for a second.
const LOST_AT_MOST: u32 = 5;

#[test]
fn no_pod_is_lost_where_one_request_fails_and_the_process_is_killed_once() {
    let budgets = [Budget::None, Budget::Never, Budget::From(secs(9))];
    let runs: usize = budgets.into_iter().map(explore).sum();
    assert!(runs > 4_000, "{runs} runs");
}

/// Runs all worlds with this budget. How many they are.
fn explore(budget: Budget) -> usize {
    let world = world(budget);
    let through = run(&world);
    saves_all(&world, &through);
    let requests = through.orders().filter(|(_, order)| reaches(order)).count();
    let requests = u32::try_from(requests).unwrap();
    let mut runs = 1;
    for fails in (1..=requests).flat_map(|number| FAILURES.map(|what| (number, what))) {
        let failing = world.clone().but(|it| it.request_meets = Some(fails));
        let through = run(&failing);
        saves_all(&failing, &through);
        for killed_after in 1..=u32::try_from(through.orders().count()).unwrap() {
            let killed = failing.clone().but(|it| it.killed_after = Some(killed_after));
            saves_all(&killed, &run(&killed));
            runs += 1;
        }
    }
    runs
}

fn reaches(order: &Order) -> bool {
    !matches!(order, Order::CheckCredentials | Order::GiveUp(_) | Order::Disconnect)
}

fn world(budget: Budget) -> Script {
    let mut pods = [pod("a"), pod("b")];
    pods[0].pod.grace = 6;
    pods[0].takes = secs(6);
    pods[1].pod.grace = 12;
    pods[1].takes = secs(12);
    pods[1].budget = (budget != Budget::None).then_some(0);
    a_node().says([(1, Says::At(Action::Terminate, GOES))]).pods(pods).sigterm(&[40]).but(|it| {
        it.budgets_free = if let Budget::From(when) = budget { Some(when) } else { None };
    })
}

/// Every pod has ended before the instance went, with all of its grace but for what the failures cost. A deletion
/// that hangs is waited for, for that may be an admission webhook: it may cost all but the last of it.
fn saves_all(script: &Script, run: &Run) {
    let goes = Moment::at(secs(GOES.unsigned_abs()));
    let hangs = matches!(script.request_meets, Some((_, What::Hangs)));
    for fate in run.pods.fates() {
        let Fate { life, grace, ended } = &fate;
        let is_saved = ended.is_some_and(|ended| ended <= goes)
            && grace.is_some_and(|grace| hangs || grace + LOST_AT_MOST >= life.pod.grace);
        assert!(
            is_saved,
            "lost where {:?} and killed after {:?}: {fate:?}\n  {}",
            script.request_meets,
            script.killed_after,
            run.lines().join("\n  ")
        );
    }
}

//! Hibernation: it begins with its notice, so nobody has time for anything.

use std::time::Duration;

use simulator::{Budget, Class, Happening, Pod};

use crate::stage::{FAR, Stage, names, quick, time_in};

#[test]
fn everybody_gets_a_second_and_budgets_are_overridden_at_once() {
    let stage = Stage::with([
        quick("default/web-0").grace(30),
        quick("default/web-1").grace(300),
        Pod::named("default/db-0").stateful_set("db").stops_in(Duration::from_millis(200)),
    ]);
    stage.cluster.add_budget(Budget::named("db").max_unavailable(0));
    stage.cloud.announce("hibernate", &time_in(FAR));
    let handler = stage.handler().start();
    let line = handler.says("spot interruption: ");
    for words in ["will hibernate, which begins at once", "every pod is asked now"] {
        assert!(line.contains(words), "{line}");
    }
    // It comes long before the time that the notice states.
    let table = handler.table();
    for pod in names(2) {
        table.says(&pod, "evicted", "");
    }
    table.says("default/db-0", "deleted", "against disruption budget default/db");
    let graces = |class| -> Vec<u64> {
        let asked = stage.asked(class);
        let graces = asked.iter().map(|entry| {
            let body = entry.json();
            let options = if class == Class::Evict { &body["deleteOptions"] } else { &body };
            options["gracePeriodSeconds"].as_u64().unwrap()
        });
        graces.collect()
    };
    assert_eq!((graces(Class::Evict), graces(Class::Delete)), (vec![1; 3], vec![1]));
    let fate = stage.cluster.happened_to("default/db-0");
    let marked = fate.iter().position(|what| matches!(what, Happening::Marked { .. }));
    let deleted = fate.iter().position(|what| matches!(what, Happening::Deleted { .. }));
    assert!(marked.is_some() && marked < deleted, "{fate:#?}");
    handler.says("default/db-0: deleted, 1 s to end");
}

#[test]
fn the_operator_may_keep_budgets_even_then() {
    let stage = Stage::with([
        quick("default/web-0"),
        Pod::named("default/db-0").stateful_set("db").stops_in(Duration::from_millis(200)),
    ]);
    stage.cluster.add_budget(Budget::named("db").max_unavailable(0));
    stage.cloud.announce("hibernate", &time_in(Duration::from_secs(6)));
    let handler = stage.handler().with("BUDGET_OVERRIDE", "never").start();
    let table = handler.table();
    table.says("default/web-0", "evicted", "");
    table.says("default/db-0", "still there", "refused by disruption budget default/db");
    assert_eq!(stage.asked(Class::Delete).len() + stage.asked(Class::Status).len(), 0);
}

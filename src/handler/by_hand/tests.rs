use std::num::NonZeroU32;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::drain::BudgetOverride;
use crate::drain::ask::{Answer, Ask, Budget, Grace, PodRef};
use crate::drain::machine::Drain;
use crate::drain::pod::{OwnPod, Pod, PodNews, Rules, Tier};
use crate::drain::verdict::End;
use crate::handler::run::{Ended, Goal, Handler};
use crate::handler::world::{News, Order, World};
use crate::moment::{Reading, WallTime};
use crate::node::marks::{Change, Cordon};
use crate::node::{MarkPolicy, NodeAnswer, RebalanceMark, Setter};
use crate::plan::Boot;
use crate::plan::kinds::{LeadTimes, Policy, Rebalance};
use crate::report::fact::Fact;
use crate::report::status::DrainStatus;

fn at(seconds: u64) -> Moment {
    Moment::at(Duration::from_secs(seconds))
}

fn config() -> Config {
    let lead = Duration::from_mins(10);
    Config {
        node: None,
        boot: Boot { id: String::new(), began: None },
        paths: Vec::new(),
        policy: Policy {
            marks_only: false,
            lead_times: LeadTimes::all(lead),
            rebalance: Rebalance::Mark,
            rebalance_marks: lead,
        },
        marks: MarkPolicy {
            taint: None,
            exclude_from_load_balancers: false,
            rebalance_mark: RebalanceMark::Cordon,
        },
        load_balancer_hold: Duration::ZERO,
        rules: Rules {
            own: OwnPod { namespace: None, name: None, uid: None },
            ignore_daemon_sets: true,
            delete_local_data: true,
            drain_unmanaged: true,
        },
        longest_grace: None,
        budget_override: BudgetOverride::AtDeadline,
        node_shutdown: Duration::ZERO,
        margin: Duration::from_secs(2),
        shutdown_grace: Duration::from_secs(30),
        dry: false,
        seed: 1,
    }
}

fn node(unschedulable: bool, by_hand: Option<&str>) -> NodeAnswer {
    NodeAnswer::Is(Box::new(Node {
        resource_version: "7".to_owned(),
        unschedulable,
        cordoned_by: if unschedulable {
            Setter::Manager(FieldManager::Operator)
        } else {
            Setter::Unknown
        },
        taints: Vec::new(),
        too_many_taints: false,
        exclusion: None,
        state: Remembered::Nothing,
        by_hand: Remembered::parse(by_hand),
    }))
}

fn pod(name: &str) -> Pod {
    let named = |text: &str| text.to_owned();
    Pod {
        reference: Arc::new(PodRef {
            namespace: named("shop"),
            name: named(name),
            uid: named(name),
        }),
        grace: 30,
        tier: Tier::Ordinary,
        controller: None,
        mirror: false,
        finished: false,
        empty_dir: false,
        volume_claim: false,
        finalizer: None,
        terminating: None,
    }
}

/// A command on its way, and the world around it.
struct Run {
    handler: Handler,
    world: Recorder,
    ended: Option<Ended>,
}

#[derive(Default)]
struct Recorder {
    now: Option<Moment>,
    orders: Vec<Order>,
    facts: Vec<Fact>,
    status: String,
}

impl World for Recorder {
    fn read_clock(&self) -> Reading {
        let wall = WallTime::parse("2026-11-23T09:00:00Z").unwrap();
        Reading { now: self.now.unwrap_or(at(0)), wall }
    }

    fn wait(&mut self, _: Option<Moment>) -> Option<News> {
        panic!("the tests wait")
    }

    fn show(&mut self, drain: Option<&Drain>, now: Moment) {
        let words =
            |drain: &Drain| DrainStatus::of(&drain.verdict(now)).in_words(now.until(drain.end()));
        self.status = drain.map_or_else(String::new, words);
    }

    fn free(&self) -> usize {
        8
    }

    fn carry_out(&mut self, order: Order) {
        self.orders.push(order);
    }

    fn tell(&mut self, fact: Fact) {
        self.facts.push(fact);
    }
}

impl Run {
    fn new(by_hand: ByHand, config: Config) -> Self {
        let config = Config { node: Some(Arc::from("n1")), ..config };
        let handler = Handler::new(Goal::ByHand(Box::new(by_hand)), config);
        Self { handler, world: Recorder::default(), ended: None }
    }

    fn observe(&mut self, now: Moment, news: News) {
        self.world.now = Some(now);
        self.handler.observe(news, &mut self.world);
    }

    fn ended(self) -> Ended {
        self.ended.expect("it goes on")
    }
}

fn drain(limit: Limit) -> Run {
    Run::new(ByHand::drain(&config(), limit), config())
}

fn restore(config: &Config) -> Run {
    Run::new(ByHand::restore(config, at(30)), config.clone())
}

/// Everything until it waits or ends.
fn orders(it: &mut Run, now: Moment) -> Vec<Order> {
    it.world.now = Some(now);
    match it.handler.work(&mut it.world) {
        ControlFlow::Break(ended) => it.ended = Some(ended),
        ControlFlow::Continue(until) => {
            assert!(until.is_some_and(|until| until > now), "to wait until {until:?} is to spin");
        }
    }
    std::mem::take(&mut it.world.orders)
}

/// A drain whose node is cordoned and whose pods `a` and `b` were evicted.
fn evicting(limit: Limit) -> Run {
    let mut it = drain(limit);
    let first = orders(&mut it, at(0));
    assert!(first.contains(&Order::CheckCredentials), "{first:?}");
    assert!(first.iter().any(|order| matches!(order, Order::ReadNode(_))), "{first:?}");
    it.observe(at(0), News::Node(node(false, None)));
    let then = orders(&mut it, at(0));
    let [Order::PatchNode(_, patch), rest @ ..] = &then[..] else { panic!("{then:?}") };
    // Where the instance goes nothing waits for the cordon.
    assert_eq!(rest.is_empty(), matches!(limit, Limit::Timeout(_)), "{then:?}");
    assert!(
        patch.text.contains("k8s-spot-handler/by-hand") && patch.text.contains("unschedulable")
    );
    assert_eq!(patch.manager, FieldManager::Operator);
    it.observe(at(0), News::Node(node(true, None)));
    let cordoned = orders(&mut it, at(0));
    let follows = |orders: &[Order]| orders.iter().any(|it| matches!(it, Order::FollowPods(_)));
    assert!(follows(&then) || follows(&cordoned), "{then:?} {cordoned:?}");
    for news in
        [PodNews::SetBegins, PodNews::Seen(pod("a")), PodNews::Seen(pod("b")), PodNews::SetComplete]
    {
        it.observe(at(0), News::Pods(news));
    }
    let asked = orders(&mut it, at(0));
    let evictions = asked
        .iter()
        .filter(|order| matches!(order, Order::Ask(job) if matches!(job.ask, Ask::Evict { .. })));
    assert_eq!(evictions.count(), 2, "{asked:?}");
    it
}

fn answered(it: &mut Run, now: Moment, name: &str, answer: Answer) {
    it.observe(now, News::Answered { pod: pod(name).reference, answer });
}

fn refused() -> Answer {
    Answer::Blocked(Budget { namespace: "shop".to_owned(), name: "web".to_owned() })
}

#[test]
fn a_drain_ends_when_nothing_is_left() {
    for limit in [Limit::Timeout(at(120)), Limit::Deadline(at(120))] {
        let mut it = evicting(limit);
        answered(&mut it, at(1), "a", Answer::Accepted);
        answered(&mut it, at(1), "b", Answer::Accepted);
        it.observe(at(2), News::Pods(PodNews::Gone { uid: "b".to_owned() }));
        it.observe(at(2), News::Pods(PodNews::Gone { uid: "a".to_owned() }));
        assert_eq!(orders(&mut it, at(2)), []);
        let ended = it.ended();
        assert_eq!(ended.success, Success::Whole { changed: true });
        assert_eq!(ended.verdict.unwrap().rows.len(), 2);
    }
}

#[test]
fn without_being_told_to_nobody_is_deleted_against_a_budget() {
    let mut it = evicting(Limit::Timeout(at(60)));
    answered(&mut it, at(1), "a", Answer::Replaced);
    answered(&mut it, at(1), "b", refused());
    for second in 1..60 {
        for order in orders(&mut it, at(second)) {
            let Order::Ask(job) = order else { panic!("{order:?}") };
            assert_eq!(job.ask, Ask::Evict { grace: grace(30), dry: false });
            answered(&mut it, at(second), "b", refused());
        }
    }
    orders(&mut it, at(59));
    assert_eq!(it.world.status, "1 of 2 gone; 1 held by disruption budget shop/web; 1 s left");
    orders(&mut it, at(60));
    let ended = it.ended();
    assert_eq!(ended.success, Success::Partial);
    assert_eq!(ended.verdict.unwrap().end, Some(End::TimedOut));
}

fn grace(seconds: u32) -> Grace {
    NonZeroU32::new(seconds).unwrap()
}

#[test]
fn a_node_that_is_not_there_is_said_at_once() {
    let mut it = drain(Limit::Timeout(at(60)));
    orders(&mut it, at(0));
    it.observe(at(1), News::Node(NodeAnswer::Failed("there is no node".to_owned())));
    orders(&mut it, at(1));
    assert_eq!(it.ended().success, Success::None("there is no node".to_owned()));
}

#[test]
fn a_drain_that_is_broken_off_leaves_who_is_left() {
    let mut it = evicting(Limit::Timeout(at(60)));
    answered(&mut it, at(1), "a", Answer::Accepted);
    answered(&mut it, at(1), "b", refused());
    it.observe(at(1), News::Terminate);
    assert_eq!(orders(&mut it, at(1)), []);
    let ended = it.ended();
    assert_eq!(ended.success, Success::Partial);
    assert_eq!(ended.verdict.unwrap().end, Some(End::CalledOff));
}

#[test]
fn what_has_not_begun_is_broken_off_at_once() {
    let mut it = drain(Limit::Timeout(at(60)));
    orders(&mut it, at(0));
    it.observe(at(0), News::Node(node(false, None)));
    orders(&mut it, at(0));
    it.observe(at(1), News::Terminate);
    assert_eq!(orders(&mut it, at(1)), []);
    assert_eq!(it.ended().success, Success::Partial);
}

#[test]
fn nobody_is_evicted_from_a_node_that_cannot_be_cordoned() {
    let mut it = drain(Limit::Timeout(at(60)));
    orders(&mut it, at(0));
    it.observe(at(0), News::Node(node(false, None)));
    orders(&mut it, at(0));
    it.observe(at(0), News::Node(NodeAnswer::Failed("500".to_owned())));
    for second in 1..60 {
        for order in orders(&mut it, at(second)) {
            match order {
                Order::ReadNode(_) => it.observe(at(second), News::Node(node(false, None))),
                Order::PatchNode(..) => {
                    it.observe(at(second), News::Node(NodeAnswer::Failed("500".to_owned())));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    orders(&mut it, at(60));
    assert!(matches!(it.ended().success, Success::None(why) if why.contains("nobody was evicted")));

    let mut it = drain(Limit::Timeout(at(60)));
    orders(&mut it, at(0));
    it.observe(at(0), News::Node(node(false, None)));
    orders(&mut it, at(0));
    it.observe(at(0), News::Node(NodeAnswer::Forbidden("403".to_owned())));
    assert_eq!(orders(&mut it, at(0)), []);
    assert_eq!(it.ended().success, Success::None("403".to_owned()), "at once: it would stay so");
}

#[test]
fn where_the_instance_goes_the_cordon_is_waited_for_at_the_end_only() {
    for cordoned in [true, false] {
        let mut it = drain(Limit::Deadline(at(60)));
        orders(&mut it, at(0));
        it.observe(at(0), News::Node(node(false, None)));
        let then = orders(&mut it, at(0));
        assert!(then.iter().any(|order| matches!(order, Order::FollowPods(_))), "{then:?}");
        it.observe(at(1), News::Pods(PodNews::SetBegins));
        it.observe(at(1), News::Pods(PodNews::SetComplete));
        assert_eq!(orders(&mut it, at(1)), []);
        assert!(it.ended.is_none(), "the patch is under way");
        if cordoned {
            it.observe(at(2), News::Node(node(true, None)));
            orders(&mut it, at(2));
            assert_eq!(it.ended().success, Success::Whole { changed: true });
        } else {
            orders(&mut it, at(60));
            assert_eq!(it.ended().success, Success::Partial);
        }
    }
}

#[test]
fn who_wants_marks_only_evicts_nobody() {
    let mut config = config();
    config.policy.marks_only = true;
    let by_hand = ByHand::drain(&config, Limit::Timeout(at(60)));
    let mut it = Run::new(by_hand, config);
    orders(&mut it, at(0));
    it.observe(at(0), News::Node(node(false, None)));
    orders(&mut it, at(0));
    it.observe(at(0), News::Node(node(true, None)));
    assert_eq!(orders(&mut it, at(0)), []);
    assert_eq!(it.ended().success, Success::Whole { changed: true });
}

/// A restore of a Node that bears this, up to the end; what was patched.
fn restored(config: &Config, read: &Node, answer: &NodeAnswer) -> (Success, Vec<String>) {
    let mut it = restore(config);
    let mut patches = Vec::new();
    for second in 0..40 {
        for order in orders(&mut it, at(second)) {
            match order {
                Order::ReadNode(_) => {
                    it.observe(at(second), News::Node(NodeAnswer::Is(Box::new(read.clone()))));
                }
                Order::PatchNode(_, patch) => {
                    patches.push(patch.text);
                    it.observe(at(second), News::Node(answer.clone()));
                }
                Order::CheckCredentials => {}
                other => panic!("{other:?}"),
            }
        }
        if it.ended.is_some() {
            break;
        }
    }
    (it.ended().success, patches)
}

fn read(state: Option<&str>) -> Node {
    let NodeAnswer::Is(node) = node(true, None) else { panic!() };
    Node {
        cordoned_by: Setter::Manager(FieldManager::Handler),
        state: Remembered::parse(state),
        ..*node
    }
}

#[test]
fn what_the_handler_has_dealt_with_it_goes_on_knowing() {
    let note = r#"{"version":1,"bootId":"b-1","notice":"rebalance-recommendation","cordoned":true,"taint":null,"excluded":false,"notices":[{"notice":"rebalance-recommendation","progress":"drained","end":null,"marksUntil":null}]}"#;
    let (success, patches) = restored(&config(), &read(Some(note)), &node(false, None));
    assert_eq!(success, Success::Whole { changed: true });
    let [patch] = &patches[..] else { panic!("{patches:?}") };
    assert!(patch.contains("drained") && patch.contains("b-1"), "{patch}");
    assert!(patch.contains(r#""unschedulable":null"#), "{patch}");
}

#[test]
fn what_cannot_be_read_or_may_not_be_changed_is_left_and_that_is_no_success() {
    let (success, patches) = restored(&config(), &read(Some("{}")), &node(false, None));
    assert_eq!((success, patches.len()), (Success::Partial, 0));

    let note = r#"{"version":1,"bootId":"b-1","notice":"rebalance-recommendation","cordoned":true,"taint":{"key":"aws-node-termination-handler/spot-itn","value":"v","effect":"NoSchedule","timeAdded":null},"excluded":false,"notices":[]}"#;
    let taint = crate::node::Taint {
        key: "aws-node-termination-handler/spot-itn".to_owned(),
        value: Some("v".to_owned()),
        effect: "NoSchedule".to_owned(),
        time_added: None,
    };
    let tainted = Node { taints: vec![taint], ..read(Some(note)) };
    let forbidden = NodeAnswer::Forbidden("403".to_owned());
    let (success, patches) = restored(&config(), &tainted, &forbidden);
    assert_eq!(success, Success::None("403".to_owned()));
    assert_eq!(patches.len(), 2, "once with the taint, once without: {patches:?}");
}

#[test]
fn a_dry_restore_says_that_something_is_there() {
    let note = r#"{"version":1,"bootId":"by-hand","notice":"by-hand","cordoned":true,"taint":null,"excluded":false,"notices":[]}"#;
    let dry = Config { dry: true, ..config() };
    let NodeAnswer::Is(drained) = node(true, Some(note)) else { panic!() };
    let (success, patches) = restored(&dry, &drained, &node(true, None));
    assert_eq!((success, patches.len()), (Success::Whole { changed: true }, 0));
}

#[test]
fn what_was_done_is_taken_back_and_nothing_is_done_twice() {
    let note = r#"{"version":1,"bootId":"by-hand","notice":"by-hand","cordoned":true,"taint":null,"excluded":false,"notices":[]}"#;
    let mut it = restore(&config());
    orders(&mut it, at(0));
    it.observe(at(0), News::Node(node(true, Some(note))));
    let patches = orders(&mut it, at(0));
    let [Order::PatchNode(_, patch)] = &patches[..] else { panic!("{patches:?}") };
    assert!(patch.text.contains(r#""unschedulable":null"#), "{}", patch.text);
    it.observe(at(0), News::Node(node(false, None)));
    // Then what the handler has done, which is nothing.
    let reads = orders(&mut it, at(0));
    assert!(matches!(&reads[..], [Order::ReadNode(_)]), "{reads:?}");
    it.observe(at(0), News::Node(node(false, None)));
    orders(&mut it, at(0));
    assert_eq!(it.ended().success, Success::Whole { changed: true });

    let mut it = restore(&config());
    for _ in 0..2 {
        orders(&mut it, at(0));
        it.observe(at(0), News::Node(node(true, None)));
    }
    assert_eq!(orders(&mut it, at(0)), []);
    assert_eq!(it.ended().success, Success::Whole { changed: false });
}

#[test]
fn a_cordon_of_somebody_else_is_said() {
    let mut it = drain(Limit::Timeout(at(60)));
    orders(&mut it, at(0));
    let NodeAnswer::Is(mut foreign) = node(true, None) else { panic!() };
    foreign.cordoned_by = Setter::Others;
    it.observe(at(0), News::Node(NodeAnswer::Is(foreign)));
    orders(&mut it, at(0));
    it.observe(at(0), News::Node(node(true, None)));
    orders(&mut it, at(0));
    let told: Vec<Change> = it
        .world
        .facts
        .into_iter()
        .filter_map(|fact| match fact {
            Fact::Marks { change, .. } => Some(*change),
            _ => None,
        })
        .collect();
    assert_eq!(told, [Change::Cordon(Cordon::Foreign)]);
}

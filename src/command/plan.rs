//! `plan`: the rehearsal of a drain. Lists the pods of a node, asks the API server by dry evictions what it
//! would say, and prints what would become of each. Changes nothing.

use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::clock::Clock;
use crate::command::{Failure, UNANSWERED, api_server, node, print};
use crate::drain::DrainOptions;
use crate::drain::ask::{Answer, PodRef};
use crate::drain::forecast::{forecast, is_asked, rehearsal};
use crate::drain::limit::Limit;
use crate::drain::machine::{Drain, LoadBalancers, Presence, Step};
use crate::drain::pod::{Pod, PodNews, Tier};
use crate::drain::progress::DrainProgress;
use crate::drain::verdict::Verdict;
use crate::kube::client::{Client, PodRequests};
use crate::kube::{reply, request, watch};
use crate::node::NodeAnswer;
use crate::report::rehearsal::Rehearsal;
use crate::settings::{Output, Settings};

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long all dry evictions may take.
const LONGEST: Duration = Duration::from_mins(2);

/// Where one of them has failed, the others still have so long: longer than an admission webhook has by
/// default (`timeoutSeconds`: 10).
const LONGEST_FAILING: Duration = Duration::from_secs(12);

/// 0 if nothing would be lost, 1 if something would, [`UNANSWERED`] if that is not known.
///
/// # Errors
/// The node is not known, or the API server cannot be asked about it.
pub(super) fn plan(settings: &Settings) -> Result<ExitCode, Failure> {
    let clock = Clock::start();
    let server = Arc::new(api_server(settings)?);
    let claims = server.claims()?;
    let node = node(settings, &claims)?;
    let mut rules = settings.rules.clone();
    rules.own.complete(claims.own_pod());

    let client = Client::new(server, clock);
    find(&client, &node)?;
    let (pods, unread) = list(&client, &node)?;

    let now = clock.now();
    let (deadline, margin) = (settings.by_hand.deadline, settings.safety_margin);
    let node_shutdown = settings.node_shutdown_grace;
    let excludes = settings.marks.exclude_from_load_balancers;
    let plan = DrainOptions {
        limit: Limit::Deadline(now + deadline),
        margin,
        node_shutdown,
        rules,
        longest_grace: settings.longest_grace,
        budget_override: settings.budget_override,
        load_balancer_hold: excludes.then_some(settings.load_balancer_hold),
        dry: true,
        seed: 0,
    };
    let rehearsed = rehearse(&client, rehearsal(&plan, now, now + LONGEST), &pods);
    let pods = forecast(&plan, now, &pods, &rehearsed);

    let found = Rehearsal { node: &node, deadline, margin, node_shutdown, pods: &pods, unread };
    print(&match settings.by_hand.output {
        Output::Text => found.to_string(),
        Output::Json => found.json() + "\n",
    });
    Ok(match (found.lost(), found.unclear()) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(UNANSWERED),
        (_, _) => ExitCode::FAILURE,
    })
}

/// Sees whether there is such a node: one that is not there has no pods, and all would seem well.
fn find(client: &Client, node: &str) -> Result<(), Failure> {
    let request = request::read_node(node);
    let reply = client.ask(&request, TIMEOUT)?;
    match reply::node(node, &request, &reply) {
        NodeAnswer::Missing(why) | NodeAnswer::Forbidden(why) | NodeAnswer::Failed(why) => {
            Err(Failure::Unanswered(why))
        }
        NodeAnswer::Is(_) | NodeAnswer::Conflict => Ok(()),
    }
}

/// The pods of the node, and how many more could not be read.
fn list(client: &Client, node: &str) -> Result<(Vec<Pod>, usize), Failure> {
    let (mut pods, mut unread) = (Vec::new(), 0);
    let listed = watch::list(client, node, |pod| match pod {
        Ok(pod) => pods.push(pod),
        Err(_) => unread += 1,
    });
    listed.map(|()| (pods, unread)).map_err(Failure::Unanswered)
}

/// The answers to dry evictions of the pods.
fn rehearse(client: &Client, plan: DrainOptions, pods: &[Pod]) -> Verdict {
    let clock = client.clock();
    let mut drain = Drain::begin(clock.now(), plan);
    drain.node_is(Presence::Present);
    drain.marked(clock.now(), LoadBalancers::Stay);
    drain.observe(clock.now(), PodNews::SetBegins);
    for pod in pods.iter().filter(|pod| is_asked(pod)).cloned() {
        // None waits for the turns before its own.
        drain.observe(clock.now(), PodNews::Seen(Pod { tier: Tier::Ordinary, ..pod }));
    }
    drain.observe(clock.now(), PodNews::SetComplete);
    let (sender, receiver) = mpsc::channel::<Message>();
    let grown = sender.clone();
    client.when_grown(move || {
        let _ = grown.send(None);
    });
    let mut requests = PodRequests::new(client.clone());
    loop {
        let now = clock.now();
        match drain.next(now, client.free()) {
            Step::Ask(job) => {
                let sender = sender.clone();
                requests.submit(job, move |job, answer| {
                    let _ = sender.send(Some((job.pod, answer)));
                });
            }
            // What fails is tried again, but not for as long as in a drain.
            Step::Tell(
                DrainProgress::Failing { .. }
                | DrainProgress::Forbidden { .. }
                | DrainProgress::NamespaceTerminating { .. },
            ) => drain.stop_at(now + LONGEST_FAILING),
            Step::Tell(_) => {}
            Step::GiveUp(pod) => requests.give_up(&pod),
            Step::Wait(until) => {
                if let Ok(Some((pod, answer))) = receiver.recv_timeout(now.until(until)) {
                    drain.answered(clock.now(), &pod.uid, answer);
                }
            }
            Step::Verdict(_, verdict) => return verdict,
            Step::Done(_) => return drain.verdict(now),
        }
    }
}

/// The answer about a pod; or else more can be asked for at a time than before.
type Message = Option<(Arc<PodRef>, Answer)>;

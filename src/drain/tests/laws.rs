//! What holds in every drain, whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::drain::BudgetOverride;
use crate::drain::ask::{Answer, Ask, Budget, Grace};
use crate::drain::pod::Tier;
use crate::drain::progress::DrainProgress;
use crate::drain::tests::cluster::{ms, secs};
use crate::drain::tests::story::{Exchange, NEVER, Story, fails, pauses};
use crate::drain::tests::trace::{Cause, Did};
use crate::drain::verdict::{Certainty, End, Obstacle, Outcome, Row, Verdict};
use crate::moment::Moment;

/// What a law finds: nothing, or what is wrong.
pub(super) type Finding = Result<(), String>;

macro_rules! hold {
    ($that:expr, $($otherwise:tt)+) => {
        if !$that {
            return Err(format!($($otherwise)+));
        }
    };
}

/// A law and its name.
type Law = (&'static str, fn(&Story) -> Finding);

/// All of them.
pub(super) const LAWS: [Law; 22] = [
    ("requests are well formed, to known pods that go, and in time", requests_are_well_formed),
    (
        "one request for a pod at a time, and no more than can be under way at once",
        requests_are_few,
    ),
    ("who is due is asked as soon as there is room", nobody_waits_in_vain),
    ("a tier goes as soon as those before it are gone", tiers_open),
    ("who can be saved is saved", nobody_dies_who_could_be_deleted),
    ("an answer is waited for as long as the pod has time", answers_are_waited_for),
    ("who has no more time goes before who has", urgent_pods_go_first),
    ("who comes back is left in peace longer each time", who_comes_back_is_not_hunted),
    ("an eviction waits for the load balancers, and costs no grace", evictions_are_held),
    ("with a timeout nobody is deleted, and no grace is cut", a_timeout_hurts_nobody),
    ("a deadline never moves later, and it is said when it moves", deadlines_move_earlier),
    ("a tier waits for those before it, until its own time", tiers_wait),
    ("a pod is deleted only after it was asked to go, or if it is ending", deleted_after_eviction),
    ("DisruptionTarget once, before the deletion", marked_once),
    ("who is ending is not asked again and again", ending_pods_are_let_be),
    ("what fails is asked again, neither too soon nor too late", failures_are_retried),
    ("a budget is tried by one pod at a time, with pauses, until it frees", budgets_are_tried),
    ("the drain ends when it should", ends_in_time),
    ("the verdict is the truth, with one row for each pod", verdict_is_true),
    ("empty is said once, and only when it is so", empty_is_true),
    ("what is said of pods is so", progress_is_true),
    ("what is said of the API server is so", server_is_described_truly),
];

fn requests_are_well_formed(story: &Story) -> Finding {
    let mut seen = BTreeSet::new();
    for (when, did) in &story.run.trace {
        let job = match did {
            Did::Saw { uid, .. } => {
                seen.insert(uid);
                continue;
            }
            Did::Asked(job) => job,
            _ => continue,
        };
        let uid = &job.pod.uid;
        hold!(seen.contains(uid), "{uid} asked at {when:?} before it was seen");
        let known = &story.pods[uid.as_str()];
        hold!(job.pod == known.life.pod.reference, "{job:?} is about no pod of that UID");
        hold!(!story.stays(known, *when), "{uid} is to be left alone, and was asked");
        hold!(
            known.gone.is_none_or(|gone| gone >= *when),
            "{uid} asked at {when:?}, known to be gone"
        );
        hold!(*when < story.end(*when), "{uid} asked at {when:?}, after the end");
        hold!(*when >= story.released, "{uid} asked at {when:?}, before the cordon");
        hold!(
            job.timeout <= when.until(story.limit(*when).end).min(secs(62)),
            "{job:?} waits too long"
        );
        // To the nearest second.
        let left = when.until(story.limit(*when).end_of_grace).saturating_add(ms(500)).as_secs();
        let due = story.grace(known).as_secs().min(left).max(1);
        let due = Grace::new(u32::try_from(due).unwrap()).unwrap();
        let dry = story.cluster.options.dry;
        hold!(
            match job.ask {
                Ask::Evict { grace, dry: is } => grace == due && is == dry,
                Ask::Delete { grace } => grace == due && !dry,
                Ask::MarkDisrupted => !dry,
            },
            "{uid} got {:?} at {when:?}, due is {due} s",
            job.ask
        );
    }
    Ok(())
}

fn requests_are_few(story: &Story) -> Finding {
    let mut under_way = BTreeSet::new();
    for (when, did) in &story.run.trace {
        match did {
            Did::Asked(job) => {
                hold!(
                    under_way.insert(&job.pod.uid),
                    "two requests for {} at {when:?}",
                    job.pod.uid
                );
            }
            Did::Answered { uid, .. } => _ = under_way.remove(uid),
            _ => {}
        }
        let free = story.cluster.free;
        hold!(under_way.len() <= free, "more than {free} requests at {when:?}");
    }
    Ok(())
}

/// Every pod whose turn it is has been asked by max(first seen or end of the hold; D − m − g), but
/// for the time in which no more could be asked.
fn nobody_waits_in_vain(story: &Story) -> Finding {
    for (uid, known) in &story.pods {
        // Who comes back has turns of its own.
        if story.stays(known, known.seen) || known.round > 1 {
            continue;
        }
        let turn = match known.tier() {
            Tier::Ordinary => Moment::START,
            _ => story.own_time_came(known),
        };
        let due = known.seen.max(story.released).max(turn).max(story.let_go(known));
        let asked = known.first_asked().unwrap_or(story.run.ended).min(known.let_be());
        hold!(
            !story.idled(due, asked),
            "{uid} was due at {due:?}, asked at {:?}",
            known.first_asked()
        );
    }
    Ok(())
}

/// A critical pod waits for nothing but those before it: as soon as it is known that these are gone, it
/// is asked.
fn tiers_open(story: &Story) -> Finding {
    for (when, until) in &story.idle {
        let listed = story.listed.is_some_and(|listed| listed <= *when);
        if !listed || *when < story.released || until <= when {
            continue;
        }
        for (uid, known) in story.pods.iter().filter(|(_, known)| known.round < 2) {
            let open = known.seen <= *when && !story.is_done(known, *when);
            let asked = known.first_asked().is_some_and(|asked| asked <= *when);
            let leaving = known.let_be() <= *when;
            let held = story.held_until(known, *when) > *when;
            let before = story.pods.values().any(|other| {
                other.tier() < known.tier()
                    && other.seen <= *when
                    && (!story.is_done(other, *when) || other.is_asked(*when))
            });
            hold!(
                !open || asked || leaving || held || before,
                "{uid} is not asked at {when:?}, and those before it are gone"
            );
        }
    }
    Ok(())
}

/// Whoever's own time is up and could be deleted is: whenever there is nothing to do, such a pod is
/// ending, or is being asked, or has just been asked in vain.
fn nobody_dies_who_could_be_deleted(story: &Story) -> Finding {
    // The condition may hang for a second, and then the first eviction for a tenth of what is left.
    let grace_to_act = secs(3);
    for (when, until) in &story.idle {
        if story.cluster.options.dry || until <= when || story.end(*when) <= *when {
            continue;
        }
        let limit = story.limit(*when);
        if limit.budget_override == BudgetOverride::Never || *when < story.released {
            continue;
        }
        for (uid, known) in &story.pods {
            let due = known.seen.max(story.own_time_came(known)) + grace_to_act;
            if known.round > 1 || due > *when || story.is_done(known, *when) {
                continue;
            }
            let just = known
                .asked
                .iter()
                .any(|it| it.answered.as_ref().is_some_and(|(at, _)| *at + secs(2) >= *when));
            let saved = known.let_be() <= *when || known.is_asked(*when) || just;
            hold!(saved, "{uid} could have been told to end at {when:?}: {known:#?}");
        }
    }
    Ok(())
}

/// Nothing is given up before the pod's own time, unless it keeps others from being asked.
fn answers_are_waited_for(story: &Story) -> Finding {
    for (uid, known) in &story.pods {
        for when in &known.given_up {
            let asked = known.asked.iter().rev().find(|it| it.asked <= *when);
            let Some(exchange) = asked else { return Err(format!("{uid} was not asked")) };
            let waited = when.since(exchange.asked);
            let own_time = story.own_time(known, *when) <= *when
                && matches!(exchange.ask, Ask::Evict { dry: false, .. })
                && waited >= secs(2);
            // For a pod whose own time is up, or about to be.
            let urgent = story.pods.iter().any(|(other, it)| {
                let up = it.seen <= *when && story.own_time_came(it) <= *when + secs(1);
                other != uid && up && !story.is_done(it, *when)
            });
            let crowded = waited >= secs(if urgent { 2 } else { 12 });
            let gone = known.gone.is_some_and(|gone| gone + secs(2) <= *when);
            hold!(own_time || crowded || gone, "{uid} was given up at {when:?}, after {waited:?}");
        }
        for exchange in
            known.asked.iter().filter(|it| matches!(it.ask, Ask::Evict { dry: false, .. }))
        {
            let until = exchange.answered.as_ref().map_or(story.run.ended, |(when, _)| *when);
            let whole = story.overrides_from(exchange.asked) && story.limits.len() == 1;
            let own_time = story.own_time(known, exchange.asked);
            let left = exchange.asked.until(story.limit(exchange.asked).end_of_grace);
            let least = if own_time <= exchange.asked { (left / 10).max(secs(2)) } else { secs(2) };
            let latest = own_time.max(exchange.asked + least) + ms(10);
            hold!(
                !whole || until <= latest,
                "{uid} asked at {:?}, waited for until {until:?}",
                exchange.asked
            );
        }
    }
    Ok(())
}

/// A pod that has time left is not asked while another's deletion is due and could be sent.
fn urgent_pods_go_first(story: &Story) -> Finding {
    for (when, job) in story.run.asked() {
        let asked = &story.pods[job.pod.uid.as_str()];
        if !matches!(job.ask, Ask::Evict { .. }) || story.own_time(asked, when) <= when {
            continue;
        }
        for (uid, known) in &story.pods {
            let marked = known.asked.iter().rev().find(|it| it.asked < when);
            let due = matches!(marked, Some(Exchange { ask: Ask::MarkDisrupted, answered: Some((at, _)), .. }) if *at < when)
                && story.own_time(known, when) < when
                && known.let_be() > when
                && story.overrides_from(when)
                && !story.stays(known, when);
            let asked_now = known.asked.iter().any(|it| it.asked == when);
            hold!(!due || asked_now, "{} evicted at {when:?}, while {uid} is due", job.pod.uid);
        }
    }
    Ok(())
}

fn who_comes_back_is_not_hunted(story: &Story) -> Finding {
    const RESTS: [u64; 2] = [15, 45];
    for (uid, known) in story.pods.iter().filter(|(_, known)| known.round > 1) {
        let asked = known.first_asked();
        let since = asked.unwrap_or(story.run.ended).min(known.let_be());
        // What a deadline that replaced a timeout has let go is a pod like any other.
        let was_let_be = known.round > 3 && story.limit(known.seen).is_timeout();
        if story.stays(known, since) || was_let_be || story.cluster.options.dry {
            continue;
        }
        let then = story.limit(known.seen);
        let is_late = story.own_time(known, known.seen) <= known.seen;
        let left = known.seen.until(then.last_own_time);
        let rest = RESTS.get(known.round as usize - 2).map(|rest| known.seen + secs(*rest));
        let due = |at: Moment| match rest {
            _ if is_late => (known.round <= 5 && left >= secs(20)).then(|| known.seen + left / 2),
            Some(rest) => Some(rest.min(story.own_time(known, at))),
            None => Some(story.own_time(known, at)),
        };
        if let Some(asked) = asked.filter(|asked| *asked < known.let_be()) {
            let due = due(asked);
            hold!(
                due.is_some_and(|due| due <= asked),
                "{uid} of round {} at {asked:?}",
                known.round
            );
        } else {
            let own_time = story.own_time_came(known);
            let due = if is_late {
                due(since)
            } else {
                Some(rest.map_or(own_time, |it| it.min(own_time)))
            };
            let Some(due) = due else { continue };
            let due = due.max(known.seen).max(story.released).max(story.let_go(known));
            let waits = known.tier() > Tier::Ordinary && due < own_time;
            hold!(
                waits || !story.idled(due, since),
                "{uid} of round {} is never asked",
                known.round
            );
        }
    }
    Ok(())
}

fn evictions_are_held(story: &Story) -> Finding {
    for (uid, known) in &story.pods {
        let evictions = known.asked.iter().filter(|it| matches!(it.ask, Ask::Evict { .. }));
        for when in evictions.map(|it| it.asked) {
            // At one moment either may have come first.
            let is_later = story.balanced.is_none_or(|(since, _)| since < when);
            let held = if is_later { story.held_until(known, when) } else { when };
            hold!(when >= held, "{uid} evicted at {when:?}, held until {held:?}");
        }
        let Some((since, _)) = story.balanced else { continue };
        if known.round > 0 {
            continue;
        }
        let first = known.asked.first().filter(|it| it.asked > since);
        let Some(Exchange { asked, ask: Ask::Evict { grace, .. }, .. }) = first else { continue };
        // What cut its grace was a limit that came late, or the crowd, but no hold.
        let due = known.seen.max(story.released).max(story.own_time_came(known));
        let whole = u64::from(grace.get()) == story.grace(known).as_secs();
        hold!(
            whole || *asked <= due || !story.idled(due, *asked),
            "{uid} lost grace to a hold: {grace} s at {asked:?}"
        );
    }
    Ok(())
}

fn a_timeout_hurts_nobody(story: &Story) -> Finding {
    for (when, job) in story.run.asked() {
        if !story.limit(when).is_timeout() {
            continue;
        }
        let known = &story.pods[job.pod.uid.as_str()];
        let unhurried = match job.ask {
            Ask::Evict { grace, .. } => u64::from(grace.get()) == story.grace(known).as_secs(),
            Ask::MarkDisrupted | Ask::Delete { .. } => false,
        };
        hold!(unhurried, "{} got {:?} at {when:?}, with a timeout", job.pod.uid, job.ask);
    }
    Ok(())
}

fn deadlines_move_earlier(story: &Story) -> Finding {
    for pair in story.limits.windows(2) {
        let (before, after) = (pair[0], pair[1]);
        hold!(
            before.is_timeout() || after.end <= before.end && !after.is_timeout(),
            "{before:?} became {after:?}"
        );
    }
    let mut end = story.cluster.options.limit.end();
    let changes = story.run.trace.iter().filter_map(|(when, did)| match did {
        Did::PulledIn(_) => Some((when, None)),
        Did::TakenOver(_, moved) => Some((when, Some(*moved))),
        _ => None,
    });
    for ((when, said), limit) in changes.zip(story.limits.iter().skip(1)) {
        let moved = limit.end + secs(1) <= end;
        hold!(said.is_none_or(|said| said == moved), "moved at {when:?}: said {said:?}");
        end = limit.end;
    }
    Ok(())
}

fn tiers_wait(story: &Story) -> Finding {
    for (uid, known) in &story.pods {
        let Some(asked) = known.asked.first() else { continue };
        let when = asked.asked;
        let early = known.tier() > Tier::Ordinary
            && known.leaving.is_none_or(|leaving| leaving > when)
            && when < story.own_time(known, when);
        if !early {
            continue;
        }
        hold!(
            story.listed.is_some_and(|listed| listed <= when),
            "{uid} asked before the set was complete"
        );
        let before = story.pods.iter().find(|(_, other)| {
            other.tier() < known.tier() && other.seen < when && !story.is_done(other, when)
        });
        hold!(before.is_none(), "{uid} asked at {when:?}, before {:?}", before.map(|(uid, _)| uid));
    }
    Ok(())
}

fn deleted_after_eviction(story: &Story) -> Finding {
    for (uid, known) in &story.pods {
        for exchange in &known.asked {
            let (Ask::Delete { .. }, when) = (exchange.ask, exchange.asked) else { continue };
            let ending = known.leaving.is_some_and(|leaving| leaving <= when);
            let at_deadline = story.limit(when).budget_override == BudgetOverride::AtDeadline;
            let overridden =
                at_deadline && known.was_asked(when) && when >= story.own_time(known, when);
            hold!(ending || overridden, "{uid} deleted at {when:?}");
        }
    }
    Ok(())
}

fn marked_once(story: &Story) -> Finding {
    for (uid, known) in &story.pods {
        let marks = known.asked.iter().filter(|exchange| exchange.ask == Ask::MarkDisrupted);
        hold!(marks.clone().count() <= 1, "{uid} marked twice");
        let mark = marks.clone().next().map(|exchange| exchange.asked);
        if let Some(when) = mark {
            hold!(known.was_asked(when), "{uid} marked at {when:?} without an eviction");
            hold!(
                when + secs(1) >= story.own_time(known, when),
                "{uid} marked at {when:?}, too early"
            );
        }
        let deleted =
            known.asked.iter().find(|exchange| matches!(exchange.ask, Ask::Delete { .. }));
        if let Some(deleted) = deleted.filter(|it| it.asked < known.let_be()) {
            hold!(mark.is_some_and(|mark| mark < deleted.asked), "{uid} deleted, but not marked");
        }
    }
    Ok(())
}

fn ending_pods_are_let_be(story: &Story) -> Finding {
    for (uid, known) in &story.pods {
        let Some(leaving) = known.leaving else { continue };
        let after = known.asked.iter().filter(|exchange| exchange.asked > leaving);
        let evicted = after.clone().find(|exchange| !matches!(exchange.ask, Ask::Delete { .. }));
        hold!(evicted.is_none(), "{uid} is ending since {leaving:?}, {evicted:?}");
        let in_vain =
            after.clone().filter(|it| !matches!(it.answered, Some((_, Answer::Accepted))));
        // One deletion for each thing that could be a reason for one.
        let reasons = 1 + known.reported_ending + story.limits.len() - 1 + in_vain.count();
        hold!(
            after.count() <= reasons,
            "{uid} was hurried more often than there was reason: {known:#?}"
        );
    }
    Ok(())
}

fn failures_are_retried(story: &Story) -> Finding {
    for (uid, known) in &story.pods {
        let next = known.asked.iter().skip(1).map(Some).chain([None]);
        for (exchange, next) in known.asked.iter().zip(next) {
            let Some((answered, answer)) = &exchange.answered else { continue };
            if exchange.ask == Ask::MarkDisrupted {
                if !story.overrides_from(*answered) {
                    continue;
                }
                // Whatever the answer, the deletion follows when the pod's own time is up.
                let due = story.own_time(known, *answered).max(*answered);
                let asked = next.map_or(story.run.ended, |next| next.asked).min(known.let_be());
                hold!(!story.idled(due, asked), "{uid} marked at {answered:?}, not deleted");
                continue;
            }
            let Some((shortest, longest)) = pauses(answer) else { continue };
            // How long a pause of this length may be under the limit that holds then.
            let until = |pause: Duration, then: Moment| {
                let own_time = story.own_time(known, then);
                let last = if *answered < own_time { own_time } else { *answered + secs(1) };
                (*answered + pause).min(last)
            };
            let again = next.filter(|next| {
                std::mem::discriminant(&next.ask) == std::mem::discriminant(&exchange.ask)
            });
            if let Some(next) = again {
                hold!(
                    next.asked >= until(shortest, next.asked),
                    "{uid} asked at {:?}, {answer:?} at {answered:?}",
                    next.asked
                );
            }
            // A budget that had refused it has its own turns, and so have tiers.
            let early = *answered < story.own_time(known, *answered);
            let never = !story.overrides_from(*answered);
            if known.refused(*answered) && (early || never)
                || known.tier() > Tier::Ordinary && early
            {
                continue;
            }
            let is_eviction = matches!(exchange.ask, Ask::Evict { dry: false, .. });
            let longest = if is_eviction && !early && !never { Duration::ZERO } else { longest };
            let later = story.limits.iter().map(|limit| limit.since);
            let limits = later.filter(|since| since > answered).chain([*answered]);
            let latest = limits.map(|then| then.max(until(longest, then))).min().unwrap();
            let latest = latest.max(story.let_go(known));
            let asked = next.map_or(story.run.ended, |next| next.asked).min(known.let_be());
            hold!(!story.idled(latest, asked), "{uid} not asked again: {answer:?} at {answered:?}");
        }
    }
    Ok(())
}

fn budgets_are_tried(story: &Story) -> Finding {
    let faultless = story.cluster.faults.is_empty() && *story.cluster.latency.end() < 1000;
    // The pod whose eviction tries a budget again, for each budget.
    let mut trying: BTreeMap<&str, &str> = BTreeMap::new();
    // What a pod was last refused by.
    let mut refused: BTreeMap<&str, &str> = BTreeMap::new();
    // When a budget was last heard of, and whether it refused then, again.
    let mut heard: BTreeMap<&str, (Moment, bool)> = BTreeMap::new();
    for (when, did) in &story.run.trace {
        match did {
            Did::Asked(job) => {
                let uid = job.pod.uid.as_str();
                let (Some(budget), Ask::Evict { .. }) = (refused.get(uid), job.ask) else {
                    continue;
                };
                let other = trying.insert(budget, uid);
                let silent = other.is_none_or(|other| {
                    let asked = story.pods[other].asked.iter().rev().map(|it| it.asked);
                    let asked = asked.into_iter().find(|asked| asked <= when);
                    asked.is_some_and(|asked| asked + secs(12) <= *when)
                });
                hold!(silent, "{uid} and {other:?} try {budget} at {when:?}");
                if let Some((last, true)) = heard.get(budget) {
                    hold!(
                        *when >= *last + ms(100),
                        "{budget} tried at {when:?}, refused at {last:?}"
                    );
                }
            }
            Did::Answered { uid, answer, .. } => {
                let again = refused.get(uid.as_str()).copied();
                trying.retain(|_, pod| *pod != uid.as_str());
                match answer {
                    Answer::Blocked(budget) => {
                        refused.insert(uid, &budget.name);
                        heard.insert(&budget.name, (*when, again == Some(&budget.name)));
                    }
                    Answer::Accepted => {
                        refused.remove(uid.as_str());
                        if let Some(budget) = again {
                            heard.insert(budget, (*when, false));
                        }
                    }
                    _ => {}
                }
            }
            Did::Idle { until } if faultless => {
                for (uid, budget) in &refused {
                    let known = &story.pods[uid];
                    let open = known.let_be() > *when && !trying.contains_key(budget);
                    if story.cluster.options.dry || !open || known.is_asked(*when) {
                        continue;
                    }
                    let left = when.until(story.own_time(known, *when).min(story.limit(*when).end));
                    let longest = match left.as_secs() {
                        300.. => secs(5),
                        120.. => secs(1) + left.saturating_sub(secs(120)) / 45,
                        _ => secs(1),
                    };
                    let latest = (heard[budget].0 + longest).max(story.held_until(known, *when));
                    hold!(*until <= latest, "{uid} waits beyond {latest:?} for {budget}");
                    if story.limit(*when).budget_override == BudgetOverride::AtDeadline {
                        let own_time = story.own_time(known, *when);
                        hold!(*until <= own_time, "{uid} waits for {budget} beyond {own_time:?}");
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn ends_in_time(story: &Story) -> Finding {
    let ended = story.run.ended;
    let limit = story.limit(ended);
    let everybody = || story.pods.values().all(|known| story.is_done(known, ended));
    let right = match story.run.verdict.end {
        Some(End::CalledOff) => story.called_off == Some(ended),
        Some(End::Empty) => {
            limit.is_timeout() && story.run.emptied().first() <= Some(&ended) && everybody()
        }
        Some(End::TimedOut) => limit.is_timeout() && ended >= limit.end,
        Some(End::Deadline) => !limit.is_timeout() && ended >= limit.end,
        Some(End::Stopped) => ended < limit.end && ended >= story.end(ended),
        None => false,
    };
    hold!(right, "ended at {ended:?}: {:?}, {limit:?}", story.run.verdict.end);
    let emptied = story.run.emptied();
    for (when, _) in story.idle.iter().filter(|(when, _)| story.limit(*when).is_timeout()) {
        let known = story.pods.values();
        let busy = known.into_iter().any(|known| {
            known.seen <= *when && (!story.is_done(known, *when) || known.is_asked(*when))
        });
        let over = emptied.first().is_some_and(|empty| empty < when) && !busy;
        hold!(!over, "nothing left to wait for, and it waits at {when:?}");
    }
    if matches!(story.run.verdict.end, Some(End::CalledOff | End::Empty)) {
        return Ok(());
    }
    let expected = story.end(ended);
    let told = story.limits.iter().map(|limit| limit.since);
    let told = told.chain(story.stop.map(|(when, _)| when));
    let in_time =
        ended == expected || ended > expected && told.into_iter().any(|when| when == ended);
    hold!(in_time, "ended at {ended:?} instead of {expected:?}");
    Ok(())
}

fn verdict_is_true(story: &Story) -> Finding {
    let (verdict, ended) = (&story.run.verdict, story.run.ended);
    let rows: BTreeSet<&str> = verdict.rows.iter().map(|row| row.pod.uid.as_str()).collect();
    hold!(rows.len() == verdict.rows.len(), "two rows for one pod");
    hold!(rows.iter().eq(story.pods.keys()), "rows {rows:?} for {:?}", story.pods.keys());
    hold!(verdict.listed == story.listed.is_some(), "listed {}", verdict.listed);
    hold!(verdict.took == ended.since(Moment::START), "took {:?}", verdict.took);
    rows_are_true(story, verdict, ended)
}

fn rows_are_true(story: &Story, verdict: &Verdict, then: Moment) -> Finding {
    for row in &verdict.rows {
        let uid = row.pod.uid.as_str();
        let (known, truth) = (&story.pods[uid], &story.run.truth[uid]);
        let asked = |is: fn(&Ask) -> bool| known.asked.iter().any(|it| is(&it.ask));
        let answered = |is: fn(&Ask) -> bool, gave: fn(&Answer) -> bool| {
            known
                .asked
                .iter()
                .any(|it| is(&it.ask) && it.answered.as_ref().is_some_and(|it| gave(&it.1)))
        };
        let evict: fn(&Ask) -> bool = |ask| matches!(ask, Ask::Evict { dry: false, .. });
        let delete: fn(&Ask) -> bool = |ask| matches!(ask, Ask::Delete { .. });
        let ends: fn(&Ask) -> bool =
            |ask| matches!(ask, Ask::Evict { dry: false, .. } | Ask::Delete { .. });
        let accepted: fn(&Answer) -> bool = |answer| *answer == Answer::Accepted;
        let lost = |it: &Exchange| ends(&it.ask) && is_lost(it);
        // Whether a request to end it is without an answer, and no refusal came after it.
        let in_doubt = || {
            let since_refusal = known
                .asked
                .iter()
                .rev()
                .take_while(|it| !matches!(it.answered, Some((_, Answer::Blocked(_)))));
            since_refusal.into_iter().any(lost)
        };
        let certain = |certainty: Certainty| match certainty {
            Certainty::Confirmed => answered(ends, accepted),
            Certainty::AnswerLost => !answered(ends, accepted) && known.asked.iter().any(lost),
        };
        let is_gone = truth.gone.is_some_and(|gone| gone <= then);
        let dry = story.cluster.options.dry;
        let (fits, must_be_gone) = match &row.outcome {
            Outcome::Evicted(certainty) => (asked(evict) && certain(*certainty), true),
            Outcome::Deleted(obstacle, certainty) => {
                let kept = match obstacle {
                    Obstacle::Budget(budget) => truth.refused_by.contains(budget),
                    Obstacle::Failed(failed) => known.asked.iter().any(|it| {
                        evict(&it.ask)
                            && it.answered.as_ref().is_some_and(|(_, answer)| {
                                let silent = matches!(
                                    answer,
                                    Answer::Broken(_)
                                        | Answer::Unauthorized(_)
                                        | Answer::Busy { .. }
                                );
                                *answer != Answer::Accepted && silent != failed.answered
                            })
                    }),
                };
                (asked(delete) && kept && certain(*certainty), true)
            }
            Outcome::Shortened => (answered(delete, accepted), true),
            Outcome::EndingAlready => (first_seen_ending(story, uid), true),
            Outcome::EndedByOthers => (matches!(truth.cause, None | Some(Cause::Others)), true),
            Outcome::StillThere(_) => (
                matches!(verdict.end, Some(End::Deadline | End::TimedOut)) && known.gone.is_none(),
                false,
            ),
            Outcome::HandedOver(_) => {
                (verdict.end == Some(End::Stopped) && known.gone.is_none(), false)
            }
            Outcome::CalledOff => {
                let open = known.leaving.is_none() && known.gone.is_none();
                (verdict.end == Some(End::CalledOff) && open && !in_doubt(), false)
            }
            Outcome::ToldToEnd(_) => {
                let told = known.leaving.is_some() || in_doubt();
                (verdict.end == Some(End::CalledOff) && told && known.gone.is_none(), false)
            }
            Outcome::LeftAlone(_) => (story.stays(known, then), false),
            Outcome::WouldEvict => {
                (dry && answered(|ask| matches!(ask, Ask::Evict { .. }), accepted), false)
            }
            Outcome::WouldBlock(budget) => (dry && truth.refused_by.contains(budget), false),
        };
        hold!(fits, "{uid} {:?} does not fit: {known:#?} {truth:#?}", row.outcome);
        hold!(!must_be_gone || is_gone, "{uid} {:?}, but is still there", row.outcome);
        hold!(must_be_gone == row.gone_after.is_some(), "{row:?}");
        if let Some(after) = row.gone_after {
            let when = Moment::START + after;
            hold!(Some(when) == known.gone, "{uid} gone at {when:?}, not at {:?}", known.gone);
        }
        hold!(
            matches!(row.outcome, Outcome::LeftAlone(_)) == story.stays(known, then),
            "{uid} {:?}",
            row.outcome
        );
    }
    Ok(())
}

/// Its answer has not come, or will not.
fn is_lost(exchange: &Exchange) -> bool {
    matches!(&exchange.answered, None | Some((_, Answer::Broken(_))))
}

fn first_seen_ending(story: &Story, pod: &str) -> bool {
    let mut sights = story.run.trace.iter().filter_map(|(_, did)| match did {
        Did::Saw { uid, terminating } if uid == pod => Some(terminating.is_some()),
        _ => None,
    });
    sights.next() == Some(true)
}

fn empty_is_true(story: &Story) -> Finding {
    let mut said = 0;
    let mut seen = BTreeSet::new();
    for (when, did) in &story.run.trace {
        if let Did::Saw { uid, .. } = did {
            seen.insert(uid.as_str());
        }
        if let (Did::Idle { .. }, 0) = (did, said) {
            let listed = story.listed.is_some_and(|listed| listed <= *when);
            let open = story
                .pods
                .values()
                .any(|known| !story.is_done(known, *when) || known.is_asked(*when));
            hold!(open || !listed, "all are gone at {when:?}, and it was not said");
        }
        let Did::Empty(verdict) = did else { continue };
        said += 1;
        hold!(
            story.listed.is_some_and(|listed| listed <= *when),
            "empty at {when:?}, before the set"
        );
        for (uid, known) in story.pods.iter().filter(|(uid, _)| seen.contains(*uid)) {
            let gone = story.run.truth[*uid].gone.is_some_and(|gone| gone <= *when);
            let done =
                story.is_done(known, *when) && (gone || known.gone.is_none_or(|it| it > *when));
            // A report that comes late can bring a pod back that is known to be gone.
            hold!(done || gone, "empty at {when:?} with {uid}");
            hold!(!known.is_asked(*when), "empty at {when:?}, while {uid} is asked");
        }
        hold!(verdict.is_clean(), "empty at {when:?}, but {verdict}");
    }
    hold!(said <= 1, "empty said {said} times");
    Ok(())
}

#[expect(clippy::too_many_lines, reason = "a line or two for each thing that is said")]
fn progress_is_true(story: &Story) -> Finding {
    let mut last: BTreeMap<&str, (Moment, Ask, &Answer)> = BTreeMap::new();
    let mut alone = BTreeSet::new();
    let mut deleted = BTreeSet::new();
    let mut forbidden = 0;
    let mut listed = 0;
    for (when, did) in &story.run.trace {
        let progress = match did {
            Did::Answered { uid, ask, answer } => {
                last.insert(uid, (*when, *ask, answer));
                continue;
            }
            Did::Told(progress) => progress,
            _ => continue,
        };
        let just = |uid: &str| last.get(uid).filter(|it| it.0 == *when).map(|it| (it.1, it.2));
        let is_so = match progress {
            DrainProgress::Listed { to_go, left_alone } => {
                listed += 1;
                let known = story.pods.values().filter(|known| known.seen <= *when && !known.late);
                let (stay, go): (Vec<_>, Vec<_>) =
                    known.partition(|known| story.stays(known, *when));
                listed == 1 && to_go.len() == go.len() && *left_alone == stay.len()
            }
            DrainProgress::LeftAlone(pod, _) => {
                alone.insert(&pod.uid) && story.stays(&story.pods[pod.uid.as_str()], *when)
            }
            DrainProgress::Late(pod) => {
                let known = &story.pods[pod.uid.as_str()];
                let is_first = known.round < 2 && !story.stays(known, *when);
                known.late && known.seen == *when && is_first
            }
            DrainProgress::Returned { pod, times } => {
                let known = &story.pods[pod.uid.as_str()];
                known.seen == *when && *times > 1 && *times == known.round
            }
            DrainProgress::Evicted { pod, grace, wanted } => {
                let evict = Ask::Evict { grace: *grace, dry: false };
                let known = &story.pods[pod.uid.as_str()];
                just(&pod.uid) == Some((evict, &Answer::Accepted))
                    && u64::from(wanted.get()) == story.grace(known).as_secs()
            }
            DrainProgress::Deleted { pod, grace: None, .. } => {
                let asked = &story.pods[pod.uid.as_str()].asked;
                deleted.insert(&pod.uid)
                    && asked.iter().any(|it| matches!(it.ask, Ask::Delete { .. }) && is_lost(it))
            }
            DrainProgress::Deleted { pod, grace: Some(grace), .. } => {
                deleted.insert(&pod.uid)
                    && just(&pod.uid) == Some((Ask::Delete { grace: *grace }, &Answer::Accepted))
            }
            DrainProgress::Shortened { pod, grace } => {
                just(&pod.uid) == Some((Ask::Delete { grace: *grace }, &Answer::Accepted))
            }
            DrainProgress::Blocked { pod, budget, deleted_in } => {
                let own_time = story.own_time(&story.pods[pod.uid.as_str()], *when);
                let never = story.limit(*when).budget_override == BudgetOverride::Never;
                let due = (!never && own_time != NEVER).then(|| when.until(own_time));
                *deleted_in == due
                    && just(&pod.uid)
                        .is_some_and(|it| *it.1 == Answer::Blocked(Budget::clone(budget)))
            }
            DrainProgress::WouldBlock(pod, budget) => {
                just(&pod.uid).is_some_and(|it| *it.1 == Answer::Blocked(Budget::clone(budget)))
            }
            DrainProgress::WouldEvict(pod) => {
                just(&pod.uid).is_some_and(|it| *it.1 == Answer::Accepted)
                    && story.cluster.options.dry
            }
            DrainProgress::Gone { pod, after } => {
                let gone = story.run.truth[&pod.uid].gone;
                gone.is_some_and(|gone| gone <= *when) && Moment::START + *after == *when
            }
            DrainProgress::NamespaceTerminating { pod, .. } => {
                just(&pod.uid).is_some_and(|it| *it.1 == Answer::NamespaceTerminating)
            }
            DrainProgress::Forbidden { pod, .. } => {
                forbidden += 1;
                forbidden == 1
                    && just(&pod.uid).is_some_and(|it| matches!(it.1, Answer::Forbidden(_)))
            }
            DrainProgress::NotMarked { pod, .. } => just(&pod.uid).is_some_and(|it| {
                it.0 == Ask::MarkDisrupted
                    && matches!(
                        it.1,
                        Answer::Forbidden(_) | Answer::Failed(_) | Answer::Busy { .. }
                    )
            }),
            DrainProgress::Failing { .. }
            | DrainProgress::Recovered { .. }
            | DrainProgress::Unread { .. }
            | DrainProgress::WatchLost { .. } => true,
        };
        hold!(is_so, "at {when:?}: {progress}");
    }
    let left_alone = story.pods.values().filter(|known| story.stays(known, known.seen)).count();
    hold!(alone.len() == left_alone, "{left_alone} left alone, said of {alone:?}");
    for Row { pod, outcome, .. } in &story.run.verdict.rows {
        let under_way = story.pods[pod.uid.as_str()].asked.last();
        let under_way = under_way.is_some_and(|it| it.answered.is_none());
        let is_said = deleted.contains(&pod.uid) || under_way;
        hold!(!matches!(outcome, Outcome::Deleted(..)) || is_said, "{} is not said", pod.uid);
    }
    Ok(())
}

/// That it fails is said before that it answers again, in turn, and after such an answer each.
fn server_is_described_truly(story: &Story) -> Finding {
    let mut said = Vec::new();
    let mut last = None;
    for (when, did) in &story.run.trace {
        match did {
            Did::Answered { answer, .. } => {
                last = Some((*when, fails(answer).then(|| std::mem::discriminant(answer))));
            }
            Did::Told(DrainProgress::Failing { .. }) => {
                let Some((answered, Some(kind))) = last else {
                    return Err(format!("failing, said at {when:?} without a failure"));
                };
                hold!(answered == *when, "failing, said at {when:?}, not when it was");
                hold!(!said.contains(&kind), "the same failure said again at {when:?}");
                said.push(kind);
            }
            Did::Told(DrainProgress::Recovered { .. }) => {
                hold!(
                    !said.is_empty() && last == Some((*when, None)),
                    "recovered, said at {when:?}"
                );
                said.clear();
            }
            _ => {}
        }
    }
    Ok(())
}

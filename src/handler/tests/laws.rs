//! What holds in every run, whatever happens. Worked out from the journal, and from nothing of the
//! handler's own.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

use crate::drain::ask::Ask;
use crate::drain::pod_news::PodNews;
use crate::drain::tests::cluster::{ms, secs};
use crate::drain::verdict::Verdict;
use crate::handler::tests::chapter::{Chapter, Chapters};
use crate::handler::tests::journal::{Entry, Run};
use crate::handler::tests::script::{BOOT, Script};
use crate::handler::world::{News, Order};
use crate::intent::Intent;
use crate::moment::Moment;
use crate::node::NodeAnswer;
use crate::node::STATE_ANNOTATION;
use crate::notice::{NoticeId, NoticePath};
use crate::report::fact::{Cordon, Fact, Occasion};

/// What a law finds: nothing, or what is wrong.
pub(super) type Finding = Result<(), String>;

macro_rules! hold {
    ($that:expr, $($otherwise:tt)+) => {
        if !$that {
            return Err(format!($($otherwise)+));
        }
    };
}

type Law = fn(&Script, &Run) -> Finding;

/// Each with its name.
pub(super) const LAWS: [(&str, Law); 13] = [
    ("one drain for one standing notice, and none without", one_drain_for_one_notice),
    ("a deadline never moves later, and is kept", deadlines_are_kept),
    ("nothing is ordered once a drain is over or the process must end", nothing_after_the_end),
    ("every drain has one last word", one_last_word),
    ("the process ends by SIGTERM, and when it should", ends_by_sigterm),
    ("no busy loop", no_busy_loop),
    ("pods are asked only while they are followed", pods_are_followed),
    ("a patch is about what was read, and changes only what is ours", patches_are_ours),
    ("a dry run writes nothing", a_dry_run_writes_nothing),
    ("evictions wait for the cordon, for a second at most", evictions_wait_for_the_cordon),
    ("what is said of the cordon is so", cordon_is_true),
    ("the last table has a row for each pod that was seen", tables_are_complete),
    ("what is missing is said once and found, and idle means no connection", idle_is_idle),
];

fn one_drain_for_one_notice(script: &Script, run: &Run) -> Finding {
    let mut paths: BTreeMap<NoticePath, (Option<NoticeId>, u8)> = BTreeMap::new();
    // Those that began to stand and are not yet drained for, and by when they want to be.
    let mut fresh: BTreeMap<NoticeId, Moment> = BTreeMap::new();
    let mut drained_for = None;
    for (at, entry) in &run.journal {
        match entry {
            Entry::Came(news) => {
                // One that came back within its own drain waits for its end.
                let missed = fresh.iter().find(|(id, due)| Some(**id) != drained_for && *due > at);
                hold!(missed.is_none(), "nothing was done for {missed:?} by {at:?}");
                fresh.retain(|id, _| Some(*id) == drained_for);
                let Some(News::Polled(polled)) = news else { continue };
                let Ok(found) = &polled.outcome else { continue };
                let before: BTreeSet<_> = paths.values().filter_map(|(id, _)| *id).collect();
                let (standing, absent) = paths.entry(polled.path).or_default();
                if let Some(notice) = found {
                    (*standing, *absent) = (Some(notice.id()), 0);
                    let due = Intent::of(notice, script.reading(*at)).deadline;
                    fresh.entry(notice.id()).and_modify(|before| *before = due.min(*before));
                } else {
                    *absent += u8::from(*absent < 3);
                    *standing = standing.filter(|_| *absent < 3);
                }
                let after: BTreeSet<_> = paths.values().filter_map(|(id, _)| *id).collect();
                fresh.retain(|id, _| after.contains(id));
                if let Some(notice) = found
                    && !before.contains(&notice.id())
                {
                    let due = Intent::of(notice, script.reading(*at)).deadline;
                    fresh.insert(notice.id(), due);
                }
            }
            Entry::Told(Fact::NoticeSeen { notice, .. } | Fact::TakenOver(notice)) => {
                let id = notice.id();
                let wanted = fresh.remove(&id).is_some();
                hold!(wanted, "{id} at {at:?} was drained for already");
                // What it takes over, and what waited behind that, it is drained for with it.
                fresh.retain(|id, _| Some(*id) != drained_for);
                drained_for = Some(id);
            }
            Entry::Told(Fact::Ends | Fact::EndsDrained | Fact::EndsAfterDrain(_)) => return Ok(()),
            Entry::Told(fact) if is_last_word(fact) => drained_for = None,
            _ => {}
        }
    }
    Ok(())
}

fn is_last_word(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::DeadlineReached
            | Fact::DrainedBefore(_)
            | Fact::Verdict(Occasion::Deadline | Occasion::Stopped, _)
    )
}

fn deadlines_are_kept(script: &Script, run: &Run) -> Finding {
    let late = ms(script.oversleep);
    let mut deadline = None;
    for (at, fact) in run.facts() {
        match fact {
            Fact::NoticeSeen { left, .. } => {
                hold!(*left <= secs(600), "{left:?} are not to be believed");
                deadline = Some(at + *left);
            }
            Fact::DeadlineMoved { left, .. } => {
                let moved = at + *left;
                hold!(deadline.is_some_and(|before| moved < before), "moved later at {at:?}");
                deadline = Some(moved);
            }
            Fact::DeadlineReached | Fact::Verdict(Occasion::Deadline, _) => {
                let due = deadline.take().ok_or("no deadline")?;
                hold!(due <= at && at <= due + late, "due at {due:?}, said at {at:?}");
            }
            Fact::Verdict(Occasion::Stopped, _) => {
                hold!(deadline.take().is_some_and(|due| at < due), "stopped after its deadline");
            }
            Fact::DrainedBefore(_) => deadline = None,
            _ => {}
        }
    }
    hold!(deadline.is_none_or(|due| run.ended <= due + late), "ended after the deadline");
    Ok(())
}

fn nothing_after_the_end(_: &Script, run: &Run) -> Finding {
    let (mut end, mut stop): (Option<Moment>, Option<Moment>) = (None, None);
    for (at, entry) in &run.journal {
        match entry {
            Entry::Told(Fact::NoticeSeen { left, .. } | Fact::DeadlineMoved { left, .. }) => {
                end = Some(*at + *left);
            }
            Entry::Told(Fact::EndsAfterDrain(left)) => stop = Some(*at + *left),
            Entry::Told(Fact::Ends | Fact::EndsDrained) => stop = Some(*at),
            Entry::Told(fact) if is_last_word(fact) => end = None,
            Entry::Ordered(Order::Disconnect) => {}
            Entry::Ordered(order) => {
                hold!(end.is_none_or(|end| *at < end), "{order:?} at {at:?}, after the deadline");
                hold!(stop.is_none_or(|stop| *at < stop), "{order:?} at {at:?}, after the stop");
            }
            _ => {}
        }
    }
    Ok(())
}

fn one_last_word(_: &Script, run: &Run) -> Finding {
    let (mut draining, mut emptied, mut ending) = (false, false, false);
    for (at, fact) in run.facts() {
        match fact {
            Fact::NoticeSeen { .. } => {
                hold!(!draining, "a drain in a drain at {at:?}");
                (draining, emptied) = (true, false);
            }
            Fact::Verdict(Occasion::Empty | Occasion::Rehearsed, verdict) => {
                hold!(draining && !emptied, "empty again at {at:?}");
                hold!(verdict.listed, "empty before it is known at {at:?}");
                emptied = true;
            }
            Fact::DeadlineReached => {
                hold!(draining && emptied, "nothing has changed since which table? {at:?}");
                draining = false;
            }
            Fact::Ends | Fact::EndsDrained => {
                hold!(!draining || emptied, "a drain was under way at {at:?}");
                (draining, ending) = (false, true);
            }
            Fact::EndsAfterDrain(_) => {
                hold!(draining, "no drain was under way at {at:?}");
                ending = true;
            }
            Fact::DrainBegins(_) | Fact::Cordon(_) | Fact::TakenOver(_) => {
                hold!(draining, "{fact:?} without a drain at {at:?}");
            }
            fact if is_last_word(fact) => {
                hold!(draining, "a last word without a drain at {at:?}");
                draining = false;
            }
            _ => {}
        }
    }
    hold!(!draining || emptied && ending, "a drain without a last word");
    Ok(())
}

fn ends_by_sigterm(script: &Script, run: &Run) -> Finding {
    let came = run.news().find(|(_, news)| **news == News::Terminate);
    let (came, _) = came.ok_or("no SIGTERM")?;
    let said: Vec<Moment> = run
        .facts()
        .filter_map(|(at, fact)| match fact {
            Fact::Ends | Fact::EndsDrained => Some(at),
            Fact::EndsAfterDrain(left) => Some(at + *left + ms(script.oversleep)),
            _ => None,
        })
        .collect();
    hold!(said.len() == 1, "SIGTERM was spoken of {} times", said.len());
    hold!(came <= run.ended && run.ended <= said[0], "to end by {:?}: {:?}", said[0], run.ended);
    Ok(())
}

fn no_busy_loop(_: &Script, run: &Run) -> Finding {
    let mut woken: BTreeMap<u64, u32> = BTreeMap::new();
    for (at, entry) in &run.journal {
        if let Entry::Came(None) = entry {
            let count = woken.entry(at.since(Moment::START).as_secs()).or_default();
            *count += 1;
            hold!(*count <= 100, "woken {count} times in one second at {at:?}");
        }
    }
    Ok(())
}

fn pods_are_followed(script: &Script, run: &Run) -> Finding {
    let mut followed: Option<BTreeSet<String>> = None;
    let mut draining = false;
    let mut starts = 0;
    for (at, entry) in &run.journal {
        match entry {
            Entry::Told(Fact::NoticeSeen { .. }) => (draining, starts) = (true, 0),
            Entry::Told(fact) if is_last_word(fact) => draining = false,
            Entry::Ordered(Order::FollowPods(_)) => {
                starts += 1;
                hold!(draining, "followed without a drain at {at:?}");
                hold!(starts <= 1 + script.no_thread, "followed twice at {at:?}");
                followed.get_or_insert_default();
            }
            Entry::Ordered(Order::Disconnect) => followed = None,
            Entry::Came(Some(News::Pods(PodNews::Seen(pod)))) => {
                let followed = followed.as_mut().ok_or("the model reports to nobody")?;
                followed.insert(pod.reference.uid.clone());
            }
            Entry::Ordered(Order::Ask(job)) => {
                let known = followed.as_ref().is_some_and(|pods| pods.contains(&job.pod.uid));
                hold!(known, "{job:?} at {at:?}, and it was not seen");
            }
            _ => {}
        }
    }
    Ok(())
}

fn patches_are_ours(_: &Script, run: &Run) -> Finding {
    let mut version = None;
    let (mut draining, mut listed) = (None, false);
    for (at, entry) in &run.journal {
        match entry {
            Entry::Came(Some(News::Node(NodeAnswer::Is(node)))) => {
                version = Some(node.resource_version.clone());
            }
            Entry::Told(Fact::NoticeSeen { notice, .. } | Fact::TakenOver(notice)) => {
                draining = Some(notice.id());
            }
            Entry::Told(Fact::Verdict(occasion, verdict)) => {
                listed = verdict.listed;
                draining = draining.filter(|_| *occasion == Occasion::Empty);
            }
            Entry::Told(Fact::DeadlineReached | Fact::DrainedBefore(_)) => draining = None,
            Entry::Ordered(Order::PatchNode(_, patch)) => {
                let patch: Value = serde_json::from_str(&patch.0).unwrap();
                let asked = patch["metadata"]["resourceVersion"].as_str();
                hold!(asked.is_some() && asked == version.as_deref(), "{patch} at {at:?}");
                let state = &patch["metadata"]["annotations"][STATE_ANNOTATION];
                let state: Value = serde_json::from_str(state.as_str().unwrap()).unwrap();
                let drained = state["drained"] == true;
                hold!(drained == draining.is_none(), "{patch} at {at:?}, draining: {draining:?}");
                hold!(!drained || listed, "{patch} at {at:?}, and no pod was seen");
                hold!(
                    draining.is_none_or(|id| state["notice"] == id.to_string()),
                    "{patch} at {at:?} is not for {draining:?}"
                );
                hold!(patch["spec"]["unschedulable"] == !drained || drained, "{patch} at {at:?}");
                hold!(!drained || patch.get("spec").is_none(), "{patch} at {at:?}");
            }
            _ => {}
        }
    }
    hold!(run.node.is_otherwise_untouched(), "{:?}", run.node);
    Ok(())
}

fn a_dry_run_writes_nothing(script: &Script, run: &Run) -> Finding {
    for (at, order) in run.orders() {
        let writes = match order {
            Order::PatchNode(..) => true,
            Order::Ask(job) => !matches!(job.ask, Ask::Evict { dry: true, .. }),
            _ => false,
        };
        hold!(!script.config.dry || !writes, "{order:?} at {at:?}");
    }
    Ok(())
}

fn evictions_wait_for_the_cordon(_: &Script, run: &Run) -> Finding {
    let mut from: Option<Moment> = None;
    for (at, entry) in &run.journal {
        match entry {
            Entry::Told(Fact::NoticeSeen { .. }) => from = Some(*at + secs(1)),
            Entry::Told(Fact::Cordon(_)) => from = from.map(|from| from.min(*at)),
            Entry::Ordered(Order::Ask(job)) => {
                hold!(from.is_some_and(|from| from <= *at), "{job:?} at {at:?}");
            }
            _ => {}
        }
    }
    Ok(())
}

fn cordon_is_true(script: &Script, run: &Run) -> Finding {
    let mut current = None;
    for pair in run.journal.windows(2) {
        match (&pair[0], &pair[1].1) {
            ((_, Entry::Told(Fact::NoticeSeen { notice, .. } | Fact::TakenOver(notice))), _) => {
                current = Some(notice.id());
            }
            ((at, Entry::Told(Fact::Cordon(cordon))), Entry::NodeIs { annotation }) => {
                if script.config.dry {
                    hold!(matches!(cordon, Cordon::Would | Cordon::Foreign | Cordon::Kept), "dry");
                    continue;
                }
                let state = annotation.as_deref().unwrap_or("{}");
                let state: Value = serde_json::from_str(state).unwrap();
                let ours = matches!(cordon, Cordon::Done | Cordon::Kept);
                hold!(
                    state["cordoned"] == ours
                        && state["bootId"] == BOOT
                        && current.is_some_and(|id| state["notice"] == id.to_string()),
                    "{cordon:?} at {at:?}, and the Node says {state}"
                );
            }
            _ => {}
        }
    }
    Ok(())
}

fn tables_are_complete(_: &Script, run: &Run) -> Finding {
    for Chapter { seen, last_table, ended } in Chapters::of(run) {
        let Some(Verdict { rows, .. }) = last_table else { continue };
        let told: BTreeSet<&str> = rows.iter().map(|row| row.pod.uid.as_str()).collect();
        hold!(told == seen, "{told:?} were told of at {ended:?}, seen were {seen:?}");
    }
    Ok(())
}

fn idle_is_idle(script: &Script, run: &Run) -> Finding {
    let named = script.config.node.is_some();
    let (mut connected, mut quiet_since) = (false, Some(Moment::START));
    let mut found = named;
    for (at, entry) in &run.journal {
        match entry {
            Entry::Ordered(Order::Disconnect) => connected = false,
            Entry::Ordered(Order::CheckCredentials) => {}
            Entry::Ordered(_) => connected = true,
            Entry::Told(Fact::NoticeSeen { .. }) => quiet_since = None,
            Entry::Told(Fact::NodeFound(_)) => found = true,
            Entry::Told(fact) if is_last_word(fact) => quiet_since = Some(*at),
            Entry::Came(_) => {
                // A note on the Node is tried for 30 s.
                let idle = quiet_since.is_some_and(|since| at.since(since) > secs(31));
                hold!(!idle || !connected || !found, "still connected at {at:?}");
            }
            _ => {}
        }
    }
    // The longest pause, and the longest request before it.
    let settled = script.last_trouble() + secs(30 + 5 + 5);
    hold!(found || run.ended < Moment::at(settled.max(script.name + secs(40))), "no name");
    let said = |wanted: fn(&Fact) -> bool| run.facts().filter(|(_, fact)| wanted(fact)).count();
    let missing = said(|fact| matches!(fact, Fact::CredentialsMissing(_)));
    let there = said(|fact| matches!(fact, Fact::CredentialsFound));
    let settled = run.ended > Moment::at(script.credentials + secs(31));
    hold!(missing <= 1 && there <= missing, "missing {missing} times, there {there} times");
    hold!(!settled || missing == there, "credentials were not looked for again");
    hold!(said(|fact| matches!(fact, Fact::NodeUnknown(_))) <= 1, "unknown again and again");
    Ok(())
}

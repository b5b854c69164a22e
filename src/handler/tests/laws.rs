//! What holds in every run, whatever happens. Worked out from the timeline, and from nothing of the
//! handler's own.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::drain::ask::Ask;
use crate::drain::limit::Limit;
use crate::drain::pod::PodNews;
use crate::drain::tests::cluster::{ms, secs};
use crate::drain::verdict::{self, Verdict};
use crate::handler::tests::drains::{DrainSpan, DrainSpans};
use crate::handler::tests::expected_notices::ExpectedNotices;
use crate::handler::tests::reported::{Reported, Transition};
use crate::handler::tests::script::{BOOT, End, Script};
use crate::handler::tests::timeline::{Entry, Run};
use crate::handler::world::{News, Order};
use crate::moment::Moment;
use crate::node::NodeAnswer;
use crate::node::marks::{Change, Cordon};
use crate::node::state::STATE_ANNOTATION;
use crate::notice::{Action, NoticeId, When};
use crate::report::fact::{Fact, Occasion};

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
pub(super) const LAWS: [(&str, Law); 20] = [
    ("each notice is spoken of when it appears; a drain is for one whose time has come", spoken_of),
    ("a notice whose time has come is drained for", drained_for_in_time),
    ("a deadline never moves later, and is kept", deadlines_are_kept),
    ("nothing is ordered once a drain is over or the process must end", nothing_after_the_end),
    ("every drain has one last word", one_last_word),
    ("the process ends by SIGTERM, and when it should", ends_by_sigterm),
    ("no busy loop", no_busy_loop),
    ("pods are asked only while they are followed", pods_are_followed),
    ("nobody is deleted without a deadline, and nobody asked where marks are all", nobody_dies),
    ("a patch is about what was read, and changes only what is ours", patches_are_ours),
    ("a node that was drained keeps its cordon while the notice stands", marks_stay),
    ("a node whose interruption falls silent stays closed for a while", dying_stay_closed),
    ("an interruption that is called dealt with was dealt with in this boot", dealt_with),
    ("a dry run writes nothing", a_dry_run_writes_nothing),
    ("evictions wait for the cordon, for a second at most", evictions_wait_for_the_cordon),
    ("what is said of the cordon is so", cordon_is_true),
    ("the last table has a row for each pod that was seen", tables_are_complete),
    ("what is missing is said once and found", what_is_missing_is_found),
    ("nobody on a node that was not seen is no success", what_was_not_seen_is_no_success),
    ("idle means no connection", idle_is_idle),
];

/// Holds at the end of a run in which everything has calmed down.
pub(super) fn as_others_want_it(script: &Script, run: &Run) -> Finding {
    let node = &run.node;
    let forgot = node.annotation() == script.annotation.as_deref() && script.config.dry
        || node.annotation().is_none();
    hold!(forgot, "the Node still bears {:?}", node.annotation());
    hold!(script.config.dry || node.is_as_others_want_it(), "{node:?}");
    Ok(())
}

fn spoken_of(script: &Script, run: &Run) -> Finding {
    let mut standing = ExpectedNotices::new(script);
    // What has appeared and was not spoken of yet.
    let mut fresh = BTreeSet::new();
    let mut reported = Reported::default();
    for (at, entry) in &run.timeline {
        reported.observe(*at, entry);
        match entry {
            Entry::Came(news) => {
                fresh.retain(|id| standing.stands(id) && reported.draining.as_ref() != Some(id));
                hold!(reported.ending || fresh.is_empty(), "{fresh:?} not spoken of by {at:?}");
                let Some(News::Polled(polled)) = news else { continue };
                fresh.extend(standing.observe(*at, polled));
            }
            Entry::Told(fact) => {
                if let Fact::NoticeSeen { notice, .. } | Fact::TakenOver { notice, .. } = fact {
                    let seen = standing.get(&notice.id);
                    let seen = seen.ok_or(format!("{} at {at:?} does not stand", notice.id))?;
                    // Where the calendar is set, its time is another one at every poll.
                    let has_come = script.clock_set.is_some() || seen.from <= *at + secs(1);
                    hold!(has_come, "{} at {at:?} is for {:?}", notice.id, seen.from);
                }
                if let Some(id) = spoken_about(fact) {
                    fresh.remove(id);
                }
            }
            Entry::BeginsAnew { .. } => {
                standing = ExpectedNotices::new(script);
                fresh.clear();
            }
            Entry::Ordered(_) | Entry::NodeIs { .. } => {}
        }
    }
    Ok(())
}

fn spoken_about(fact: &Fact) -> Option<&NoticeId> {
    match fact {
        Fact::NoticeSeen { notice, .. }
        | Fact::TakenOver { notice, .. }
        | Fact::NoticeScheduled { notice, .. }
        | Fact::NoticeMarks { notice, .. }
        | Fact::NoticeBeside { notice, .. } => Some(&notice.id),
        Fact::DrainedBefore(id) => Some(id),
        _ => None,
    }
}

fn drained_for_in_time(script: &Script, run: &Run) -> Finding {
    if script.clock_set.is_some() {
        // When its time has come is then another question at every poll.
        return Ok(());
    }
    let mut standing = ExpectedNotices::new(script);
    let mut reported = Reported::default();
    // Dealt with, each in the appearance and for the end that it had then.
    let mut done: BTreeMap<NoticeId, (u32, Option<Moment>)> = BTreeMap::new();
    for (at, entry) in &run.timeline {
        let (deadline, end, drained) = (reported.deadline, reported.end, reported.draining.clone());
        let transition = reported.observe(*at, entry);
        if reported.ending {
            return Ok(());
        }
        match entry {
            Entry::Came(news) => {
                for (id, seen) in standing.all() {
                    let Some(end) = seen.end else { continue };
                    // Two readings of one time differ by fractions of a second.
                    let latest = seen.from + ms(script.oversleep) + secs(1);
                    let due = latest < *at && *at < end;
                    let before = done.get(id).filter(|(number, _)| *number == seen.appearance);
                    let served = before.is_some_and(|(_, before)| !is_later(id, end, *before));
                    hold!(
                        !due || served || reported.draining.is_some(),
                        "{id} is not drained for at {at:?}"
                    );
                }
                if let Some(News::Polled(polled)) = news {
                    standing.observe(*at, polled);
                }
            }
            Entry::Told(fact) => {
                let named = match fact {
                    Fact::NoticeSeen { notice, .. } | Fact::TakenOver { notice, .. } => {
                        Some(&notice.id)
                    }
                    Fact::DrainedBefore(id) => Some(id),
                    _ => None,
                };
                let named = named.and_then(|id| Some((id, standing.get(id)?)));
                done.extend(named.map(|(id, seen)| (id.clone(), (seen.appearance, seen.end))));
                // What was over with a drain was drained for by it, and so was what it was for.
                let called_off = matches!(fact, Fact::Verdict(Occasion::CalledOff, _));
                if transition == Some(Transition::Ends) && !called_off {
                    let over = standing.all().filter(|(id, seen)| {
                        let covered = match seen.limit {
                            // What was only a wish, a drain for an instance that goes has granted.
                            Some(Limit::Timeout(_)) => deadline.is_some(),
                            _ => seen.end <= end.map(|end| end + secs(1)),
                        };
                        drained.as_ref() == Some(id) || covered
                    });
                    done.extend(over.map(|(id, seen)| (id.clone(), (seen.appearance, seen.end))));
                }
            }
            Entry::BeginsAnew { .. } => {
                standing.begin_anew();
                done.clear();
            }
            Entry::Ordered(_) | Entry::NodeIs { .. } => {}
        }
    }
    Ok(())
}

/// Whether maintenance was planned for a later time than it was drained for.
fn is_later(id: &NoticeId, end: Moment, before: Option<Moment>) -> bool {
    matches!(id, NoticeId::Maintenance(_)) && before.is_some_and(|before| before + secs(1) < end)
}

fn deadlines_are_kept(script: &Script, run: &Run) -> Finding {
    let late = ms(script.oversleep);
    let mut reported = Reported::default();
    for (at, entry) in &run.timeline {
        let (deadline, end) = (reported.deadline, reported.end);
        let transition = reported.observe(*at, entry);
        let Entry::Told(fact) = entry else { continue };
        if matches!(fact, Fact::DeadlineMoved { .. }) || transition == Some(Transition::IsTakenOver)
        {
            let earlier = reported.deadline <= deadline.map(|before| before + secs(1));
            hold!(deadline.is_none() || earlier, "moved later at {at:?}: {fact}");
        }
        let due = match fact {
            Fact::DeadlineReached | Fact::Verdict(Occasion::Deadline, _) => {
                deadline.ok_or("no deadline")?
            }
            Fact::Verdict(Occasion::TimedOut, _) => {
                hold!(deadline.is_none(), "patience at {at:?}, and there was a deadline");
                end.ok_or("no patience")?
            }
            Fact::Verdict(Occasion::NodeUnknown, verdict) => match verdict.end {
                Some(verdict::End::Deadline) => deadline.ok_or("no deadline")?,
                Some(verdict::End::TimedOut | verdict::End::Empty) => end.ok_or("no patience")?,
                _ => continue,
            },
            Fact::Verdict(Occasion::Stopped, _) => {
                hold!(end.is_some_and(|end| *at < end), "stopped after its end at {at:?}");
                continue;
            }
            _ => continue,
        };
        // It moves by fractions of a second without a word: two readings of one time differ.
        hold!(due <= *at + secs(1) && *at <= due + late, "due at {due:?}, said at {at:?}");
    }
    hold!(reported.end.is_none_or(|due| run.ended <= due + late), "ended after the deadline");
    Ok(())
}

fn nothing_after_the_end(_: &Script, run: &Run) -> Finding {
    let mut reported = Reported::default();
    let mut stop: Option<Moment> = None;
    for (at, entry) in &run.timeline {
        reported.observe(*at, entry);
        match entry {
            Entry::Told(Fact::EndsAfterDrain(left)) => stop = Some(*at + *left),
            Entry::Told(Fact::Ends { .. } | Fact::EndsDrained) => stop = Some(*at),
            Entry::BeginsAnew { .. } => stop = None,
            Entry::Ordered(Order::Disconnect) => {}
            Entry::Ordered(order) => {
                let end = reported.end;
                hold!(end.is_none_or(|end| *at < end), "{order:?} at {at:?}, after the end");
                hold!(stop.is_none_or(|stop| *at < stop), "{order:?} at {at:?}, after the stop");
            }
            _ => {}
        }
    }
    Ok(())
}

fn one_last_word(_: &Script, run: &Run) -> Finding {
    let mut reported = Reported::default();
    let mut emptied = false;
    for (at, entry) in &run.timeline {
        let before = reported.draining.clone();
        let transition = reported.observe(*at, entry);
        let Entry::Told(fact) = entry else {
            emptied &= !matches!(entry, Entry::BeginsAnew { .. });
            continue;
        };
        if transition == Some(Transition::Begins) {
            hold!(before.is_none(), "a drain in a drain at {at:?}");
            emptied = false;
        }
        match fact {
            Fact::Verdict(Occasion::Empty | Occasion::Rehearsed, verdict) => {
                hold!(before.is_some() && !emptied, "empty again at {at:?}");
                hold!(verdict.listed, "empty before it is known at {at:?}");
                emptied = true;
            }
            Fact::DeadlineReached => {
                hold!(before.is_some() && emptied, "nothing has changed since which table? {at:?}");
            }
            Fact::Verdict(..) | Fact::DrainBegins(_) | Fact::TakenOver { .. } => {
                hold!(before.is_some(), "{fact:?} without a drain at {at:?}");
            }
            Fact::Ends { .. } => hold!(before.is_none(), "a drain was under way at {at:?}"),
            Fact::EndsDrained => hold!(before.is_some() && emptied, "not drained at {at:?}"),
            Fact::EndsAfterDrain(_) => hold!(before.is_some(), "no drain at {at:?}"),
            _ => {}
        }
    }
    hold!(reported.draining.is_none() || emptied && reported.ending, "a drain without a last word");
    Ok(())
}

fn ends_by_sigterm(script: &Script, run: &Run) -> Finding {
    let came = run.news().find(|(_, news)| **news == News::Terminate);
    let (came, _) = came.ok_or("no SIGTERM")?;
    let said: Vec<Moment> = run
        .facts()
        .filter_map(|(at, fact)| match fact {
            Fact::Ends { .. } | Fact::EndsDrained => Some(at),
            Fact::EndsAfterDrain(left) => Some(at + *left + ms(script.oversleep)),
            _ => None,
        })
        .collect();
    let killed = !script.ends.is_empty() || script.killed_after.is_some();
    // Said once more with each notice that takes over.
    let mut anew = 0;
    for (at, fact) in run.facts() {
        anew += usize::from(came <= at && matches!(fact, Fact::TakenOver { .. }));
    }
    hold!(said.len() == 1 + anew || killed, "SIGTERM was spoken of {} times", said.len());
    let last = said.last().copied().ok_or("SIGTERM was not spoken of")?;
    hold!(came <= run.ended && run.ended <= last, "to end by {last:?}: {:?}", run.ended);
    Ok(())
}

fn no_busy_loop(_: &Script, run: &Run) -> Finding {
    let mut woken: BTreeMap<u64, u32> = BTreeMap::new();
    for (at, entry) in &run.timeline {
        if let Entry::Came(None) = entry {
            let count = woken.entry(at.since(Moment::START).as_secs()).or_default();
            *count += 1;
            hold!(*count <= 100, "woken {count} times in one second at {at:?}");
        }
    }
    Ok(())
}

fn pods_are_followed(_: &Script, run: &Run) -> Finding {
    let mut followed: Option<BTreeSet<String>> = None;
    let mut reported = Reported::default();
    let mut starts = 0;
    for (at, entry) in &run.timeline {
        if reported.observe(*at, entry) == Some(Transition::Begins) {
            starts = 0;
        }
        match entry {
            Entry::Ordered(Order::FollowPods(_)) => {
                starts += 1;
                hold!(reported.draining.is_some(), "followed without a drain at {at:?}");
                hold!(starts <= 1, "followed twice at {at:?}");
                followed.get_or_insert_default();
            }
            Entry::Ordered(Order::Disconnect) | Entry::BeginsAnew { .. } => followed = None,
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

fn nobody_dies(script: &Script, run: &Run) -> Finding {
    let mut reported = Reported::default();
    for (at, entry) in &run.timeline {
        reported.observe(*at, entry);
        let Entry::Ordered(Order::Ask(job)) = entry else { continue };
        hold!(!script.config.policy.marks_only, "{job:?} at {at:?}");
        let evicts = matches!(job.ask, Ask::Evict { .. });
        hold!(evicts || reported.deadline.is_some(), "{job:?} at {at:?}, without a deadline");
    }
    Ok(())
}

fn patches_are_ours(_: &Script, run: &Run) -> Finding {
    let mut version = None;
    let mut reported = Reported::default();
    for (at, entry) in &run.timeline {
        reported.observe(*at, entry);
        match entry {
            Entry::Came(Some(News::Node(NodeAnswer::Is(node)))) => {
                version = Some(node.resource_version.clone());
            }
            Entry::Ordered(Order::PatchNode(_, patch)) => {
                let patch: Value = serde_json::from_str(&patch.text).unwrap();
                let asked = patch["metadata"]["resourceVersion"].as_str();
                hold!(asked.is_some() && asked == version.as_deref(), "{patch} at {at:?}");
                let state = patch["metadata"]["annotations"][STATE_ANNOTATION].as_str();
                let state: Option<Value> = state.map(|it| serde_json::from_str(it).unwrap());
                let notice = state.as_ref().and_then(|state| state["notice"].as_str());
                let notice = notice.and_then(NoticeId::parse);
                let cordons = patch["spec"]["unschedulable"] == true;
                hold!(!cordons || notice.is_some(), "{patch} at {at:?}, for no notice");
                hold!(
                    is_for_drain(notice.as_ref(), &reported),
                    "{patch} at {at:?} is not for {:?}",
                    reported.draining
                );
            }
            _ => {}
        }
    }
    hold!(run.node.is_otherwise_untouched(), "{:?}", run.node);
    Ok(())
}

fn marks_stay(script: &Script, run: &Run) -> Finding {
    let mut standing = ExpectedNotices::new(script);
    let mut reported = Reported::default();
    let mut drained: BTreeSet<NoticeId> = BTreeSet::new();
    // By an earlier process, and this one has not heard of it yet.
    let mut before: BTreeSet<NoticeId> = BTreeSet::new();
    let reboots = script.ends.iter().any(|(_, end)| *end != End::Killed);
    for (at, entry) in &run.timeline {
        let (was_for, kept) = (reported.draining.clone(), reported.deadline.is_some());
        let transition = reported.observe(*at, entry);
        match entry {
            Entry::Came(Some(News::Polled(polled))) => {
                standing.observe(*at, polled);
                drained.append(&mut before.extract_if(.., |id| standing.stands(id)).collect());
                drained.retain(|id| standing.stands(id));
            }
            Entry::Told(Fact::Verdict(Occasion::Deadline, _) | Fact::DeadlineReached)
                if transition == Some(Transition::Ends) && kept =>
            {
                drained.extend(was_for.filter(|id| standing.stands(id)));
            }
            // It is planned for another time.
            Entry::Told(Fact::NoticeScheduled { notice, .. }) => {
                drained.remove(&notice.id);
            }
            Entry::Ordered(Order::PatchNode(_, patch)) => {
                let patch: Value = serde_json::from_str(&patch.text).unwrap();
                let uncordons = patch["spec"].get("unschedulable").is_some_and(Value::is_null);
                hold!(drained.is_empty() || !uncordons, "{drained:?} stand, {patch} at {at:?}");
            }
            Entry::BeginsAnew { .. } => {
                standing.begin_anew();
                before.append(&mut drained);
                // What another boot of the machine makes of them is another question.
                before.retain(|_| !reboots);
            }
            Entry::Told(_) | Entry::Ordered(_) | Entry::Came(_) | Entry::NodeIs { .. } => {}
        }
    }
    Ok(())
}

/// So long after an interruption was last said the node stays as it is.
const A_WHILE: Duration = secs(30);

fn dying_stay_closed(script: &Script, run: &Run) -> Finding {
    let outlives =
        |id: &NoticeId| matches!(id, NoticeId::Interruption(Action::Terminate | Action::Stop));
    let mut standing = ExpectedNotices::new(script);
    let mut said: BTreeMap<NoticeId, Moment> = BTreeMap::new();
    // For what the Node bears marks, as it was last seen.
    let mut noted: Option<NoticeId> = None;
    // What is over in a new boot has come with that.
    let mut booted = script.annotation.as_deref().is_some_and(|it| it.contains("boot-0"));
    for (at, entry) in &run.timeline {
        match entry {
            Entry::Came(Some(News::Polled(polled))) => {
                standing.observe(*at, polled);
                let reading = script.reading(*at);
                let answer = polled.outcome.iter().flat_map(|answer| &answer.standing);
                for notice in answer {
                    if matches!(notice.id, NoticeId::Interruption(_)) && standing.stands(&notice.id)
                    {
                        // An interruption has one action, and that one it is now.
                        said.retain(|id, _| *id == notice.id);
                    }
                    let has_come = booted && notice.when.is_over(reading);
                    if outlives(&notice.id) && standing.stands(&notice.id) && !has_come {
                        said.insert(notice.id.clone(), *at);
                    }
                }
            }
            Entry::Came(Some(News::Node(NodeAnswer::Is(node)))) => {
                let state = node.state.state();
                noted = state.and_then(|state| NoticeId::parse(state.notice.as_deref()?));
            }
            Entry::Ordered(Order::PatchNode(_, patch)) => {
                let patch: Value = serde_json::from_str(&patch.text).unwrap();
                let uncordons = patch["spec"].get("unschedulable").is_some_and(Value::is_null);
                let early = said.iter().find(|(_, said)| *at < **said + A_WHILE);
                hold!(early.is_none() || !uncordons, "{early:?}, and {patch} at {at:?}");
            }
            Entry::BeginsAnew { rebooted } => {
                standing.begin_anew();
                // What was not noted the next process cannot know.
                said.retain(|id, _| !rebooted && noted.as_ref() == Some(id));
                booted |= rebooted;
            }
            Entry::Told(_) | Entry::Ordered(_) | Entry::Came(_) | Entry::NodeIs { .. } => {}
        }
    }
    Ok(())
}

fn dealt_with(script: &Script, run: &Run) -> Finding {
    let mut standing = ExpectedNotices::new(script);
    let mut reported = Reported::default();
    let mut drained: BTreeSet<NoticeId> = BTreeSet::new();
    let before = script.annotation.as_deref().filter(|it| it.contains(BOOT));
    drained.extend(
        before
            .filter(|it| it.contains("drained"))
            .map(|_| NoticeId::Interruption(Action::Terminate)),
    );
    for (at, entry) in &run.timeline {
        let called_off = matches!(entry, Entry::Told(Fact::Verdict(Occasion::CalledOff, _)));
        let was_for = reported.draining.clone();
        if reported.observe(*at, entry) == Some(Transition::Ends) && !called_off {
            drained.extend(was_for);
            drained.extend(standing.all().map(|(id, _)| id.clone()));
        }
        match entry {
            Entry::Came(Some(News::Polled(polled))) => {
                standing.observe(*at, polled);
            }
            Entry::Told(Fact::DrainedBefore(id @ NoticeId::Interruption(_))) => {
                let stated = standing.get(id).map(|seen| seen.when);
                let is_ahead = matches!(stated, Some(When::At(time))
                    if script.reading(*at).moment_of(time).is_some_and(|due| at.until(due) > secs(1)));
                hold!(!is_ahead || drained.contains(id), "{id} at {at:?} was not");
            }
            Entry::BeginsAnew { rebooted } => {
                standing.begin_anew();
                drained.retain(|_| !rebooted);
            }
            Entry::Told(_) | Entry::Ordered(_) | Entry::Came(_) | Entry::NodeIs { .. } => {}
        }
    }
    Ok(())
}

/// Whether the marks are for what the node is drained for, or for what is more certain to come.
fn is_for_drain(marked: Option<&NoticeId>, reported: &Reported) -> bool {
    let doubt = |id: &NoticeId| match id {
        NoticeId::Interruption(_) => 0,
        NoticeId::Lifecycle(_) => 1,
        NoticeId::Maintenance(_) => 2,
        NoticeId::Rebalance => 3,
    };
    let Some(drained) = &reported.draining else { return true };
    marked.is_some_and(|id| id == drained || doubt(id) < doubt(drained))
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
    let mut reported = Reported::default();
    let mut from: Option<Moment> = None;
    for (at, entry) in &run.timeline {
        if reported.observe(*at, entry) == Some(Transition::Begins) {
            from = Some(*at + secs(1));
        }
        match entry {
            Entry::Told(Fact::Marks { change, .. }) if matches!(**change, Change::Cordon(_)) => {
                from = from.map(|from| from.min(*at));
            }
            Entry::Ordered(Order::Ask(job)) => {
                hold!(from.is_some_and(|from| from <= *at), "{job:?} at {at:?}");
            }
            _ => {}
        }
    }
    Ok(())
}

fn cordon_is_true(script: &Script, run: &Run) -> Finding {
    let mut reported = Reported::default();
    for pair in run.timeline.windows(2) {
        let (at, entry) = &pair[0];
        reported.observe(*at, entry);
        let Entry::Told(Fact::Marks { change, dry: false, .. }) = entry else { continue };
        let (Change::Cordon(cordon), (_, Entry::NodeIs { annotation })) = (&**change, &pair[1])
        else {
            continue;
        };
        let state = annotation.as_deref().unwrap_or("{}");
        let state: Value = serde_json::from_str(state).unwrap();
        let notice = state["notice"].as_str().and_then(NoticeId::parse);
        let ours = matches!(cordon, Cordon::Done | Cordon::Kept);
        hold!(
            state["cordoned"] == ours
                && state["bootId"].as_str().is_some_and(|boot| boot.starts_with(BOOT))
                && is_for_drain(notice.as_ref(), &reported),
            "{cordon:?} at {at:?}, and the Node says {state}"
        );
        hold!(!script.config.dry, "{cordon:?} at {at:?} in a dry run");
    }
    Ok(())
}

fn tables_are_complete(_: &Script, run: &Run) -> Finding {
    for DrainSpan { seen, last_table, ended } in DrainSpans::of(run) {
        let Some(Verdict { rows, .. }) = last_table else { continue };
        let told: BTreeSet<&str> = rows.iter().map(|row| row.pod.uid.as_str()).collect();
        hold!(told == seen, "{told:?} were told of at {ended:?}, seen were {seen:?}");
    }
    Ok(())
}

fn what_is_missing_is_found(script: &Script, run: &Run) -> Finding {
    let killed = !script.ends.is_empty() || script.killed_after.is_some();
    let said = |wanted: fn(&Fact) -> bool| run.facts().filter(|(_, fact)| wanted(fact)).count();
    let found = script.config.node.is_some() || said(|it| matches!(it, Fact::NodeFound(_))) > 0;
    // The longest pause, and the longest request before it.
    let settled = script.last_trouble() + secs(30 + 5 + 5);
    hold!(found || run.ended < Moment::at(settled.max(script.name + secs(40))), "no name");
    let missing = said(|fact| matches!(fact, Fact::CredentialsMissing(_)));
    let there = said(|fact| matches!(fact, Fact::CredentialsFound));
    let settled = run.ended > Moment::at(script.credentials + secs(31));
    hold!(there <= missing, "missing {missing} times, there {there} times");
    hold!(killed || missing <= 1, "missing {missing} times");
    hold!(killed || !settled || missing == there, "credentials were not looked for again");
    let unknown = said(|fact| matches!(fact, Fact::NodeUnknown(_)));
    hold!(killed || unknown <= 1, "unknown again and again");
    Ok(())
}

fn what_was_not_seen_is_no_success(_: &Script, run: &Run) -> Finding {
    let mut seen = false;
    for (at, entry) in &run.timeline {
        match entry {
            Entry::Came(Some(News::Node(NodeAnswer::Is(_)))) => seen = true,
            Entry::Told(Fact::Verdict(occasion, verdict)) => {
                let nobody = verdict.rows.is_empty() && *occasion != Occasion::CalledOff;
                let success = nobody && occasion.is_success(verdict);
                hold!(seen || !success, "{occasion:?} at {at:?}, and no Node was seen");
            }
            Entry::BeginsAnew { .. } => seen = false,
            Entry::Told(_) | Entry::Ordered(_) | Entry::Came(_) | Entry::NodeIs { .. } => {}
        }
    }
    Ok(())
}

fn idle_is_idle(_: &Script, run: &Run) -> Finding {
    let mut reported = Reported::default();
    // When something was last asked over the connection that is open.
    let mut open: Option<Moment> = None;
    for (at, entry) in &run.timeline {
        reported.observe(*at, entry);
        match entry {
            Entry::Ordered(Order::Disconnect) | Entry::BeginsAnew { .. } => open = None,
            Entry::Ordered(Order::CheckCredentials) => {}
            Entry::Ordered(_) => open = Some(*at),
            Entry::Came(_) => {
                // What failed is tried again after 30 s at most, and a request takes 35 s at most.
                let idle = open.is_some_and(|since| at.since(since) > secs(30 + 35 + 1));
                hold!(reported.draining.is_some() || !idle, "still connected at {at:?}");
            }
            _ => {}
        }
    }
    Ok(())
}

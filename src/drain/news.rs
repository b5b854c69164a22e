//! What happens in a drain, and what it changes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::drain::ask::{Answer, Ask, Budget};
use crate::drain::budgets::Refusal;
use crate::drain::machine::{Drain, Unread};
use crate::drain::owners::{Owners, Turn};
use crate::drain::pod::{Controller, Exempt, Pod, PodNews};
use crate::drain::progress::DrainProgress;
use crate::drain::record::{FailureKind, Pause, PodState, Record, RequestFailure, Sent};
use crate::drain::timing::seconds;
use crate::drain::verdict::{EndedBy, Failed};
use crate::moment::Moment;

/// After a 403: a missing permission takes longer to fix than other failures.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(5);
/// Before a pod is asked again that was not found: a cache is not so far behind.
const NOT_FOUND_PAUSE: Duration = Duration::from_millis(200);
/// A namespace that is being deleted ends its pods by itself.
const NAMESPACE_PAUSE: Duration = Duration::from_secs(2);

/// What the watch says.
impl Drain {
    /// The watch of the node's pods has something to say.
    pub fn observe(&mut self, now: Moment, news: PodNews) {
        match news {
            PodNews::SetBegins => self.set_begins(),
            PodNews::SetComplete => self.set_complete(now),
            PodNews::Seen(pod) => self.pod_seen(now, pod),
            PodNews::Gone { uid } => self.pod_gone(now, &uid),
            PodNews::Unread { pod, why } => self.pod_unread(pod, why),
            PodNews::Lost { why } => self.watch_lost(why),
        }
    }

    /// A complete set of pods begins.
    pub(super) fn set_begins(&mut self) {
        self.sets.current += 1;
        self.sets.current_unread = Unread::default();
    }

    /// The set is complete: who was not in it is gone, unless one of it could not be read.
    pub(super) fn set_complete(&mut self, now: Moment) {
        let is_first = !std::mem::replace(&mut self.sets.listed, true);
        // Whatever could not be read before is in this set again, or is gone.
        self.sets.unread = self.sets.current_unread.clone();
        if self.sets.unread.count() == 0 {
            let current = self.sets.current;
            let absent = self.records.iter().filter(|(_, record)| record.set < current);
            let absent: Vec<String> = absent.map(|(uid, _)| uid.clone()).collect();
            for uid in absent {
                self.pod_gone(now, &uid);
            }
        }
        if is_first {
            self.tell_who_goes();
        }
    }

    fn tell_who_goes(&mut self) {
        let stays = |record: &Record| matches!(record.state, PodState::Exempt(_));
        let records = self.records.values().map(Box::as_ref);
        let (left_alone, to_go): (Vec<&Record>, Vec<&Record>) = records.partition(|one| stays(one));
        let to_go = to_go.into_iter().map(|record| record.reference().clone()).collect();
        self.progress.push_back(DrainProgress::Listed { to_go, left_alone: left_alone.len() });
    }

    /// A pod is there.
    pub(super) fn pod_seen(&mut self, now: Moment, pod: Pod) {
        let set = self.sets.current;
        let uid = pod.reference.uid.clone();
        self.sets.read(&uid);
        if self.options.rules.own.is(&pod.reference) {
            self.own_pod_seen(pod.time_to_end());
        }
        if let Some(record) = self.records.get_mut(&uid) {
            record.pod = pod;
        } else {
            let record = Box::new(self.meet(now, pod));
            self.records.insert(uid.clone(), record);
        }
        let Some(record) = self.records.get_mut(&uid) else { return };
        record.set = set;
        match (&record.state, record.pod.terminating) {
            // That it is gone was read from a 404 or from a set without it, and another server
            // says otherwise. To ask once more costs a request; not to may cost a pod.
            (PodState::Gone(_), None) => record.state = PodState::Pending,
            (PodState::Exempt(_) | PodState::Tried(_), _)
            | (PodState::Gone(_), Some(_))
            | (_, None) => {}
            (_, Some(terminating)) => {
                record.state = PodState::Ending(record.expected_end().unwrap_or(terminating.ends));
                self.settle_who(&uid);
            }
        }
    }

    /// The pod with this UID is gone.
    pub(super) fn pod_gone(&mut self, now: Moment, uid: &str) {
        self.sets.read(uid);
        let Some(record) = self.records.get_mut(uid) else { return };
        let runs_on = matches!(record.state, PodState::Exempt(Exempt::Returning(_)));
        if !runs_on
            && matches!(record.state, PodState::Gone(_) | PodState::Exempt(_) | PodState::Tried(_))
        {
            return;
        }
        record.state = PodState::Gone(now);
        let pod = record.reference().clone();
        self.settle_who(uid);
        self.progress.push_back(DrainProgress::Gone { pod, after: now.since(self.began) });
    }

    /// A pod could not be read: from now on it is not known whether all are gone. One of which it is known
    /// which it is counts once, however often it changes.
    pub(super) fn pod_unread(&mut self, pod: Option<String>, why: String) {
        // Of one that was read before, what is known stays known.
        if let Some(record) = pod.as_ref().and_then(|uid| self.records.get_mut(uid)) {
            record.set = self.sets.current;
            return;
        }
        self.sets.current_unread.add(pod.clone());
        if self.sets.unread.add(pod) {
            self.progress.push_back(DrainProgress::Unread { why });
        }
    }

    /// The watch was lost, and is opened again.
    pub(super) fn watch_lost(&mut self, why: String) {
        self.progress.push_back(DrainProgress::WatchLost { why });
    }

    /// Settles by whose doing a pod is leaving. Its owner is to know that it was deleted against its
    /// budget, even if the answer that would have shown it was lost.
    fn settle_who(&mut self, uid: &str) {
        let Some(record) = self.records.get_mut(uid) else { return };
        let pod = record.reference().clone();
        let who = record.settle_who().cloned();
        if matches!(who, Some(EndedBy::Eviction | EndedBy::Deletion(_))) {
            self.owners.told_to_end(record.pod.controller.as_ref(), record.round);
        }
        if let Some(EndedBy::Deletion(obstacle)) = who {
            self.progress.push_back(DrainProgress::Deleted { pod, grace: None, obstacle });
        }
    }

    /// To which round a late pod belongs. Its predecessor may be terminating by a request whose
    /// answer is still to come.
    fn round_of(&self, pod: &Pod) -> u32 {
        let known = self.owners.round(pod.controller.as_ref());
        let counts = matches!(&pod.controller, Some(Controller::Other(uid)) if !uid.is_empty());
        let mates = self.records.values().filter(|it| it.pod.controller == pod.controller);
        let ended = mates.filter(|it| counts && it.is_leaving() && it.is_ended_by_us());
        ended.map(|it| it.round.saturating_add(1)).max().map_or(known, |round| round.max(known))
    }

    /// The record of a pod that was never seen before.
    fn meet(&mut self, now: Moment, pod: Pod) -> Record {
        let reference = &pod.reference;
        let grace = self.options.whole_grace(pod.grace);
        let late = self.sets.listed;
        let round = if late { self.round_of(&pod) } else { 0 };
        let lets_be = !self.options.limit.instance_goes() && Owners::is_let_be(round);
        let exempt = self.options.rules.exempt(&pod, late);
        let exempt = exempt.or_else(|| lets_be.then_some(Exempt::Returning(round)));
        let state = if let Some(why) = exempt {
            self.progress.push_back(DrainProgress::LeftAlone(reference.clone(), why.clone()));
            PodState::Exempt(why)
        } else {
            let pod = reference.clone();
            match round {
                // One may have been bound before the cordon.
                0 | 1 if late => self.progress.push_back(DrainProgress::Late(pod)),
                0 => {}
                times => self.progress.push_back(DrainProgress::Returned { pod, times }),
            }
            PodState::Pending
        };
        let mut record = Record::new(pod, grace, state);
        record.round = round;
        let timing = self.options.timing();
        record.turn = Turn::of(now, round, timing.own_time(grace), timing.last_own_time());
        record.ended_by = record.pod.terminating.map(|_| EndedBy::Earlier);
        record
    }
}

/// What the API server answers.
impl Drain {
    /// The request under way for the pod with this UID was answered, or came to nothing.
    pub fn answered(&mut self, now: Moment, uid: &str, answer: Answer) {
        let Some(record) = self.records.get_mut(uid) else { return };
        let Some(sent) = record.in_flight.take() else { return };
        if let Some(budget) = &sent.tries {
            self.budgets.tried(record.last_asked, budget);
        }
        if sent.ask == Ask::MarkDisrupted {
            record.disruption_target_asked = true;
        }
        let answers = !matches!(
            answer,
            Answer::Busy { .. } | Answer::Failed(_) | Answer::Unauthorized(_) | Answer::Broken(_)
        );
        match answer {
            Answer::Accepted => self.accepted(now, uid, &sent),
            Answer::Gone if self.is_doubtful(uid) => self.not_found(now, uid),
            Answer::Gone | Answer::Replaced => self.pod_gone(now, uid),
            Answer::Blocked(budget) => self.blocked(now, uid, budget, &sent),
            // Best effort, and once: whatever comes of it, the deletion follows.
            answer if sent.ask == Ask::MarkDisrupted => self.not_marked(uid, answer),
            Answer::NamespaceTerminating => self.namespace_terminating(now, uid, &sent),
            Answer::Forbidden(message) => self.forbidden(now, uid, &sent, message),
            Answer::Failed(why) => {
                self.failed(now, uid, &sent, FailureKind::Failed, why, Duration::ZERO);
            }
            Answer::Busy { retry_after, why } => {
                let pause = retry_after.unwrap_or_default();
                self.failed(now, uid, &sent, FailureKind::Busy, why, pause);
            }
            Answer::Unauthorized(credential) => {
                let why = format!("the API server does not accept {credential} (401)");
                self.failed(now, uid, &sent, FailureKind::Unauthorized, why, Duration::ZERO);
            }
            Answer::Broken(why) => {
                if let Some(record) = self.records.get_mut(uid) {
                    record.unanswered.clone_from(&sent.ends);
                }
                self.failed(now, uid, &sent, FailureKind::Broken, why, Duration::ZERO);
            }
        }
        self.settle_who(uid);
        if answers {
            self.note_recovery(now);
        }
    }

    /// Whether it is too soon to believe that a pod is not there: the watch has shown it, and it was not
    /// found for the first time.
    fn is_doubtful(&self, uid: &str) -> bool {
        self.records.get(uid).is_some_and(|record| {
            record.state == PodState::Pending
                && !record.not_found
                && record.pod.terminating.is_none()
        })
    }

    /// The API server did not find a pod. Who asks in a node's name is answered from a cache, in which a
    /// pod that was just bound is missing for some milliseconds (admission plugin `NodeRestriction`).
    fn not_found(&mut self, now: Moment, uid: &str) {
        let Some(record) = self.records.get_mut(uid) else { return };
        record.not_found = true;
        record.pause = Some(Pause { since: now, length: NOT_FOUND_PAUSE, of_deletion: false });
        let why = "the API server did not find it (404)".into();
        record.failure = Some(RequestFailure::Passing(Failed { answered: true, why }));
    }

    fn accepted(&mut self, now: Moment, uid: &str, sent: &Sent) {
        if sent.ask == Ask::MarkDisrupted {
            return;
        }
        if let Some(budget) = &sent.tries {
            self.budgets.freed(now, budget);
        }
        let Some(record) = self.records.get_mut(uid) else { return };
        record.failure = None;
        record.backoff.reset();
        let pod = record.reference().clone();
        let (grace, progress) = match sent.ask {
            Ask::MarkDisrupted => return,
            Ask::Evict { dry: true, .. } if record.is_leaving() => return,
            Ask::Evict { dry: true, .. } => {
                record.state = PodState::Tried(None);
                self.progress.push_back(DrainProgress::WouldEvict(pod));
                return;
            }
            Ask::Evict { grace, dry: false } => {
                (grace, DrainProgress::Evicted { pod, grace, wanted: record.grace })
            }
            Ask::Delete { grace } => match &sent.ends {
                // Unless that was reported when it was seen to end, and is now only hurried.
                Some(by @ EndedBy::Deletion(obstacle))
                    if record.accepted.is_none() && record.ended_by.as_ref() != Some(by) =>
                {
                    let obstacle = obstacle.clone();
                    (grace, DrainProgress::Deleted { pod, grace: Some(grace), obstacle })
                }
                _ => (grace, DrainProgress::Shortened { pod, grace }),
            },
        };
        record.ended_by.clone_from(&sent.ends);
        self.owners.told_to_end(record.pod.controller.as_ref(), record.round);
        // Counted from when it was sent: a slow answer is no reason to hurry the pod again.
        let since = record.last_asked.unwrap_or(now);
        record.accepted = Some((since, grace));
        let ours = since + seconds(grace);
        match (&record.state, sent.ask) {
            (PodState::Gone(_), _) => {}
            // An eviction leaves the grace of a pod that was ending already as it is.
            (_, Ask::Evict { .. }) => {
                record.state = PodState::Ending(record.expected_end().unwrap_or(ours));
            }
            _ => record.state = PodState::Ending(ours),
        }
        self.progress.push_back(progress);
    }

    fn blocked(&mut self, now: Moment, uid: &str, budget: Budget, sent: &Sent) {
        let Some(record) = self.records.get(uid) else { return };
        let holding = self.records.values().filter_map(|record| match &record.state {
            PodState::Blocked(budget) => Some(budget),
            _ => None,
        });
        let refusal = Refusal {
            again: sent.tries.as_deref() == Some(&budget),
            waiting: holding.collect::<BTreeSet<_>>().len(),
            longest_pause: self.options.timing().budget_pause(now, record.grace),
        };
        let overridden_at = self.options.deletes_at(record.grace);
        let budget = self.budgets.refused(now, budget, refusal, &mut self.jitter);
        let Some(record) = self.records.get_mut(uid) else { return };
        record.failure = None;
        record.refusal = None;
        record.backoff.reset();
        if record.is_leaving() {
            return;
        }
        let pod = record.reference().clone();
        if self.options.dry {
            record.state = PodState::Tried(Some(Arc::clone(&budget)));
            self.progress.push_back(DrainProgress::WouldBlock(pod, budget));
            return;
        }
        let blocked = PodState::Blocked(Arc::clone(&budget));
        let known = std::mem::replace(&mut record.state, blocked);
        if known != record.state {
            let deleted_in = overridden_at.map(|moment| now.until(moment));
            self.progress.push_back(DrainProgress::Blocked { pod, budget, deleted_in });
        }
    }

    /// The condition `DisruptionTarget` could not be set. That matters for the count of a Job's
    /// failures; an answer that is lost is not worth a word.
    fn not_marked(&mut self, uid: &str, answer: Answer) {
        let (Answer::Forbidden(why) | Answer::Failed(why) | Answer::Busy { why, .. }) = answer
        else {
            return;
        };
        let Some(record) = self.records.get(uid) else { return };
        if !std::mem::replace(&mut self.disruption_target_failure_said, true) {
            let pod = record.reference().clone();
            self.progress.push_back(DrainProgress::NotMarked { pod, why });
        }
    }

    fn namespace_terminating(&mut self, now: Moment, uid: &str, sent: &Sent) {
        let deleted_in = self.deleted_in(now, uid, sent);
        let Some(record) = self.records.get_mut(uid) else { return };
        record.pause = Some(Pause::after(sent, now, NAMESPACE_PAUSE));
        if record.failed(RequestFailure::NamespaceTerminating, false)
            != Some(RequestFailure::NamespaceTerminating)
        {
            let pod = record.reference().clone();
            self.progress.push_back(DrainProgress::NamespaceTerminating { pod, deleted_in });
        }
    }

    fn forbidden(&mut self, now: Moment, uid: &str, sent: &Sent, message: String) {
        let deleted_in = self.deleted_in(now, uid, sent);
        let Some(record) = self.records.get_mut(uid) else { return };
        record.pause = Some(Pause::after(sent, now, FORBIDDEN_PAUSE));
        let failed = Failed { answered: true, why: message.as_str().into() };
        record.failed(RequestFailure::Forbidden(failed), false);
        if !self.forbidden_said {
            self.forbidden_said = true;
            let pod = record.reference().clone();
            self.progress.push_back(DrainProgress::Forbidden { pod, message, deleted_in });
        }
    }

    /// How long it is until a pod is deleted whose eviction has failed; `None`: it was a deletion that
    /// has failed, or the pod will not be.
    fn deleted_in(&self, now: Moment, uid: &str, sent: &Sent) -> Option<Duration> {
        let record = self.records.get(uid)?;
        let is_eviction = matches!(sent.ask, Ask::Evict { dry: false, .. });
        let at =
            self.options.deletes_at(record.grace).filter(|_| is_eviction && !record.is_leaving());
        at.map(|at| now.until(at))
    }

    /// A failure that passes. `asked_pause`: what the server wants.
    fn failed(
        &mut self,
        now: Moment,
        uid: &str,
        sent: &Sent,
        kind: FailureKind,
        why: String,
        asked_pause: Duration,
    ) {
        let deleted_in = self.deleted_in(now, uid, sent);
        let Some(record) = self.records.get_mut(uid) else { return };
        let known = record.failure.is_some() || matches!(record.state, PodState::Blocked(_));
        // What the end has cut short says nothing of why the pod is still there.
        let cut_short = known && now >= self.options.limit.end();
        if cut_short || !record.is_open(now, &self.options.timing()) {
            return;
        }
        let pause = record.backoff.next(&mut self.jitter);
        record.pause = Some(Pause::after(sent, now, pause.max(asked_pause)));
        let answered = kind == FailureKind::Failed;
        let failed = Failed { answered, why: why.as_str().into() };
        record.failed(RequestFailure::Passing(failed), kind == FailureKind::Broken);
        self.failed_requests += 1;
        if !self.failures_said.contains(&kind) {
            self.failures_said.push(kind);
            let pod = record.reference().clone();
            self.progress.push_back(DrainProgress::Failing { pod, why, deleted_in });
        }
    }

    fn note_recovery(&mut self, now: Moment) {
        let failing = |record: &Record| {
            matches!(record.failure, Some(RequestFailure::Passing(_)))
                && record.is_open(now, &self.options.timing())
        };
        if self.failed_requests > 0 && !self.records.values().any(|record| failing(record)) {
            let failed = std::mem::take(&mut self.failed_requests);
            self.failures_said.clear();
            self.progress.push_back(DrainProgress::Recovered { failed });
        }
    }
}

//! What the drain knows of one pod.

use std::sync::Arc;
use std::time::Duration;

use crate::drain::ask::{Ask, Budget, Grace, PodRef};
use crate::drain::owners::Turn;
use crate::drain::pod::{Exempt, Pod};
use crate::drain::timing::{Backoff, Timing, seconds};
use crate::drain::verdict::{Certainty, End, EndedBy, Failed, Obstacle, Outcome, Reason};
use crate::moment::Moment;

/// One pod, from when it was first seen.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and most are rare")]
#[derive(Debug)]
pub(super) struct Record {
    /// As last seen.
    pub(super) pod: Pod,
    /// The grace it would get, were there time enough.
    pub(super) grace: Grace,
    /// Where it stands.
    pub(super) state: PodState,
    /// The request under way, if there is one. Never two.
    pub(super) in_flight: Option<Sent>,
    /// Who brought it to its end, as far as that is known.
    pub(super) ended_by: Option<EndedBy>,
    /// Who will have ended it if it ends now: a request of ours went out and its answer was lost.
    pub(super) unanswered: Option<EndedBy>,
    /// The last accepted request: when it was sent, and its grace.
    pub(super) accepted: Option<(Moment, Grace)>,
    /// Whether the condition `DisruptionTarget` was asked for, with whatever success.
    pub(super) disruption_target_asked: bool,
    /// What had kept it from being evicted when it was first to be deleted for that.
    pub(super) obstacle: Option<Obstacle>,
    /// What the API server answered last, if that refused it and no budget did.
    pub(super) refusal: Option<Failed>,
    /// Whether there was no answer to its last request that failed.
    pub(super) silent: bool,
    /// What the last request failed for, if it did.
    pub(super) failure: Option<RequestFailure>,
    /// The pause after a request that came to nothing.
    pub(super) pause: Option<Pause>,
    /// The pauses between failed requests.
    pub(super) backoff: Backoff,
    /// It was not found when it was asked. If that is so again, it is gone.
    pub(super) not_found: bool,
    /// When it was last asked.
    pub(super) last_asked: Option<Moment>,
    /// How many pods of its controller came before it on this node, each evicted by this drain.
    pub(super) round: u32,
    /// When it is evicted first, for its controller's sake.
    pub(super) turn: Turn,
    /// Whether a request about it was given up. From then on it gives way to no other pod.
    pub(super) gave_way: bool,
    /// The last set of pods in which it was.
    pub(super) set: u32,
}

/// Where a pod stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PodState {
    /// It stays.
    Exempt(Exempt),
    /// It is to be evicted.
    Pending,
    /// A budget has refused it.
    Blocked(Arc<Budget>),
    /// It is terminating, and should have ended at that moment.
    Ending(Moment),
    /// It is gone since.
    Gone(Moment),
    /// A dry run: the answer; a budget if that would refuse.
    Tried(Option<Arc<Budget>>),
}

/// A pause, as it began. When it ends depends on the time that is left by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pause {
    /// When it began.
    pub(super) since: Moment,
    /// How long it is to be.
    pub(super) length: Duration,
    /// Whether it is a deletion that waits. An eviction's pause holds up no deletion.
    pub(super) of_deletion: bool,
}

impl Pause {
    /// That follows what was sent.
    pub(super) fn after(sent: &Sent, since: Moment, length: Duration) -> Self {
        Self { since, length, of_deletion: matches!(sent.ask, Ask::Delete { .. }) }
    }
}

/// A request under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// What was asked.
    pub(super) ask: Ask,
    /// Who will have ended the pod if this is accepted; `None`: it ends nothing.
    pub(super) ends: Option<EndedBy>,
    /// The budget that is being tried with it again.
    pub(super) tries: Option<Arc<Budget>>,
    /// It is waited for no longer; that it came to nothing is still to be reported.
    pub(super) given_up: bool,
}

/// Why the last request about a pod came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RequestFailure {
    /// Something that passes: the server is busy, away, or has a new token for us.
    Passing(Failed),
    /// A permission is missing, or an admission policy says no.
    Forbidden(Failed),
    /// Its namespace is being deleted.
    NamespaceTerminating,
}

impl RequestFailure {
    /// In words.
    fn failed(&self) -> Failed {
        match self {
            Self::Passing(failed) | Self::Forbidden(failed) => failed.clone(),
            Self::NamespaceTerminating => {
                Failed { answered: true, why: "its namespace is being deleted".into() }
            }
        }
    }
}

/// What sort of thing passes: the first of each is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// The server has tried, and failed.
    Failed,
    /// The server answers, but not now.
    Busy,
    /// It does not know who asks.
    Unauthorized,
    /// There is no usable answer.
    Broken,
}

/// The pause before a failed request is made again.
const RETRIES: Backoff = Backoff::from_millis(100, 2000);

impl Record {
    /// A pod seen for the first time.
    pub(super) fn new(pod: Pod, grace: Grace, state: PodState) -> Self {
        Self {
            pod,
            grace,
            state,
            in_flight: None,
            ended_by: None,
            unanswered: None,
            accepted: None,
            disruption_target_asked: false,
            obstacle: None,
            refusal: None,
            silent: false,
            failure: None,
            pause: None,
            backoff: RETRIES,
            not_found: false,
            last_asked: None,
            round: 0,
            turn: Turn::AtOnce,
            gave_way: false,
            set: 0,
        }
    }

    /// Which pod.
    pub(super) fn reference(&self) -> &Arc<PodRef> {
        &self.pod.reference
    }

    /// Whether the drain has nothing more to do with it.
    pub(super) fn is_done(&self) -> bool {
        self.in_flight.is_none()
            && matches!(self.state, PodState::Exempt(_) | PodState::Gone(_) | PodState::Tried(_))
    }

    /// Whether it is gone or terminating, by whatever request.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.state, PodState::Ending(_) | PodState::Gone(_))
    }

    /// Whether it is terminating with more time than there is, and would end sooner if it were
    /// deleted again now.
    pub(super) fn ends_too_late(&self, now: Moment, timing: &Timing) -> bool {
        matches!(self.state, PodState::Ending(ends) if timing.is_too_late(now, ends, self.grace))
    }

    /// This is not asked before that.
    pub(super) fn not_before(&self, timing: &Timing, ask: Ask) -> Moment {
        let same = |pause: &Pause| match ask {
            Ask::Evict { .. } => !pause.of_deletion,
            Ask::Delete { .. } => pause.of_deletion,
            Ask::MarkDisrupted => false,
        };
        let pause = self.pause.filter(same);
        pause.map_or(Moment::START, |pause| timing.pause(pause.since, pause.length, self.grace))
    }

    /// A request about it came to nothing; `silent`: there was no answer. Gives what the one before
    /// failed for, if it did.
    pub(super) fn failed(
        &mut self,
        failure: RequestFailure,
        silent: bool,
    ) -> Option<RequestFailure> {
        if !silent {
            self.refusal = Some(failure.failed()).filter(|failed| failed.answered);
        }
        self.silent = silent;
        self.failure.replace(failure)
    }

    /// Whether there was no answer to its last request, for so long if it is still under way.
    pub(super) fn is_unanswered(&self, now: Moment, longest: Duration) -> bool {
        match &self.in_flight {
            Some(_) => self.last_asked.is_some_and(|asked| asked + longest <= now),
            None => self.silent && self.failure.is_some() && !self.is_leaving(),
        }
    }

    /// What has kept it from being evicted. Deletions that fail after that change nothing of it.
    pub(super) fn obstacle(&mut self) -> Obstacle {
        let obstacle = self.obstacle.take().unwrap_or_else(|| match (&self.state, &self.failure) {
            (PodState::Blocked(budget), _) if self.refusal.is_none() => {
                Obstacle::Budget(Arc::clone(budget))
            }
            (_, Some(failure)) => {
                let failed = failure.failed();
                // An answer before says more than none.
                let refusal = self.refusal.take().filter(|_| self.silent);
                Obstacle::Failed(refusal.map_or_else(
                    || failed.clone(),
                    |refusal| Failed {
                        answered: true,
                        why: format!("{refusal}; then: {failed}").into(),
                    },
                ))
            }
            (_, None) => Obstacle::Failed(Failed { answered: false, why: "no answer came".into() }),
        });
        self.obstacle.insert(obstacle).clone()
    }

    /// Whether something is still wanted of it.
    pub(super) fn is_open(&self, now: Moment, timing: &Timing) -> bool {
        match self.state {
            PodState::Pending | PodState::Blocked(_) => true,
            PodState::Ending(_) => self.ends_too_late(now, timing),
            PodState::Exempt(_) | PodState::Gone(_) | PodState::Tried(_) => false,
        }
    }

    /// When a terminating pod should have ended: by our own count where the grace it has is no
    /// longer than what we asked for, for then only our own clock matters; else by the server's.
    pub(super) fn expected_end(&self) -> Option<Moment> {
        let ours = self.accepted.map(|(at, grace)| (at + seconds(grace), grace.get()));
        match (self.pod.terminating, ours) {
            (None, ours) => ours.map(|(ends, _)| ends),
            (Some(theirs), Some((ends, grace))) if theirs.grace <= grace => Some(ends),
            (Some(theirs), _) => Some(theirs.ends),
        }
    }

    /// If it is leaving: settles by whose doing, unless an answer that tells is still to come. Who
    /// it is, if that was open before.
    pub(super) fn settle_who(&mut self) -> Option<&EndedBy> {
        let open = self.is_leaving() && self.in_flight.is_none() && self.ended_by.is_none();
        let who = || self.unanswered.clone().unwrap_or(EndedBy::Others);
        open.then(who).map(|who| &*self.ended_by.insert(who))
    }

    /// By whose doing it is leaving; before an answer has shown it, by that of the request under way.
    fn probably_ended_by(&self) -> Option<&EndedBy> {
        let asked = self.in_flight.as_ref().and_then(|sent| sent.ends.as_ref());
        self.ended_by.as_ref().or(asked).or(self.unanswered.as_ref())
    }

    /// Whether it is leaving because of an eviction or a deletion of ours, as far as is known.
    pub(super) fn is_ended_by_us(&self) -> bool {
        matches!(self.probably_ended_by(), Some(EndedBy::Eviction | EndedBy::Deletion(_)))
    }

    /// What became of it so far; `end`: how the drain ended, if it has.
    pub(super) fn outcome(&self, end: Option<End>) -> Outcome {
        let certainty = match self.accepted {
            Some(_) => Certainty::Confirmed,
            None => Certainty::AnswerLost,
        };
        match &self.state {
            PodState::Exempt(why) => Outcome::LeftAlone(why.clone()),
            PodState::Tried(None) => Outcome::WouldEvict,
            PodState::Tried(Some(budget)) => Outcome::WouldBlock(budget.clone()),
            PodState::Gone(_) => match self.probably_ended_by() {
                Some(EndedBy::Eviction) => Outcome::Evicted(certainty),
                Some(EndedBy::Deletion(obstacle)) => Outcome::Deleted(obstacle.clone(), certainty),
                Some(EndedBy::Shortening) => Outcome::Shortened,
                Some(EndedBy::Earlier) => Outcome::EndingAlready,
                Some(EndedBy::Others) | None => Outcome::EndedByOthers,
            },
            PodState::Pending | PodState::Blocked(_) | PodState::Ending(_) => match end {
                Some(End::Stopped) => Outcome::HandedOver(self.reason()),
                Some(End::CalledOff) => self.called_off(),
                Some(End::Deadline | End::TimedOut | End::Empty) | None => {
                    Outcome::StillThere(self.reason())
                }
            },
        }
    }

    /// What the end of a drain that is called off means for a pod that is still there.
    fn called_off(&self) -> Outcome {
        // The API server may have done what it did not answer, unless it has refused since.
        let refused = matches!(self.state, PodState::Blocked(_)) && self.failure.is_none();
        let asked = self.in_flight.as_ref().is_some_and(|sent| sent.ends.is_some());
        match self.state {
            PodState::Ending(_) => Outcome::ToldToEnd(self.reason()),
            _ if asked || self.unanswered.is_some() && !refused => {
                Outcome::ToldToEnd(Reason::Unanswered)
            }
            _ => Outcome::CalledOff,
        }
    }

    /// When it was gone, if it is.
    pub(super) fn gone_at(&self) -> Option<Moment> {
        match self.state {
            PodState::Gone(at) => Some(at),
            _ => None,
        }
    }

    fn reason(&self) -> Reason {
        match (&self.state, &self.failure) {
            (PodState::Ending(_), _) => Reason::Ending {
                by: self.probably_ended_by().cloned(),
                finalizer: self.pod.finalizer.clone(),
            },
            (_, Some(failure)) => Reason::Failed(failure.failed()),
            (PodState::Blocked(budget), None) => Reason::Blocked(budget.clone()),
            (_, None) if self.in_flight.is_some() => Reason::Unanswered,
            (_, None) if self.round > 1 => Reason::Returning(self.round),
            (_, None) => Reason::NotAsked,
        }
    }
}

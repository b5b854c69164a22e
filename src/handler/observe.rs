//! What comes: answers of the metadata service and of the API server, the pods, SIGTERM. It is noted for the next plan,
//! or passed on to the drain, and what it says of the way it came is reported.

use std::sync::Arc;
use std::time::Duration;

use crate::drain::machine::Presence;
use crate::drain::pod::{OwnPod, PodNews};
use crate::handler::by_hand::Success;
use crate::handler::node_patcher::PatcherEvent;
use crate::handler::retry::Transition;
use crate::handler::run::{Goal, Handler};
use crate::handler::world::{News, World};
use crate::moment::{Moment, Reading};
use crate::node::NodeAnswer;
use crate::notice::Polled;
use crate::plan::observed::PathHealth;
use crate::report::fact::{Fact, Purpose};

impl Handler {
    /// Takes in what came.
    pub(super) fn observe(&mut self, news: News, world: &mut impl World) {
        let reading = world.read_clock();
        let now = reading.now;
        match news {
            News::Polled(polled) => self.polled(reading, polled, world),
            News::WithoutToken { status } => world.tell(Fact::WithoutToken(status)),
            News::Credentials(found) => self.credentials_read(now, found, world),
            News::NodeFound(found) => self.node_found(now, found, world),
            News::Terminate => self.terminate(now, world),
            News::Node(answer) => self.node_answered(now, answer, world),
            News::Pods(pods) => {
                if pods == PodNews::SetBegins {
                    // After an outage: a cordon that came later than the first evictions would let replacements of
                    // these pods come back to this node.
                    self.patcher.hurry(now);
                }
                if let Some(drain) = &mut self.drain {
                    drain.observe(now, pods);
                }
            }
            News::Answered { pod, answer } => {
                if let Some(drain) = &mut self.drain {
                    drain.answered(now, &pod.uid, answer);
                }
            }
        }
    }

    /// A path of the metadata service was polled.
    fn polled(&mut self, reading: Reading, polled: Polled, world: &mut impl World) {
        let (path, status, good) = (polled.path, polled.status, polled.outcome.is_ok());
        world.tell(Fact::Polled { path, status, good });
        match self.observed.polled(reading, polled) {
            Some(PathHealth::Failing(why)) => world.tell(Fact::MetadataFailing(path, why)),
            Some(PathHealth::Recovered(failed)) => {
                world.tell(Fact::MetadataRecovered(path, failed));
            }
            None => {}
        }
        self.is_stale = true;
    }

    fn terminate(&mut self, now: Moment, world: &mut impl World) {
        if std::mem::replace(&mut self.is_terminated, true) {
            return;
        }
        self.is_stale = true;
        let unsettled = self.patcher.is_unsettled();
        if let Goal::ByHand(by_hand) = &mut self.goal {
            match self.drain.take() {
                Some(drain) => {
                    by_hand.verdict = Some(Box::new(drain.call_off(now)));
                    by_hand.drained = Some(false);
                }
                None => by_hand.success = Some(Success::Partial),
            }
            return;
        }
        world.tell(match &mut self.drain {
            Some(drain) if !drain.is_emptied() => {
                Fact::EndsAfterDrain(drain.stop(now, self.config.shutdown_grace))
            }
            Some(drain) => {
                let is_clean = drain.is_clean(now);
                self.drain = None;
                if is_clean { Fact::EndsDrained } else { Fact::Ends { unsettled } }
            }
            None => Fact::Ends { unsettled },
        });
    }

    fn node_answered(&mut self, now: Moment, answer: NodeAnswer, world: &mut impl World) {
        self.is_stale = true;
        let is_missing = matches!(answer, NodeAnswer::Missing(_));
        let is_forbidden = matches!(answer, NodeAnswer::Forbidden(_));
        self.is_present(&answer, world);
        match self.patcher.observe(now, answer, self.longest_pause(), &mut self.jitter) {
            Some(PatcherEvent::Read(node)) => match &mut self.goal {
                Goal::Notices => drop(self.observed.node.get_or_insert(node)),
                Goal::ByHand(by_hand) => {
                    if by_hand.read(node) {
                        world.tell(Fact::MarksUnreadable);
                    }
                }
            },
            Some(PatcherEvent::TaintForbidden(why)) => {
                if let Goal::ByHand(by_hand) = &mut self.goal {
                    by_hand.left = true;
                }
                world.tell(Fact::TaintForbidden(why));
            }
            Some(PatcherEvent::Failing(why)) => {
                if let Goal::ByHand(by_hand) = &mut self.goal
                    && by_hand.is_hopeless(is_forbidden)
                {
                    by_hand.success = Some(Success::None(why));
                    return;
                }
                let purpose = self.purpose();
                let before = self.node_fails.replace((purpose, is_missing));
                if before == Some((purpose, is_missing)) {
                    return;
                }
                world.tell(match self.name.clone().filter(|_| is_missing) {
                    Some(name) => Fact::NodeMissing { name, purpose, why },
                    None => Fact::NodeFailing(purpose, why),
                });
            }
            None => {}
        }
    }

    /// What the Node is read or changed for.
    fn purpose(&self) -> Purpose {
        if let Goal::ByHand(by_hand) = &self.goal {
            return by_hand.purpose();
        }
        match (&self.drain, self.patcher.wants_marks()) {
            (Some(drain), _) if !drain.is_marked() => Purpose::Drain,
            (Some(_), _) | (None, true) => Purpose::Mark,
            (None, false) if self.plan.memory.is_adopted() => Purpose::TakeBack,
            (None, false) => Purpose::Recall,
        }
    }

    /// Whether there is such a Node, as far as an answer shows.
    fn is_present(&mut self, answer: &NodeAnswer, world: &mut impl World) {
        let presence = match answer {
            NodeAnswer::Is(_) => Presence::Present,
            NodeAnswer::Missing(_) => Presence::Absent,
            NodeAnswer::Conflict | NodeAnswer::Forbidden(_) | NodeAnswer::Failed(_) => return,
        };
        let before = std::mem::replace(&mut self.presence, presence);
        if let Some(drain) = &mut self.drain {
            drain.node_is(presence);
        }
        if let (Presence::Absent, Presence::Present, Some(name)) =
            (before, presence, self.name.clone())
        {
            world.tell(Fact::NodeThere(name));
        }
    }

    fn credentials_read(
        &mut self,
        now: Moment,
        read: Result<OwnPod, String>,
        world: &mut impl World,
    ) {
        let longest = self.longest_pause();
        let transition = self.credentials.finished(now, read.is_ok(), longest, &mut self.jitter);
        match read {
            Ok(own) => {
                if let Some(drain) = &mut self.drain {
                    drain.own_pod(own.clone());
                }
                self.config.rules.own.complete(own);
                if transition == Transition::Recovered {
                    world.tell(Fact::CredentialsFound);
                }
            }
            Err(why) => match &mut self.goal {
                Goal::ByHand(by_hand) => by_hand.success = Some(Success::None(why)),
                Goal::Notices if transition == Transition::Failing => {
                    world.tell(Fact::CredentialsMissing(why));
                }
                Goal::Notices => {}
            },
        }
    }

    fn node_found(&mut self, now: Moment, found: Result<String, String>, world: &mut impl World) {
        let longest = self.longest_pause();
        let transition = self.node_search.finished(now, found.is_ok(), longest, &mut self.jitter);
        match found {
            Ok(name) => {
                self.name = Some(Arc::from(name.as_str()));
                world.tell(Fact::NodeFound(name));
            }
            Err(why) if transition == Transition::Failing => world.tell(Fact::NodeUnknown(why)),
            Err(_) => {}
        }
    }

    /// Before what is missing is looked for again.
    fn longest_pause(&self) -> Duration {
        match self.drain {
            Some(_) => Duration::from_secs(2),
            None => Duration::from_secs(30),
        }
    }
}

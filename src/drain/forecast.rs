//! What would become of every pod, if the drain began now and the API server went on answering as it
//! does now. Pure, and decided by the same rules as the drain itself.

use std::sync::Arc;
use std::time::Duration;

use crate::drain::DrainOptions;
use crate::drain::ask::{Budget, Grace, PodRef};
use crate::drain::limit::Limit;
use crate::drain::pod::{Exempt, Pod, Tier};
use crate::drain::timing::seconds;
use crate::drain::verdict::{Obstacle, Outcome, Reason, Verdict};
use crate::moment::Moment;

/// What would become of one pod. All times count from now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Which pod.
    pub pod: Arc<PodRef>,
    /// Its turn.
    pub tier: Tier,
    /// When it would first be asked to go; `None`: it would not.
    pub asked: Option<Asked>,
    /// The seconds it would get to end; `None`: it would not be evicted.
    pub grace: Option<Grace>,
    /// The seconds it would get, were there time enough: its own, or the operator's limit.
    pub whole: Grace,
    /// What would become of it.
    pub fate: Fate,
    /// What is worth a word besides. None of it is a loss.
    pub remarks: Vec<Remark>,
}

/// When a pod would first be asked: not before one moment, and not after the other. They differ where
/// it waits for the tiers before it, which take an unknown time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Not before.
    pub from: Duration,
    /// Not later.
    pub by: Duration,
}

/// What would become of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays, as it should, and ends with the node.
    LeftAlone(Exempt),
    /// It is terminating already, and ends in time.
    EndingAlready,
    /// The API server lets it go.
    Evicted,
    /// It is terminating already, with more time than is left: it gets less.
    Shortened,
    /// This keeps it from being evicted. It is deleted so long from now.
    Deleted(Obstacle, Duration),
    /// Nothing ends it before the node goes.
    DiesWithNode(Held),
    /// The API server did not say. In words why not.
    Unclear(Reason),
}

/// What keeps a pod that dies with its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// This keeps it from being evicted, and the operator wants no pod deleted for that.
    Obstacle(Obstacle),
    /// A setting about pods of this kind.
    Setting(Exempt),
}

/// What is worth a word about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// Its own grace is this many seconds, more than the operator allows.
    OwnGrace(u32),
    /// It has no controller: nothing starts it elsewhere.
    Unmanaged,
    /// What is in its `emptyDir` volume ends with it.
    EmptyDir,
    /// If it takes all of its grace, this is left before the node goes to detach its volume.
    Detaching(Duration),
    /// With this finalizer its object may stay after its end.
    Finalizer(String),
}

/// A volume is detached in that time, as a rule: the kubelet unmounts it, the cloud lets it go. One
/// that is not when its node goes is free for another only minutes later (six, after which
/// kube-controller-manager detaches by force).
const DETACHING: Duration = Duration::from_secs(10);

/// A moment that does not come.
const NEVER: Moment = Moment::at(Duration::MAX);

/// The drain that only asks: of every pod that goes, as if nothing held it up, whether the API server
/// would let it go with the grace that `plan` gives it now. It ends at `end`.
pub fn rehearsal(options: &DrainOptions, now: Moment, end: Moment) -> DrainOptions {
    let longest = options.longest_grace.unwrap_or(Grace::MAX);
    DrainOptions {
        limit: Limit::Timeout(end),
        longest_grace: Some(options.timing().cut(now, longest)),
        dry: true,
        ..options.clone()
    }
}

/// Whether the rehearsal has to ask about this pod. A terminating one is let be.
pub fn is_asked(pod: &Pod) -> bool {
    pod.terminating.is_none()
}

/// What would become of `pods`, the worst last, if the drain that `plan` describes began now.
/// `rehearsed` has the API server's answers. The instance goes at the end of it: the plan has a
/// deadline.
pub fn forecast(
    options: &DrainOptions,
    now: Moment,
    pods: &[Pod],
    rehearsed: &Verdict,
) -> Vec<Forecast> {
    let hold = now + options.load_balancer_hold.unwrap_or_default();
    let mut forecasts: Vec<Forecast> = Vec::new();
    // When the tiers before are gone, at the latest.
    let mut gone = now;
    for tier in Tier::ALL {
        let view = View { options, now, hold, gone };
        for pod in pods.iter().filter(|pod| pod.tier == tier) {
            if let Some((forecast, ends)) = view.forecast(pod, rehearsed) {
                gone = gone.max(ends);
                forecasts.push(forecast);
            }
        }
    }
    forecasts.sort_by(|one, other| one.place().cmp(&other.place()));
    forecasts
}

/// What the forecast of a pod follows from.
struct View<'a> {
    options: &'a DrainOptions,
    now: Moment,
    hold: Moment,
    gone: Moment,
}

impl View<'_> {
    /// The forecast, and when the pod is gone at the latest; `None`: it is gone already.
    fn forecast(&self, pod: &Pod, rehearsed: &Verdict) -> Option<(Forecast, Moment)> {
        let timing = self.options.timing();
        let whole = self.options.whole_grace(pod.grace);
        let of = |fate, asked, grace| Forecast {
            pod: Arc::clone(&pod.reference),
            tier: pod.tier,
            asked,
            grace,
            whole,
            fate,
            remarks: Vec::new(),
        };
        if let Some(why) = self.options.rules.exempt(pod, false) {
            let fate = match why {
                Exempt::Own | Exempt::Mirror | Exempt::DaemonSet(_) | Exempt::Returning(_) => {
                    Fate::LeftAlone(why)
                }
                Exempt::Unmanaged | Exempt::EmptyDir => Fate::DiesWithNode(Held::Setting(why)),
            };
            // It is not waited for.
            return Some((self.remarked(of(fate, None, None), pod, NEVER), Moment::START));
        }
        if let Some(terminating) = pod.terminating {
            let (now, ends) = (self.now, terminating.ends);
            let (forecast, ends) = if timing.is_too_late(now, ends, whole) {
                let grace = timing.cut(now, whole);
                let at_once = Some(Asked { from: Duration::ZERO, by: Duration::ZERO });
                (of(Fate::Shortened, at_once, Some(grace)), now + seconds(grace))
            } else {
                (of(Fate::EndingAlready, None, Grace::new(terminating.grace)), ends)
            };
            let whole = Grace::new(terminating.grace).unwrap_or(Grace::MIN);
            // Who should have ended by now may take any time.
            let gone = if ends > now { ends } else { NEVER };
            return Some(self.ending(Forecast { whole, ..forecast }, pod, gone));
        }
        let asked = self.asked(whole);
        let (from, by) = (self.now.until(asked.start), self.now.until(asked.end));
        let asked_then = Some(Asked { from, by });
        let row = rehearsed.rows.iter().find(|row| row.pod == pod.reference)?;
        match &row.outcome {
            Outcome::WouldEvict => {
                let grace = timing.cut(asked.end, whole);
                let forecast = of(Fate::Evicted, asked_then, Some(grace));
                // What has finished does not need its grace.
                let whole = if pod.finished { grace } else { whole };
                let ends = asked.end + seconds(grace);
                Some(self.ending(Forecast { whole, ..forecast }, pod, ends))
            }
            outcome => {
                let obstacle = match outcome {
                    Outcome::WouldBlock(budget) => Obstacle::Budget(Arc::clone(budget)),
                    Outcome::StillThere(why) | Outcome::HandedOver(why) => match why {
                        Reason::Failed(failed) if failed.answered => {
                            Obstacle::Failed(failed.clone())
                        }
                        why => {
                            let forecast = of(Fate::Unclear(why.clone()), asked_then, None);
                            return Some((forecast, NEVER));
                        }
                    },
                    _ => return None,
                };
                let Some(at) = self.options.deletes_at(whole) else {
                    let fate = Fate::DiesWithNode(Held::Obstacle(obstacle));
                    return Some((self.remarked(of(fate, asked_then, None), pod, NEVER), NEVER));
                };
                let at = at.max(asked.end);
                let fate = Fate::Deleted(obstacle, self.now.until(at));
                let grace = timing.cut(at, whole);
                Some(self.ending(of(fate, asked_then, Some(grace)), pod, at + seconds(grace)))
            }
        }
    }

    /// When a pod would first be asked, at the earliest and at the latest: when its turn comes and
    /// the load balancers have had their time, but not after its own time.
    fn asked(&self, whole: Grace) -> std::ops::Range<Moment> {
        let own_time = self.options.timing().own_time(whole).unwrap_or(NEVER).max(self.now);
        let turn = |moment: Moment| moment.max(self.hold).min(own_time);
        turn(self.now)..turn(self.gone)
    }

    /// The forecast of a pod that ends, and when it is gone.
    fn ending(&self, forecast: Forecast, pod: &Pod, ends: Moment) -> (Forecast, Moment) {
        let gone = if pod.finalizer.is_some() { NEVER } else { ends };
        (self.remarked(forecast, pod, ends), gone)
    }

    /// With the other remarks on a pod that ends then.
    fn remarked(&self, mut forecast: Forecast, pod: &Pod, ends: Moment) -> Forecast {
        if matches!(forecast.fate, Fate::LeftAlone(_)) {
            return forecast;
        }
        let remarks = &mut forecast.remarks;
        let is_told = forecast.grace.is_some() && pod.terminating.is_none();
        if is_told && pod.grace > forecast.whole.get() && !pod.finished {
            remarks.push(Remark::OwnGrace(pod.grace));
        }
        let kept = matches!(forecast.fate, Fate::DiesWithNode(Held::Setting(_)));
        if pod.controller.is_none() && !pod.finished && !kept {
            remarks.push(Remark::Unmanaged);
        }
        if pod.empty_dir && !kept {
            remarks.push(Remark::EmptyDir);
        }
        let left = ends.until(self.options.limit.end() + self.options.node_shutdown);
        if pod.volume_claim && left < DETACHING {
            remarks.push(Remark::Detaching(left));
        }
        if let Some(finalizer) = &pod.finalizer {
            remarks.push(Remark::Finalizer(finalizer.clone()));
        }
        forecast
    }
}

impl Forecast {
    /// Whether something would be lost: the pod would end otherwise than by an eviction with its
    /// whole grace, or as its deletion set it. This is the one place that says what a loss is.
    pub fn is_lost(&self) -> bool {
        match self.fate {
            Fate::LeftAlone(_) | Fate::EndingAlready | Fate::Unclear(_) => false,
            Fate::Evicted => self.is_cut(),
            Fate::Shortened | Fate::Deleted(..) | Fate::DiesWithNode(_) => true,
        }
    }

    /// The budget that stands in the way, if one does.
    pub fn budget(&self) -> Option<&Budget> {
        match &self.fate {
            Fate::Deleted(obstacle, _) | Fate::DiesWithNode(Held::Obstacle(obstacle)) => {
                obstacle.budget()
            }
            Fate::Unclear(Reason::Blocked(budget)) => Some(budget),
            _ => None,
        }
    }

    /// Whether it was not to be found out.
    pub fn is_unclear(&self) -> bool {
        matches!(self.fate, Fate::Unclear(_))
    }

    /// When it would be deleted because it cannot be evicted, if it would.
    pub fn deleted_after(&self) -> Option<Duration> {
        match self.fate {
            Fate::Deleted(_, after) => Some(after),
            _ => None,
        }
    }

    /// The word for its fate.
    pub fn name(&self) -> &'static str {
        match self.fate {
            Fate::LeftAlone(_) => "left alone",
            Fate::EndingAlready => "ending already",
            Fate::Evicted if !self.is_cut() => "evicted",
            Fate::Evicted | Fate::Shortened => "cut short",
            Fate::Deleted(..) => "deleted",
            Fate::DiesWithNode(_) => "dies with the node",
            Fate::Unclear(_) => "unclear",
        }
    }

    /// Where it stands: the worst last, and of the same fate in the order in which they go.
    fn place(&self) -> (u8, Option<Duration>, Tier, &PodRef) {
        (self.weight(), self.asked.map(|asked| asked.by), self.tier, &self.pod)
    }

    /// Whether it would get less than its whole grace.
    pub fn is_cut(&self) -> bool {
        self.grace.is_some_and(|grace| grace < self.whole)
    }

    fn weight(&self) -> u8 {
        match self.fate {
            Fate::LeftAlone(_) => 0,
            Fate::EndingAlready => 1,
            Fate::Evicted if !self.is_cut() => 2,
            Fate::Evicted | Fate::Shortened => 3,
            Fate::Deleted(..) => 4,
            Fate::Unclear(_) => 5,
            Fate::DiesWithNode(_) => 6,
        }
    }
}

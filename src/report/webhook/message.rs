//! Which facts are worth a message (a drain that begins, its end, a node that is only marked), and what it
//! says.

use std::collections::BTreeMap;

use crate::drain::progress::DrainProgress;
use crate::drain::verdict::{Outcome, Verdict};
use crate::instance::Instance;
use crate::moment::WallTime;
use crate::notice::{Kind, Notice, NoticeId, When};
use crate::plan::kinds::Basis;
use crate::report::envelope::Envelope;
use crate::report::fact::{Fact, Level, Occasion};
use crate::report::words::Announced;
use crate::report::words::drain::Summary;

/// What a fact is for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Milestone {
    /// A drain begins.
    Begins,
    /// It goes on for another notice; who is to go is known.
    TakenOver,
    /// Who is to go.
    Listed,
    /// The node is only marked.
    Marked,
    /// What became of every pod.
    Ends,
}

pub(super) fn milestones(envelope: &Envelope) -> &'static [Milestone] {
    let begun = envelope.drain.as_ref().map(|drain| drain.begun);
    match (&envelope.fact, begun) {
        // Until then it may turn out that an earlier process has drained the node.
        (Fact::DrainBegins(_), Some(_)) => &[Milestone::Begins],
        (Fact::TakenOver { .. }, Some(true)) => &[Milestone::TakenOver],
        (Fact::Drain(DrainProgress::Listed { .. }), _) => &[Milestone::Listed],
        (Fact::NoticeMarks { .. }, _) => &[Milestone::Marked],
        // A drain that cannot begin has an end all the same.
        (Fact::Verdict(..), Some(false)) => &[Milestone::Begins, Milestone::Ends],
        (Fact::Verdict(..), _) => &[Milestone::Ends],
        _ => &[],
    }
}

/// Everything that a message may contain. What is not known is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What has happened.
    pub stage: MessageStage,
    /// The level of the fact.
    pub severity: Level,
    /// What the notice is about.
    pub kind: Kind,
    /// Which notice it is: for planned maintenance the cloud's own name of the event, else the
    /// notice's identity and the node's name. The same at both ends of a drain, and no two nodes
    /// have the same one at once.
    pub event_id: String,
    /// What the notice announces, in a sentence.
    pub description: String,
    /// What the cloud calls the state of planned maintenance: `active`. Other notices have none.
    pub state: String,
    /// The operator's name for the cluster.
    pub cluster: String,
    /// The node that is drained.
    pub node_name: String,
    /// Its labels.
    pub node_labels: BTreeMap<String, String>,
    /// Its `spec.providerID`.
    pub provider_id: String,
    /// The pods that were to go, each as `namespace/name`. At the beginning as far as known.
    pub pods: Vec<String>,
    /// How many pods have each outcome, the worst last; empty at the beginning.
    pub outcomes: Vec<(&'static str, usize)>,
    /// The node's instance.
    pub instance: Instance,
    /// When the cloud acts, or when it gave its recommendation, if that is stated.
    pub start_time: Option<WallTime>,
    /// When planned maintenance is to be over, if the cloud says so.
    pub end_time: Option<WallTime>,
    /// What has happened, in one sentence.
    pub summary: String,
    /// When it happened.
    pub time: WallTime,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageStage {
    /// The node is to be marked, and its pods are left alone.
    NodeMarked,
    /// A drain begins.
    DrainBegins,
    /// It has ended, or nothing is left for it to do.
    DrainEnds {
        /// Nothing that was to go is left.
        clean: bool,
    },
}

impl MessageStage {
    /// The word for it in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::NodeMarked => "node-marked",
            Self::DrainBegins => "drain-begins",
            Self::DrainEnds { .. } => "drain-ends",
        }
    }
}

/// What messages about one drain have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The notice that is drained for.
    pub notice: Notice,
    /// Where the drain's end comes from.
    pub basis: Basis,
    /// The operator's name for the cluster: `CLUSTER`.
    pub cluster: Option<String>,
    /// The node.
    pub node_name: String,
    /// Its labels; none, if they are not known.
    pub node_labels: BTreeMap<String, String>,
    /// Its `spec.providerID`; `None`: made of what is known of the instance.
    pub provider_id: Option<String>,
    /// The node's instance.
    pub instance: Instance,
    /// This is a dry run.
    pub dry: bool,
}

impl Message {
    /// That a notice only asks for marks on the node, at this level.
    pub fn node_marked(about: &About, level: Level, now: WallTime) -> Self {
        let summary = format!(
            "A notice asks for marks on {}, and its pods are left alone{}.",
            about.node_name,
            if about.dry { "; this is a dry run, and nothing is marked" } else { "" }
        );
        Self::new(about, MessageStage::NodeMarked, level, summary, now)
    }

    /// That the drain begins, and which pods are to go, each as `namespace/name`, as far as they are known.
    pub fn drain_begins(about: &About, pods: Vec<String>, now: WallTime) -> Self {
        let which = if about.dry { "dry run" } else { "drain" };
        let summary = format!("The {which} of {} begins.", about.node_name);
        Self { pods, ..Self::new(about, MessageStage::DrainBegins, Level::Warn, summary, now) }
    }

    /// That another notice has taken over the drain under way.
    pub fn drain_taken_over(about: &About, pods: Vec<String>, now: WallTime) -> Self {
        let summary = format!("Another notice takes over the drain of {}.", about.node_name);
        Self { summary, ..Self::drain_begins(about, pods, now) }
    }

    /// What has become of the pods.
    pub fn drain_ends(about: &About, occasion: Occasion, verdict: &Verdict, now: WallTime) -> Self {
        let stage = MessageStage::DrainEnds { clean: occasion.is_success(verdict) };
        let outcomes = verdict.counts();
        let ended = has_ended(occasion, verdict, &about.node_name);
        let summary = format!("{ended}: {}.", Summary(verdict));
        let went = verdict.rows.iter().filter(|row| !matches!(row.outcome, Outcome::LeftAlone(_)));
        Self {
            pods: went.map(|row| row.pod.to_string()).collect(),
            outcomes,
            ..Self::new(about, stage, occasion.level(verdict), summary, now)
        }
    }

    fn new(
        about: &About,
        stage: MessageStage,
        severity: Level,
        summary: String,
        now: WallTime,
    ) -> Self {
        let notice = &about.notice;
        let provider_id = about.provider_id.clone().or_else(|| about.instance.provider_id());
        Self {
            stage,
            severity,
            kind: notice.id.kind(),
            event_id: match &notice.id {
                NoticeId::Maintenance(event) => event.id.to_string(),
                id => format!("{id}/{}", about.node_name),
            },
            description: match notice.id {
                NoticeId::Maintenance(_) => format!("scheduled maintenance: {}", notice.wording),
                _ => Announced(notice, about.basis).to_string(),
            },
            state: match notice.id {
                NoticeId::Maintenance(_) => "active".to_owned(),
                _ => String::new(),
            },
            cluster: about.cluster.clone().unwrap_or_default(),
            node_name: about.node_name.clone(),
            node_labels: about.node_labels.clone(),
            provider_id: provider_id.unwrap_or_default(),
            pods: Vec::new(),
            outcomes: Vec::new(),
            instance: about.instance.clone(),
            start_time: match notice.when {
                When::At(time) => Some(time),
                When::Unstated => None,
            },
            end_time: notice.until,
            summary,
            time: now,
        }
    }
}

/// The beginning of the sentence that says how a drain ended.
fn has_ended(occasion: Occasion, verdict: &Verdict, node: &str) -> String {
    match occasion {
        Occasion::Empty if verdict.unread > 0 => {
            format!("The drain of {node} is done for the pods that could be read")
        }
        Occasion::Empty => format!("The drain of {node} is done"),
        Occasion::Rehearsed => format!("Dry run, nothing was done to {node}"),
        Occasion::Deadline => format!("The deadline for the drain of {node} is reached"),
        Occasion::TimedOut => {
            format!("The time for the drain of {node} is over, and its instance stays")
        }
        Occasion::CalledOff => format!("The drain of {node} is called off"),
        Occasion::Stopped => format!("This handler has to end and leaves the drain of {node}"),
        Occasion::NoNode => format!("Nothing was drained: there is no node named {node}"),
        Occasion::NodeUnknown => format!(
            "Nothing was drained: no pod of {node} was found, and whether there is such a node \
             could not be seen"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::drain::ask::PodRef;
    use crate::drain::pod::Exempt;
    use crate::drain::verdict::{Certainty, Reason, Row};
    use crate::notice::{Code, Event};
    use crate::report::samples::{STOP, TERMINATE, begins, in_envelopes, moved, seen, taken_over};
    use crate::report::webhook::samples::{about, wall};

    /// Each milestone, with the notice that is drained for then.
    fn milestones_of(facts: &[Fact]) -> Vec<(Milestone, NoticeId)> {
        let of = |envelope: Envelope| {
            let notice = envelope.drain.as_ref().unwrap().notice.id.clone();
            milestones(&envelope).iter().map(move |milestone| (*milestone, notice.clone()))
        };
        in_envelopes(facts).into_iter().flat_map(of).collect()
    }

    #[test]
    fn a_drain_begins_once_and_again_for_another_notice() {
        let told = milestones_of(&[seen(STOP), begins(), taken_over(TERMINATE, Basis::AtOnce)]);
        assert_eq!(told, [(Milestone::Begins, STOP), (Milestone::TakenOver, TERMINATE)]);
    }

    #[test]
    fn a_notice_that_was_drained_for_before_begins_none() {
        assert_eq!(milestones_of(&[seen(STOP), Fact::DrainedBefore(STOP)]), []);
    }

    #[test]
    fn a_notice_that_takes_over_before_the_drain_begins_is_the_one_it_begins_for() {
        let told = milestones_of(&[seen(STOP), taken_over(TERMINATE, Basis::AtOnce), begins()]);
        assert_eq!(told, [(Milestone::Begins, TERMINATE)]);
    }

    #[test]
    fn a_notice_that_moves_is_worth_no_message() {
        let told = milestones_of(&[seen(STOP), begins(), moved(Basis::Remembered)]);
        assert_eq!(told, [(Milestone::Begins, STOP)]);
    }

    #[test]
    fn a_drain_that_could_not_begin_is_told_of_with_its_end() {
        let took = Duration::from_secs(1);
        let verdict = Verdict {
            rows: vec![],
            listed: false,
            unread: 0,
            took,
            end: None,
            node_shutdown: Duration::ZERO,
        };
        let ends = Fact::Verdict(Occasion::Deadline, Box::new(verdict));
        let told = milestones_of(&[seen(STOP), ends.clone(), ends.clone()]);
        let of = |milestone| (milestone, STOP);
        assert_eq!(told, [Milestone::Begins, Milestone::Ends, Milestone::Ends].map(of));
        let told = milestones_of(&[seen(STOP), begins(), ends]);
        assert_eq!(told, [Milestone::Begins, Milestone::Ends].map(of));
    }

    fn row(name: &str, outcome: Outcome) -> Row {
        let pod = PodRef { namespace: "shop".into(), name: name.into(), uid: name.into() };
        Row { pod: Arc::new(pod), outcome, gone_after: None }
    }

    fn verdict(rows: Vec<Row>) -> Verdict {
        Verdict {
            rows,
            listed: true,
            unread: 0,
            took: Duration::from_millis(33_900),
            end: None,
            node_shutdown: Duration::ZERO,
        }
    }

    fn ends(occasion: Occasion, verdict: &Verdict) -> Message {
        Message::drain_ends(&about(), occasion, verdict, wall("2026-11-23T09:02:00Z"))
    }

    #[test]
    fn at_the_beginning_the_notice_is_told() {
        let begins = Message::drain_begins(&about(), Vec::new(), wall("2026-11-23T09:00:00Z"));
        assert_eq!(begins.stage.name(), "drain-begins");
        assert_eq!(begins.severity, Level::Warn);
        assert_eq!(begins.kind, Kind::SpotItn);
        assert_eq!(begins.event_id, "spot-interruption/terminate/ip-10-0-1-17");
        assert_eq!(
            begins.description,
            "spot interruption: the instance will terminate at 2026-11-23T09:02:00Z"
        );
        assert_eq!(begins.summary, "The drain of ip-10-0-1-17 begins.");
        assert_eq!(begins.start_time, Some(wall("2026-11-23T09:02:00Z")));
        assert_eq!(begins.provider_id, "aws:///eu-west-1a/i-0123");
        assert_eq!((begins.state.as_str(), begins.pods.len(), begins.outcomes.len()), ("", 0, 0));
    }

    #[test]
    fn maintenance_is_told_by_its_own_name_and_wording() {
        let event =
            Event { code: Code::InstanceStop, id: Arc::from("instance-event-0d59"), nth: 0 };
        let mut maintenance = about();
        maintenance.notice.id = NoticeId::Maintenance(event);
        maintenance.notice.when = When::Unstated;
        maintenance.notice.until = Some(wall("2026-11-23T11:00:00Z"));
        maintenance.notice.wording = "instance-stop; The hardware is worn out".into();
        maintenance.provider_id = Some("kind://docker/kind/node-1".into());
        let begins = Message::drain_begins(&maintenance, Vec::new(), wall("2026-11-23T09:00:00Z"));
        assert_eq!(begins.event_id, "instance-event-0d59");
        assert_eq!(begins.state, "active");
        assert_eq!(begins.start_time, None);
        assert_eq!(begins.end_time, Some(wall("2026-11-23T11:00:00Z")));
        assert_eq!(begins.provider_id, "kind://docker/kind/node-1");
        assert_eq!(
            begins.description,
            "scheduled maintenance: instance-stop; The hardware is worn out"
        );
    }

    #[test]
    fn at_the_end_the_outcomes_are_counted_and_the_worst_stands_last() {
        let rows = vec![
            row("a", Outcome::StillThere(Reason::NotAsked)),
            row("b", Outcome::Evicted(Certainty::Confirmed)),
            row("c", Outcome::Evicted(Certainty::AnswerLost)),
            row("d", Outcome::LeftAlone(Exempt::Own)),
        ];
        let message = ends(Occasion::Deadline, &verdict(rows));
        assert_eq!(message.outcomes, [("left alone", 1), ("evicted", 2), ("still there", 1)]);
        assert_eq!(
            message.summary,
            "The deadline for the drain of ip-10-0-1-17 is reached: 1 left alone, 2 evicted, \
             1 still there in 33.9 s."
        );
        assert_eq!(message.pods, ["shop/a", "shop/b", "shop/c"]);
        assert_eq!(message.stage, MessageStage::DrainEnds { clean: false });
        assert_eq!(message.severity, Level::Error);
    }

    #[test]
    fn pods_that_nobody_knows_are_told_of() {
        let partly = Verdict { listed: false, unread: 2, ..verdict(Vec::new()) };
        let message = ends(Occasion::Empty, &partly);
        assert_eq!(
            message.summary,
            "The drain of ip-10-0-1-17 is done for the pods that could be read: no pods in 33.9 s; the \
             list of pods was not read to its end, there may be more; 2 more could not be read and are \
             not in this table."
        );
        assert_eq!(message.stage, MessageStage::DrainEnds { clean: false });
    }

    #[test]
    fn a_message_matters_as_much_as_the_fact_in_the_log() {
        let clean = verdict(vec![row("a", Outcome::EndedByOthers)]);
        let not = verdict(vec![row("a", Outcome::HandedOver(Reason::Unanswered))]);
        for occasion in [
            Occasion::Empty,
            Occasion::Rehearsed,
            Occasion::Deadline,
            Occasion::TimedOut,
            Occasion::CalledOff,
            Occasion::Stopped,
            Occasion::NoNode,
            Occasion::NodeUnknown,
        ] {
            for verdict in [&clean, &not] {
                let fact = Fact::Verdict(occasion, Box::new(verdict.clone()));
                let message = ends(occasion, verdict);
                assert_eq!(message.severity, fact.level());
                assert!(message.summary.contains("ip-10-0-1-17"), "{}", message.summary);
            }
        }
        assert_eq!(ends(Occasion::TimedOut, &not).severity, Level::Warn);
        for occasion in [Occasion::NoNode, Occasion::NodeUnknown] {
            let message = ends(occasion, &verdict(Vec::new()));
            assert_eq!(
                (message.severity, message.stage),
                (Level::Error, MessageStage::DrainEnds { clean: false })
            );
        }
    }
}

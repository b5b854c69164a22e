//! The output of `plan`: a table for people, or one JSON object for programs.

use std::fmt;
use std::time::Duration;

use crate::drain::forecast::{Fate, Forecast, Held, Remark};
use crate::drain::pod::Tier;
use crate::drain::verdict::Obstacle;
use crate::json::{Object, list, text};

/// What a drain would do.
#[derive(Debug)]
pub struct Rehearsal<'a> {
    /// The node.
    pub node: &'a str,
    /// How long from the notice until the instance goes.
    pub deadline: Duration,
    /// How long before that the last pod should have ended.
    pub margin: Duration,
    /// How long after the instance's end has begun the kubelet lets pods end.
    pub node_shutdown: Duration,
    /// What would become of each pod, the worst last.
    pub pods: &'a [Forecast],
    /// How many pods could not be read.
    pub unread: usize,
}

impl Rehearsal<'_> {
    /// How many pods would be lost.
    pub fn lost(&self) -> usize {
        self.pods.iter().filter(|pod| pod.is_lost()).count()
    }

    /// How many pods may be lost or not.
    pub fn unclear(&self) -> usize {
        self.unread + self.pods.iter().filter(|pod| pod.is_unclear()).count()
    }

    /// As one JSON object.
    pub fn json(&self) -> String {
        let pods: Vec<String> = self.pods.iter().map(object).collect();
        Object::new()
            .text("node", self.node)
            .json("deadline_seconds", &seconds(self.deadline))
            .json("safety_margin_seconds", &seconds(self.margin))
            .json("node_shutdown_grace_seconds", &seconds(self.node_shutdown))
            .json("lost", &self.lost().to_string())
            .json("unclear", &self.unclear().to_string())
            .json("pods", &list(&pods))
            .end()
    }
}

/// Fields that do not apply to a pod are left out.
fn object(pod: &Forecast) -> String {
    let budget = pod.budget().map(ToString::to_string);
    let known = [
        ("asked_from_seconds", pod.asked.map(|asked| seconds(asked.from))),
        ("asked_by_seconds", pod.asked.map(|asked| seconds(asked.by))),
        ("deleted_after_seconds", pod.deleted_after().map(seconds)),
        ("grace_seconds", pod.grace.map(|grace| grace.to_string())),
        ("whole_grace_seconds", pod.grace.map(|_| pod.whole.to_string())),
        ("budget", budget.map(|budget| text(&budget))),
    ];
    let mut object = Object::new()
        .text("namespace", &pod.pod.namespace)
        .text("pod", &pod.pod.name)
        .text("turn", turn(pod.tier))
        .text("fate", pod.name())
        .json("lost", if pod.is_lost() { "true" } else { "false" });
    for (key, value) in known {
        if let Some(value) = value {
            object = object.json(key, &value);
        }
    }
    object.text("note", &pod.to_string()).end()
}

fn seconds(span: Duration) -> String {
    format!("{:.1}", span.as_secs_f64())
}

fn turn(tier: Tier) -> &'static str {
    match tier {
        Tier::Ordinary => "first",
        Tier::DaemonSet => "daemonset",
        Tier::ClusterCritical => "second",
        Tier::NodeCritical => "last",
    }
}

impl fmt::Display for Rehearsal<'_> {
    /// What was assumed, the table, what would be lost.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "If {} got its notice now, {:?} before its end, with a safety margin of {:?}{}:\n",
            self.node,
            self.deadline,
            self.margin,
            AndShutdown(self.node_shutdown)
        )?;
        let head = ["POD", "TURN", "GRACE", "BUDGET", "FATE", "NOTE"].map(str::to_owned);
        let mut rows = vec![head];
        for pod in self.pods {
            rows.push(cells(pod));
        }
        let mut widths = [0; 6];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.len().max(*width);
            }
        }
        for row in &rows {
            let mut line = String::new();
            for (width, cell) in widths.iter().zip(row) {
                line += cell;
                line.extend(std::iter::repeat_n(' ', width + 2 - cell.len()));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        self.sum(f)
    }
}

/// The time of a graceful node shutdown, if there is any.
struct AndShutdown(Duration);

impl fmt::Display for AndShutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Duration::ZERO => Ok(()),
            time => write!(f, ", and a graceful node shutdown of {time:?} after it"),
        }
    }
}

/// What dry evictions do not show.
const ALONE: &str =
    "Each was asked about alone: a budget that lets one go now may refuse the next.\n";

impl Rehearsal<'_> {
    /// How many pods have each fate, and how many would be lost.
    fn sum(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\n")?;
        let evicted = |pod: &&Forecast| pod.fate == Fate::Evicted;
        if self.pods.iter().filter(evicted).count() > 1 {
            f.write_str(ALONE)?;
        }
        let (lost, unclear, all) = (self.lost(), self.unclear(), self.pods.len());
        write!(f, "Pods: {all}")?;
        for pods in self.pods.chunk_by(|one, other| one.name() == other.name()) {
            let name = pods.first().map(Forecast::name).unwrap_or_default();
            write!(f, ", {name}: {}", pods.len())?;
        }
        if self.unread > 0 {
            write!(f, ", could not be read: {}", self.unread)?;
        }
        match lost {
            0 if unclear > 0 => f.write_str(". Whether any would be lost is not known.\n"),
            0 => f.write_str(". None would be lost.\n"),
            _ => writeln!(f, ". Lost would be {lost}: not evicted, or without the whole grace."),
        }
    }
}

fn cells(pod: &Forecast) -> [String; 6] {
    let turn = match pod.asked {
        None => "-".to_owned(),
        Some(asked) => {
            let turn = turn(pod.tier);
            match (asked.from.as_secs(), asked.by.as_secs()) {
                (0, 0) => format!("{turn}, at once"),
                (from, by) if from == by => format!("{turn}, in {by} s"),
                (_, by) => format!("{turn}, by {by} s"),
            }
        }
    };
    let grace = match pod.grace {
        None => "-".to_owned(),
        Some(grace) if grace < pod.whole => format!("{grace} of {} s", pod.whole),
        Some(grace) => format!("{grace} s"),
    };
    let budget = pod.budget().map_or_else(|| "-".to_owned(), ToString::to_string);
    [pod.pod.to_string(), turn, grace, budget, pod.name().to_owned(), pod.to_string()]
}

impl fmt::Display for Forecast {
    /// The note in the table: why, and what else matters. Not cut: an answer of the API server stands at its end.
    /// Names and messages were made fit for one line when they were read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fate {
            Fate::LeftAlone(why) | Fate::DiesWithNode(Held::Setting(why)) => write!(f, "{why}")?,
            Fate::EndingAlready => f.write_str("was told to end before")?,
            Fate::Evicted if self.is_cut() => f.write_str("no more time is left")?,
            Fate::Evicted => {}
            Fate::Shortened => f.write_str("is ending already, with more time than is left")?,
            Fate::Deleted(obstacle, after) => {
                write!(f, "in {} s, if it is refused until then", after.as_secs())?;
                if self.is_cut() {
                    f.write_str("; no more time is left")?;
                }
                if let Obstacle::Failed(failed) = obstacle {
                    write!(f, "; {failed}")?;
                }
            }
            Fate::DiesWithNode(Held::Obstacle(Obstacle::Budget(_))) => {
                f.write_str("refused, and budgets are not overridden")?;
            }
            Fate::DiesWithNode(Held::Obstacle(Obstacle::Failed(failed))) => {
                write!(f, "refused, and no pod is deleted for that: {failed}")?;
            }
            Fate::Unclear(why) => write!(f, "{why}")?,
        }
        for (number, remark) in self.remarks.iter().enumerate() {
            let says_nothing = self.fate == Fate::Evicted && !self.is_cut();
            let is_first = says_nothing && number == 0;
            write!(f, "{}{remark}", if is_first { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnGrace(own) => {
                write!(f, "its own grace of {own} s is more than the setting allows")
            }
            Self::Unmanaged => f.write_str("no controller, nothing starts it elsewhere"),
            Self::EmptyDir => f.write_str("the data in its emptyDir volume ends with it"),
            Self::Detaching(Duration::ZERO) => {
                f.write_str("its volume may still be attached when the node goes")
            }
            Self::Detaching(left) => write!(
                f,
                "its volume may still be attached when the node goes, {} s after its grace",
                left.as_secs()
            ),
            Self::Finalizer(name) => write!(f, "finalizer {name} may keep its object"),
        }
    }
}

//! The matrix: steps, faults, and which meet. Data.

use std::fmt;
use std::time::Duration;

use crate::relay::Passing;
use crate::relay::fault::{Fault, Lasting};

/// A request on the way from a notice to a node that is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The metadata service is asked for a session token.
    ImdsToken,
    /// It is asked for the notice.
    Notice,
    /// The Node is read.
    ReadNode,
    /// The patch that cordons it.
    Cordon,
    /// The pods are listed and followed.
    Watch,
    /// A pod is evicted that may be.
    Eviction,
    /// The condition `DisruptionTarget` is set on a pod before it is deleted.
    DisruptionTarget,
    /// A pod is deleted.
    Deletion,
    /// An Event is written.
    Event,
    /// The patch that notes the end of the drain in the annotation.
    Annotation,
    /// The patch that takes the marks back.
    Uncordon,
    /// Whatever is asked of the API server.
    EveryRequest,
}

/// All, in the order in which they come.
pub const STEPS: [Step; 12] = [
    Step::ImdsToken,
    Step::Notice,
    Step::ReadNode,
    Step::Cordon,
    Step::Watch,
    Step::Eviction,
    Step::DisruptionTarget,
    Step::Deletion,
    Step::Event,
    Step::Annotation,
    Step::Uncordon,
    Step::EveryRequest,
];

/// How long a fault lasts, in the order in which that is written.
pub const LASTING: [Lasting; 3] =
    [Lasting::Once, Lasting::For(Duration::from_secs(10)), Lasting::ForEver];

const fn status(code: u16) -> Fault {
    Fault::Answer { code, retry_after: None }
}

const fn retry_after(code: u16) -> Fault {
    Fault::Answer { code, retry_after: Some(3) }
}

/// All faults, with their names: the rows of the table.
pub const FAULTS: [(&str, Fault); 26] = [
    ("connections refused", Fault::Refuse),
    ("connections reset (RST)", Fault::Reset),
    ("connections frozen", Fault::Freeze),
    ("TLS broken", Fault::BrokenTls),
    ("another certificate", Fault::OtherCertificate),
    ("hangs before it is passed on", Fault::HangBefore),
    ("hangs after it was passed on", Fault::HangAfter),
    ("answer cut before its first byte", Fault::CutHead),
    ("answer cut after 20 bytes", Fault::CutBody(20)),
    ("answer at 5 bytes a second", Fault::Trickle),
    ("GOAWAY", Fault::Goaway),
    ("RST_STREAM", Fault::StreamReset),
    ("401", status(401)),
    ("408", status(408)),
    ("429", status(429)),
    ("429, Retry-After: 3", retry_after(429)),
    ("500", status(500)),
    ("502", status(502)),
    ("503", status(503)),
    ("503, Retry-After: 3", retry_after(503)),
    ("504", status(504)),
    ("410", status(410)),
    ("ERROR event with 410", Fault::WatchExpires),
    ("watch ends after 0.5 s", Fault::WatchEnds),
    ("events doubled", Fault::Doubled),
    ("first events reordered", Fault::Reordered),
];

/// A fault at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// At which step.
    pub step: Step,
    /// Its name, in [`FAULTS`].
    pub what: &'static str,
    /// What goes wrong.
    pub fault: Fault,
    /// How long.
    pub lasting: Lasting,
    /// In less time: enough where no connection is frozen, which takes nine seconds to find out.
    pub brief: bool,
}

/// The name of the pod whose budget allows nothing.
pub const GUARDED: &str = "guarded";

/// All cells.
#[must_use]
pub fn cells() -> Vec<Cell> {
    let mut all = Vec::new();
    // Long ones and short ones side by side, and steps mixed: no part of the control plane gets all at once.
    for (what, fault) in FAULTS {
        for step in STEPS.into_iter().filter(|step| left_out(*step, fault).is_none()) {
            all.extend(LASTING.map(|lasting| Cell { step, what, fault, lasting, brief: false }));
        }
    }
    all
}

/// Whether a cell says something about any program that drains, as kubectl does: it lists pods once, evicts them, and
/// has nothing of the rest.
#[must_use]
pub fn is_for_peers(cell: &Cell) -> bool {
    let steps = [
        Step::ImdsToken,
        Step::Notice,
        Step::ReadNode,
        Step::Cordon,
        Step::Watch,
        Step::Eviction,
        Step::EveryRequest,
    ];
    let of_events = matches!(
        cell.fault,
        Fault::WatchEnds | Fault::WatchExpires | Fault::Doubled | Fault::Reordered
    );
    steps.contains(&cell.step) && !of_events
}

/// A few of each sort.
#[must_use]
pub fn is_smoke(cell: &Cell) -> bool {
    let faults = ["connections reset (RST)", "hangs after it was passed on", "503, Retry-After: 3"];
    cell.lasting == Lasting::Once && faults.contains(&cell.what)
}

/// Why a fault does not meet a step, if it does not.
#[must_use]
pub fn left_out(step: Step, fault: Fault) -> Option<&'static str> {
    let at_metadata = matches!(step, Step::ImdsToken | Step::Notice);
    match fault {
        Fault::BrokenTls | Fault::OtherCertificate if at_metadata => {
            Some("the metadata service speaks plain HTTP")
        }
        Fault::Goaway | Fault::StreamReset if at_metadata => {
            Some("the metadata service speaks HTTP/1.1, which has neither")
        }
        Fault::Answer { code: 401, .. } if step == Step::ImdsToken => {
            Some("a token is asked for without one")
        }
        Fault::Answer { retry_after: Some(_), .. } | Fault::Answer { code: 408, .. }
            if at_metadata =>
        {
            Some("the metadata service has no such answers")
        }
        Fault::WatchEnds
        | Fault::WatchExpires
        | Fault::Doubled
        | Fault::Reordered
        | Fault::Answer { code: 410, .. }
            if step != Step::Watch =>
        {
            Some("only a watch has events and a resource version")
        }
        _ => None,
    }
}

impl Step {
    /// Whether it is a request to the metadata service.
    #[must_use]
    pub fn is_at_metadata(self) -> bool {
        matches!(self, Self::ImdsToken | Self::Notice)
    }

    /// Whether a request is of this step.
    #[must_use]
    pub fn is(self, request: &Passing) -> bool {
        let line = request.line.as_str();
        let patches_node = line.starts_with("PATCH /api/v1/nodes/");
        match self {
            Self::ImdsToken => line == "PUT /latest/api/token",
            Self::Notice => line.starts_with("GET /latest/meta-data/spot/"),
            Self::ReadNode => line.starts_with("GET /api/v1/nodes/"),
            Self::Cordon => patches_node && request.body.contains("\"unschedulable\":true"),
            Self::Watch => line.starts_with("GET /api/v1/pods?"),
            // Where it may be: what comes of those that a budget refuses is another question.
            Self::Eviction => line.ends_with("/eviction") && !line.contains(GUARDED),
            Self::DisruptionTarget => line.starts_with("PATCH ") && line.contains("/status"),
            Self::Deletion => line.starts_with("DELETE "),
            Self::Event => line.contains("/events"),
            Self::Annotation => {
                patches_node && request.body.contains("\\\"progress\\\":\\\"drained\\\"")
            }
            Self::Uncordon => patches_node && request.body.contains("\"unschedulable\":null"),
            Self::EveryRequest => line.contains(" /api"),
        }
    }
}

impl fmt::Display for Step {
    /// As a column is named.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ImdsToken => "IMDS token",
            Self::Notice => "notice",
            Self::ReadNode => "Node read",
            Self::Cordon => "cordon",
            Self::Watch => "watch",
            Self::Eviction => "eviction",
            Self::DisruptionTarget => "DisruptionTarget",
            Self::Deletion => "deletion",
            Self::Event => "Event",
            Self::Annotation => "annotation",
            Self::Uncordon => "uncordon",
            Self::EveryRequest => "every request",
        })
    }
}

impl Cell {
    /// Of node, namespace and folder: `eviction-503-retry-after-3-once`.
    #[must_use]
    pub fn name(&self) -> String {
        let lasting = match self.lasting {
            Lasting::Once => "once",
            Lasting::For(_) => "ten-seconds",
            Lasting::ForEver => "for-ever",
        };
        let words = format!("{} {} {lasting}", self.step, self.what).to_lowercase();
        let words = words.split(|c: char| !c.is_ascii_alphanumeric());
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
    }

    /// How far ahead the notice lies.
    #[must_use]
    pub fn ahead(&self) -> Duration {
        match self.lasting {
            Lasting::For(time) => Duration::from_secs(18) + time,
            Lasting::Once | Lasting::ForEver if self.brief => Duration::from_secs(14),
            Lasting::Once | Lasting::ForEver => Duration::from_secs(24),
        }
    }

    /// The grace of the pod whose budget allows nothing, in seconds: its own time is up half-way, and where the fault
    /// lasts it is over before the end.
    #[must_use]
    pub fn guarded_grace(&self) -> u32 {
        match self.lasting {
            Lasting::For(_) => 13,
            Lasting::Once | Lasting::ForEver if self.brief => 5,
            Lasting::Once | Lasting::ForEver => 11,
        }
    }

    /// Whether nothing of the API server is left from the step on.
    #[must_use]
    pub fn ends_all(&self) -> bool {
        let everything = self.fault.meets_connections() || self.step == Step::EveryRequest;
        self.lasting == Lasting::ForEver && everything
    }

    /// Whether this request is out of reach, for ever.
    #[must_use]
    pub fn ends(&self, step: Step) -> bool {
        self.lasting == Lasting::ForEver && self.step == step || self.ends_all()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_cell_has_a_name_of_its_own_that_a_node_may_have() {
        let names: Vec<String> = cells().iter().map(Cell::name).collect();
        assert!(names.iter().all(|name| name.len() <= 61), "{names:?}");
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert!(names.contains(&"eviction-503-retry-after-3-once".to_owned()), "{names:?}");
    }

    #[test]
    fn a_request_is_of_its_step() {
        let request = |line: &str, body: &str| Passing { line: line.into(), body: body.into() };
        let at = |line: &str, body: &str| {
            let request = request(line, body);
            STEPS.into_iter().filter(|step| step.is(&request)).collect::<Vec<_>>()
        };
        let every = Step::EveryRequest;
        let nodes = "PATCH /api/v1/nodes/a?fieldManager=k8s-spot-handler";
        assert_eq!(at("GET /api/v1/nodes/a", ""), [Step::ReadNode, every]);
        assert_eq!(at(nodes, r#"{"spec":{"unschedulable":true}}"#), [Step::Cordon, every]);
        assert_eq!(at(nodes, r#"{"spec":{"unschedulable":null}}"#), [Step::Uncordon, every]);
        let pod = "/api/v1/namespaces/a/pods/b";
        assert_eq!(at(&format!("POST {pod}/eviction"), ""), [Step::Eviction, every]);
        assert_eq!(at(&format!("DELETE {pod}"), ""), [Step::Deletion, every]);
        assert_eq!(at("GET /api/v1/pods?watch=1", ""), [Step::Watch, every]);
        assert_eq!(at("PUT /latest/api/token", ""), [Step::ImdsToken]);
    }
}

//! What a check found: how it is printed, and what it means for the exit status. Pure.

use std::process::ExitCode;

use crate::report::json::{Object, list};

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) check: String,
    pub(super) outcome: Outcome,
    /// What was found there.
    pub(super) found: String,
    /// What the operator does about it; empty where there is nothing to do.
    pub(super) remedy: String,
}

/// How good that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    /// A drain goes on, but not as well as it could, or not as somebody may think.
    Warning,
    /// A drain would fail.
    Failure(Side),
    /// It could not be looked at.
    Skipped,
}

/// On which side something fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Outside: metadata service, API server, clock.
    Outside,
    /// In what the operator has set up: settings, permissions, token, node.
    Setup,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure(_) => "failure",
            Self::Skipped => "skipped",
        }
    }

    /// As sysexits.h numbers it.
    fn exit_status(self) -> u8 {
        match self {
            Self::Failure(Side::Setup) => 78,   // EX_CONFIG
            Self::Failure(Side::Outside) => 69, // EX_UNAVAILABLE
            Self::Ok | Self::Warning | Self::Skipped => 0,
        }
    }
}

impl Finding {
    fn new(check: &str, outcome: Outcome, found: String, remedy: &str) -> Self {
        Self { check: check.to_owned(), outcome, found, remedy: remedy.to_owned() }
    }

    pub(super) fn ok(check: &str, found: String) -> Self {
        Self::new(check, Outcome::Ok, found, "")
    }

    pub(super) fn warning(check: &str, found: String, remedy: &str) -> Self {
        Self::new(check, Outcome::Warning, found, remedy)
    }

    pub(super) fn failure(check: &str, side: Side, found: String, remedy: &str) -> Self {
        Self::new(check, Outcome::Failure(side), found, remedy)
    }

    pub(super) fn skipped(check: &str, why: &str) -> Self {
        Self::new(check, Outcome::Skipped, why.to_owned(), "")
    }

    /// For people: one line.
    pub(super) fn line(&self) -> String {
        let Self { check, outcome, found, remedy } = self;
        let before = if remedy.is_empty() { "" } else { "; remedy: " };
        format!("{:<7}  {check}: {found}{before}{remedy}\n", outcome.word())
    }

    fn json(&self) -> String {
        let Self { check, outcome, found, remedy } = self;
        Object::new()
            .text("check", check)
            .text("outcome", outcome.word())
            .text("found", found)
            .text("remedy", remedy)
            .end()
    }
}

/// For people: the last line.
pub(super) fn sum(findings: &[Finding]) -> String {
    let count = |word: &str| findings.iter().filter(|one| one.outcome.word() == word).count();
    let [warnings, failures, skipped] = ["warning", "failure", "skipped"].map(count);
    format!("{} checks: {failures} failed, {warnings} warned, {skipped} skipped\n", findings.len())
}

/// For programs: one object.
pub(super) fn json(findings: &[Finding]) -> String {
    let checks: Vec<String> = findings.iter().map(Finding::json).collect();
    Object::new().json("checks", &list(&checks)).text("outcome", worst(findings).word()).end() + "\n"
}

/// 78 if something fails on the operator's side, else 69 if something fails outside, else 0.
pub(super) fn exit_status(findings: &[Finding]) -> ExitCode {
    ExitCode::from(worst(findings).exit_status())
}

/// What was skipped is not worse than why it was.
fn worst(findings: &[Finding]) -> Outcome {
    let rank = |outcome: Outcome| match outcome {
        Outcome::Failure(side) => (2, side == Side::Setup),
        Outcome::Warning => (1, false),
        Outcome::Ok | Outcome::Skipped => (0, false),
    };
    findings.iter().fold(Outcome::Ok, |worst, one| {
        if rank(one.outcome) > rank(worst) { one.outcome } else { worst }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(outcome: Outcome) -> Finding {
        Finding::new("x", outcome, "y".to_owned(), "z")
    }

    #[test]
    fn the_setup_weighs_more_than_what_is_outside_and_warnings_weigh_nothing() {
        use Outcome::{Failure, Ok, Skipped, Warning};
        let (outside, setup) = (Failure(Side::Outside), Failure(Side::Setup));
        for (outcomes, status, word) in [
            (&[][..], 0, "ok"),
            (&[Ok, Skipped], 0, "ok"),
            (&[Warning, Ok], 0, "warning"),
            (&[Ok, outside, Warning], 69, "failure"),
            (&[setup, outside], 78, "failure"),
            (&[outside, setup, Skipped], 78, "failure"),
        ] {
            let findings: Vec<_> = outcomes.iter().copied().map(of).collect();
            let worst = worst(&findings);
            assert_eq!((worst.exit_status(), worst.word()), (status, word), "{outcomes:?}");
        }
    }

    #[test]
    fn a_line_names_the_remedy_where_there_is_one() {
        assert_eq!(of(Outcome::Warning).line(), "warning  x: y; remedy: z\n");
        assert_eq!(Finding::ok("x", "y".to_owned()).line(), "ok       x: y\n");
        let all = [of(Outcome::Warning), of(Outcome::Failure(Side::Setup)), of(Outcome::Ok)];
        assert_eq!(sum(&all), "3 checks: 1 failed, 1 warned, 0 skipped\n");
    }

    #[test]
    fn programs_get_one_object() {
        let findings = [Finding::ok("a \"b\"", "c".to_owned()), of(Outcome::Warning)];
        let object: serde_json::Value = serde_json::from_str(&json(&findings)).unwrap();
        let expected = serde_json::json!({
            "checks": [
                {"check": "a \"b\"", "outcome": "ok", "found": "c", "remedy": ""},
                {"check": "x", "outcome": "warning", "found": "y", "remedy": "z"},
            ],
            "outcome": "warning",
        });
        assert_eq!(object, expected);
    }
}

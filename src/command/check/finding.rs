//! What a check found: how it is printed, and what it means for the exit status. Pure.

use crate::json::text;

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) outcome: Outcome,
    /// What was found.
    pub(super) found: String,
    /// What the operator does about it; empty where there is nothing to do.
    pub(super) remedy: &'static str,
}

/// How good that is; what weighs more comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// It could not be looked at: why is said of something else.
    Skipped,
    Ok,
    /// A drain goes on, but not as well as it could, or not as somebody may think.
    Warning,
    /// A drain would fail, for what is outside: metadata service, API server, clock.
    Outside,
    /// A drain would fail, for what the operator has set up: settings, permissions, token, node.
    Setup,
}

impl Outcome {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Outside | Self::Setup => "failure",
        }
    }

    /// As sysexits.h numbers it.
    pub(super) fn exit_status(self) -> u8 {
        match self {
            Self::Setup => 78,   // EX_CONFIG
            Self::Outside => 69, // EX_UNAVAILABLE
            Self::Ok | Self::Warning | Self::Skipped => 0,
        }
    }

    pub(super) fn is(self, found: String, remedy: &'static str) -> Finding {
        Finding { outcome: self, found, remedy }
    }
}

impl Finding {
    pub(super) fn ok(found: String) -> Self {
        Outcome::Ok.is(found, "")
    }

    pub(super) fn skipped(why: &str) -> Self {
        Outcome::Skipped.is(why.to_owned(), "")
    }

    /// For people: one line. `check`: what was looked at.
    pub(super) fn line(&self, check: &str) -> String {
        let Self { outcome, found, remedy } = self;
        let before = if remedy.is_empty() { "" } else { "; remedy: " };
        format!("{:<7}  {check}: {found}{before}{remedy}\n", outcome.word())
    }

    /// For programs: one object.
    pub(super) fn json(&self, check: &str) -> String {
        format!(
            r#"{{"check":"{check}","outcome":"{}","found":{},"remedy":{}}}"#,
            self.outcome.word(),
            text(&self.found),
            text(self.remedy)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setup_weighs_more_than_what_is_outside_and_warnings_weigh_nothing() {
        use Outcome::{Ok, Outside, Setup, Skipped, Warning};
        for (outcomes, status, word) in [
            (&[Ok, Skipped][..], 0, "ok"),
            (&[Warning, Ok], 0, "warning"),
            (&[Ok, Outside, Warning], 69, "failure"),
            (&[Setup, Outside], 78, "failure"),
            (&[Outside, Setup, Skipped], 78, "failure"),
        ] {
            let worst = outcomes.iter().max().unwrap();
            assert_eq!((worst.exit_status(), worst.word()), (status, word), "{outcomes:?}");
        }
    }

    #[test]
    fn a_line_names_the_remedy_where_there_is_one() {
        let warning = Outcome::Warning.is("y".to_owned(), "z");
        assert_eq!(warning.line("x"), "warning  x: y; remedy: z\n");
        assert_eq!(Finding::ok("y".to_owned()).line("x"), "ok       x: y\n");
    }

    #[test]
    fn programs_get_an_object() {
        let finding = Outcome::Setup.is("a \"b\"".to_owned(), "c");
        let object: serde_json::Value = serde_json::from_str(&finding.json("x")).unwrap();
        let expected = serde_json::json!(
            {"check": "x", "outcome": "failure", "found": "a \"b\"", "remedy": "c"}
        );
        assert_eq!(object, expected);
    }
}

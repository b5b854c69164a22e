use super::*;

use std::time::Duration;

#[test]
fn the_node_is_the_instance_whose_id_its_provider_id_ends_with() {
    let known = Instance { instance_id: Some("i-0123".to_owned()), ..Instance::default() };
    for (provider_id, outcome) in [
        (Some("aws:///eu-west-1a/i-0123"), CheckOutcome::Ok),
        (Some("aws:///eu-west-1a/i-01234"), CheckOutcome::Setup),
        (Some("aws:///eu-west-1a/xi-0123"), CheckOutcome::Setup),
        (Some("aws:///eu-west-1a/i-0123/fargate-i-0124"), CheckOutcome::Setup),
        (Some("gce://project/zone/i-0123"), CheckOutcome::Setup),
        (Some("i-0123"), CheckOutcome::Setup),
        (Some(""), CheckOutcome::Setup),
        (None, CheckOutcome::Warning),
    ] {
        let finding = belongs(provider_id, &known);
        assert_eq!(finding.outcome, outcome, "{provider_id:?}");
        assert!(finding.found.contains("i-0123"), "{finding:?}");
        let unknown = belongs(provider_id, &Instance::default());
        assert_eq!(unknown.outcome, CheckOutcome::Skipped);
    }
}

#[test]
fn a_clock_counts_as_far_off_as_it_surely_is() {
    let time = |text: &str| WallTime::parse(text).unwrap();
    let date = time("2026-11-26T12:00:00Z");
    // Before, after the answer, in ms from the server's whole second.
    for (before, after, outcome, words) in [
        (0, 0, CheckOutcome::Ok, ""),
        (3_000, 3_000, CheckOutcome::Ok, ""),
        (3_001, 3_100, CheckOutcome::Warning, "2 s ahead of"),
        (11_000, 11_000, CheckOutcome::Warning, "10 s ahead of"),
        (11_001, 11_001, CheckOutcome::Outside, "10 s ahead of"),
        (-2_000, -2_000, CheckOutcome::Ok, ""),
        (-9_000, -2_001, CheckOutcome::Warning, "2 s behind"),
        (-10_000, -10_000, CheckOutcome::Warning, "10 s behind"),
        (-10_001, -10_001, CheckOutcome::Outside, "10 s behind"),
        // An answer that took long says little.
        (-60_000, 60_000, CheckOutcome::Ok, ""),
    ] {
        let at = |offset: i64| {
            let span = Duration::from_millis(offset.unsigned_abs());
            if offset < 0 { date - span } else { date + span }
        };
        let finding = clock(at(before), at(after), Some(date));
        assert_eq!(finding.outcome, outcome, "{before} {after}: {finding:?}");
        assert!(finding.found.contains(words), "{before} {after}: {finding:?}");
    }
    assert_eq!(clock(date, date, None).outcome, CheckOutcome::Skipped);
}

/// In seconds.
const YEAR: u64 = 31_536_000;

#[test]
fn a_token_is_late_when_the_kubelet_has_not_replaced_it() {
    let claims = |issued, stale, expires| Claims {
        issued: Some(issued),
        stale,
        expires,
        audience: Some("[\"a\"]".to_owned()),
        subject: Some("s".to_owned()),
        ..Claims::default()
    };
    for (token_claims, now, outcome, words) in [
        (
            claims(0, None, Some(3600)),
            0,
            CheckOutcome::Ok,
            "0 min old, to be replaced within 60 min",
        ),
        (
            claims(0, None, Some(3600)),
            3240,
            CheckOutcome::Ok,
            "54 min old, to be replaced within 6 min",
        ),
        (claims(0, None, Some(3600)), 3241, CheckOutcome::Warning, "it is late"),
        (claims(0, None, Some(3600)), 3600, CheckOutcome::Setup, "it has expired"),
        // As it is by default: accepted for a year, and to be replaced within the hour.
        (claims(0, Some(3607), Some(YEAR)), 3000, CheckOutcome::Ok, "within 10 min"),
        (claims(0, Some(3607), Some(YEAR)), 3600, CheckOutcome::Warning, "it is late"),
        (claims(0, Some(3607), Some(YEAR)), 9999, CheckOutcome::Warning, "within 0 min"),
        (claims(0, Some(3607), Some(YEAR)), YEAR, CheckOutcome::Setup, "it has expired"),
        // Of a Secret.
        (claims(0, None, None), YEAR, CheckOutcome::Ok, "525600 min old"),
        // This machine's clock is behind.
        (claims(100, None, Some(3700)), 0, CheckOutcome::Ok, "0 min old"),
    ] {
        let finding = token("/token", &token_claims, now);
        assert_eq!(finding.outcome, outcome, "{now}: {finding:?}");
        assert!(finding.found.starts_with("/token: of s for [\"a\"], "), "{finding:?}");
        assert!(finding.found.contains(words), "{now}: {finding:?}");
    }
    let opaque = token("/token", &Claims::default(), 7);
    assert_eq!(opaque.outcome, CheckOutcome::Ok);
}

#[test]
fn a_token_of_another_node_is_a_failure() {
    let of = |node: Option<&str>| Claims {
        pod: Some("p".to_owned()),
        node: node.map(str::to_owned),
        ..Claims::default()
    };
    assert_eq!(bound(&of(Some("a")), "a").outcome, CheckOutcome::Ok);
    assert_eq!(bound(&of(None), "a").outcome, CheckOutcome::Ok);
    assert_eq!(bound(&of(Some("b")), "a").outcome, CheckOutcome::Setup);
    assert_eq!(bound(&of(Some("b")), "a").found, "bound to pod p, on node b");
}

#[test]
fn a_metadata_service_that_is_slow_or_old_is_warned_of() {
    let url = MetadataUrl::parse("http://169.254.169.254").unwrap();
    let outcome = |token| metadata(&url, token).outcome;
    assert_eq!(outcome(TokenCheck::Given(Duration::from_millis(499))), CheckOutcome::Ok);
    assert_eq!(outcome(TokenCheck::Given(Duration::from_millis(500))), CheckOutcome::Warning);
    assert_eq!(outcome(TokenCheck::NotOffered(404)), CheckOutcome::Warning);
    let failed = TokenCheck::Failed { found: "nothing".to_owned(), remedy: "something" };
    let finding = metadata(&url, failed);
    assert_eq!((finding.outcome, finding.remedy), (CheckOutcome::Outside, "something"));
}

#[test]
fn only_of_a_spot_instance_it_is_certain_that_interruptions_are_announced() {
    let instance_of = |life_cycle: Option<&str>| Instance {
        instance_id: Some("i-0123".to_owned()),
        life_cycle: life_cycle.map(str::to_owned),
        ..Instance::default()
    };
    assert_eq!(instance(&instance_of(Some("spot"))).outcome, CheckOutcome::Ok);
    assert_eq!(instance(&instance_of(Some("on-demand"))).outcome, CheckOutcome::Warning);
    assert_eq!(instance(&instance_of(None)).outcome, CheckOutcome::Warning);
    assert_eq!(instance(&Instance::default()).outcome, CheckOutcome::Skipped);
}

#[test]
fn the_setup_weighs_more_than_what_is_outside_and_warnings_weigh_nothing() {
    use CheckOutcome::{Ok, Outside, Setup, Skipped, Warning};
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
    let warning = CheckOutcome::Warning.is("y".to_owned(), "z");
    assert_eq!(warning.line("x"), "warning  x: y; remedy: z\n");
    assert_eq!(Finding::ok("y".to_owned()).line("x"), "ok       x: y\n");
}

#[test]
fn programs_get_an_object() {
    let finding = CheckOutcome::Setup.is("a \"b\"".to_owned(), "c");
    let object: serde_json::Value = serde_json::from_str(&finding.json("x")).unwrap();
    let expected = serde_json::json!(
        {"check": "x", "outcome": "failure", "found": "a \"b\"", "remedy": "c"}
    );
    assert_eq!(object, expected);
}

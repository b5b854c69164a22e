//! The real binary, as far as it gets without a cluster: what it prints where, and its exit status.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::process::{Command, Output};

fn handler(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_k8s-spot-handler"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn bad_settings_end_it_with_64_and_are_all_named_on_standard_error() {
    let output = handler(&["--safety-margin=0"], &[("POLL_INTERVAL", "soon")]);
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    for mistake in ["--safety-margin", "POLL_INTERVAL", "NODE_NAME", "KUBERNETES_SERVICE_HOST"] {
        assert!(said.contains(mistake), "{mistake} in {said}");
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let help = handler(&["--help"], &[("POLL_INTERVAL", "soon")]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("--poll-interval"));
    assert_eq!(text(&help.stderr), "");
    let version = handler(&["--version"], &[]);
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(
        text(&version.stdout),
        concat!("k8s-spot-handler ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn the_settings_are_printed_to_standard_output() {
    let pod = [("NODE_NAME", "node-1"), ("KUBERNETES_SERVICE_HOST", "::1"), ("POLL_INTERVAL", "8")];
    let output = handler(&["--print-settings", "--dry-run"], &pod);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
    let printed = text(&output.stdout);
    let set = [("POLL_INTERVAL ", "environment POLL_INTERVAL"), ("DRY_RUN ", "flag --dry-run")];
    for (name, origin) in set {
        let line = printed.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line.ends_with(origin), "{line}");
    }
}

#[test]
fn outside_a_cluster_the_settings_are_printed_with_what_is_missing() {
    let output = handler(&["--print-settings"], &[]);
    assert_eq!(output.status.code(), Some(64));
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert!(printed.contains("(missing)") && printed.contains("SAFETY_MARGIN"), "{printed}");
    for name in ["NODE_NAME", "KUBERNETES_SERVICE_HOST"] {
        assert!(said.contains(&format!("{name} ")), "{name} in {said}");
    }
}

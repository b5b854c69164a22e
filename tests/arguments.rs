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
    let output = handler(&["--workers=0"], &[("POLL_INTERVAL", "soon")]);
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    for mistake in ["--workers", "POLL_INTERVAL", "NODE_NAME", "KUBERNETES_SERVICE_HOST"] {
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

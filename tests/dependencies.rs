//! What ships is known: the crates of the released binary are those of a list, each with its reason.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::collections::BTreeSet;
use std::process::Command;

/// The list: crate, version, reason.
const LIST: &str = include_str!("dependencies.txt");

const TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];

/// An async runtime, a second cryptography, a Kubernetes client and such: whoever brings one in has
/// to take it from here first.
const FORBIDDEN: [&str; 14] = [
    "async-std",
    "aws-lc-rs",
    "aws-lc-sys",
    "clap",
    "futures",
    "hyper",
    "kube",
    "mio",
    "native-tls",
    "openssl",
    "openssl-sys",
    "regex",
    "reqwest",
    "tokio",
];

/// A crate in the tree of dependencies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
}

/// Each crate below the product, with the number of steps to it.
fn tree(target: &str) -> Vec<(usize, Crate)> {
    let arguments = ["tree", "--locked", "--edges=normal", "--prefix=depth", "--no-dedupe"];
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--package", env!("CARGO_PKG_NAME"), "--target", target])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty()).map(|line| {
        let name_at = line.find(|c: char| !c.is_ascii_digit()).unwrap();
        let (depth, rest) = line.split_at(name_at);
        let mut words = rest.split(' ');
        let name = words.next().unwrap().to_owned();
        let version = words.next().unwrap().trim_start_matches('v').to_owned();
        (depth.parse().unwrap(), Crate { name, version })
    });
    lines.filter(|(depth, _)| *depth > 0).collect()
}

/// The lines of the list: the crate, and whether the product names it itself.
fn list() -> Vec<(Crate, bool)> {
    let is_entry = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let lines = LIST.lines().filter(is_entry);
    let entries = lines.map(|line| {
        let mut words = line.split_whitespace().map(str::to_owned);
        let (name, version) = (words.next().unwrap(), words.next().unwrap());
        let reason = words.next();
        assert!(reason.is_some(), "no reason: {line}");
        (Crate { name, version }, reason.as_deref() == Some("*"))
    });
    entries.collect()
}

#[test]
fn the_released_binary_is_built_from_what_is_listed() {
    let listed: BTreeSet<Crate> = list().into_iter().map(|(one, _)| one).collect();
    for target in TARGETS {
        let built: BTreeSet<Crate> = tree(target).into_iter().map(|(_, one)| one).collect();
        let unlisted: Vec<_> = built.difference(&listed).collect();
        let idle: Vec<_> = listed.difference(&built).collect();
        assert!(
            unlisted.is_empty() && idle.is_empty(),
            "{target}: tests/dependencies.txt lacks {unlisted:#?} and has too much: {idle:#?}"
        );
    }
}

#[test]
fn the_product_itself_names_what_bears_a_star_and_no_serde() {
    let starred: BTreeSet<Crate> =
        list().into_iter().filter(|(_, starred)| *starred).map(|(one, _)| one).collect();
    let tree = tree(TARGETS[0]).into_iter();
    let named: BTreeSet<Crate> =
        tree.filter(|(depth, _)| *depth == 1).map(|(_, one)| one).collect();
    assert_eq!(named, starred);
    assert!(!named.iter().any(|one| one.name.starts_with("serde")), "{named:#?}");
}

#[test]
fn nothing_that_was_ruled_out_came_back() {
    for (_, one) in tree(TARGETS[0]) {
        assert!(!FORBIDDEN.contains(&one.name.as_str()), "{one:?}");
    }
}

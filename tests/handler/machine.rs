//! What the machine below the process gives no more: files, names, room for the log.

use std::time::Duration;

use simulator::{Budget, Class, Happening};

use crate::child::{Handler, Launch};
use crate::stage::{FAR, Folder, Stage, at_once, content, names, quick_pods};

/// Six pods that go one after the other: the drain lasts.
fn lasting() -> Stage {
    let stage = Stage::with(quick_pods(6));
    let budget = Budget::named("web").max_unavailable(1);
    stage.cluster.add_budget(budget.replaced_after(Duration::from_millis(300)));
    stage
}

/// Waits until the first of them is gone.
fn is_under_way(stage: &Stage) {
    stage.happens(|what| matches!(what, Happening::Gone { .. }));
}

/// A token file as it may be found.
#[derive(Clone, Copy)]
enum Found {
    Missing,
    /// These bytes.
    Bytes(&'static [u8]),
    /// The first half of the token: it was not replaced in one step.
    Half,
}

impl Found {
    fn put(self, folder: &Folder, token: &str) {
        match self {
            Self::Missing => drop(std::fs::remove_file(folder.file("token"))),
            Self::Bytes(bytes) => drop(folder.put("token", bytes)),
            Self::Half => drop(folder.put("token", &token[..token.len() / 2])),
        }
    }
}

/// Each with what the log says of it.
const TOKENS: [(&str, (Found, &str)); 6] = [
    ("missing", (Found::Missing, "No such file")),
    ("empty", (Found::Bytes(b""), "it is empty")),
    ("line ends alone", (Found::Bytes(b"\r\n\r\n"), "it is empty")),
    ("zeros", (Found::Bytes(&[0; 800]), "it has characters that no token has")),
    ("two lines", (Found::Bytes(b"eyJ\r\neyJ\r\n"), "it has characters that no token has")),
    ("half", (Found::Half, "does not accept the token")),
];

#[test]
fn a_token_file_that_cannot_be_used_when_the_notice_comes_is_read_again_until_it_can() {
    at_once(&TOKENS, |(found, words)| {
        let (stage, folder) = (Stage::with(quick_pods(3)), Folder::new());
        found.put(&folder, &stage.cluster.token());
        stage.cloud.announce_in(FAR);
        let handler = stage.handler().with("TOKEN_FILE", folder.file("token")).start();
        handler.says(words);
        assert_eq!(stage.cluster.pods().len(), 3);
        folder.put("token", stage.cluster.token());
        handler.table().all_evicted(&names(3));
        handler.says("the node is cordoned");
    });
}

#[test]
fn a_token_file_that_cannot_be_used_in_the_middle_of_a_drain_is_read_again_until_it_can() {
    at_once(&TOKENS, |(found, _)| {
        let (stage, folder) = (lasting(), Folder::new());
        folder.put("token", stage.cluster.token());
        stage.cloud.announce_in(FAR);
        let handler = stage.handler().with("TOKEN_FILE", folder.file("token")).start();
        is_under_way(&stage);
        // The API server takes none but the next, and that is not written as it should be.
        stage.cluster.rotate_token().unwrap();
        found.put(&folder, &stage.cluster.token());
        handler.says("does not accept the token");
        folder.put("token", stage.cluster.token());
        handler.table().all_evicted(&names(6));
    });
}

#[test]
fn line_ends_and_spaces_around_a_token_are_not_part_of_it() {
    at_once(&[("CR LF", ("", "\r\n")), ("around", (" \n", "\n\n\t"))], |(before, after)| {
        let (stage, folder) = (Stage::with(quick_pods(3)), Folder::new());
        let file = folder.put("token", format!("{before}{}{after}", stage.cluster.token()));
        let handler = stage.started(stage.handler().with("TOKEN_FILE", file));
        stage.cloud.announce_in(FAR);
        handler.table().all_evicted(&names(3));
        let refused = stage.cluster.journal().entries().iter().any(|it| it.code == Some(401));
        assert!(!refused, "{}", stage.cluster.journal());
    });
}

/// Cuts what is open: the connections of before know the old certificate only.
fn changes_certificate(stage: &Stage) -> String {
    let authority = stage.cluster.renew_authority().unwrap();
    stage.cluster.cut_connections();
    authority
}

#[test]
fn an_authority_that_is_replaced_in_the_middle_of_a_drain_is_read_again() {
    at_once(&[("at the server first", true), ("together with the old one", false)], |before| {
        let (stage, folder) = (lasting(), Folder::new());
        let old = content(&stage.cluster.authority_file());
        let file = folder.put("ca.crt", &old);
        stage.cloud.announce_in(FAR);
        let handler = stage.handler().with("CA_FILE", &file).start();
        is_under_way(&stage);
        let new = changes_certificate(&stage);
        if *before {
            let line = handler.says("is not signed by a CA in");
            assert!(line.contains(&file.display().to_string()), "{line}");
            folder.put("ca.crt", new);
        } else {
            // As `kubectl` is given both while one takes over from the other.
            folder.put("ca.crt", [old, new.into_bytes()].concat());
        }
        handler.table().all_evicted(&names(6));
    });
}

/// In a file system of its own, with nothing below `/etc`; `None`: none can be made here.
fn without_etc(launch: Launch<'_>) -> Option<Launch<'_>> {
    const UNSHARE: &str = "unshare --mount --map-root-user /bin/sh -c";
    let empty = "mount -t tmpfs none /etc && exec \"$0\" \"$@\"";
    let try_it = format!("{UNSHARE} '{empty}' test ! -e /etc/resolv.conf");
    let is_possible =
        std::process::Command::new("/bin/sh").args(["-c", &try_it]).status().unwrap().success();
    is_possible.then(|| launch.after(format!("exec {UNSHARE} '{empty}' \"$0\" \"$@\"")))
}

#[test]
fn where_no_name_can_be_resolved_the_node_is_drained_all_the_same() {
    let stage = Stage::with(quick_pods(3));
    let launch = stage.handler().with("WEBHOOK_URL", "http://hooks.example/hush");
    let Some(launch) = without_etc(launch) else {
        assert!(std::env::var_os("CI").is_none(), "no file system of its own can be made here");
        eprintln!("SKIPPED: no file system of its own can be made here (this takes root)");
        return;
    };
    stage.cloud.announce_in(FAR);
    let mut handler = launch.start();
    handler.table().all_evicted(&names(3));
    handler.says("hooks.example");
    ends(&mut handler);
}

fn ends(handler: &mut Handler<'_>) {
    handler.terminate();
    assert!(handler.ended().success());
}

#[test]
fn a_log_for_which_the_disk_has_no_room_holds_up_neither_drain_nor_end() {
    at_once(&[("text", "false"), ("JSON", "true")], |json| {
        let stage = Stage::with(quick_pods(3));
        let launch = stage.handler().with("VERBOSE", "1").with("JSON_LOGGING", json);
        let mut handler = launch.after("exec 2>/dev/full".to_owned()).start();
        stage.polled_on(0, 2);
        stage.cloud.announce_in(FAR);
        stage.left(&[]);
        stage.cordons();
        assert_eq!(stage.asked(Class::Evict).len(), 3);
        ends(&mut handler);
        assert!(handler.lines().is_empty());
    });
}

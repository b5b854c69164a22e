//! The real binary in the environment that each predecessor's published manifest gives it, unchanged:
//! who only changes the image gets what the manifest asks for.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics has failed, as it should"
)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// What a DaemonSet gives to its container.
struct Manifest {
    file: &'static str,
    /// For others than the handler.
    foreign: &'static [&'static str],
}

const MANIFESTS: [Manifest; 4] = [
    Manifest {
        file: include_str!("fixtures/environment/aws-node-termination-handler.env"),
        foreign: &[],
    },
    Manifest { file: include_str!("fixtures/environment/k8s-spot-handler.env"), foreign: &[] },
    Manifest {
        file: include_str!("fixtures/environment/kube-spot-termination-notice-handler.env"),
        foreign: &[],
    },
    Manifest {
        file: include_str!("fixtures/environment/k8s-spot-termination-handler-chart.env"),
        foreign: &["LOGSPOUT"],
    },
];

impl Manifest {
    fn variables(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let lines = self.file.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split_once('=').unwrap())
    }

    /// The program in a pod of this manifest; Kubernetes adds where the API server is.
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_k8s-spot-handler"));
        command
            .env_clear()
            .envs(self.variables())
            .envs([("KUBERNETES_SERVICE_HOST", "127.0.0.1"), ("KUBERNETES_SERVICE_PORT", "1")]);
        command
    }

    fn printed(&self) -> Printed {
        let output = self.command().arg("--print-settings").output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        let mut parts = text.split("\n\n").map(|part| part.lines().map(str::to_owned).collect());
        Printed {
            settings: parts.next().unwrap(),
            without_effect: parts.next().unwrap_or_default(),
            remarks: parts.next().unwrap_or_default(),
        }
    }
}

/// What `--print-settings` prints.
struct Printed {
    settings: Vec<String>,
    without_effect: Vec<String>,
    remarks: Vec<String>,
}

impl Printed {
    /// Value and origin of a setting.
    fn setting(&self, name: &str) -> String {
        let mut found =
            self.settings.iter().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let rest = found.next().unwrap_or_else(|| panic!("there is no setting {name}"));
        rest.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn has_without_effect(&self, name: &str) -> bool {
        self.without_effect.iter().any(|line| line.trim() == name)
    }
}

#[test]
fn every_variable_of_a_published_manifest_is_known() {
    for manifest in MANIFESTS {
        let printed = manifest.printed();
        let given = manifest.variables().filter(|(name, value)| {
            !value.is_empty()
                && !manifest.foreign.contains(name)
                && !printed.has_without_effect(name)
        });
        for (name, value) in given {
            let told = format!("  {value} ");
            let line =
                printed.settings.iter().find(|line| line.ends_with(&format!("environment {name}")));
            let line = line.unwrap_or_else(|| panic!("{name} is not known"));
            let is_secret = ["(not shown) ", ".example/… "].iter().any(|part| line.contains(part));
            assert!(line.contains(&told) || is_secret, "{line}");
        }
    }
}

#[test]
fn the_chart_of_aws_node_termination_handler_is_followed_but_for_a_word_about_hooks() {
    let printed = MANIFESTS[0].printed();
    // It drains for the life cycle, and has no setting for how long the hook waits.
    let [heading, remark] = &printed.remarks[..] else { panic!("{:?}", printed.remarks) };
    assert_eq!(heading, "Remarks:");
    assert!(remark.starts_with("  ASG_LIFECYCLE_WINDOW is not set: "), "{remark}");
    for (name, expected) in [
        ("NODE_NAME", "ip-10-0-1-17.eu-west-1.compute.internal environment NODE_NAME"),
        ("ENABLE_ASG_LIFECYCLE_DRAINING", "true environment ENABLE_ASG_LIFECYCLE_DRAINING"),
        ("NODE_TERMINATION_GRACE_PERIOD", "120 environment NODE_TERMINATION_GRACE_PERIOD"),
        ("POD_TERMINATION_GRACE_PERIOD", "-1 environment POD_TERMINATION_GRACE_PERIOD"),
        ("POLL_INTERVAL", "1s default"),
    ] {
        assert_eq!(printed.setting(name), expected);
    }
    let lead_times = printed.setting("MAINTENANCE_LEAD_TIMES");
    assert!(
        lead_times.ends_with("instance-retirement=1h,instance-stop=1h default"),
        "{lead_times}"
    );
}

#[test]
fn the_manifest_of_the_seed_finds_its_node_by_its_pod() {
    let printed = MANIFESTS[1].printed();
    assert_eq!(printed.setting("POD_NAME"), "k8s-spot-handler-7xk2p environment POD_NAME");
    assert!(printed.setting("NODE_NAME").starts_with("(unset) default: that of its own pod"));
    assert_eq!(printed.setting("VERBOSE"), "0 environment VERBOSE");
    assert!(printed.has_without_effect("SPOT_POD_IP"));
}

#[test]
fn where_messages_go_is_printed_without_its_secrets() {
    let printed = MANIFESTS[2].printed();
    for (name, expected) in [
        ("SLACK_URL", "https://hooks.slack.example/… environment SLACK_URL"),
        ("SLACK_CHANNEL", "#devops environment SLACK_CHANNEL"),
        ("SEMATEXT_URL", "https://event-receiver.sematext.example/… environment SEMATEXT_URL"),
        ("WECHAT_URL", "https://pushbear.ftqq.example/… environment WECHAT_URL"),
        ("WECHAT_KEY", "(not shown) environment WECHAT_KEY"),
        ("CLUSTER", "development environment CLUSTER"),
    ] {
        assert_eq!(printed.setting(name), expected);
    }
    assert!(printed.remarks.iter().any(|line| line.contains("DETACH_ASG has no effect")));
    let all = [printed.settings, printed.without_effect, printed.remarks].concat().concat();
    assert!(!all.contains("hunter2"), "{all}");
}

#[test]
fn the_chart_of_the_seed_shortens_graces_and_polls_as_it_did() {
    let printed = MANIFESTS[3].printed();
    assert_eq!(printed.setting("POD_TERMINATION_GRACE_PERIOD"), "120 environment GRACE_PERIOD");
    assert_eq!(printed.setting("POLL_INTERVAL"), "5 environment POLL_INTERVAL");
    assert_eq!(printed.remarks, [""; 0]);
    assert!(!printed.has_without_effect("CLUSTER"), "an empty variable is no variable");
}

#[test]
fn it_starts_and_goes_on() {
    for manifest in MANIFESTS {
        // Nobody is there: neither a metadata service nor an API server.
        let mut command = manifest.command();
        command.env("INSTANCE_METADATA_URL", "http://127.0.0.1:1").stderr(Stdio::piped());
        let mut handler = Running(command.spawn().unwrap());
        let log = BufReader::new(handler.0.stderr.take().unwrap());
        let mut lines = log.lines().map(Result::unwrap);
        let version = concat!("k8s-spot-handler ", env!("CARGO_PKG_VERSION"));
        let started = lines.next().unwrap_or_else(|| panic!("it says nothing"));
        assert!(started.ends_with(version), "{started}");
        // It says so when it has asked for the first time, and asks on.
        assert!(lines.any(|line| line.contains("cannot be polled")));
        assert_eq!(handler.0.try_wait().unwrap(), None);
    }
}

/// Ended when the test is, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, and is not there to be killed then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! What a real node needs of the machine.

use std::path::Path;

/// What is missing here, in words.
#[must_use]
pub fn missing() -> Vec<String> {
    let mut missing = Vec::new();
    if !rustix::process::geteuid().is_root() {
        missing.push("root".to_owned());
    }
    if super::cgroup::hierarchies().is_empty() {
        missing.push("control groups that can be written, with memory and pids".to_owned());
    }
    if super::own_address().is_err() {
        missing.push("an address besides those of loopback".to_owned());
    }
    let files = [
        ("runc", &["/usr/sbin/runc", "/usr/bin/runc"][..]),
        ("containernetworking-plugins", &["/usr/lib/cni/ptp"]),
        ("buildah", &["/usr/bin/buildah"]),
        ("dbus-daemon", &["/usr/bin/dbus-daemon"]),
        ("dbus-bin", &["/usr/bin/dbus-send"]),
        ("python3-dbusmock", &["/usr/lib/python3/dist-packages/dbusmock"]),
    ];
    for (package, paths) in files {
        if !paths.iter().any(|path| Path::new(path).exists()) {
            missing.push(format!("Debian's package {package}"));
        }
    }
    missing
}

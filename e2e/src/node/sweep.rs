//! What is left of a node that was not stopped, of this run or of one that was killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};

use super::cgroup::{Group, hierarchies};

/// A short path: those of sockets have 107 characters.
const PARENT: &str = "/var/tmp";

const PREFIX: &str = "e2e-node-";

/// Where the node of this process is.
pub fn folder() -> PathBuf {
    Path::new(PARENT).join(group())
}

/// Its control group.
pub fn group() -> String {
    format!("{PREFIX}{}", std::process::id())
}

/// Clears away the nodes of runs that have ended.
pub fn leftovers() -> Result<()> {
    for parent in hierarchies().iter().map(PathBuf::as_path).chain([Path::new(PARENT)]) {
        for entry in fs::read_dir(parent)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(id) = name.strip_prefix(PREFIX) else { continue };
            if !Path::new("/proc").join(id).exists() {
                force(&Path::new(PARENT).join(&name), &Group::named(&name))?;
            }
        }
    }
    Ok(())
}

/// Ends what runs there, and takes it away.
pub fn force(folder: &Path, group: &Group) -> Result<()> {
    let start = Instant::now();
    loop {
        let mut left = group.processes()?;
        left.extend(serving(folder)?);
        if left.is_empty() {
            break;
        }
        ensure!(start.elapsed() < Duration::from_secs(20), "these do not end: {left:?}");
        for id in left {
            if let Some(id) = Pid::from_raw(id) {
                // It may have ended by itself.
                let _ended = kill_process(id, Signal::KILL);
            }
        }
        sleep(Duration::from_millis(50));
    }
    remove(folder, group)
}

/// Takes away what no process uses any more.
pub fn remove(folder: &Path, group: &Group) -> Result<()> {
    for path in strays(folder) {
        // What the runtime has taken away itself is gone.
        drop(fs::remove_file(path));
    }
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let within = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    // What was mounted last lies above.
    for mount in
        within.filter(|path| Path::new(path).starts_with(folder)).collect::<Vec<_>>().iter().rev()
    {
        unmount(*mount, UnmountFlags::DETACH).with_context(|| format!("unmounting {mount}"))?;
    }
    group.remove()?;
    match fs::remove_dir_all(folder) {
        Err(error) if folder.exists() => Err(error).context("removing the node's folder"),
        _ => Ok(()),
    }
}

/// Files elsewhere, where containerd and its network plugins have them in any case: the sockets of shims,
/// and the addresses that each container got.
fn strays(folder: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let containers = folder.join("containerd-state/io.containerd.runtime.v2.task/k8s.io");
    let containers: Vec<PathBuf> = entries(&containers).map(|entry| entry.path()).collect();
    let socket = |container: &PathBuf| {
        let shim = fs::read_to_string(container.join("bootstrap.json")).ok()?;
        let address = shim.split_once("unix://")?.1.split('"').next()?;
        Some(PathBuf::from(address))
    };
    let of_container = |path: &PathBuf| {
        let path = path.to_string_lossy();
        let mut ids = containers.iter().filter_map(|container| container.file_name()?.to_str());
        ids.any(|id| path.contains(id))
    };
    let results = entries(Path::new("/var/lib/cni/results")).map(|entry| entry.path());
    containers.iter().filter_map(socket).chain(results.filter(of_container)).collect()
}

/// The processes that were started with a path in that folder: kubelet, runtime, and the shims, which are
/// no children of theirs.
fn serving(folder: &Path) -> Result<Vec<i32>> {
    let folder = format!("{}/", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let program = line.split('\0').next().unwrap_or_default();
        let ours = ["kubelet", "containerd", "containerd-shim-runc-v2", "dbus-daemon"];
        if ours.iter().any(|name| Path::new(program).ends_with(name)) && line.contains(&folder) {
            found.push(id);
        }
    }
    Ok(found)
}

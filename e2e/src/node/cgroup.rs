//! The control group below which all pods of a real node run, in version 1 or 2.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// One group, with a folder in each hierarchy.
#[derive(Debug)]
pub struct Group {
    name: String,
    folders: Vec<PathBuf>,
}

/// What is charged to a group, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Now.
    pub now: u64,
    /// The most that it ever was.
    pub peak: u64,
    /// The most that it may be.
    pub limit: u64,
}

/// The mounted hierarchies of that version.
fn mounted(version: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let of_line = |line: &str| {
        let mut words = line.split(' ');
        let (folder, kind) = (words.nth(1)?, words.next()?);
        let writable = words.next()?.split(',').any(|option| option == "rw");
        (kind == version && writable).then(|| PathBuf::from(folder))
    };
    mounts.lines().filter_map(of_line).collect()
}

/// Where groups are made: `/sys/fs/cgroup`, or a folder of it for each controller.
#[must_use]
pub fn hierarchies() -> Vec<PathBuf> {
    let first = mounted("cgroup");
    let is_there = |name: &str| first.iter().any(|folder| folder.ends_with(name));
    let mut second = mounted("cgroup2");
    if is_there("memory") && is_there("pids") {
        // The kubelet makes one in version 2, too, if it is there.
        return first.into_iter().chain(second).collect();
    }
    second.retain(|folder| folder == Path::new("/sys/fs/cgroup"));
    second
}

impl Group {
    /// Makes a group of that name, with room for others in it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn create(name: &str) -> Result<Self> {
        let group = Self::named(name);
        for (hierarchy, folder) in hierarchies().iter().zip(&group.folders) {
            fs::create_dir_all(folder)
                .with_context(|| format!("making the control group {}", folder.display()))?;
            // Without these nothing may run in it. Version 2 has what its parent has.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if hierarchy.join(file).exists() {
                    fs::write(folder.join(file), fs::read(hierarchy.join(file))?)?;
                }
            }
        }
        Ok(group)
    }

    pub(super) fn named(name: &str) -> Self {
        let folders = hierarchies().iter().map(|hierarchy| hierarchy.join(name)).collect();
        Self { name: name.to_owned(), folders }
    }

    /// As the kubelet calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the pod of that UID is charged.
    ///
    /// # Errors
    /// It has no group.
    pub fn of_pod(&self, uid: &str) -> Result<Memory> {
        Memory::read(&self.pod_folder(uid)?)
    }

    /// Makes what a pod is charged now the most that it ever was, where the kernel lets that be done
    /// (version 1).
    ///
    /// # Errors
    /// The pod has no group.
    pub fn reset_peak(&self, uid: &str) -> Result<()> {
        for folder in below(&self.pod_folder(uid)?)? {
            let peak = folder.join("memory.max_usage_in_bytes");
            if peak.exists() {
                fs::write(peak, "0")?;
            }
        }
        Ok(())
    }

    /// The processes of a pod.
    ///
    /// # Errors
    /// It has no group.
    pub fn processes_of(&self, uid: &str) -> Result<Vec<i32>> {
        processes_below(&self.pod_folder(uid)?)
    }

    /// What the container is charged that a process is in.
    ///
    /// # Errors
    /// The process is in none.
    pub fn of_container(&self, uid: &str, process: i32) -> Result<Memory> {
        for folder in below(&self.pod_folder(uid)?)? {
            let list = fs::read_to_string(folder.join("cgroup.procs"))?;
            if list.lines().any(|line| line.parse() == Ok(process)) {
                return Memory::read(&folder);
            }
        }
        anyhow::bail!("the process {process} is in none of the pod's containers")
    }

    fn pod_folder(&self, uid: &str) -> Result<PathBuf> {
        let wanted = format!("pod{uid}");
        let all = below(&self.memory_folder()?)?;
        let pod = all.into_iter().find(|folder| folder.ends_with(&wanted));
        pod.with_context(|| format!("no control group of the pod {uid}"))
    }

    fn memory_folder(&self) -> Result<PathBuf> {
        let version1 = self
            .folders
            .iter()
            .find(|folder| folder.ends_with(Path::new("memory").join(&self.name)));
        version1.or(self.folders.first()).cloned().context("no control group for memory")
    }

    /// The processes in it and below.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let mut processes = Vec::new();
        for folder in &self.folders {
            processes.extend(processes_below(folder)?);
        }
        processes.sort_unstable();
        processes.dedup();
        Ok(processes)
    }

    /// Takes it away, with all below it.
    ///
    /// # Errors
    /// Something still runs in it.
    pub fn remove(&self) -> Result<()> {
        for folder in &self.folders {
            // What is deepest first.
            for folder in below(folder)?.iter().rev() {
                remove(folder)?;
            }
        }
        Ok(())
    }
}

impl Memory {
    fn read(folder: &Path) -> Result<Self> {
        let number = |names: [&str; 2]| {
            let text = names.iter().find_map(|name| fs::read_to_string(folder.join(name)).ok());
            let text = text.with_context(|| format!("no {names:?} in {}", folder.display()))?;
            // `max` is as much as there is.
            Ok::<u64, anyhow::Error>(text.trim().parse().unwrap_or(u64::MAX))
        };
        Ok(Self {
            now: number(["memory.usage_in_bytes", "memory.current"])?,
            peak: number(["memory.max_usage_in_bytes", "memory.peak"])?,
            limit: number(["memory.limit_in_bytes", "memory.max"])?,
        })
    }
}

fn processes_below(folder: &Path) -> Result<Vec<i32>> {
    let mut processes = Vec::new();
    for folder in below(folder)? {
        let list = gone_is_empty(fs::read_to_string(folder.join("cgroup.procs")))?;
        processes.extend(list.lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    Ok(processes)
}

/// The folder and all below it, a parent before its children.
fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut all = vec![folder.to_owned()];
    let mut next = 0;
    while let Some(folder) = all.get(next).cloned() {
        next += 1;
        match fs::read_dir(&folder) {
            Ok(entries) => {
                for entry in entries.flatten() {
                    if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                        all.push(entry.path());
                    }
                }
            }
            Err(error) => {
                ensure!(error.kind() == ErrorKind::NotFound, "{}: {error}", folder.display());
            }
        }
    }
    Ok(all)
}

/// Processes that have just ended keep it for a moment.
fn remove(folder: &Path) -> Result<()> {
    let start = Instant::now();
    loop {
        match fs::remove_dir(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if start.elapsed() > Duration::from_secs(5) => {
                return Err(error).with_context(|| format!("removing {}", folder.display()));
            }
            Err(_) => sleep(Duration::from_millis(20)),
        }
    }
}

fn gone_is_empty(list: io::Result<String>) -> io::Result<String> {
    match list {
        // ENODEV: it was removed while it was read.
        Err(error) if error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(19) => {
            Ok(String::new())
        }
        list => list,
    }
}

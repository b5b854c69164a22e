//! What the containers of a real node write, kept also when the kubelet takes it away with the pod.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::cluster::GLANCE;
use crate::verdicts::Verdicts;

/// Follows the kubelet's folder of logs until it is dropped.
pub struct Logs {
    kept: PathBuf,
    task: JoinHandle<()>,
}

/// One thing that happened to a container, as it wrote it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// What: `started`, `SIGTERM`, `ends`.
    pub what: String,
}

/// The log of one container, from one start to its end.
#[derive(Clone, Debug)]
pub struct PodLog {
    path: PathBuf,
}

impl Logs {
    /// Keeps in `kept` all that appears in `pods`.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn follow(pods: PathBuf, kept: PathBuf) -> Result<Self> {
        fs::create_dir_all(&kept)?;
        let task = tokio::spawn({
            let kept = kept.clone();
            async move {
                loop {
                    // What is removed meanwhile was linked before.
                    drop(link(&pods, &kept));
                    sleep(GLANCE / 2).await;
                }
            }
        });
        Ok(Self { kept, task })
    }

    /// The log of the `start`th start (the first is 0) of a pod's container.
    #[must_use]
    pub fn of(&self, uid: &str, container: &str, start: u32) -> PodLog {
        PodLog { path: self.kept.join(format!("{uid}.{container}.{start}.log")) }
    }

    /// All logs of containers of that name.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn all(&self, container: &str) -> Result<Vec<PodLog>> {
        let part = format!(".{container}.");
        let mut found: Vec<_> = fs::read_dir(&self.kept)?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.to_string_lossy().contains(&part))
            .collect();
        found.sort();
        Ok(found.into_iter().map(|path| PodLog { path }).collect())
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl PodLog {
    /// What the container wrote, without the runtime's own words before each line.
    ///
    /// # Errors
    /// There is no such log.
    pub fn read(&self) -> Result<String> {
        let text = fs::read_to_string(&self.path)
            .with_context(|| format!("reading {}", self.path.display()))?;
        // TIME STREAM TAG TEXT
        Ok(text.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).fold(
            String::new(),
            |mut all, line| {
                all.push_str(line);
                all.push('\n');
                all
            },
        ))
    }

    /// What happened to a container of our own.
    ///
    /// # Errors
    /// There is no such log, or a line is none of its own.
    pub fn happened(&self) -> Result<Vec<Happened>> {
        let of_line = |line: &str| {
            let (time, what) = line.split_once(' ').context("a line without a time")?;
            let at = Timestamp::from_millisecond(time.parse()?)?;
            Ok(Happened { at, what: what.to_owned() })
        };
        self.read()?.lines().map(of_line).collect()
    }

    /// Waits until it holds `words` on one line, and gives that line.
    ///
    /// # Errors
    /// It does not within `limit`.
    pub async fn says(&self, words: &[&str], limit: Duration) -> Result<String> {
        let has = |text: &str| {
            let mut lines = text.lines();
            lines.find(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned)
        };
        self.until(&format!("{words:?}"), limit, has).await
    }

    /// Waits for the table of verdicts with this number (the first is 1).
    ///
    /// # Errors
    /// It does not come within `limit`.
    pub async fn verdicts(&self, number: usize, limit: Duration) -> Result<Verdicts> {
        let has = |text: &str| Verdicts::all(text).get(number - 1).cloned();
        self.until("a table of verdicts", limit, has).await
    }

    async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        has: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let waiting = async {
            loop {
                if let Some(found) = self.read().ok().and_then(|text| has(&text)) {
                    return found;
                }
                sleep(GLANCE).await;
            }
        };
        match timeout(limit, waiting).await {
            Ok(found) => Ok(found),
            Err(_) => bail!("not within {limit:?} in {}: {what}", self.path.display()),
        }
    }
}

/// `pods/NAMESPACE_NAME_UID/CONTAINER/START.log` as `kept/UID.CONTAINER.START.log`.
fn link(pods: &Path, kept: &Path) -> Result<()> {
    for pod in fs::read_dir(pods)?.flatten() {
        let name = pod.file_name().to_string_lossy().into_owned();
        let uid = name.rsplit('_').next().unwrap_or_default().to_owned();
        let Ok(containers) = fs::read_dir(pod.path()) else { continue };
        for container in containers.flatten() {
            let Ok(starts) = fs::read_dir(container.path()) else { continue };
            for start in starts.flatten() {
                let names = (container.file_name(), start.file_name());
                let (container, start) = (names.0.to_string_lossy(), names.1.to_string_lossy());
                let to = kept.join(format!("{uid}.{container}.{start}"));
                if !to.exists() {
                    // One that goes in this moment held nothing.
                    drop(fs::hard_link(pod.path().join(&*container).join(&*start), to));
                }
            }
        }
    }
    Ok(())
}

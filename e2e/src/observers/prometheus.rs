//! Debian's Prometheus, scraping one target.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::json;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::relay::Relay;
use crate::cluster::{GLANCE, Process, port};
use crate::wire;

/// Runs until it is dropped.
pub struct Prometheus {
    port: u16,
    process: Process,
    _relay: Option<Relay>,
}

/// What is scraped, every second.
#[derive(Clone, Debug)]
pub struct Scrape<'a> {
    /// Such as `127.0.0.1:9092`; its label `instance`. The path is `/metrics`.
    pub target: &'a str,
    /// Its label `node`, as the scrapes in `deploy/monitoring` set it.
    pub node: &'a str,
    /// In which format.
    pub format: Format,
    /// Rules files.
    pub rules: &'a [PathBuf],
}

/// What the target is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// What Prometheus asks for by itself: `OpenMetrics` first, then the text format.
    OpenMetrics,
    /// `text/plain;version=0.0.4` and no other. The target must heed `Connection: close`.
    PlainText,
}

/// One series at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its labels, the name as `__name__`.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Sample {
    /// The value of a label; one that is not there is empty.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// How the scrapes of a target go.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// What is asked.
    pub scrape_url: String,
    /// `up`, `down`, or `unknown` before the first.
    pub health: String,
    /// What was wrong with the last, or nothing.
    pub last_error: String,
}

impl Prometheus {
    /// Starts one whose files go to `folder`, and waits until it answers.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(folder: &Path, scrape: Scrape<'_>) -> Result<Self> {
        let port = port::free()?;
        let folder = folder.join(format!("prometheus-{port}"));
        fs::create_dir_all(&folder)?;
        let relay = match scrape.format {
            Format::OpenMetrics => None,
            Format::PlainText => Some(Relay::open(scrape.target.to_owned()).await?),
        };
        let address = relay.as_ref().map_or(scrape.target.to_owned(), Relay::address);
        // JSON is YAML.
        let config = json!({
            "global": {
                "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s",
            },
            "rule_files": scrape.rules,
            "scrape_configs": [{
                "job_name": "k8s-spot-handler",
                "static_configs": [{
                    "targets": [address],
                    "labels": {"instance": scrape.target, "node": scrape.node},
                }],
            }],
        });
        let file = folder.join("prometheus.yml");
        fs::write(&file, serde_json::to_vec_pretty(&config)?)?;
        let mut command = Command::new("prometheus");
        command
            .arg("--config.file")
            .arg(file)
            .arg("--storage.tsdb.path")
            .arg(folder.join("data"))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = Process::start("prometheus", command, &folder)
            .context("is Debian's package prometheus installed?")?;
        let mut prometheus = Self { port, process, _relay: relay };
        prometheus.process.listens(port).await?;
        prometheus.ready().await?;
        Ok(prometheus)
    }

    /// What an expression gives now; a scalar is one sample without labels.
    ///
    /// # Errors
    /// Prometheus does not answer, does not understand it, or gives a range.
    pub async fn query(&self, expression: &str) -> Result<Vec<Sample>> {
        let target = format!("/api/v1/query?query={}", wire::escaped(expression));
        let answer = wire::get(self.port, &target).await;
        let answer = answer.with_context(|| format!("asking Prometheus for {expression}"))?;
        let answer: Envelope<Outcome> = serde_json::from_str(&answer)?;
        match answer.data {
            Outcome::Vector(series) => series.into_iter().map(Series::sample).collect(),
            Outcome::Scalar(value) => Ok(vec![Series { metric: BTreeMap::new(), value }.sample()?]),
            Outcome::Matrix {} | Outcome::String {} => bail!("{expression} is no instant vector"),
        }
    }

    /// Waits until what an expression gives is as wanted, and gives it.
    ///
    /// # Errors
    /// It is not within `patience`; the message holds what it gave last. Or it cannot be asked for.
    pub async fn until(
        &self,
        expression: &str,
        wanted: impl Fn(&[Sample]) -> bool,
        patience: Duration,
    ) -> Result<Vec<Sample>> {
        let end = Instant::now() + patience;
        loop {
            let samples = self.query(expression).await?;
            if wanted(&samples) {
                return Ok(samples);
            }
            if Instant::now() >= end {
                bail!("after {patience:?} {expression} is still {samples:?}");
            }
            sleep(GLANCE).await;
        }
    }

    /// How the scrapes go.
    ///
    /// # Errors
    /// Prometheus does not answer.
    pub async fn targets(&self) -> Result<Vec<Target>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Targets {
            active_targets: Vec<Target>,
        }
        let answer = wire::get(self.port, "/api/v1/targets?state=active").await?;
        let answer: Envelope<Targets> = serde_json::from_str(&answer)?;
        Ok(answer.data.active_targets)
    }

    /// Waits until the target was scraped and what it gave was understood.
    ///
    /// # Errors
    /// It was not within `patience`; the message holds what was wrong last.
    pub async fn scrapes(&self, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        loop {
            let targets = self.targets().await?;
            if !targets.is_empty() && targets.iter().all(|target| target.health == "up") {
                return Ok(());
            }
            if Instant::now() >= end {
                bail!("not scraped within {patience:?}: {targets:?}");
            }
            sleep(GLANCE).await;
        }
    }

    /// Every rule of its rules files, as Prometheus describes it.
    ///
    /// # Errors
    /// Prometheus does not answer.
    pub async fn rules(&self) -> Result<Vec<serde_json::Value>> {
        #[derive(Deserialize)]
        struct Groups {
            groups: Vec<Group>,
        }
        #[derive(Deserialize)]
        struct Group {
            rules: Vec<serde_json::Value>,
        }
        let answer = wire::get(self.port, "/api/v1/rules").await?;
        let answer: Envelope<Groups> = serde_json::from_str(&answer)?;
        Ok(answer.data.groups.into_iter().flat_map(|group| group.rules).collect())
    }

    /// It listens before its storage is open.
    async fn ready(&mut self) -> Result<()> {
        let waiting = async {
            while wire::get(self.port, "/-/ready").await.is_err() {
                self.process.check_running()?;
                sleep(GLANCE).await;
            }
            anyhow::Ok(())
        };
        timeout(Duration::from_secs(30), waiting).await.context("Prometheus is not ready")?
    }
}

/// Around everything that Prometheus answers.
#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Outcome {
    Vector(Vec<Series>),
    Scalar((f64, String)),
    Matrix {},
    String {},
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    /// When, and what.
    value: (f64, String),
}

impl Series {
    fn sample(self) -> Result<Sample> {
        // Rust reads all that Prometheus writes, `NaN` and `+Inf` too.
        Ok(Sample { labels: self.metric, value: self.value.1.parse()? })
    }
}

//! Runs scenarios side by side and reports on each.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use tokio::sync::{Mutex, OnceCell, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cluster::{Binaries, Cluster};
use crate::law::{self, Evidence};
use crate::manifest;
use crate::node::{self, Images};
use crate::scenarios::Scenario;
use crate::scene::{Ground, SOON, Scene};
use crate::truth;

/// How many scenarios run side by side. Most of them wait most of the time: as many as leave two
/// cores some air.
const SIDE_BY_SIDE: usize = 12;

/// No scenario takes longer; one that does has hung.
const PATIENCE: Duration = Duration::from_mins(5);

/// How many passed and failed, and how many this machine cannot play.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Left out.
    pub skipped: usize,
}

/// How one went.
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

/// What all scenarios share.
pub struct Runner {
    binaries: Binaries,
    handler: PathBuf,
    deploy: PathBuf,
    folder: PathBuf,
    /// Whether what cannot be played has failed.
    complete: bool,
    /// Built when the first scenario wants them.
    images: OnceCell<Images>,
    /// Started when the first scenario wants them.
    clusters: Mutex<BTreeMap<&'static str, Arc<OnceCell<Arc<Cluster>>>>>,
}

impl Runner {
    /// Prepares a run whose logs go to `folder`.
    #[must_use]
    pub fn new(binaries: Binaries, handler: PathBuf, deploy: PathBuf, folder: PathBuf) -> Self {
        Self {
            binaries,
            handler,
            deploy,
            folder,
            complete: false,
            images: OnceCell::new(),
            clusters: Mutex::default(),
        }
    }

    /// What this machine cannot play is then a failure.
    #[must_use]
    pub fn complete(mut self, complete: bool) -> Self {
        self.complete = complete;
        self
    }

    /// Runs them, the first ones first, and prints a line for each. Those with a real node come last, one
    /// after the other: what they measure is time and memory.
    pub async fn run(self: Arc<Self>, scenarios: Vec<Scenario>) -> Tally {
        let (real, played): (Vec<_>, Vec<_>) =
            scenarios.into_iter().partition(|scenario| scenario.plan.kubelets);
        let mut tally = Arc::clone(&self).run_side_by_side(played).await;
        for scenario in real {
            tally.count(&Arc::clone(&self).report(scenario).await);
        }
        tally
    }

    async fn run_side_by_side(self: Arc<Self>, scenarios: Vec<Scenario>) -> Tally {
        let places = Arc::new(Semaphore::new(SIDE_BY_SIDE));
        let mut tasks = JoinSet::new();
        for scenario in scenarios {
            let place = Arc::clone(&places).acquire_owned().await;
            let runner = Arc::clone(&self);
            tasks.spawn(async move {
                let _place = place;
                runner.report(scenario).await
            });
        }
        let mut tally = Tally::default();
        for outcome in tasks.join_all().await {
            tally.count(&outcome);
        }
        tally
    }

    /// Plays one scenario and says how it went.
    async fn report(self: Arc<Self>, scenario: Scenario) -> Outcome {
        let start = Instant::now();
        let missing = if scenario.plan.kubelets { node::missing() } else { Vec::new() };
        if !missing.is_empty() && !self.complete {
            println!("skipped {:<44} missing here: {}", scenario.name, missing.join(", "));
            return Outcome::Skipped;
        }
        // A task of its own: a panic is then this scenario's failure.
        let mut task = JoinSet::new();
        task.spawn(async move { self.play(scenario).await });
        let result = match task.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(panic)) => Err(panic.into()),
            None => Err(anyhow!("it was not played")),
        };
        let (name, seconds) = (scenario.name, start.elapsed().as_secs_f64());
        match &result {
            Ok(()) => println!("passed  {name:<44} {seconds:6.1} s"),
            Err(error) => println!("FAILED  {name:<44} {seconds:6.1} s\n{}", indented(error)),
        }
        if result.is_ok() { Outcome::Passed } else { Outcome::Failed }
    }

    async fn play(&self, scenario: Scenario) -> Result<()> {
        let missing = if scenario.plan.kubelets { node::missing() } else { Vec::new() };
        ensure!(missing.is_empty(), "missing here: {}", missing.join(", "));
        let ground = Ground {
            cluster: self.cluster(scenario).await?,
            binaries: self.binaries.clone(),
            handler: self.handler.clone(),
            deploy: self.deploy.clone(),
            folder: self.folder.join("scenarios"),
            images: if scenario.plan.kubelets { Some(self.images().await?) } else { None },
        };
        let mut scene = Scene::open(&ground, scenario.name).await.context("setting the scene")?;
        let result = match timeout(PATIENCE, (scenario.run)(&mut scene)).await {
            Ok(result) => result,
            Err(_) => Err(anyhow!("not over after {PATIENCE:?}")),
        };
        let judged = judge(&scene).await;
        let closed = scene.close().await;
        match (result, judged.and(closed)) {
            (Err(error), Err(judged)) => Err(error.context(format!("and {judged:#}"))),
            (result, judged) => result.and(judged),
        }
    }

    async fn images(&self) -> Result<Images> {
        let build = || async {
            let start = Instant::now();
            let images = Images::build(&self.handler, &self.folder.join("images")).await?;
            println!("images for the real node in {:.1} s", start.elapsed().as_secs_f64());
            anyhow::Ok(images)
        };
        self.images.get_or_try_init(build).await.cloned()
    }

    async fn cluster(&self, scenario: Scenario) -> Result<Arc<Cluster>> {
        let cell = Arc::clone(self.clusters.lock().await.entry(scenario.plan.name).or_default());
        let cluster = cell.get_or_try_init(|| async {
            let folder = self.folder.join("clusters");
            let cluster = Cluster::start(scenario.plan, &self.binaries, &folder).await?;
            manifest::apply(&cluster, &self.deploy).await.context("applying the manifests")?;
            anyhow::Ok(Arc::new(cluster))
        });
        cluster.await.cloned()
    }

    /// Ends all control planes.
    ///
    /// # Errors
    /// A process could not be ended, or had ended by itself.
    pub async fn stop(&self) -> Result<()> {
        for cell in self.clusters.lock().await.values() {
            if let Some(cluster) = cell.get() {
                let by_itself = cluster.check_running().await;
                cluster.stop().await?;
                by_itself?;
            }
        }
        Ok(())
    }
}

impl Tally {
    fn count(&mut self, outcome: &Outcome) {
        *match outcome {
            Outcome::Passed => &mut self.passed,
            Outcome::Failed => &mut self.failed,
            Outcome::Skipped => &mut self.skipped,
        } += 1;
    }
}

/// What must hold in every scenario.
async fn judge(scene: &Scene) -> Result<()> {
    scene.witness.catch_up(SOON).await?;
    let exchanges = scene.exchanges()?;
    let sightings = scene.witness.pods();
    let server = scene.cluster().api_server().await;
    let denials = scene.expected_denials();
    let evidence = Evidence {
        node: scene.name(),
        own_uid: scene.handler_pod().metadata.uid.as_deref().unwrap_or_default(),
        exchanges: &exchanges,
        startups: server.startups(),
        sightings: &sightings,
        denials: &denials,
        deadline: scene.deadline(),
        earliest_deadline: scene.earliest_deadline(),
        announced: scene.announced(),
        cordoned: scene.is_cordoned().await?,
        checked: scene.is_checked(),
    };
    keep(&evidence, scene.folder())?;
    if !scene.expects_refusals() {
        law::check(&evidence)?;
    }
    for log in scene.logs()? {
        if !scene.expects_refusals() {
            truth::check(&log, &exchanges, &sightings)?;
        }
        let told = scene.secrets_in(&log);
        ensure!(told.is_empty(), "secrets in the handler's log: {told:?}");
        ensure!(!log.contains("panicked"), "the handler panicked");
    }
    Ok(())
}

fn indented(error: &anyhow::Error) -> String {
    let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
    format!("  {}", chain.join("\n").replace('\n', "\n  "))
}

/// Writes down what was seen of the node, beside the handler's log.
fn keep(evidence: &Evidence<'_>, folder: &Path) -> Result<()> {
    let mut asked: Vec<_> = evidence.exchanges.iter().collect();
    asked.sort_by_key(|exchange| exchange.received);
    fs::write(folder.join("asked.txt"), lines(asked))?;
    let end = evidence.deadline.map_or("-".to_owned(), |end| end.to_string());
    let seen = lines(evidence.sightings);
    fs::write(folder.join("seen.txt"), format!("{seen}\nannounced end: {end}\n"))?;
    Ok(())
}

fn lines(all: impl IntoIterator<Item = impl Display>) -> String {
    all.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join("\n")
}

//! Those whom the handler reports to: a scraper, the kubelet's probes, and two
//! webhooks, one of which never answers.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, ensure};
use e2e::cluster::port;
use e2e::observers::{Answer, Receiver};
use e2e::wire;
use tokio::task::JoinHandle;
use tokio::time::interval;

/// What the handler reports besides its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reports {
    /// Nothing: what it does unless something is switched on.
    Off,
    /// Metrics and probes.
    Pages,
    /// These, the log in JSON, Events and both webhooks.
    All,
}

/// See the module.
pub struct Audience {
    metrics: u16,
    probes: u16,
    webhooks: Option<Webhooks>,
    scraper: Option<Scraper>,
}

struct Webhooks {
    /// Over TLS, with a CA of its own.
    answering: Receiver,
    /// Plain: to what goes by an older handler's name the public CAs vouch.
    hanging: Receiver,
}

struct Scraper {
    done: Arc<AtomicUsize>,
    /// Ends only with what went wrong.
    task: JoinHandle<Error>,
}

const EACH: Duration = Duration::from_secs(1);
/// For messages, once their drain is over.
const SOON: Duration = Duration::from_secs(30);
/// A drain has two messages: that it begins, and that it ends.
const MESSAGES: usize = 2;

impl Audience {
    /// Who is needed for these reports. The webhooks speak TLS, with
    /// certificates whose files go to `folder`.
    ///
    /// # Errors
    /// No port is to be had, or a file cannot be written.
    pub async fn gather(reports: Reports, folder: &Path) -> Result<Option<Self>> {
        let webhooks = match reports {
            Reports::Off => return Ok(None),
            Reports::Pages => None,
            Reports::All => Some(Webhooks::open(folder).await?),
        };
        Ok(Some(Self { metrics: port::free()?, probes: port::free()?, webhooks, scraper: None }))
    }

    /// What the handler is to be told so that it reports to them.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let on = || "true".to_owned();
        let mut environment = vec![
            ("LISTEN_ADDRESS", "127.0.0.1".to_owned()),
            ("ENABLE_PROMETHEUS_SERVER", on()),
            ("PROMETHEUS_SERVER_PORT", self.metrics.to_string()),
            ("ENABLE_PROBES_SERVER", on()),
            ("PROBES_SERVER_PORT", self.probes.to_string()),
        ];
        if let Some(Webhooks { answering, hanging }) = &self.webhooks {
            let authority = answering.authority().map(Path::to_string_lossy).unwrap_or_default();
            environment.extend([
                ("JSON_LOGGING", on()),
                ("EMIT_KUBERNETES_EVENTS", on()),
                ("WEBHOOK_URL", answering.url("/answers")),
                ("SLACK_URL", hanging.url("/hangs")),
                ("WEBHOOK_CA_FILE", authority.into_owned()),
            ]);
        }
        environment
    }

    /// From now on all pages are asked for once a second.
    pub fn attend(&mut self) {
        self.scraper = Some(Scraper::start(self.metrics, self.probes));
    }

    /// How often they were.
    #[must_use]
    pub fn scraped(&self) -> usize {
        self.scraper.as_ref().map_or(0, |scraper| scraper.done.load(Ordering::Relaxed))
    }

    /// Waits for the messages of a drain, asks for pages no more, and makes
    /// sure that all was reported: else what was measured is something else.
    ///
    /// # Errors
    /// Something was not.
    pub async fn leave(&mut self) -> Result<()> {
        if let Some(Webhooks { answering, hanging }) = &self.webhooks {
            answering.received(MESSAGES, SOON).await.context("the webhook that answers")?;
            hanging.received(1, SOON).await.context("the webhook that hangs")?;
        }
        ensure!(self.scraped() > 0, "its metrics were never read");
        self.scraper.as_mut().context("nobody asked for a page")?.end().await
    }
}

impl Webhooks {
    async fn open(folder: &Path) -> Result<Self> {
        let answering = Receiver::secure(folder).await?;
        let hanging = Receiver::plain().await?;
        hanging.answer_otherwise(Answer::Hang);
        Ok(Self { answering, hanging })
    }
}

impl Scraper {
    fn start(metrics: u16, probes: u16) -> Self {
        let done = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&done);
        let task = tokio::spawn(async move {
            let mut turns = interval(EACH);
            loop {
                turns.tick().await;
                if let Err(error) = scrape(metrics, probes).await {
                    return error;
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { done, task }
    }

    async fn end(&mut self) -> Result<()> {
        self.task.abort();
        match (&mut self.task).await {
            Ok(error) => Err(error.context("asking for a page")),
            Err(aborted) if aborted.is_cancelled() => Ok(()),
            Err(panic) => Err(anyhow!(panic)),
        }
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Readiness is not asked for: before its first answer from the API server the
/// handler says 503.
async fn scrape(metrics: u16, probes: u16) -> Result<()> {
    let text = wire::get(metrics, "/metrics").await?;
    ensure!(text.contains("# TYPE "), "no metrics: {text}");
    wire::get(probes, "/healthz").await?;
    Ok(())
}

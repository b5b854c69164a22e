//! What one drain took, from the API server's audit log.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e::cluster::audit::Exchange;
use jiff::Timestamp;

use crate::stage::Afterwards;
use crate::tool::Taken;

/// See the module.
#[derive(Debug)]
pub struct Drain {
    /// From the cordon to the answer that accepted the last eviction, in
    /// seconds; or the last deletion, where pods were deleted.
    pub evicting: f64,
    /// How many pods were deleted and not evicted.
    pub deleted: usize,
    /// From the first poll that was answered with a notice to the cordon, in
    /// milliseconds. `None` for a tool that does not poll.
    pub noticing: Option<f64>,
    /// All requests, by verb and resource.
    pub requests: BTreeMap<String, usize>,
    /// How many of them were not granted.
    pub refused: usize,
    /// The most connections to the API server that the tool had at once.
    pub connections: u64,
    /// What the tool took on its own machine.
    pub taken: Taken,
    /// Its memory after the drain, if that was looked at.
    pub afterwards: Option<Afterwards>,
}

impl Drain {
    /// Of what was asked.
    ///
    /// # Errors
    /// No cordon, or not every pod was evicted or deleted.
    pub fn of(
        exchanges: &[Exchange],
        pods: usize,
        noticed: Option<Timestamp>,
        connections: u64,
        taken: Taken,
        afterwards: Option<Afterwards>,
    ) -> Result<Self> {
        let cordoned = exchanges.iter().find(|one| is_cordon(one)).context("no cordon")?.answered;
        let ended = exchanges
            .iter()
            .filter(|one| (one.is_eviction() || one.is_deletion()) && one.accepted());
        let deleted = ended.clone().filter(|one| one.is_deletion()).count();
        let moments: Vec<_> = ended.map(|one| one.answered).collect();
        ensure!(moments.len() == pods, "{} of {pods} pods were told to end", moments.len());
        let last = moments.into_iter().max().context("no pods")?;

        let mut requests = BTreeMap::new();
        for one in exchanges {
            *requests.entry(format!("{} {}", one.verb, one.resource)).or_default() += 1;
        }
        Ok(Self {
            deleted,
            evicting: last.duration_since(cordoned).as_secs_f64(),
            noticing: noticed.map(|at| cordoned.duration_since(at).as_secs_f64() * 1000.0),
            requests,
            refused: exchanges.iter().filter(|one| !one.accepted()).count(),
            connections,
            taken,
            afterwards,
        })
    }

    /// How many requests it took, without [`Drain::events`].
    #[must_use]
    pub fn asked(&self) -> usize {
        self.requests.values().sum::<usize>() - self.events()
    }

    /// How many evictions were asked for.
    #[must_use]
    pub fn evictions(&self) -> usize {
        self.requests.get("create pods/eviction").copied().unwrap_or_default()
    }

    /// How many requests wrote Events.
    #[must_use]
    pub fn events(&self) -> usize {
        let written = self.requests.iter().filter(|(what, _)| what.ends_with(" events"));
        written.map(|(_, count)| count).sum()
    }

    /// The same without the watches that replaced one which the server had
    /// ended: on a busy machine it drops clients that fall behind.
    #[must_use]
    pub fn asked_of_its_own(&self) -> usize {
        let watches = self.requests.get("watch pods").copied().unwrap_or_default();
        self.asked() - watches.saturating_sub(1)
    }
}

/// Whether it cordoned a node.
pub fn is_cordon(exchange: &Exchange) -> bool {
    let patched = exchange.verb == "patch" && exchange.resource == "nodes" && exchange.accepted();
    patched && exchange.body["spec"]["unschedulable"] == true
}

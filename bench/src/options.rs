//! What the command line asks for.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use lexopt::prelude::*;

use crate::crowd::Size;

/// Said to `--help`.
pub const HELP: &str = "\
bench/run [--against PATH] [--peer PATH] [--rounds N] [--keep] [PART…]

Measures the handler beside its peers on a control plane on loopback, and
prints tables in Markdown. Builds what is missing. The parts are speed,
crowd, budget, memory and sizes; all of them by default. A further part,
fleet, starts nothing: it simulates a thousand nodes and more, and takes
some minutes.

  --against PATH  another handler, such as that of an earlier state, measured
                  beside this one in the same rounds
  --peer PATH     a program that takes aws-node-termination-handler's
                  environment, measured beside the others; needs root
  --nodes N       of the part crowd: how many nodes get the notice (default 40)
  --pods-per-node N
                  of the part crowd: how many pods are on each (default 25)
  --rounds N      how often each drain is repeated (default 6)
  --keep          keep all logs, not only those of a run that failed
  --handler PATH  the handler, instead of the one that bench/run builds
  --arm PATH      the same for aarch64, for its size
";

/// See [`HELP`].
#[derive(Debug)]
pub struct Options {
    /// The handler.
    pub handler: PathBuf,
    /// The handler for aarch64; only its size is looked at.
    pub arm: Option<PathBuf>,
    /// Another handler by path.
    pub against: Option<PathBuf>,
    /// A peer by path.
    pub peer: Option<PathBuf>,
    /// Of the part `crowd`.
    pub crowd: Size,
    /// Repetitions.
    pub rounds: usize,
    /// Keep the logs.
    pub keep: bool,
    /// What to measure.
    pub parts: Vec<Part>,
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// From cordon to the last eviction, beside the peers.
    Speed,
    /// Many nodes with one notice.
    Crowd,
    /// Many pods behind one budget that lets all of them go.
    Budget,
    /// Idle, through a drain and after it.
    Memory,
    /// The binaries.
    Sizes,
    /// Very many nodes with one notice, simulated.
    Fleet,
}

/// What the nodes of e2e take.
const MOST_PODS: usize = 250;

const ALL: [Part; 5] = [Part::Speed, Part::Crowd, Part::Budget, Part::Memory, Part::Sizes];

impl Options {
    /// Reads the arguments; `None`: [`HELP`] is wanted.
    ///
    /// # Errors
    /// An argument is not known, or its value is not valid.
    pub fn parse(mut parser: lexopt::Parser) -> Result<Option<Self>> {
        let (mut handler, mut arm, mut against, mut peer) = (None, None, None, None);
        let mut crowd = Size::DEFAULT;
        let (mut rounds, mut keep, mut parts) = (6, false, Vec::new());
        while let Some(argument) = parser.next()? {
            match argument {
                Long("handler") => handler = Some(PathBuf::from(parser.value()?)),
                Long("arm") => arm = Some(PathBuf::from(parser.value()?)),
                Long("against") => against = Some(PathBuf::from(parser.value()?)),
                Long("peer") => peer = Some(PathBuf::from(parser.value()?)),
                Long("nodes") => crowd.nodes = parser.value()?.parse()?,
                Long("pods-per-node") => crowd.pods = parser.value()?.parse()?,
                Long("rounds") => rounds = parser.value()?.parse()?,
                Long("keep") => keep = true,
                Long("help") => return Ok(None),
                Value(name) => parts.push(part(&name.string()?)?),
                other => return Err(other.unexpected().into()),
            }
        }
        ensure!(rounds > 0, "--rounds is 0; valid is a whole number from 1");
        ensure!(crowd.nodes > 0, "--nodes is 0; valid is a whole number from 1");
        let is_valid = (1..=MOST_PODS).contains(&crowd.pods);
        ensure!(is_valid, "--pods-per-node is {}; valid is 1 to {MOST_PODS}", crowd.pods);
        if parts.is_empty() {
            parts = ALL.to_vec();
        }
        let handler = if parts == [Part::Fleet] {
            handler.unwrap_or_default()
        } else {
            handler.context("--handler is missing; bench/run sets it")?
        };
        Ok(Some(Self { handler, arm, against, peer, crowd, rounds, keep, parts }))
    }
}

fn part(name: &str) -> Result<Part> {
    Ok(match name {
        "speed" => Part::Speed,
        "crowd" => Part::Crowd,
        "budget" => Part::Budget,
        "memory" => Part::Memory,
        "sizes" => Part::Sizes,
        "fleet" => Part::Fleet,
        _ => bail!("no part {name:?}; there are speed, crowd, budget, memory, sizes and fleet"),
    })
}

//! All drains with one crowd, by round and by who did them.

use crate::drain::Drain;
use crate::goal::Goal;
use crate::paired::Paired;
use crate::series::Series;
use crate::tool::Tool;

/// Of the same thing on a busy machine, two drains differ by as much.
const NO_SLOWER: f64 = 1.1;

/// See the module.
pub struct Compared {
    /// How many pods.
    pub pods: usize,
    /// Who drained, and how that went, in that order.
    pub rounds: Vec<Vec<(Tool, Drain)>>,
}

impl Compared {
    /// The heads of the columns.
    pub fn print_head() {
        println!(
            "| pods | | rounds | seconds: median (min–max) | requests, all / refused | Events \
             | connections | CPU, ms | peak VmHWM, KiB |"
        );
        println!("|---:|---|---:|---:|---:|---:|---:|---:|---:|");
    }

    /// A row for each tool.
    pub fn print(&self) {
        for tool in self.tools() {
            let series =
                |of: fn(&Drain) -> usize| self.of(tool).map(|drain| of(drain) as f64).collect();
            let asked: Series = series(Drain::asked);
            let refused: Series = series(|drain| drain.refused);
            let events: Series = series(Drain::events);
            let used = self.of(tool).filter_map(|drain| drain.taken.cpu);
            let used: Series = used.map(|cpu| cpu as f64).collect();
            let connections = self.of(tool).map(|drain| drain.connections as f64);
            let connections: Series = connections.collect();
            let peak: Series = self.of(tool).map(|drain| drain.taken.peak as f64).collect();
            println!(
                "| {} | {tool} | {} | {:.3} | {asked} / {refused} | {events} | {connections} | {used} \
                 | {peak} |",
                self.pods,
                self.of(tool).count(),
                self.evicting(tool),
            );
        }
    }

    /// All drains by that tool.
    pub fn of(&self, tool: Tool) -> impl Iterator<Item = &Drain> {
        self.rounds.iter().flat_map(move |round| by(round, tool))
    }

    /// How long they took, in seconds.
    pub fn evicting(&self, tool: Tool) -> Series {
        self.of(tool).map(|drain| drain.evicting).collect()
    }

    /// How many times as long one took as the other, round by round: the
    /// machine's speed drifts.
    pub fn ratios(&self, tool: Tool, held_against: Tool) -> Series {
        let mean = |round: &[_], tool| {
            let times: Vec<f64> = by(round, tool).map(|drain: &Drain| drain.evicting).collect();
            times.iter().sum::<f64>() / times.len() as f64
        };
        let ratios = self.rounds.iter().map(|round| mean(round, tool) / mean(round, held_against));
        // A round in which one of them had no turn has none.
        ratios.filter(|ratio| ratio.is_finite()).collect()
    }

    /// The handler beside the other, if there was one; `where_it_was` is for the goal's name.
    pub fn against_the_other(&self, where_it_was: &str) -> Option<Goal> {
        let ratios = self.ratios(Tool::HANDLER, Tool::OTHER);
        let ratio = ratios.median()?;
        let what = format!(
            "{} pods{where_it_was}: time, compared with the other handler: {ratios:.2}",
            self.pods
        );
        Some(Goal::at_most(what, NO_SLOWER, ratio, " ×", 2))
    }

    /// How much longer one took, in milliseconds, by the rounds in which the
    /// other had two turns.
    pub fn paired(&self, tool: Tool, held_against: Tool) -> Paired {
        let milliseconds = |drain: &Drain| drain.evicting * 1000.0;
        let mut paired = Paired::default();
        for round in &self.rounds {
            let its: Vec<f64> = by(round, tool).map(milliseconds).collect();
            let others: Vec<f64> = by(round, held_against).map(milliseconds).collect();
            if let ([its], [first, second]) = (&*its, &*others) {
                paired.push(*its, [*first, *second]);
            }
        }
        paired
    }

    /// Each once, in the order of their first turns.
    pub fn tools(&self) -> Vec<Tool> {
        let mut tools = Vec::new();
        for (tool, _) in self.rounds.iter().flatten() {
            if !tools.contains(tool) {
                tools.push(*tool);
            }
        }
        tools
    }
}

fn by(round: &[(Tool, Drain)], tool: Tool) -> impl Iterator<Item = &Drain> {
    round.iter().filter(move |(one, _)| *one == tool).map(|(_, drain)| drain)
}

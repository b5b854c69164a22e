//! How the API server shares out its seats, and how its priority levels borrow from each other every ten seconds
//! (`apf_controller.go`, `conc_alloc.go`).

use super::level::Shape;

/// `--max-requests-inflight` and `--max-mutating-requests-inflight` together, by default.
const SEATS: usize = 400 + 200;
/// How often the shares are worked out anew.
pub const BORROWING: f64 = 10.0;
const SMOOTHING: f64 = 0.977;

/// A priority level as it is configured.
#[derive(Clone, Copy, Debug)]
pub struct Configured {
    pub shares: usize,
    /// In percent.
    pub lendable: usize,
    pub shape: Shape,
}

/// `system`: kubelets, and handlers that act as their node.
pub const SYSTEM: usize = 0;
/// `node-high`: what kubelets and such handlers ask of Nodes.
pub const NODE_HIGH: usize = 1;
/// `workload-high`: controllers, scheduler, and each `ServiceAccount` of kube-system.
pub const WORKLOAD_HIGH: usize = 2;

/// The levels of `pkg/apis/flowcontrol/bootstrap/default.go` that have seats.
pub const DEFAULT: [Configured; 7] = [
    level(30, 33, 64, 6),
    level(40, 25, 64, 6),
    level(40, 50, 128, 6),
    // leader-election, workload-low, global-default, catch-all
    level(10, 0, 16, 4),
    level(100, 90, 128, 6),
    level(20, 50, 128, 6),
    level(5, 0, 1, 1),
];

const fn level(shares: usize, lendable: usize, queues: usize, hand: usize) -> Configured {
    Configured { shares, lendable, shape: Shape { queues, hand, length: 50 } }
}

/// The seats of all levels.
pub struct Seats {
    levels: Vec<Share>,
}

#[derive(Clone, Copy, Debug)]
struct Share {
    nominal: usize,
    least: usize,
    smoothed: f64,
}

impl Seats {
    pub fn new(configured: &[Configured]) -> Self {
        let shares: usize = configured.iter().map(|level| level.shares).sum();
        let share = |level: &Configured| {
            let nominal = (SEATS * level.shares).div_ceil(shares);
            let lent = (nominal * level.lendable + 50) / 100;
            Share { nominal, least: nominal - lent, smoothed: 0.0 }
        };
        Self { levels: configured.iter().map(share).collect() }
    }

    /// What a level has by right.
    pub fn nominal(&self, level: usize) -> usize {
        self.levels[level].nominal
    }

    /// What each level has for the next ten seconds, after these demands of the first levels (the most, and mean
    /// plus deviation), where requests that are exempt from limits had `exempt` under way at most. Of the other
    /// levels nothing is wanted.
    pub fn adjust(&mut self, demands: &[(f64, f64)], exempt: f64) -> Vec<usize> {
        let mut items = Vec::new();
        for (index, share) in self.levels.iter_mut().enumerate() {
            let (most, envelope) = demands.get(index).copied().unwrap_or_default();
            let old = SMOOTHING * share.smoothed + (1.0 - SMOOTHING) * envelope;
            share.smoothed = envelope.max(old);
            let low = most.min(share.nominal as f64).max(share.least as f64);
            items.push((low, share.smoothed.max(low)));
        }
        let all: usize = self.levels.iter().map(|share| share.nominal).sum();
        let least: usize = self.levels.iter().map(|share| share.least).sum();
        let (all, least) = (all as f64, least as f64);
        let lows: f64 = items.iter().map(|(low, _)| low).sum();
        let left = all - exempt;
        let given: Vec<f64> = if left <= least {
            self.levels.iter().map(|share| share.least as f64).collect()
        } else if left <= lows {
            let part = (left - least) / (lows - least);
            let given = |(share, (low, _)): (&Share, &(f64, f64))| {
                share.least as f64 + (low - share.least as f64) * part
            };
            self.levels.iter().zip(&items).map(given).collect()
        } else {
            allocate(all, &items)
        };
        given.into_iter().map(rounded).collect()
    }
}

/// In proportion to what is wanted, but to none less than its lower bound.
fn allocate(all: f64, items: &[(f64, f64)]) -> Vec<f64> {
    let given =
        |proportion: f64| items.iter().map(move |(low, target)| low.max(target * proportion));
    let (mut below, mut above) = (0.0, all);
    for _ in 0..64 {
        let middle = f64::midpoint(below, above);
        if given(middle).sum::<f64>() < all { below = middle } else { above = middle }
    }
    given(above).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred")]
fn rounded(seats: f64) -> usize {
    seats.round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let seats = Seats::new(&DEFAULT);
        let nominal: Vec<_> = seats.levels.iter().map(|share| share.nominal).collect();
        assert_eq!(nominal, [74, 98, 98, 25, 245, 49, 13]);
        let least: Vec<_> = seats.levels.iter().map(|share| share.least).collect();
        assert_eq!(least, [50, 73, 49, 25, 24, 24, 13]);
    }

    #[test]
    fn what_nobody_wants_is_lent() {
        let mut seats = Seats::new(&DEFAULT);
        let idle = seats.adjust(&[], 0.0);
        assert_eq!(idle[SYSTEM], 117);
        assert!(idle.iter().sum::<usize>().abs_diff(602) <= 3, "{idle:?}");
        let busy = seats.adjust(&[(3000.0, 3000.0)], 0.0);
        assert_eq!(busy[SYSTEM], 602 - (73 + 49 + 25 + 24 + 24 + 13));
        // A demand that was high is kept in mind.
        assert!(seats.adjust(&[], 0.0)[SYSTEM] > 300);
    }

    #[test]
    fn exempt_requests_take_from_what_is_lent() {
        let mut seats = Seats::new(&DEFAULT);
        let demand = [(3000.0, 3000.0)];
        assert_eq!(seats.adjust(&demand, 394.0)[SYSTEM], 50);
        assert_eq!(seats.adjust(&demand, 332.0)[SYSTEM], 50 + 12);
    }
}

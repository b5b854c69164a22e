//! The cores of the API server: all that runs shares them evenly, and nothing has more than one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Seconds;

/// See the module.
pub struct Processor<J> {
    cores: f64,
    /// The processor time that each job has had which runs from the beginning.
    progress: f64,
    since: f64,
    /// By the progress at which they are done.
    jobs: BinaryHeap<Reverse<(Seconds, u64, J)>>,
    started: u64,
    used: f64,
}

impl<J: Ord> Processor<J> {
    pub fn new(cores: f64) -> Self {
        Self { cores, progress: 0.0, since: 0.0, jobs: BinaryHeap::new(), started: 0, used: 0.0 }
    }

    /// Begins a job that takes so much processor time.
    pub fn start(&mut self, now: f64, cost: f64, job: J) {
        self.advance(now);
        self.started += 1;
        self.used += cost;
        self.jobs.push(Reverse((Seconds(self.progress + cost), self.started, job)));
    }

    /// When the next job is done.
    pub fn next(&self) -> Option<f64> {
        let Reverse((done, ..)) = self.jobs.peek()?;
        Some(self.since + (done.0 - self.progress).max(0.0) / self.rate())
    }

    /// The next job, which is done at this moment.
    pub fn finish(&mut self, now: f64) -> Option<J> {
        self.advance(now);
        self.jobs.pop().map(|Reverse((.., job))| job)
    }

    /// The processor time of all jobs that were begun.
    pub fn used(&self) -> f64 {
        self.used
    }

    fn advance(&mut self, now: f64) {
        self.progress += (now - self.since) * self.rate();
        self.since = now;
    }

    fn rate(&self) -> f64 {
        (self.cores / self.jobs.len().max(1) as f64).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_share_the_cores_and_none_has_more_than_one() {
        let mut processor = Processor::new(2.0);
        processor.start(0.0, 1.0, 'a');
        assert_eq!(processor.next(), Some(1.0));
        // From here on three share two.
        processor.start(0.5, 1.0, 'b');
        processor.start(0.5, 1.0, 'c');
        assert_eq!(processor.next(), Some(1.25));
        assert_eq!(processor.finish(1.25), Some('a'));
        assert_eq!(processor.next(), Some(1.75));
        assert_eq!(processor.finish(1.75), Some('b'));
        assert_eq!(processor.next(), Some(1.75));
        assert_eq!(processor.finish(1.75), Some('c'));
        assert_eq!((processor.next(), processor.used()), (None, 3.0));
    }
}

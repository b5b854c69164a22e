//! What a handler does, as far as it matters to the API server.

use std::time::Duration;

use super::random::Random;
use super::setup::Retry;

/// As `src/drain/schedule.rs` has them, and a test says so.
pub const SIDE_BY_SIDE: usize = 32;
const QUICK: Duration = Duration::from_millis(600);
const FOR_EACH_QUICK: usize = 8;

/// When a pod of 30 s of grace must be told to end, so that it has ended 2 s before the instance does.
pub const OWN_TIME: f64 = 120.0 - 2.0 - 30.0;
/// No new request after it.
pub const DEADLINE: f64 = 120.0;
/// How long evictions wait for the cordon.
pub const CORDON_WAIT: f64 = 1.0;
/// Between tries after a pod's own time.
const LATE_PAUSE: f64 = 1.0;
const BACKOFF: [f64; 2] = [0.1, 2.0];

/// A pod as its handler sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pod {
    pub asked: Option<f64>,
    pub in_flight: bool,
    pub is_leaving: bool,
    refused: u32,
}

impl Pod {
    /// When to ask again after a refusal.
    pub fn next_try(
        &mut self,
        now: f64,
        retry_after: u64,
        retry: Retry,
        random: &mut Random,
    ) -> f64 {
        let [first, last] = BACKOFF;
        let step = (first * 2_f64.powi(self.refused.min(16).cast_signed())).min(last);
        self.refused += 1;
        let backoff = step * (0.5 + random.unit() / 2.0);
        let obeyed = (retry_after as f64).min(retry.longest) * (1.0 + retry.spread * random.unit());
        let pause = backoff.max(obeyed);
        if now < OWN_TIME { (now + pause).min(OWN_TIME) } else { now + pause.min(LATE_PAUSE) }
    }
}

/// Whether one more first eviction would be too many side by side.
pub fn is_crowded(pods: &[Pod], streams: usize, now: f64) -> bool {
    let open = pods.iter().filter(|pod| pod.in_flight).count();
    if open < streams {
        return false;
    }
    let is_quick = |pod: &&Pod| {
        !pod.in_flight && pod.asked.is_some_and(|asked| now - asked < QUICK.as_secs_f64())
    };
    open >= streams + FOR_EACH_QUICK * pods.iter().filter(is_quick).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_handler() {
        let read = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.contains(&format!("const {name}:")));
            line.unwrap_or_else(|| panic!("no {name}")).split_once(" = ").unwrap().1.to_owned()
        };
        let schedule = include_str!("../../../src/drain/schedule.rs");
        assert_eq!(read(schedule, "SIDE_BY_SIDE"), format!("{SIDE_BY_SIDE};"));
        assert_eq!(read(schedule, "FOR_EACH_QUICK"), format!("{FOR_EACH_QUICK};"));
        let millis = QUICK.as_millis();
        assert_eq!(read(schedule, "QUICK"), format!("Duration::from_millis({millis});"));
        let record = include_str!("../../../src/drain/record.rs");
        let [first, last] = BACKOFF.map(|step| step * 1000.0);
        assert_eq!(read(record, "RETRIES"), format!("Backoff::from_millis({first}, {last});"));
        let machine = include_str!("../../../src/drain/machine.rs");
        assert_eq!(read(machine, "CORDON_WAIT"), format!("Duration::from_secs({CORDON_WAIT});"));
        let timing = include_str!("../../../src/drain/timing.rs");
        let late = read(timing, "LONGEST_LATE_PAUSE");
        assert_eq!(late, format!("Duration::from_secs({LATE_PAUSE});"));
    }

    #[test]
    fn the_handler_obeys_to_the_second() {
        let news = include_str!("../../../src/drain/news.rs");
        assert!(news.contains("Pause::after(sent, now, pause.max(asked_pause))"));
        assert_eq!(super::super::Setup::new(1, 1, 1.0).retry, Retry::TO_THE_SECOND);
    }

    #[test]
    fn answers_that_come_quickly_make_room() {
        let mut pods = vec![Pod { asked: Some(1.0), in_flight: true, ..Pod::default() }; 8];
        assert!(!is_crowded(&pods, 9, 1.1) && is_crowded(&pods, 8, 1.1));
        pods.push(Pod { asked: Some(1.0), ..Pod::default() });
        assert!(!is_crowded(&pods, 8, 1.1) && is_crowded(&pods, 8, 1.7));
    }

    #[test]
    fn a_refused_pod_comes_back_when_it_was_told_to_but_not_after_its_own_time() {
        let (mut pod, mut random) = (Pod::default(), Random::new(1));
        let mut next = |now, told, retry| pod.next_try(now, told, retry, &mut random);
        let is = |moment: f64, wanted: f64| assert!((moment - wanted).abs() < 1e-9, "{moment}");
        is(next(1.0, 8, Retry::TO_THE_SECOND), 9.0);
        is(next(80.0, 32, Retry::TO_THE_SECOND), OWN_TIME);
        is(next(90.0, 32, Retry::TO_THE_SECOND), 91.0);
        let spread = next(1.0, 32, Retry { longest: 2.0, spread: 1.0 });
        assert!(spread > 3.0 && spread < 5.0);
    }
}

//! What limits a drain: when it ends, and whether the instance goes with it.

use crate::moment::Moment;

/// What limits a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The instance is going already: every pod is evicted at once with the least grace, and requests go on
    /// as long as they can.
    AtOnce {
        /// Since when it is going.
        since: Moment,
        /// No request from then on.
        until: Moment,
    },
    /// The instance goes then.
    Deadline(Moment),
    /// Nothing happens to the instance: no grace is cut, no budget overridden, no tier evicted before its
    /// turn. The drain is given up then.
    Timeout(Moment),
}

impl Limit {
    /// When the drain is over, whatever is left.
    pub fn end(self) -> Moment {
        match self {
            Self::AtOnce { until: end, .. } | Self::Deadline(end) | Self::Timeout(end) => end,
        }
    }

    /// Whether the instance goes.
    pub fn instance_goes(self) -> bool {
        !matches!(self, Self::Timeout(_))
    }

    /// Of two limits the lesser one is more urgent: `AtOnce` before `Deadline` before `Timeout`, and of two
    /// of a kind the earlier.
    pub fn urgency(self) -> (u8, Moment) {
        let rank = match self {
            Self::AtOnce { .. } => 0,
            Self::Deadline(_) => 1,
            Self::Timeout(_) => 2,
        };
        (rank, self.end())
    }

    /// The same kind of limit, with this end.
    #[must_use]
    pub fn with_end(self, end: Moment) -> Self {
        match self {
            Self::AtOnce { since, .. } => Self::AtOnce { since, until: end },
            Self::Deadline(_) => Self::Deadline(end),
            Self::Timeout(_) => Self::Timeout(end),
        }
    }

    /// What holds when `other` is set as well. A timeout gives way to any deadline and takes nothing from
    /// one; otherwise the more urgent kind and the earlier end hold.
    #[must_use]
    pub fn tighten(self, other: Self) -> Self {
        let (first, second) =
            if other.urgency() < self.urgency() { (other, self) } else { (self, other) };
        if first.instance_goes() && !second.instance_goes() {
            return first;
        }
        first.with_end(first.end().min(second.end()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const fn at(seconds: u64) -> Moment {
        Moment::at(Duration::from_secs(seconds))
    }

    const fn at_once(until: u64) -> Limit {
        Limit::AtOnce { since: at(50), until: at(until) }
    }

    #[test]
    fn a_deadline_is_more_urgent_than_a_timeout_and_the_earlier_of_two() {
        let early = Limit::Timeout(at(1));
        assert!(Limit::Deadline(at(2)).urgency() < early.urgency());
        assert!(at_once(3).urgency() < Limit::Deadline(at(2)).urgency());
        assert!(early.urgency() < Limit::Timeout(at(2)).urgency());
    }

    #[test]
    fn the_more_urgent_kind_and_the_earlier_end_hold() {
        let (deadline, timeout) = (Limit::Deadline(at(120)), Limit::Timeout(at(10)));
        for (one, other, expected) in [
            (deadline, Limit::Deadline(at(200)), deadline),
            (deadline, at_once(160), at_once(120)),
            (deadline, at_once(100), at_once(100)),
            (at_once(160), at_once(100), at_once(100)),
            (deadline, timeout, deadline),
            (deadline, Limit::Timeout(at(3600)), deadline),
            (at_once(160), timeout, at_once(160)),
            (timeout, Limit::Timeout(at(20)), timeout),
        ] {
            assert_eq!(one.tighten(other), expected, "{one:?} {other:?}");
            assert_eq!(other.tighten(one), expected, "{other:?} {one:?}");
        }
    }
}

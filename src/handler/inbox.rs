//! News on their way to the event loop, in the order in which they came.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A queue without bound. Not the standard library's channel: that keeps the last of the blocks
/// that it took in a drain, and the allocator the pages around it. Measured 10 s after a drain of
/// 250 pods, `RssAnon` is 120 kB with this queue and 160 kB with the channel.
#[derive(Debug)]
pub(super) struct Inbox<T>(Mutex<VecDeque<T>>);

/// Room that is kept when it is empty: news come one at a time while nothing happens.
const ROOM: usize = 4;

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Inbox<T> {
    /// Never waits for longer than another thread needs to move one item.
    pub(super) fn push(&self, item: T) {
        self.items().push_back(item);
    }

    /// What came first, if anything did.
    pub(super) fn pop(&self) -> Option<T> {
        let mut items = self.items();
        let first = items.pop_front();
        if items.is_empty() {
            items.shrink_to(ROOM);
        }
        first
    }

    fn items(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_first_goes_first_and_the_room_goes_with_the_last() {
        let inbox = Inbox::default();
        for number in 0..1000 {
            inbox.push(number);
        }
        let taken: Vec<i32> = std::iter::from_fn(|| inbox.pop()).collect();
        assert_eq!(taken, (0..1000).collect::<Vec<_>>());
        assert!(inbox.items().capacity() <= ROOM);
    }
}

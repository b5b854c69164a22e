//! A bounded queue to a thread that reports. Its senders never block.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Capacity that an empty queue keeps: facts come one at a time while nothing happens.
const QUIET: usize = 4;

/// A bounded queue with one receiver.
#[derive(Debug)]
pub(super) struct ReportQueue<T> {
    state: Mutex<QueueState<T>>,
    changed: Condvar,
    capacity: usize,
}

#[derive(Debug)]
struct QueueState<T> {
    items: VecDeque<T>,
    /// No more items will come.
    closed: bool,
    /// The receiver has dealt with every item.
    done: bool,
}

/// The result of waiting for an item.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    /// This one.
    Item(T),
    /// None came in time.
    Nothing,
    /// None will come any more.
    Closed,
}

impl<T> ReportQueue<T> {
    /// An empty queue with this bound.
    pub(super) fn new(capacity: usize) -> Self {
        let state = QueueState { items: VecDeque::new(), closed: false, done: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), capacity }
    }

    /// Queues it even beyond the bound.
    pub(super) fn push(&self, item: T) {
        self.state().items.push_back(item);
        self.changed.notify_all();
    }

    /// Queues it if there is room. Returns whether there was.
    pub(super) fn offer(&self, item: T) -> bool {
        self.offer_or(item, |_| None)
    }

    /// The same; without room `instead` is called with the last item, and what it returns is queued.
    pub(super) fn offer_or(
        &self,
        item: T,
        instead: impl FnOnce(Option<&mut T>) -> Option<T>,
    ) -> bool {
        let mut state = self.state();
        let has_room = state.items.len() < self.capacity;
        let item = if has_room { Some(item) } else { instead(state.items.back_mut()) };
        state.items.extend(item);
        drop(state);
        self.changed.notify_all();
        has_room
    }

    /// Waits for the next item. `None`: there will be none.
    pub(super) fn wait(&self) -> Option<T> {
        let idle = |state: &mut QueueState<T>| state.items.is_empty() && !state.closed;
        let waited = self.changed.wait_while(self.state(), idle);
        Self::take(waited.unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the next item until `timeout`.
    pub(super) fn wait_for(&self, timeout: Duration) -> Next<T> {
        let idle = |state: &mut QueueState<T>| state.items.is_empty() && !state.closed;
        let waited = self.changed.wait_timeout_while(self.state(), timeout, idle);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let closed = state.closed;
        match Self::take(state) {
            Some(item) => Next::Item(item),
            None if closed => Next::Closed,
            None => Next::Nothing,
        }
    }

    /// Waits until the queue is closed, or `timeout`. Returns whether it is closed.
    pub(super) fn wait_for_close(&self, timeout: Duration) -> bool {
        let open = |state: &mut QueueState<T>| !state.closed;
        let waited = self.changed.wait_timeout_while(self.state(), timeout, open);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    fn take(mut state: MutexGuard<'_, QueueState<T>>) -> Option<T> {
        let item = state.items.pop_front();
        if state.items.is_empty() {
            state.items.shrink_to(QUIET);
        }
        item
    }

    /// No more items will come.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// The receiver has dealt with every item.
    pub(super) fn mark_done(&self) {
        self.state().done = true;
        self.changed.notify_all();
    }

    /// Drops what is queued. Returns how many items those were.
    pub(super) fn abandon(&self) -> usize {
        std::mem::take(&mut self.state().items).len()
    }

    /// Waits until the receiver is done, or `timeout`. Returns whether it is done.
    pub(super) fn wait_until_done(&self, timeout: Duration) -> bool {
        let at_work = |state: &mut QueueState<T>| !state.done;
        let waited = self.changed.wait_timeout_while(self.state(), timeout, at_work);
        waited.unwrap_or_else(PoisonError::into_inner).0.done
    }

    /// Locked only to move an item.
    fn state(&self) -> MutexGuard<'_, QueueState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_left_to_who_offers_it() {
        let queue = ReportQueue::new(2);
        for n in 0..5 {
            let has_room = queue.offer_or(n, |last| {
                *last.unwrap() += 10;
                None
            });
            assert_eq!(has_room, n < 2);
        }
        queue.push(7);
        queue.close();
        let taken: Vec<_> = std::iter::from_fn(|| queue.wait()).collect();
        assert_eq!(taken, [0, 31, 7]);
    }

    #[test]
    fn waiting_ends_with_an_item_at_the_timeout_or_with_the_queue() {
        let queue = ReportQueue::new(2);
        assert_eq!(queue.wait_for(Duration::ZERO), Next::Nothing);
        assert!(!queue.wait_for_close(Duration::ZERO));
        queue.push(1);
        queue.close();
        assert_eq!(queue.wait_for(Duration::MAX), Next::Item(1));
        assert_eq!(queue.wait_for(Duration::MAX), Next::Closed);
        assert!(queue.wait_for_close(Duration::MAX));
        assert!(!queue.wait_until_done(Duration::ZERO));
        queue.mark_done();
        assert!(queue.wait_until_done(Duration::MAX));
    }

    #[test]
    fn an_empty_queue_keeps_little_room() {
        let queue = ReportQueue::new(1000);
        for n in 0..1000 {
            queue.push(n);
        }
        for _ in 0..1000 {
            queue.wait();
        }
        assert!(queue.state().items.capacity() <= 2 * QUIET);
    }
}

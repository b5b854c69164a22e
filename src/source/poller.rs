//! Asks paths for ever, in a thread: one poll after the other, each path when it is due. Paths whose
//! seconds count have a thread of their own, so that nothing else delays them.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::clock::Clock;
use crate::moment::Moment;
use crate::notice::Polled;
use crate::source::Report;
use crate::source::http::{self, NoResponse, Reply, Request};
use crate::source::imds::Client;
use crate::source::lane::Lane;

/// Deep enough for an exchange in a debug build; what is not touched takes no memory.
const STACK_BYTES: usize = 128 * 1024;

/// Paths, to be polled in one thread.
pub struct Poller {
    /// The thread's name.
    pub(super) name: &'static str,
    pub(super) client: Client,
    pub(super) lanes: Vec<Lane>,
    /// Whether any poller of this source has told of the fallback to IMDSv1: they all fall back.
    pub(super) fallback_told: Arc<AtomicBool>,
}

impl Poller {
    /// Polls in a new thread until `tell` breaks, which says that nobody listens any more. Each
    /// poll gives one [`Report::Polled`]; the first fallback to IMDSv1 of all pollers of a source
    /// one [`Report::WithoutToken`] before it.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(
        self,
        clock: Clock,
        tell: impl FnMut(Report) -> ControlFlow<()> + Send + 'static,
    ) -> io::Result<()> {
        thread::Builder::new()
            .name(self.name.to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || self.poll_for_ever(clock, tell))
            .map(drop)
    }

    fn poll_for_ever(mut self, clock: Clock, mut tell: impl FnMut(Report) -> ControlFlow<()>) {
        while let Some(due) = self.due() {
            clock.sleep_until(due);
            let Some((fallback, polled)) = self.poll(clock.now(), &mut http::send) else { return };
            let fallback = fallback.map(|status| Report::WithoutToken { status });
            let polled = Report::Polled(polled);
            if fallback.into_iter().chain([polled]).try_for_each(&mut tell).is_break() {
                return;
            }
        }
    }

    /// When the next poll begins.
    fn due(&self) -> Option<Moment> {
        self.lanes.iter().map(Lane::due).min()
    }

    /// One poll of the path that has been due for the longest. The status of the token's request, if
    /// this poll led to the first fallback; and what the poll gave.
    fn poll(
        &mut self,
        now: Moment,
        send: &mut impl FnMut(&Request) -> Result<Reply, NoResponse>,
    ) -> Option<(Option<u16>, Polled)> {
        let lane = self.lanes.iter_mut().min_by_key(|lane| lane.due())?;
        let polled = lane.poll(&mut self.client, now, send);
        let told = &self.fallback_told;
        let fallback = self.client.take_fallback();
        Some((fallback.filter(|_| !told.swap(true, Ordering::Relaxed)), polled))
    }
}

#[cfg(test)]
mod tests;

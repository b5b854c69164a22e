//! What may hang, with an end to it: each request has a time-out of its own, but the system's resolver
//! of names has none.

use std::io;
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::http::pool::STACK;

/// Does it in a thread of its own. Whether it was done in time; if not, it goes on until the process
/// ends.
///
/// # Errors
/// The system gives no thread.
pub(super) fn done_within(
    limit: Duration,
    clock: Clock,
    work: Box<dyn FnOnce() + Send>,
) -> io::Result<bool> {
    let waiting = thread::current();
    let work = move || {
        work();
        waiting.unpark();
    };
    let end = clock.now() + limit;
    let thread = thread::Builder::new().stack_size(STACK).spawn(work)?;
    while !thread.is_finished() && clock.now() < end {
        // It is woken a moment before the thread has ended.
        thread::park_timeout(clock.now().until(end).min(GLANCE));
    }
    Ok(thread.is_finished())
}

const GLANCE: Duration = Duration::from_millis(20);

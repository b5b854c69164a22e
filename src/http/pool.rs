//! The connections to one server, and the one thread that owns them. It starts with the first request and ends
//! after a while without any; then no connection is left.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use ureq_proto::http::StatusCode;

use crate::clock::Clock;
use crate::http::connection::{Connection, timespec};
use crate::http::dial::{self, Stream, Tls};
use crate::http::error::{Cause, Error, Party};
use crate::http::protocol::{Head, Request, StreamError, StreamEvent, StreamId};
use crate::moment::Moment;

/// Stack of a thread that shakes hands, in bytes. That takes 20 KiB, 48 in a debug build.
pub const STACK: usize = 128 * 1024;

/// How many connections there are at most where exchanges share them. A second one is opened when the first is
/// full: two take 200 requests of a kube-apiserver at a time, and more pods than that are on few nodes. Measured
/// with 250 pods, two are hardly sooner than one (1.03 s and 1.06 s), and each costs the server a handshake. Where
/// four are allowed, a third is not opened: with 250 pods two are not full.
const MOST_SHARED: usize = 2;

/// How many there are at most where each exchange has one for itself (HTTP/1.1).
const MOST_UNSHARED: usize = 8;

/// How many there are at most together with those that take no new exchange.
const MOST_OPEN: usize = 16;

/// So many exchanges are kept free for what does not ask [`Pool::free`].
const RESERVED: usize = 2;

/// How long resolving a name, connecting and TLS may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long no further connection is tried after one that failed, where there is another.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a connection is kept without an exchange.
const IDLE: Duration = Duration::from_secs(3);

/// How often a request is sent again that the server has not processed.
const MOST_TRIES: u32 = 5;

/// How long a connection is new: it may end because no server is behind it.
const SETTLED: Duration = Duration::from_secs(1);

/// A request that fails so soon after it was sent met a connection that had ended already. Later it may have been
/// processed.
const CROSSED: Duration = Duration::from_secs(1);

/// One request, and what is done with its answer. All methods are called on the pool's thread and must not block.
pub trait Exchange: Send {
    /// The request in a few words, for people.
    fn asked(&self) -> String;
    /// The request as it is to be sent now; called each time that it is sent.
    ///
    /// # Errors
    /// It cannot be sent.
    fn request(&mut self) -> Result<Request, Error>;
    /// The head of the answer came. True: there is no time-out for its body.
    ///
    /// # Errors
    /// The body is not wanted.
    fn head(&mut self, head: Head) -> Result<bool, Cause>;
    /// A piece of the body came.
    ///
    /// # Errors
    /// No more of it is wanted.
    fn data(&mut self, piece: &[u8]) -> Result<(), Cause>;
    /// It is over, and its answer complete or not: called once. What it returns is requested in its place.
    fn end(self: Box<Self>, end: Result<(), Error>) -> Option<Box<dyn Exchange>>;
}

/// By which an exchange is given up.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

/// The connections to one server.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    party: Party,
    /// What TLS needs to know; asked for each connection, for files are replaced.
    tls: Box<dyn Fn() -> Result<Tls, Error> + Send + Sync>,
    clock: Clock,
    state: Mutex<Mailbox>,
    /// The addresses that the server's name last had: DNS may fail meanwhile.
    addresses: Mutex<Vec<SocketAddr>>,
    /// Called when there is more room than before.
    grown: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

struct Mailbox {
    /// What the thread has not seen yet.
    submitted: Vec<Call>,
    /// Wakes the thread. `None`: there is none.
    waker: Option<Arc<OwnedFd>>,
    /// How many exchanges are not over.
    open: usize,
    /// How many can be under way at a time.
    room: usize,
    /// How many attempts to connect there were. What an earlier one brings is of no use.
    dials: u32,
    /// What came of the last one.
    dialled: Option<Result<Stream, Error>>,
}

struct Call {
    exchange: Box<dyn Exchange>,
    since: Moment,
    until: Moment,
    cancel: Cancel,
    /// How often the server has not processed it.
    tries: u32,
    /// Whether it was sent again because its connection had ended.
    repeated: bool,
}

impl Pool {
    /// Connects with the first request.
    pub fn new(
        party: Party,
        tls: impl Fn() -> Result<Tls, Error> + Send + Sync + 'static,
        clock: Clock,
    ) -> Self {
        let state = Mailbox {
            submitted: Vec::new(),
            waker: None,
            open: 0,
            room: MOST_UNSHARED,
            dials: 0,
            dialled: None,
        };
        Self(Arc::new(Shared {
            party,
            tls: Box::new(tls),
            clock,
            state: Mutex::new(state),
            addresses: Mutex::default(),
            grown: OnceLock::new(),
        }))
    }

    /// The server.
    pub fn party(&self) -> &Party {
        &self.0.party
    }

    /// The clock that times are measured by.
    pub fn clock(&self) -> Clock {
        self.0.clock
    }

    /// Sets what is called when more exchanges are possible at a time than before, once. It must not block.
    pub fn when_grown(&self, call: impl Fn() + Send + Sync + 'static) {
        // A second call changes nothing.
        let _ = self.0.grown.set(Box::new(call));
    }

    /// How many more exchanges could begin now without waiting for others to end.
    pub fn free(&self) -> usize {
        let state = self.0.lock();
        state.room.saturating_sub(state.open + RESERVED)
    }

    /// Has an exchange carried out: all of its answer within `timeout`, connecting included.
    pub fn submit(&self, exchange: Box<dyn Exchange>, timeout: Duration, cancel: Cancel) {
        let since = self.0.clock.now();
        let until = since + timeout;
        let call = Call { exchange, since, until, cancel, tries: 0, repeated: false };
        let mut state = self.0.lock();
        state.open += 1;
        state.submitted.push(call);
        if state.waker.is_some() {
            return state.wake();
        }
        if let Err(e) = Driver::start(&self.0, &mut state) {
            let calls = std::mem::take(&mut state.submitted);
            drop(state);
            let error = Cause::of_system(&e, Cause::NoThread).with(&self.0.party);
            for call in calls {
                self.0.end(call, Err(error.clone()));
            }
        }
    }

    /// Ends all exchanges that were given up.
    pub fn cancelled(&self) {
        self.0.lock().wake();
    }
}

impl Cancel {
    /// Gives up what was submitted with it; [`Pool::cancelled`] then ends it.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether anything that was submitted with it is not over.
    pub fn is_waited_for(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Mailbox {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            // It fails only if it was woken 2^64 times since.
            let _ = rustix::io::write(waker, &1_u64.to_ne_bytes());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Mailbox> {
        lock(&self.state)
    }

    /// Ends an exchange, and submits what is to be asked in its place.
    fn end(self: &Arc<Self>, call: Call, end: Result<(), Error>) {
        // There is room again before `end` is called: it may submit the next.
        self.lock().open -= 1;
        if let Some(exchange) = call.exchange.end(end) {
            let left = self.clock.now().until(call.until);
            Pool(Arc::clone(self)).submit(exchange, left, call.cancel);
        }
    }

    /// A connected socket with TLS. Every address of the server is tried: first those that its name had the last time,
    /// for at most half of the time, and then those that it has now.
    fn dial(&self) -> Result<Stream, Error> {
        let until = self.clock.now() + CONNECT_TIMEOUT;
        let tls = (self.tls)()?;
        let socket = self.connect(until)?;
        dial::secure(socket, &self.party, &tls, until, self.clock)
    }

    fn connect(&self, until: Moment) -> Result<std::net::TcpStream, Error> {
        let known = lock(&self.addresses).clone();
        if !known.is_empty() {
            let half = self.clock.now() + self.clock.now().until(until) / 2;
            if let Ok(socket) = dial::connect(&self.party, &known, half, self.clock) {
                return Ok(socket);
            }
        }
        let addresses = dial::resolve(&self.party)?;
        // Kept before they are tried: where the resolver took all the time, the next attempt begins with them.
        if self.party.address.ip().is_none() {
            lock(&self.addresses).clone_from(&addresses);
        }
        dial::connect(&self.party, &addresses, until, self.clock)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread that owns the connections.
struct Driver {
    shared: Arc<Shared>,
    wake: Arc<OwnedFd>,
    connections: Vec<OpenConnection>,
    /// What has no connection yet, in the order in which it is to have one.
    waiting: VecDeque<Call>,
    /// When the attempt to connect that is under way is given up.
    dialling: Option<Moment>,
    /// No further connection is tried before.
    pause: Moment,
}

struct OpenConnection {
    connection: Connection,
    /// When it was opened, or its last exchange ended.
    idle_since: Moment,
    opened: Moment,
    answered: bool,
    flights: Vec<Flight>,
}

/// An exchange that was sent.
struct Flight {
    stream: StreamId,
    sent: Moment,
    call: Call,
    /// Until when its answer is waited for, if not for ever.
    until: Option<Moment>,
    /// How far that has come.
    status: Option<StatusCode>,
    length: usize,
}

impl Driver {
    fn start(shared: &Arc<Shared>, state: &mut Mailbox) -> std::io::Result<()> {
        let wake = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let driver = Self {
            shared: Arc::clone(shared),
            wake: Arc::clone(&wake),
            connections: Vec::new(),
            waiting: VecDeque::new(),
            dialling: None,
            pause: Moment::START,
        };
        thread::Builder::new()
            .name("http".to_owned())
            .stack_size(STACK)
            .spawn(move || driver.run())?;
        state.waker = Some(wake);
        Ok(())
    }

    fn run(mut self) {
        loop {
            let now = self.shared.clock.now();
            self.take_over(now);
            // What has come is read before anything is found to be late.
            for index in 0..self.connections.len() {
                self.progress(index, now);
            }
            self.give_up(now);
            self.connections.retain(|open| open.is_of_use(now));
            if self.begin(now) {
                continue;
            }
            self.publish_room();
            if self.is_done() {
                return;
            }
            self.wait(now);
        }
    }

    /// Takes what other threads have put into the mailbox.
    fn take_over(&mut self, now: Moment) {
        let mut state = self.shared.lock();
        self.waiting.extend(state.submitted.drain(..));
        let opened = match state.dialled.take() {
            Some(opened) => opened,
            None if self.dialling.is_some_and(|until| until <= now) => {
                // Its thread may hang in the resolver for longer.
                state.dials = state.dials.wrapping_add(1);
                let why = format!("the resolver did not answer within {CONNECT_TIMEOUT:.0?}");
                Err(Cause::Unresolved(why).with(&self.shared.party))
            }
            None => return,
        };
        drop(state);
        self.dialling = None;
        match opened.and_then(|stream| Connection::new(stream, &self.shared.party, now)) {
            Ok(connection) => self.connections.push(OpenConnection {
                connection,
                idle_since: now,
                opened: now,
                answered: false,
                flights: Vec::new(),
            }),
            // The others get their turn.
            Err(_) if self.usable().next().is_some() => self.pause = now + PAUSE,
            Err(error) => {
                for call in std::mem::take(&mut self.waiting) {
                    self.shared.end(call, Err(error.clone()));
                }
            }
        }
    }

    /// Those that take new exchanges.
    fn usable(&self) -> impl Iterator<Item = &OpenConnection> {
        self.connections.iter().filter(|open| open.connection.protocol.slots().is_some())
    }

    /// Sends and receives what can be, and passes on what came.
    fn progress(&mut self, index: usize, now: Moment) {
        let Some(open) = self.connections.get_mut(index) else { return };
        open.connection.progress(now);
        let mut again = Vec::new();
        while let Some((stream, event)) = open.connection.protocol.next_event() {
            let Some(place) = open.flights.iter().position(|flight| flight.stream == stream) else {
                continue;
            };
            let Some(flight) = open.flights.get_mut(place) else { continue };
            let exchange = &mut flight.call.exchange;
            let ended = match event {
                StreamEvent::Head(head) => {
                    open.answered = true;
                    flight.status = Some(head.status);
                    match exchange.head(head) {
                        Ok(false) => continue,
                        Ok(true) => {
                            flight.until = None;
                            continue;
                        }
                        Err(cause) => Err(cause),
                    }
                }
                StreamEvent::Data(piece) => {
                    flight.length += piece.len();
                    match exchange.data(&piece) {
                        Ok(()) => {
                            open.connection.protocol.consume(stream, piece.len());
                            continue;
                        }
                        Err(cause) => Err(cause),
                    }
                }
                StreamEvent::End => Ok(()),
                StreamEvent::Failed(failure) => Err(match failure {
                    StreamError::NotProcessed(_)
                        if flight.status.is_none() && flight.call.tries < MOST_TRIES =>
                    {
                        flight.call.tries += 1;
                        again.push(open.flights.swap_remove(place).call);
                        continue;
                    }
                    // The server has closed a connection that was idle for a while. It may also have taken the
                    // request and then died: no request does more when it is sent twice, for each carries a
                    // UID, a resourceVersion, or the name of what it creates. But the caller must learn of an
                    // answer that may be lost.
                    StreamError::Ended(_)
                        if flight.may_be_repeated(open.answered, open.opened, now) =>
                    {
                        flight.call.repeated = true;
                        again.push(open.flights.swap_remove(place).call);
                        continue;
                    }
                    failure => failure.cause(flight.status, flight.length),
                }),
            };
            if ended.is_err() {
                open.connection.protocol.reset(stream);
            }
            let call = open.flights.swap_remove(place).call;
            open.idle_since = now;
            let party = &self.shared.party;
            let end = ended.map_err(|cause| cause.with(party).asking(call.exchange.asked()));
            self.shared.end(call, end);
        }
        for call in again.into_iter().rev() {
            self.waiting.push_front(call);
        }
    }

    /// Ends what was cancelled, and what has taken too long.
    fn give_up(&mut self, now: Moment) {
        let mut over = Vec::new();
        for open in &mut self.connections {
            while let Some(place) = open.flights.iter().position(|flight| flight.is_over(now)) {
                let flight = open.flights.swap_remove(place);
                open.connection.protocol.reset(flight.stream);
                open.idle_since = now;
                over.push((flight.call, true));
            }
        }
        let is_connected = self.usable().next().is_some();
        while let Some(place) = self.waiting.iter().position(|call| call.is_over(now)) {
            over.extend(self.waiting.remove(place).map(|call| (call, is_connected)));
        }
        for (call, was_connected) in over {
            let timeout = call.since.until(call.until);
            let cause = match was_connected {
                _ if call.cancel.is_set() => Cause::GivenUp(now.since(call.since)),
                true => Cause::TimedOut(timeout),
                false => Cause::NotConnected(timeout),
            };
            let error = cause.with(&self.shared.party).asking(call.exchange.asked());
            self.shared.end(call, Err(error));
        }
    }

    /// Sends what waits, as far as the connections take it; opens another one if all are full. Whether anything
    /// is to be sent.
    fn begin(&mut self, now: Moment) -> bool {
        let mut begun = false;
        while !self.waiting.is_empty() {
            let open = self
                .connections
                .iter_mut()
                .find(|open| open.connection.protocol.slots().is_some_and(|slots| slots > 0));
            let Some(open) = open else {
                self.dial(now);
                break;
            };
            if !open.connection.is_ready() {
                break;
            }
            let Some(mut call) = self.waiting.pop_front() else { break };
            let opened = call.exchange.request().and_then(|request| {
                open.connection.protocol.open(&request, now).map_err(|why| {
                    let error = Cause::Unsendable(why).with(&self.shared.party);
                    error.asking(call.exchange.asked())
                })
            });
            match opened {
                Ok(stream) => {
                    let until = Some(call.until);
                    open.flights.push(Flight {
                        stream,
                        sent: now,
                        call,
                        until,
                        status: None,
                        length: 0,
                    });
                    begun = true;
                }
                Err(error) => self.shared.end(call, Err(error)),
            }
        }
        begun
    }

    /// Opens one more connection, if there may be one more.
    fn dial(&mut self, now: Moment) {
        let usable = self.usable().count();
        let most = if self.usable().any(|open| open.connection.is_shared()) {
            MOST_SHARED
        } else {
            MOST_UNSHARED
        };
        let is_enough = usable >= most || self.connections.len() >= MOST_OPEN;
        if is_enough || self.dialling.is_some() || (usable > 0 && now < self.pause) {
            return;
        }
        let mut state = self.shared.lock();
        state.dials = state.dials.wrapping_add(1);
        let (number, shared) = (state.dials, Arc::clone(&self.shared));
        drop(state);
        // The resolver has time-outs of its own, and open exchanges must not wait for it.
        let started =
            thread::Builder::new().name("dial".to_owned()).stack_size(STACK).spawn(move || {
                let dialled = shared.dial();
                let mut state = shared.lock();
                if state.dials == number {
                    state.dialled = Some(dialled);
                    state.wake();
                }
            });
        self.dialling = Some(now + CONNECT_TIMEOUT + PAUSE);
        if let Err(e) = started {
            let error = Cause::of_system(&e, Cause::NoThread).with(&self.shared.party);
            let mut state = self.shared.lock();
            state.dialled = Some(Err(error));
            state.wake();
        }
    }

    /// Publishes how many exchanges can be under way at a time.
    fn publish_room(&self) {
        let shared = self.usable().filter(|open| open.connection.is_shared());
        let room = match shared.map(|open| open.connection.protocol.capacity()).max() {
            Some(capacity) => capacity.saturating_mul(MOST_SHARED),
            None if self.usable().next().is_some() => MOST_UNSHARED,
            // What was found out last.
            None => return,
        };
        let mut state = self.shared.lock();
        let has_grown = std::mem::replace(&mut state.room, room) < room;
        drop(state);
        if let Some(call) = self.shared.grown.get().filter(|_| has_grown) {
            call();
        }
    }

    /// Whether the thread is to end: nothing is open, and nothing was submitted meanwhile.
    fn is_done(&mut self) -> bool {
        if !self.connections.is_empty() || !self.waiting.is_empty() || self.dialling.is_some() {
            return false;
        }
        let mut state = self.shared.lock();
        let is_done = state.submitted.is_empty();
        if is_done {
            state.waker = None;
        }
        is_done
    }

    /// Waits until something can be done.
    fn wait(&mut self, now: Moment) {
        let of_connections = self.connections.iter().flat_map(|open| {
            let idle = open.flights.is_empty().then_some(open.idle_since + IDLE);
            let flights = open.flights.iter().filter_map(|flight| flight.until);
            flights.chain(idle).chain(open.connection.deadline())
        });
        let pause = Some(self.pause).filter(|pause| !self.waiting.is_empty() && now < *pause);
        let until = of_connections
            .chain(self.waiting.iter().map(|call| call.until))
            .chain(self.dialling)
            .chain(pause)
            .min();
        let left = until.map(|until| timespec(self.shared.clock.now().until(until)));
        let interests: Vec<_> =
            self.connections.iter_mut().map(|open| open.connection.interest()).collect();
        let mut polled = vec![PollFd::new(&*self.wake, PollFlags::IN)];
        polled.extend(
            self.connections
                .iter()
                .zip(interests)
                .map(|(open, interest)| PollFd::new(&open.connection, interest)),
        );
        // Interrupted or not, everything is looked at again.
        let _ = poll(&mut polled, left.as_ref());
        drop(polled);
        let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
    }
}

impl OpenConnection {
    fn is_of_use(&self, now: Moment) -> bool {
        let takes_more = self.connection.protocol.slots().is_some() && now < self.idle_since + IDLE;
        !self.flights.is_empty() || takes_more
    }
}

impl Flight {
    fn is_over(&self, now: Moment) -> bool {
        self.call.cancel.is_set() || self.until.is_some_and(|until| until <= now)
    }

    fn may_be_repeated(&self, answered: bool, opened: Moment, now: Moment) -> bool {
        let is_kept = answered || now.since(opened) >= SETTLED;
        let has_crossed = self.status.is_none() && now.since(self.sent) < CROSSED;
        is_kept && has_crossed && !self.call.repeated && !self.call.cancel.is_set()
    }
}

impl Call {
    fn is_over(&self, now: Moment) -> bool {
        self.cancel.is_set() || self.until <= now
    }
}

#[cfg(test)]
mod tests;

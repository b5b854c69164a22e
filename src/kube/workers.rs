//! The threads that carry requests out, each over a connection of its own that it keeps. They start
//! when there is something to do, and end when the drain is over or nothing was to be done for a
//! while. Nothing queues: a request is handed over only while a worker is free.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::drain::ask::PodRef;
use crate::kube::access::Access;
use crate::kube::client::{Client, Interest};
use crate::kube::reply::Reply;
use crate::kube::request::Request;
use crate::kube::server::Server;
use crate::kube::trouble::Trouble;
use crate::moment::Moment;

/// Stack of a thread with a connection, in bytes. A handshake takes 20 KiB, 48 in a debug build.
pub const STACK: usize = 128 * 1024;

/// How long a worker without work keeps its connection. Shorter than any server's patience with an
/// idle connection, longer than the pause between two refusals of a budget.
const IDLE_PATIENCE: Duration = Duration::from_secs(10);

/// How long no further worker is started after the system gave no thread or no descriptor: others may
/// have used them up for a moment.
const SHORTAGE: Duration = Duration::from_secs(1);

/// One request, and who wants to know.
pub struct Task {
    /// What is asked.
    pub request: Request,
    /// How long the answer may take, connecting included.
    pub patience: Duration,
    /// The pod that it is about, if it may be [given up](Workers::give_up).
    pub about: Option<Arc<PodRef>>,
    /// Called once with what came, on the worker's thread. Must not block.
    pub done: Box<dyn FnOnce(Result<Reply, Trouble>) + Send>,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(&self.request).finish_non_exhaustive()
    }
}

/// The workers. Without work they are nothing but this.
pub struct Workers {
    server: Arc<Server>,
    clock: Clock,
    most: NonZeroUsize,
    idle_patience: Duration,
    session: Option<Session>,
    /// What may be given up: about which pod, and who waits.
    open: Vec<(Arc<PodRef>, Weak<Interest>)>,
}

/// The connections and threads of one drain: from the first task to [`Workers::disconnect`].
struct Session {
    access: Arc<Access>,
    pool: Arc<Pool>,
}

impl Workers {
    /// At most `most` threads at a time; none yet.
    pub fn new(server: Arc<Server>, clock: Clock, most: NonZeroUsize) -> Self {
        Self { server, clock, most, idle_patience: IDLE_PATIENCE, session: None, open: Vec::new() }
    }

    /// How many tasks could be started now: workers that are idle or not yet started.
    pub fn free(&self) -> usize {
        self.session.as_ref().map_or(self.most.get(), |session| session.pool.free())
    }

    /// Has the task carried out. Without a free worker it comes back as a trouble at once.
    pub fn submit(&mut self, task: Task) {
        let interest = Arc::new(Interest::default());
        self.open.retain(|(_, interest)| interest.strong_count() > 0);
        if let Some(pod) = &task.about {
            self.open.push((Arc::clone(pod), Arc::downgrade(&interest)));
        }
        let session = self.session();
        match session.pool.admit(&session.access) {
            Ok(()) => session.pool.hand_over((task, interest)),
            Err(trouble) => (task.done)(Err(trouble)),
        }
    }

    /// What is under way about this pod ends with a trouble, and its connection with it.
    pub fn give_up(&self, pod: &PodRef) {
        let about = self.open.iter().filter(|(about, _)| **about == *pod);
        about.filter_map(|(_, interest)| interest.upgrade()).for_each(|it| it.lose());
    }

    /// The way to the API server that the workers use: for a connection beside theirs, which
    /// [`Workers::disconnect`] then closes too.
    pub fn access(&mut self) -> Arc<Access> {
        Arc::clone(&self.session().access)
    }

    /// Closes all connections and lets all threads end, without waiting for them. What is still
    /// under way ends with a trouble. A later task begins anew.
    pub fn disconnect(&mut self) {
        let Some(session) = self.session.take() else { return };
        let left = session.pool.close();
        session.access.close();
        for (task, _) in left {
            (task.done)(Err(Trouble::Over));
        }
    }

    fn session(&mut self) -> &Session {
        self.session.get_or_insert_with(|| Session {
            access: Arc::new(Access::new(Arc::clone(&self.server), self.clock)),
            pool: Arc::new(Pool::new(self.most.get(), self.idle_patience, self.clock)),
        })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.disconnect();
    }
}

/// Where tasks are handed over.
struct Pool {
    idle_patience: Duration,
    clock: Clock,
    state: Mutex<State>,
    changed: Condvar,
}

/// There is always a thread for each task that is not finished: `busy <= threads`.
struct State {
    /// Handed over and not yet begun.
    tasks: VecDeque<(Task, Arc<Interest>)>,
    /// Tasks admitted and not yet finished.
    busy: usize,
    threads: usize,
    most: usize,
    /// So many threads are enough until then.
    cap: Option<(usize, Moment)>,
    closed: bool,
}

impl State {
    fn most(&self, now: Moment) -> usize {
        match self.cap {
            Some((cap, until)) if now < until => cap.min(self.most),
            _ => self.most,
        }
    }

    /// The system gives no more than there are. With none, the next task tries again.
    fn run_short(&mut self, now: Moment) {
        self.cap = Some((self.threads.max(1), now + SHORTAGE));
    }
}

impl Pool {
    fn new(most: usize, idle_patience: Duration, clock: Clock) -> Self {
        let state =
            State { tasks: VecDeque::new(), busy: 0, threads: 0, most, cap: None, closed: false };
        Self { idle_patience, clock, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn free(&self) -> usize {
        let state = self.lock();
        state.most(self.clock.now()).saturating_sub(state.busy)
    }

    /// Sees to it that a thread is there for one more task.
    fn admit(self: &Arc<Self>, access: &Arc<Access>) -> Result<(), Trouble> {
        let mut state = self.lock();
        if state.busy >= state.most(self.clock.now()) {
            return Err(Trouble::NoWorker);
        }
        if state.busy == state.threads {
            if let Err(e) = Worker::start(self, access) {
                state.run_short(self.clock.now());
                return Err(Trouble::NoThread { why: e.to_string() });
            }
            state.threads += 1;
        }
        state.busy += 1;
        Ok(())
    }

    /// Gives a task that was admitted to whichever thread waits.
    fn hand_over(&self, task: (Task, Arc<Interest>)) {
        self.lock().tasks.push_back(task);
        self.changed.notify_one();
    }

    /// Waits for a task. `None`: the thread is to end.
    fn next_task(&self) -> Option<(Task, Arc<Interest>)> {
        let until = self.clock.now() + self.idle_patience;
        let mut state = self.lock();
        loop {
            if let Some(task) = state.tasks.pop_front() {
                return Some(task);
            }
            let left = self.clock.now().until(until);
            if state.closed || left.is_zero() {
                state.threads -= 1;
                return None;
            }
            (state, _) =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A task is finished. Whether its thread is to go on: one that gets no descriptor does not,
    /// unless it is the last.
    fn finished(&self, without_descriptor: bool) -> bool {
        let mut state = self.lock();
        state.busy -= 1;
        if !without_descriptor {
            return true;
        }
        let goes_on = state.threads <= 1;
        if !goes_on {
            state.threads -= 1;
        }
        state.run_short(self.clock.now());
        goes_on
    }

    /// Lets the threads end; gives back what none of them has begun.
    fn close(&self) -> VecDeque<(Task, Arc<Interest>)> {
        let mut state = self.lock();
        state.closed = true;
        self.changed.notify_all();
        std::mem::take(&mut state.tasks)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread and its connection.
struct Worker {
    pool: Arc<Pool>,
    client: Client,
}

impl Worker {
    fn start(pool: &Arc<Pool>, access: &Arc<Access>) -> std::io::Result<()> {
        let worker = Self { pool: Arc::clone(pool), client: Client::new(Arc::clone(access)) };
        thread::Builder::new()
            .name("kube".to_owned())
            .stack_size(STACK)
            .spawn(move || worker.run())
            .map(drop)
    }

    fn run(mut self) {
        while let Some((task, interest)) = self.pool.next_task() {
            let result = self.client.send_until_given_up(&task.request, task.patience, &interest);
            let without_descriptor = matches!(result, Err(Trouble::NoDescriptor));
            // Free before the answer is told: the next task may come at once.
            let go_on = self.pool.finished(without_descriptor);
            (task.done)(result);
            if !go_on {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::stand_in::{LONG, SHORT, StandIn, get};
    use std::sync::mpsc::{self, Receiver, Sender};

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    const UNAUTHORIZED: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";

    type Answers = Receiver<Result<u16, Trouble>>;

    fn answers() -> (Sender<Result<u16, Trouble>>, Answers) {
        mpsc::channel()
    }

    fn ask(workers: &mut Workers, to: &Sender<Result<u16, Trouble>>, patience: Duration) {
        let to = to.clone();
        workers.submit(Task {
            request: get("/api"),
            patience,
            about: None,
            done: Box::new(move |result| {
                let _ = to.send(result.map(|reply| reply.status));
            }),
        });
    }

    fn ask_once(workers: &mut Workers) -> Result<u16, Trouble> {
        let (to, answers) = answers();
        ask(workers, &to, LONG);
        answers.recv().unwrap()
    }

    /// Hears a request and says what it is told to say.
    struct Puppet {
        server: StandIn,
        /// The connection and the request.
        heard: Receiver<(usize, String)>,
    }

    impl Puppet {
        /// `answer` says what to answer to the request of that number on the connection of that
        /// number; nothing more to say ends the connection.
        fn new(answer: fn(usize, usize) -> Option<&'static [u8]>) -> Self {
            let (hear, heard) = mpsc::channel();
            let server = StandIn::start(move |connection, mut peer| {
                for number in 0.. {
                    let Some(request) = peer.hears() else { return };
                    let _ = hear.send((connection, request));
                    match answer(connection, number) {
                        Some(answer) => peer.says(answer),
                        None => return peer.drops(),
                    };
                }
            });
            Self { server, heard }
        }

        fn connections(&self) -> Vec<usize> {
            self.heard.try_iter().map(|(connection, _)| connection).collect()
        }

        fn tokens(&self) -> Vec<String> {
            let token = |(_, request): (usize, String)| {
                let after = request.split_once("Bearer ").unwrap().1;
                after.split_once("\r\n").unwrap().0.to_owned()
            };
            self.heard.try_iter().map(token).collect()
        }
    }

    #[test]
    fn a_worker_keeps_its_connection() {
        let puppet = Puppet::new(|_, _| Some(OK));
        let mut workers = puppet.server.workers(1);
        for _ in 0..3 {
            assert_eq!(ask_once(&mut workers), Ok(200));
        }
        assert_eq!(puppet.connections(), [0, 0, 0]);
    }

    #[test]
    fn nothing_is_taken_beyond_the_free_workers() {
        let puppet = Puppet::new(|_, _| Some(b""));
        let mut workers = puppet.server.workers(2);
        let (to, answers) = answers();
        assert_eq!(workers.free(), 2);
        ask(&mut workers, &to, LONG);
        ask(&mut workers, &to, LONG);
        assert_eq!(workers.free(), 0);
        ask(&mut workers, &to, LONG);
        assert_eq!(answers.recv().unwrap(), Err(Trouble::NoWorker));
        workers.disconnect();
        assert_eq!(answers.recv().unwrap(), Err(Trouble::Over));
        assert_eq!(answers.recv().unwrap(), Err(Trouble::Over));
    }

    #[test]
    fn a_worker_is_free_when_its_answer_is_told() {
        let puppet = Puppet::new(|_, _| Some(OK));
        let mut workers = puppet.server.workers(1);
        let (to, answers) = answers();
        for _ in 0..200 {
            assert_eq!(workers.free(), 1);
            ask(&mut workers, &to, LONG);
            assert_eq!(answers.recv().unwrap(), Ok(200));
        }
    }

    fn about(name: &str) -> Arc<PodRef> {
        let of = |text: &str| text.to_owned();
        Arc::new(PodRef { namespace: of("shop"), name: of(name), uid: of(name) })
    }

    #[test]
    fn what_is_given_up_ends_at_once_and_its_connection_with_it() {
        let (hear, heard) = mpsc::channel();
        let server = StandIn::start(move |_, mut peer| {
            let request = peer.hears();
            let _ = hear.send(request.is_some());
            // Silent. The next thing that comes is the end.
            let _ = hear.send(peer.hears().is_some());
        });
        let mut workers = server.workers(2);
        let (to, answers) = answers();
        for pod in ["a", "b"] {
            let to = to.clone();
            workers.submit(Task {
                request: get("/api"),
                patience: LONG,
                about: Some(about(pod)),
                done: Box::new(move |result| {
                    let _ = to.send(result.map(|reply| reply.status));
                }),
            });
        }
        assert_eq!([heard.recv(), heard.recv()], [Ok(true), Ok(true)]);
        workers.give_up(&about("a"));
        assert!(matches!(answers.recv().unwrap(), Err(Trouble::GivenUp { .. })));
        assert_eq!(heard.recv(), Ok(false), "the server hears of it");
        assert!(answers.try_recv().is_err(), "the other one is still waited for");
        assert_eq!(workers.free(), 1);
        workers.give_up(&about("b"));
        assert!(matches!(answers.recv().unwrap(), Err(Trouble::GivenUp { .. })));
    }

    #[test]
    fn what_is_given_up_is_not_asked_again_over_another_connection() {
        let (hear, heard) = mpsc::channel();
        let server = StandIn::start(move |connection, mut peer| {
            while peer.hears().is_some() {
                let _ = hear.send(connection);
                if connection == 0 && !peer.says(OK) {
                    return;
                }
            }
        });
        let mut workers = server.workers(1);
        assert_eq!(ask_once(&mut workers), Ok(200));
        workers.give_up(&about("a"));
        assert_eq!(ask_once(&mut workers), Ok(200), "nothing was open for that pod");
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [0, 0]);
    }

    #[test]
    fn requests_go_out_side_by_side() {
        let puppet = Puppet::new(|_, _| Some(b""));
        let mut workers = puppet.server.workers(8);
        let (to, _answers) = answers();
        (0..8).for_each(|_| ask(&mut workers, &to, LONG));
        // All are heard though none is answered.
        let mut connections: Vec<_> = (0..8).map(|_| puppet.heard.recv().unwrap().0).collect();
        connections.sort_unstable();
        assert_eq!(connections, [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_connection_that_went_stale_is_replaced_once() {
        let puppet = Puppet::new(|connection, number| match (connection, number) {
            (0, 1) | (2.., _) => None,
            _ => Some(OK),
        });
        let mut workers = puppet.server.workers(1);
        assert_eq!(ask_once(&mut workers), Ok(200));
        assert_eq!(ask_once(&mut workers), Ok(200));
        assert_eq!(puppet.connections(), [0, 0, 1]);
    }

    #[test]
    fn what_fails_on_a_fresh_connection_is_not_repeated() {
        let puppet = Puppet::new(|_, _| None);
        let mut workers = puppet.server.workers(1);
        assert!(matches!(ask_once(&mut workers), Err(Trouble::Unanswered { .. })));
        assert_eq!(puppet.connections(), [0]);

        let puppet = Puppet::new(|connection, number| match (connection, number) {
            (0, 0) => Some(OK),
            _ => None,
        });
        let mut workers = puppet.server.workers(1);
        assert_eq!(ask_once(&mut workers), Ok(200));
        assert!(matches!(ask_once(&mut workers), Err(Trouble::Unanswered { .. })));
        assert_eq!(puppet.connections(), [0, 0, 1]);
    }

    #[test]
    fn an_answer_that_began_is_not_asked_for_again() {
        let puppet = Puppet::new(|_, number| match number {
            0 => Some(OK),
            1 => Some(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{"),
            _ => None,
        });
        let mut workers = puppet.server.workers(1);
        assert_eq!(ask_once(&mut workers), Ok(200));
        let (to, answers) = answers();
        ask(&mut workers, &to, SHORT);
        assert!(matches!(answers.recv().unwrap(), Err(Trouble::TimedOut { .. })));
        // The connection is not used again.
        assert_eq!(ask_once(&mut workers), Ok(200));
        let connections: Vec<_> = (0..3).map(|_| puppet.heard.recv().unwrap().0).collect();
        assert_eq!(connections, [0, 0, 1]);
    }

    #[test]
    fn a_token_that_was_replaced_is_used_at_once() {
        let puppet = Puppet::new(|connection, number| {
            Some(if (connection, number) == (0, 1) { UNAUTHORIZED } else { OK })
        });
        let mut client = Client::new(puppet.server.access());
        let mut ask = || client.send(&get("/api"), LONG).map(|reply| reply.status);
        assert_eq!(ask(), Ok(200));
        puppet.server.files().put_token(b"new-token");
        assert_eq!(ask(), Ok(200));
        assert_eq!(puppet.tokens(), ["a-token", "a-token", "new-token"]);
    }

    #[test]
    fn a_token_that_is_not_accepted_is_tried_on_a_new_connection_next_time() {
        let puppet = Puppet::new(|_, _| Some(UNAUTHORIZED));
        let mut workers = puppet.server.workers(1);
        assert_eq!(ask_once(&mut workers), Ok(401));
        assert_eq!(ask_once(&mut workers), Ok(401));
        assert_eq!(puppet.connections(), [0, 1]);
    }

    #[test]
    fn a_worker_without_work_ends_and_another_takes_its_place() {
        let (end, ended) = mpsc::channel();
        let server = StandIn::start(move |connection, mut peer| {
            while peer.hears().is_some() {
                peer.says(OK);
            }
            end.send(connection).unwrap();
        });
        let mut workers = server.workers(1);
        workers.idle_patience = SHORT;
        assert_eq!(ask_once(&mut workers), Ok(200));
        assert_eq!(ended.recv().unwrap(), 0);
        assert_eq!(workers.free(), 1);
        assert_eq!(ask_once(&mut workers), Ok(200));
        assert_eq!(ended.recv().unwrap(), 1);
    }

    #[test]
    fn after_a_rest_work_begins_anew() {
        let puppet = Puppet::new(|_, _| Some(OK));
        let mut workers = puppet.server.workers(2);
        assert_eq!(ask_once(&mut workers), Ok(200));
        workers.disconnect();
        workers.disconnect();
        assert_eq!(workers.free(), 2);
        assert_eq!(ask_once(&mut workers), Ok(200));
        assert_eq!(puppet.connections(), [0, 1]);
    }

    #[test]
    fn a_worker_without_descriptor_ends_unless_it_is_the_last() {
        let pool = Pool::new(3, IDLE_PATIENCE, Clock::start());
        pool.lock().threads = 3;
        pool.lock().busy = 3;
        assert!(!pool.finished(true));
        assert!(!pool.finished(true));
        assert!(pool.finished(true));
        assert_eq!(pool.lock().most(Moment::START), 1);
    }

    #[test]
    fn a_shortage_passes() {
        let pool = Pool::new(3, IDLE_PATIENCE, Clock::start());
        let mut state = pool.lock();
        let most = |state: &State, milliseconds| {
            state.most(Moment::at(Duration::from_millis(milliseconds)))
        };
        assert_eq!(most(&state, 0), 3);
        // Without a thread, one is tried all the same.
        state.run_short(Moment::START);
        assert_eq!((most(&state, 0), most(&state, 999), most(&state, 1000)), (1, 1, 3));
        state.threads = 2;
        state.run_short(Moment::at(SHORTAGE));
        assert_eq!((most(&state, 1000), most(&state, 1999), most(&state, 2000)), (2, 2, 3));
    }
}

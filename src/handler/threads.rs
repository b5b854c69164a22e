//! The real world around the event loop: an inbox with a self-pipe that wakes its reader, the
//! clock, those who report, the API server and the watch. It decides nothing.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::clock::Clock;
use crate::drain::ask::Job;
use crate::drain::machine::Drain;
use crate::drain::pod::OwnPod;
use crate::handler::world::{News, Order, World};
use crate::http::error::Error;
use crate::http::pool::Cancel;
use crate::kube::client::{Client, PodRequests};
use crate::kube::reply::{self, Reply};
use crate::kube::request::{self, Request};
use crate::kube::token::Claims;
use crate::kube::watch::{Follower, StreamInput};
use crate::moment::{Moment, Reading};
use crate::node::NodeAnswer;
use crate::report::Starter;
use crate::report::fact::Fact;
use crate::report::log::status_line::StatusLine;
use crate::report::reporters::Reporters;
use crate::report::status::DrainStatus;

/// Threads, sockets, files.
pub struct Threads {
    clock: Clock,
    reporters: Reporters,
    client: Client,
    own_pod: OwnPod,
    seed: u64,
    /// The watch of the pods, while there is one.
    follower: Option<Follower>,
    /// Its events that the loop has not taken in yet.
    pods: VecDeque<News>,
    /// Counts the drains: what comes late of an earlier one is dropped.
    generation: u32,
    /// By which all requests of this drain are given up.
    requests: Cancel,
    /// By which those about a pod are.
    pod_requests: PodRequests,
    sender: NewsSender,
    wake_reader: UnixStream,
    /// Shows how far a drain is.
    status_line: Option<StatusLine>,
    /// SIGTERM or SIGINT has come.
    signal: Arc<AtomicBool>,
}

/// What wakes the event loop; in which generation it was asked for, or `None`: it is valid in any.
enum Message {
    News(Option<u32>, News),
    Watch(u32, StreamInput),
    /// More requests can be under way at a time than before.
    MoreFree,
}

/// Sends news to the event loop and wakes it. Never waits: the inbox has no bound, and needs none,
/// for there is never more under way than requests and pods. (A channel of the standard library would want a
/// thread of its own for signals, and keeps what it took in a drain.)
#[derive(Clone)]
pub struct NewsSender {
    inbox: Arc<Mutex<VecDeque<Message>>>,
    wake_writer: Arc<UnixStream>,
}

/// How long reading an object may take: nothing is in its way at the API server.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a change of the Node may take: an admission webhook has up to 30 s.
pub(super) const PATCH_TIMEOUT: Duration = Duration::from_secs(35);

/// How often an operator who watches sees how far a drain is.
const SHOWN_AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Threads {
    /// Takes signals from now on; nothing else happens yet.
    ///
    /// # Errors
    /// The system gives no socket pair or no signal handler.
    pub fn new(
        clock: Clock,
        reporters: Reporters,
        client: Client,
        own_pod: OwnPod,
        seed: u64,
    ) -> io::Result<Self> {
        let (wake_reader, wake_writer) = UnixStream::pair()?;
        // A full pipe wakes its reader as well as one more byte.
        wake_writer.set_nonblocking(true)?;
        let signal = Arc::new(AtomicBool::new(false));
        for number in [SIGTERM, SIGINT] {
            signal_hook::flag::register(number, Arc::clone(&signal))?;
            signal_hook::low_level::pipe::register(number, wake_writer.try_clone()?)?;
        }
        let sender = NewsSender { inbox: Arc::default(), wake_writer: Arc::new(wake_writer) };
        let grown = sender.clone();
        client.when_grown(move || grown.send_message(Message::MoreFree));
        Ok(Self {
            clock,
            reporters,
            pod_requests: PodRequests::new(client.clone()),
            client,
            own_pod,
            seed,
            follower: None,
            pods: VecDeque::new(),
            generation: 0,
            requests: Cancel::default(),
            sender,
            wake_reader,
            status_line: None,
            signal,
        })
    }

    /// Shows on this line how far a drain is.
    pub fn show_on(&mut self, line: StatusLine) {
        self.status_line = Some(line);
    }

    /// For whatever sends news from a thread of its own.
    pub fn news_sender(&self) -> NewsSender {
        self.sender.clone()
    }

    /// Starts the thread of one who reports; nothing waits for it, and nothing ends without it.
    pub fn start(&mut self, who: &'static str, start: Starter) {
        self.reporters.start(self.clock.read(), who, start);
    }

    /// Gives those who report time for what they have, then leaves everything as it is: the process
    /// ends.
    pub fn finish(self) {
        self.reporters.finish(self.clock);
    }
}

impl NewsSender {
    /// Sends news.
    pub fn send(&self, news: News) {
        self.send_message(Message::News(None, news));
    }

    fn send_message(&self, message: Message) {
        self.lock().push_back(message);
        // It fails only if the pipe is full.
        let _ = (&*self.wake_writer).write(&[1]);
    }

    fn take(&self) -> Option<Message> {
        let mut inbox = self.lock();
        let first = inbox.pop_front();
        if inbox.is_empty() {
            inbox.shrink_to(QUIET);
        }
        first
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Message>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room that the inbox keeps: news come one at a time while nothing happens.
const QUIET: usize = 4;

impl World for Threads {
    fn read_clock(&self) -> Reading {
        self.clock.read()
    }

    fn wait(&mut self, until: Option<Moment>) -> Option<News> {
        let shown = self.status_line.as_ref().map(|_| self.clock.now() + SHOWN_AGAIN_AFTER);
        let until = until.into_iter().chain(shown).min();
        loop {
            if self.signal.swap(false, Ordering::Relaxed) {
                return Some(News::Terminate);
            }
            if let Some(news) = self.pods.pop_front() {
                return Some(news);
            }
            // What has come is taken in before anything is found to be late.
            match self.sender.take() {
                Some(Message::News(generation, news)) => {
                    if generation.is_none_or(|generation| generation == self.generation) {
                        return Some(news);
                    }
                }
                Some(Message::Watch(generation, event)) => {
                    if let Some(follower) = &mut self.follower
                        && generation == self.generation
                    {
                        self.pods.extend(follower.observe(event).into_iter().map(News::Pods));
                    }
                }
                Some(Message::MoreFree) => return None,
                None => {
                    let now = self.clock.now();
                    let due = self.drive();
                    if !self.pods.is_empty() {
                        continue;
                    }
                    if until.is_some_and(|until| until <= now) {
                        return None;
                    }
                    let until = [until, due].into_iter().flatten().min();
                    // No time-out of a socket is 0. Woken or not, the inbox is looked at again.
                    let left = until.map(|until| now.until(until).max(Duration::from_millis(1)));
                    let _ = self.wake_reader.set_read_timeout(left);
                    let _ = self.wake_reader.read(&mut [0; 64]);
                }
            }
        }
    }

    fn show(&mut self, drain: Option<&Drain>, now: Moment) {
        let Some(line) = &self.status_line else { return };
        line.show(&drain.map_or_else(String::new, |drain| {
            DrainStatus::of(&drain.verdict(now)).in_words(now.until(drain.end()))
        }));
    }

    fn free(&self) -> usize {
        self.client.free()
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::CheckCredentials => self.check_credentials(),
            Order::FindNode => self.find_node(),
            Order::ReadNode(name) => {
                let request = request::read_node(&name);
                self.ask_node(name, request, READ_TIMEOUT);
            }
            Order::PatchNode(name, patch) => {
                let request = request::patch_node(&name, &patch);
                self.ask_node(name, request, PATCH_TIMEOUT);
            }
            Order::FollowPods(node) => self.follow_pods(&node),
            Order::Ask(job) => self.ask(job),
            Order::GiveUp(pod) => self.pod_requests.give_up(&pod),
            Order::Disconnect => self.disconnect(),
        }
    }

    fn tell(&mut self, fact: Fact) {
        self.reporters.tell(self.clock.read(), fact);
    }
}

impl Threads {
    fn check_credentials(&mut self) {
        let checked = self.client.server().check().and_then(|()| self.client.server().claims());
        let own = checked.map_err(|error| error.to_string()).map(Claims::own_pod);
        self.sender.send(News::Credentials(own));
    }

    /// A token that is bound to a pod tells the node; else the pod is read.
    fn find_node(&mut self) {
        let claims = self.client.server().claims().unwrap_or_default();
        if let Some(node) = claims.node {
            self.sender.send(News::NodeFound(Ok(node)));
            return;
        }
        let mut own = self.own_pod.clone();
        own.complete(claims.own_pod());
        let (Some(namespace), Some(name)) = (own.namespace, own.name) else {
            let why = "neither the settings nor the token tell the own pod: set NODE_NAME";
            self.sender.send(News::NodeFound(Err(why.to_owned())));
            return;
        };
        let request = request::find_pod(&namespace, &name);
        self.send(request, READ_TIMEOUT, self.requests.clone(), |request, came| {
            let reply = came.map_err(|error| error.to_string());
            News::NodeFound(reply.and_then(|reply| reply::node_of_pod(request, &reply)))
        });
    }

    fn ask_node(&mut self, name: Arc<str>, request: Request, timeout: Duration) {
        self.send(request, timeout, self.requests.clone(), move |request, came| {
            News::Node(match came {
                Ok(reply) => reply::node(&name, request, &reply),
                Err(error) => NodeAnswer::Failed(error.to_string()),
            })
        });
    }

    fn ask(&mut self, job: Job) {
        let metrics = self.reporters.metrics();
        let (sender, generation) = (self.sender.clone(), Some(self.generation));
        self.pod_requests.submit(job, move |job, answer| {
            if let Some(metrics) = metrics {
                metrics.pod_answered(job.ask, &answer);
            }
            let news = News::Answered { pod: job.pod, answer };
            sender.send_message(Message::News(generation, news));
        });
    }

    /// Does what is due for the watch, and says when more is.
    fn drive(&mut self) -> Option<Moment> {
        let (news, due) = self.follower.as_mut()?.drive(self.clock.read());
        self.pods.extend(news.into_iter().map(News::Pods));
        due
    }

    fn follow_pods(&mut self, node: &Arc<str>) {
        let (sender, generation) = (self.sender.clone(), self.generation);
        let send = move |event| sender.send_message(Message::Watch(generation, event));
        self.follower = Some(Follower::new(self.client.clone(), node, self.seed, send));
    }

    /// Gives up what this drain has asked for; nothing of it is reported any more.
    fn disconnect(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.follower = None;
        self.pods.clear();
        self.pod_requests.give_up_all();
        self.client.give_up(&std::mem::take(&mut self.requests));
    }

    /// Has a request carried out; what came is turned into news on the thread of the connections.
    fn send(
        &self,
        request: Request,
        timeout: Duration,
        cancel: Cancel,
        meaning: impl FnOnce(&Request, Result<Reply, Error>) -> News + Send + 'static,
    ) {
        let (sender, generation) = (self.sender.clone(), Some(self.generation));
        self.client.submit(request, timeout, cancel, move |request, came| {
            sender.send_message(Message::News(generation, meaning(request, came)));
        });
    }
}

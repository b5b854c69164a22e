//! The real world around the event loop: an inbox with a self-pipe that wakes its reader, the
//! clock, those who report, the workers and the watch. It decides nothing.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::clock::Clock;
use crate::drain::ask::{Answer, Job, PodRef};
use crate::drain::pod::OwnPod;
use crate::handler::inbox::Inbox;
use crate::handler::world::{News, Order, World};
use crate::kube::identity::Identity;
use crate::kube::reply::Reply;
use crate::kube::request::{Request, Verb};
use crate::kube::server::Server;
use crate::kube::token::Claims;
use crate::kube::trouble::Trouble;
use crate::kube::workers::{STACK, Task, Workers};
use crate::kube::{reply, request, watch};
use crate::moment::{Moment, Reading};
use crate::node::NodeAnswer;
use crate::report::Starter;
use crate::report::fact::Fact;
use crate::report::reporters::Reporters;

/// Threads, sockets, files.
pub struct Threads {
    clock: Clock,
    reporters: Reporters,
    server: Arc<Server>,
    own_pod: OwnPod,
    look: Look,
    seed: u64,
    workers: Workers,
    /// The watch is to be opened anew.
    watch_doubted: Arc<AtomicBool>,
    /// Counts the drains: what late threads of an earlier one say is dropped.
    generation: u32,
    sender: NewsSender,
    wake_reader: UnixStream,
    /// SIGTERM or SIGINT has come.
    signal: Arc<AtomicBool>,
}

/// How this program is started to look at the Node once.
pub struct Look {
    /// The arguments that this process was started with.
    pub arguments: Vec<OsString>,
}

impl Look {
    fn command(&self, node: &str) -> Command {
        let mut command = Command::new("/proc/self/exe");
        // The command that this process was started with is not that of the other.
        let own = self.arguments.iter().skip_while(|argument| *argument == "run");
        command.arg("look").args(own).args(["--node-name", node]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// News, and in which generation it was asked for; `None`: valid in any.
struct Message {
    generation: Option<u32>,
    news: News,
}

/// Sends news to the event loop and wakes it. Never waits: the inbox has no bound, and needs none,
/// for there is never more under way than workers and pods.
#[derive(Clone)]
pub struct NewsSender {
    inbox: Arc<Inbox<Message>>,
    wake_writer: Arc<UnixStream>,
}

/// The exit status of a process that has looked at the Node and found nothing of ours.
pub const UNMARKED: u8 = 0;

/// The same, and requests are made in the node's name.
pub const UNMARKED_AS_NODE: u8 = 2;

/// The same, and requests are made in the ServiceAccount's name.
pub const UNMARKED_AS_SERVICE_ACCOUNT: u8 = 3;

/// How long reading an object may take: nothing is in its way at the API server.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a change of the Node may take: an admission webhook has up to 30 s.
pub(super) const PATCH_TIMEOUT: Duration = Duration::from_secs(35);

impl Threads {
    /// Takes signals from now on; nothing else happens yet.
    ///
    /// # Errors
    /// The system gives no socket pair or no signal handler.
    pub fn new(
        clock: Clock,
        reporters: Reporters,
        server: Arc<Server>,
        workers: Workers,
        own_pod: OwnPod,
        look: Look,
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
        Ok(Self {
            clock,
            reporters,
            server,
            own_pod,
            look,
            seed,
            workers,
            watch_doubted: Arc::default(),
            generation: 0,
            sender,
            wake_reader,
            signal,
        })
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
        self.send_message(Message { generation: None, news });
    }

    fn send_message(&self, message: Message) {
        self.inbox.push(message);
        // It fails only if the pipe is full.
        let _ = (&*self.wake_writer).write(&[1]);
    }
}

impl World for Threads {
    fn read_clock(&self) -> Reading {
        self.clock.read()
    }

    fn wait(&mut self, until: Option<Moment>) -> Option<News> {
        loop {
            if self.signal.swap(false, Ordering::Relaxed) {
                return Some(News::Terminate);
            }
            if let Some(message) = self.sender.inbox.pop() {
                if message.generation.is_none_or(|generation| generation == self.generation) {
                    return Some(message.news);
                }
                continue;
            }
            let left = until.map(|until| self.clock.now().until(until));
            if left == Some(Duration::ZERO) {
                return None;
            }
            // Woken or not, the inbox is looked at again.
            let _ = self.wake_reader.set_read_timeout(left);
            let _ = self.wake_reader.read(&mut [0; 64]);
        }
    }

    fn free(&self) -> usize {
        self.workers.free()
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::CheckCredentials => self.check_credentials(),
            Order::FindNode => self.find_node(),
            Order::LookAtNode(name) => self.look_at_node(&name),
            Order::ReadNode(name) => {
                let request = request::read_node(&name);
                self.ask_node(name, request, READ_TIMEOUT);
            }
            Order::PatchNode(name, patch) => {
                let request = request::patch_node(&name, &patch);
                self.ask_node(name, request, PATCH_TIMEOUT);
            }
            Order::FollowPods(node) => self.follow_pods(&node),
            Order::ReopenWatch => self.watch_doubted.store(true, Ordering::Relaxed),
            Order::Ask(job) => self.ask(job),
            Order::GiveUp(pod) => self.workers.give_up(&pod),
            Order::Disconnect => {
                self.generation = self.generation.wrapping_add(1);
                self.workers.disconnect();
            }
        }
    }

    fn tell(&mut self, fact: Fact) {
        self.reporters.tell(self.clock.read(), fact);
    }
}

impl Threads {
    fn check_credentials(&mut self) {
        let checked = self.server.check().and_then(|()| self.server.claims());
        let own = checked.map_err(|trouble| trouble.to_string()).map(Claims::own_pod);
        self.sender.send(News::Credentials(own));
    }

    /// A token that is bound to a pod tells the node; else the pod is read.
    fn find_node(&mut self) {
        let claims = self.server.claims().unwrap_or_default();
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
        let asked = request.clone();
        self.send(request, READ_TIMEOUT, None, move |came| {
            let reply = came.map_err(|trouble| trouble.to_string());
            News::NodeFound(reply.and_then(|reply| reply::node_of_pod(&asked, &reply)))
        });
    }

    /// By a process of its own, which ends: TLS would map 600 kB of code into this one, and leave
    /// them there on every node. Measured: `VmRSS` 1240 kB instead of 1850 kB while idle.
    fn look_at_node(&mut self, name: &str) {
        let mut look = self.look.command(name);
        let (sender, shown) = (self.sender.clone(), self.reporters.shown().cloned());
        let server = Arc::clone(&self.server);
        let started =
            thread::Builder::new().name("look".to_owned()).stack_size(STACK).spawn(move || {
                let seen = look.status().ok().and_then(|status| status.code());
                let identity = match seen.and_then(|code| u8::try_from(code).ok()) {
                    Some(UNMARKED) => Some(None),
                    Some(UNMARKED_AS_NODE) => Some(Some(Identity::Node)),
                    Some(UNMARKED_AS_SERVICE_ACCOUNT) => Some(Some(Identity::ServiceAccount(None))),
                    Some(_) | None => None,
                };
                if let Some(shown) = shown.filter(|_| identity.is_some()) {
                    shown.exchanged(Verb::Get, Some(200));
                }
                let unmarked = identity.is_some();
                if let Some(identity) = identity.flatten() {
                    server.identified(identity);
                }
                sender.send(News::LookedAtNode { unmarked });
            });
        if started.is_err() {
            self.sender.send(News::LookedAtNode { unmarked: false });
        }
    }

    fn ask_node(&mut self, name: Arc<str>, request: Request, timeout: Duration) {
        let asked = request.clone();
        self.send(request, timeout, None, move |came| {
            News::Node(match came {
                Ok(reply) => reply::node(&name, &asked, &reply),
                Err(trouble) => NodeAnswer::Failed(trouble.to_string()),
            })
        });
    }

    fn ask(&mut self, job: Job) {
        let request = request::for_job(&job, self.clock.read().wall);
        let asked = request.clone();
        let (patience, metrics) = (job.patience, self.reporters.metrics());
        let about = Some(Arc::clone(&job.pod));
        self.send(request, patience, about, move |came| {
            let answer = match came {
                Ok(reply) => reply::answer(&job, &asked, &reply),
                Err(trouble) => Answer::Broken(trouble.to_string()),
            };
            if let Some(metrics) = metrics {
                metrics.pod_answered(job.ask, &answer);
            }
            News::Answered { pod: job.pod, answer }
        });
    }

    fn follow_pods(&mut self, node: &Arc<str>) {
        let (access, sender) = (self.workers.access(), self.sender.clone());
        self.watch_doubted = Arc::default();
        let doubted = Arc::clone(&self.watch_doubted);
        let (node, seed, generation) = (Arc::clone(node), self.seed, Some(self.generation));
        let started =
            thread::Builder::new().name("watch".to_owned()).stack_size(STACK).spawn(move || {
                watch::follow(&access, &node, seed, &doubted, |news| {
                    sender.send_message(Message { generation, news: News::Pods(news) });
                    ControlFlow::Continue(())
                });
            });
        if let Err(error) = started {
            let why = format!("no thread could be started for it: {error}");
            self.sender.send(News::NotFollowing { why });
        }
    }

    /// Has a request carried out; what came is turned into news on the worker's thread.
    fn send(
        &mut self,
        request: Request,
        patience: Duration,
        about: Option<Arc<PodRef>>,
        meaning: impl FnOnce(Result<Reply, Trouble>) -> News + Send + 'static,
    ) {
        let (sender, generation) = (self.sender.clone(), Some(self.generation));
        let done = Box::new(move |came| {
            sender.send_message(Message { generation, news: meaning(came) });
        });
        self.workers.submit(Task { request, patience, about, done });
    }
}

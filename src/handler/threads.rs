//! The real world around the spine: an inbox with a bell, the clock, the log, the workers and the
//! watch. It decides nothing.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::clock::Clock;
use crate::drain::ask::{Answer, Job};
use crate::drain::pod::OwnPod;
use crate::handler::world::{News, Order, World};
use crate::kube::reply::Reply;
use crate::kube::request::Request;
use crate::kube::server::Server;
use crate::kube::trouble::Trouble;
use crate::kube::workers::{STACK, Task, Workers};
use crate::kube::{reply, request, watch};
use crate::moment::{Moment, Reading};
use crate::node::NodeAnswer;
use crate::report::fact::Fact;
use crate::report::log::Log;

/// Threads, sockets, files.
pub struct Threads {
    clock: Clock,
    log: Log,
    server: Arc<Server>,
    own_pod: OwnPod,
    seed: u64,
    workers: Workers,
    /// Which drain's threads are listened to; what late ones of an earlier drain say is nobody's.
    shift: u32,
    inbox: Receiver<Letter>,
    door: Door,
    bell: UnixStream,
    /// SIGTERM or SIGINT has come.
    signal: Arc<AtomicBool>,
}

/// News, and for which drain; `None`: for any.
struct Letter {
    shift: Option<u32>,
    news: News,
}

/// Where news are left. Leaving them never waits: there is always less under way than workers and
/// pods.
#[derive(Clone)]
pub struct Door {
    letters: Sender<Letter>,
    bell: Arc<UnixStream>,
}

/// How long the log may take for its last lines.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long a request about the Node may take: the evictions wait for it no longer than a second.
const NODE_PATIENCE: Duration = Duration::from_secs(5);

impl Threads {
    /// Takes signals from now on; nothing else happens yet.
    ///
    /// # Errors
    /// The system gives no socket pair or no signal handler.
    pub fn new(
        clock: Clock,
        log: Log,
        server: Arc<Server>,
        workers: Workers,
        own_pod: OwnPod,
        seed: u64,
    ) -> io::Result<Self> {
        let (bell, rope) = UnixStream::pair()?;
        // A bell that was rung often enough need not be rung again.
        rope.set_nonblocking(true)?;
        let signal = Arc::new(AtomicBool::new(false));
        for number in [SIGTERM, SIGINT] {
            signal_hook::flag::register(number, Arc::clone(&signal))?;
            signal_hook::low_level::pipe::register(number, rope.try_clone()?)?;
        }
        let (letters, inbox) = mpsc::channel();
        let door = Door { letters, bell: Arc::new(rope) };
        Ok(Self { clock, log, server, own_pod, seed, workers, shift: 0, inbox, door, bell, signal })
    }

    /// Where the sources leave their news.
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// Gives the log time to write what it has, then leaves everything as it is: the process ends.
    pub fn finish(self) {
        self.log.finish(LAST_WORDS);
    }
}

impl Door {
    /// Leaves news; breaks if nobody takes them any more.
    pub fn leave(&self, news: News) -> ControlFlow<()> {
        self.put(Letter { shift: None, news })
    }

    fn put(&self, letter: Letter) -> ControlFlow<()> {
        if self.letters.send(letter).is_err() {
            return ControlFlow::Break(());
        }
        // It fails only if it was rung so often that it is heard anyway.
        let _ = (&*self.bell).write(&[1]);
        ControlFlow::Continue(())
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
            if let Ok(letter) = self.inbox.try_recv() {
                if letter.shift.is_none_or(|shift| shift == self.shift) {
                    return Some(letter.news);
                }
                continue;
            }
            let left = until.map(|until| self.clock.now().until(until));
            if left == Some(Duration::ZERO) {
                return None;
            }
            // Rung or not, the inbox is looked at again.
            let _ = self.bell.set_read_timeout(left);
            let _ = self.bell.read(&mut [0; 64]);
        }
    }

    fn free(&self) -> usize {
        self.workers.free()
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::CheckCredentials => self.check_credentials(),
            Order::FindNode => self.find_node(),
            Order::ReadNode(name) => {
                let request = request::read_node(&name);
                let asked = request.clone();
                self.send(request, NODE_PATIENCE, move |came| {
                    News::Node(node_answer(came, |reply| reply::node(&name, &asked, reply)))
                });
            }
            Order::PatchNode(name, patch) => {
                let request = request::patch_node(&name, &patch);
                let asked = request.clone();
                self.send(request, NODE_PATIENCE, move |came| {
                    News::Node(node_answer(came, |reply| reply::node(&name, &asked, reply)))
                });
            }
            Order::FollowPods(node) => self.follow_pods(&node),
            Order::Ask(job) => self.ask(job),
            Order::Rest => {
                self.shift = self.shift.wrapping_add(1);
                self.workers.rest();
            }
        }
    }

    fn tell(&mut self, fact: Fact) {
        self.log.tell(self.clock.read().wall, fact);
    }
}

impl Threads {
    fn check_credentials(&mut self) {
        let checked = self.server.check().and_then(|()| self.server.claims());
        let own = checked.map_err(|trouble| trouble.to_string()).map(|claims| OwnPod {
            namespace: claims.namespace,
            name: claims.pod,
            uid: claims.uid,
        });
        let _ = self.door.leave(News::Credentials(own));
    }

    /// A token that is bound to a pod tells the node; else the pod is read.
    fn find_node(&mut self) {
        let claims = self.server.claims().unwrap_or_default();
        if let Some(node) = claims.node {
            let _ = self.door.leave(News::NodeFound(Ok(node)));
            return;
        }
        let mut own = self.own_pod.clone();
        own.complete(OwnPod { namespace: claims.namespace, name: claims.pod, uid: claims.uid });
        let (Some(namespace), Some(name)) = (own.namespace, own.name) else {
            let why = "neither the settings nor the token tell the own pod: set NODE_NAME";
            let _ = self.door.leave(News::NodeFound(Err(why.to_owned())));
            return;
        };
        let request = request::find_pod(&namespace, &name);
        let asked = request.clone();
        self.send(request, NODE_PATIENCE, move |came| {
            let reply = came.map_err(|trouble| trouble.to_string());
            News::NodeFound(reply.and_then(|reply| reply::node_of_pod(&asked, &reply)))
        });
    }

    fn ask(&mut self, job: Job) {
        let request = request::for_job(&job, self.clock.read().wall);
        let asked = request.clone();
        let patience = job.patience;
        self.send(request, patience, move |came| {
            let answer = match came {
                Ok(reply) => reply::answer(&job, &asked, &reply),
                Err(trouble) => Answer::Broken(trouble.to_string()),
            };
            News::Answered { pod: job.pod, answer }
        });
    }

    fn follow_pods(&mut self, node: &Arc<str>) {
        let (access, door) = (self.workers.access(), self.door.clone());
        let (node, seed, shift) = (Arc::clone(node), self.seed, Some(self.shift));
        let started =
            thread::Builder::new().name("watch".to_owned()).stack_size(STACK).spawn(move || {
                watch::follow(&access, &node, seed, |news| {
                    door.put(Letter { shift, news: News::Pods(news) })
                });
            });
        if let Err(error) = started {
            let why = format!("no thread could be started for it: {error}");
            let _ = self.door.leave(News::NotFollowing { why });
        }
    }

    /// Has a request carried out; what came is turned into news on the worker's thread.
    fn send(
        &mut self,
        request: Request,
        patience: Duration,
        meaning: impl FnOnce(Result<Reply, Trouble>) -> News + Send + 'static,
    ) {
        let (door, shift) = (self.door.clone(), Some(self.shift));
        let done = Box::new(move |came| {
            let _ = door.put(Letter { shift, news: meaning(came) });
        });
        self.workers.submit(Task { request, patience, done });
    }
}

fn node_answer(
    came: Result<Reply, Trouble>,
    meaning: impl FnOnce(&Reply) -> NodeAnswer,
) -> NodeAnswer {
    match came {
        Ok(reply) => meaning(&reply),
        Err(trouble) => NodeAnswer::Failed(trouble.to_string()),
    }
}

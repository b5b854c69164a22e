//! The world a handler lives in: a metadata service, an API server with a node and pods.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::child::{Handler, Launch, PATIENCE};
use serde_json::{Value, json};
use simulator::{ApiServer, Class, Endpoint, Entry, Happening, Metadata, Node, Pod};

/// The node.
pub(crate) const NODE: &str = "ip-10-0-1-17";

/// The annotation in which the handler remembers what it did.
pub(crate) const NOTE: &str = "k8s-spot-handler/state";

/// A notice that far ahead leaves time for everything; a drain ends when nothing is left.
pub(crate) const FAR: Duration = Duration::from_mins(2);

/// Metadata service and API server.
pub(crate) struct Stage {
    pub(crate) cloud: Metadata,
    pub(crate) cluster: ApiServer,
}

impl Stage {
    /// With these pods on the node.
    pub(crate) fn with(pods: impl IntoIterator<Item = Pod>) -> Self {
        Self::of(ApiServer::start(Node::named(NODE)).unwrap(), pods)
    }

    /// With this node.
    pub(crate) fn on(node: Node, pods: impl IntoIterator<Item = Pod>) -> Self {
        Self::of(ApiServer::start(node).unwrap(), pods)
    }

    /// With API server and metadata service at this address.
    pub(crate) fn at(address: IpAddr, pods: impl IntoIterator<Item = Pod>) -> Self {
        let cluster = ApiServer::start_at(address, Node::named(NODE)).unwrap();
        cluster.add_pods(pods);
        Self { cloud: Metadata::start_at(address).unwrap(), cluster }
    }

    fn of(cluster: ApiServer, pods: impl IntoIterator<Item = Pod>) -> Self {
        cluster.add_pods(pods);
        Self { cloud: Metadata::start().unwrap(), cluster }
    }

    /// A handler for it, to be started.
    pub(crate) fn handler(&self) -> Launch<'_> {
        let environment = self.cluster.environment();
        let environment =
            environment.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
        Launch::on(self, environment.collect()).with("INSTANCE_METADATA_URL", self.cloud.url())
    }

    /// Starts a handler with nothing special, and waits until it polls and has read the Node.
    pub(crate) fn start(&self) -> Handler<'_> {
        self.started(self.handler())
    }

    /// Starts this one, and waits until it polls and has read the Node.
    pub(crate) fn started<'a>(&self, launch: Launch<'a>) -> Handler<'a> {
        let (polls, reads) = (self.polls(), self.asked(Class::NodeGet).len());
        let handler = launch.start();
        self.polled_on(polls, 1);
        self.answers(Class::NodeGet, reads + 1);
        handler
    }

    /// Announces the end, and starts a handler with nothing special: it drains at once.
    pub(crate) fn drain(&self, ahead: Duration) -> Handler<'_> {
        self.cloud.announce_in(ahead);
        self.handler().start()
    }

    /// How often the interruption was asked for.
    pub(crate) fn polls(&self) -> usize {
        self.cloud.journal().count(Endpoint::InstanceAction)
    }

    /// Waits until it was asked for so many times more than `before`.
    pub(crate) fn polled_on(&self, before: usize, more: usize) {
        self.polled(Endpoint::InstanceAction, before + more);
    }

    /// Waits until so many polls of this path were answered.
    pub(crate) fn polled(&self, endpoint: Endpoint, times: usize) {
        let asked = self.cloud.journal().wait_until(PATIENCE, |entries| {
            let polls = entries.iter().filter(|entry| entry.kind == endpoint);
            polls.filter(|entry| entry.answered.is_some()).count() >= times
        });
        assert!(asked, "it does not poll {endpoint:?}");
    }

    /// Waits until this path was asked for so many times more from now on.
    pub(crate) fn polled_more(&self, endpoint: Endpoint, more: usize) {
        self.polled(endpoint, self.cloud.journal().count(endpoint) + more);
    }

    /// Waits until the pods that are there are these.
    pub(crate) fn left(&self, pods: &[&str]) {
        let mut wanted: Vec<_> = pods.iter().map(ToString::to_string).collect();
        wanted.sort();
        let became = self.cluster.wait_until(PATIENCE, |cluster| {
            let mut there = cluster.pods();
            there.sort();
            there == wanted
        });
        assert!(became, "there are {:?}, not {wanted:?}", self.cluster.pods());
    }

    /// Waits until this has come to pass.
    pub(crate) fn happens(&self, wanted: impl Fn(&Happening) -> bool) {
        let happened = |cluster: &ApiServer| cluster.happened().iter().any(|one| wanted(&one.what));
        assert!(self.cluster.wait_until(PATIENCE, happened), "{:#?}", self.cluster.happened());
    }

    /// When this first came to pass, on the journal's clock.
    pub(crate) fn when(&self, wanted: impl Fn(&Happening) -> bool) -> Duration {
        let happened = self.cluster.happened();
        let first = happened.iter().find(|one| wanted(&one.what));
        first.unwrap_or_else(|| panic!("it is not in {happened:#?}")).at
    }

    /// What the handler remembers on the Node; `None`: nothing.
    pub(crate) fn note(&self) -> Option<Value> {
        let text = self.cluster.node()["metadata"]["annotations"][NOTE].as_str()?.to_owned();
        Some(serde_json::from_str(&text).unwrap())
    }

    /// Waits until the Node is as it was `before`: nothing of the handler is left there.
    pub(crate) fn gives_back(&self, before: &Value) {
        let before = bare(before);
        let is_back = |cluster: &ApiServer| bare(&cluster.node()) == before;
        assert!(self.cluster.wait_until(PATIENCE, is_back), "{:#}", self.cluster.node());
    }

    /// Waits until the node is cordoned.
    pub(crate) fn cordons(&self) {
        assert!(self.cluster.wait_until(PATIENCE, ApiServer::is_cordoned), "it does not cordon");
    }

    /// Requests of one kind to the API server.
    pub(crate) fn asked(&self, class: Class) -> Vec<Entry<Class>> {
        self.cluster.journal().of(class)
    }

    /// Waits until so many requests of this kind were answered, in whatever way.
    pub(crate) fn answers(&self, class: Class, times: usize) {
        let answered = self.cluster.journal().wait_until(PATIENCE, |entries| {
            let of_class = entries.iter().filter(|entry| entry.kind == class);
            of_class.filter(|entry| entry.answered.is_some()).count() >= times
        });
        assert!(answered, "not {times} × {class:?}:\n{}", self.cluster.journal());
    }

    /// Waits until requests of this kind have come so many times.
    pub(crate) fn asks(&self, class: Class, times: usize) {
        let asked = self.cluster.journal().wait_until(PATIENCE, |entries| {
            entries.iter().filter(|entry| entry.kind == class).count() >= times
        });
        assert!(asked, "not {times} × {class:?}:\n{}", self.cluster.journal());
    }
}

/// What a handler does at the API server that has nothing to do: it reads the Node once, when it
/// starts, to learn what an earlier process has left there.
pub(crate) fn has_only_read_the_node(cluster: &ApiServer) {
    let journal = cluster.journal();
    assert!(journal.len() == 1 && journal.count(Class::NodeGet) == 1, "{journal}");
}

/// What of a Node is set by whoever wants something of it.
fn bare(node: &Value) -> Value {
    json!([node["metadata"]["labels"], node["metadata"]["annotations"], node["spec"]])
}

/// A pod of a ReplicaSet that stops at once.
pub(crate) fn quick(name: &str) -> Pod {
    Pod::named(name).replica_set("web").stops_in(Duration::from_millis(50))
}

/// So many of them: `default/web-0` and so on.
pub(crate) fn quick_pods(count: usize) -> Vec<Pod> {
    names(count).iter().map(|name| quick(name)).collect()
}

/// Their names.
pub(crate) fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("default/web-{number}")).collect()
}

/// A time as EC2 writes it, so far ahead.
pub(crate) fn time_in(ahead: Duration) -> String {
    Metadata::timestamp(SystemTime::now() + ahead)
}

/// A time as EC2 writes it, so long ago.
pub(crate) fn time_ago(past: Duration) -> String {
    Metadata::timestamp(SystemTime::now() - past)
}

/// Plays every case at the same time, each in a thread of its own: they mostly wait. A case that
/// fails is named.
pub(crate) fn at_once<T: Sync>(cases: &[(&str, T)], play: impl Fn(&T) + Sync) {
    let failed: Vec<&str> = thread::scope(|scope| {
        let play = &play;
        let started = cases.iter().map(|(name, case)| {
            let run = move || catch_unwind(AssertUnwindSafe(|| play(case))).is_err();
            (*name, scope.spawn(run))
        });
        let started: Vec<_> = started.collect();
        started
            .into_iter()
            .filter_map(|(name, thread)| thread.join().unwrap().then_some(name))
            .collect()
    });
    assert!(failed.is_empty(), "these failed: {failed:?}");
}

/// Listens on a port that no other test gets, also after it is given back: below those that the system
/// gives to whoever names none.
pub(crate) fn own_port() -> TcpListener {
    static PORTS: AtomicU64 = AtomicU64::new(0);
    let first = u64::from(process::id()) * 97;
    loop {
        let number = first + PORTS.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(20_000 + number % 10_000).unwrap();
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener;
        }
    }
}

/// A folder of its own, gone when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("handler-{}-{number}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The path of a file in it, there or not.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Puts a file in it, in one step.
    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let (draft, file) = (self.file("draft"), self.file(name));
        fs::write(&draft, content).unwrap();
        fs::rename(draft, &file).unwrap();
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left lies in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The content of a file.
pub(crate) fn content(file: &Path) -> Vec<u8> {
    fs::read(file).unwrap()
}

/// What no handler may ever send, whatever happens.
pub(crate) fn check_laws(cluster: &ApiServer) {
    let journal = cluster.journal();
    for entry in journal.of(Class::Evict).iter().chain(&journal.of(Class::Delete)) {
        let body = entry.json();
        let options = if entry.kind == Class::Evict { &body["deleteOptions"] } else { &body };
        assert!(options["preconditions"]["uid"].is_string(), "without the pod's UID: {entry}");
        assert!(options["gracePeriodSeconds"].as_u64() >= Some(1), "without a grace: {entry}");
    }
    for patch in journal.of(Class::NodePatch) {
        let version = &patch.json()["metadata"]["resourceVersion"];
        assert!(version.is_string(), "without what it was read as: {patch}");
    }
    let happened: Vec<_> = cluster.happened().into_iter().map(|one| one.what).collect();
    for (index, what) in happened.iter().enumerate() {
        let Happening::Deleted { pod, .. } = what else { continue };
        let before = &happened[..index];
        let refused =
            |one: &Happening| matches!(one, Happening::Refused { pod: other, .. } if other == pod);
        assert!(before.iter().any(refused), "{pod} was deleted and no budget had refused it");
    }
    check_one_at_a_time(&journal.entries());
}

/// Never two requests about a pod at the same time, as far as they had an answer: when a client
/// gave up is not seen at once.
fn check_one_at_a_time(entries: &[Entry<Class>]) {
    let answered: Vec<_> = entries.iter().filter(|entry| entry.code.is_some()).collect();
    for (index, entry) in answered.iter().enumerate() {
        let Some(pod) = &entry.pod else { continue };
        let same = answered[..index].iter().filter(|other| other.pod.as_ref() == Some(pod));
        for other in same {
            assert!(other.answered <= Some(entry.at), "at the same time: {other} and {entry}");
        }
    }
}

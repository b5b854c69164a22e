//! A stand-in for a Kubernetes API server with one Node, over TLS on loopback.

mod budget;
mod class;
mod credentials;
mod discovery;
mod fields;
mod happening;
mod node;
mod patch;
mod pod;
mod reading;
mod refusal;
mod removal;
mod selector;
mod service;
mod store;
mod watching;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

pub use budget::Budget;
pub use class::Class;
pub use happening::{Happened, Happening};
pub use node::Node;
pub use pod::{HANDLER_POD, HANDLER_POD_UID, Pod};
pub use reading::WatchList;

use crate::fault::{Disturbance, Failing, Faults};
use crate::http::{Framing, Server, Service};
use crate::journal::Journal;
use crate::lock;
use crate::tls::Identity;
use credentials::Credentials;
use service::{Api, Manners};
use store::{Key, Line, Store};

/// An API server on a port of its own, with one Node and its pods, their
/// kubelet and their budgets. Dropping it stops it.
pub struct ApiServer {
    server: Server,
    api: Arc<Api>,
    ended: Arc<AtomicBool>,
    kubelet: Option<JoinHandle<()>>,
}

impl ApiServer {
    /// Starts one on 127.0.0.1 with this Node and without pods.
    ///
    /// # Errors
    /// No port, thread or folder for temporary files could be had.
    pub fn start(node: Node) -> io::Result<Self> {
        Self::start_at(IpAddr::V4(Ipv4Addr::LOCALHOST), node)
    }

    /// Starts one on this loopback address, as IPv6's.
    ///
    /// # Errors
    /// As [`ApiServer::start`].
    pub fn start_at(address: IpAddr, node: Node) -> io::Result<Self> {
        let identity = Identity::generate()?;
        let journal = Journal::new();
        let credentials = Credentials::create(&identity.authority, node.name())?;
        let api = Arc::new(Api {
            store: Mutex::new(Store::new(node, journal.started())),
            changed: Condvar::new(),
            faults: Faults::default(),
            journal,
            credentials,
            forbidden: Mutex::default(),
            manners: Mutex::new(Manners::default()),
        });
        let service = Arc::clone(&api) as Arc<dyn Service>;
        let server = Server::start(SocketAddr::new(address, 0), service, Some(identity.config))?;
        let ended = Arc::new(AtomicBool::new(false));
        let kubelet = thread::Builder::new().name("kubelet".to_owned()).spawn({
            let (api, ended) = (Arc::clone(&api), Arc::clone(&ended));
            move || run_kubelet(&api, &ended)
        })?;
        Ok(Self { server, api, ended, kubelet: Some(kubelet) })
    }

    // How to reach it.

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What a handler on the Node needs in its environment to find the server,
    /// its credentials and its Node.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("KUBERNETES_SERVICE_HOST", self.address().ip().to_string()),
            ("KUBERNETES_SERVICE_PORT", self.address().port().to_string()),
            ("TOKEN_FILE", self.token_file().display().to_string()),
            ("CA_FILE", self.authority_file().display().to_string()),
            ("NODE_NAME", lock(&self.api.store).node_name().to_owned()),
        ]
    }

    /// The file with the token.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.api.credentials.token_file()
    }

    /// The file with the authority's certificate.
    #[must_use]
    pub fn authority_file(&self) -> PathBuf {
        self.api.credentials.authority_file()
    }

    /// The newest token.
    #[must_use]
    pub fn token(&self) -> String {
        self.api.credentials.token()
    }

    // What it holds.

    /// Adds a pod; its UID. One of the same name goes at once, as another pod.
    pub fn add_pod(&self, pod: Pod) -> String {
        self.change(|store| store.add(pod))
    }

    /// Adds several pods.
    pub fn add_pods(&self, pods: impl IntoIterator<Item = Pod>) {
        for pod in pods {
            self.add_pod(pod);
        }
    }

    /// Takes a pod, `namespace/name`, away at once, as if somebody else had
    /// removed it.
    pub fn remove_pod(&self, name: &str) {
        self.change(|store| store.remove(&key(name), true));
    }

    /// Puts a budget over pods.
    pub fn add_budget(&self, budget: Budget) {
        self.change(|store| store.budgets.push(budget));
    }

    /// Takes a budget, `namespace/name`, away.
    pub fn remove_budget(&self, name: &str) {
        let (namespace, name) = key(name);
        self.change(|store| {
            store.budgets.retain(|budget| budget.namespace != namespace || budget.name != name);
        });
    }

    /// Makes the replacements of all pods that went ready now.
    pub fn finish_replacements(&self) {
        let now = Instant::now();
        self.change(|store| store.budgets.iter_mut().for_each(|budget| budget.hasten(now)));
    }

    /// The pod as it is now, if it is there.
    #[must_use]
    pub fn pod(&self, name: &str) -> Option<Value> {
        lock(&self.api.store).pods.get(&key(name)).map(|held| held.object.clone())
    }

    /// The names, `namespace/name`, of the pods that are there.
    #[must_use]
    pub fn pods(&self) -> Vec<String> {
        let store = lock(&self.api.store);
        store.pods.keys().map(|(namespace, name)| format!("{namespace}/{name}")).collect()
    }

    /// The Node as it is now.
    #[must_use]
    pub fn node(&self) -> Value {
        lock(&self.api.store).node.clone()
    }

    /// Whether the Node is cordoned now.
    #[must_use]
    pub fn is_cordoned(&self) -> bool {
        self.node()["spec"]["unschedulable"] == true
    }

    /// Changes the Node, as if somebody else did.
    pub fn change_node(&self, change: impl FnOnce(&mut Value)) {
        self.change(|store| store.interfere(change));
    }

    /// Changes the Node just before the next PATCH of it is looked at, so that
    /// the PATCH comes with a stale resourceVersion. Several wait their turn.
    pub fn before_next_node_patch(&self, change: impl FnOnce(&mut Value) + Send + 'static) {
        self.change(|store| store.interferences.push_back(Box::new(change)));
    }

    /// The namespace is being terminated: evictions in it are forbidden.
    pub fn terminate_namespace(&self, name: &str) {
        self.change(|store| store.terminating_namespaces.insert(name.to_owned()));
    }

    /// The namespace exists again.
    pub fn restore_namespace(&self, name: &str) {
        self.change(|store| store.terminating_namespaces.remove(name));
    }

    /// Forgets the changes up to now: watches from an older resourceVersion
    /// get a 410.
    pub fn compact(&self) {
        self.change(Store::compact);
    }

    // How it behaves.

    /// Makes requests of this class fail: see [`Failing`].
    pub fn fail(&self, class: Class) -> Failing<'_, Class> {
        Failing::new(&self.api.faults, class)
    }

    /// Disturbs the watches that are open now.
    pub fn disturb_watches(&self, disturbance: Disturbance) {
        self.change(|store| store.lines.push(Line::Disturbed(disturbance)));
    }

    /// Hears so many requests more. Every other one has its connection cut,
    /// does nothing, and is not written down.
    pub fn hear_only(&self, more: usize) {
        lock(&self.api.manners).hears = Some(more);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.api.faults.clear();
        lock(&self.api.manners).hears = None;
        self.server.be_silent(false);
    }

    /// Takes the right for requests of this class: 403.
    pub fn forbid(&self, class: Class) {
        lock(&self.api.forbidden).insert(class);
    }

    /// Gives the right back.
    pub fn allow(&self, class: Class) {
        lock(&self.api.forbidden).remove(&class);
    }

    /// Issues a new token into the file, and accepts only that from now on.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn rotate_token(&self) -> io::Result<()> {
        self.api.credentials.revoke();
        self.api.credentials.issue()
    }

    /// Presents a certificate of a new authority to new connections. The authority in PEM; the file stays as it is.
    ///
    /// # Errors
    /// No certificate could be made.
    pub fn renew_authority(&self) -> io::Result<String> {
        let identity = Identity::generate()?;
        self.server.present(identity.config);
        Ok(identity.authority)
    }

    /// Accepts this text as a token beside those it issued: one without claims,
    /// say. The file stays as it is.
    pub fn accept_token(&self, token: &str) {
        self.api.credentials.accept(token);
    }

    /// Accepts none of the tokens issued so far, and leaves the file as it is.
    pub fn revoke_tokens(&self) {
        self.api.credentials.revoke();
    }

    /// What becomes of `sendInitialEvents`.
    pub fn watch_list(&self, watch_list: WatchList) {
        lock(&self.api.manners).watch_list = watch_list;
    }

    /// How the ends of bodies are told. Watches are always chunked.
    pub fn framing(&self, framing: Framing) {
        lock(&self.api.manners).framing = framing;
    }

    /// How long each answer takes.
    pub fn latency(&self, time: Duration) {
        lock(&self.api.manners).latency = time;
    }

    /// Lets its answers tell another time: that of a clock so far ahead of the
    /// machine's, or behind.
    pub fn set_clock_ahead(&self, by: time::Duration) {
        lock(&self.api.manners).clock_ahead = by;
    }

    /// Whether each answer ends its connection.
    pub fn close_after_each_answer(&self, close: bool) {
        lock(&self.api.manners).closes_after_each = close;
    }

    /// Becomes a black hole: connections are accepted, and nothing is said.
    pub fn become_silent(&self) {
        self.server.be_silent(true);
    }

    /// Cuts all connections that are open now.
    pub fn cut_connections(&self) {
        self.server.cut_connections();
    }

    /// Stops: connections are cut and refused. Pods go on stopping.
    pub fn stop(&self) {
        self.server.stop();
    }

    /// Starts again on the same port after [`ApiServer::stop`].
    ///
    /// # Errors
    /// The port has been taken meanwhile.
    pub fn start_again(&self) -> io::Result<()> {
        self.server.start_again()
    }

    // What it saw.

    /// What was asked and answered.
    #[must_use]
    pub fn journal(&self) -> Journal<Class> {
        self.api.journal.clone()
    }

    /// What came to pass so far.
    #[must_use]
    pub fn happened(&self) -> Vec<Happened> {
        lock(&self.api.store).happened.clone()
    }

    /// What came to pass with one pod, `namespace/name`.
    #[must_use]
    pub fn happened_to(&self, name: &str) -> Vec<Happening> {
        let all = self.happened().into_iter().map(|happened| happened.what);
        all.filter(|what| what.pod() == Some(name)).collect()
    }

    /// What comes to pass from now on, as it does.
    #[must_use]
    pub fn follow(&self) -> Receiver<Happened> {
        let (sender, receiver) = channel();
        lock(&self.api.store).observers.push(sender);
        receiver
    }

    /// Waits until the cluster is as wished, at most that long. Whether it
    /// became so.
    #[must_use]
    pub fn wait_until(&self, at_most: Duration, wished: impl Fn(&Self) -> bool) -> bool {
        let end = Instant::now() + at_most;
        loop {
            // The wish looks for itself, so the store is not held meanwhile; a
            // change that slips in between is seen at the next glance.
            if wished(self) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            drop(self.pause(left.min(Duration::from_millis(20))));
        }
    }

    /// The most connections that were open at the same time.
    #[must_use]
    pub fn most_connections(&self) -> usize {
        self.server.most_connections()
    }

    /// The connections that are open now.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.server.open_connections()
    }

    /// How many connections were ever made.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.server.connections()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let result = change(&mut lock(&self.api.store));
        self.api.changed.notify_all();
        result
    }

    fn pause(&self, at_most: Duration) -> MutexGuard<'_, Store> {
        let store = lock(&self.api.store);
        match self.api.changed.wait_timeout(store, at_most) {
            Ok((store, _)) => store,
            Err(poisoned) => poisoned.into_inner().0,
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.server.stop();
        self.ended.store(true, Ordering::SeqCst);
        self.api.changed.notify_all();
        if let Some(kubelet) = self.kubelet.take() {
            // It only fails by a panic, and that has been printed.
            let _ = kubelet.join();
        }
    }
}

/// Lets pods leave and replacements come when their time is up.
fn run_kubelet(api: &Api, ended: &AtomicBool) {
    let mut store = lock(&api.store);
    while !ended.load(Ordering::SeqCst) {
        let before = (store.lines.len(), store.happened.len());
        let next = store.advance(Instant::now());
        if before != (store.lines.len(), store.happened.len()) {
            api.changed.notify_all();
        }
        // Looks up now and then, in case the end came unheard.
        let rest = next.map_or(Duration::from_millis(200), |at| {
            at.saturating_duration_since(Instant::now()).min(Duration::from_millis(200))
        });
        store = match api.changed.wait_timeout(store, rest) {
            Ok((store, _)) => store,
            Err(poisoned) => poisoned.into_inner().0,
        };
    }
}

fn key(name: &str) -> Key {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    (namespace.to_owned(), name.to_owned())
}

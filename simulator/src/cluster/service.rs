//! One request from its arrival to its answer: who asks, whether they may,
//! what goes wrong, what is done.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use time::{Duration as SignedDuration, OffsetDateTime};

use super::class::{Class, Route};
use super::credentials::{Credentials, USER};
use super::discovery::discover;
use super::reading::WatchList;
use super::refusal::Refusal;
use super::store::{Key, Store};
use super::watching::Sending;
use crate::fault::{Disturbance, Fault, Faults, Wording};
use crate::http::{After, Framing, Request, Response, Service, Wire};
use crate::journal::{Journal, Line};
use crate::lock;
use crate::metadata::Metadata;

/// The API server behind its port.
pub(super) struct Api {
    pub(super) store: Mutex<Store>,
    /// Told of every change of the store.
    pub(super) changed: Condvar,
    pub(super) faults: Faults<Class>,
    pub(super) journal: Journal<Class>,
    pub(super) credentials: Credentials,
    pub(super) forbidden: Mutex<BTreeSet<Class>>,
    pub(super) manners: Mutex<Manners>,
}

/// How the server behaves, apart from what it holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manners {
    pub(super) watch_list: WatchList,
    pub(super) framing: Framing,
    pub(super) latency: Duration,
    /// How far its clock, as its answers tell it, is ahead of the machine's.
    pub(super) clock_ahead: SignedDuration,
    pub(super) closes_after_each: bool,
    /// How many requests it hears yet; `None`: all.
    pub(super) hears: Option<usize>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            watch_list: WatchList::default(),
            framing: Framing::default(),
            latency: Duration::ZERO,
            clock_ahead: SignedDuration::ZERO,
            closes_after_each: false,
            hears: None,
        }
    }
}

impl Service for Api {
    fn answer(&self, request: Request, wire: &mut Wire) -> io::Result<After> {
        if !self.hears() {
            return Ok(After::Cut);
        }
        let route = Route::of(&request);
        let pod = route.pod();
        let line = self.journal.open(route.class, pod.clone(), wire.number, &request);
        let manners = *lock(&self.manners);
        if !manners.latency.is_zero() {
            thread::sleep(manners.latency);
        }
        if let Err(refusal) = self.admit(&route, &request) {
            return self.send(&line, &refusal.response(), manners, wire);
        }
        let fault = self.faults.due(route.class, pod.as_deref());
        if let Some(fault) = &fault
            && !fault.is_carried_out()
        {
            return self.fail(&line, fault, None, manners, wire);
        }
        if route.class == Class::Watch {
            return self.watch(&line, &route, &request, fault, manners, wire);
        }
        let right = self.carry_out(&route, &request).unwrap_or_else(|refusal| refusal.response());
        match fault {
            Some(fault) => self.fail(&line, &fault, Some(right), manners, wire),
            None => self.send(&line, &right, manners, wire),
        }
    }
}

impl Wording for Api {
    fn error(code: u16, message: &str) -> Response {
        Refusal::new(code, message).response()
    }
}

impl Api {
    fn hears(&self) -> bool {
        match &mut lock(&self.manners).hears {
            None => true,
            Some(0) => false,
            Some(more) => {
                *more -= 1;
                true
            }
        }
    }

    fn admit(&self, route: &Route, request: &Request) -> Result<(), Refusal> {
        if !self.credentials.accepts(request.header("authorization")) {
            return Err(Refusal::new(401, "Unauthorized"));
        }
        if lock(&self.forbidden).contains(&route.class) {
            return Err(forbidden(route));
        }
        Ok(())
    }

    fn carry_out(&self, route: &Route, request: &Request) -> Result<Response, Refusal> {
        let mut store = lock(&self.store);
        let answer = match (route.class, &route.namespace, &route.name) {
            (Class::NodeGet | Class::NodePatch, _, Some(name)) if *name != store.node_name() => {
                Err(Refusal::not_found("nodes", name))
            }
            (Class::NodeGet, ..) => Ok(Response::json(200, &store.node)),
            (Class::NodePatch, ..) => store.patch_node(request),
            (Class::Review, ..) => Ok(Response::json(201, &self.review(request))),
            (Class::List, namespace, _) => store.list(namespace.as_deref(), request),
            (Class::PodGet, Some(namespace), Some(name)) => {
                let key: Key = (namespace.clone(), name.clone());
                let held = store.pods.get(&key);
                held.map(|held| Response::json(200, &held.object))
                    .ok_or_else(|| Refusal::not_found("pods", name))
            }
            (class, Some(namespace), Some(name)) => {
                let key: Key = (namespace.clone(), name.clone());
                match class {
                    Class::Evict => store.evict(&key, request),
                    Class::Delete => store.delete(&key, request),
                    Class::Status => store.patch_status(&key, request),
                    _ => discover(request),
                }
            }
            _ => discover(request),
        };
        drop(store);
        self.changed.notify_all();
        answer
    }

    /// What is not forbidden is allowed, in whosever name.
    fn review(&self, request: &Request) -> Value {
        let mut review: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let asked = review["spec"]["resourceAttributes"].clone();
        let text = |key: &str| asked[key].as_str().unwrap_or_default().to_owned();
        let verb = text("verb");
        let verb = verb.rsplit(':').next().unwrap_or_default();
        let (mut resource, part) = (text("resource"), text("subresource"));
        if !part.is_empty() {
            resource = format!("{resource}/{part}");
        }
        let is_asked = |class: &Class| class.verb_and_resource() == (verb, resource.as_str());
        let allowed = !lock(&self.forbidden).iter().any(is_asked);
        review["status"] = json!({ "allowed": allowed });
        review
    }

    fn watch(
        &self,
        line: &Line,
        route: &Route,
        request: &Request,
        fault: Option<Fault>,
        manners: Manners,
        wire: &mut Wire,
    ) -> io::Result<After> {
        let begun =
            lock(&self.store).watch(route.namespace.as_deref(), request, manners.watch_list);
        let watcher = match begun {
            Ok(watcher) => watcher,
            Err(refusal) => return self.send(line, &refusal.response(), manners, wire),
        };
        if let Some(Fault::Slow(time)) = fault {
            thread::sleep(time);
        }
        if fault == Some(Fault::AnswerLost) {
            self.journal.close(line, None);
            return Ok(After::Cut);
        }
        self.journal.close(line, Some(200));
        let disturbance = fault.and_then(disturbance);
        let lasts = request
            .parameter("timeoutSeconds")
            .and_then(|text| text.parse().ok())
            .map(Duration::from_secs);
        Sending::new(self, watcher, disturbance, lasts).run(wire)
    }

    fn send(
        &self,
        line: &Line,
        response: &Response,
        manners: Manners,
        wire: &mut Wire,
    ) -> io::Result<After> {
        // Written down first: the client may be quick with its next request.
        self.journal.close(line, Some(response.code));
        let date = date(OffsetDateTime::now_utc() + manners.clock_ahead);
        let response = response.clone().with_header("Date", date);
        response.write(wire, manners.framing, manners.closes_after_each)?;
        Ok(if manners.closes_after_each { After::Cut } else { After::Keep })
    }

    fn fail(
        &self,
        line: &Line,
        fault: &Fault,
        right: Option<Response>,
        manners: Manners,
        wire: &mut Wire,
    ) -> io::Result<After> {
        match fault {
            // These are answered when the client has had its wait.
            Fault::Hang => {
                let after = fault.send::<Self>(right, manners.framing, wire);
                self.journal.close(line, None);
                after
            }
            Fault::Slow(time) => {
                thread::sleep(*time);
                match right {
                    Some(response) => self.send(line, &response, manners, wire),
                    None => Ok(After::Cut),
                }
            }
            _ => {
                let code = match fault {
                    Fault::AnswerLost => None,
                    _ => fault.code().or(right.as_ref().map(|response| response.code)),
                };
                self.journal.close(line, code);
                fault.send::<Self>(right, manners.framing, wire)
            }
        }
    }
}

/// What a fault of an answer is within a watch, which is well begun.
fn disturbance(fault: Fault) -> Option<(usize, Disturbance)> {
    match fault {
        Fault::Watch(after, what) => Some((after, what)),
        Fault::CutInBody => Some((1, Disturbance::CutLine)),
        Fault::NotUtf8 => Some((1, Disturbance::Bytes(b"\xff\xfe\n".to_vec()))),
        _ => None,
    }
}

/// As HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(time: OffsetDateTime) -> String {
    let day: String = time.weekday().to_string().chars().take(3).collect();
    format!("{day}, {:0>24}", Metadata::date(time.into()))
}

fn forbidden(route: &Route) -> Refusal {
    let (verb, resource) = route.class.verb_and_resource();
    let kind = resource.split('/').next().unwrap_or(resource);
    let object = route.name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
    let scope = match &route.namespace {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let message = format!(
        "{kind}{object} is forbidden: User \"{USER}\" cannot {verb} resource \"{resource}\" in API \
         group \"\" {scope}"
    );
    Refusal::new(403, message).about(kind, route.name.as_deref().unwrap_or_default())
}

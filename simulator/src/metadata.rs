//! A stand-in for the EC2 instance metadata service: plain HTTP on loopback.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::fault::{Failing, Fault, Faults, Wording};
use crate::http::{After, Framing, Request, Response, Server, Service, Wire};
use crate::journal::Journal;
use crate::lock;

/// Where the interruption stands, below `/latest/meta-data/`.
const INSTANCE_ACTION: &str = "spot/instance-action";
/// Where its time stands for programs of old, below `/latest/meta-data/`.
const TERMINATION_TIME: &str = "spot/termination-time";
/// Where the recommendation to leave stands, below `/latest/meta-data/`.
const REBALANCE: &str = "events/recommendations/rebalance";
/// Where planned maintenance stands, below `/latest/meta-data/`.
const SCHEDULED: &str = "events/maintenance/scheduled";
/// Where maintenance that is over stands, below `/latest/meta-data/`.
const HISTORY: &str = "events/maintenance/history";
/// Where the wish of an Auto Scaling group stands, below `/latest/meta-data/`.
const LIFECYCLE_STATE: &str = "autoscaling/target-lifecycle-state";

/// The kinds of requests the metadata service gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// `PUT /latest/api/token`.
    Token,
    /// `spot/instance-action`.
    InstanceAction,
    /// `spot/termination-time`.
    TerminationTime,
    /// `events/recommendations/rebalance`.
    Rebalance,
    /// `events/maintenance/scheduled`.
    Scheduled,
    /// `events/maintenance/history`.
    History,
    /// `autoscaling/target-lifecycle-state`.
    LifecycleState,
    /// Anything else.
    Other,
}

/// Which of the two versions the service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Only requests with a valid token are served (`HttpTokens: required`).
    V2Only,
    /// Requests without a token are served too; a bad token is still a 401.
    Both,
    /// No tokens: the PUT gets this code (404 or 405), everything else is
    /// served.
    V1Only(u16),
}

/// A metadata service on a port of its own. Dropping it stops it.
pub struct Metadata {
    server: Server,
    service: Arc<Imds>,
}

struct Imds {
    state: Mutex<State>,
    faults: Faults<Endpoint>,
    journal: Journal<Endpoint>,
}

struct State {
    version: Version,
    documents: BTreeMap<String, Vec<u8>>,
    tokens: BTreeMap<String, Instant>,
    issued: u64,
}

impl Metadata {
    /// Starts one on 127.0.0.1 without a notice, speaking [`Version::V2Only`].
    ///
    /// # Errors
    /// No port or no thread could be had.
    pub fn start() -> io::Result<Self> {
        Self::start_at(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// Starts one on this loopback address, as IPv6's.
    ///
    /// # Errors
    /// As [`Metadata::start`].
    pub fn start_at(address: IpAddr) -> io::Result<Self> {
        let service = Arc::new(Imds {
            state: Mutex::new(State {
                version: Version::V2Only,
                documents: instance_documents(),
                tokens: BTreeMap::new(),
                issued: 0,
            }),
            faults: Faults::default(),
            journal: Journal::new(),
        });
        let address = SocketAddr::new(address, 0);
        let server = Server::start(address, Arc::clone(&service) as Arc<dyn Service>, None)?;
        Ok(Self { server, service })
    }

    /// Its address as the handler's `INSTANCE_METADATA_URL` wants it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Announces an interruption: `spot/instance-action` with this action and
    /// time, and `spot/termination-time` if the action is `terminate`. The
    /// time is taken word for word.
    pub fn announce(&self, action: &str, time: &str) {
        let document = serde_json::json!({ "action": action, "time": time });
        let mut state = lock(&self.service.state);
        state.documents.insert(INSTANCE_ACTION.to_owned(), document.to_string().into_bytes());
        if action == "terminate" {
            state.documents.insert(TERMINATION_TIME.to_owned(), time.as_bytes().to_vec());
        }
    }

    /// Announces the instance's end in that time (whole seconds, as EC2 gives
    /// them, rounded up). The moment announced.
    pub fn announce_in(&self, time: Duration) -> SystemTime {
        let moment = OffsetDateTime::from(SystemTime::now() + time);
        let second = match moment.nanosecond() {
            0 => moment,
            part => moment + Duration::from_nanos(1_000_000_000 - u64::from(part)),
        };
        self.announce("terminate", &Self::timestamp(second.into()));
        second.into()
    }

    /// Takes the announcement of an interruption back: 404 again.
    pub fn clear(&self) {
        let mut state = lock(&self.service.state);
        state.documents.remove(INSTANCE_ACTION);
        state.documents.remove(TERMINATION_TIME);
    }

    /// Recommends to leave: `events/recommendations/rebalance` with this time,
    /// word for word. EC2 is not known to take that back.
    pub fn recommend_rebalance(&self, time: &str) {
        self.set(REBALANCE, serde_json::json!({ "noticeTime": time }).to_string());
    }

    /// Plans maintenance: these and no other events stand in
    /// `events/maintenance/scheduled`. See [`Metadata::event`].
    pub fn schedule(&self, events: &[Value]) {
        self.set(SCHEDULED, list(events));
    }

    /// Has these and no other events in `events/maintenance/history`: what is
    /// active is called completed there, as EC2 does it.
    pub fn history(&self, events: &[Value]) {
        let mut events = events.to_vec();
        for event in events.iter_mut().filter(|event| event["State"] == "active") {
            let description = event["Description"].as_str().unwrap_or_default();
            event["Description"] = format!("[Completed] {description}").into();
            event["State"] = "completed".into();
        }
        self.set(HISTORY, list(&events));
    }

    /// An event as EC2 writes it, active, two hours long. Its keys may be
    /// changed before it is planned: `event["State"] = "canceled".into()`.
    #[must_use]
    pub fn event(code: &str, id: &str, not_before: SystemTime) -> Value {
        serde_json::json!({
            "NotBefore": Self::date(not_before),
            "Code": code,
            "Description": format!("The instance is scheduled for {code}"),
            "EventId": id,
            "NotAfter": Self::date(not_before + Duration::from_hours(2)),
            "State": "active",
        })
    }

    /// A time as EC2 writes it for maintenance: `21 Jan 2019 09:00:43 GMT`, a
    /// part of a second left out.
    #[must_use]
    pub fn date(time: SystemTime) -> String {
        let time = OffsetDateTime::from(time);
        let month: String = time.month().to_string().chars().take(3).collect();
        let (day, year) = (time.day(), time.year());
        let (hour, minute, second) = time.to_hms();
        format!("{day} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
    }

    /// A time as EC2 writes it for interruptions: `2017-09-18T08:22:00Z`, a part
    /// of a second left out.
    #[must_use]
    pub fn timestamp(time: SystemTime) -> String {
        let time = OffsetDateTime::from(time);
        let second = time.replace_nanosecond(0).unwrap_or(time);
        // Only years beyond 9999 have no such form.
        second.format(&Rfc3339).unwrap_or_default()
    }

    /// What an Auto Scaling group wants of the instance, in
    /// `autoscaling/target-lifecycle-state`: `InService`, `Terminated`, …
    /// Without this the instance is in no group: 404.
    pub fn target_lifecycle_state(&self, state: &str) {
        self.set(LIFECYCLE_STATE, state);
    }

    /// Puts a document below `/latest/meta-data/`, byte for byte.
    pub fn set(&self, path: &str, document: impl Into<Vec<u8>>) {
        lock(&self.service.state).documents.insert(path.to_owned(), document.into());
    }

    /// Takes a document away: 404.
    pub fn remove(&self, path: &str) {
        lock(&self.service.state).documents.remove(path);
    }

    /// Makes all tokens handed out so far worthless: 401.
    pub fn expire_tokens(&self) {
        lock(&self.service.state).tokens.clear();
    }

    /// Speaks that version from now on.
    pub fn speak(&self, version: Version) {
        lock(&self.service.state).version = version;
    }

    /// Makes requests of this kind fail: see [`Failing`].
    pub fn fail(&self, kind: Endpoint) -> Failing<'_, Endpoint> {
        Failing::new(&self.service.faults, kind)
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.service.faults.clear();
        self.server.be_silent(false);
    }

    /// Becomes a black hole: connections are accepted, and nothing is said.
    pub fn become_silent(&self) {
        self.server.be_silent(true);
    }

    /// What was asked and answered.
    #[must_use]
    pub fn journal(&self) -> Journal<Endpoint> {
        self.service.journal.clone()
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

    /// Stops: connections are cut and refused.
    pub fn stop(&self) {
        self.server.stop();
    }

    /// Starts again on the same port after [`Metadata::stop`].
    ///
    /// # Errors
    /// The port has been taken meanwhile.
    pub fn start_again(&self) -> io::Result<()> {
        self.server.start_again()
    }
}

impl Service for Imds {
    fn answer(&self, request: Request, wire: &mut Wire) -> io::Result<After> {
        let kind = Endpoint::of(&request);
        let line = self.journal.open(kind, None, wire.number, &request);
        let fault = self.faults.due(kind, None);

        let right = fault
            .as_ref()
            .is_none_or(Fault::is_carried_out)
            .then(|| lock(&self.state).respond(&request));
        let code = match (&fault, &right) {
            (Some(Fault::AnswerLost), _) => None,
            (Some(fault), None) => fault.code(),
            (_, right) => right.as_ref().map(|response| response.code),
        };
        let hangs = matches!(fault, Some(Fault::Hang | Fault::Slow(_)));
        if !hangs {
            self.journal.close(&line, code);
        }
        let after = match (fault, right) {
            (Some(fault), right) => fault.send::<Self>(right, Framing::Length, wire),
            (None, Some(response)) => {
                response.write(wire, Framing::Length, false).map(|()| After::Keep)
            }
            (None, None) => Ok(After::Cut),
        };
        if hangs {
            self.journal.close(&line, code);
        }
        after
    }
}

impl Wording for Imds {
    fn error(code: u16, message: &str) -> Response {
        let page = format!(
            "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<html>\n <head>\n  <title>{code} - \
             {message}</title>\n </head>\n <body>\n  <h1>{code} - {message}</h1>\n </body>\n</html>\n"
        );
        Response::new(code, "text/html", page)
    }
}

impl fmt::Display for Endpoint {
    /// The path, below `/latest/meta-data/` where it is there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "/latest/api/token",
            Self::InstanceAction => INSTANCE_ACTION,
            Self::TerminationTime => TERMINATION_TIME,
            Self::Rebalance => REBALANCE,
            Self::Scheduled => SCHEDULED,
            Self::History => HISTORY,
            Self::LifecycleState => LIFECYCLE_STATE,
            Self::Other => "another path",
        })
    }
}

impl Endpoint {
    fn of(request: &Request) -> Self {
        if request.path == "/latest/api/token" {
            return Self::Token;
        }
        match request.path.strip_prefix("/latest/meta-data/") {
            Some(INSTANCE_ACTION) => Self::InstanceAction,
            Some(TERMINATION_TIME) => Self::TerminationTime,
            Some(REBALANCE) => Self::Rebalance,
            Some(SCHEDULED) => Self::Scheduled,
            Some(HISTORY) => Self::History,
            Some(LIFECYCLE_STATE) => Self::LifecycleState,
            _ => Self::Other,
        }
    }
}

impl State {
    fn respond(&mut self, request: &Request) -> Response {
        if request.path == "/latest/api/token" {
            return self.issue_token(request);
        }
        if request.method != "GET" {
            return Imds::error(405, "Method Not Allowed");
        }
        if !self.admits(request) {
            return Imds::error(401, "Unauthorized");
        }
        let document = match request.path.strip_prefix("/latest/") {
            Some(path) => path
                .strip_prefix("meta-data/")
                .map(str::to_owned)
                .or_else(|| path.starts_with("dynamic/").then(|| path.to_owned()))
                .and_then(|path| self.documents.get(&path)),
            None => None,
        };
        match document {
            Some(document) => Response::new(200, "text/plain", document.as_slice()),
            None => Imds::error(404, "Not Found"),
        }
    }

    fn issue_token(&mut self, request: &Request) -> Response {
        if let Version::V1Only(code) = self.version {
            return Imds::error(code, "Not offered");
        }
        if request.method != "PUT" {
            return Imds::error(405, "Method Not Allowed");
        }
        if request.header("x-forwarded-for").is_some() {
            return Imds::error(403, "Forbidden");
        }
        let seconds = request
            .header("x-aws-ec2-metadata-token-ttl-seconds")
            .and_then(|text| text.parse().ok())
            .filter(|seconds| (1..=21600).contains(seconds));
        let Some(seconds) = seconds else {
            return Imds::error(400, "Bad Request");
        };
        self.issued += 1;
        let token = format!("AQAEAsimulator-token-{:04}==", self.issued);
        self.tokens.insert(token.clone(), Instant::now() + Duration::from_secs(seconds));
        Response::new(200, "text/plain", token)
            .with_header("X-aws-ec2-metadata-token-ttl-seconds", seconds.to_string())
    }

    fn admits(&self, request: &Request) -> bool {
        match (self.version, request.header("x-aws-ec2-metadata-token")) {
            (Version::V1Only(_), _) | (Version::Both, None) => true,
            (Version::V2Only, None) => false,
            (_, Some(token)) => self.tokens.get(token).is_some_and(|end| Instant::now() < *end),
        }
    }
}

/// Indented as EC2 does it.
fn list(events: &[Value]) -> String {
    format!("{:#}", Value::from(events))
}

/// What every spot instance has, notice or not.
fn instance_documents() -> BTreeMap<String, Vec<u8>> {
    let identity = r#"{
  "accountId" : "123456789012",
  "architecture" : "x86_64",
  "availabilityZone" : "eu-central-1a",
  "instanceId" : "i-0123456789abcdef0",
  "instanceType" : "m7i.large",
  "privateIp" : "10.0.1.17",
  "region" : "eu-central-1"
}"#;
    [
        ("ami-id", "ami-0123456789abcdef0"),
        (HISTORY, "[]"),
        (SCHEDULED, "[]"),
        ("instance-id", "i-0123456789abcdef0"),
        ("instance-life-cycle", "spot"),
        ("instance-type", "m7i.large"),
        ("local-hostname", "ip-10-0-1-17.eu-central-1.compute.internal"),
        ("local-ipv4", "10.0.1.17"),
        ("placement/availability-zone", "eu-central-1a"),
        ("placement/region", "eu-central-1"),
        ("dynamic/instance-identity/document", identity),
    ]
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .into()
}

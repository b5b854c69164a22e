//! What can go wrong between a program and a server, and when it does.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use hyper::Response;
use serde_json::json;
use tokio::time::Instant;

use super::{Course, Passing, Rules};
use crate::lock;

/// One way in which it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed, and further ones are refused.
    Refuse,
    /// The connection is reset, and further ones as they open.
    Reset,
    /// The connection stays open, and nothing comes through it any more; nor through further ones.
    Freeze,
    /// What comes on the connection is not what was sent, and on further ones.
    BrokenTls,
    /// The connection is closed, and further ones present a certificate of another authority.
    OtherCertificate,
    /// The request is not passed on, and not answered.
    HangBefore,
    /// The request is passed on, and not answered.
    HangAfter,
    /// The request is passed on, and the connection closed before its answer.
    CutHead,
    /// The connection is closed after so many bytes of the answer's body.
    CutBody(usize),
    /// The answer comes byte by byte, five a second.
    Trickle,
    /// The request is passed on, and the client sent away after its answer.
    Goaway,
    /// The stream is reset with `INTERNAL_ERROR`; the request is not passed on.
    StreamReset,
    /// The request is not passed on, and answered with this status.
    Answer {
        /// The status.
        code: u16,
        /// In seconds.
        retry_after: Option<u32>,
    },
    /// The watch ends after half a second, in good order.
    WatchEnds,
    /// The same with an event of type ERROR that holds a Status of code 410.
    WatchExpires,
    /// Each event comes twice.
    Doubled,
    /// The first set comes in another order.
    Reordered,
}

impl Fault {
    /// Whether it meets connections, not only a request.
    #[must_use]
    pub fn meets_connections(self) -> bool {
        matches!(
            self,
            Self::Refuse | Self::Reset | Self::Freeze | Self::BrokenTls | Self::OtherCertificate
        )
    }
}

/// How long it goes wrong, from the first request on that it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// For that request, or its connection and the next one.
    Once,
    /// For so long.
    For(Duration),
    /// To the end.
    ForEver,
}

/// Has every request that is `wanted` meet a fault, as long as it lasts, once it is armed.
pub struct Trouble {
    fault: Fault,
    lasting: Lasting,
    wanted: Box<dyn Fn(&Passing) -> bool + Send + Sync>,
    met: Mutex<Met>,
}

#[derive(Default)]
struct Met {
    armed: bool,
    began: Option<Instant>,
    requests: usize,
    connections: usize,
    over: bool,
}

impl Trouble {
    /// Not armed yet.
    pub fn new(
        fault: Fault,
        lasting: Lasting,
        wanted: impl Fn(&Passing) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { fault, lasting, wanted: Box::new(wanted), met: Mutex::default() }
    }

    /// From now on.
    pub fn arm(&self) {
        lock(&self.met).armed = true;
    }

    /// How many requests have met it.
    #[must_use]
    pub fn met(&self) -> usize {
        lock(&self.met).requests
    }

    /// It ends, whatever was meant.
    pub fn end(&self) {
        lock(&self.met).over = true;
    }

    fn lasts(&self, met: &Met) -> bool {
        met.armed
            && !met.over
            && match self.lasting {
                Lasting::Once => met.requests == 0,
                Lasting::For(time) => met.began.is_none_or(|began| began.elapsed() < time),
                Lasting::ForEver => true,
            }
    }
}

impl Rules for Trouble {
    fn course(&self, passing: &Passing) -> Course {
        let mut met = lock(&self.met);
        if !(self.wanted)(passing) || !self.lasts(&met) {
            return Course::Pass;
        }
        met.began.get_or_insert_with(Instant::now);
        met.requests += 1;
        Course::Fault(self.fault)
    }

    fn connecting(&self) -> Option<(Fault, Option<Instant>)> {
        let mut met = lock(&self.met);
        if !self.fault.meets_connections() || met.began.is_none() || met.over {
            return None;
        }
        match self.lasting {
            // A connection that froze is enough; and a while without a listener is a time of its own.
            Lasting::Once => {
                let again = !matches!(self.fault, Fault::Refuse | Fault::Freeze);
                met.connections += 1;
                (again && met.connections == 1).then_some((self.fault, None))
            }
            Lasting::For(_) => self.lasts(&met).then_some((self.fault, self.end_of(&met))),
            Lasting::ForEver => Some((self.fault, None)),
        }
    }

    fn until(&self) -> Option<Instant> {
        self.end_of(&lock(&self.met))
    }
}

impl Trouble {
    fn end_of(&self, met: &Met) -> Option<Instant> {
        match self.lasting {
            Lasting::For(time) => met.began.map(|began| began + time),
            Lasting::Once | Lasting::ForEver => None,
        }
    }
}

/// A watch that has expired, as the API server says it.
pub(super) const EXPIRED: &[u8] =
    b"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\",\
    \"metadata\":{},\"status\":\"Failure\",\"message\":\"too old resource version: 1 (2)\",\
    \"reason\":\"Expired\",\"code\":410}}\n";

/// An answer of the relay's own, and its body: in the API server's form, or a proxy's.
pub(super) fn answer(code: u16, retry_after: Option<u32>) -> Result<(Response<()>, String)> {
    let mut answer = Response::builder().status(code);
    if let Some(seconds) = retry_after {
        answer = answer.header("retry-after", seconds);
    }
    if code == 502 {
        let page = "<html><body><h1>502 Bad Gateway</h1></body></html>\n";
        return Ok((answer.header("content-type", "text/html").body(())?, page.to_owned()));
    }
    let (reason, message) = match code {
        401 => ("Unauthorized", "Unauthorized"),
        408 => ("Timeout", "the request timed out"),
        410 => ("Expired", "too old resource version: 1 (2)"),
        429 => ("TooManyRequests", "Too many requests, please try again later."),
        500 => ("InternalError", "etcdserver: leader changed"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        _ => ("Timeout", "Timeout: request did not complete within the allotted timeout"),
    };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    Ok((answer.header("content-type", "application/json").body(())?, body.to_string()))
}

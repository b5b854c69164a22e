//! Polls without a connection, for `fuzz/`.

use std::time::Duration;

use crate::http::error::{Cause, Party, Role};
use crate::moment::Moment;
use crate::notice::Polled;
use crate::source::Source;
use crate::source::http::{ImdsReply, ImdsRequest};
use crate::source::imds::ImdsClient;

/// What the metadata service answers to one request.
#[derive(Clone, Debug)]
pub struct FuzzedReply {
    /// The status.
    pub status: u16,
    /// The headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, of which only that with status 200 is read.
    pub body: Vec<u8>,
}

/// Polls every path of `source` so often, with a pause between. `answer` gets method and URL; `None`: no answer.
pub fn polls(
    source: &Source,
    rounds: u32,
    pause: Duration,
    mut answer: impl FnMut(&str) -> Option<FuzzedReply>,
) -> Vec<Polled> {
    let mut send = |request: &ImdsRequest| {
        let party = Party { role: Role::MetadataService, address: request.url.server().clone() };
        let came = answer(&request.to_string());
        let came = came.ok_or_else(|| Cause::TimedOut(Duration::from_secs(1)).with(&party))?;
        let FuzzedReply { status, headers, body } = came;
        let body = if status == 200 { body } else { Vec::new() };
        Ok(ImdsReply { status, headers, body: Ok(body) })
    };
    let mut client = ImdsClient::new(source.metadata_url.clone(), source.v1_fallback);
    let mut paths: Vec<_> = source.polled().collect();
    let mut all = Vec::new();
    for round in 0..rounds {
        let now = Moment::START + pause * round;
        all.extend(paths.iter_mut().map(|path| path.poll(&mut client, now, &mut send)));
    }
    all
}

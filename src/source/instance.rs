//! Reads what the metadata service knows of the instance: for messages, so that nothing of it is
//! worth an error, or a long wait.
//!
//! Source: EC2 user guide, "Instance metadata categories" and "Instance identity documents".

use miniserde::json::{self, Object};

use crate::clock::Clock;
use crate::excerpt::is_hidden;
use crate::instance::Instance;
use crate::moment::Moment;
use crate::source::aws::{FACTS, IDENTITY, string};
use crate::source::http::{self, SendFn};
use crate::source::imds::ImdsClient;
use crate::source::url::{MetadataUrl, NoticeUrl, Url};

/// Of each value at most so many bytes are kept. A name of DNS has 255 at most.
const LONGEST_VALUE: usize = 256;
/// After so many requests without any answer the metadata service is not asked again: each may have
/// taken seconds.
const MOST_UNANSWERED: usize = 2;

/// Where the facts about the instance stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceSource {
    /// The metadata service.
    pub metadata_url: MetadataUrl,
    /// Whether to ask without a token where none is offered (IMDSv1).
    pub v1_fallback: bool,
    /// Asked first for the availability zone, if given: `AZ_URL`.
    pub zone_url: Option<NoticeUrl>,
    /// Asked first for the instance's id, if given: `INSTANCE_ID_URL`.
    pub id_url: Option<NoticeUrl>,
    /// Asked first for the instance's type, if given: `INSTANCE_TYPE_URL`.
    pub type_url: Option<NoticeUrl>,
}

impl InstanceSource {
    /// All that can be read now: a dozen requests, usually milliseconds. Without an answer it
    /// takes some seconds at most, and the rest is left unknown.
    pub fn read(&self, clock: Clock) -> Instance {
        self.read_at(clock.now(), &mut http::send)
    }

    /// It takes no time that counts for a token.
    fn read_at(&self, now: Moment, send: &mut SendFn<'_>) -> Instance {
        let client = ImdsClient::new(self.metadata_url.clone(), self.v1_fallback);
        let mut reader = Reader { service: &self.metadata_url, client, now, send, unanswered: 0 };
        let document = reader.document();
        let zone = reader.at(self.zone_url.as_ref()).or_else(|| document.value("availabilityZone"));
        let id = reader.at(self.id_url.as_ref()).or_else(|| document.value("instanceId"));
        let kind = reader.at(self.type_url.as_ref()).or_else(|| document.value("instanceType"));
        Instance {
            account_id: document.value("accountId"),
            availability_zone: reader.known_or_at(zone, "placement/availability-zone"),
            region: reader.known_or_at(document.value("region"), "placement/region"),
            instance_id: reader.known_or_at(id, "instance-id"),
            instance_type: reader.known_or_at(kind, "instance-type"),
            life_cycle: reader.known_or_at(None, "instance-life-cycle"),
            local_hostname: reader.known_or_at(None, "local-hostname"),
            local_ip: reader.known_or_at(document.value("privateIp"), "local-ipv4"),
            public_hostname: reader.known_or_at(None, "public-hostname"),
            public_ip: reader.known_or_at(None, "public-ipv4"),
        }
    }
}

/// One reading of everything.
struct Reader<'a, 'b> {
    service: &'a MetadataUrl,
    client: ImdsClient,
    now: Moment,
    send: &'a mut SendFn<'b>,
    /// Requests to the metadata service to which nothing came.
    unanswered: usize,
}

impl Reader<'_, '_> {
    /// An empty one, if there is none that can be read.
    fn document(&mut self) -> IdentityDocument {
        let text = self.text(&self.service.at(IDENTITY));
        IdentityDocument(text.and_then(|text| json::from_str(&text).ok()).unwrap_or_default())
    }

    /// What is known; else what the metadata service says of this fact.
    fn known_or_at(&mut self, known: Option<String>, fact: &str) -> Option<String> {
        known.or_else(|| fit(&self.text(&self.service.at(&format!("{FACTS}{fact}")))?))
    }

    /// What stands where the operator says, if that is anywhere.
    fn at(&mut self, url: Option<&NoticeUrl>) -> Option<String> {
        url.and_then(|NoticeUrl(url)| fit(&self.text(url)?))
    }

    fn text(&mut self, url: &Url) -> Option<String> {
        let is_the_service = url.is_on(self.service);
        if is_the_service && self.unanswered >= MOST_UNANSWERED {
            return None;
        }
        match self.client.read(url, self.now, self.send) {
            Ok(body) => String::from_utf8(body?).ok(),
            Err(failure) => {
                self.unanswered += usize::from(is_the_service && failure.status().is_none());
                None
            }
        }
    }
}

/// The identity document. A key that is missing or of another type hides none of the others.
struct IdentityDocument(Object);

impl IdentityDocument {
    fn value(&self, key: &str) -> Option<String> {
        self.0.get(key).and_then(|value| fit(string(value)))
    }
}

/// A value as it may stand in a message: without white space around it, and cut to its limit.
/// `None` if nothing is left, something in it is not printable, or it is a web page.
fn fit(text: &str) -> Option<String> {
    let text = text.trim();
    let is_fit = !text.is_empty() && !text.starts_with('<') && !text.chars().any(is_hidden);
    let cut = text.get(..text.floor_char_boundary(LONGEST_VALUE))?;
    is_fit.then(|| cut.to_owned())
}

#[cfg(test)]
mod tests;

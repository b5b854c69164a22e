//! The rules of the instance metadata service: tokens, what a status means, and what went wrong in the operator's
//! words. No I/O: the exchange is an argument, and so is the time.
//!
//! Source: EC2 user guide, "Use the Instance Metadata Service to access instance metadata".

use std::fmt;
use std::time::Duration;

use ureq_proto::http::Method;

use crate::http::error::{Cause, Error};
use crate::moment::Moment;
use crate::source::aws::Unreadable;
use crate::source::http::{ImdsReply, ImdsRequest, SendFn};
use crate::source::url::{MetadataUrl, Url};

const TOKEN_PATH: &str = "/latest/api/token";
const LIFETIME_HEADER: &str = "X-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_HEADER: &str = "X-aws-ec2-metadata-token";
/// The longest that the service grants, in seconds.
const LONGEST_LIFETIME: u64 = 21_600;
/// Tokens have 56 characters today.
const LONGEST_TOKEN: usize = 1024;
/// After a renewal that failed while the old token still holds.
const RENEWAL_RETRY: Duration = Duration::from_mins(1);
/// How long IMDSv2 is not asked for where it was not offered. A service that is still starting may
/// have been the cause.
const FALLBACK_RETRY: Duration = Duration::from_mins(10);

/// Reads URLs, one after the other. Those on the metadata service share one token.
pub(super) struct ImdsClient {
    service: MetadataUrl,
    v1_fallback: bool,
    session: Session,
    /// The status that led to the first fallback.
    fell_back: Option<u16>,
}

/// How requests to the service show who sends them.
enum Session {
    /// The service has not been asked for a token, or refused the last one.
    Unopened,
    Token {
        token: SessionToken,
        renew_at: Moment,
        ends_at: Moment,
    },
    /// The service offers no tokens.
    WithoutToken {
        retry_at: Moment,
    },
}

impl ImdsClient {
    /// A client that shows tokens only to `service`. Without `v1_fallback` it never asks that
    /// without one.
    pub(super) fn new(service: MetadataUrl, v1_fallback: bool) -> Self {
        Self { service, v1_fallback, session: Session::Unopened, fell_back: None }
    }

    /// The body at `target`; `None` if it answers 404. At most four exchanges.
    pub(super) fn read(
        &mut self,
        target: &Url,
        now: Moment,
        send: &mut SendFn<'_>,
    ) -> Result<Option<Vec<u8>>, ImdsError> {
        if !target.is_on(&self.service) {
            let request = get(target, None);
            return body(send(&request), None).map_err(|cause| failed(&request, cause));
        }
        let mut request = self.request(target, now, send)?;
        let mut answer = send(&request);
        if matches!(&answer, Ok(reply) if reply.status == 401) {
            self.session = Session::Unopened;
            request = self.request(target, now, send)?;
            answer = send(&request);
        }
        body(answer, Some(&self.session)).map_err(|cause| failed(&request, cause))
    }

    /// The status of the token's request (404 or 405) after the first fallback to IMDSv1, once.
    pub(super) fn take_fallback(&mut self) -> Option<u16> {
        self.fell_back.take()
    }

    /// A request to the service, which is asked for a token first if one is due.
    fn request(
        &mut self,
        target: &Url,
        now: Moment,
        send: &mut SendFn<'_>,
    ) -> Result<ImdsRequest, ImdsError> {
        if self.session.is_due(now) {
            self.open(now, send)?;
        }
        Ok(get(target, self.session.token()))
    }

    /// Asks for a token. A failure counts only if there is no other way to go on.
    pub(super) fn open(&mut self, now: Moment, send: &mut SendFn<'_>) -> Result<(), ImdsError> {
        let header = Some((LIFETIME_HEADER, LONGEST_LIFETIME.to_string()));
        let request = ImdsRequest { method: Method::PUT, url: self.service.at(TOKEN_PATH), header };
        match (granted(send(&request)), &mut self.session) {
            (Ok((token, lifetime)), session) => {
                let (renew_at, ends_at) = (now + lifetime * 5 / 6, now + lifetime);
                *session = Session::Token { token, renew_at, ends_at };
            }
            (Err(_), Session::Token { renew_at, ends_at, .. }) if now < *ends_at => {
                *renew_at = now + RENEWAL_RETRY;
            }
            (Err(_), Session::WithoutToken { retry_at }) => *retry_at = now + FALLBACK_RETRY,
            (Err(ImdsCause::NoVersion2 { status }), session) if self.v1_fallback => {
                *session = Session::WithoutToken { retry_at: now + FALLBACK_RETRY };
                self.fell_back = Some(status);
            }
            (Err(cause), session) => {
                *session = Session::Unopened;
                return Err(failed(&request, cause));
            }
        }
        Ok(())
    }
}

impl Session {
    /// Whether a token is to be asked for before the next request.
    fn is_due(&self, now: Moment) -> bool {
        match self {
            Self::Unopened => true,
            Self::Token { renew_at, .. } => *renew_at <= now,
            Self::WithoutToken { retry_at } => *retry_at <= now,
        }
    }

    fn token(&self) -> Option<&SessionToken> {
        match self {
            Self::Token { token, .. } => Some(token),
            Self::Unopened | Self::WithoutToken { .. } => None,
        }
    }
}

fn get(target: &Url, token: Option<&SessionToken>) -> ImdsRequest {
    let header = token.map(|token| (TOKEN_HEADER, token.0.clone()));
    ImdsRequest { method: Method::GET, url: target.clone(), header }
}

fn failed(request: &ImdsRequest, cause: ImdsCause) -> ImdsError {
    ImdsError { asked: request.to_string(), cause: Box::new(cause) }
}

/// What opens the metadata service: a secret, and safe to stand in a header.
#[derive(Clone, PartialEq, Eq)]
struct SessionToken(String);

impl SessionToken {
    /// `None` if it is empty, too long, or holds anything but visible ASCII: a line break in it
    /// would write headers of its own.
    fn parse(body: &[u8]) -> Option<Self> {
        let text = str::from_utf8(body.trim_ascii()).ok()?;
        let is_token = (1..=LONGEST_TOKEN).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(…)")
    }
}

/// The token in the answer to its request, and how long it holds.
fn granted(answer: Result<ImdsReply, Error>) -> Result<(SessionToken, Duration), ImdsCause> {
    let reply = answer.map_err(|error| match error.cause {
        Cause::TimedOut(_) => ImdsCause::TokenTimedOut(error),
        _ => ImdsCause::NoAnswer(error),
    })?;
    match reply.status {
        200 => {}
        status @ (404 | 405) => return Err(ImdsCause::NoVersion2 { status }),
        _ => return Err(refusal(&reply, Some(&Session::Unopened))),
    }
    // The service says what it granted; more than was asked for is not believed.
    let lifetime = reply.number(&LIFETIME_HEADER.to_ascii_lowercase()).unwrap_or(LONGEST_LIFETIME);
    let lifetime = Duration::from_secs(lifetime.clamp(1, LONGEST_LIFETIME));
    let body = reply.body.map_err(ImdsCause::Incomplete)?;
    match SessionToken::parse(&body) {
        Some(token) => Ok((token, lifetime)),
        None => Err(ImdsCause::NoToken { length: body.len() }),
    }
}

/// The body in the answer to a GET; `session` is that with the service, if the service was asked.
fn body(
    answer: Result<ImdsReply, Error>,
    session: Option<&Session>,
) -> Result<Option<Vec<u8>>, ImdsCause> {
    let reply = answer.map_err(ImdsCause::NoAnswer)?;
    match reply.status {
        200 => reply.body.map(Some).map_err(ImdsCause::Incomplete),
        404 => Ok(None),
        _ => Err(refusal(&reply, session)),
    }
}

/// A status that neither request wants. Elsewhere than at the service, 401 and 403 have no meaning
/// of their own.
fn refusal(reply: &ImdsReply, session: Option<&Session>) -> ImdsCause {
    match (reply.status, session) {
        (status @ 300..=399, _) => ImdsCause::Redirect { status },
        (401, Some(Session::Token { .. })) => ImdsCause::Unauthorized,
        (403, Some(_)) => ImdsCause::Forbidden,
        (status, _) => ImdsCause::Status { status, length: reply.number("content-length") },
    }
}

/// A request that did not give what it was sent for. `Display` holds nothing that differs from poll to poll while
/// the cause stays, so that it can be logged once; and never a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ImdsError {
    /// Method and URL.
    pub(super) asked: String,
    pub(super) cause: Box<ImdsCause>,
}

/// What came instead of the answer that was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ImdsCause {
    NoAnswer(Error),
    TokenTimedOut(Error),
    /// No token, and the operator forbids to go on without one.
    NoVersion2 {
        /// 404 or 405.
        status: u16,
    },
    /// Status 200, and something that cannot be a token.
    NoToken {
        length: usize,
    },
    /// Status 401, also with a fresh token.
    Unauthorized,
    /// Status 403 from the metadata service.
    Forbidden,
    /// Status 3xx.
    Redirect {
        status: u16,
    },
    /// A status that this request does not have.
    Status {
        status: u16,
        /// What the header says of the body.
        length: Option<u64>,
    },
    /// Status 200, and a body that did not come whole.
    Incomplete(Error),
    /// Status 200, and a whole body that says nothing known.
    Unreadable {
        length: usize,
        why: Unreadable,
    },
}

impl ImdsError {
    /// The status that came, if one came.
    pub(super) fn status(&self) -> Option<u16> {
        match *self.cause {
            ImdsCause::NoAnswer(_) | ImdsCause::TokenTimedOut(_) => None,
            ImdsCause::NoVersion2 { status }
            | ImdsCause::Redirect { status }
            | ImdsCause::Status { status, .. } => Some(status),
            ImdsCause::NoToken { .. } | ImdsCause::Incomplete(_) | ImdsCause::Unreadable { .. } => {
                Some(200)
            }
            ImdsCause::Unauthorized => Some(401),
            ImdsCause::Forbidden => Some(403),
        }
    }

    /// What happened, and what to do about it.
    pub(super) fn with_remedy(&self) -> (String, &'static str) {
        match &*self.cause {
            ImdsCause::TokenTimedOut(error) => (format!("{}: {error}", self.asked), HOP_LIMIT),
            _ => (self.to_string(), NOT_EC2),
        }
    }
}

/// What to do where something is wrong with the metadata service itself.
const NOT_EC2: &str = "see that INSTANCE_METADATA_URL is the metadata service of EC2, that nothing \
    (iptables, a network policy, a proxy such as kiam) keeps this pod from it, and that it is switched on";

/// What a time-out of the token's request means.
const HOP_LIMIT: &str = "A token's answer passes as many network hops as the instance's hop limit says; \
    with the usual limit of 1 it never reaches a pod network. Give the pod hostNetwork: true, or raise the \
    limit: aws ec2 modify-instance-metadata-options --instance-id INSTANCE --http-put-response-hop-limit 2";

impl fmt::Display for ImdsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.asked)?;
        match &*self.cause {
            ImdsCause::NoAnswer(error) | ImdsCause::Incomplete(error) => write!(f, "{error}"),
            ImdsCause::TokenTimedOut(error) => write!(f, "{error}. {HOP_LIMIT}"),
            ImdsCause::NoVersion2 { status } => write!(
                f,
                "status {status}: IMDSv2 is not offered here, and IMDS_V1_FALLBACK=false forbids \
                 to ask without a token"
            ),
            ImdsCause::NoToken { length } => {
                write!(f, "status 200, {length} bytes that are no token")
            }
            ImdsCause::Unauthorized => write!(f, "status 401, also with a fresh token"),
            ImdsCause::Forbidden => write!(
                f,
                "status 403: the metadata service is switched off for this instance, or forbids \
                 this request. To switch it on: aws ec2 modify-instance-metadata-options \
                 --instance-id INSTANCE --http-endpoint enabled"
            ),
            ImdsCause::Redirect { status } => write!(
                f,
                "status {status}, a redirect. It is not followed: the setting must name the place \
                 itself"
            ),
            ImdsCause::Status { status, length: Some(length) } => {
                write!(f, "status {status}, {length} bytes")
            }
            ImdsCause::Status { status, length: None } => write!(f, "status {status}"),
            ImdsCause::Unreadable { length, why } => write!(f, "status 200, {length} bytes: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::source::stand_in::{error, timed_out};

    const TARGET: &str = "/latest/meta-data/spot/instance-action";
    const HOURS_5: Duration = Duration::from_hours(5);

    /// Answers in the order given, and notes what was asked: `PUT`, `GET`, `GET one` with a token.
    #[derive(Default)]
    struct Script {
        answers: VecDeque<Result<ImdsReply, Error>>,
        asked: Vec<String>,
    }

    impl Script {
        fn then(mut self, status: u16, body: &str) -> Self {
            self.answers.push_back(Ok(reply(status, body)));
            self
        }

        fn then_no_response(mut self, why: Error) -> Self {
            self.answers.push_back(Err(why));
            self
        }

        /// One read; what it gave, and what was asked for it.
        fn read(
            &mut self,
            client: &mut ImdsClient,
            seconds: u64,
        ) -> (Result<Option<Vec<u8>>, ImdsCause>, String) {
            self.read_at(&service().at(TARGET), client, seconds)
        }

        fn read_at(
            &mut self,
            target: &Url,
            client: &mut ImdsClient,
            seconds: u64,
        ) -> (Result<Option<Vec<u8>>, ImdsCause>, String) {
            let now = Moment::at(Duration::from_secs(seconds));
            self.asked.clear();
            let got = client.read(target, now, &mut |request| {
                self.asked.push(match (request.method.clone(), &request.header) {
                    (Method::PUT, Some((LIFETIME_HEADER, value))) if value == "21600" => {
                        "PUT".into()
                    }
                    (Method::GET, None) => "GET".into(),
                    (Method::GET, Some((TOKEN_HEADER, value))) => format!("GET {value}"),
                    _ => panic!("unexpected request {request}"),
                });
                self.answers.pop_front().expect("no more answers")
            });
            (got.map_err(|failure| *failure.cause), self.asked.join(", "))
        }
    }

    fn reply(status: u16, body: &str) -> ImdsReply {
        ImdsReply { status, headers: Vec::new(), body: Ok(body.into()) }
    }

    fn client(v1_fallback: bool) -> ImdsClient {
        ImdsClient::new(service(), v1_fallback)
    }

    fn service() -> MetadataUrl {
        MetadataUrl::parse("http://169.254.169.254").unwrap()
    }

    fn asked(text: &str) -> (Result<Option<Vec<u8>>, ImdsCause>, String) {
        (Ok(None), text.to_owned())
    }

    #[test]
    fn a_token_is_asked_for_once_and_renewed_before_it_ends() {
        let mut client = client(true);
        let mut script = Script::default()
            .then(200, "one\n")
            .then(404, "")
            .then(404, "")
            .then(200, "two")
            .then(404, "");
        assert_eq!(script.read(&mut client, 0), asked("PUT, GET one"));
        assert_eq!(script.read(&mut client, HOURS_5.as_secs() - 1), asked("GET one"));
        assert_eq!(script.read(&mut client, HOURS_5.as_secs()), asked("PUT, GET two"));
    }

    #[test]
    fn a_renewal_that_fails_leaves_the_old_token_until_its_end() {
        let mut client = client(true);
        let mut script = Script::default().then(200, "one").then(404, "");
        script.read(&mut client, 0).0.unwrap();

        script = script
            .then_no_response(timed_out())
            .then(404, "")
            .then(404, "")
            .then(405, "")
            .then(404, "");
        assert_eq!(script.read(&mut client, 18_000), asked("PUT, GET one"));
        assert_eq!(script.read(&mut client, 18_059), asked("GET one"));
        assert_eq!(script.read(&mut client, 18_060), asked("PUT, GET one"));

        script = script.then_no_response(timed_out());
        assert_eq!(
            script.read(&mut client, 21_600),
            (Err(ImdsCause::TokenTimedOut(timed_out())), "PUT".to_owned())
        );
        assert_eq!(client.take_fallback(), None);
    }

    #[test]
    fn a_shorter_lifetime_is_believed_a_longer_one_is_not() {
        for (header, last_use) in [("6", 4), ("99999999999", 17_999), ("0", 0), ("-1", 17_999)] {
            let mut granted = reply(200, "one");
            granted.headers.push((LIFETIME_HEADER.to_ascii_lowercase(), header.to_owned()));
            let mut script = Script { answers: [Ok(granted)].into(), ..Script::default() };
            script = script.then(404, "").then(404, "").then(200, "two").then(404, "");
            let mut client = client(true);
            script.read(&mut client, 0).0.unwrap();
            assert_eq!(script.read(&mut client, last_use), asked("GET one"), "{header}");
            assert_eq!(script.read(&mut client, last_use + 1), asked("PUT, GET two"), "{header}");
        }
    }

    #[test]
    fn a_401_brings_one_fresh_token_at_once() {
        let mut client = client(true);
        let mut script =
            Script::default().then(200, "one").then(401, "").then(200, "two").then(200, "page");
        let page = Ok(Some(b"page".to_vec()));
        assert_eq!(script.read(&mut client, 0), (page, "PUT, GET one, PUT, GET two".to_owned()));

        script = script.then(401, "").then(200, "three").then(401, "");
        let refused = (Err(ImdsCause::Unauthorized), "GET two, PUT, GET three".to_owned());
        assert_eq!(script.read(&mut client, 1), refused);

        script = script.then(401, "").then(500, "");
        let failed = Err(ImdsCause::Status { status: 500, length: None });
        assert_eq!(script.read(&mut client, 2), (failed, "GET three, PUT".to_owned()));
        script = script.then(200, "four").then(404, "");
        assert_eq!(script.read(&mut client, 3), asked("PUT, GET four"));
    }

    #[test]
    fn version_1_is_used_only_where_version_2_is_plainly_not_offered_and_told_once() {
        for status in [404, 405] {
            let mut client = client(true);
            let mut script = Script::default().then(status, "").then(404, "").then(404, "");
            assert_eq!(script.read(&mut client, 0), asked("PUT, GET"));
            assert_eq!(client.take_fallback(), Some(status));
            assert_eq!(script.read(&mut client, 599), asked("GET"));

            // It is tried again, whatever comes of that, and a 401 opens the way to tokens at once.
            script = script.then_no_response(timed_out()).then(404, "");
            assert_eq!(script.read(&mut client, 600), asked("PUT, GET"));
            script = script.then(401, "").then(200, "one").then(404, "");
            assert_eq!(script.read(&mut client, 601), asked("GET, PUT, GET one"));
            assert_eq!(client.take_fallback(), None);
        }
    }

    #[test]
    fn no_other_trouble_leads_to_version_1() {
        let refused = error(Cause::Unanswered("refused".to_owned()));
        let too_long = error(Cause::TooLong { status: Some(200), limit: 1 });
        let cases = [
            (Err(timed_out()), ImdsCause::TokenTimedOut(timed_out())),
            (Err(refused.clone()), ImdsCause::NoAnswer(refused)),
            (Ok(reply(400, "")), ImdsCause::Status { status: 400, length: None }),
            (Ok(reply(401, "")), ImdsCause::Status { status: 401, length: None }),
            (Ok(reply(403, "")), ImdsCause::Forbidden),
            (Ok(reply(302, "")), ImdsCause::Redirect { status: 302 }),
            (Ok(reply(503, "")), ImdsCause::Status { status: 503, length: None }),
            (Ok(reply(200, "")), ImdsCause::NoToken { length: 0 }),
            (
                Ok(ImdsReply { body: Err(too_long.clone()), ..reply(200, "") }),
                ImdsCause::Incomplete(too_long),
            ),
        ];
        for (answer, cause) in cases {
            let mut script = Script { answers: [answer].into(), ..Script::default() };
            let mut client = client(true);
            assert_eq!(script.read(&mut client, 0), (Err(cause), "PUT".to_owned()));
            assert_eq!(client.take_fallback(), None);
        }
    }

    #[test]
    fn the_setting_forbids_version_1() {
        let mut client = client(false);
        for seconds in 0..3 {
            let mut script = Script::default().then(405, "");
            let refused = (Err(ImdsCause::NoVersion2 { status: 405 }), "PUT".to_owned());
            assert_eq!(script.read(&mut client, seconds), refused);
        }
    }

    #[test]
    fn addresses_of_the_service_share_one_token_and_a_fresh_one() {
        let mut client = client(true);
        let other = service().at("/latest/meta-data/events/maintenance/scheduled");
        let mut script = Script::default().then(200, "one").then(404, "").then(404, "");
        assert_eq!(script.read(&mut client, 0), asked("PUT, GET one"));
        assert_eq!(script.read_at(&other, &mut client, 1), asked("GET one"));
        script = script.then(401, "").then(200, "two").then(404, "").then(404, "");
        assert_eq!(script.read_at(&other, &mut client, 2), asked("GET one, PUT, GET two"));
        assert_eq!(script.read(&mut client, 3), asked("GET two"));
    }

    #[test]
    fn another_server_never_gets_a_token_not_even_from_a_client_that_has_one() {
        let elsewhere = crate::source::url::NoticeUrl::parse("http://notices.example/").unwrap().0;
        let mut client = client(false);
        let mut script = Script::default().then(404, "").then(200, "one").then(404, "");
        assert_eq!(script.read_at(&elsewhere, &mut client, 0), asked("GET"));
        assert_eq!(script.read(&mut client, 0), asked("PUT, GET one"));
        script = script.then(404, "").then(401, "").then(403, "");
        assert_eq!(script.read_at(&elsewhere, &mut client, 0), asked("GET"));
        for status in [401, 403] {
            let refused = (Err(ImdsCause::Status { status, length: None }), "GET".to_owned());
            assert_eq!(script.read_at(&elsewhere, &mut client, 1), refused);
        }
        script = script.then(404, "");
        assert_eq!(script.read(&mut client, 1), asked("GET one"), "a 401 elsewhere is no matter");
    }

    #[test]
    fn a_token_is_visible_ascii_of_a_bounded_length() {
        let longest = "a".repeat(LONGEST_TOKEN);
        for good in ["AQAEAA==", "AQAEAA==\r\n", &longest] {
            assert!(SessionToken::parse(good.as_bytes()).is_some(), "{good:?}");
        }
        let too_long = "a".repeat(LONGEST_TOKEN + 1);
        for bad in ["", "\n", "a\r\nX-Other: b", "a b", "a\0", "ä", "\u{7f}", &too_long] {
            assert!(SessionToken::parse(bad.as_bytes()).is_none(), "{bad:?}");
        }
        assert!(SessionToken::parse(b"\xff").is_none());
        assert_eq!(format!("{:?}", SessionToken("secret".into())), "SessionToken(…)");
    }

    #[test]
    fn what_came_decides_what_a_body_is() {
        let cut = error(Cause::CutShort { status: Some(200), length: 3 });
        let cases = [
            (Ok(reply(200, "x")), Ok(Some(b"x".to_vec()))),
            (
                Ok(ImdsReply { body: Err(cut.clone()), ..reply(200, "") }),
                Err(ImdsCause::Incomplete(cut)),
            ),
            (Ok(reply(404, "")), Ok(None)),
            (Ok(reply(403, "")), Err(ImdsCause::Forbidden)),
            (Ok(reply(301, "")), Err(ImdsCause::Redirect { status: 301 })),
            (Ok(reply(204, "")), Err(ImdsCause::Status { status: 204, length: None })),
            (Ok(reply(40, "")), Err(ImdsCause::Status { status: 40, length: None })),
            (Err(timed_out()), Err(ImdsCause::NoAnswer(timed_out()))),
        ];
        for (answer, expected) in cases {
            assert_eq!(body(answer, Some(&Session::Unopened)), expected);
        }
    }
}

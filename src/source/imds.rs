//! The rules of the instance metadata service: tokens, and what a status means. No I/O: the
//! exchange is an argument, and so is the time.
//!
//! Source: EC2 user guide, "Use the Instance Metadata Service to access instance metadata".

use std::fmt;
use std::time::Duration;

use crate::moment::Moment;
use crate::source::failure::{Cause, Failure};
use crate::source::http::{Method, NoResponse, Reply, Request};
use crate::source::url::{Address, MetadataUrl};

const TOKEN_PATH: &str = "/latest/api/token";
const LIFETIME_HEADER: &str = "X-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_HEADER: &str = "X-aws-ec2-metadata-token";
/// The longest that the service grants, in seconds.
const LONGEST_LIFETIME: u64 = 21_600;
/// Tokens have 56 characters today.
const LONGEST_TOKEN: usize = 1024;
/// After a renewal that failed while the old token still holds.
const RENEWAL_RETRY: Duration = Duration::from_mins(1);
/// How long nobody asks for IMDSv2 where it was not offered. A service that is still starting may
/// have been the cause.
const FALLBACK_RETRY: Duration = Duration::from_mins(10);

/// Reads addresses, one after the other. Those on the metadata service share one token.
pub(super) struct Client {
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
        token: Token,
        renew_at: Moment,
        ends_at: Moment,
    },
    /// The service offers no tokens.
    WithoutToken {
        retry_at: Moment,
    },
}

impl Client {
    /// A client that shows tokens only to `service`. Without `v1_fallback` it never asks that
    /// without one.
    pub(super) fn new(service: MetadataUrl, v1_fallback: bool) -> Self {
        Self { service, v1_fallback, session: Session::Unopened, fell_back: None }
    }

    /// The body at `target`; `None` if it answers 404. At most four exchanges.
    pub(super) fn read(
        &mut self,
        target: &Address,
        now: Moment,
        send: &mut impl FnMut(&Request) -> Result<Reply, NoResponse>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        if !target.is_on(&self.service) {
            let request = get(target, None);
            return body(send(&request), None).map_err(|cause| failure(&request, cause));
        }
        let mut request = self.request(target, now, send)?;
        let mut answer = send(&request);
        if matches!(&answer, Ok(reply) if reply.status == 401) {
            self.session = Session::Unopened;
            request = self.request(target, now, send)?;
            answer = send(&request);
        }
        body(answer, Some(&self.session)).map_err(|cause| failure(&request, cause))
    }

    /// The status of the token's request (404 or 405) after the first fallback to IMDSv1, once.
    pub(super) fn take_fallback(&mut self) -> Option<u16> {
        self.fell_back.take()
    }

    /// A request to the service, which is asked for a token first if one is due.
    fn request(
        &mut self,
        target: &Address,
        now: Moment,
        send: &mut impl FnMut(&Request) -> Result<Reply, NoResponse>,
    ) -> Result<Request, Failure> {
        if self.session.is_due(now) {
            self.open(now, send)?;
        }
        Ok(get(target, self.session.token()))
    }

    /// Asks for a token. A failure counts only if there is no other way to go on.
    pub(super) fn open(
        &mut self,
        now: Moment,
        send: &mut impl FnMut(&Request) -> Result<Reply, NoResponse>,
    ) -> Result<(), Failure> {
        let header = Some((LIFETIME_HEADER, LONGEST_LIFETIME.to_string()));
        let address = self.service.at(TOKEN_PATH);
        let request = Request { method: Method::Put, address, header };
        match (granted(send(&request)), &mut self.session) {
            (Ok((token, lifetime)), session) => {
                let (renew_at, ends_at) = (now + lifetime * 5 / 6, now + lifetime);
                *session = Session::Token { token, renew_at, ends_at };
            }
            (Err(_), Session::Token { renew_at, ends_at, .. }) if now < *ends_at => {
                *renew_at = now + RENEWAL_RETRY;
            }
            (Err(_), Session::WithoutToken { retry_at }) => *retry_at = now + FALLBACK_RETRY,
            (Err(Cause::NoVersion2 { status }), session) if self.v1_fallback => {
                *session = Session::WithoutToken { retry_at: now + FALLBACK_RETRY };
                self.fell_back = Some(status);
            }
            (Err(cause), session) => {
                *session = Session::Unopened;
                return Err(failure(&request, cause));
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

    fn token(&self) -> Option<&Token> {
        match self {
            Self::Token { token, .. } => Some(token),
            Self::Unopened | Self::WithoutToken { .. } => None,
        }
    }
}

fn get(target: &Address, token: Option<&Token>) -> Request {
    let header = token.map(|token| (TOKEN_HEADER, token.0.clone()));
    Request { method: Method::Get, address: target.clone(), header }
}

fn failure(request: &Request, cause: Cause) -> Failure {
    Failure { asked: request.to_string(), cause }
}

/// What opens the metadata service: a secret, and safe to stand in a header.
#[derive(Clone, PartialEq, Eq)]
struct Token(String);

impl Token {
    /// `None` if it is empty, too long, or holds anything but visible ASCII: a line break in it
    /// would write headers of its own.
    fn parse(body: &[u8]) -> Option<Self> {
        let text = str::from_utf8(body.trim_ascii()).ok()?;
        let is_token = (1..=LONGEST_TOKEN).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The token in the answer to its request, and how long it holds.
fn granted(answer: Result<Reply, NoResponse>) -> Result<(Token, Duration), Cause> {
    let reply = match answer {
        Err(NoResponse::TimedOut) => return Err(Cause::TokenTimedOut),
        Err(why) => return Err(Cause::NoResponse(why)),
        Ok(reply) => reply,
    };
    match reply.status {
        200 => {}
        status @ (404 | 405) => return Err(Cause::NoVersion2 { status }),
        _ => return Err(refusal(&reply, Some(&Session::Unopened))),
    }
    // The service says what it granted; more than was asked for is not believed.
    let lifetime = reply.number(&LIFETIME_HEADER.to_ascii_lowercase()).unwrap_or(LONGEST_LIFETIME);
    let lifetime = Duration::from_secs(lifetime.clamp(1, LONGEST_LIFETIME));
    let body = reply.body.map_err(Cause::BodyError)?;
    match Token::parse(&body) {
        Some(token) => Ok((token, lifetime)),
        None => Err(Cause::NoToken { length: body.len() }),
    }
}

/// The body in the answer to a GET; `session` is that with the service, if the service was asked.
fn body(
    answer: Result<Reply, NoResponse>,
    session: Option<&Session>,
) -> Result<Option<Vec<u8>>, Cause> {
    let reply = answer.map_err(Cause::NoResponse)?;
    match reply.status {
        200 => reply.body.map(Some).map_err(Cause::BodyError),
        404 => Ok(None),
        _ => Err(refusal(&reply, session)),
    }
}

/// A status that neither request wants. Elsewhere than at the service, 401 and 403 have no meaning
/// of their own.
fn refusal(reply: &Reply, session: Option<&Session>) -> Cause {
    match (reply.status, session) {
        (status @ 300..=399, _) => Cause::Redirect { status },
        (401, Some(Session::Token { .. })) => Cause::Unauthorized,
        (403, Some(_)) => Cause::Forbidden,
        (status, _) => Cause::Status { status, length: reply.number("content-length") },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::source::http::BodyError;

    const TARGET: &str = "/latest/meta-data/spot/instance-action";
    const HOURS_5: Duration = Duration::from_hours(5);

    /// Answers in the order given, and notes what was asked: `PUT`, `GET`, `GET one` with a token.
    #[derive(Default)]
    struct Script {
        answers: VecDeque<Result<Reply, NoResponse>>,
        asked: Vec<String>,
    }

    impl Script {
        fn then(mut self, status: u16, body: &str) -> Self {
            self.answers.push_back(Ok(reply(status, body)));
            self
        }

        fn then_no_response(mut self, why: NoResponse) -> Self {
            self.answers.push_back(Err(why));
            self
        }

        /// One read; what it gave, and what was asked for it.
        fn read(
            &mut self,
            client: &mut Client,
            seconds: u64,
        ) -> (Result<Option<Vec<u8>>, Cause>, String) {
            self.read_at(&service().at(TARGET), client, seconds)
        }

        fn read_at(
            &mut self,
            target: &Address,
            client: &mut Client,
            seconds: u64,
        ) -> (Result<Option<Vec<u8>>, Cause>, String) {
            let now = Moment::at(Duration::from_secs(seconds));
            self.asked.clear();
            let got = client.read(target, now, &mut |request| {
                self.asked.push(match (&request.method, &request.header) {
                    (Method::Put, Some((LIFETIME_HEADER, value))) if value == "21600" => {
                        "PUT".into()
                    }
                    (Method::Get, None) => "GET".into(),
                    (Method::Get, Some((TOKEN_HEADER, value))) => format!("GET {value}"),
                    _ => panic!("unexpected request {request}"),
                });
                self.answers.pop_front().expect("no more answers")
            });
            (got.map_err(|failure| failure.cause), self.asked.join(", "))
        }
    }

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, headers: Vec::new(), body: Ok(body.into()) }
    }

    fn client(v1_fallback: bool) -> Client {
        Client::new(service(), v1_fallback)
    }

    fn service() -> MetadataUrl {
        MetadataUrl::parse("http://169.254.169.254").unwrap()
    }

    fn asked(text: &str) -> (Result<Option<Vec<u8>>, Cause>, String) {
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
            .then_no_response(NoResponse::TimedOut)
            .then(404, "")
            .then(404, "")
            .then(405, "")
            .then(404, "");
        assert_eq!(script.read(&mut client, 18_000), asked("PUT, GET one"));
        assert_eq!(script.read(&mut client, 18_059), asked("GET one"));
        assert_eq!(script.read(&mut client, 18_060), asked("PUT, GET one"));

        script = script.then_no_response(NoResponse::TimedOut);
        assert_eq!(script.read(&mut client, 21_600), (Err(Cause::TokenTimedOut), "PUT".to_owned()));
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
        let refused = (Err(Cause::Unauthorized), "GET two, PUT, GET three".to_owned());
        assert_eq!(script.read(&mut client, 1), refused);

        script = script.then(401, "").then(500, "");
        let failed = Err(Cause::Status { status: 500, length: None });
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
            script = script.then_no_response(NoResponse::TimedOut).then(404, "");
            assert_eq!(script.read(&mut client, 600), asked("PUT, GET"));
            script = script.then(401, "").then(200, "one").then(404, "");
            assert_eq!(script.read(&mut client, 601), asked("GET, PUT, GET one"));
            assert_eq!(client.take_fallback(), None);
        }
    }

    #[test]
    fn no_other_trouble_leads_to_version_1() {
        let refused = NoResponse::Unconnected("refused".to_owned());
        let cases = [
            (Err(NoResponse::TimedOut), Cause::TokenTimedOut),
            (Err(refused.clone()), Cause::NoResponse(refused)),
            (Ok(reply(400, "")), Cause::Status { status: 400, length: None }),
            (Ok(reply(401, "")), Cause::Status { status: 401, length: None }),
            (Ok(reply(403, "")), Cause::Forbidden),
            (Ok(reply(302, "")), Cause::Redirect { status: 302 }),
            (Ok(reply(503, "")), Cause::Status { status: 503, length: None }),
            (Ok(reply(200, "")), Cause::NoToken { length: 0 }),
            (
                Ok(Reply { body: Err(BodyError::TooLong), ..reply(200, "") }),
                Cause::BodyError(BodyError::TooLong),
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
            let refused = (Err(Cause::NoVersion2 { status: 405 }), "PUT".to_owned());
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
            let refused = (Err(Cause::Status { status, length: None }), "GET".to_owned());
            assert_eq!(script.read_at(&elsewhere, &mut client, 1), refused);
        }
        script = script.then(404, "");
        assert_eq!(script.read(&mut client, 1), asked("GET one"), "a 401 elsewhere is no matter");
    }

    #[test]
    fn a_token_is_visible_ascii_of_a_bounded_length() {
        let longest = "a".repeat(LONGEST_TOKEN);
        for good in ["AQAEAA==", "AQAEAA==\r\n", &longest] {
            assert!(Token::parse(good.as_bytes()).is_some(), "{good:?}");
        }
        let too_long = "a".repeat(LONGEST_TOKEN + 1);
        for bad in ["", "\n", "a\r\nX-Other: b", "a b", "a\0", "ä", "\u{7f}", &too_long] {
            assert!(Token::parse(bad.as_bytes()).is_none(), "{bad:?}");
        }
        assert!(Token::parse(b"\xff").is_none());
        assert_eq!(format!("{:?}", Token("secret".into())), "Token(…)");
    }

    #[test]
    fn what_came_decides_what_a_body_is() {
        let cut = BodyError::Cut { came: 3, announced: 50 };
        let cases = [
            (Ok(reply(200, "x")), Ok(Some(b"x".to_vec()))),
            (Ok(Reply { body: Err(cut.clone()), ..reply(200, "") }), Err(Cause::BodyError(cut))),
            (Ok(reply(404, "")), Ok(None)),
            (Ok(reply(403, "")), Err(Cause::Forbidden)),
            (Ok(reply(301, "")), Err(Cause::Redirect { status: 301 })),
            (Ok(reply(204, "")), Err(Cause::Status { status: 204, length: None })),
            (Ok(reply(40, "")), Err(Cause::Status { status: 40, length: None })),
            (Err(NoResponse::TimedOut), Err(Cause::NoResponse(NoResponse::TimedOut))),
        ];
        for (answer, expected) in cases {
            assert_eq!(body(answer, Some(&Session::Unopened)), expected);
        }
    }
}

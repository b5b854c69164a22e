//! Asks one path for ever, in a thread of its own: polls of a path cannot overlap, and a path that
//! fails or hangs delays no other.

use std::io;
use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::moment::Moment;
use crate::notice::{Notice, NoticePath, Polled};
use crate::source::Report;
use crate::source::aws;
use crate::source::failure::{Cause, Failure};
use crate::source::http::{self, NoResponse, Reply, Request};
use crate::source::imds::Client;

/// Deep enough for an exchange in a debug build; what is not touched takes no memory.
const STACK_BYTES: usize = 128 * 1024;
/// Between polls that fail. A notice may come at any moment, and gives two minutes.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Between polls that fail, whatever the interval.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// One path, to be polled.
pub struct Poller {
    pub(super) path: NoticePath,
    pub(super) client: Client,
    pub(super) interval: Duration,
    pub(super) window: Duration,
}

impl Poller {
    /// Polls in a new thread until `tell` breaks, which says that nobody listens any more. Each
    /// poll gives one [`Report::Polled`]; the first fallback to IMDSv1 one [`Report::WithoutToken`]
    /// before it.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(
        self,
        clock: Clock,
        tell: impl FnMut(Report) -> ControlFlow<()> + Send + 'static,
    ) -> io::Result<()> {
        let name = match self.path {
            NoticePath::InstanceAction => "instance-action",
            NoticePath::NoticeUrl => "notice-url",
        };
        thread::Builder::new()
            .name(name.to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || self.poll_for_ever(clock, tell))
            .map(drop)
    }

    fn poll_for_ever(mut self, clock: Clock, mut tell: impl FnMut(Report) -> ControlFlow<()>) {
        let mut pace = Pace::new(self.interval);
        loop {
            let began = clock.now();
            let poll = self.poll(began, &mut http::send);
            let fallback = poll.without_token.map(|status| Report::WithoutToken { status });
            let polled = Report::Polled(poll.polled);
            if fallback.into_iter().chain([polled]).try_for_each(&mut tell).is_break() {
                return;
            }
            clock.sleep_until(pace.next(began, poll.health));
        }
    }

    fn poll(
        &mut self,
        now: Moment,
        send: &mut impl FnMut(&Request) -> Result<Reply, NoResponse>,
    ) -> Poll {
        let answer = self.client.read(now, send);
        // Two paths on one service fall back together: one of them says it.
        let fallback = self.client.take_fallback();
        let without_token = fallback.filter(|_| self.path == NoticePath::InstanceAction);
        let outcome = answer.and_then(|body| match body {
            None => Ok((404, None)),
            Some(body) => self.notice(&body).map(|notice| (200, notice)),
        });
        let health = match &outcome {
            Ok(_) => Health::Answering,
            // Something stands there. Slowing down would only lose time.
            Err(failure) if failure.status() == Some(200) => Health::Answering,
            Err(_) => Health::Failing,
        };
        let (status, outcome) = match outcome {
            Ok((status, notice)) => (Some(status), Ok(notice)),
            Err(failure) => (failure.status(), Err(failure.to_string())),
        };
        Poll { without_token, health, polled: Polled { path: self.path, status, outcome } }
    }

    fn notice(&self, body: &[u8]) -> Result<Option<Notice>, Failure> {
        let target = self.client.target();
        match self.path {
            NoticePath::InstanceAction => aws::instance_action(body, self.window).map(Some),
            NoticePath::NoticeUrl => aws::notice_url(target.path(), body, self.window),
        }
        .map_err(|why| Failure {
            asked: format!("GET {target}"),
            cause: Cause::Unreadable { length: body.len(), why },
        })
    }
}

/// What one poll gave.
struct Poll {
    without_token: Option<u16>,
    polled: Polled,
    health: Health,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Answering,
    Failing,
}

/// When the next poll begins: an interval after this one began; while polls fail, longer and
/// longer after, from the interval to [`LONGEST_WAIT`]. An interval that is longer stays.
struct Pace {
    interval: Duration,
    /// After the next failure.
    wait: Duration,
}

impl Pace {
    fn new(interval: Duration) -> Self {
        Self { interval, wait: interval.max(SHORTEST_WAIT) }
    }

    /// May lie in the past, if the poll that began at `began` took longer: then it begins at once.
    fn next(&mut self, began: Moment, health: Health) -> Moment {
        match health {
            Health::Answering => {
                *self = Self::new(self.interval);
                began + self.interval
            }
            Health::Failing => {
                let wait = self.wait;
                self.wait = (wait * 2).min(LONGEST_WAIT.max(self.interval));
                began + wait
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{self, Receiver};

    use super::Health::{Answering, Failing};
    use super::*;
    use crate::notice::{Action, When};
    use crate::source::Source;
    use crate::source::stand_in::{StandIn, until_hung_up};
    use crate::source::url::{MetadataUrl, NoticeUrl};

    const GOOD: &str = r#"{"action": "terminate", "time": "2017-09-18T08:22:00Z"}"#;

    fn source(service: &StandIn) -> Source {
        Source {
            metadata_url: MetadataUrl::parse(&service.url("")).unwrap(),
            notice_url: None,
            interval: Duration::from_millis(10),
            v1_fallback: true,
            window: Duration::from_mins(2),
        }
    }

    /// One poll of the first path, over the network.
    fn poll_once(service: &StandIn) -> Poll {
        let mut poller = source(service).pollers().next().unwrap();
        poller.poll(Moment::START, &mut http::send)
    }

    fn respond(stream: &mut TcpStream, status: u16, body: &str) -> io::Result<()> {
        let length = body.len();
        write!(stream, "HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n\r\n{body}")
    }

    /// A service that gives a token, and answers everything else thus.
    fn with_token(
        mut answer: impl FnMut(&mut TcpStream) -> io::Result<()> + Send + 'static,
    ) -> StandIn {
        StandIn::start(move |head, stream| {
            if head.starts_with("PUT") { respond(stream, 200, "token") } else { answer(stream) }
        })
    }

    fn service(status: u16, body: &'static str) -> StandIn {
        with_token(move |stream| respond(stream, status, body))
    }

    fn listen(source: &Source) -> Receiver<Report> {
        let (tell, news) = mpsc::channel();
        for poller in source.pollers() {
            let tell = tell.clone();
            let tell =
                move |news| tell.send(news).map_or(ControlFlow::Break(()), ControlFlow::Continue);
            poller.start(Clock::start(), tell).unwrap();
        }
        news
    }

    fn path(news: &Report) -> NoticePath {
        let Report::Polled(polled) = news else { panic!("{news:?}") };
        polled.path
    }

    #[test]
    fn a_poll_opens_the_service_with_a_token_and_shows_it() {
        let service = service(200, GOOD);
        let polled = poll_once(&service).polled;
        assert_eq!((polled.path, polled.status), (NoticePath::InstanceAction, Some(200)));
        let notice = polled.outcome.unwrap().unwrap();
        assert_eq!((notice.action, notice.window), (Action::Terminate, Duration::from_mins(2)));
        assert!(matches!(notice.when, When::At(_)));

        let heads = service.heads();
        assert!(heads[0].starts_with("PUT /latest/api/token HTTP/1.1\r\n"), "{}", heads[0]);
        assert!(heads[0].contains("\r\nX-aws-ec2-metadata-token-ttl-seconds: 21600\r\n"));
        assert!(heads[1].starts_with("GET /latest/meta-data/spot/instance-action HTTP/1.1\r\n"));
        assert!(heads[1].contains("\r\nX-aws-ec2-metadata-token: token\r\n"), "{}", heads[1]);
        assert_eq!(heads.len(), 2);
    }

    #[test]
    fn a_404_is_no_notice() {
        let poll = poll_once(&service(404, "<html>no</html>"));
        assert_eq!((poll.polled.status, poll.polled.outcome), (Some(404), Ok(None)));
        assert_eq!(poll.health, Answering);
    }

    #[test]
    fn a_token_with_a_line_break_goes_nowhere_not_even_into_the_log() {
        let service = StandIn::start(|_, stream| respond(stream, 200, "to\r\nX-Evil: ken"));
        let polled = poll_once(&service).polled;
        let why = polled.outcome.unwrap_err();
        assert!(
            why.ends_with("/latest/api/token: status 200, 15 bytes that are no token"),
            "{why}"
        );
        assert_eq!(service.heads().len(), 1);
    }

    #[test]
    fn each_refusal_names_the_address_and_what_came() {
        for (status, body, health, expected) in [
            (302, "", Failing, "status 302, a redirect"),
            (401, "", Failing, "status 401, also with a fresh token"),
            (403, "", Failing, "--http-endpoint enabled"),
            (500, "oh no", Failing, "instance-action: status 500, 5 bytes"),
            (200, "", Answering, "status 200, 0 bytes: an empty answer"),
            (200, "<html>", Answering, "status 200, 6 bytes: HTML"),
            (200, "{\"action", Answering, "status 200, 8 bytes: not JSON, or cut short"),
        ] {
            let poll = poll_once(&service(status, body));
            let why = poll.polled.outcome.unwrap_err();
            assert!(why.starts_with("GET http://127.0.0.1:"), "{why}");
            assert!(why.contains(expected), "{why}");
            assert!(!why.contains("token:") && !why.contains("X-aws"), "{why}");
            assert_eq!((poll.polled.status, poll.health), (Some(status), health), "{why}");
        }
    }

    #[test]
    fn no_prefix_of_a_good_answer_is_a_notice_or_says_that_there_is_none() {
        let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{GOOD}", GOOD.len());
        for end in 0..=whole.len() {
            let answer = whole.as_bytes()[..end].to_vec();
            let service = with_token(move |stream| stream.write_all(&answer));
            let outcome = poll_once(&service).polled.outcome;
            assert_eq!(outcome.is_ok(), end == whole.len(), "{end}: {outcome:?}");
        }
    }

    #[test]
    fn no_prefix_of_a_chunked_answer_is_a_notice_until_the_document_is_whole() {
        let (head, rest) = GOOD.split_at(20);
        let whole = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{head}\r\n{:x}\r\n{rest}\r\n0\r\n\r\n",
            rest.len()
        );
        let complete = whole.find('}').unwrap() + 1;
        for end in 0..=whole.len() {
            let answer = whole.as_bytes()[..end].to_vec();
            let service = with_token(move |stream| stream.write_all(&answer));
            let outcome = poll_once(&service).polled.outcome;
            assert_eq!(outcome.is_ok(), end >= complete, "{end}: {outcome:?}");
        }
    }

    #[test]
    fn no_prefix_of_a_tokens_answer_leads_to_version_1() {
        let whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntoken";
        for end in 0..whole.len() {
            let service =
                StandIn::start(move |_, stream| stream.write_all(&whole.as_bytes()[..end]));
            let poll = poll_once(&service);
            assert!(poll.polled.outcome.is_err() && poll.without_token.is_none(), "{end}");
            assert_eq!(service.heads().len(), 1, "{end}");
        }
    }

    #[test]
    fn a_token_that_does_not_come_in_time_names_the_hop_limit() {
        let service = StandIn::start(|_, stream| until_hung_up(stream));
        let poll = poll_once(&service);
        let why = poll.polled.outcome.unwrap_err();
        for part in
            ["PUT http://", "hop limit", "hostNetwork: true", "--http-put-response-hop-limit 2"]
        {
            assert!(why.contains(part), "{part}: {why}");
        }
        assert_eq!((poll.polled.status, poll.health), (None, Failing));
        assert_eq!(service.heads().len(), 1);
    }

    #[test]
    fn the_fallback_is_told_once_and_before_the_first_poll() {
        let service = StandIn::start(|head, stream| {
            respond(stream, if head.starts_with("PUT") { 405 } else { 404 }, "")
        });
        // On the same service, so that both paths fall back.
        let notice_url = NoticeUrl::parse(&service.url("/latest/meta-data/spot/termination-time"));
        let source = Source { notice_url: Some(notice_url.unwrap()), ..source(&service) };
        let news: Vec<Report> = listen(&source).into_iter().take(20).collect();
        let fallbacks = news.iter().filter(|&news| *news == Report::WithoutToken { status: 405 });
        assert_eq!(fallbacks.count(), 1);
        let first = news.iter().find(
            |news| !matches!(news, Report::Polled(polled) if polled.path == NoticePath::NoticeUrl),
        );
        assert_eq!(first, Some(&Report::WithoutToken { status: 405 }));
    }

    #[test]
    fn one_path_in_a_black_hole_does_not_hold_up_the_other() {
        let service = service(404, "");
        let hole = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", hole.local_addr().unwrap());
        let notice_url = Some(NoticeUrl::parse(&url).unwrap());
        let news = listen(&Source { notice_url, ..source(&service) });
        let before: Vec<NoticePath> = news
            .into_iter()
            .map(|news| path(&news))
            .take_while(|&path| path != NoticePath::NoticeUrl)
            .collect();
        assert!(before.len() > 1, "{}", before.len());
    }

    #[test]
    fn polling_ends_when_nobody_listens() {
        let service = service(404, "");
        let poller = source(&service).pollers().next().unwrap();
        let mut left = 3;
        poller.poll_for_ever(Clock::start(), |_| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(service.heads().len(), 1 + 3);
    }

    #[test]
    fn failures_are_followed_by_longer_and_longer_waits_up_to_five_seconds() {
        let waits = |interval: u64, polls: &[Health]| -> Vec<u128> {
            let mut pace = Pace::new(Duration::from_millis(interval));
            let began = Moment::at(Duration::from_mins(1));
            polls.iter().map(|&health| pace.next(began, health).since(began).as_millis()).collect()
        };
        let polls = [Answering, Failing, Failing, Failing, Failing, Failing, Answering, Failing];
        assert_eq!(waits(1000, &polls), [1000, 1000, 2000, 4000, 5000, 5000, 1000, 1000]);
        assert_eq!(waits(30_000, &polls), [30_000; 8]);
        assert_eq!(waits(0, &polls[..3]), [0, 100, 200]);
    }
}

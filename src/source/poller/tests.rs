use std::collections::BTreeMap;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, SystemTime};

use simulator::{Endpoint, Fault, Metadata};

use super::*;
use crate::notice::{Action, NoticeId, NoticePath, PathAnswer, When};
use crate::source::http::ImdsReply;
use crate::source::stand_in::{StandIn, timed_out, until_hung_up};
use crate::source::url::{MetadataUrl, NoticeUrl};
use crate::source::{Source, Watched};

const GOOD: &str = r#"{"action": "terminate", "time": "2017-09-18T08:22:00Z"}"#;
const ALL: Watched =
    Watched { interruption: true, rebalance: true, maintenance: true, lifecycle: true };

/// All paths of the service at `url`.
fn source(url: &str) -> Source {
    Source {
        metadata_url: MetadataUrl::parse(url).unwrap(),
        notice_url: None,
        interval: Duration::from_millis(10),
        calm_interval: Duration::from_secs(5),
        v1_fallback: true,
        watched: ALL,
        window: Duration::from_mins(2),
        lifecycle_window: Duration::from_hours(1),
    }
}

/// The pollers of a source, which does not wait seconds for any path.
fn quick(source: &Source) -> Vec<Poller> {
    let mut pollers = source.pollers();
    for path in pollers.iter_mut().flat_map(|poller| &mut poller.paths) {
        path.schedule = PollSchedule::new(source.interval, Duration::from_millis(100));
    }
    pollers
}

/// What one poll gave.
struct Poll {
    without_token: Option<u16>,
    polled: Polled,
    /// Until the next.
    wait: Duration,
}

const ANSWERING: Duration = Duration::from_millis(10);
const FAILING: Duration = Duration::from_millis(100);

/// One poll of the first path, over the network.
fn poll_once(service: &StandIn) -> Poll {
    let mut first = source(&service.url("")).pollers().remove(0);
    let (without_token, polled) = first.poll(Moment::START, &mut http::send).unwrap();
    Poll { without_token, polled, wait: first.due().unwrap().since(Moment::START) }
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

/// What the pollers of a source tell. A test that waits for more than a minute has failed.
struct News {
    told: Receiver<Report>,
    clock: Clock,
}

impl Iterator for News {
    type Item = Report;

    fn next(&mut self) -> Option<Report> {
        let left = self.clock.now().until(Moment::START + Duration::from_mins(1));
        assert!(!left.is_zero(), "what is waited for is not told");
        Some(self.told.recv_timeout(left).unwrap())
    }
}

fn listen(source: &Source) -> News {
    let (tell, told) = mpsc::channel();
    let clock = Clock::start();
    for poller in quick(source) {
        let tell = tell.clone();
        let tell =
            move |news| tell.send(news).map_or(ControlFlow::Break(()), ControlFlow::Continue);
        poller.start(clock, tell).unwrap();
    }
    News { told, clock }
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
    let notice = polled.outcome.unwrap().standing.remove(0);
    assert_eq!(notice.id, NoticeId::Interruption(Action::Terminate));
    assert_eq!(notice.window, Duration::from_mins(2));
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
    assert_eq!((poll.polled.status, poll.polled.outcome), (Some(404), Ok(PathAnswer::default())));
    assert_eq!(poll.wait, ANSWERING);
}

#[test]
fn a_token_with_a_line_break_goes_nowhere_not_even_into_the_log() {
    let service = StandIn::start(|_, stream| respond(stream, 200, "to\r\nX-Evil: ken"));
    let polled = poll_once(&service).polled;
    let why = polled.outcome.unwrap_err();
    assert!(why.ends_with("/latest/api/token: status 200, 15 bytes that are no token"), "{why}");
    assert_eq!(service.heads().len(), 1);
}

#[test]
fn each_refusal_names_the_address_and_what_came() {
    for (status, body, wait, expected) in [
        (302, "", FAILING, "status 302, a redirect"),
        (401, "", FAILING, "status 401, also with a fresh token"),
        (403, "", FAILING, "--http-endpoint enabled"),
        (500, "oh no", FAILING, "instance-action: status 500, 5 bytes"),
        (200, "", ANSWERING, "status 200, 0 bytes: an empty answer"),
        (200, "<html>", ANSWERING, "status 200, 6 bytes: HTML"),
        (200, "{\"action", ANSWERING, "status 200, 8 bytes: not JSON, or cut short"),
    ] {
        let poll = poll_once(&service(status, body));
        let why = poll.polled.outcome.unwrap_err();
        assert!(why.starts_with("GET http://127.0.0.1:"), "{why}");
        assert!(why.contains(expected), "{why}");
        assert!(!why.contains("token:") && !why.contains("X-aws"), "{why}");
        assert_eq!((poll.polled.status, poll.wait), (Some(status), wait), "{why}");
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
        let service = StandIn::start(move |_, stream| stream.write_all(&whole.as_bytes()[..end]));
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
    for part in ["PUT http://", "hop limit", "hostNetwork: true", "--http-put-response-hop-limit 2"]
    {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert_eq!((poll.polled.status, poll.wait), (None, FAILING));
    assert_eq!(service.heads().len(), 1);
}

/// A service that offers no tokens.
fn without_tokens() -> StandIn {
    StandIn::start(|head, stream| {
        respond(stream, if head.starts_with("PUT") { 405 } else { 404 }, "")
    })
}

#[test]
fn the_fallback_is_told_before_the_first_poll() {
    let service = without_tokens();
    let watched = Watched { rebalance: false, maintenance: false, lifecycle: false, ..ALL };
    let mut first = Source { watched, ..source(&service.url("")) }.pollers().remove(0);
    let (fallback, polled) = first.poll(Moment::START, &mut http::send).unwrap();
    assert_eq!((fallback, polled.status), (Some(405), Some(404)));
    assert_eq!(first.poll(Moment::START, &mut http::send).unwrap().0, None);
}

#[test]
fn the_fallback_is_told_once_by_all_threads() {
    let service = without_tokens();
    // On the same service, so that every thread falls back.
    let notice_url = Some(NoticeUrl::parse(&service.url("/notice")).unwrap());
    let mut news = listen(&Source { notice_url, ..source(&service.url("")) });
    let mut fallbacks = 0;
    let mut polled = BTreeMap::new();
    while polled.len() < 6 || polled.values().any(|&count| count < 3) {
        match news.next().unwrap() {
            Report::Polled(one) => *polled.entry(one.path).or_insert(0) += 1,
            Report::WithoutToken { status } => {
                assert_eq!(status, 405);
                fallbacks += 1;
            }
        }
    }
    assert_eq!(fallbacks, 1);
    let asked = service.heads();
    assert_eq!(asked.iter().filter(|head| head.starts_with("PUT")).count(), 3, "one per thread");
}

#[test]
fn one_path_in_a_black_hole_does_not_hold_up_the_other() {
    let service = service(404, "");
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", hole.local_addr().unwrap());
    let notice_url = Some(NoticeUrl::parse(&url).unwrap());
    let news = listen(&Source { notice_url, ..source(&service.url("")) });
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
    let poller = source(&service.url("")).pollers().remove(0);
    let mut left = 3;
    poller.poll_for_ever(Clock::start(), |_| {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(service.heads().len(), 1 + 3);
}

#[test]
fn every_path_says_what_stands_there_and_each_thread_shows_one_token() {
    let cloud = Metadata::start().unwrap();
    cloud.announce("terminate", "2017-09-18T08:22:00Z");
    cloud.recommend_rebalance("2020-10-27T08:22:00Z");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_548_061_243);
    let event = |id| Metadata::event("instance-stop", id, time);
    cloud.schedule(&[event("a"), event("b")]);
    cloud.history(&[event("b"), event("c")]);
    cloud.target_lifecycle_state("Terminated");

    let mut news = listen(&source(&cloud.url()));
    let mut next = || match news.next().unwrap() {
        Report::Polled(polled) => polled,
        Report::WithoutToken { status } => panic!("{status}"),
    };
    let (mut said, mut polls) = (BTreeMap::new(), 0);
    while said.len() < 5 || polls < 30 {
        let polled = next();
        polls += 1;
        let answer = polled.outcome.unwrap();
        let notices = answer.standing.iter().map(|notice| match notice.when {
            When::At(time) => format!("{} at {time}", notice.id),
            When::Unstated => format!("{} in {} s", notice.id, notice.window.as_secs()),
        });
        let over = answer.over.iter().map(|id| format!("{id} over"));
        let text = notices.chain(over).collect::<Vec<_>>().join(", ");
        let before = said.insert(polled.path, text.clone());
        assert!(before.is_none_or(|before| before == text));
    }
    let terminate = "spot-interruption/terminate at 2017-09-18T08:22:00Z";
    let expected = [
        (NoticePath::InstanceAction, terminate),
        (NoticePath::TerminationTime, terminate),
        (NoticePath::Rebalance, "rebalance-recommendation at 2020-10-27T08:22:00Z"),
        (
            NoticePath::Maintenance,
            "scheduled-maintenance/instance-stop/a at 2019-01-21T09:00:43Z, b over, c over",
        ),
        (NoticePath::Lifecycle, "asg-lifecycle/terminate in 3600 s"),
    ];
    assert_eq!(said, expected.map(|(path, text)| (path, text.to_owned())).into());
    assert_eq!(cloud.journal().count(Endpoint::Token), 2);

    cloud.expire_tokens();
    while cloud.journal().count(Endpoint::Token) < 4 {
        assert!(next().outcome.is_ok(), "the usual course of things");
    }
    assert!((0..30).all(|_| next().outcome.is_ok()));
    assert_eq!(cloud.journal().count(Endpoint::Token), 4);
}

#[test]
fn a_path_that_fails_or_hangs_stops_no_other_and_answers_again_when_it_can() {
    let paths = [
        (Endpoint::InstanceAction, NoticePath::InstanceAction),
        (Endpoint::TerminationTime, NoticePath::TerminationTime),
        (Endpoint::Rebalance, NoticePath::Rebalance),
        (Endpoint::Scheduled, NoticePath::Maintenance),
        (Endpoint::LifecycleState, NoticePath::Lifecycle),
    ];
    // One fault after the other, and without haste: the others have a second for each answer, which
    // dozens of busy threads on a small machine would take from them.
    for fault in [Fault::Code(500), Fault::Html(200), Fault::Hang] {
        thread::scope(|scope| {
            for (endpoint, path) in paths {
                let fault = fault.clone();
                scope.spawn(move || {
                    let cloud = Metadata::start().unwrap();
                    cloud.fail(endpoint).always().with(fault.clone());
                    let unhurried =
                        Source { interval: Duration::from_millis(50), ..source(&cloud.url()) };
                    let mut news = listen(&unhurried);
                    // Failed polls of it, and good ones of each of the others.
                    let mut counts = BTreeMap::new();
                    while counts.len() < paths.len() || counts.values().any(|&count| count < 2) {
                        let Report::Polled(polled) = news.next().unwrap() else {
                            panic!("{fault:?}")
                        };
                        assert_eq!(polled.outcome.is_err(), polled.path == path, "{polled:?}");
                        *counts.entry(polled.path).or_insert(0) += 1;
                    }
                    cloud.heal();
                    let healed = news.find(|news| {
                        matches!(news, Report::Polled(it) if it.path == path && it.outcome.is_ok())
                    });
                    assert!(healed.is_some());
                });
            }
        });
    }
}

#[test]
fn a_history_that_fails_or_hangs_hides_nothing_that_is_planned() {
    thread::scope(|scope| {
        for fault in [Fault::Code(500), Fault::Html(200), Fault::CutInBody, Fault::Hang] {
            scope.spawn(move || {
                let cloud = Metadata::start().unwrap();
                let event = Metadata::event("instance-stop", "a", SystemTime::UNIX_EPOCH);
                cloud.schedule(std::slice::from_ref(&event));
                cloud.history(&[event]);
                cloud.fail(Endpoint::History).always().with(fault.clone());
                let news = listen(&source(&cloud.url()));
                let mut answers = news.filter_map(|news| match news {
                    Report::Polled(polled) if polled.path == NoticePath::Maintenance => {
                        Some(polled.outcome.unwrap())
                    }
                    _ => None,
                });
                for _ in 0..2 {
                    let answer = answers.next().unwrap();
                    assert_eq!((answer.standing.len(), answer.over.len()), (1, 0), "{fault:?}");
                }
                cloud.heal();
                assert!(answers.any(|answer| answer.standing.is_empty() && answer.over.len() == 1));
            });
        }
    });
}

/// Polls of the paths of `thread` up to that second, in virtual time: an exchange takes none, but
/// what `answer` says in seconds. `path second`, path by its last word.
fn polls_until(
    thread: &mut Poller,
    last: u64,
    answer: impl Fn(&str) -> (u64, Result<ImdsReply, crate::http::error::Error>),
) -> Vec<String> {
    let mut now = Moment::START;
    let mut polls = Vec::new();
    loop {
        now = now.max(thread.due().unwrap());
        let second = now.since(Moment::START).as_secs();
        if second > last {
            return polls;
        }
        assert!(polls.len() < 1000, "{polls:?}");
        let mut taken = 0;
        let (_, polled) = thread
            .poll(now, &mut |request| {
                let (seconds, answer) = answer(request.url.path());
                taken += seconds;
                answer
            })
            .unwrap();
        let path = polled.path.to_string();
        polls.push(format!("{} {second}", path.rsplit('/').next().unwrap()));
        now = now + Duration::from_secs(taken);
    }
}

fn reply(status: u16, body: &str) -> ImdsReply {
    ImdsReply { status, headers: Vec::new(), body: Ok(body.into()) }
}

#[test]
fn the_paths_of_one_thread_are_polled_together_and_a_failing_one_backs_off_alone() {
    let mut metadata = source("http://169.254.169.254").pollers().remove(1);
    let polls = polls_until(&mut metadata, 15, |path| {
        (
            0,
            match path {
                "/latest/api/token" => Ok(reply(200, "token")),
                path if path.ends_with("scheduled") => Ok(reply(500, "")),
                _ => Ok(reply(404, "")),
            },
        )
    });
    let together = |second| {
        ["termination-time", "rebalance", "target-lifecycle-state"]
            .map(|path| format!("{path} {second}"))
    };
    let of_the_failing = |polls: &[String]| -> Vec<String> {
        polls.iter().filter(|poll| poll.starts_with("scheduled")).cloned().collect()
    };
    assert_eq!(of_the_failing(&polls), ["scheduled 0", "scheduled 5", "scheduled 15"]);
    let others: Vec<String> =
        polls.into_iter().filter(|poll| !poll.starts_with("scheduled")).collect();
    assert_eq!(others, [0, 5, 10, 15].map(together).concat());

    let later = of_the_failing(&polls_until(&mut metadata, 100, |_| (0, Ok(reply(500, "")))));
    assert_eq!(later, ["scheduled 35", "scheduled 65", "scheduled 95"]);
}

#[test]
fn a_path_that_hangs_delays_the_others_by_its_second_only() {
    let mut metadata = source("http://169.254.169.254").pollers().remove(1);
    let polls = polls_until(&mut metadata, 60, |path| match path {
        "/latest/api/token" => (0, Ok(reply(200, "token"))),
        path if path.ends_with("rebalance") => (1, Err(timed_out())),
        _ => (0, Ok(reply(404, ""))),
    });
    let of = |path: &str| -> Vec<u64> {
        let polls = polls.iter().filter_map(|poll| poll.strip_prefix(path));
        polls.map(|second| second.trim().parse().unwrap()).collect()
    };
    assert_eq!(of("rebalance"), [0, 5, 15, 35]);
    for path in ["termination-time", "scheduled", "target-lifecycle-state"] {
        let seconds = of(path);
        assert!(seconds.len() >= 12, "{path}: {seconds:?}");
        let gaps = seconds.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.into_iter().all(|gap| (4..=6).contains(&gap)), "{path}: {seconds:?}");
    }
}

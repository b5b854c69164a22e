use super::*;
use crate::clock::Clock;
use crate::http::address::Address;
use crate::http::connection::CHUNK;
use crate::http::h1::HEAD_LIMIT;
use crate::http::stand_in::NOT_HTTP;
use crate::kube::identity::{Choice, Identity};
use crate::kube::request::{Caller, Verb};
use crate::kube::server::Observer;
use crate::kube::stand_in::{LONG, Peer, SHORT, StandIn, deaf_address, delete, get};
use crate::kube::stream::{Lines, OBJECT_LIMIT, Piece};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Barrier, Mutex};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
/// Long enough to be heard, where a time-out is what is tested.
const LATE: Duration = Duration::from_millis(500);

const UNAUTHORIZED: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";

fn answer_to(answer: &'static [u8]) -> Result<Reply, Cause> {
    ask(&StandIn::answering_once(answer).client())
}

fn body_of(answer: &'static [u8]) -> String {
    String::from_utf8(answer_to(answer).unwrap().body).unwrap()
}

fn ask(client: &Client) -> Result<Reply, Cause> {
    client.ask(&get("/api"), LONG).map_err(|error| error.cause)
}

fn status(client: &Client) -> Result<u16, Cause> {
    ask(client).map(|reply| reply.status)
}

/// Asks without waiting.
fn submit(client: &Client, timeout: Duration, cancel: &Cancel) -> Receiver<Result<u16, Cause>> {
    let (tell, told) = mpsc::channel();
    client.submit(get("/api"), timeout, cancel.clone(), move |_, came| {
        let _ = tell.send(came.map(|reply| reply.status).map_err(|error| error.cause));
    });
    told
}

/// Hears a request and says what it is told to say.
struct Puppet {
    server: StandIn,
    /// The connection and the request.
    heard: Receiver<(usize, String)>,
}

impl Puppet {
    /// `answer` says what to answer to the request of that number on the connection of that number;
    /// nothing more to say ends the connection.
    fn new(answer: impl Fn(usize, usize) -> Option<&'static [u8]> + Send + Sync + 'static) -> Self {
        let (hear, heard) = mpsc::channel();
        let server = StandIn::start(move |connection, mut peer| {
            for number in 0.. {
                let Some(request) = peer.hears() else { return };
                let _ = hear.send((connection, request));
                match answer(connection, number) {
                    Some(answer) => peer.says(answer),
                    None => return peer.drops(),
                };
            }
        });
        Self { server, heard }
    }

    /// Over which connections requests came since this was last asked.
    fn connections(&self) -> Vec<usize> {
        self.heard.try_iter().map(|(connection, _)| connection).collect()
    }

    /// With which tokens.
    fn tokens(&self) -> Vec<String> {
        self.heard.try_iter().map(|(_, request)| token_of(&request)).collect()
    }
}

fn token_of(request: &str) -> String {
    let after = request.split_once("Bearer ").unwrap().1;
    after.split_once("\r\n").unwrap().0.to_owned()
}

#[test]
fn a_request_is_written_as_the_api_server_wants_it() {
    let puppet = Puppet::new(|_, _| Some(OK));
    let client = puppet.server.client();
    client.ask(&delete("/api/v1/pods/a?x=1", r#"{"a":1}"#), LONG).unwrap();
    let (_, request) = puppet.heard.recv().unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.lines().collect();
    assert_eq!(lines.remove(0), "DELETE /api/v1/pods/a?x=1 HTTP/1.1");
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "accept: application/json",
            "authorization: Bearer a-token",
            "content-length: 7",
            "content-type: application/json",
            &format!("host: {}", puppet.server.server().address()),
            &format!("user-agent: k8s-spot-handler/{}", env!("CARGO_PKG_VERSION")),
        ]
    );
    assert_eq!(body, r#"{"a":1}"#);

    ask(&client).unwrap();
    let (_, request) = puppet.heard.recv().unwrap();
    assert!(request.starts_with("GET /api HTTP/1.1\r\n"), "{request}");
    assert!(!request.contains("content-"), "{request}");
}

#[test]
fn one_connection_carries_many_requests() {
    let puppet = Puppet::new(|_, _| Some(OK));
    let client = puppet.server.client();
    for _ in 0..3 {
        let reply = ask(&client).unwrap();
        assert_eq!((reply.status, reply.body.as_slice()), (200, &b"{}"[..]));
    }
    assert_eq!(puppet.connections(), [0, 0, 0]);
}

#[test]
fn requests_go_out_side_by_side() {
    let puppet = Puppet::new(|_, _| Some(b""));
    let client = puppet.server.client();
    let cancel = Cancel::default();
    let _answers: Vec<_> = (0..8).map(|_| submit(&client, LONG, &cancel)).collect();
    // All are heard though none is answered.
    let mut connections: Vec<_> = (0..8).map(|_| puppet.heard.recv().unwrap().0).collect();
    connections.sort_unstable();
    assert_eq!(connections, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn there_is_room_again_when_a_reply_is_told() {
    let puppet = Puppet::new(|_, _| Some(OK));
    let client = puppet.server.client();
    let free = client.free();
    assert!(free > 0);
    for _ in 0..200 {
        let (tell, told) = mpsc::channel();
        let asks = client.clone();
        client.submit(get("/api"), LONG, Cancel::default(), move |_, reply| {
            let _ = tell.send((reply.map(|reply| reply.status), asks.free()));
        });
        assert_eq!(told.recv().unwrap(), (Ok(200), free));
    }
}

#[test]
fn bodies_of_every_framing_are_read_whole() {
    assert_eq!(body_of(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), "hello");
    assert_eq!(
        body_of(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
              2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\nTrailer: t\r\n\r\n"
        ),
        "hello"
    );
    // Ended by TLS's goodbye.
    assert_eq!(body_of(b"HTTP/1.0 200 OK\r\n\r\nhello"), "hello");
    assert_eq!(body_of(b"HTTP/1.1 204 No Content\r\n\r\n"), "");
}

#[test]
fn interim_answers_are_passed_over() {
    let answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
                   HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}";
    let reply = answer_to(answer).unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (201, &b"{}"[..]));
}

#[test]
fn an_answer_tells_the_servers_time() {
    let date = |value: &str| {
        let head = format!("HTTP/1.1 200 OK\r\nDate: {value}\r\nContent-Length: 2\r\n\r\n{{}}");
        answer_to(head.leak().as_bytes()).unwrap().date
    };
    let expected = WallTime::parse("1994-11-06T08:49:37Z");
    assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), expected);
    for other in ["", "0", "Sun, 06 Nov", "784111777"] {
        assert_eq!(date(other), None, "{other}");
    }
}

#[test]
fn a_refusal_is_an_answer_with_its_wait() {
    let reply = answer_to(
        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}",
    );
    let wait = Some(Duration::from_secs(7));
    assert_eq!(
        reply,
        Ok(Reply {
            status: 429,
            retry_after: wait,
            date: None,
            by: KnownBy::Token,
            body: b"{}".to_vec()
        })
    );
}

#[test]
fn a_redirect_is_an_answer() {
    let answer = b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/\r\n\
                   Content-Length: 5\r\n\r\nthere";
    let reply = answer_to(answer).unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (302, &b"there"[..]));
}

#[test]
fn what_the_server_wants_closed_is_not_used_again() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"[..],
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        // More than was said: the next answer would begin in the middle.
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\n",
    ] {
        // It would answer on.
        let puppet = Puppet::new(move |_, _| Some(answer));
        let client = puppet.server.client();
        for _ in 0..2 {
            ask(&client).unwrap();
        }
        assert_eq!(puppet.connections(), [0, 1], "{}", String::from_utf8_lossy(answer));
    }
}

/// The server ends the connection after each prefix of an answer, with and without a goodbye; `http::h1` has the
/// same for each framing.
#[test]
fn no_prefix_of_an_answer_passes_for_one() {
    const ANSWER: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
    let (hear, heard) = mpsc::channel();
    let server = StandIn::start(move |number, mut peer| {
        peer.hears();
        let _ = hear.send(number);
        peer.says(&ANSWER[..number / 2]);
        if number % 2 == 0 { peer.leaves() } else { peer.drops() }
    });
    let client = server.client();
    loop {
        let result = ask(&client);
        let length = heard.try_iter().last().unwrap() / 2;
        if length == ANSWER.len() {
            assert_eq!(result.unwrap().status, 200);
            return;
        }
        match result.expect_err(&String::from_utf8_lossy(&ANSWER[..length])) {
            Cause::Unanswered(_) => assert_eq!(length, 0),
            Cause::CutShort { status: None, length: said } => assert_eq!(said, length),
            Cause::CutShort { status: Some(200), .. } => assert!(length > 12),
            other => panic!("{length}: {other:?}"),
        }
    }
}

#[test]
fn a_body_until_the_end_needs_a_goodbye() {
    let server = StandIn::start(|_, mut peer| {
        peer.hears();
        peer.says(b"HTTP/1.0 200 OK\r\n\r\n{\"a\":");
        peer.drops();
    });
    let why = server.client().ask(&get("/api"), LONG).unwrap_err();
    assert_eq!(why.cause, Cause::CutShort { status: Some(200), length: 5 });
    assert_eq!(
        why.to_string(),
        "GET /api: the answer of the API server with status 200 was cut short after 5 bytes of its \
         body"
    );
}

#[test]
fn what_is_no_http_is_named_so() {
    for (answer, status) in NOT_HTTP {
        match answer_to(answer) {
            Err(Cause::NotHttp { status: got, .. }) => assert_eq!(got, status),
            other => panic!("{}: {other:?}", String::from_utf8_lossy(answer)),
        }
    }
}

/// Says `first`, then `again` for as long as somebody listens.
fn endless(first: &'static [u8], again: &'static [u8]) -> StandIn {
    StandIn::start(move |_, mut peer| {
        peer.hears();
        peer.says(first);
        while peer.says(again) {}
    })
}

#[test]
fn a_head_without_end_is_left() {
    for server in [
        endless(b"HTTP/1.1 200 OK\r\n", b"X-Pad: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ] {
        let too_long = Cause::TooLong { status: None, limit: HEAD_LIMIT };
        assert_eq!(ask(&server.client()), Err(too_long));
    }
    // Many short headers come to another limit first.
    let came = ask(&endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n").client());
    assert!(matches!(came, Err(Cause::NotHttp { status: None, .. })), "{came:?}");
}

#[test]
fn a_body_without_end_is_left() {
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    const SAID: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n";
    let limit = get("/api").answer_limit;
    let bodies: [(&'static [u8], &'static [u8], u16, usize); 4] = [
        (CHUNKED, b"8\r\naaaaaaaa\r\n", 200, limit),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"aaaaaaaa", 200, limit),
        (SAID, b"aaaaaaaa", 200, limit),
        (b"HTTP/1.0 503 Busy\r\n\r\n", &[b'a'; 4096], 503, REFUSAL.read),
    ];
    for (first, again, status, limit) in bodies {
        let too_long = Cause::TooLong { status: Some(status), limit };
        assert_eq!(ask(&endless(first, again).client()), Err(too_long));
    }
    // Neither a chunk's length nor its trailers end.
    let came = ask(&endless(CHUNKED, b"0000000000000000").client());
    assert!(matches!(came, Err(Cause::NotHttp { status: Some(200), .. })), "{came:?}");
}

#[test]
fn a_body_as_long_as_may_be_is_read_and_one_byte_more_is_not() {
    let limit = get("/api").answer_limit;
    for (length, kept) in [(limit, true), (limit + 1, false)] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let answer = format!("{head}{}", "a".repeat(length)).leak();
        match answer_to(answer.as_bytes()) {
            Ok(reply) => assert!(kept && reply.body.len() == limit),
            Err(cause) => {
                assert_eq!((kept, cause), (false, Cause::TooLong { status: Some(200), limit }));
            }
        }
    }
    // Of what is read the rest may be of no interest.
    let server = StandIn::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let request = Request { answer_kept: 2, ..get("/api") };
    assert_eq!(server.client().ask(&request, LONG).unwrap().body, b"he");
}

#[test]
fn of_a_long_refusal_the_beginning_is_kept_and_so_is_the_connection() {
    let (hear, heard) = mpsc::channel();
    let server = StandIn::start(move |number, mut peer| {
        while peer.hears().is_some() {
            let _ = hear.send(number);
            peer.says(b"HTTP/1.1 503 Busy\r\nContent-Length: 100000\r\n\r\n");
            peer.says(&vec![b'a'; 100_000]);
        }
    });
    let client = server.client();
    for _ in 0..2 {
        let reply = ask(&client).unwrap();
        assert_eq!((reply.status, reply.body.len()), (503, REFUSAL.kept));
    }
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [0, 0]);
}

#[test]
fn the_deadline_counts_for_the_whole_answer() {
    // Each byte comes in time; together they never end.
    let drip: fn(Peer) = |mut peer| {
        peer.says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        while peer.says(b"a") {}
    };
    let silence: fn(Peer) = Peer::waits_for_the_end;
    for late in [drip, silence] {
        let (hear, heard) = mpsc::channel();
        let server = StandIn::start(move |number, mut peer| {
            peer.hears();
            let _ = hear.send(number);
            peer.says(OK);
            if number == 0 {
                peer.hears();
                let _ = hear.send(number);
                late(peer);
            }
        });
        let client = server.client();
        assert_eq!(status(&client), Ok(200));
        let request = Request { answer_limit: usize::MAX, ..get("/api") };
        let why = client.ask(&request, LATE).unwrap_err();
        assert_eq!(why.cause, Cause::TimedOut(LATE));
        assert_eq!(
            why.to_string(),
            "GET /api: no complete answer of the API server within 500.0ms"
        );
        // What comes late is nobody else's answer.
        assert_eq!(status(&client), Ok(200));
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [0, 0, 1]);
    }
}

#[test]
fn what_is_given_up_ends_at_once_and_its_connection_with_it() {
    let (hear, heard) = mpsc::channel();
    let server = StandIn::start(move |_, mut peer| {
        let request = peer.hears();
        let _ = hear.send(request.is_some());
        // Silent. The next thing that comes is the end.
        let _ = hear.send(peer.hears().is_some());
    });
    let client = server.client();
    let free = client.free();
    let [a, b] = [Cancel::default(), Cancel::default()];
    let [of_a, of_b] = [&a, &b].map(|cancel| submit(&client, LONG, cancel));
    assert_eq!([heard.recv(), heard.recv()], [Ok(true), Ok(true)]);
    assert_eq!(client.free(), free - 2);
    client.give_up(&a);
    assert!(matches!(of_a.recv().unwrap(), Err(Cause::GivenUp(_))));
    assert_eq!(heard.recv(), Ok(false), "the server hears of it");
    assert!(of_b.try_recv().is_err(), "the other one is still waited for");
    assert_eq!(client.free(), free - 1);
    assert_eq!((a.is_waited_for(), b.is_waited_for()), (false, true));
    client.give_up(&b);
    assert!(matches!(of_b.recv().unwrap(), Err(Cause::GivenUp(_))));
}

#[test]
fn what_is_given_up_is_not_asked_again_over_another_connection() {
    let puppet = Puppet::new(|connection, number| {
        Some(if (connection, number) == (0, 1) { b"" } else { OK })
    });
    let client = puppet.server.client();
    assert_eq!(status(&client), Ok(200));
    let cancel = Cancel::default();
    let answer = submit(&client, LONG, &cancel);
    assert_eq!((puppet.heard.recv().unwrap().0, puppet.heard.recv().unwrap().0), (0, 0));
    client.give_up(&cancel);
    assert!(matches!(answer.recv().unwrap(), Err(Cause::GivenUp(_))));
    // What is asked afterwards is the next that is heard.
    assert_eq!(status(&client), Ok(200));
    assert_eq!(puppet.connections(), [1]);
    // What nobody waits for any more is not even asked.
    assert!(matches!(submit(&client, LONG, &cancel).recv().unwrap(), Err(Cause::GivenUp(_))));
    assert_eq!(puppet.connections(), [0; 0]);
}

#[test]
fn a_connection_that_went_stale_is_replaced_once() {
    let puppet = Puppet::new(|connection, number| match (connection, number) {
        (0, 1) | (2.., _) => None,
        _ => Some(OK),
    });
    let client = puppet.server.client();
    assert_eq!(status(&client), Ok(200));
    assert_eq!(status(&client), Ok(200));
    assert_eq!(puppet.connections(), [0, 0, 1]);
}

#[test]
fn what_was_repeated_over_another_connection_that_was_kept_is_not_repeated_again() {
    let both = Barrier::new(2);
    let puppet = Puppet::new(move |connection, number| match (connection, number) {
        (0 | 1, 0) => {
            both.wait();
            Some(OK)
        }
        (0 | 1, _) => None,
        _ => Some(OK),
    });
    let client = puppet.server.client();
    let answers = [(); 2].map(|()| submit(&client, LONG, &Cancel::default()));
    assert_eq!(answers.map(|answer| answer.recv().unwrap()), [Ok(200), Ok(200)]);
    puppet.connections();
    assert!(matches!(status(&client), Err(Cause::Unanswered(_))));
    let mut connections = puppet.connections();
    connections.sort_unstable();
    assert_eq!(connections, [0, 1]);
}

#[test]
fn what_fails_on_a_fresh_connection_is_not_repeated() {
    let puppet = Puppet::new(|_, _| None);
    assert!(matches!(status(&puppet.server.client()), Err(Cause::Unanswered(_))));
    assert_eq!(puppet.connections(), [0]);

    let puppet = Puppet::new(|connection, number| match (connection, number) {
        (0, 0) => Some(OK),
        _ => None,
    });
    let client = puppet.server.client();
    assert_eq!(status(&client), Ok(200));
    assert!(matches!(status(&client), Err(Cause::Unanswered(_))));
    assert_eq!(puppet.connections(), [0, 0, 1]);
}

#[test]
fn an_answer_that_began_is_not_asked_for_again() {
    let puppet = Puppet::new(|_, number| match number {
        0 => Some(OK),
        1 => Some(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{"),
        _ => None,
    });
    let client = puppet.server.client();
    assert_eq!(status(&client), Ok(200));
    let answer = submit(&client, LATE, &Cancel::default());
    assert_eq!(answer.recv().unwrap(), Err(Cause::TimedOut(LATE)));
    // The connection is not used again.
    assert_eq!(status(&client), Ok(200));
    assert_eq!(puppet.connections(), [0, 0, 1]);
}

#[test]
fn each_request_bears_the_token_that_the_file_has_then() {
    let puppet = Puppet::new(|_, _| Some(OK));
    let client = puppet.server.client();
    assert_eq!(status(&client), Ok(200));
    puppet.server.files().put_token(b"new-token");
    assert_eq!(status(&client), Ok(200));
    // In the moment in which the file is replaced the last one will do.
    puppet.server.files().remove_token();
    assert_eq!(status(&client), Ok(200));
    assert_eq!(puppet.tokens(), ["a-token", "new-token", "new-token"]);
}

/// Accepts no token, and waits each time before it says so.
fn accepting_none(accepted: &'static str) -> (StandIn, Receiver<String>, mpsc::Sender<()>) {
    let ((hear, heard), (go, told)) = (mpsc::channel(), mpsc::channel());
    let told = Mutex::new(told);
    let server = StandIn::start(move |_, mut peer| {
        while let Some(request) = peer.hears() {
            let token = token_of(&request);
            let answer = if token == accepted { OK } else { UNAUTHORIZED };
            let _ = hear.send(token);
            let _ = told.lock().unwrap().recv();
            peer.says(answer);
        }
    });
    (server, heard, go)
}

#[test]
fn a_token_that_was_replaced_meanwhile_is_tried_at_once() {
    let (server, heard, go) = accepting_none("new-token");
    let client = server.client();
    let answer = submit(&client, LONG, &Cancel::default());
    assert_eq!(heard.recv().unwrap(), "a-token");
    server.files().put_token(b"new-token");
    go.send(()).unwrap();
    assert_eq!(heard.recv().unwrap(), "new-token");
    go.send(()).unwrap();
    assert_eq!(answer.recv().unwrap(), Ok(200));
}

#[test]
fn a_token_that_is_not_accepted_is_tried_once_more_at_most() {
    let (server, heard, go) = accepting_none("");
    let client = server.client();
    // The file has no other.
    let answer = submit(&client, LONG, &Cancel::default());
    go.send(()).unwrap();
    assert_eq!(answer.recv().unwrap(), Ok(401));
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["a-token"]);
    // It has another one each time.
    let answer = submit(&client, LONG, &Cancel::default());
    for (token, next) in [("a-token", "b-token"), ("b-token", "c-token")] {
        assert_eq!(heard.recv().unwrap(), token);
        server.files().put_token(next.as_bytes());
        go.send(()).unwrap();
    }
    assert_eq!(answer.recv().unwrap(), Ok(401));
    // The next request bears the newest.
    let answer = submit(&client, LONG, &Cancel::default());
    assert_eq!(heard.recv().unwrap(), "c-token");
    go.send(()).unwrap();
    assert_eq!(answer.recv().unwrap(), Ok(401));
}

#[test]
fn without_any_token_nothing_is_asked() {
    let puppet = Puppet::new(|_, _| Some(OK));
    puppet.server.files().remove_token();
    let client = puppet.server.client();
    let why = client.ask(&get("/api"), LONG).unwrap_err();
    assert!(matches!(why.cause, Cause::Credentials(_)), "{why}");
    let said = why.to_string();
    assert!(said.starts_with("the ServiceAccount token cannot be read from "), "{said}");
    puppet.server.files().put_token(b"late");
    assert_eq!(status(&client), Ok(200));
    assert_eq!(puppet.tokens(), ["late"]);
}

/// The client of a server that is at that port.
fn client_to(port: u16, files: &StandIn) -> Client {
    let address = Address::parse("127.0.0.1", port).unwrap();
    let (token, ca) = (files.files().token(), files.files().authority());
    Client::new(Arc::new(Server::new(address, token, ca)), Clock::start())
}

fn why_not(client: &Client, timeout: Duration) -> String {
    client.ask(&get("/api"), timeout).unwrap_err().to_string()
}

#[test]
fn a_refused_connection_is_named_so() {
    let (server, port) = (StandIn::answering(b""), deaf_address().port());
    let expected = format!(
        "the API server at 127.0.0.1:{port} cannot be reached: Connection refused (os error 111)"
    );
    assert_eq!(why_not(&client_to(port, &server), LONG), expected);
}

#[test]
fn one_who_speaks_no_tls_is_named_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answering = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let server = StandIn::answering(b"");
    let expected = format!(
        "no TLS connection to the API server at 127.0.0.1:{port}: what answers there does not \
         speak TLS"
    );
    assert_eq!(why_not(&client_to(port, &server), LONG), expected);
    answering.join().unwrap();
}

#[test]
fn a_handshake_without_answer_is_named_so() {
    // The system accepts for it; nobody answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = StandIn::answering(b"");
    let expected =
        format!("GET /api: no connection to the API server at 127.0.0.1:{port} within 50.0ms");
    assert_eq!(why_not(&client_to(port, &server), SHORT), expected);
}

/// What comes of a stream: its lines, and what else happens.
fn stream(client: &Client, timeout: Duration, cancel: &Cancel) -> Receiver<String> {
    let (tell, told) = mpsc::channel();
    let mut lines = Lines::new(OBJECT_LIMIT);
    client.stream(get("/w"), timeout, cancel.clone(), move |came| {
        let tell = |said: String| {
            let _ = tell.send(said);
            ControlFlow::Continue(())
        };
        let text = |line: Piece<'_>| match line {
            Piece::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
            Piece::TooLong { .. } => panic!("too long"),
        };
        match came {
            Streamed::Opened => tell("<opened>".to_owned()),
            Streamed::Piece(piece) => lines.push(piece, |line| tell(text(line))),
            Streamed::Ended => {
                if let Some(line) = lines.last() {
                    tell(text(line))?;
                }
                tell("<ended>".to_owned())
            }
            Streamed::Refused(reply) => {
                tell(format!("<{}> {}", reply.status, String::from_utf8(reply.body).unwrap()))
            }
            Streamed::Failed(error) => tell(format!("<failed> {error}")),
        }
    });
    told
}

fn all(of_stream: &Receiver<String>) -> Vec<String> {
    of_stream.iter().collect()
}

const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_stream_is_told_line_by_line_and_may_pause() {
    let (go, told) = mpsc::channel();
    let told = Mutex::new(told);
    let server = StandIn::start(move |_, mut peer| {
        peer.hears();
        peer.says(OK);
        peer.hears();
        peer.says(STREAM);
        peer.says(b"8\r\none\ntwo\n\r\n3\r\nthr\r\n");
        told.lock().unwrap().recv().unwrap();
        peer.says(b"3\r\nee\n\r\n4\r\nrest\r\n0\r\n\r\n");
        peer.waits_for_the_end();
    });
    let client = server.client();
    assert_eq!(status(&client), Ok(200));
    let timeout = Duration::from_millis(300);
    let came = stream(&client, timeout, &Cancel::default());
    for expected in ["<opened>", "one", "two"] {
        assert_eq!(came.recv().unwrap(), expected);
    }
    // Only the head was to come within that time.
    assert_eq!(came.recv_timeout(timeout * 2), Err(RecvTimeoutError::Timeout));
    go.send(()).unwrap();
    assert_eq!(all(&came), ["three", "rest", "<ended>"]);
}

#[test]
fn a_stream_that_breaks_off_gives_its_whole_lines_and_then_the_error() {
    let server = StandIn::start(|_, mut peer| {
        peer.hears();
        peer.says(STREAM);
        peer.says(b"7\r\none\nhal\r\n");
        peer.leaves();
    });
    let came = stream(&server.client(), LONG, &Cancel::default());
    let cut = "<failed> GET /w: the answer of the API server with status 200 was cut short after 7 \
               bytes of its body";
    assert_eq!(all(&came), ["<opened>", "one", cut]);
}

#[test]
fn a_stream_refused_is_an_answer() {
    let server = StandIn::answering(b"HTTP/1.1 410 Gone\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(all(&stream(&server.client(), LONG, &Cancel::default())), ["<410> {}"]);
}

#[test]
fn the_head_of_a_stream_must_come_in_time() {
    let server = StandIn::start(|_, mut peer| {
        peer.hears();
        peer.says(OK);
        peer.waits_for_the_end();
    });
    let client = server.client();
    assert_eq!(status(&client), Ok(200));
    let late = "<failed> GET /w: no complete answer of the API server within 50.0ms";
    assert_eq!(all(&stream(&client, SHORT, &Cancel::default())), [late]);
}

#[test]
fn a_stream_has_no_longest_length() {
    let length = get("/w").answer_limit * 2;
    let server = StandIn::start(move |_, mut peer| {
        peer.hears();
        peer.says(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
        peer.says(&vec![b'a'; length]);
        peer.waits_for_the_end();
    });
    let came = stream(&server.client(), LONG, &Cancel::default());
    assert_eq!(all(&came), ["<opened>", &"a".repeat(length), "<ended>"]);
}

/// Begins a stream, tells it a line, and says when the other side has ended.
fn streaming() -> (StandIn, Receiver<()>) {
    let (tell, ended) = mpsc::channel();
    let server = StandIn::start(move |_, mut peer| {
        peer.hears();
        peer.says(STREAM);
        peer.says(b"4\r\none\n\r\n");
        peer.waits_for_the_end();
        let _ = tell.send(());
    });
    (server, ended)
}

#[test]
fn a_stream_that_is_given_up_ends_at_once_and_its_connection_with_it() {
    let (server, ended) = streaming();
    let (client, cancel) = (server.client(), Cancel::default());
    let came = stream(&client, LONG, &cancel);
    assert_eq!((came.recv().unwrap(), came.recv().unwrap()), ("<opened>".into(), "one".into()));
    client.give_up(&cancel);
    let last = all(&came).concat();
    assert!(last.starts_with("<failed> ") && last.ends_with("; given up"), "{last}");
    assert_eq!(ended.recv_timeout(LONG), Ok(()));
}

#[test]
fn a_stream_of_which_no_more_is_wanted_is_ended() {
    let (server, ended) = streaming();
    server.client().stream(get("/w"), LONG, Cancel::default(), |came| match came {
        Streamed::Opened => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    });
    assert_eq!(ended.recv_timeout(LONG), Ok(()));
}

/// As kube-apiserver 1.34 says it.
fn may_not(connection: &str) -> String {
    let body = r#"{"kind":"Status","message":"users \"system:node:n1\" is forbidden: User \"system:serviceaccount:a:b\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"}"#;
    format!(
        "HTTP/1.1 403 Forbidden\r\nConnection: {connection}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Lets nobody act as a node; `keeps`: its connections stay open.
fn refusing(keeps: bool) -> (StandIn, Receiver<Option<String>>) {
    let (tell, names) = mpsc::channel();
    let server = StandIn::start(move |_, mut peer| {
        while let Some(request) = peer.hears() {
            let name = request.lines().find_map(|line| line.strip_prefix("impersonate-user: "));
            let is_named = name.is_some();
            tell.send(name.map(str::to_owned)).unwrap();
            if is_named {
                peer.says(may_not(if keeps { "keep-alive" } else { "close" }).as_bytes());
                if !keeps {
                    return;
                }
            } else {
                peer.says(OK);
            }
        }
    });
    (server, names)
}

fn named(server: &StandIn) -> Client {
    Client::new(Arc::new(server.server_choosing(Choice::Auto)), Clock::start())
}

#[test]
fn what_the_node_may_not_be_asked_as_is_asked_anew_at_once() {
    for keeps in [true, false] {
        let (server, names) = refusing(keeps);
        let client = named(&server);
        for _ in 0..2 {
            assert_eq!(status(&client), Ok(200));
        }
        let asked_as: Vec<_> = names.try_iter().collect();
        assert_eq!(asked_as, [Some("system:node:n1".to_owned()), None, None], "keeps: {keeps}");
    }
}

#[test]
fn a_stream_is_opened_anew_too() {
    let (server, names) = refusing(true);
    let came = stream(&named(&server), LONG, &Cancel::default());
    assert_eq!(all(&came), ["<opened>", "{}", "<ended>"]);
    assert_eq!(names.try_iter().count(), 2);
}

#[test]
fn in_whose_name_is_found_out_by_what_is_answered_in_the_other() {
    // Whoever may act as anybody acts as a node without its rights.
    let puppet = |refused: &'static [u8]| {
        StandIn::start(move |_, mut peer| {
            while let Some(request) = peer.hears() {
                let is_named = request.contains("impersonate-user: ");
                peer.says(if is_named { refused } else { OK });
            }
        })
    };
    let forbidden = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    let not_as_node = Some(Identity::ServiceAccount(None));
    for (server, found) in [(puppet(forbidden), not_as_node), (puppet(OK), Some(Identity::Node))] {
        let client = named(&server);
        assert_eq!(status(&client), Ok(200));
        assert_eq!(client.server().identity(), found);
        let client = named(&server);
        assert_eq!(all(&stream(&client, LONG, &Cancel::default())), ["<opened>", "{}", "<ended>"]);
        assert_eq!(client.server().identity(), found, "by a stream");
    }
}

#[test]
fn only_a_missing_right_that_the_node_may_have_lets_its_name_be_tried_again() {
    const NO_RIGHT: &str =
        r#"pods \"a\" is forbidden: User \"system:serviceaccount:a:b\" cannot create resource"#;
    const TERMINATING: &str = r#"pods \"a\" is forbidden: unable to create new content in namespace n because it is being terminated"#;
    for (path, message, again) in [
        ("/api/v1/nodes/n", NO_RIGHT, true),
        ("/api/v1/namespaces/n/pods/a/eviction", TERMINATING, false),
        ("/api/v1/namespaces/n/events", NO_RIGHT, false),
    ] {
        let (tell, names) = mpsc::channel();
        let server = StandIn::start(move |_, mut peer| {
            while let Some(request) = peer.hears() {
                let is_named = request.contains("impersonate-user: ");
                tell.send(is_named).unwrap();
                if is_named {
                    peer.says(may_not("keep-alive").as_bytes());
                } else {
                    let body = format!(r#"{{"kind":"Status","message":"{message}"}}"#);
                    let length = body.len();
                    let head = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {length}");
                    peer.says(format!("{head}\r\n\r\n{body}").as_bytes());
                }
            }
        });
        let client = named(&server);
        for _ in 0..3 {
            assert_eq!(client.ask(&get(path), LONG).unwrap().status, 403);
        }
        let asked: Vec<_> = names.try_iter().collect();
        // The answer to what is asked anew is not counted.
        let expected = if again {
            &[true, false, false, true, false][..]
        } else {
            &[true, false, false, false]
        };
        assert_eq!(asked, expected, "{path}");
    }
}

#[test]
fn only_the_service_account_changes_taints() {
    let (server, names) = refusing(true);
    let request = Request { caller: Caller::ServiceAccount, ..get("/api") };
    assert_eq!(named(&server).ask(&request, LONG).unwrap().status, 200);
    assert_eq!(names.try_iter().collect::<Vec<_>>(), [None]);
}

/// Answers a request, and then does this with the idle connection, when the test says so. Every other request
/// is answered.
fn then(
    act: impl Fn(Peer) + Send + Sync + 'static,
) -> (StandIn, mpsc::Sender<()>, Receiver<usize>) {
    let ((go, told), (hear, heard)) = (mpsc::channel(), mpsc::channel());
    let told = Mutex::new(told);
    let server = StandIn::start(move |number, mut peer| {
        while peer.hears().is_some() {
            let _ = hear.send(number);
            peer.says(OK);
            if number == 0 {
                let _ = told.lock().unwrap().recv();
                return act(peer);
            }
        }
    });
    (server, go, heard)
}

#[test]
fn an_idle_connection_on_which_something_came_is_not_used() {
    let late: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    let acts: [Box<dyn Fn(Peer) + Send + Sync>; 4] = [
        Box::new(move |mut peer| {
            peer.says(late);
            peer.waits_for_the_end();
        }),
        Box::new(Peer::leaves),
        Box::new(Peer::drops),
        Box::new(Peer::breaks),
    ];
    for (number, act) in acts.into_iter().enumerate() {
        let (tell, told) = mpsc::channel();
        let (server, go, heard) = then(move |peer| {
            act(peer);
            let _ = tell.send(());
        });
        let (client, statuses) = counting(server.server());
        assert_eq!(status(&client), Ok(200));
        go.send(()).unwrap();
        // Where the server waits for the end, that has come, too.
        told.recv_timeout(LONG).unwrap();
        assert_eq!(status(&client), Ok(200), "{number}");
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [0, 1], "{number}");
        // What was not sent is not counted.
        assert_eq!(statuses(), [Some(200), Some(200)], "{number}");
    }
}

#[test]
fn what_was_said_with_the_answer_is_seen_on_the_idle_connection() {
    // One record of TLS, of which so much is read at a time that all else is left.
    let (hear, heard) = mpsc::channel();
    let server = StandIn::start(move |number, mut peer| {
        while peer.hears().is_some() {
            let _ = hear.send(number);
            let before =
                |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            let length = CHUNK - before(CHUNK).len();
            let answer = format!("{}{}", before(length), "a".repeat(length));
            assert_eq!(answer.len(), CHUNK);
            peer.says(format!("{answer}HTTP/1.1 408 Request Timeout\r\n\r\n").as_bytes());
        }
    });
    let client = server.client();
    for _ in 0..2 {
        assert_eq!(status(&client), Ok(200));
    }
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn what_tls_says_for_itself_does_not_end_an_idle_connection() {
    let (server, go, heard) = then(|mut peer| {
        peer.refreshes_its_keys();
        peer.hears();
        peer.says(OK);
        peer.waits_for_the_end();
    });
    let client = server.client();
    assert_eq!(status(&client), Ok(200));
    go.send(()).unwrap();
    // It has come, whether or not it was read here.
    assert_eq!(heard.recv_timeout(SHORT), Ok(0));
    assert_eq!(heard.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    assert_eq!(status(&client), Ok(200));
    // Over another connection it would have been heard.
    assert_eq!(heard.try_iter().count(), 0);
}

/// A client, and the statuses of its exchanges since that was last asked.
fn counting(server: Arc<Server>) -> (Client, impl Fn() -> Vec<Option<u16>>) {
    let statuses = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&statuses);
    server.observe(Observer {
        exchanged: Box::new(move |verb, status| {
            assert_eq!(verb, Verb::Get);
            heard.lock().unwrap().push(status);
        }),
        identified: Box::new(|_| {}),
    });
    let take = move || std::mem::take(&mut *statuses.lock().unwrap());
    (Client::new(server, Clock::start()), take)
}

#[test]
fn an_exchange_is_counted_once_and_what_is_asked_anew_as_another() {
    // It was sent once more because its connection had gone stale.
    let puppet = Puppet::new(|connection, number| match (connection, number) {
        (0, 1) => None,
        _ => Some(OK),
    });
    let (client, statuses) = counting(puppet.server.server());
    assert_eq!((status(&client), status(&client)), (Ok(200), Ok(200)));
    assert_eq!(puppet.connections(), [0, 0, 1]);
    assert_eq!(statuses(), [Some(200), Some(200)]);

    // The refusal of a name is no answer to what was asked.
    let (server, names) = refusing(true);
    let (client, statuses) = counting(Arc::new(server.server_choosing(Choice::Auto)));
    assert_eq!(status(&client), Ok(200));
    assert_eq!((names.try_iter().count(), statuses()), (2, vec![Some(200)]));
    let (client, statuses) = counting(Arc::new(server.server_choosing(Choice::Auto)));
    assert_eq!(all(&stream(&client, LONG, &Cancel::default())).len(), 3);
    assert_eq!((names.try_iter().count(), statuses()), (2, vec![Some(200)]));

    let (server, heard, go) = accepting_none("new-token");
    let (client, statuses) = counting(server.server());
    let answer = submit(&client, LONG, &Cancel::default());
    heard.recv().unwrap();
    server.files().put_token(b"new-token");
    go.send(()).and_then(|()| go.send(())).unwrap();
    assert_eq!(answer.recv().unwrap(), Ok(200));
    assert_eq!(statuses(), [Some(401), Some(200)]);
}

#[test]
fn what_has_no_answer_is_counted_so() {
    let server = StandIn::answering(b"");
    let address = Address::parse("127.0.0.1", deaf_address().port()).unwrap();
    let (token, ca) = (server.files().token(), server.files().authority());
    let (client, statuses) = counting(Arc::new(Server::new(address, token, ca)));
    assert!(matches!(status(&client), Err(Cause::Unreachable(_))));
    assert_eq!(statuses(), [None]);

    let (client, statuses) = counting(server.server());
    let cancel = Cancel::default();
    let answer = submit(&client, LONG, &cancel);
    client.give_up(&cancel);
    assert!(answer.recv().unwrap().is_err());
    assert!(client.ask(&get("/api"), SHORT).is_err());
    assert_eq!(all(&stream(&client, SHORT, &Cancel::default())).len(), 1);
    assert_eq!(statuses(), [None, None, None]);
}

#[test]
fn a_stream_is_counted_when_it_is_open_and_not_again_when_it_ends() {
    let (server, _) = streaming();
    let (client, statuses) = counting(server.server());
    let cancel = Cancel::default();
    let came = stream(&client, LONG, &cancel);
    assert_eq!((came.recv().unwrap(), came.recv().unwrap()), ("<opened>".into(), "one".into()));
    assert_eq!(statuses(), [Some(200)]);
    client.give_up(&cancel);
    assert_eq!(all(&came).len(), 1);
    assert_eq!(statuses(), []);

    let server = StandIn::answering(b"HTTP/1.1 410 Gone\r\nContent-Length: 2\r\n\r\n{}");
    let (client, statuses) = counting(server.server());
    assert_eq!(all(&stream(&client, LONG, &Cancel::default())), ["<410> {}"]);
    assert_eq!(statuses(), [Some(410)]);
}

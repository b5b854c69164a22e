use super::*;
use crate::clock::Clock;
use crate::http::exchange::{CHUNK, HEAD_LIMIT};
use crate::kube::identity::Choice;
use crate::kube::lines::{Lines, Piece};
use crate::kube::request::Name;
use crate::kube::stand_in::{LONG, Peer, SHORT, StandIn, delete, get};
use std::sync::{Mutex, mpsc};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

fn answer_to(answer: &'static [u8]) -> Result<Reply, Trouble> {
    StandIn::answering_once(answer).connection().send(&get("/api"), LONG)
}

fn body_of(answer: &'static [u8]) -> String {
    String::from_utf8(answer_to(answer).unwrap().body).unwrap()
}

#[test]
fn a_request_is_written_as_the_api_server_wants_it() {
    let (tell, requests) = mpsc::channel();
    let server = StandIn::start(move |_, mut peer| {
        while let Some(request) = peer.hears() {
            tell.send(request).unwrap();
            peer.says(OK);
        }
    });
    let mut connection = server.connection();
    connection.send(&delete("/api/v1/pods/a?x=1", r#"{"a":1}"#), LONG).unwrap();
    let request = requests.recv().unwrap();
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
            &format!("host: {}", server.server().address()),
            &format!("user-agent: k8s-spot-handler/{}", env!("CARGO_PKG_VERSION")),
        ]
    );
    assert_eq!(body, r#"{"a":1}"#);

    connection.send(&get("/api"), LONG).unwrap();
    let request = requests.recv().unwrap();
    assert!(request.starts_with("GET /api HTTP/1.1\r\n"), "{request}");
    assert!(!request.contains("content-"), "{request}");
}

#[test]
fn one_connection_carries_many_requests() {
    let (opened, connections) = mpsc::channel();
    let server = StandIn::start(move |number, mut peer| {
        opened.send(number).unwrap();
        while peer.hears().is_some() {
            peer.says(OK);
        }
    });
    let mut connection = server.connection();
    for _ in 0..3 {
        let reply = connection.send(&get("/api"), LONG).unwrap();
        assert_eq!((reply.status, reply.body.as_slice()), (200, &b"{}"[..]));
        assert!(connection.is_reusable());
    }
    assert_eq!(connections.try_iter().collect::<Vec<_>>(), [0]);
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
        let mut connection = StandIn::answering_once(answer).connection();
        connection.send(&get("/api"), LONG).unwrap();
        assert!(!connection.is_reusable(), "{}", String::from_utf8_lossy(answer));
    }
}

/// Sends each proper prefix of `answer` and ends the connection, with and without a goodbye.
fn every_prefix_is_a_trouble(answer: &'static [u8]) {
    let server = StandIn::start(move |number, mut peer| {
        peer.hears();
        peer.says(&answer[..number / 2]);
        if number % 2 == 0 { peer.leaves() } else { peer.drops() }
    });
    let access = server.access();
    for number in 0..answer.len() * 2 {
        let result = Connection::open(&access, LONG).unwrap().send(&get("/api"), LONG);
        let trouble = result.expect_err(&String::from_utf8_lossy(&answer[..number / 2]));
        let length = number / 2;
        match trouble {
            Trouble::Unanswered { .. } => assert_eq!(length, 0),
            Trouble::CutShort { status: None, length: said, .. } => assert_eq!(said, length),
            Trouble::CutShort { status: Some(200), .. } => assert!(length > 12),
            other => panic!("{length}: {other}"),
        }
    }
    assert_eq!(
        Connection::open(&access, LONG).unwrap().send(&get("/api"), LONG).unwrap().status,
        200
    );
}

#[test]
fn no_prefix_of_an_answer_with_a_length_passes_for_one() {
    every_prefix_is_a_trouble(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhello",
    );
}

#[test]
fn no_prefix_of_a_chunked_answer_passes_for_one() {
    every_prefix_is_a_trouble(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
    );
}

#[test]
fn a_body_until_the_end_needs_a_goodbye() {
    let server = StandIn::start(|_, mut peer| {
        peer.hears();
        peer.says(b"HTTP/1.0 200 OK\r\n\r\n{\"a\":");
        peer.drops();
    });
    assert_eq!(
        server.connection().send(&get("/api"), LONG),
        Err(Trouble::CutShort { asked: "GET /api".into(), status: Some(200), length: 5 })
    );
}

#[test]
fn what_is_no_http_is_named_so() {
    for (answer, status) in [
        (&b"<html>hello</html>\r\n\r\n"[..], None),
        (b"HTTP/2 200 OK\r\n\r\n", None),
        (b"HTTP/1.1 099 Odd\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", Some(200)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", Some(200)),
    ] {
        match answer_to(answer) {
            Err(Trouble::NotHttp { status: got, .. }) => assert_eq!(got, status),
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
    let asked = || "GET /api".to_owned();
    for server in [
        endless(b"HTTP/1.1 200 OK\r\n", b"X-Pad: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ] {
        assert_eq!(
            server.connection().send(&get("/api"), LONG),
            Err(Trouble::EndlessHead { asked: asked(), limit: HEAD_LIMIT })
        );
    }
    // Many short headers come to another limit first.
    let server = endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n");
    let trouble = server.connection().send(&get("/api"), LONG).unwrap_err();
    assert!(matches!(trouble, Trouble::NotHttp { status: None, .. }), "{trouble}");
}

#[test]
fn a_body_without_end_is_left() {
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let limit = get("/api").answer_limit;
    let too_long =
        |status, limit| Err(Trouble::EndlessBody { asked: "GET /api".into(), status, limit });
    let bodies: [(&'static [u8], &'static [u8], u16, usize); 3] = [
        (CHUNKED, b"8\r\naaaaaaaa\r\n", 200, limit),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"aaaaaaaa", 200, limit),
        (b"HTTP/1.0 503 Busy\r\n\r\n", &[b'a'; 4096], 503, REFUSAL.read),
    ];
    for (first, again, status, limit) in bodies {
        let reply = endless(first, again).connection().send(&get("/api"), LONG);
        assert_eq!(reply, too_long(status, limit));
    }
    // Said in advance: not read at all.
    for said in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
    ] {
        assert_eq!(answer_to(said), too_long(200, limit));
    }
    // Neither a chunk's length nor its trailers end.
    let server = endless(CHUNKED, b"0000000000000000");
    let trouble = server.connection().send(&get("/api"), LONG).unwrap_err();
    assert!(matches!(trouble, Trouble::NotHttp { status: Some(200), .. }), "{trouble}");
}

#[test]
fn of_a_long_refusal_the_beginning_is_kept_and_so_is_the_connection() {
    let server = StandIn::start(|_, mut peer| {
        while peer.hears().is_some() {
            peer.says(b"HTTP/1.1 503 Busy\r\nContent-Length: 100000\r\n\r\n");
            peer.says(&vec![b'a'; 100_000]);
        }
    });
    let mut connection = server.connection();
    let reply = connection.send(&get("/api"), LONG).unwrap();
    assert_eq!((reply.status, reply.body.len()), (503, REFUSAL.kept));
    assert!(connection.is_reusable());
}

#[test]
fn the_deadline_counts_for_the_whole_answer() {
    // Each byte comes in time; together they never end.
    let drip = endless(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"a");
    let silence = StandIn::start(|_, peer| peer.waits_for_the_end());
    for server in [drip, silence] {
        let mut request = get("/api");
        request.answer_limit = usize::MAX;
        let mut connection = server.connection();
        let trouble = connection.send(&request, SHORT).unwrap_err();
        assert_eq!(trouble, Trouble::TimedOut { asked: "GET /api".into(), patience: SHORT });
        assert!(!connection.is_reusable());
        // What comes late is nobody else's answer.
        let trouble = connection.send(&request, LONG).unwrap_err();
        assert!(matches!(trouble, Trouble::Unsendable { .. }), "{trouble}");
    }
}

#[test]
fn closing_the_access_wakes_whoever_waits() {
    let (tell, told) = mpsc::channel();
    let server = StandIn::start(move |_, mut peer| {
        peer.hears();
        tell.send(()).unwrap();
        peer.waits_for_the_end();
    });
    let access = server.access();
    let waiting = std::thread::spawn({
        let access = Arc::clone(&access);
        move || Connection::open(&access, LONG).unwrap().send(&get("/api"), LONG)
    });
    told.recv().unwrap();
    access.close();
    assert_eq!(waiting.join().unwrap(), Err(Trouble::Over));
    // Whoever comes later finds it closed.
    assert_eq!(Connection::open(&access, LONG).err(), Some(Trouble::Over));
}

fn stream_of(server: &StandIn) -> Lines {
    match server.connection().stream(&get("/w"), LONG) {
        Ok(Streaming::Body(body)) => Lines::new(body),
        Ok(Streaming::Refused(reply)) => panic!("{reply:?}"),
        Err(trouble) => panic!("{trouble}"),
    }
}

#[test]
fn a_stream_is_read_line_by_line() {
    let (go, told) = mpsc::channel();
    let told = Mutex::new(told);
    let server = StandIn::start(move |_, mut peer| {
        peer.hears();
        peer.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        peer.says(b"8\r\none\ntwo\n\r\n3\r\nthr\r\n");
        told.lock().unwrap().recv().unwrap();
        peer.says(b"3\r\nee\n\r\n4\r\nrest\r\n0\r\n\r\n");
        peer.waits_for_the_end();
    });
    let mut lines = stream_of(&server);
    assert_eq!(lines.next_line(LONG), Ok(Some(Piece::Text(b"one"))));
    assert_eq!(lines.next_line(LONG), Ok(Some(Piece::Text(b"two"))));
    // A pause is no loss.
    let paused = Trouble::TimedOut { asked: "GET /w".into(), patience: SHORT };
    assert_eq!(lines.next_line(SHORT), Err(paused));
    go.send(()).unwrap();
    assert_eq!(lines.next_line(LONG), Ok(Some(Piece::Text(b"three"))));
    assert_eq!(lines.next_line(LONG), Ok(Some(Piece::Text(b"rest"))));
    assert_eq!(lines.next_line(LONG), Ok(None));
    assert_eq!(lines.next_line(LONG), Ok(None));
}

#[test]
fn a_stream_that_breaks_off_gives_its_whole_lines_and_then_the_trouble() {
    let server = StandIn::start(|_, mut peer| {
        peer.hears();
        peer.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\none\nhal\r\n");
        peer.leaves();
    });
    let mut lines = stream_of(&server);
    assert_eq!(lines.next_line(LONG), Ok(Some(Piece::Text(b"one"))));
    let cut = Trouble::CutShort { asked: "GET /w".into(), status: Some(200), length: 7 };
    assert_eq!(lines.next_line(LONG), Err(cut));
}

#[test]
fn a_stream_refused_is_an_answer() {
    let server = StandIn::answering(b"HTTP/1.1 410 Gone\r\nContent-Length: 2\r\n\r\n{}");
    match server.connection().stream(&get("/w"), LONG) {
        Ok(Streaming::Refused(reply)) => {
            assert_eq!((reply.status, reply.body.as_slice()), (410, &b"{}"[..]));
        }
        _ => panic!("not refused"),
    }
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
fn refusing(keeps: bool) -> (StandIn, mpsc::Receiver<Option<String>>) {
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

fn named(server: &StandIn) -> Connection {
    let access = Access::new(Arc::new(server.server_choosing(Choice::Auto)), Clock::start());
    Connection::open(&Arc::new(access), LONG).unwrap()
}

#[test]
fn what_the_node_may_not_be_asked_as_is_asked_anew_at_once() {
    for keeps in [true, false] {
        let (server, names) = refusing(keeps);
        let mut connection = named(&server);
        for _ in 0..2 {
            assert_eq!(connection.send(&get("/api"), LONG).unwrap().status, 200);
        }
        let asked_as: Vec<_> = names.try_iter().collect();
        assert_eq!(asked_as, [Some("system:node:n1".to_owned()), None, None], "keeps: {keeps}");
    }
}

#[test]
fn a_stream_is_opened_anew_too() {
    let (server, names) = refusing(true);
    match named(&server).stream(&get("/api"), LONG).unwrap() {
        Streaming::Body(_) => {}
        Streaming::Refused(reply) => panic!("{}", reply.status),
    }
    assert_eq!(names.try_iter().count(), 2);
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
        let mut connection = named(&server);
        for _ in 0..3 {
            assert_eq!(connection.send(&get(path), LONG).unwrap().status, 403);
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

/// Says whether a connection is idle until that is so.
fn becomes_idle(connection: &mut Connection, idle: bool) {
    let until = connection.access.clock().now() + LONG;
    while connection.http.is_idle() != idle {
        assert!(connection.access.clock().now() < until, "idle: {}", !idle);
        std::thread::yield_now();
    }
}

/// Answers a request, and then does this with the idle connection, when the test says so.
fn then(
    act: impl Fn(Peer) + Send + Sync + 'static,
) -> (Connection, mpsc::Sender<()>, mpsc::Receiver<()>) {
    let ((go, told), (tell, acted)) = (mpsc::channel(), mpsc::channel());
    let told = Mutex::new(told);
    let server = StandIn::start(move |_, mut peer| {
        peer.hears();
        peer.says(OK);
        let _ = told.lock().unwrap().recv();
        act(peer);
        let _ = tell.send(());
    });
    let mut connection = server.connection();
    connection.send(&get("/api"), LONG).unwrap();
    assert!(connection.http.is_idle());
    (connection, go, acted)
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
    for act in acts {
        let (mut connection, go, _acted) = then(act);
        go.send(()).unwrap();
        becomes_idle(&mut connection, false);
        assert!(connection.is_reusable() && connection.if_idle().is_none());
    }
}

#[test]
fn what_was_said_with_the_answer_is_seen_on_the_idle_connection() {
    // One record of TLS, of which so much is read at a time that all else is left.
    let server = StandIn::start(|_, mut peer| {
        peer.hears();
        let head = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let length = CHUNK - head(CHUNK).len();
        let answer = format!("{}{}", head(length), "a".repeat(length));
        assert_eq!(answer.len(), CHUNK);
        peer.says(format!("{answer}HTTP/1.1 408 Request Timeout\r\n\r\n").as_bytes());
        peer.waits_for_the_end();
    });
    let mut connection = server.connection();
    connection.send(&get("/api"), LONG).unwrap();
    assert!(connection.is_reusable() && !connection.http.is_idle());
}

#[test]
fn what_tls_says_for_itself_does_not_end_an_idle_connection() {
    let (mut connection, go, acted) = then(|mut peer| {
        peer.refreshes_its_keys();
        peer.hears();
        peer.says(OK);
    });
    go.send(()).unwrap();
    // It has come, whether or not it was read here.
    let _ = acted.recv_timeout(SHORT);
    assert!(connection.http.is_idle());
    assert_eq!(connection.send(&get("/api"), LONG).unwrap().status, 200);
}

#[test]
fn only_the_service_account_changes_taints() {
    let (server, names) = refusing(true);
    let request = Request { name: Name::ServiceAccount, ..get("/api") };
    assert_eq!(named(&server).send(&request, LONG).unwrap().status, 200);
    assert_eq!(names.try_iter().collect::<Vec<_>>(), [None]);
}

use ureq_proto::http::Method;

use super::*;
use crate::http::stand_in::NOT_HTTP;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

fn request(method: Method, target: &str, body: Option<&str>) -> Request {
    Request {
        method,
        target: target.to_owned(),
        authority: "a.example:8080".to_owned(),
        headers: Vec::new(),
        body: body.map(str::to_owned),
    }
}

fn written(request: &Request) -> String {
    let mut connection = Http1::default();
    connection.open(request, Moment::START).unwrap();
    String::from_utf8(std::mem::take(connection.output())).unwrap()
}

#[test]
fn what_is_asked_for_is_written_as_it_is_named() {
    for (named, target) in [
        ("/a/b?c=d", "/a/b?c=d"),
        ("http://a.example:8080/a/b?c=d", "http://a.example:8080/a/b?c=d"),
        ("http://[::1]:8080?c=d", "http://[::1]:8080/?c=d"),
        ("https://a.example", "https://a.example/"),
    ] {
        assert_eq!(
            written(&request(Method::GET, named, None)),
            format!("GET {target} HTTP/1.1\r\nhost: a.example:8080\r\n\r\n")
        );
        assert_eq!(
            written(&request(Method::POST, named, Some("body"))),
            format!(
                "POST {target} HTTP/1.1\r\nhost: a.example:8080\r\n\
                 content-length: 4\r\n\r\nbody"
            )
        );
    }
    assert_eq!(
        written(&request(Method::CONNECT, "[::1]:443", None)),
        "CONNECT [::1]:443 HTTP/1.1\r\nhost: a.example:8080\r\n\r\n"
    );
    // Not every method has a body by itself.
    assert!(written(&request(Method::DELETE, "/", Some("{}"))).ends_with("length: 2\r\n\r\n{}"));
}

#[test]
fn a_body_may_be_empty_and_a_head_long() {
    let empty = written(&request(Method::POST, "/", Some("")));
    assert!(empty.ends_with("content-length: 0\r\n\r\n"), "{empty}");
    let long = "a".repeat(20_000);
    let value = HeaderValue::from_str(&long).unwrap();
    let mut request = request(Method::POST, &format!("/{long}"), Some(&long));
    for name in [header::ACCEPT, header::COOKIE, header::COOKIE] {
        request.headers.push((name, value.clone()));
    }
    let written = written(&request);
    assert_eq!(written.matches(&long).count(), 5);
    assert!(written.ends_with(&format!("\r\n\r\n{long}")));
}

#[test]
fn what_cannot_be_written_is_refused_and_the_connection_as_it_was() {
    let mut waits = request(Method::POST, "/", Some("a"));
    waits.headers.push((header::EXPECT, HeaderValue::from_static("100-continue")));
    let mut authority = request(Method::GET, "/", None);
    authority.authority = "a\r\nb".to_owned();
    let mut connection = Http1::default();
    for bad in [waits, authority, request(Method::GET, "/a b", None)] {
        assert!(connection.open(&bad, Moment::START).is_err());
        assert_eq!((connection.slots(), connection.output().len()), (Some(1), 0));
    }
}

/// On which something is asked.
fn asked() -> Http1 {
    let mut connection = Http1::default();
    connection.open(&request(Method::GET, "/", None), Moment::START).unwrap();
    connection
}

/// What came of an exchange.
#[derive(Debug, Default, PartialEq, Eq)]
struct Came {
    status: Option<u16>,
    body: String,
    end: Option<Result<(), StreamError>>,
}

impl Came {
    fn whole(status: u16, body: &str) -> Self {
        Self { status: Some(status), body: body.to_owned(), end: Some(Ok(())) }
    }

    fn of(connection: &mut Http1) -> Self {
        let mut came = Self::default();
        while let Some((stream, event)) = connection.next_event() {
            assert_eq!(stream, connection.begun);
            assert_eq!(came.end, None, "more after the end: {event:?}");
            match event {
                StreamEvent::Head(head) => {
                    assert_eq!(came.status.replace(head.status.as_u16()), None);
                }
                StreamEvent::Data(piece) => {
                    assert!(came.status.is_some() && !piece.is_empty());
                    came.body += &String::from_utf8(piece).unwrap();
                }
                StreamEvent::End => came.end = Some(Ok(())),
                StreamEvent::Failed(failure) => came.end = Some(Err(failure)),
            }
        }
        came
    }
}

/// How the other side ends the connection after its answer.
#[derive(Clone, Copy, Debug)]
enum Then {
    Stays,
    SaysGoodbye,
    IsGone,
}

/// What comes of an answer, however it is cut up on its way.
fn answer_to(answer: &[u8], then: Then) -> (Came, Http1) {
    let take = |sizes: usize| {
        let mut connection = asked();
        for piece in answer.chunks(sizes) {
            connection.receive(piece, Moment::START).unwrap();
        }
        match then {
            Then::Stays => {}
            Then::SaysGoodbye => connection.closed(true),
            Then::IsGone => connection.closed(false),
        }
        (Came::of(&mut connection), connection)
    };
    let (came, connection) = take(answer.len().max(1));
    for sizes in [1, 2, 7] {
        assert_eq!(take(sizes).0, came, "in pieces of {sizes}");
    }
    (came, connection)
}

#[test]
fn bodies_of_every_framing_are_read_whole() {
    for (answer, then, came) in [
        (
            &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..],
            Then::Stays,
            Came::whole(200, "hello"),
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
              2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\nTrailer: t\r\n\r\n",
            Then::Stays,
            Came::whole(200, "hello"),
        ),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", Then::SaysGoodbye, Came::whole(200, "hello")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Then::Stays, Came::whole(204, "")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Then::Stays, Came::whole(200, "")),
    ] {
        assert_eq!(answer_to(answer, then).0, came);
    }
    let long = "a".repeat(3 * PIECE + 1);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{long}", long.len());
    assert_eq!(answer_to(answer.as_bytes(), Then::Stays).0, Came::whole(200, &long));
}

#[test]
fn a_body_is_passed_on_as_it_comes() {
    let mut connection = asked();
    let mut says = |bytes: &[u8]| {
        connection.receive(bytes, Moment::START).unwrap();
        let (_, event) = connection.next_event().unwrap();
        assert!(connection.next_event().is_none());
        event
    };
    let head = says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n");
    let StreamEvent::Head(Head { headers, .. }) = head else { panic!("{head:?}") };
    assert_eq!(headers.get("x-a").unwrap(), "b");
    let piece = says(b"5\r\nhe");
    assert!(matches!(&piece, StreamEvent::Data(piece) if piece == b"he"), "{piece:?}");
    let piece = says(b"llo\r\n");
    assert!(matches!(&piece, StreamEvent::Data(piece) if piece == b"llo"), "{piece:?}");
}

#[test]
fn interim_answers_are_passed_over() {
    let answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
                   HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(answer_to(answer, Then::Stays).0, Came::whole(201, "{}"));
}

#[test]
fn a_redirect_is_an_answer_and_not_followed() {
    let answer = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 5\r\n\r\nthere";
    let (came, mut connection) = answer_to(answer, Then::Stays);
    assert_eq!((came, connection.slots()), (Came::whole(302, "there"), Some(1)));
    assert_eq!(connection.output(), written(&request(Method::GET, "/", None)).as_bytes());
}

#[test]
fn one_connection_carries_one_exchange_after_the_other() {
    let mut connection = Http1::default();
    for number in 1..=3 {
        assert_eq!((connection.slots(), connection.capacity()), (Some(1), 1));
        let stream = connection.open(&request(Method::GET, "/", None), Moment::START).unwrap();
        assert_eq!((stream, connection.slots()), (number, Some(0)));
        connection.receive(&OK[..20], Moment::START).unwrap();
        assert_eq!(connection.slots(), Some(0));
        connection.receive(&OK[20..], Moment::START).unwrap();
        assert_eq!(Came::of(&mut connection), Came::whole(200, "{}"));
    }
    // Nothing has to be told of an end that nobody waits for.
    connection.closed(true);
    assert_eq!((Came::of(&mut connection), connection.slots()), (Came::default(), None));
}

#[test]
fn what_the_server_wants_closed_is_not_used_again() {
    for (answer, excess) in [
        (&b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"[..], false),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", false),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", false),
        (b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", false),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nConnection: close\r\n\r\n", false),
        // More than was said: the next answer would begin in the middle.
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\n", true),
        (b"HTTP/1.1 204 No Content\r\n\r\n{}", true),
    ] {
        let (came, connection) = answer_to(answer, Then::SaysGoodbye);
        let answer = String::from_utf8_lossy(answer);
        assert_eq!(came.end, Some(Ok(())), "{answer}");
        assert_eq!((connection.slots(), connection.has_excess()), (None, excess), "{answer}");
    }
}

#[test]
fn what_nobody_asked_for_is_nobodys_answer() {
    let mut idle = Http1::default();
    // A proxy ends an idle connection.
    idle.receive(b"HTTP/1.1 408 Request Timeout\r\n\r\n", Moment::START).unwrap();
    let (_, mut after) = answer_to(OK, Then::Stays);
    for _ in 0..1000 {
        after.receive(&[b'a'; 1000], Moment::START).unwrap();
    }
    for mut connection in [idle, after] {
        assert_eq!((connection.slots(), connection.has_excess()), (None, true));
        assert_eq!((Came::of(&mut connection), connection.input.len()), (Came::default(), 0));
    }
}

/// The connection ends after each prefix, with and without a goodbye.
#[test]
fn no_prefix_of_an_answer_passes_for_one() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
    ] {
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        for length in 0..answer.len() {
            for then in [Then::SaysGoodbye, Then::IsGone] {
                let (came, connection) = answer_to(&answer[..length], then);
                let expected = match length {
                    1.. if length < head => StreamError::CutHead(length),
                    _ => StreamError::Ended("it closed the connection".to_owned()),
                };
                assert_eq!(came.end, Some(Err(expected)), "{then:?} after {length} bytes");
                assert_eq!(came.status.is_some(), length >= head);
                assert_eq!(connection.slots(), None);
            }
        }
        assert_eq!(answer_to(answer, Then::Stays).0.end, Some(Ok(())));
    }
}

#[test]
fn a_body_until_the_end_needs_a_goodbye() {
    let cut = Some(Err(StreamError::Ended("it closed the connection".to_owned())));
    for head in ["HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
        let answer = format!("{head}{{\"a\":");
        let (came, connection) = answer_to(answer.as_bytes(), Then::SaysGoodbye);
        assert_eq!((came, connection.slots()), (Came::whole(200, "{\"a\":"), None));
        let (came, connection) = answer_to(answer.as_bytes(), Then::IsGone);
        assert_eq!((came.end, connection.slots()), (cut.clone(), None));
        assert_eq!(answer_to(answer.as_bytes(), Then::Stays).0.end, None);
    }
}

#[test]
fn what_came_of_interim_answers_counts_for_a_head_that_is_cut() {
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
    let (came, _) = answer_to(interim, Then::SaysGoodbye);
    assert_eq!(came.end, Some(Err(StreamError::CutHead(interim.len()))));
}

#[test]
fn what_is_no_http_is_named_so() {
    for (answer, status) in NOT_HTTP {
        let mut connection = asked();
        connection.receive(answer, Moment::START).unwrap();
        let came = Came::of(&mut connection);
        let answer = String::from_utf8_lossy(answer);
        assert!(matches!(came.end, Some(Err(StreamError::Malformed(_)))), "{answer}: {came:?}");
        assert_eq!((came.status, connection.slots()), (status, None), "{answer}");
    }
}

/// How it ends when `again` follows `first` for ever, and after how many bytes.
fn endless(first: &[u8], again: &[u8]) -> (Came, usize) {
    let mut connection = asked();
    connection.receive(first, Moment::START).unwrap();
    let mut length = first.len();
    while connection.slots().is_some() {
        connection.receive(again, Moment::START).unwrap();
        length += again.len();
        assert!(length < 10 * HEAD_LIMIT, "it is taken for ever");
    }
    (Came::of(&mut connection), length)
}

#[test]
fn a_head_without_end_is_left() {
    for (first, again) in [
        (&b"HTTP/1.1 200 OK\r\n"[..], &b"X-Pad: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"[..]),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ] {
        let (came, length) = endless(first, again);
        assert_eq!(came.end, Some(Err(StreamError::HeadTooLong(HEAD_LIMIT))));
        assert!((HEAD_LIMIT..HEAD_LIMIT + 64).contains(&length), "{length}");
    }
    // Many short headers come to another limit first.
    let (came, _) = endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n");
    assert!(matches!(came.end, Some(Err(StreamError::Malformed(_)))), "{came:?}");
}

#[test]
fn what_stands_between_chunks_ends() {
    let chunked = |rest: &[u8]| {
        [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..], rest].concat()
    };
    for (first, again) in [
        (chunked(b""), &b"0000000000000000"[..]),
        (chunked(b"1;"), b"extension"),
        (chunked(b"0\r\nX: "), b"trailer"),
    ] {
        let (came, length) = endless(&first, again);
        assert!(matches!(came.end, Some(Err(StreamError::Malformed(_)))), "{came:?}");
        assert!(length < 2 * FRAMING_LIMIT, "{length}");
    }
}

#[test]
fn nothing_is_kept_of_what_is_passed_on() {
    let (came, mut connection) = answer_to(b"HTTP/1.0 200 OK\r\n\r\n", Then::Stays);
    assert_eq!(came.status, Some(200));
    for _ in 0..100 {
        connection.receive(&[b'a'; 4096], Moment::START).unwrap();
        let (_, event) = connection.next_event().unwrap();
        assert!(matches!(&event, StreamEvent::Data(piece) if piece.len() == 4096), "{event:?}");
        assert_eq!((connection.input.len(), connection.events.len()), (0, 0));
    }
}

#[test]
fn who_gives_up_an_exchange_hears_no_more_of_it() {
    let mut connection = asked();
    connection.receive(&OK[..OK.len() - 1], Moment::START).unwrap();
    // Another one's, that is long over.
    connection.reset(0);
    assert_eq!(connection.slots(), Some(0));
    connection.reset(1);
    connection.receive(&OK[OK.len() - 1..], Moment::START).unwrap();
    connection.closed(true);
    assert_eq!((Came::of(&mut connection), connection.slots()), (Came::default(), None));
}

#[test]
fn what_ends_the_connection_ends_its_exchange() {
    let failure = StreamError::Tls("it ended TLS".to_owned());
    let (_, idle) = answer_to(OK, Then::Stays);
    let mut in_head = asked();
    in_head.receive(&OK[..9], Moment::START).unwrap();
    let mut in_body = asked();
    in_body.receive(&OK[..OK.len() - 2], Moment::START).unwrap();
    for (mut connection, status, end) in [
        (Http1::default(), None, None),
        (idle, None, None),
        (asked(), None, Some(Err(failure.clone()))),
        (in_head, None, Some(Err(failure.clone()))),
        (in_body, Some(200), Some(Err(failure.clone()))),
    ] {
        connection.fail(&failure);
        connection.closed(false);
        let came = Came::of(&mut connection);
        assert_eq!((came.status, came.end, connection.slots()), (status, end, None));
    }
}

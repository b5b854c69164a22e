use ureq_proto::http::{HeaderValue, Method, header};

use super::*;
use crate::http::stand_in::{Identity, LONG, Peer, SHORT, connect};

const LIMIT: BodyLimit = BodyLimit { read: 1000, kept: 3 };

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn get() -> Request {
    Request {
        method: Method::GET,
        target: "/a".to_owned(),
        authority: "a.example".to_owned(),
        headers: Vec::new(),
        body: None,
    }
}

fn ask(connection: &mut Connection, patience: Duration) -> Result<Response, Cause> {
    let clock = Clock::start();
    connection.exchange(&get(), LIMIT, clock.now() + patience, LONG, clock)
}

/// What comes of a request: status, length of the body, what is kept of it.
type Outcome = Result<(u16, Result<(usize, Vec<u8>), Cause>), Cause>;

fn parts(body: Result<BodyBuffer, Cause>) -> Result<(usize, Vec<u8>), Cause> {
    body.map(|body| (body.length, body.kept))
}

/// What comes of a request, plain and over TLS.
fn asked(serve: impl Fn(Peer) + Copy + Send + Sync + 'static, patience: Duration) -> [Outcome; 2] {
    [None, Some(Identity::shared())].map(|identity| {
        let mut connection = connect(identity, move |mut peer: Peer| {
            peer.hears();
            serve(peer);
        });
        let response = ask(&mut connection, patience)?;
        Ok((response.head.status.as_u16(), parts(response.body)))
    })
}

#[test]
fn one_exchange_follows_the_other() {
    for identity in [None, Some(Identity::shared())] {
        let mut connection = connect(identity, |mut peer| {
            while let Some(request) = peer.hears() {
                assert!(request.starts_with("GET /a HTTP/1.1\r\nhost: a.example\r\n"), "{request}");
                peer.says(OK);
            }
        });
        for _ in 0..3 {
            let Response { head, body } = ask(&mut connection, LONG).unwrap();
            assert_eq!((head.status.as_u16(), parts(body)), (200, Ok((5, b"hel".to_vec()))));
        }
    }
}

#[test]
fn more_than_is_read_is_a_failure_with_a_head() {
    let endless = |mut peer: Peer| {
        peer.says(b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n");
        while peer.says(b"2\r\nab\r\n") {}
    };
    let too_long = Ok((503, Err(Cause::TooLong { status: Some(503), limit: LIMIT.read })));
    assert_eq!(asked(endless, LONG), [too_long.clone(), too_long]);
}

#[test]
fn a_body_that_is_announced_as_too_long_is_not_waited_for() {
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let too_long = move |mut peer: Peer| {
        peer.says(head(LIMIT.read + 1).as_bytes());
        peer.waits_for_the_end();
    };
    let refused = Ok((200, Err(Cause::TooLong { status: Some(200), limit: LIMIT.read })));
    assert_eq!(asked(too_long, LONG), [refused.clone(), refused]);
    let as_long_as_may_be = move |mut peer: Peer| {
        peer.says((head(LIMIT.read) + &"a".repeat(LIMIT.read)).as_bytes());
    };
    let whole = Ok((200, Ok((LIMIT.read, b"aaa".to_vec()))));
    assert_eq!(asked(as_long_as_may_be, LONG), [whole.clone(), whole]);
}

#[test]
fn the_deadline_counts_for_the_whole_answer() {
    let silent = |peer: Peer| peer.waits_for_the_end();
    let in_head = |mut peer: Peer| {
        peer.says(&OK[..9]);
        peer.waits_for_the_end();
    };
    for outcome in asked(silent, SHORT).into_iter().chain(asked(in_head, SHORT)) {
        assert!(
            matches!(outcome, Err(Cause::TimedOut(patience)) if patience <= SHORT),
            "{outcome:?}"
        );
    }
    // Each byte comes in time; together they never end.
    for identity in [None, Some(Identity::shared())] {
        let mut connection = connect(identity, |mut peer| {
            peer.hears();
            peer.says(b"HTTP/1.1 200 OK\r\n\r\n");
            while peer.says(b"a") {}
        });
        let limit = BodyLimit { read: usize::MAX, kept: 3 };
        let clock = Clock::start();
        let until = clock.now() + 10 * SHORT;
        let response = connection.exchange(&get(), limit, until, LONG, clock).unwrap();
        assert!(matches!(response.body, Err(Cause::TimedOut(_))), "{response:?}");
    }
}

#[test]
fn a_body_is_waited_for_no_longer_than_was_said() {
    let mut connection = connect(None, |mut peer| {
        peer.hears();
        peer.says(&OK[..OK.len() - 1]);
        peer.waits_for_the_end();
    });
    let clock = Clock::start();
    let until = clock.now() + LONG;
    let response = connection.exchange(&get(), LIMIT, until, SHORT, clock).unwrap();
    assert!(matches!(response.body, Err(Cause::TimedOut(_))), "{response:?}");
    assert!(clock.now() < until);
}

#[test]
fn what_is_cut_short_says_after_how_much() {
    let unanswered = Err(Cause::Unanswered("it closed the connection".to_owned()));
    assert_eq!(asked(Peer::leaves, LONG), [unanswered.clone(), unanswered]);
    let in_head = |mut peer: Peer| {
        peer.says(&OK[..9]);
        peer.leaves();
    };
    let cut = Err(Cause::CutShort { status: None, length: 9 });
    assert_eq!(asked(in_head, LONG), [cut.clone(), cut]);
    let in_body = |mut peer: Peer| {
        peer.says(&OK[..OK.len() - 1]);
        peer.leaves();
    };
    let cut = Ok((200, Err(Cause::CutShort { status: Some(200), length: 4 })));
    assert_eq!(asked(in_body, LONG), [cut.clone(), cut]);
}

#[test]
fn what_cannot_be_sent_is_not_sent() {
    let mut connection = connect(None, |mut peer| {
        assert!(peer.hears().is_some_and(|request| !request.contains("expect")));
        peer.says(OK);
    });
    let clock = Clock::start();
    let until = clock.now() + LONG;
    let mut waits = Request { body: Some("a".to_owned()), method: Method::POST, ..get() };
    waits.headers.push((header::EXPECT, HeaderValue::from_static("100-continue")));
    let refused = connection.exchange(&waits, LIMIT, until, LONG, clock);
    assert!(matches!(refused, Err(Cause::Unsendable(_))), "{refused:?}");
    assert!(ask(&mut connection, LONG).is_ok());
}

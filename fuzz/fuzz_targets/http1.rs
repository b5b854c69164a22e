//! Answers in HTTP/1.1: in whatever pieces they come they mean the same, each exchange has one end, and nothing grows
//! beyond what came.
#![no_main]

use fuzz::{now, pieces};
use k8s_spot_handler::http::h1::Http1;
use k8s_spot_handler::http::protocol::{Protocol, Request, StreamError, StreamEvent};
use libfuzzer_sys::fuzz_target;
use ureq_proto::http::Method;

/// What came of one exchange.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    status: Option<u16>,
    headers: Vec<(String, Vec<u8>)>,
    length: Option<u64>,
    body: Vec<u8>,
    end: Option<Result<(), StreamError>>,
}

fuzz_target!(|input: &[u8]| {
    let (mode, bytes) = fuzz::mode(input);
    let mut whole = fuzz::within(input, 20, 256 * 1024, || exchange(mode, bytes, 0));
    let mut in_pieces = exchange(mode, bytes, mode >> 3);
    if let Some(Err(StreamError::Malformed(_))) = whole.end {
        // What of it has come by then is of no use.
        whole.body.clear();
        in_pieces.body.clear();
    }
    assert_eq!(in_pieces, whole, "in pieces of {}", mode >> 3);
    if let Some(length) = whole.length
        && whole.end == Some(Ok(()))
        && mode & 3 != 1
    {
        assert_eq!(whole.body.len() as u64, length);
    }
    two_exchanges(mode, bytes);
});

fn request(mode: u8) -> Request {
    let (method, body) = match mode & 3 {
        0 => (Method::GET, None),
        1 => (Method::HEAD, None),
        2 => (Method::POST, Some("{}".to_owned())),
        _ => (Method::DELETE, Some("{}".to_owned())),
    };
    Request {
        method,
        target: "/a?b=c".to_owned(),
        authority: "api:6443".to_owned(),
        headers: Vec::new(),
        body,
    }
}

/// One exchange, after which the connection is closed.
fn exchange(mode: u8, bytes: &[u8], length: u8) -> Seen {
    let mut http = Http1::default();
    http.open(&request(mode), now().now).expect("the request can be written");
    let mut seen = Seen::default();
    for piece in pieces(bytes, length) {
        http.receive(piece, now().now).expect("what is wrong ends the exchange");
        see(&mut http, &mut seen);
    }
    http.closed(mode & 4 == 0);
    see(&mut http, &mut seen);
    assert!(seen.end.is_some() && http.slots().is_none(), "{seen:?}");
    seen
}

fn see(http: &mut Http1, seen: &mut Seen) {
    while let Some((_, event)) = http.next_event() {
        assert!(seen.end.is_none(), "it is over: {event:?}");
        match event {
            StreamEvent::Head(head) => {
                let status = head.status.as_u16();
                assert!(status == 101 || !head.status.is_informational());
                assert_eq!(seen.status.replace(status), None, "one head");
                let headers = head.headers.iter();
                seen.headers = headers
                    .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
                    .collect();
                seen.length = head.length;
            }
            StreamEvent::Data(piece) => {
                assert!(seen.status.is_some() && !piece.is_empty());
                seen.body.extend(piece);
            }
            StreamEvent::End => {
                assert!(seen.status.is_some());
                seen.end = Some(Ok(()));
            }
            StreamEvent::Failed(failure) => {
                if let StreamError::Malformed(why) = &failure {
                    fuzz::is_one_line(why);
                }
                seen.end = Some(Err(failure));
            }
        }
    }
}

/// On a connection that is kept, with the second request as soon as the first one is answered.
fn two_exchanges(mode: u8, bytes: &[u8]) {
    let mut http = Http1::default();
    let mut begun = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if http.slots() == Some(1) {
            begun = http.open(&request(mode), now().now).expect("the request can be written");
        }
        http.receive(line, now().now).expect("what is wrong ends the exchange");
        assert!(
            !http.has_excess() || http.slots() != Some(1),
            "another would take it for its answer"
        );
        while let Some((stream, _)) = http.next_event() {
            assert!(stream == begun && begun > 0);
        }
    }
}

use std::sync::Mutex;
use std::sync::mpsc;

use rustix::event::{PollFd, poll};
use rustix::net::sockopt;
use ureq_proto::http::Method;

use super::*;
use crate::http::h2_stand_in::{
    Heard, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, Speaking, ping, window,
};
use crate::http::stand_in::{Identity, LONG, Peer, connect};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

fn request(method: Method, body: Option<String>) -> Request {
    let (target, authority) = ("/".to_owned(), "a.example".to_owned());
    Request { method, target, authority, headers: Vec::new(), body }
}

/// Waits as its owner does, and goes on.
fn turn(connection: &mut Connection, clock: Clock) {
    if connection.deadline().is_none() {
        let interest = connection.interest();
        let found = poll(&mut [PollFd::new(connection, interest)], Some(&timespec(LONG)));
        assert_eq!(found, Ok(1), "it does not come");
    }
    connection.progress(clock.now());
}

/// Goes on until that is so.
fn until(connection: &mut Connection, mut so: impl FnMut(&mut Connection) -> bool) {
    let clock = Clock::start();
    while !so(connection) {
        turn(connection, clock);
    }
}

/// Goes on until the exchange ends.
fn end(connection: &mut Connection) -> StreamEvent {
    let mut end = None;
    until(connection, |connection| {
        let mut events = std::iter::from_fn(|| connection.protocol.next_event());
        end = events.find(|(_, event)| matches!(event, StreamEvent::End | StreamEvent::Failed(_)));
        end.is_some()
    });
    end.unwrap().1
}

fn ask(connection: &mut Connection) -> StreamEvent {
    connection.protocol.open(&request(Method::GET, None), Moment::START).unwrap();
    end(connection)
}

/// A connection, plain or over TLS, on which one request was answered; the server then does this when it is told
/// to.
fn idle(
    identity: Option<&Identity>,
    act: impl Fn(Peer) + Send + Sync + 'static,
) -> (Connection, mpsc::Sender<()>) {
    let (go, told) = mpsc::channel();
    let told = Mutex::new(told);
    let mut connection = connect(identity, move |mut peer| {
        peer.hears();
        peer.says(OK);
        if told.lock().unwrap().recv().is_ok() {
            act(peer);
        }
    });
    assert!(matches!(ask(&mut connection), StreamEvent::End));
    assert_eq!((connection.protocol.slots(), connection.protocol.capacity()), (Some(1), 1));
    assert!(!connection.is_shared());
    (connection, go)
}

#[test]
fn an_idle_connection_on_which_something_came_is_not_used() {
    let late = |mut peer: Peer| {
        peer.says(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
        peer.waits_for_the_end();
    };
    let acts: [fn(Peer); 4] = [late, Peer::leaves, Peer::drops, Peer::breaks];
    for act in acts {
        for identity in [None, Some(Identity::shared())] {
            let (mut connection, go) = idle(identity, act);
            go.send(()).unwrap();
            until(&mut connection, |connection| connection.protocol.slots().is_none());
            assert!(connection.protocol.next_event().is_none());
        }
    }
}

#[test]
fn what_was_said_with_the_answer_is_seen_too() {
    // One record of TLS, of which so much is read at a time that all else is left.
    let mut connection = connect(Some(Identity::shared()), |mut peer| {
        peer.hears();
        let head = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let length = CHUNK - head(CHUNK).len();
        let answer = format!("{}{}", head(length), "a".repeat(length));
        assert_eq!(answer.len(), CHUNK);
        peer.says(format!("{answer}HTTP/1.1 408 Request Timeout\r\n\r\n").as_bytes());
        peer.waits_for_the_end();
    });
    assert!(matches!(ask(&mut connection), StreamEvent::End));
    assert_eq!(connection.protocol.slots(), None);
}

#[test]
fn what_tls_says_for_itself_does_not_end_an_idle_connection() {
    let (mut connection, go) = idle(Some(Identity::shared()), |mut peer| {
        peer.refreshes_its_keys();
        peer.hears();
        peer.says(OK);
        peer.waits_for_the_end();
    });
    go.send(()).unwrap();
    turn(&mut connection, Clock::start());
    assert_eq!(connection.protocol.slots(), Some(1));
    assert!(matches!(ask(&mut connection), StreamEvent::End));
}

#[test]
fn tls_that_is_broken_ends_the_exchange_and_says_so() {
    let mut connection = connect(Some(Identity::shared()), |mut peer| {
        peer.hears();
        peer.breaks();
    });
    let event = ask(&mut connection);
    assert!(
        matches!(&event, StreamEvent::Failed(StreamError::Tls(why)) if why == "what answers there does not speak TLS"),
        "{event:?}"
    );
    assert!(!connection.is_open && connection.protocol.slots().is_none());
    assert_eq!(connection.deadline(), None);
}

#[test]
fn a_body_until_the_end_is_whole_with_a_goodbye_only() {
    let says = |then: fn(Peer)| {
        move |mut peer: Peer| {
            peer.hears();
            peer.says(b"HTTP/1.0 200 OK\r\n\r\n{\"a\":");
            then(peer);
        }
    };
    let tls = || Some(Identity::shared());
    assert!(matches!(ask(&mut connect(tls(), says(Peer::leaves))), StreamEvent::End));
    assert!(matches!(ask(&mut connect(tls(), says(Peer::drops))), StreamEvent::Failed(_)));
    // A plain connection cannot tell.
    assert!(matches!(ask(&mut connect(None, says(Peer::drops))), StreamEvent::End));
}

#[test]
fn what_was_said_before_a_reset_is_read() {
    let (gone, has_gone) = mpsc::channel();
    let mut connection = connect(None, move |mut peer| {
        peer.says(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        let Peer::Plain(socket) = peer else { panic!("no plain connection") };
        sockopt::set_socket_linger(&socket, Some(std::time::Duration::ZERO)).unwrap();
        drop(socket);
        gone.send(()).unwrap();
    });
    has_gone.recv().unwrap();
    let mut reset = [PollFd::new(&connection, PollFlags::empty())];
    poll(&mut reset, Some(&timespec(LONG))).unwrap();
    assert!(reset[0].revents().contains(PollFlags::ERR));
    connection.protocol.open(&request(Method::GET, None), Moment::START).unwrap();
    connection.progress(Moment::START);
    let Some((_, StreamEvent::Head(head))) = connection.protocol.next_event() else {
        panic!("no head")
    };
    assert_eq!(head.status, 503);
    assert!(matches!(connection.protocol.next_event(), Some((_, StreamEvent::End))));
    assert!(!connection.is_open);
}

#[test]
fn who_does_not_read_is_sent_no_more_and_not_read() {
    const LENGTH: usize = 1024 * 1024;
    for identity in [None, Some(Identity::shared())] {
        let (go, told) = mpsc::channel();
        let told = Mutex::new(told);
        let mut connection = connect(identity, move |mut peer| {
            peer.says(b"HTTP/1.1 100 Continue\r\n\r\n");
            told.lock().unwrap().recv().unwrap();
            let stream: &mut dyn Read = match &mut peer {
                Peer::Plain(socket) => socket,
                Peer::Tls(stream) => stream,
            };
            io::copy(&mut stream.take(LENGTH as u64), &mut io::sink()).unwrap();
            peer.says(OK);
            peer.waits_for_the_end();
        });
        // The system takes little on its own.
        sockopt::set_socket_send_buffer_size(&connection.socket, 16 * 1024).unwrap();
        let body = Some("a".repeat(LENGTH));
        connection.protocol.open(&request(Method::POST, body), Moment::START).unwrap();
        for _ in 0..3 {
            connection.progress(Moment::START);
            assert!(!connection.is_ready());
            assert_eq!(connection.interest(), PollFlags::OUT);
            assert_eq!(connection.deadline(), None, "nothing is to be done before");
        }
        go.send(()).unwrap();
        until(&mut connection, Connection::is_ready);
        assert!(matches!(end(&mut connection), StreamEvent::End));
        assert_eq!(connection.interest(), PollFlags::IN);
    }
}

#[test]
fn who_says_much_is_heard_in_turn() {
    const LENGTH: usize = 4 * TURN * CHUNK;
    for identity in [None, Some(Identity::shared())] {
        let mut connection = connect(identity, |mut peer| {
            peer.hears();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
            peer.says(&[head.as_bytes(), &vec![b'a'; LENGTH]].concat());
            peer.waits_for_the_end();
        });
        connection.protocol.open(&request(Method::GET, None), Moment::START).unwrap();
        let (mut length, mut of_a_turn, mut ended) = (0, 0, false);
        until(&mut connection, |connection| {
            let came = std::iter::from_fn(|| connection.protocol.next_event()).fold(
                0,
                |came, (_, event)| {
                    ended |= matches!(event, StreamEvent::End);
                    came + if let StreamEvent::Data(piece) = event { piece.len() } else { 0 }
                },
            );
            // What is not read is not waited for: it is there.
            assert_eq!(connection.deadline().is_some(), connection.unread);
            (length, of_a_turn) = (length + came, of_a_turn.max(came));
            ended
        });
        assert_eq!(length, LENGTH);
        assert!(of_a_turn <= TURN * CHUNK, "{of_a_turn}");
    }
}

#[test]
fn a_flood_of_pings_is_not_answered_without_end() {
    let mut connection = connect(Some(Identity::shared()), |peer| {
        let mut speaking = Speaking::new(peer, &[]);
        let flood = ping([7; 8]).repeat(1000);
        // Never reads.
        while speaking.says(&flood) {}
    });
    connection.protocol = Box::new(Http2::new(Moment::START));
    sockopt::set_socket_send_buffer_size(&connection.socket, 16 * 1024).unwrap();
    until(&mut connection, |connection| !connection.is_ready());
    for _ in 0..50 {
        connection.progress(Moment::START);
        let waiting = connection.protocol.output().len();
        assert!(waiting <= BACKLOG + CHUNK, "{waiting}");
    }
    assert_eq!(connection.interest(), PollFlags::OUT);
}

/// What waits to be sent stops the reading. When it is gone, nothing more has to come: TLS has it already.
#[test]
fn what_was_unpacked_already_is_read_when_the_output_is_gone() {
    const STREAMS: u32 = 40;
    const SETTINGS: [(u16, u32); 2] = [(INITIAL_WINDOW_SIZE, 0), (MAX_CONCURRENT_STREAMS, STREAMS)];
    let mut connection = connect(Some(Identity::shared()), |peer| {
        let mut speaking = Speaking::new(peer, &SETTINGS);
        let mut streams = Vec::new();
        while let Some(heard) = speaking.hears() {
            let Heard::Head { stream, .. } = heard else { continue };
            streams.push(stream);
            if streams.len() == STREAMS as usize {
                // In one record of TLS: there is more to send than a BACKLOG, and more to read than a CHUNK.
                let mut said: Vec<u8> =
                    streams.iter().take(20).flat_map(|stream| window(*stream, 1000)).collect();
                for stream in &streams {
                    said.extend(speaking.speaker.answer(*stream, &[b'a'; 200]));
                }
                assert!((CHUNK..16_384).contains(&said.len()));
                speaking.says(&said);
            }
        }
    });
    connection.protocol = Box::new(Http2::new(Moment::START));
    until(&mut connection, |connection| connection.protocol.capacity() == STREAMS as usize);
    // All of it goes out at once.
    sockopt::set_socket_send_buffer_size(&connection.socket, 128 * 1024).unwrap();
    for _ in 0..STREAMS {
        let request = request(Method::POST, Some("a".repeat(1000)));
        connection.protocol.open(&request, Moment::START).unwrap();
    }
    let mut ended = 0;
    loop {
        connection.progress(Moment::START);
        while let Some((_, event)) = connection.protocol.next_event() {
            assert!(!matches!(event, StreamEvent::Failed(_)), "{event:?}");
            ended += u32::from(matches!(event, StreamEvent::End));
        }
        if ended == STREAMS {
            break;
        }
        if !connection.unread {
            let mut polled = [PollFd::new(&connection, PollFlags::IN)];
            let span = timespec(std::time::Duration::from_secs(5));
            assert_eq!(poll(&mut polled, Some(&span)), Ok(1), "{ended} ended, the others do not");
        }
    }
}

#[test]
fn a_tunnel_is_what_answers_connect_with_a_head_alone() {
    let tunnel = |answer: &'static [u8]| {
        let mut connection = connect(None, move |mut peer| {
            peer.hears();
            peer.says(answer);
            peer.hears();
            peer.says(b"through");
        });
        let connect =
            Request { target: "b.example:443".to_owned(), ..request(Method::CONNECT, None) };
        connection.protocol.open(&connect, Moment::START).unwrap();
        assert!(matches!(end(&mut connection), StreamEvent::End));
        connection.into_tunnel()
    };
    for answer in [
        &b"HTTP/1.1 200 OK\r\n\r\n"[..],
        // What it says of a body does not count.
        b"HTTP/1.0 200 Connection established\r\nContent-Length: 5\r\n\r\n",
    ] {
        let mut socket = tunnel(answer).unwrap();
        socket.write_all(b"\r\n\r\n").unwrap();
        let mut came = [0; 7];
        // It blocks again.
        socket.read_exact(&mut came).unwrap();
        assert_eq!(&came, b"through");
    }
    assert!(tunnel(b"HTTP/1.1 200 OK\r\n\r\nfirst").is_none());
}

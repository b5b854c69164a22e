use std::io::ErrorKind::{ConnectionReset, Interrupted, WouldBlock};
use std::time::Duration;

use super::stand_in::{Line, endpoints};
use super::*;
use crate::report::server::message::PageStatus;

const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
const ALL: usize = usize::MAX;

fn client(
    comes: impl IntoIterator<Item = Result<Vec<u8>, io::ErrorKind>>,
    takes: impl IntoIterator<Item = Result<usize, io::ErrorKind>>,
) -> ClientConnection<Line> {
    let line = Line {
        comes: comes.into_iter().collect(),
        takes: takes.into_iter().collect(),
        ..Line::default()
    };
    ClientConnection::new(line, endpoints(), Moment::at(Duration::from_secs(5)))
}

fn answer(_: &Endpoints, asked: &PageRequest) -> PageResponse {
    PageResponse::words(PageStatus::Ok, &asked.path)
}

fn advance(connection: &mut ClientConnection<Line>) -> ControlFlow<()> {
    connection.advance(&answer)
}

fn expected() -> String {
    let response = PageResponse::words(PageStatus::Ok, "/healthz");
    String::from_utf8(response.into_bytes(true)).unwrap()
}

fn taken(connection: &ClientConnection<Line>) -> &str {
    str::from_utf8(&connection.socket.taken).unwrap()
}

#[test]
fn a_request_in_any_two_pieces_is_answered_once_it_is_whole() {
    for cut in 1..REQUEST.len() {
        let (one, other) = REQUEST.split_at(cut);
        let pieces = [Ok(one.to_vec()), Err(Interrupted), Err(WouldBlock), Ok(other.to_vec())];
        let mut connection = client(pieces, [Ok(ALL)]);
        assert!(advance(&mut connection).is_continue());
        assert_eq!((taken(&connection), connection.interest()), ("", Interest::Read));
        assert!(advance(&mut connection).is_continue());
        assert_eq!(taken(&connection), expected());
    }
}

#[test]
fn an_answer_that_is_taken_bit_by_bit_arrives_whole_and_the_end_is_told_after_it() {
    let mut connection = client([Ok(REQUEST.to_vec())], []);
    assert!(advance(&mut connection).is_continue());
    while taken(&connection) != expected() {
        assert_eq!((connection.interest(), connection.socket.finished), (Interest::Write, false));
        connection.socket.takes.extend([Err(Interrupted), Ok(7), Err(WouldBlock)]);
        assert!(advance(&mut connection).is_continue());
    }
    assert_eq!((connection.interest(), connection.socket.finished), (Interest::Read, true));
}

#[test]
fn what_comes_after_the_request_is_no_request_and_is_read_until_the_client_is_done() {
    let twice = [REQUEST, REQUEST, b"\0garbage"].concat();
    let mut connection = client([Ok(twice), Ok(b"more".to_vec())], [Ok(ALL), Ok(ALL)]);
    assert!(advance(&mut connection).is_continue());
    assert_eq!(taken(&connection), expected());
    connection.socket.comes.push_back(Ok(Vec::new()));
    assert!(advance(&mut connection).is_break());
    assert_eq!(taken(&connection), expected());
}

#[test]
fn a_client_that_does_not_stop_is_not_listened_to_for_ever() {
    let mut connection = client([Ok(REQUEST.to_vec())], [Ok(ALL)]);
    assert!(advance(&mut connection).is_continue());
    connection.socket.comes.extend((0..LINGER / PIECE).map(|_| Ok(vec![0; PIECE])));
    assert!(advance(&mut connection).is_break());
}

#[test]
fn a_head_that_does_not_end_is_refused_when_it_is_too_long_and_garbage_at_once() {
    let mut connection = client([Ok(b"GET / HTTP/1.1\r\na:".to_vec())], [Ok(ALL)]);
    for _ in 0..LONGEST_HEAD - 18 {
        assert!(advance(&mut connection).is_continue());
        assert_eq!(taken(&connection), "");
        connection.socket.comes.push_back(Ok(b"b".to_vec()));
    }
    assert!(advance(&mut connection).is_continue());
    assert!(taken(&connection).starts_with("HTTP/1.1 431 "), "{}", taken(&connection));

    let mut connection = client([Ok(b"\x16\x03\x01".to_vec())], [Ok(ALL)]);
    assert!(advance(&mut connection).is_continue());
    assert!(taken(&connection).starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_client_that_leaves_ends_the_connection_at_every_stage() {
    let gone = |error| match error {
        None => Ok(Vec::new()),
        Some(kind) => Err(kind),
    };
    for error in [None, Some(ConnectionReset)] {
        assert!(advance(&mut client([gone(error)], [])).is_break());
        let early = [Ok(REQUEST[..9].to_vec()), gone(error)];
        assert!(advance(&mut client(early, [])).is_break());
        let late = [Ok(REQUEST.to_vec()), gone(error)];
        assert!(advance(&mut client(late, [Ok(ALL)])).is_break());
    }
    for takes in [Ok(0), Err(ConnectionReset)] {
        assert!(advance(&mut client([Ok(REQUEST.to_vec())], [Ok(9), takes])).is_break());
    }
}

#[test]
fn head_is_answered_without_a_body() {
    let head = [b"HEAD".as_slice(), &REQUEST[3..]].concat();
    let mut connection = client([Ok(head)], [Ok(ALL)]);
    assert!(advance(&mut connection).is_continue());
    let (head, body) =
        expected().split_once("\r\n\r\n").map(|(a, b)| (a.len() + 4, b.len())).unwrap();
    assert_eq!(taken(&connection), &expected()[..head]);
    assert!(taken(&connection).contains(&format!("Content-Length: {body}\r\n")));
}

fn at(milliseconds: u64) -> Moment {
    Moment::at(Duration::from_millis(milliseconds))
}

fn numbers(connections: &ClientConnections<Line>) -> Vec<usize> {
    connections.iter().map(|connection| connection.socket().number).collect()
}

#[test]
fn a_client_stays_for_its_time_and_no_longer_whatever_it_does() {
    let mut connections = ClientConnections::new(TIMEOUT);
    assert_eq!(connections.next_end(), None);
    for (number, now) in [(0, 1000), (1, 1000), (2, 3000)] {
        connections.admit(Line { number, ..Line::default() }, endpoints(), at(now));
    }
    assert_eq!(connections.next_end(), Some(at(6000)));
    // Each goes on all the time.
    connections.retain(|_| true);
    connections.expire(at(5999));
    assert_eq!(numbers(&connections), [0, 1, 2]);
    connections.expire(at(6000));
    assert_eq!((numbers(&connections), connections.next_end()), (vec![2], Some(at(8000))));
    connections.expire(at(8000));
    assert_eq!((numbers(&connections), connections.next_end()), (vec![], None));
}

#[test]
fn one_too_many_takes_the_place_of_the_oldest() {
    let mut connections = ClientConnections::new(TIMEOUT);
    for number in 0..MOST + 3 {
        connections.admit(Line { number, ..Line::default() }, endpoints(), at(0));
    }
    assert_eq!(numbers(&connections), (3..MOST + 3).collect::<Vec<_>>());
    connections.retain(|connection| connection.socket().number != 5);
    assert_eq!(numbers(&connections).len(), MOST - 1);
}

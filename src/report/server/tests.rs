//! The listener over loopback.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc;

use super::*;
use crate::moment::Moment;
use crate::report::metrics::Format;
use crate::settings::LivePath;

/// Long enough for any machine; a test that waits for it has failed.
const LONG: Duration = Duration::from_mins(1);
/// Where clients have all the time: no client is closed because of it.
const AGES: Duration = Duration::from_hours(1);
/// Where it is the end of its time that is tested.
const SHORT: Duration = Duration::from_millis(50);

const BOTH: fn() -> Endpoints =
    || Endpoints { metrics: true, probes: Some(LivePath::parse("/alive").unwrap()) };
const METRICS: fn() -> Endpoints = || Endpoints { metrics: true, probes: None };
const PROBES: fn() -> Endpoints =
    || Endpoints { metrics: false, probes: Some(LivePath::default()) };

struct Papers {
    metrics: String,
    live: Result<(), String>,
    ready: Result<(), String>,
}

impl PageContent for Papers {
    fn metrics(&self, format: Format) -> String {
        format!("{format:?}\n{}", self.metrics)
    }

    fn live(&self, _: Moment) -> Result<(), String> {
        self.live.clone()
    }

    fn ready(&self) -> Result<Option<String>, String> {
        self.ready.clone().map(|()| None)
    }
}

fn papers() -> Papers {
    Papers { metrics: String::new(), live: Ok(()), ready: Err("not yet".to_owned()) }
}

fn silent() -> FactSink {
    Arc::new(|_| {})
}

fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn serve_with(timeout: Duration, pages: Papers) -> SocketAddr {
    let server = PageServer::bind(&[(any_port(), BOTH())]);
    let address = server.addresses()[0].0;
    server.serve_each(timeout, Clock::start(), pages, silent()).unwrap();
    address
}

fn serve() -> SocketAddr {
    serve_with(AGES, papers())
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    client.set_nodelay(true).unwrap();
    client
}

/// All that is answered, until the server ends the connection.
fn rest(mut client: TcpStream) -> String {
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut client = connect(address);
    client.write_all(request.as_bytes()).unwrap();
    rest(client)
}

fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
}

#[track_caller]
fn assert_answer(answer: &str, status: &str, body: &str) {
    let (head, found) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(head.contains("\r\nConnection: close"), "{answer}");
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{answer}");
    assert_eq!(found, body);
}

#[test]
fn each_path_has_its_page_and_no_other_path_has_one() {
    let address = serve();
    assert_answer(&get(address, "/metrics"), "200", "Classic\n");
    assert_answer(&get(address, "/alive?verbose"), "200", "ok\n");
    assert_answer(&get(address, "/readyz"), "503", "not yet\n");
    for path in ["/", "/metrics/", "/healthz", "/alive/", "//metrics", "/%6detrics"] {
        assert_answer(&get(address, path), "404", "there is nothing at this path\n");
    }
    let pages = Papers { live: Err("stuck".to_owned()), ready: Ok(()), ..papers() };
    let address = serve_with(AGES, pages);
    assert_answer(&get(address, "/alive"), "503", "stuck\n");
    assert_answer(&get(address, "/readyz"), "200", "ok\n");
}

#[test]
fn metrics_come_in_the_format_that_is_accepted_and_say_which() {
    let address = serve();
    let accepting = |accept: &str| {
        ask(address, &format!("GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n"))
    };
    let openmetrics = accepting("application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    assert_answer(&openmetrics, "200", "OpenMetrics\n");
    let content_type =
        "\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(openmetrics.contains(content_type), "{openmetrics}");
    let classic = accepting("text/plain;version=0.0.4");
    assert_answer(&classic, "200", "Classic\n");
    let content_type = "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n";
    assert!(classic.contains(content_type), "{classic}");
}

#[test]
fn head_gets_the_head_and_other_methods_are_told_what_is_allowed() {
    let address = serve();
    let whole = get(address, "/alive");
    let head = ask(address, "HEAD /alive HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(whole.strip_prefix(&head), Some("ok\n"));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let request =
            format!("{method} /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na=b");
        let answer = ask(address, &request);
        assert_answer(&answer, "405", "only GET and HEAD are answered\n");
        assert!(answer.contains("\r\nAllow: GET, HEAD\r\n"), "{answer}");
    }
    let nowhere = ask(address, "POST /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_answer(&nowhere, "404", "there is nothing at this path\n");
}

#[test]
fn silent_clients_hold_up_nobody_and_the_oldest_of_too_many_is_closed() {
    let address = serve();
    let silent: Vec<TcpStream> = (0..3 * connection::MOST).map(|_| connect(address)).collect();
    assert_answer(&get(address, "/alive"), "200", "ok\n");
    let mut silent = silent.into_iter();
    for oldest in silent.by_ref().take(2 * connection::MOST + 1) {
        assert_eq!(rest(oldest), "");
    }
    // The others are still heard.
    for mut client in silent {
        client.write_all(b"GET /alive HTTP/1.0\r\n\r\n").unwrap();
        assert_answer(&rest(client), "200", "ok\n");
    }
}

#[test]
fn a_client_that_is_silent_or_slow_or_does_not_read_is_closed_when_its_time_is_over() {
    let pages = Papers { metrics: "a".repeat(64 << 20), ..papers() };
    let address = serve_with(SHORT, pages);
    assert_eq!(rest(connect(address)), "");

    let mut slow = connect(address);
    // A byte now and then does not help; when the server has closed, writing fails.
    while slow.write_all(b"G").is_ok() && slow.peek(&mut [0]).is_err() {
        slow.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    }

    let mut client = connect(address);
    client.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(rest(connect(address)), "");
    let mut read = Vec::new();
    // In good order or not, it ends too early.
    let _ = client.read_to_end(&mut read);
    assert!(read.len() < 64 << 20, "{}", read.len());
}

#[test]
fn a_client_that_sends_byte_by_byte_is_answered() {
    let mut client = connect(serve());
    for byte in b"\r\nGET /alive HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\n\r\n" {
        client.write_all(&[*byte]).unwrap();
    }
    assert_answer(&rest(client), "200", "ok\n");
}

#[test]
fn a_client_that_will_send_no_more_is_answered() {
    let mut client = connect(serve());
    client.write_all(b"GET /alive HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_answer(&rest(client), "200", "ok\n");
}

#[test]
fn a_page_that_is_longer_than_what_the_kernel_takes_at_once_arrives_whole() {
    let page = "0123456789abcdef".repeat(1 << 20);
    let address = serve_with(AGES, Papers { metrics: page.clone(), ..papers() });
    let mut client = connect(address);
    client.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    // Others are answered meanwhile.
    assert_answer(&get(address, "/alive"), "200", "ok\n");
    assert_answer(&rest(client), "200", &format!("Classic\n{page}"));
}

#[test]
fn a_head_that_is_too_long_is_refused_and_what_it_goes_on_with_is_read() {
    let address = serve();
    let long = "a".repeat(5000);
    let words = "the request line and headers are too long\n";
    for head in [
        format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET /metrics HTTP/1.1\r\nA: {long}\r\n\r\n"),
        format!("GET /metrics HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(200)),
        format!("GET /metrics HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(50_000)),
    ] {
        assert_answer(&ask(address, &head), "431", words);
    }
    // One that goes on without end is cut off.
    let mut endless = connect(address);
    while endless.write_all(long.as_bytes()).is_ok() {}
    assert_answer(&get(address, "/alive"), "200", "ok\n");
}

#[test]
fn garbage_is_refused_and_behind_a_request_it_is_not_heard() {
    let address = serve();
    for garbage in ["\x16\x03\x01\x02\x00\x01", "SSH-2.0-OpenSSH_9.9\r\n", "GET /\r\n\r\n", "\0"] {
        assert_answer(&ask(address, garbage), "400", "this is no HTTP request\n");
    }
    let request = "GET /alive HTTP/1.1\r\nHost: a\r\n\r\n";
    for behind in [request, "\0\x01garbage", &"x".repeat(20_000)] {
        assert_answer(&ask(address, &format!("{request}{behind}")), "200", "ok\n");
    }
}

#[test]
fn metrics_and_probes_may_have_a_port_each_or_one_together() {
    let other_host = "127.0.0.2:0".parse().unwrap();
    let server = PageServer::bind(&[(any_port(), METRICS()), (other_host, PROBES())]);
    let addresses: Vec<_> = server.addresses().into_iter().map(|(address, _)| address).collect();
    server.serve(Clock::start(), papers(), silent()).unwrap();
    assert_answer(&get(addresses[0], "/metrics"), "200", "Classic\n");
    assert_answer(&get(addresses[1], "/healthz"), "200", "ok\n");
    for (address, path) in
        [(addresses[0], "/healthz"), (addresses[0], "/readyz"), (addresses[1], "/metrics")]
    {
        assert_answer(&get(address, path), "404", "there is nothing at this path\n");
    }
    let server = PageServer::bind(&[(any_port(), METRICS()), (any_port(), PROBES())]);
    let [(address, _)] = server.addresses()[..] else { panic!("{server:?}") };
    server.serve(Clock::start(), papers(), silent()).unwrap();
    assert_answer(&get(address, "/metrics"), "200", "Classic\n");
    assert_answer(&get(address, "/readyz"), "503", "not yet\n");
}

#[test]
fn all_addresses_are_those_of_both_families_as_far_as_the_machine_has_them() {
    let all = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let server = PageServer::bind(&[(all, BOTH())]);
    let bound = server.addresses()[0].0;
    server.serve(Clock::start(), papers(), silent()).unwrap();
    let mut loopbacks = vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        loopbacks.push(Ipv6Addr::LOCALHOST.into());
    }
    for loopback in loopbacks {
        assert_answer(&get((loopback, bound.port()).into(), "/alive"), "200", "ok\n");
    }
}

#[test]
fn a_port_that_is_taken_is_said_with_who_wants_it_and_what_to_change() {
    let taken = TcpListener::bind(any_port()).unwrap();
    let address = taken.local_addr().unwrap();
    let why = |endpoints: Endpoints| {
        let server = PageServer::bind(&[(any_port(), PROBES()), (address, endpoints)]);
        assert_eq!(server.addresses().len(), 1, "the other is there");
        server.missing()[0].to_string()
    };
    let port = address.port();
    assert_eq!(
        why(METRICS()),
        format!(
            "cannot listen on {address} for metrics: Address already in use (os error 98). Another \
             process has port {port} of this machine; on the host's network that may be any process \
             of the node. Set PROMETHEUS_SERVER_PORT to a port that is free"
        )
    );
    assert!(why(PROBES()).ends_with("Set PROBES_SERVER_PORT to a port that is free"));
    assert!(why(BOTH()).contains("for metrics and probes: "), "{}", why(BOTH()));
    // TEST-NET-1 (RFC 5737): no machine's address.
    let nowhere = PageServer::bind(&[("192.0.2.1:9092".parse().unwrap(), METRICS())]);
    let why = nowhere.missing()[0].to_string();
    assert!(why.ends_with("Does the machine have this address?"), "{why}");
}

#[test]
fn a_port_that_is_taken_holds_up_no_other_and_is_had_once_it_is_free() {
    let taken = TcpListener::bind(any_port()).unwrap();
    let address = taken.local_addr().unwrap();
    let server = PageServer::bind(&[(any_port(), PROBES()), (address, METRICS())]);
    let [(other, _)] = server.addresses()[..] else { panic!("{server:?}") };
    let (tell, told) = mpsc::channel();
    let tell: FactSink = Arc::new(move |fact| tell.send(fact).unwrap());
    server.serve(Clock::start(), papers(), tell).unwrap();
    assert!(matches!(told.recv().unwrap(), Fact::Listens { .. }));
    let Fact::NotListening { pages, why } = told.recv().unwrap() else { panic!() };
    assert_eq!(pages, "metrics");
    assert!(why.contains("PROMETHEUS_SERVER_PORT"), "{why}");
    assert_answer(&get(other, "/healthz"), "200", "ok\n");
    drop(taken);
    let again = Fact::ListensAgain { address, pages: "metrics".to_owned() };
    assert_eq!(told.recv_timeout(LONG).unwrap(), again);
    assert_answer(&get(address, "/metrics"), "200", "Classic\n");
    assert!(told.try_recv().is_err(), "it is said once");
}

#[test]
fn who_has_a_port_is_known_if_it_is_this_program() {
    let served = serve();
    let own = PageServer::bind(&[(served, METRICS())]);
    assert!(own.missing()[0].is_of_this_program());
    let (silent, closed) = (TcpListener::bind(any_port()).unwrap(), any_port());
    let other = PageServer::bind(&[(silent.local_addr().unwrap(), METRICS())]);
    assert!(!other.missing()[0].is_of_this_program());
    assert!(PageServer::bind(&[(closed, METRICS())]).missing().is_empty());
}

#[test]
fn a_client_that_has_gone_again_closes_no_door_but_a_lack_of_descriptors_does() {
    for errno in [Errno::AGAIN, Errno::INTR, Errno::CONNABORTED] {
        assert!(passes(&errno.into()), "{errno}");
    }
    for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::PERM] {
        assert!(!passes(&errno.into()), "{errno}");
    }
}

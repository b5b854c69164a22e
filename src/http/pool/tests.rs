use std::ops::ControlFlow;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{self, Receiver, Sender};

use ringline_h2::error::ErrorCode;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use ureq_proto::http::Method;

use super::*;
use crate::http::address::Address;
use crate::http::connection::{H1, H2};
use crate::http::error::Role;
use crate::http::h2_stand_in::{Heard, MAX_CONCURRENT_STREAMS, Speaking, data, goaway, reset};
use crate::http::protocol::{BodyBuffer, BodyLimit};
use crate::http::stand_in::{Identity, LONG, Peer, SHORT, deaf_address, listen};
use crate::http::tls::client_config;

/// What came of a request: the status and the body.
type Outcome = Result<(u16, String), Cause>;

/// A pool, its server, and what the server has heard.
struct Stage {
    pool: Pool,
    /// How often the server was connected to.
    connections: Arc<AtomicUsize>,
    /// On which connection, and what was asked for.
    heard: Receiver<(usize, String)>,
}

/// A connection as the server's script has it.
struct Served {
    number: usize,
    speaking: Speaking,
    hear: Sender<(usize, String)>,
}

impl Served {
    fn hears(&mut self, number: usize) -> Vec<u32> {
        (0..number).map_while(|_| self.hears_one()).map(|(stream, _)| stream).collect()
    }

    fn hears_one(&mut self) -> Option<(u32, String)> {
        let asked = self.speaking.hears_request()?;
        let _ = self.hear.send((self.number, asked.path.clone()));
        Some((asked.stream, asked.path))
    }

    fn answers(&mut self, stream: u32) {
        let answer = self.speaking.speaker.answer(stream, b"{}");
        self.speaking.says(&answer);
    }

    /// Answers all that comes.
    fn goes_on(mut self) {
        while let Some((stream, _)) = self.hears_one() {
            self.answers(stream);
        }
    }

    /// What comes before the end is not heard.
    fn waits_for_the_end(mut self) {
        while self.speaking.hears().is_some() {}
    }
}

impl Stage {
    /// Whose server speaks HTTP/2 and has these SETTINGS.
    fn new(of: &'static [(u16, u32)], script: impl Fn(Served) + Send + Sync + 'static) -> Self {
        let (hear, heard) = mpsc::channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let port = listen(Some(h2_identity()), move |number, peer| {
            count.fetch_add(1, Ordering::SeqCst);
            script(Served { number, speaking: Speaking::new(peer, of), hear: hear.clone() });
        });
        Self { pool: pool_to("127.0.0.1", port, || {}), connections, heard }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn ask(&self, path: &str) -> Receiver<Outcome> {
        ask(&self.pool, path, LONG, &Cancel::default())
    }

    fn ask_all(&self, number: usize) -> Vec<Receiver<Outcome>> {
        (0..number).map(|at| self.ask(&format!("/{at}"))).collect()
    }

    /// What the server has heard by now, in order.
    fn heard(&self) -> Vec<(usize, String)> {
        let mut heard: Vec<_> = self.heard.try_iter().collect();
        heard.sort();
        heard
    }
}

fn h2_identity() -> &'static Identity {
    static H2_IDENTITY: OnceLock<Identity> = OnceLock::new();
    H2_IDENTITY.get_or_init(|| Identity::shared().speaking(&[H2, H1]))
}

/// `before`: called before each attempt to connect.
fn pool_to(host: &str, port: u16, before: impl Fn() + Send + Sync + 'static) -> Pool {
    let party = Party { role: Role::ApiServer, address: Address::parse(host, port).unwrap() };
    let mut roots = RootCertStore::empty();
    let authority = Identity::shared().authority.as_bytes();
    roots.add(CertificateDer::from_pem_slice(authority).unwrap()).unwrap();
    let config = client_config(roots, None, &[H2, H1]).unwrap();
    let tls = move || {
        before();
        Ok(Tls { config: Arc::clone(&config), roots: "the test's CA".to_owned() })
    };
    Pool::new(party, tls, Clock::start())
}

fn ask(pool: &Pool, path: &str, timeout: Duration, cancel: &Cancel) -> Receiver<Outcome> {
    let (tell, told) = mpsc::channel();
    pool.submit(
        Box::new(Asking::new(path, move |outcome| drop(tell.send(outcome)))),
        timeout,
        cancel.clone(),
    );
    told
}

fn is_answered(told: &Receiver<Outcome>) {
    assert_eq!(told.recv_timeout(LONG).unwrap(), Ok((200, "{}".to_owned())));
    assert!(told.recv().is_err(), "once");
}

/// More of a body is not read.
const LONGEST_BODY: usize = 1 << 24;

/// Told of each piece; whether it wants more.
type Watch = dyn FnMut(&[u8]) -> ControlFlow<()> + Send;

/// One request.
struct Asking {
    path: String,
    status: Option<StatusCode>,
    body: Vec<u8>,
    /// If it is a stream.
    watch: Option<Box<Watch>>,
    done: Box<dyn FnOnce(Outcome) + Send>,
    /// Asked in its place.
    next: Option<Box<dyn Exchange>>,
}

impl Asking {
    fn new(path: &str, done: impl FnOnce(Outcome) + Send + 'static) -> Self {
        let done = Box::new(done);
        Self {
            path: path.to_owned(),
            status: None,
            body: Vec::new(),
            watch: None,
            done,
            next: None,
        }
    }
}

impl Exchange for Asking {
    fn asked(&self) -> String {
        format!("POST {}", self.path)
    }

    fn request(&mut self) -> Result<Request, Error> {
        Ok(Request {
            method: Method::POST,
            target: self.path.clone(),
            authority: "api".to_owned(),
            headers: Vec::new(),
            body: Some("b".repeat(1000)),
        })
    }

    fn head(&mut self, head: Head) -> Result<bool, Cause> {
        assert_eq!(self.status.replace(head.status), None, "one head");
        BodyBuffer::new(BodyLimit { read: LONGEST_BODY, kept: 0 }, &head)
            .map(|_| self.watch.is_some())
    }

    fn data(&mut self, piece: &[u8]) -> Result<(), Cause> {
        let Some(tell) = &mut self.watch else {
            self.body.extend_from_slice(piece);
            return Ok(());
        };
        if tell(piece).is_break() { Err(Cause::GivenUp(Duration::ZERO)) } else { Ok(()) }
    }

    fn end(self: Box<Self>, end: Result<(), Error>) -> Option<Box<dyn Exchange>> {
        let body = String::from_utf8(self.body).unwrap();
        (self.done)(
            end.map_err(|error| error.cause).map(|()| (self.status.unwrap().as_u16(), body)),
        );
        self.next
    }
}

/// Waits until it is so.
fn comes_true(what: impl Fn() -> bool) {
    let clock = Clock::start();
    while !what() {
        assert!(clock.now() < Moment::START + LONG, "it does not come true");
        rest();
    }
}

/// For whatever happens elsewhere meanwhile.
fn rest() {
    let clock = Clock::start();
    clock.sleep_until(clock.now() + SHORT / 5);
}

// How many at a time.

#[test]
fn many_requests_share_one_connection() {
    let stage = Stage::new(&[], Served::goes_on);
    let grown = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&grown);
    stage.pool.when_grown(move || _ = count.fetch_add(1, Ordering::SeqCst));
    for _ in 0..5 {
        stage.ask_all(90).iter().for_each(is_answered);
    }
    assert_eq!((stage.connections(), stage.heard().len()), (1, 450));
    assert_eq!(grown.load(Ordering::SeqCst), 1, "there is more room than was known before");
}

#[test]
fn a_body_that_is_announced_as_too_long_ends_its_exchange_and_no_other() {
    let stage = Stage::new(&[], |mut served| {
        let streams = served.hears(2);
        let length = (LONGEST_BODY + 1).to_string();
        let fields = [(":status", "200"), ("content-length", &length)];
        let head = served.speaking.speaker.head_with(streams[0], &fields, false);
        served.speaking.says(&head);
        let mut frames = std::iter::from_fn(|| served.speaking.hears());
        assert!(frames.any(|frame| frame == Heard::Reset(streams[0], ErrorCode::Cancel)));
        served.answers(streams[1]);
        served.goes_on();
    });
    let told = stage.ask_all(2);
    let too_long = Cause::TooLong { status: Some(200), limit: LONGEST_BODY };
    assert_eq!(told[0].recv_timeout(LONG).unwrap(), Err(too_long));
    is_answered(&told[1]);
    assert_eq!(stage.connections(), 1);
}

#[test]
fn a_second_connection_is_opened_when_the_first_is_full_and_never_a_third() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let (full, is_full) = mpsc::channel();
    let stage = Stage::new(&[(MAX_CONCURRENT_STREAMS, 100)], move |mut served| {
        let streams = served.hears(100);
        assert!(served.speaking.hears_nothing(), "a 101st");
        let _ = full.send(served.number);
        let _ = lock(&wait).recv();
        for stream in streams {
            served.answers(stream);
        }
        served.goes_on();
    });
    let told = stage.ask_all(250);
    let mut full: Vec<_> = is_full.iter().take(2).collect();
    full.sort_unstable();
    assert_eq!(full, [0, 1]);
    assert!(told.iter().all(|told| told.try_recv().is_err()));
    assert_eq!(stage.heard().len(), 200);
    drop(go);
    told.iter().for_each(is_answered);
    assert_eq!((stage.connections(), stage.heard().len()), (2, 50));
}

#[test]
fn a_server_that_allows_one_stream_gets_one_at_a_time() {
    // It refuses what came before its SETTINGS were known.
    let stage = Stage::new(&[(MAX_CONCURRENT_STREAMS, 1)], |mut served| {
        while let Some((stream, _)) = served.hears_one() {
            while let Some(early) = served.speaking.hears_soon() {
                assert!(early.stream < 2 * 20 + 1, "SETTINGS are known by now");
                served.speaking.says(&reset(early.stream, ErrorCode::RefusedStream));
            }
            served.answers(stream);
        }
    });
    stage.ask_all(20).iter().for_each(is_answered);
    assert_eq!(stage.connections(), 2);
    assert_eq!(stage.heard().len(), 20);
}

#[test]
fn over_http_1_there_are_eight_connections_and_the_others_wait() {
    let (hear, heard) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let port = listen(Some(Identity::shared()), move |number, mut peer: Peer| {
        while peer.hears().is_some() {
            let _ = hear.send(number);
            let _ = lock(&wait).recv();
            peer.says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        }
    });
    let pool = pool_to("127.0.0.1", port, || {});
    let told: Vec<_> = (0..20).map(|_| ask(&pool, "/", LONG, &Cancel::default())).collect();
    let mut first: Vec<_> = heard.iter().take(8).collect();
    first.sort_unstable();
    assert_eq!(first, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(heard.recv_timeout(SHORT * 4).ok(), None, "the ninth waits");
    assert_eq!(pool.free(), 0);
    drop(go);
    told.iter().for_each(is_answered);
    assert_eq!(heard.try_iter().filter(|number| *number < 8).count(), 12);
    assert_eq!(pool.free(), MOST_UNSHARED - RESERVED);
}

#[test]
fn it_tells_how_many_more_can_begin() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let stage = Stage::new(&[(MAX_CONCURRENT_STREAMS, 30)], move |mut served| {
        let streams = served.hears(10);
        let _ = lock(&wait).recv();
        for stream in streams {
            served.answers(stream);
        }
        served.goes_on();
    });
    assert_eq!(stage.pool.free(), MOST_UNSHARED - RESERVED, "nothing is known yet");
    let told = stage.ask_all(10);
    comes_true(|| stage.pool.free() == 2 * 30 - 10 - RESERVED);
    drop(go);
    told.iter().for_each(is_answered);
    assert_eq!(stage.pool.free(), 2 * 30 - RESERVED);
    // Without a connection it is what was found out last.
    lock(&stage.pool.0.state).wake();
    comes_true(|| stage.pool.0.lock().waker.is_none());
    assert_eq!(stage.pool.free(), 2 * 30 - RESERVED);
}

#[test]
fn there_is_room_again_when_an_answer_is_told() {
    let stage = Stage::new(&[(MAX_CONCURRENT_STREAMS, 2)], Served::goes_on);
    is_answered(&stage.ask("/"));
    let pool = stage.pool.clone();
    comes_true(|| pool.free() == 2 * 2 - RESERVED);
    for _ in 0..200 {
        assert_eq!(pool.free(), 2 * 2 - RESERVED);
        let (tell, told) = mpsc::channel();
        let of = pool.clone();
        let done = move |_| tell.send(of.free()).unwrap();
        pool.submit(Box::new(Asking::new("/", done)), LONG, Cancel::default());
        assert_eq!(told.recv().unwrap(), 2 * 2 - RESERVED);
    }
    assert_eq!(stage.connections(), 1);
}

// GOAWAY, RST_STREAM.

#[test]
fn after_goaway_the_requests_above_its_last_id_are_asked_anew_once_each() {
    let stage = Stage::new(&[], |mut served| {
        if served.number > 0 {
            return served.goes_on();
        }
        let streams = served.hears(10);
        served.speaking.says(&goaway((1 << 31) - 1, ErrorCode::NoError, ""));
        served.speaking.says(&goaway(streams[3], ErrorCode::NoError, ""));
        assert!(served.speaking.hears_nothing(), "nothing new is opened");
        streams[..4].iter().for_each(|stream| served.answers(*stream));
        served.waits_for_the_end();
    });
    stage.ask_all(10).iter().for_each(is_answered);
    let on = |connection, paths: std::ops::Range<usize>| {
        paths.map(move |path| (connection, format!("/{path}")))
    };
    let expected: Vec<_> = on(0, 0..10).chain(on(1, 4..10)).collect();
    assert_eq!(stage.heard(), expected);
    is_answered(&stage.ask("/after"));
    assert_eq!(stage.connections(), 2);
}

#[test]
fn an_idle_connection_that_says_goodbye_is_not_used_again() {
    let stage = Stage::new(&[], |mut served| {
        let streams = served.hears(1);
        served.answers(streams[0]);
        served.speaking.says(&goaway(streams[0], ErrorCode::NoError, ""));
        // It is closed from the other side.
        assert_eq!(served.hears_one(), None);
        let _ = served.hear.send((served.number, "end".to_owned()));
    });
    for number in 0..3 {
        is_answered(&stage.ask("/"));
        assert_eq!(stage.heard.recv().unwrap(), (number, "/".to_owned()));
        assert_eq!(stage.heard.recv().unwrap(), (number, "end".to_owned()));
    }
}

#[test]
fn a_refused_request_is_asked_again_but_not_for_ever() {
    let stage = Stage::new(&[], |mut served| {
        let mut refused = 0;
        while let Some((stream, path)) = served.hears_one() {
            if path == "/always" || refused < 3 {
                refused += 1;
                served.speaking.says(&reset(stream, ErrorCode::RefusedStream));
            } else {
                served.answers(stream);
            }
        }
    });
    is_answered(&stage.ask("/thrice"));
    assert_eq!(stage.heard().len(), 4);
    let why = "it reset the stream (RefusedStream)".to_owned();
    assert_eq!(stage.ask("/always").recv().unwrap(), Err(Cause::Unanswered(why)));
    assert_eq!(stage.heard().len(), 1 + MOST_TRIES as usize);
    assert_eq!(stage.connections(), 1);
}

#[test]
fn a_request_that_was_answered_in_part_is_not_asked_again() {
    for refuse in [(|stream| reset(stream, ErrorCode::RefusedStream)) as fn(u32) -> Vec<u8>, |_| {
        goaway(0, ErrorCode::NoError, "")
    }] {
        let stage = Stage::new(&[], move |mut served| {
            let stream = served.hears(1)[0];
            let head = served.speaking.speaker.head(stream, 200, false);
            served.speaking.says(&[head, data(stream, b"{", false)].concat());
            served.speaking.says(&refuse(stream));
            served.goes_on();
        });
        let cut = Cause::CutShort { status: Some(200), length: 1 };
        assert_eq!(stage.ask("/").recv().unwrap(), Err(cut));
        assert_eq!(stage.heard().len(), 1);
    }
}

// The end of a connection.

#[test]
fn a_request_on_a_fresh_connection_that_dies_is_not_repeated() {
    for in_good_order in [true, false] {
        let stage = Stage::new(&[], move |mut served| {
            served.hears(2);
            if in_good_order {
                served.speaking.leaves();
            }
        });
        for told in stage.ask_all(2) {
            assert!(matches!(told.recv().unwrap(), Err(Cause::Unanswered(_))));
        }
        assert_eq!((stage.connections(), stage.heard().len()), (1, 2));
        assert_eq!(stage.pool.0.lock().open, 0);
    }
}

#[test]
fn an_answer_that_breaks_off_is_cut_short() {
    for in_good_order in [true, false] {
        let stage = Stage::new(&[], move |mut served| {
            if served.number > 0 {
                // The other request is repeated: its connection had answered.
                return drop(served.hears(1));
            }
            let streams = served.hears(2);
            let head = served.speaking.speaker.head(streams[0], 201, false);
            served.speaking.says(&[head, data(streams[0], b"{\"a", false)].concat());
            if in_good_order {
                served.speaking.leaves();
            }
        });
        let mut came: Vec<_> = stage.ask_all(2).iter().map(|told| told.recv().unwrap()).collect();
        let cut = Cause::CutShort { status: Some(201), length: 3 };
        came.retain(|came| *came != Err(cut.clone()));
        assert!(matches!(came[..], [Err(Cause::Unanswered(_))]), "{came:?}");
        assert_eq!(stage.connections(), 2);
    }
}

#[test]
fn why_a_connection_ended_is_told() {
    let stage = Stage::new(&[], |mut served| {
        let stream = served.hears(1)[0];
        served.speaking.says(&goaway(stream, ErrorCode::EnhanceYourCalm, "too_many_pings"));
        served.speaking.leaves();
    });
    let why = "it closed the connection: GOAWAY (EnhanceYourCalm) too_many_pings".to_owned();
    assert_eq!(stage.ask("/").recv().unwrap(), Err(Cause::Unanswered(why)));
    let page = Stage::new(&[], |mut served| {
        served.hears(1);
        served.speaking.says(&[0xff; 100]);
        // It is told what is wrong.
        while let Some(heard) = served.speaking.hears() {
            if let Heard::GoAway(code) = heard {
                assert_eq!(code, ErrorCode::FrameSizeError);
                let _ = served.hear.send((0, "GOAWAY".to_owned()));
            }
        }
    });
    let told = page.ask("/").recv().unwrap();
    assert!(matches!(told, Err(Cause::NotHttp { status: None, .. })), "{told:?}");
    assert_eq!(page.heard.iter().nth(1).unwrap().1, "GOAWAY");
}

#[test]
fn a_connection_that_was_closed_while_it_was_idle_harms_nobody() {
    for in_good_order in [true, false] {
        let stage = Stage::new(&[], move |mut served| {
            let stream = served.hears(1)[0];
            served.answers(stream);
            if in_good_order {
                served.speaking.leaves();
            } else {
                served.speaking.hangs_up();
            }
        });
        for _ in 0..50 {
            is_answered(&stage.ask("/"));
        }
        assert_eq!(stage.heard().len(), 50);
    }
}

#[test]
fn a_request_on_a_connection_that_has_answered_is_repeated_once() {
    let stage = Stage::new(&[], |mut served| {
        for stream in served.hears(usize::from(served.number == 0)) {
            served.answers(stream);
        }
        // Dies with all that is under way.
        served.hears(5);
        if served.number == 1 {
            served.waits_for_the_end();
        }
    });
    is_answered(&stage.ask("/first"));
    stage.heard();
    let told: Vec<_> =
        (0..5).map(|at| ask(&stage.pool, &format!("/{at}"), LONG, &Cancel::default())).collect();
    comes_true(|| stage.connections() == 2);
    let heard: Vec<_> = stage.heard.iter().take(10).collect();
    for connection in [0, 1] {
        let mut paths: Vec<_> = heard
            .iter()
            .filter(|(on, _)| *on == connection)
            .map(|(_, path)| path.as_str())
            .collect();
        paths.sort_unstable();
        assert_eq!(paths, ["/0", "/1", "/2", "/3", "/4"]);
    }
    assert!(told.iter().all(|told| told.try_recv().is_err()));
}

#[test]
fn a_request_whose_second_connection_dies_too_has_failed() {
    let stage = Stage::new(&[], |mut served| {
        match served.number {
            0 => {
                for stream in served.hears(1) {
                    served.answers(stream);
                }
                served.hears(2);
            }
            1 => {
                // It has answered, too.
                let both = [served.hears_one(), served.hears_one()];
                for (stream, path) in both.into_iter().flatten() {
                    if path == "/answered" {
                        served.answers(stream);
                    }
                }
            }
            _ => served.goes_on(),
        }
    });
    is_answered(&stage.ask("/first"));
    let [lost, answered] = [stage.ask("/lost"), stage.ask("/answered")];
    is_answered(&answered);
    let came = lost.recv().unwrap();
    assert!(matches!(came, Err(Cause::Unanswered(_))), "{came:?}");
    assert_eq!((stage.connections(), stage.heard().len()), (2, 5));
}

/// Each takes nine seconds: side by side.
#[test]
fn a_server_that_freezes_is_found_and_those_who_ask_then_go_elsewhere() {
    let freezes_after = |answers| {
        move |mut served: Served| {
            if served.number > 0 {
                return served.goes_on();
            }
            for stream in served.hears(answers) {
                served.answers(stream);
            }
            // Reads nothing more, and stays.
            served.hears(3);
            let clock = Clock::start();
            clock.sleep_until(clock.now() + LONG);
        }
    };
    thread::scope(|scope| {
        for answers in [0, 1] {
            scope.spawn(move || {
                let stage = Stage::new(&[], freezes_after(answers));
                for _ in 0..answers {
                    is_answered(&stage.ask("/"));
                }
                let clock = Clock::start();
                // Whether they were carried out, nobody knows.
                for lost in stage.ask_all(3) {
                    let error = format!("{:?}", lost.recv().unwrap().unwrap_err());
                    assert!(error.starts_with("Unanswered(\"no sign of life for"), "{error}");
                }
                let took = clock.now().since(Moment::START);
                assert!(took > Duration::from_secs(8), "{took:?}");
                assert!(took < Duration::from_secs(20), "{took:?}");
                is_answered(&stage.ask("/"));
                assert_eq!((stage.connections(), stage.heard().len()), (2, answers + 4));
            });
        }
    });
}

// Who waits no longer.

#[test]
fn what_is_given_up_is_reset_and_its_slot_is_free_at_once() {
    let stage = Stage::new(&[(MAX_CONCURRENT_STREAMS, 1)], |mut served| {
        let stream = served.hears(1)[0];
        while served.speaking.resets.is_empty() {
            // Whatever else was to come is not there before the reset.
            let Some(heard) = served.speaking.hears() else { return };
            let next = served.speaking.takes(heard);
            assert_eq!(next, None);
        }
        assert_eq!(served.speaking.resets, [(stream, ErrorCode::Cancel)]);
        // Too late.
        served.answers(stream);
        served.goes_on();
    });
    let cancel = Cancel::default();
    let told = ask(&stage.pool, "/slow", LONG, &cancel);
    assert_eq!(stage.heard.recv().unwrap().1, "/slow");
    assert!(cancel.is_waited_for());
    stage.pool.cancelled();
    assert!(told.recv_timeout(SHORT).is_err(), "nobody has given it up");
    cancel.set();
    stage.pool.cancelled();
    assert!(matches!(told.recv().unwrap(), Err(Cause::GivenUp(_))));
    comes_true(|| !cancel.is_waited_for());
    comes_true(|| stage.pool.free() == 0);
    is_answered(&stage.ask("/next"));
    assert_eq!(stage.connections(), 1, "the connection stays");
}

#[test]
fn a_watch_that_its_owner_ends_is_reset() {
    let stage = Stage::new(&[], |mut served| {
        let stream = served.hears(1)[0];
        let head = served.speaking.speaker.head(stream, 200, false);
        served.speaking.says(&[head, data(stream, b"a", false)].concat());
        while served.speaking.resets.is_empty() {
            let Some(frame) = served.speaking.hears() else { return };
            served.speaking.takes(frame);
        }
        assert_eq!(served.speaking.resets, [(stream, ErrorCode::Cancel)]);
        let _ = served.hear.send((0, "reset".to_owned()));
        served.goes_on();
    });
    let (tell, told) = mpsc::channel();
    let mut watch = Asking::new("/watch", move |outcome| drop(tell.send(outcome)));
    watch.watch = Some(Box::new(|_| ControlFlow::Break(())));
    stage.pool.submit(Box::new(watch), LONG, Cancel::default());
    assert_eq!(told.recv().unwrap(), Err(Cause::GivenUp(Duration::ZERO)));
    let heard = || stage.heard.recv_timeout(LONG).unwrap().1;
    assert_eq!([heard(), heard()], ["/watch", "reset"]);
    is_answered(&stage.ask("/"));
    assert_eq!(stage.connections(), 1);
}

#[test]
fn what_takes_too_long_ends_whether_it_was_sent_or_waits() {
    // One stream a connection: two are under way, one waits.
    let stage = Stage::new(&[(MAX_CONCURRENT_STREAMS, 1)], move |mut served| {
        while let Some(heard) = served.speaking.hears() {
            if heard == Heard::Acknowledged {
                let _ = served.hear.send((served.number, "SETTINGS".to_owned()));
            }
            let Some(asked) = served.speaking.takes(heard) else { continue };
            let _ = served.hear.send((served.number, asked.path.clone()));
            if asked.path == "/" {
                served.answers(asked.stream);
            }
        }
        let resets = served.speaking.resets.iter().filter(|(_, code)| *code == ErrorCode::Cancel);
        let _ = served.hear.send((served.number, format!("{} resets", resets.count())));
    });
    is_answered(&stage.ask("/"));
    let timeout = SHORT * 10;
    let first = ask(&stage.pool, "/1", timeout, &Cancel::default());
    let second = ask(&stage.pool, "/2", timeout, &Cancel::default());
    let mut heard: Vec<_> = stage.heard.iter().take(5).collect();
    heard.sort();
    let of = |number, what: &str| (number, what.to_owned());
    assert_eq!(heard[..3], [of(0, "/"), of(0, "/1"), of(0, "SETTINGS")]);
    assert_eq!(heard[3..], [of(1, "/2"), of(1, "SETTINGS")]);
    let third = ask(&stage.pool, "/3", SHORT * 2, &Cancel::default());
    assert_eq!(third.recv().unwrap(), Err(Cause::TimedOut(SHORT * 2)));
    assert_eq!(first.recv().unwrap(), Err(Cause::TimedOut(timeout)));
    assert_eq!(second.recv().unwrap(), Err(Cause::TimedOut(timeout)));
    // The third was not sent in the end.
    let mut heard: Vec<_> = stage.heard.iter().take(2).collect();
    heard.sort();
    assert_eq!(heard, [of(0, "1 resets"), of(1, "1 resets")]);
}

#[test]
fn the_time_to_connect_counts() {
    let port = listen(None, |_, peer| peer.waits_for_the_end());
    let pool = pool_to("127.0.0.1", port, || {});
    let told = ask(&pool, "/", SHORT, &Cancel::default());
    assert_eq!(told.recv().unwrap(), Err(Cause::NotConnected(SHORT)));
    let cancel = Cancel::default();
    let told = ask(&pool, "/", LONG, &cancel);
    cancel.set();
    pool.cancelled();
    assert!(matches!(told.recv().unwrap(), Err(Cause::GivenUp(_))));
    assert_eq!(pool.free(), MOST_UNSHARED - RESERVED);
}

#[test]
fn an_answer_without_end_may_take_as_long_as_it_likes() {
    let stage = Stage::new(&[], |mut served| {
        let stream = served.hears(1)[0];
        let head = served.speaking.speaker.head(stream, 200, false);
        served.speaking.says(&head);
        assert!(served.speaking.hears_nothing());
        let clock = Clock::start();
        clock.sleep_until(clock.now() + SHORT * 6);
        served.speaking.says(&data(stream, b"a", true));
        served.goes_on();
    });
    let (tell, told) = mpsc::channel();
    let mut watch = Asking::new("/watch", move |outcome| drop(tell.send(outcome)));
    watch.watch = Some(Box::new(|_| ControlFlow::Continue(())));
    stage.pool.submit(Box::new(watch), SHORT * 4, Cancel::default());
    assert_eq!(told.recv().unwrap(), Ok((200, String::new())));
}

#[test]
fn a_watch_of_megabytes_does_not_hold_up_200_answers() {
    const ALL: usize = 8 << 20;
    let stage = Stage::new(&[], |mut served| {
        let watch = served.hears(1)[0];
        let head = served.speaking.speaker.head(watch, 200, false);
        served.speaking.says(&head);
        // As much as the client lets it, all the time.
        let (mut left, mut room) = (ALL, 1 << 20);
        loop {
            while room > 0 && left > 0 {
                let length = room.min(left).min(16_384);
                (left, room) = (left - length, room - length);
                served.speaking.says(&data(watch, &vec![b'e'; length], left == 0));
            }
            match served.speaking.hears() {
                None => return,
                Some(Heard::Window(stream, more)) if stream == watch => room += more as usize,
                Some(other) => {
                    if let Some(asked) = served.speaking.takes(other) {
                        served.answers(asked.stream);
                    }
                }
            }
        }
    });
    let (tell, told) = mpsc::channel();
    let length = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&length);
    let mut watch = Asking::new("/watch", move |outcome| drop(tell.send(outcome)));
    watch.watch = Some(Box::new(move |piece| {
        count.fetch_add(piece.len(), Ordering::SeqCst);
        ControlFlow::Continue(())
    }));
    stage.pool.submit(Box::new(watch), LONG, Cancel::default());
    comes_true(|| length.load(Ordering::SeqCst) > 0);
    for _ in 0..4 {
        stage.ask_all(50).iter().for_each(is_answered);
    }
    assert_eq!(told.recv().unwrap(), Ok((200, String::new())));
    assert_eq!((length.load(Ordering::SeqCst), stage.connections()), (ALL, 1));
}

// Connecting.

#[test]
fn all_who_wait_hear_why_nobody_can_be_connected_to_and_one_attempt_serves_them() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&attempts);
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let pool = pool_to("127.0.0.1", deaf_address().port(), move || {
        count.fetch_add(1, Ordering::SeqCst);
        let _ = lock(&wait).recv();
    });
    let told: Vec<_> = (0..10).map(|_| ask(&pool, "/", LONG, &Cancel::default())).collect();
    drop(go);
    for told in told {
        assert!(matches!(told.recv().unwrap(), Err(Cause::Unreachable(_))));
    }
    assert_eq!(attempts.load(Ordering::SeqCst), 1);
    assert_eq!(pool.free(), MOST_UNSHARED - RESERVED);
}

#[test]
fn where_the_name_led_before_is_tried_and_then_where_it_leads_now() {
    let port = listen(Some(h2_identity()), |_, peer| Speaking::new(peer, &[]).echoes());
    let pool = pool_to("localhost", port, || {});
    *lock(&pool.0.addresses) = vec![deaf_address()];
    let told = ask(&pool, "/", LONG, &Cancel::default());
    assert_eq!(told.recv().unwrap(), Ok((200, "/".to_owned())));
    let known = lock(&pool.0.addresses).clone();
    assert!(known.iter().all(|address| address.port() == port && address.ip().is_loopback()));
    assert!(!known.is_empty());
}

/// Takes six seconds.
#[test]
fn an_attempt_that_was_given_up_does_not_end_the_next_one() {
    let (go, wait) = mpsc::channel();
    let (wait, begun) = (Mutex::new(VecDeque::from([wait])), Arc::new(AtomicUsize::new(0)));
    let (second, wait_second) = mpsc::channel::<()>();
    lock(&wait).push_back(wait_second);
    let port = listen(Some(h2_identity()), |_, peer| Speaking::new(peer, &[]).echoes());
    let count = Arc::clone(&begun);
    let pool = pool_to("127.0.0.1", port, move || {
        count.fetch_add(1, Ordering::SeqCst);
        let wait = lock(&wait).pop_front();
        let _ = wait.map(|wait| wait.recv());
    });
    let told = ask(&pool, "/1", LONG, &Cancel::default());
    assert!(matches!(told.recv().unwrap(), Err(Cause::Unresolved(_))));
    comes_true(|| pool.0.lock().waker.is_none());
    let told = ask(&pool, "/2", LONG, &Cancel::default());
    comes_true(|| begun.load(Ordering::SeqCst) == 2);
    // The first one comes back now.
    drop::<Sender<()>>(go);
    assert!(told.recv_timeout(SHORT * 6).is_err(), "it waits for the second");
    drop(second);
    assert_eq!(told.recv().unwrap(), Ok((200, "/2".to_owned())));
    assert!(pool.0.lock().dialled.is_none(), "nothing is kept of it");
}

// The thread.

#[test]
fn the_thread_ends_when_nothing_was_asked_for_a_while_and_starts_again() {
    let (end, ended) = mpsc::channel();
    let stage = Stage::new(&[], move |served| {
        served.goes_on();
        let _ = end.send(());
    });
    assert!(stage.pool.0.lock().waker.is_none(), "none before the first request");
    for _ in 0..2 {
        let clock = Clock::start();
        is_answered(&stage.ask("/"));
        assert!(stage.pool.0.lock().waker.is_some());
        ended.recv().unwrap();
        assert!(clock.now() >= Moment::START + IDLE);
        comes_true(|| stage.pool.0.lock().waker.is_none());
    }
}

#[test]
fn what_is_asked_at_the_moment_in_which_the_thread_ends_is_not_lost() {
    // Without a connection it ends at once.
    let pool = pool_to("127.0.0.1", deaf_address().port(), || {});
    let clock = Clock::start();
    for number in 0..2000 {
        let told = ask(&pool, "/", LONG, &Cancel::default());
        assert!(matches!(told.recv_timeout(LONG).unwrap(), Err(Cause::Unreachable(_))));
        // A little later each time, for a while.
        let pause = Duration::from_micros(number % 50 * 5);
        clock.sleep_until(clock.now() + pause);
    }
    comes_true(|| pool.0.lock().waker.is_none());
    assert_eq!(pool.free(), MOST_UNSHARED - RESERVED);
}

#[test]
fn the_next_may_be_asked_by_whoever_hears_of_the_end() {
    fn again(pool: &Pool, left: usize, tell: Sender<Outcome>) {
        let of = pool.clone();
        let done = move |outcome: Outcome| match left {
            0 => drop(tell.send(outcome)),
            _ => again(&of, left - 1, tell),
        };
        pool.submit(Box::new(Asking::new(&format!("/{left}"), done)), LONG, Cancel::default());
    }
    let stage = Stage::new(&[], Served::goes_on);
    let (tell, told) = mpsc::channel();
    again(&stage.pool, 300, tell);
    is_answered(&told);
    assert_eq!((stage.connections(), stage.heard().len()), (1, 301));
    // Or given back in its place.
    let (tell, told) = mpsc::channel();
    let mut last = Asking::new("/last", move |outcome| drop(tell.send(outcome)));
    for number in 0..50 {
        let mut before = Asking::new(&format!("/{number}"), |outcome| assert!(outcome.is_ok()));
        before.next = Some(Box::new(last));
        last = before;
    }
    stage.pool.submit(Box::new(last), LONG, Cancel::default());
    is_answered(&told);
    assert_eq!((stage.connections(), stage.heard().len()), (1, 51));
    assert_eq!(stage.pool.free(), 2 * 100 - RESERVED);
}

//! Answers of the metadata service, byte by byte, over loopback: the client for it reads from sockets only. One answer
//! after the other, parted by a line of `--`. With `I` before them the facts about the instance are read, else a token
//! and the notices.
#![no_main]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use k8s_spot_handler::clock::Clock;
use k8s_spot_handler::excerpt::is_hidden;
use k8s_spot_handler::source::url::MetadataUrl;
use k8s_spot_handler::source::{InstanceSource, Source, TokenCheck, Watched};
use libfuzzer_sys::fuzz_target;

/// What the server says, in turn.
static ANSWERS: Mutex<VecDeque<Vec<u8>>> = Mutex::new(VecDeque::new());

static SERVER: OnceLock<String> = OnceLock::new();

fuzz_target!(|input: &[u8]| {
    let (mode, rest) = fuzz::mode(input);
    let answers = fuzz::parts(rest, b"\n--\n").take(16).map(<[u8]>::to_vec).collect();
    *ANSWERS.lock().unwrap_or_else(PoisonError::into_inner) = answers;
    let metadata_url = MetadataUrl::parse(SERVER.get_or_init(serve)).expect("it is one");
    if mode == b'I' {
        instance(metadata_url);
    } else {
        notices(metadata_url);
    }
});

fn notices(metadata_url: MetadataUrl) {
    let watched =
        Watched { interruption: true, rebalance: false, maintenance: false, lifecycle: false };
    let source = Source {
        metadata_url,
        notice_url: None,
        interval: Duration::from_secs(2),
        calm_interval: Duration::from_secs(2),
        v1_fallback: true,
        watched,
        window: Duration::from_mins(2),
        lifecycle_window: Duration::from_mins(2),
    };
    let check = source.check(Clock::start());
    if let TokenCheck::Failed { found, .. } = &check.token {
        fuzz::is_one_line(found);
    }
    for polled in check.paths.into_iter().filter_map(|(_, polled)| polled) {
        match polled.outcome {
            Ok(answer) => {
                fuzz::are_lines(answer.standing.iter().map(|notice| notice.wording.as_str()));
            }
            Err(why) => fuzz::is_one_line(&why),
        }
    }
}

fn instance(metadata_url: MetadataUrl) {
    let source = InstanceSource {
        metadata_url,
        v1_fallback: true,
        zone_url: None,
        id_url: None,
        type_url: None,
    };
    let read = source.read(Clock::start());
    let facts = [
        read.account_id,
        read.availability_zone,
        read.region,
        read.instance_id,
        read.instance_type,
        read.life_cycle,
        read.local_hostname,
        read.local_ip,
        read.public_hostname,
        read.public_ip,
    ];
    for fact in facts.iter().flatten() {
        assert!((1..=256).contains(&fact.len()) && !fact.contains(is_hidden), "{fact:?}");
    }
}

/// A server that gives each connection the next answer and closes it.
fn serve() -> String {
    let server = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = server.local_addr().expect("it has an address");
    thread::spawn(move || {
        for stream in server.incoming().flatten() {
            let mut answers = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
            let answer = answers.pop_front().unwrap_or_default();
            answers.push_back(answer.clone());
            drop(answers);
            // A client that hangs up early is no matter.
            let _ = answer_with(stream, &answer);
        }
    });
    format!("http://{address}")
}

fn answer_with(mut stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut bytes = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        let length = stream.read(&mut bytes)?;
        if length == 0 {
            return Ok(());
        }
        head.extend_from_slice(&bytes[..length]);
    }
    stream.write_all(answer)
}

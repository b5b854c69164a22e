//! `NODE_NAME` names no Node: nothing that is said, counted or served calls its drain a success.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::child::{Launch, PATIENCE};
use crate::stage::{FAR, Stage, quick_pods};

/// Not the name of any Node there.
const WRONG: &str = "ip-10-0-1-17.ec2.internal";

fn launch(stage: &Stage) -> Launch<'_> {
    stage.handler().with("NODE_NAME", WRONG)
}

/// A port of the loopback interface that nobody has.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// One exchange over HTTP/1.1: the whole answer.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Asks until the answer has these words.
fn says(port: u16, path: &str, words: &str) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = get(port, path).unwrap_or_default();
        if answer.contains(words) {
            return answer;
        }
        assert!(Instant::now() < until, "{path} does not say `{words}`: {answer}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Takes the messages of a webhook.
fn receiver() -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, messages) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut reader = BufReader::new(stream);
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let lower = line.to_ascii_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            reader.into_inner().write_all(answer).unwrap();
            if sender.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    (url, messages)
}

#[test]
fn the_log_the_message_the_metrics_and_the_probe_say_that_nothing_was_drained() {
    let stage = Stage::with(quick_pods(2));
    let (metrics, probes) = (free_port(), free_port());
    let (url, messages) = receiver();
    let handler = launch(&stage)
        .with("ENABLE_PROMETHEUS_SERVER", "true")
        .with("PROMETHEUS_SERVER_PORT", metrics.to_string())
        .with("ENABLE_PROBES_SERVER", "true")
        .with("PROBES_SERVER_PORT", probes.to_string())
        .with("LISTEN_ADDRESS", "127.0.0.1")
        .with("WEBHOOK_URL", url)
        .with("WEBHOOK_FORM", "json")
        .start();

    // At the start, without a notice.
    let line = handler.says(&format!("there is no node named {WRONG}"));
    assert!(line.contains("ERROR") && line.contains("kubectl get nodes"), "{line}");
    let answer = says(probes, "/readyz", &format!("there is no node named {WRONG}"));
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    says(probes, "/healthz", "HTTP/1.1 200 ");

    stage.cloud.announce_in(FAR);
    let line = handler.says("nothing was drained: there is no node of this name");
    assert!(line.contains("ERROR"), "{line}");
    assert_eq!(handler.said("the drain is done"), 0);
    let page = says(metrics, "/metrics", "drains_total{outcome=\"incomplete\"} 1");
    assert!(!page.contains("drains_total{outcome=\"complete\"} 1"), "{page}");
    let end = loop {
        let message = messages.recv_timeout(PATIENCE).unwrap();
        if message["stage"] == "drain-ends" {
            break message;
        }
    };
    assert_eq!(end["severity"], "error", "{end}");
    let summary = format!("Nothing was drained: there is no node named {WRONG}: no pods");
    assert!(end["summary"].as_str().unwrap().starts_with(&summary), "{end}");
    assert_eq!(stage.cluster.pods().len(), 2);
}

//! What a report lacks costs no pod: ports, settings, files, a log that nobody reads.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::child::{Launch, PATIENCE};
use crate::stage::{FAR, Folder, Stage, at_once, names, own_port, quick_pods};

/// A port that somebody else has until it is dropped.
fn taken() -> (TcpListener, String) {
    let listener = own_port();
    let port = listener.local_addr().unwrap().port();
    (listener, port.to_string())
}

/// A port that nobody has for now.
fn free() -> String {
    taken().1
}

fn pages<'a>(stage: &'a Stage, metrics: &str, probes: &str) -> Launch<'a> {
    let launch = stage.handler().with("LISTEN_ADDRESS", "127.0.0.1");
    let launch =
        launch.with("ENABLE_PROMETHEUS_SERVER", "true").with("PROMETHEUS_SERVER_PORT", metrics);
    launch.with("ENABLE_PROBES_SERVER", "true").with("PROBES_SERVER_PORT", probes)
}

/// What is answered; empty if nobody does.
fn get(port: &str, path: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().unwrap()));
        let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().unwrap_or_default()
}

/// Waits until the answer has these words.
fn shows(port: &str, path: &str, words: &str) {
    let end = Instant::now() + PATIENCE;
    let mut answer = String::new();
    while Instant::now() < end {
        answer = get(port, path);
        if answer.contains(words) {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{path} does not show {words}: {answer}");
}

#[test]
fn a_port_that_is_taken_costs_no_pod_and_is_served_once_it_is_free() {
    let cases = ["metrics", "probes", "metrics and probes"];
    at_once(&cases.map(|which| (which, which)), |which| {
        let stage = Stage::with(quick_pods(2));
        let (somebody, port) = taken();
        let other = free();
        let launch = match *which {
            "metrics" => pages(&stage, &port, &other),
            "probes" => pages(&stage, &other, &port),
            _ => pages(&stage, &port, &port),
        };
        let handler = launch.start();
        let line = handler.says(&format!("cannot listen on 127.0.0.1:{port} for {which}: "));
        assert!(line.contains(" ERROR ") && line.contains("_SERVER_PORT"), "{line}");
        match *which {
            "metrics" => shows(&other, "/readyz", "200 OK"),
            "probes" => shows(&other, "/metrics", "report_faults{part=\"port\"} 1\n"),
            _ => {}
        }
        if *which == "metrics" {
            shows(&other, "/readyz", "\r\n\r\nok\nnot served: metrics; the log says why\n");
        }
        stage.cloud.announce_in(FAR);
        handler.table().all_evicted(&names(2));
        drop(somebody);
        let line = handler.says(&format!("http://127.0.0.1:{port} serves {which} now"));
        assert!(line.contains(" INFO "), "{line}");
        if which.contains("probes") {
            shows(&port, "/healthz", "\r\n\r\nok\n");
        }
        let metrics = if which.contains("metrics") { &port } else { &other };
        shows(metrics, "/metrics", "report_faults{part=\"port\"} 0\n");
        assert_eq!(handler.said("cannot listen on"), 1);
    });
}

#[test]
fn settings_of_reports_that_are_not_valid_cost_no_pod() {
    const BAD: [(&str, &str); 16] = [
        ("LOG_LEVEL", "loud"),
        ("JSON_LOGGING", "yes"),
        ("VERBOSE", "very"),
        ("EMIT_KUBERNETES_EVENTS", "on"),
        ("KUBERNETES_EVENTS_EXTRA_ANNOTATIONS", "a b=1"),
        ("WEBHOOK_URL", "ftp://127.0.0.1/hush"),
        ("WEBHOOK_FORM", "telegram"),
        ("WEBHOOK_ROUTING_KEY", "hush"),
        ("WEBHOOK_HEADERS", "Authorization: hush"),
        ("WEBHOOK_PROXY", "socks5://u:hush@127.0.0.1"),
        ("WEBHOOK_CA_FILE", "ca.crt"),
        ("SLACK_URL", "hush"),
        ("WECHAT_KEY", "hush&hush"),
        ("PROBES_SERVER_ENDPOINT", "healthz"),
        ("K8S_SPOT_HANDLER_DEADLINE", "soon"),
        ("K8S_SPOT_HANDLER_OUTPUT", "yaml"),
    ];
    let stage = Stage::with(quick_pods(2));
    let (metrics, probes) = (free(), free());
    let mut launch = pages(&stage, &metrics, &probes);
    for (name, value) in BAD {
        launch = launch.with(name, value);
    }
    let handler = launch.start();
    for (name, _) in BAD {
        let line = handler.says(&format!("a setting is not valid: {name}"));
        assert!(line.contains(" ERROR "), "{line}");
    }
    shows(&metrics, "/metrics", &format!("report_faults{{part=\"setting\"}} {}\n", BAD.len()));
    shows(&probes, "/alive", "\r\n\r\nok\n");
    stage.cloud.announce_in(FAR);
    handler.table().all_evicted(&names(2));
    assert_eq!(handler.said("hush"), 0);
}

/// Takes messages, and tells of each whole request.
fn receiver(answer: impl Fn(&str) -> &'static str + Send + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let Some(request) = socket.ok().and_then(|mut socket| {
                socket.set_read_timeout(Some(PATIENCE)).ok()?;
                let request = whole(&mut socket)?;
                let status = answer(&request);
                write!(socket, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").ok()?;
                Some(request)
            }) else {
                continue;
            };
            if tell.send(request).is_err() {
                return;
            }
        }
    });
    (address, told)
}

/// A request with its body; `None`: there is none.
fn whole(socket: &mut TcpStream) -> Option<String> {
    let (mut request, mut bytes) = (String::new(), [0; 4096]);
    loop {
        let count = socket.read(&mut bytes).ok().filter(|count| *count > 0)?;
        request.push_str(std::str::from_utf8(&bytes[..count]).ok()?);
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(request);
        }
    }
}

#[test]
fn a_template_that_is_missing_or_bad_costs_neither_pod_nor_message_and_may_come_later() {
    let cases = [
        ("missing", None),
        ("a line break in a string", Some("{\"text\":\"a\nb\"}")),
        ("range", Some("{\"text\":\"{{ range .Pods }}x{{ end }}\"}")),
        ("a function", Some("{\"text\":\"{{ .Kind | upper }}\"}")),
    ];
    at_once(&cases, |template| {
        let stage = Stage::with(quick_pods(1));
        let folder = Folder::new();
        let file = folder.file("template");
        if let Some(text) = template {
            folder.put("template", text);
        }
        let (address, messages) = receiver(|_| "204 No Content");
        let url = format!("http://{address}/hush");
        let metrics = free();
        let launch = stage.handler().with("WEBHOOK_URL", url).with("WEBHOOK_TEMPLATE_FILE", &file);
        let launch = launch.with("LISTEN_ADDRESS", "127.0.0.1");
        let launch = launch.with("ENABLE_PROMETHEUS_SERVER", "true");
        let handler = launch.with("PROMETHEUS_SERVER_PORT", &metrics).start();
        let line = handler.says("the default message is sent: ");
        assert!(line.contains(" ERROR ") && line.contains(file.to_str().unwrap()), "{line}");
        shows(&metrics, "/metrics", "report_faults{part=\"webhook\"} 1\n");
        stage.cloud.announce_in(FAR);
        handler.table().all_evicted(&names(1));
        let message = messages.recv_timeout(PATIENCE).unwrap();
        assert!(message.contains("{\"text\":\"[SPOT_ITN] The drain of "), "{message}");
        folder.put("template", "{\"mine\":\"{{ .Kind }}\"}");
        handler.says("what was missing is there");
        shows(&metrics, "/metrics", "report_faults{part=\"webhook\"} 0\n");
        assert_eq!(handler.said("the default message is sent: "), 1);
        assert_eq!(handler.said("hush"), 0);
    });
}

#[test]
fn a_message_goes_without_its_headers_and_again_with_them_where_it_was_refused() {
    let stage = Stage::with(quick_pods(1));
    let folder = Folder::new();
    let file = folder.file("headers");
    let (address, messages) = receiver(|request| {
        if request.contains("x-key: hush") { "204 No Content" } else { "401 Unauthorized" }
    });
    let launch = stage.handler().with("WEBHOOK_URL", format!("http://{address}/"));
    let handler = launch.with("WEBHOOK_HEADERS_FILE", &file).start();
    handler.says("messages go without their headers: ");
    stage.cloud.announce_in(FAR);
    let first = messages.recv_timeout(PATIENCE).unwrap();
    assert!(first.contains("The drain of ") && !first.contains("hush"), "{first}");
    handler.says("it went without its headers: ");
    folder.put("headers", r#"{"X-Key":"hush"}"#);
    handler.table().all_evicted(&names(1));
    handler.says("delivered, after ");
    assert!(messages.iter().take(20).any(|request| request.contains("x-key: hush")));
    assert_eq!(handler.said("hush"), 0);
}

#[test]
fn what_a_webhook_cannot_do_without_is_said_at_the_start() {
    let stage = Stage::with(quick_pods(1));
    let folder = Folder::new();
    let launch = stage.handler().with("WEBHOOK_URL_FILE", folder.file("url"));
    let handler = launch.with("WEBHOOK_CA_FILE", folder.file("ca.crt")).start();
    let line = handler.says("no message can be sent: ");
    for file in ["url", "ca.crt"] {
        assert!(line.contains(folder.file(file).to_str().unwrap()), "{line}");
    }
    assert!(line.contains(" ERROR "), "{line}");
    stage.cloud.announce_in(FAR);
    handler.table().all_evicted(&names(1));
}

#[test]
fn a_log_that_nobody_reads_any_more_holds_up_neither_drain_nor_end() {
    let stage = Stage::with(quick_pods(3));
    let mut handler = stage.handler().with("VERBOSE", "1").stuck().start();
    stage.polled_on(0, 2);
    stage.cloud.announce_in(FAR);
    stage.left(&[]);
    handler.terminate();
    assert!(handler.ended().success());
}

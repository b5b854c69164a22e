//! The proxies of the environment: for webhooks, and for nobody else.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::child::PATIENCE;
use crate::stage::{FAR, Stage, names, quick_pods};

/// A proxy that takes every message, and tells the first line of each request. Ends with the test.
fn proxy() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // With a user, who must not be seen in the log.
    let url = format!("http://user:hunter2@{}", listener.local_addr().unwrap());
    let (tell, told) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let line = head.lines().next().unwrap_or_default().to_owned();
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    (url, told)
}

#[test]
fn a_webhook_is_reached_through_it_and_neither_api_server_nor_metadata_service_is() {
    let stage = Stage::with(quick_pods(2));
    let (url, asked) = proxy();
    let mut launch = stage.handler().with("WEBHOOK_URL", "http://hooks.example/hunter2");
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
    {
        launch = launch.with(name, &url);
    }
    let mut handler = launch.start();
    stage.cloud.announce_in(FAR);
    handler.table().all_evicted(&names(2));
    // The beginning and the end of the drain.
    for _ in 0..2 {
        let line = asked.recv_timeout(PATIENCE).unwrap();
        assert_eq!(line, "POST http://hooks.example/hunter2 HTTP/1.1");
    }
    handler.terminate();
    assert!(handler.ended().success());
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), [""; 0]);
    assert_eq!(handler.said("hunter2"), 0);
    assert!(handler.said("HTTP_PROXY=http://127.0.0.1:") > 0, "where it came from is not said");
}

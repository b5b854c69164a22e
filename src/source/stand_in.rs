//! A server on loopback for the tests of this folder: one connection after the other, each
//! answered as the test says.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::http::address::Address;
use crate::http::error::{Cause, Error, Party, Role};

/// Instead of an answer.
pub(super) fn error(cause: Cause) -> Error {
    let address = Address::parse("169.254.169.254", 80).unwrap();
    cause.with(&Party { role: Role::MetadataService, address })
}

pub(super) fn timed_out() -> Error {
    error(Cause::TimedOut(Duration::from_secs(1)))
}

pub(super) struct StandIn {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    /// Each connection is closed after `answer`, which gets the head of its request. An error ends
    /// that connection only.
    pub(super) fn start(
        answer: impl FnMut(&str, &mut TcpStream) -> io::Result<()> + Send + 'static,
    ) -> Self {
        Self::start_on("127.0.0.1:0", answer)
    }

    pub(super) fn start_on(
        listens: &str,
        mut answer: impl FnMut(&str, &mut TcpStream) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(listens).unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let Ok(head) = read_head(&mut stream) else { continue };
                seen.lock().unwrap().push(head.clone());
                // The client has hung up: its part is over.
                let _ = answer(&head, &mut stream);
            }
        });
        Self { address, heads }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of all requests so far.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// Says nothing until the client closes the connection.
pub(super) fn until_hung_up(stream: &mut TcpStream) -> io::Result<()> {
    io::copy(stream, &mut io::sink()).map(drop)
}

fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

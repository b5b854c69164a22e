//! A stand-in API server for the tests: real TLS on loopback, and word for word what the test says.

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;
use crate::http::address::Address;
use crate::http::stand_in::{self, Folder};
pub(crate) use crate::http::stand_in::{Identity, LONG, Peer, SHORT, deaf_address};
use crate::kube::client::Client;
use crate::kube::identity::Choice;
use crate::kube::request::{Body, Caller, Request};
use crate::kube::server::Server;
use ureq_proto::http::Method;

/// A listening server, and the files by which a client is let in.
pub(crate) struct StandIn {
    port: u16,
    files: Files,
}

impl StandIn {
    /// Serves each connection on a thread of its own, by what `serve` does with it; the first is
    /// number 0.
    pub(crate) fn start(serve: impl Fn(usize, Peer) + Send + Sync + 'static) -> Self {
        Self::start_as(Identity::shared(), serve)
    }

    /// The same with another certificate.
    pub(crate) fn start_as(
        identity: &Identity,
        serve: impl Fn(usize, Peer) + Send + Sync + 'static,
    ) -> Self {
        let port = stand_in::listen(Some(identity), serve);
        Self { port, files: Files::new(&identity.authority, "a-token") }
    }

    /// Answers every request of every connection alike.
    pub(crate) fn answering(answer: &'static [u8]) -> Self {
        Self::start(move |_, mut peer| {
            while peer.hears().is_some() {
                peer.says(answer);
            }
        })
    }

    /// Answers the first request of every connection, and then ends it in good order.
    pub(crate) fn answering_once(answer: &'static [u8]) -> Self {
        Self::start(move |_, mut peer| {
            peer.hears();
            peer.says(answer);
            peer.leaves();
        })
    }

    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    pub(crate) fn server(&self) -> Arc<Server> {
        self.server_named("127.0.0.1")
    }

    pub(crate) fn server_named(&self, host: &str) -> Arc<Server> {
        let address = Address::parse(host, self.port).unwrap();
        Arc::new(Server::new(address, self.files.token(), self.files.authority()))
    }

    /// A handler of node `n1` that makes requests in the name that is chosen.
    pub(crate) fn server_choosing(&self, choice: Choice) -> Server {
        let address = Address::parse("127.0.0.1", self.port).unwrap();
        let server = Server::new(address, self.files.token(), self.files.authority());
        server.naming(choice, Some("n1"))
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.server(), Clock::start())
    }
}

/// Files as the kubelet puts them into a pod; gone with this.
pub(crate) struct Files(Folder);

impl Files {
    pub(crate) fn new(authority: &str, token: &str) -> Self {
        let files = Self(Folder::new());
        files.put_authority(authority.as_bytes());
        files.put_token(token.as_bytes());
        files
    }

    pub(crate) fn put_token(&self, content: &[u8]) {
        self.0.put("token", content);
    }

    pub(crate) fn put_authority(&self, content: &[u8]) {
        self.0.put("ca.crt", content);
    }

    pub(crate) fn remove_token(&self) {
        std::fs::remove_file(self.token()).unwrap();
    }

    pub(crate) fn token(&self) -> PathBuf {
        self.0.file("token")
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.0.file("ca.crt")
    }
}

pub(crate) fn get(path: &str) -> Request {
    let path = path.to_owned();
    let limit = 64 * 1024;
    Request {
        method: Method::GET,
        path,
        body: None,
        answer_limit: limit,
        answer_kept: limit,
        caller: Caller::Node,
    }
}

pub(crate) fn delete(path: &str, text: &str) -> Request {
    let body = Body { content_type: "application/json", text: text.to_owned() };
    Request { method: Method::DELETE, body: Some(body), ..get(path) }
}

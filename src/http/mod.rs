//! HTTP over TCP, with TLS or without: for the API server, for webhooks and their proxies, and for what the
//! metadata service's own client cannot do. What an answer means is left to the caller; redirects are not followed.
//!
//! | Module | What it is | I/O |
//! |---|---|---|
//! | [`address`] | where a server is | none |
//! | [`error`] | why there is no answer: which peer, which phase, what came instead | none |
//! | [`tls`] | which certificates TLS trusts, and why one is not trusted | the CA's file |
//! | [`protocol`] | requests and answers, as HTTP/1.1 and HTTP/2 have them in common | none |
//! | [`h1`], [`h2`] | between bytes and exchanges: HTTP/1.1, one after the other; HTTP/2, side by side | none |
//! | [`dial`] | from a name to a socket with TLS | blocks |
//! | [`connection`] | a non-blocking socket, TLS, and the protocol that was agreed on; a single exchange | only that blocks |
//! | [`pool`] | the connections to one server, and the thread that owns them | a thread |
//!
//! Each uses only what stands before it.

pub mod address;
pub mod error;
pub mod tls;
pub mod protocol;
pub mod h1;
pub mod h2;
pub mod dial;
pub mod connection;
pub mod pool;
#[cfg(test)]
pub(crate) mod h2_stand_in;
#[cfg(test)]
pub(crate) mod stand_in;

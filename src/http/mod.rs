//! HTTP over TCP, with TLS or without: for the API server, for webhooks and their proxies, and for what the
//! metadata service's own client cannot do. It knows nobody's meaning of an answer; a redirect is an answer, and
//! nobody follows it.
//!
//! | Module | What it is | I/O |
//! |---|---|---|
//! | [`address`] | where a server is | none |
//! | [`error`] | why there is no answer: with whom, in which phase, what came | none |
//! | [`tls`] | whom TLS trusts, and why it does not | the CA's file |
//! | [`request`] | a request | none |
//! | [`protocol`] | what HTTP/1.1 and HTTP/2 have in common | none |
//! | [`h1`], [`h2`] | between bytes and exchanges: HTTP/1.1, one after the other; HTTP/2, side by side | none |
//! | [`dial`] | from a name to a socket with TLS | blocks |
//! | [`connection`] | a socket that never blocks, TLS and the protocol that was agreed on | never blocks |
//! | [`mod@exchange`] | one exchange over a connection of its own | blocks |
//! | [`pool`] | the connections to one server, and the thread that owns them | a thread |
//!
//! Each uses only what stands before it.

pub mod address;
pub mod connection;
pub mod dial;
pub mod error;
pub mod exchange;
pub mod h1;
pub mod h2;
#[cfg(test)]
pub(crate) mod h2_stand_in;
pub mod pool;
pub mod protocol;
pub mod request;
#[cfg(test)]
pub(crate) mod stand_in;
pub mod tls;

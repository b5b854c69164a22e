//! HTTP/1.1, plain or over TLS: one exchange after the other over one connection. It knows nobody's
//! meaning of an answer; a redirect is an answer, and nobody follows it.
//!
//! | Module | What it is |
//! |---|---|
//! | [`address`] | where a server is |
//! | [`dial`] | a socket to it |
//! | [`tls`] | whom TLS trusts, and why it does not |
//! | [`wire`] | bytes, each read and write with a deadline |
//! | [`failure`] | how far an answer had come when it failed |
//! | [`request`] | a request, and its bytes |
//! | [`exchange`] | a request out, its answer in |
//!
//! Each uses only what stands before it.

pub mod address;
pub mod dial;
pub mod exchange;
pub mod failure;
pub mod request;
#[cfg(test)]
pub(crate) mod stand_in;
pub mod tls;
pub mod wire;

//! HTTP/1.1, plain or over TLS: one exchange after the other over one connection. It knows nobody's
//! meaning of an answer; a redirect is an answer, and nobody follows it.
//!
//! | Module | What it is |
//! |---|---|
//! | [`address`] | where a server is |
//! | [`tls`] | whom TLS trusts, and why it does not |
//! | [`wire`] | bytes, each read and write with a deadline |
//! | [`failure`] | how far an answer had come when it failed |
//! | [`request`] | a request, and its bytes |
//! | [`exchange`] | a request out, its answer in |
//!
//! Each uses only what stands before it.

pub mod address;
pub mod exchange;
pub mod failure;
pub mod request;
pub mod tls;
pub mod wire;

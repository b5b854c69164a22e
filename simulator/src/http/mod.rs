//! Just enough of an HTTP/1.1 server for the two stand-ins: keep-alive,
//! lengths and chunks, with or without TLS. Everything above it decides what
//! is said; this module only says it, and can be told to stop half-way.
//! TLS agrees on no protocol (ALPN): whoever would rather speak HTTP/2 speaks
//! HTTP/1.1 with it.

mod request;
mod response;
mod server;
mod wire;

pub(crate) use request::Request;
pub use response::Framing;
pub(crate) use response::{Chunks, Response};
pub(crate) use server::{After, Server, Service};
pub(crate) use wire::Wire;

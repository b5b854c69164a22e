//! The API server: requests out, replies and watch events in.
//!
//! | Module | What it is |
//! |---|---|
//! | [`server`] | where it is; the cluster's CA; the ServiceAccount's token |
//! | [`access`] | one drain's way to it: roots, addresses, the sockets that are open |
//! | [`trouble`] | what can go wrong on the way, in words |
//! | [`wire`] | bytes over TLS, each read and write with a deadline |
//! | [`request`], [`reply`] | what is asked; what an answer means |
//! | [`connection`] | one exchange after the other over one connection |
//! | [`lines`] | an answer without end, line by line |
//! | [`workers`] | the threads that carry requests out |
//! | [`pods`], [`watch`] | pods as the drain sees them; the watch that lists and follows them |

pub mod access;
pub mod connection;
pub mod lines;
pub mod pods;
pub mod reply;
pub mod request;
pub mod server;
#[cfg(test)]
mod stand_in;
pub mod trouble;
pub mod watch;
mod wire;
pub mod workers;

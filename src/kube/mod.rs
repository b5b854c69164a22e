//! The API server: requests out, replies and watch events in.
//!
//! | Module | What it is |
//! |---|---|
//! | [`request`] | what is asked, and what a name is |
//! | `json` | JSON that others wrote, of which little is kept |
//! | [`nodes`], [`reply`] | the Node; what an answer means |
//! | [`token`] | the ServiceAccount's token, and its claims |
//! | [`identity`] | in whose name it is asked |
//! | [`server`] | its address, the cluster's CA, the token's file, in whose name |
//! | [`kubeconfig`] | the same, as kubectl has it |
//! | [`client`] | requests and their replies, over connections that are shared |
//! | `stream` | an answer of any length, line by line or item by item |
//! | [`pods`], [`watch`] | pods as the drain sees them; the watch that lists and follows them |
//!
//! Each uses only what stands before it.

pub mod request;
mod json;
pub mod nodes;
pub mod reply;
pub mod token;
pub mod identity;
pub mod server;
pub mod kubeconfig;
pub mod client;
mod stream;
pub mod pods;
pub mod watch;
#[cfg(test)]
mod untrusted_tests;
#[cfg(test)]
pub(crate) mod stand_in;

//! The API server: requests out, replies and watch events in.
//!
//! | Module | What it is |
//! |---|---|
//! | [`name`] | what it takes for a name |
//! | `kept` | what is kept of JSON that others wrote |
//! | [`token`] | the ServiceAccount's token, and its claims |
//! | [`request`], [`reply`] | what is asked; what an answer means |
//! | [`identity`] | in whose name it is asked |
//! | [`server_url`] | where it is |
//! | [`server`] | its address, the cluster's CA, the token's file, in whose name |
//! | [`kubeconfig`] | the same, as kubectl has it |
//! | [`client`] | requests and their replies, over connections that are shared |
//! | `lines`, `items` | an answer without end, line by line; a list, item by item |
//! | [`event`], [`profile`] | Kubernetes Events; what messages tell of the Node |
//! | [`pods`], [`watch`] | pods as the drain sees them; the watch that lists and follows them |
//!
//! Each uses only what stands before it.

pub mod client;
pub mod event;
#[cfg(test)]
mod hostile;
pub mod identity;
mod items;
mod kept;
pub mod kubeconfig;
mod lines;
pub mod name;
pub mod pods;
pub mod profile;
pub mod reply;
pub mod request;
pub mod server;
pub mod server_url;
#[cfg(test)]
pub(crate) mod stand_in;
pub mod token;
pub mod watch;

//! What the handler does from its start to its end: the event loop, its states, and the world
//! around it.

pub mod by_hand;
pub mod config;
pub mod facts;
pub mod node_patcher;
mod observe;
mod retry;
pub mod run;
pub mod threads;
pub mod world;

#[cfg(test)]
mod tests;

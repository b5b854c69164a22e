//! What the handler does from its start to its end: the event loop, its states, and the world
//! around it.

pub mod agenda;
pub mod by_hand;
pub mod config;
pub mod draining;
pub mod entry;
pub mod marker;
pub mod notices;
pub mod recall;
mod retry;
pub mod run;
pub mod state;
pub mod step;
pub mod threads;
pub mod world;

#[cfg(test)]
mod tests;

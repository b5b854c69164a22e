//! What the handler does from its start to its end: the event loop, its states, and the world
//! around it.

pub mod after_drain;
pub mod config;
pub mod draining;
mod inbox;
pub mod marking;
pub mod notices;
mod retry;
pub mod run;
pub mod state;
pub mod step;
pub mod threads;
pub mod world;

#[cfg(test)]
mod tests;

//! The spine: what the handler does from its start to its end, its states, and the world around it.

pub mod config;
pub mod draining;
pub mod lingering;
pub mod marking;
mod retry;
pub mod run;
pub mod sightings;
pub mod state;
pub mod step;
pub mod threads;
pub mod world;

#[cfg(test)]
mod tests;

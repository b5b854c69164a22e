//! The loop, what it works with, and the world around it. [`run`] is where to begin.

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

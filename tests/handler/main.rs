//! The real binary against stand-ins on loopback: what really goes over the wire, and what the log
//! says of it. Every wait here is for something to happen, with a generous bound; nothing is timed.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![expect(clippy::panic, reason = "a test that panics has failed, as it should")]
#![expect(clippy::indexing_slicing, reason = "a test that panics has failed, as it should")]
#![expect(clippy::disallowed_methods, reason = "tests wait and read files for real")]
#![expect(clippy::disallowed_macros, reason = "what was seen is printed when a test has failed")]

mod api_server;
mod by_hand;
mod check;
mod child;
mod drain;
mod hibernate;
mod kinds;
mod lifecycle;
mod log;
mod machine;
mod maintenance;
mod maintenance_lists;
mod marks;
mod memory;
mod metadata;
mod no_node;
mod node;
mod plan;
mod proxy;
mod rebalance;
mod reports;
mod restart;
mod signals;
mod stage;
mod start;
mod stop;
mod switches;
mod table;
mod termination_time;
mod watch;

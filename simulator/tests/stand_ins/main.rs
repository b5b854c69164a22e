//! The stand-ins, as a client sees them over the wire.

mod client;
mod cluster;
mod metadata;

//! Tests of the drain in virtual time: named scenarios, and properties of random drains.

pub(crate) mod cluster;
mod forecast;
mod laws;
mod model;
pub(crate) mod properties;
mod scenarios;
mod story;
mod trace;

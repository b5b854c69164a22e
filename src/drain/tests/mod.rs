//! Tests of the drain in virtual time: named scenarios, and properties of random drains.

mod cluster;
mod laws;
mod model;
mod properties;
mod scenarios;
mod story;
mod trace;

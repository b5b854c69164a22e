//! Tests of the handler in virtual time: scenarios by name, and laws that random worlds must keep.

mod chapter;
mod course;
mod exhaustive;
mod journal;
mod laws;
mod metadata;
mod model;
mod node;
mod pods;
mod properties;
mod scenarios;
mod script;
mod standing;

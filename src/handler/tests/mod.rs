//! Tests of the handler in virtual time: scenarios by name, and laws that random worlds must keep.

mod drains;
mod exhaustive;
mod expected_notices;
mod laws;
mod metadata;
mod model;
mod node;
mod pods;
mod properties;
mod reported;
mod scenarios;
mod same_end;
mod script;
mod timeline;
mod transcript;

//! Webhooks: messages posted to people and their services when a drain begins and ends.
//!
//! | Module | What it is | I/O |
//! |---|---|---|
//! | [`message`] | which facts are worth a message, and what it says | none |
//! | `field` | what a message has for each field of a template | none |
//! | `form` | a message in each form | none |
//! | [`outcome`] | what an answer means: delivered, try again, refused | none |
//! | [`post`](mod@post) | one try | HTTP |
//! | `delivery` | messages to one webhook, until they have arrived | its thread |
//! | `webhooks` | all of them | none |
//!
//! Each uses only what stands before it.

mod delivery;
mod field;
mod form;
pub mod message;
pub mod outcome;
pub mod post;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
mod webhooks;

pub use crate::report::webhook::delivery::DeliveryContext;
pub use crate::report::webhook::webhooks::Webhooks;

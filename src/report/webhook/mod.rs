//! Webhooks: messages posted to people and their services when a drain begins and ends. Of an address
//! only scheme, host and port are ever shown: the path may be a secret.
//!
//! | Module | What it is | I/O |
//! |---|---|---|
//! | [`message`] | which facts are worth a message, and what it says | none |
//! | `field` | the parts of that, by their names | none |
//! | [`template`] | the operator's own text, with fields in it | none |
//! | [`form`] | the bodies that known services want | none |
//! | [`headers`] | the operator's own headers | none |
//! | [`url`], [`proxy`], [`proxies`] | where messages go, and through whom | none |
//! | [`roots`] | whose certificates are believed | a file |
//! | [`outcome`] | what an answer means: delivered, try again, refused | none |
//! | [`post`](mod@post) | one try | HTTP |
//! | [`destination`] | all of that for one webhook, as the settings have it | files |
//! | `delivery` | messages to one webhook, until they have arrived | its thread |
//! | `webhooks` | all of them | none |

mod delivery;
pub mod destination;
mod field;
pub mod form;
pub mod headers;
pub mod message;
pub mod outcome;
pub mod post;
pub mod proxies;
pub mod proxy;
pub mod roots;
#[cfg(test)]
mod samples;
pub mod template;
#[cfg(test)]
mod tests;
pub mod url;
mod webhooks;

pub use crate::report::webhook::delivery::DeliveryContext;
pub use crate::report::webhook::webhooks::Webhooks;

//! A webhook: one message posted to an address of the operator's. Of the address only scheme, host
//! and port are ever shown: whoever knows its path can post there.
//!
//! | Module | What it is |
//! |---|---|
//! | [`url`] | where the message goes |
//! | [`proxy`] | through whom |
//! | [`headers`] | the operator's own headers |
//! | [`undelivered`] | why it did not arrive, in words |
//! | [`roots`] | whose certificates are believed |
//! | [`outcome`] | what an answer means: delivered, try again, refused |
//! | [`post`](mod@post) | one try |
//! | [`backoff`] | when it is tried again |
//!
//! Each uses only what stands before it.

pub mod backoff;
pub mod headers;
pub mod outcome;
pub mod post;
pub mod proxy;
pub mod roots;
#[cfg(test)]
mod tests;
pub mod undelivered;
pub mod url;

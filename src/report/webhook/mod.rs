//! What is posted to people and their services when a drain begins and ends. No I/O: the client is
//! elsewhere.
//!
//! | File | What it is |
//! |---|---|
//! | [`message`] | what there is to say |
//! | `field` | the parts of that, by their names |
//! | [`template`] | the operator's own text, with fields in it |
//! | [`form`] | the bodies that known services want |
//! | [`headers`] | the headers that the operator wants |
//! | `json` | JSON, written part by part |

mod field;
pub mod form;
pub mod headers;
mod json;
pub mod message;
#[cfg(test)]
mod samples;
pub mod template;

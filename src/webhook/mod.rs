//! Webhooks as configured: where messages go, in which form, through which proxy. Of an address only scheme,
//! host and port are ever printed: its path is the credential.
//!
//! | Module | What it is | I/O |
//! |---|---|---|
//! | [`url`] | where a message goes | none |
//! | [`proxy`] | through which proxy | none |
//! | [`field`] | the parts of a message, by their names in templates and in JSON | none |
//! | [`template`] | the operator's own text, with fields in it | none |
//! | [`headers`] | the operator's own headers | none |
//! | [`form`] | the forms that known services want | none |
//! | [`destination`] | all of that for one webhook | files |
//!
//! Each uses only what stands before it.

pub mod destination;
pub mod field;
pub mod form;
pub mod headers;
pub mod proxy;
pub mod template;
pub mod url;

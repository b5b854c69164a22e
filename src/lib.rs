//! Drains a Kubernetes node before its EC2 spot instance is taken back.
//!
//! The modules, in the order of their dependencies: each uses only what stands before it (a test holds that).
//! [`handler::run`] shows how they work together:
//!
//! | Module | What it is | I/O |
//! |---|---|---|
//! | [`moment`] | values of time | none |
//! | [`excerpt`] | text from outside, made safe for the log | none |
//! | [`level`] | levels of the log | none |
//! | [`backoff`] | exponential backoff with jitter | none |
//! | `json` | JSON, written part by part | none |
//! | [`clock`] | the machine's clocks | clocks |
//! | [`file`](mod@file) | files, read whole | files |
//! | [`notice`] | notices of a cloud | none |
//! | [`instance`] | the EC2 instance that this node is | none |
//! | [`node`] | our marks on the Node, and how they are undone | none |
//! | [`drain`] | which pods, when, how; the verdict | none |
//! | [`plan`] | what should be: the marks of the Node, the limit of the drain | none |
//! | [`http`] | HTTP/2 and HTTP/1.1 | HTTP, TLS |
//! | [`source`] | the metadata service | HTTP |
//! | [`kube`] | the API server | TLS |
//! | [`webhook`] | webhooks as configured: addresses, proxies, headers, templates, forms | files |
//! | [`settings`] | the operator's settings | arguments and environment, once |
//! | [`report`] | facts, and the log, Events, webhooks, metrics and probes that report them | a thread each |
//! | [`handler`] | the loop, and the threads around it | `threads` only |
//! | [`command`] | the commands | |
//!
//! Only [`http`], [`source`], [`kube`], the threads of [`report`], [`handler::threads`] and [`command`], which
//! starts it, use [`clock`].

pub mod backoff;
pub mod clock;
pub mod command;
pub mod drain;
pub mod excerpt;
pub mod file;
pub mod handler;
pub mod http;
pub mod instance;
pub(crate) mod json;
pub mod kube;
pub mod level;
pub mod moment;
pub mod node;
pub mod notice;
pub mod plan;
pub mod report;
pub mod settings;
pub mod source;
#[cfg(test)]
mod tests;
pub mod webhook;

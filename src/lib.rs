//! Drains a Kubernetes node before its EC2 spot instance is taken back.
//!
//! The way of a notice, and the modules in its order; each uses only what stands before it (a test
//! holds that), and [`handler::run`] is where the whole way can be read:
//!
//! | Module | What it is | I/O |
//! |---|---|---|
//! | [`moment`] | values of time | none |
//! | [`excerpt`] | text from outside, made fit for the log | none |
//! | [`remark`] | what an operator should know, and how much it matters | none |
//! | [`backoff`] | how long to wait before the same thing is tried again | none |
//! | `json` | JSON, written part by part | none |
//! | [`clock`] | the machine's clocks | clocks |
//! | [`file`](mod@file) | files, read whole | files |
//! | [`notice`] | what the cloud said | none |
//! | [`instance`] | the EC2 instance that this node is | none |
//! | [`intent`] | what is made of it: marks or a drain; from when, by when | none |
//! | [`node`] | our marks on the Node, and their reverse | none |
//! | [`drain`] | who goes, when, how; the verdict | none |
//! | [`http`] | requests and answers in HTTP/2 and HTTP/1.1 | HTTP, TLS |
//! | [`source`] | the metadata service | HTTP |
//! | [`kube`] | the API server | TLS |
//! | [`webhook`] | where messages go, in which form, through whom: values | files |
//! | [`settings`] | what the operator wants | arguments and environment, once |
//! | [`report`] | facts, and who says them: the log, Events, webhooks, metrics, probes | a thread each |
//! | [`handler`] | the event loop; its states; the threads around it | `threads` only |
//! | [`command`] | what the program can be told to do | |
//!
//! [`clock`] is an edge: only [`http`], [`source`], [`kube`], the threads of [`report`],
//! [`handler::threads`] and [`command`], which starts it, use it.

pub mod backoff;
pub mod clock;
pub mod command;
pub mod drain;
pub mod excerpt;
pub mod file;
pub mod handler;
pub mod http;
pub mod instance;
pub mod intent;
pub(crate) mod json;
pub mod kube;
pub mod moment;
pub mod node;
pub mod notice;
pub mod remark;
pub mod report;
pub mod settings;
pub mod source;
#[cfg(test)]
mod tests;
pub mod webhook;

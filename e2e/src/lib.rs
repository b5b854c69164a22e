//! Tests of `k8s-spot-handler` against real parts: a control plane built from
//! its Go modules, a real node or ones that are played, the EC2 metadata mock,
//! and the release binary.
//!
//! `cluster` stands for itself and can be used by other measurements.

pub mod attacker;
pub mod cluster;
pub mod connections;
pub mod diary;
pub mod gate;
pub mod handler;
pub mod law;
pub mod manifest;
pub mod matrix;
pub mod metadata;
pub mod node;
pub mod observers;
pub mod options;
pub mod page;
pub mod relay;
pub mod rendering;
pub mod rights;
pub mod run;
pub mod scenarios;
pub mod scene;
pub mod tls;
pub mod truth;
pub mod verdicts;
pub mod wire;
pub mod witness;
pub mod workload;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a mutex guards, also after a panic of another scenario's.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

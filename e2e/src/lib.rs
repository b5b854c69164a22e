//! Tests of `k8s-spot-handler` against real parts: a control plane built from
//! its Go modules, the EC2 metadata mock, and the release binary.

pub mod cluster;

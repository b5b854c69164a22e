//! What is measured. Each part prints its table and gives its goals.

pub mod budget;
mod compared;
pub mod crowded;
pub mod fleets;
pub mod footprint;
pub mod sizes;
pub mod speed;

/// The two crowds: the kubelet's default limit, and the most that EKS allows.
pub const CROWDS: [usize; 2] = [110, 250];

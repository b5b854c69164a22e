//! Named scenarios. Each says what there is, and then, line by line, what the handler orders and
//! says (`*`) at which second.
//!
//! Unless a scenario says otherwise: one node, `node-1`; a poll every second; every answer of the
//! API server takes 0.1 s; the margin is 2 s; a pod has a grace of 30 s, of which it needs one;
//! SIGTERM comes at 300 s. The usual notice is seen at 10 s, and its instance goes at 130 s.

mod before;
mod cordon;
mod deadlines;
mod end;
mod history;
mod lifecycle;
mod maintenance;
mod marks;
mod no_node;
mod notices;
mod reboot;
mod recommendations;
mod restart;
mod several;
mod sigterm;

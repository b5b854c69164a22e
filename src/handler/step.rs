//! What the event loop does next.

use crate::handler::world::Order;
use crate::moment::Moment;
use crate::report::fact::Fact;

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Carry this out.
    Do(Order),
    /// Say this.
    Tell(Fact),
    /// Wait for news, until that moment if there is one.
    Wait(Option<Moment>),
    /// The process ends.
    End,
}

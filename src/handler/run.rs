//! The event loop. Everything that the program does passes through it: ask the handler what is
//! next, carry it out, and when there is nothing, wait and tell it what came.

use crate::handler::config::Config;
use crate::handler::state::Handler;
use crate::handler::step::Step;
use crate::handler::world::World;

/// Runs until SIGTERM.
pub fn run(config: Config, world: &mut impl World) {
    let mut handler = Handler::new(config);
    loop {
        match handler.next(world.read_clock().now, world.free()) {
            Step::Do(order) => world.carry_out(order),
            Step::Tell(fact) => world.tell(fact),
            Step::Wait(until) => {
                if let Some(news) = world.wait(until) {
                    handler.observe(world.read_clock(), news);
                }
            }
            Step::End => return,
        }
    }
}

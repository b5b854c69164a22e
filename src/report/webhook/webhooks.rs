//! The end at which facts go in.

use std::sync::Arc;
use std::time::Duration;

use crate::moment::Reading;
use crate::report::Starter;
use crate::report::fact::{Channel, Fact};
use crate::report::queue::Queue;
use crate::report::standing::Standing;
use crate::report::webhook::delivery::{Context, Delivery, Told};
use crate::report::webhook::milestone::{Milestone, Milestones};
use crate::webhook::destination::Destination;

/// All webhooks.
pub struct Webhooks {
    milestones: Milestones,
    node: Arc<str>,
    /// Of each webhook how what finds no room fares, and where messages wait.
    deliveries: Vec<(Standing, Arc<Queue<Told>>)>,
}

/// So many messages may wait: a drain has two or three.
const CAPACITY: usize = 32;

impl Webhooks {
    /// Keeps messages for the threads that the starters start: one for each destination.
    pub fn new(destinations: Vec<Destination>, context: &Context) -> (Self, Vec<Starter>) {
        let (mut deliveries, mut starters) = (Vec::new(), Vec::<Starter>::new());
        for destination in destinations {
            let channel = Channel::Webhook(Arc::from(destination.url.to_string()));
            let queue = Arc::new(Queue::new(CAPACITY));
            let (inbox, context) = (Arc::clone(&queue), context.clone());
            let standing = Standing::new(channel.clone(), &context.tell);
            starters.push(Box::new(move || {
                let (inbox, context) = (Arc::clone(&inbox), context.clone());
                Delivery::start(inbox, destination.clone(), context, channel.clone())
            }));
            deliveries.push((standing, queue));
        }
        let (milestones, node) = (Milestones::default(), Arc::from(""));
        (Self { milestones, node, deliveries }, starters)
    }

    /// Has sent what is to be said of a fact. Never waits.
    pub fn tell(&mut self, reading: Reading, fact: &Fact) {
        match fact {
            Fact::Started(start) => self.node = Arc::from(start.node.as_deref().unwrap_or("")),
            Fact::NodeFound(name) => self.node = Arc::from(name.as_str()),
            _ => {}
        }
        for milestone in self.milestones.next(fact) {
            self.pass_on(reading, &milestone);
        }
    }

    fn pass_on(&mut self, reading: Reading, milestone: &Milestone) {
        for (standing, queue) in &mut self.deliveries {
            let (at, node, milestone) = (reading.wall, Arc::clone(&self.node), milestone.clone());
            if !queue.offer(Told { at, node, milestone }) {
                standing.lost(1, "too many messages wait already".to_owned());
            }
        }
    }

    /// Lets everybody end who has nothing more to say.
    pub fn close(&self) {
        self.deliveries.iter().for_each(|(_, queue)| queue.close());
    }

    /// Waits for those who have, each as long as there is time left, and says what is left then.
    pub fn finish(&mut self, left: impl Fn() -> Duration) {
        for (standing, queue) in &mut self.deliveries {
            if !queue.wait_until_done(left()) {
                // One is in hand.
                standing.lost(queue.abandon() + 1, "this process has to end".to_owned());
            }
        }
    }
}

//! The end at which facts go in.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::moment::Reading;
use crate::report::fact::{Channel, Fact};
use crate::report::queue::Queue;
use crate::report::standing::Standing;
use crate::report::webhook::courier::{Courier, Office, Told};
use crate::report::webhook::destination::Destination;
use crate::report::webhook::story::{Chapter, Story};

/// All webhooks.
pub struct Webhooks {
    story: Story,
    node: Arc<str>,
    /// Of each webhook how what finds no room fares, and where messages wait.
    couriers: Vec<(Standing, Arc<Queue<Told>>)>,
}

/// So many messages may wait: a drain has two or three.
const CAPACITY: usize = 32;

impl Webhooks {
    /// Starts a thread for each destination.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(destinations: Vec<Destination>, office: &Office) -> io::Result<Self> {
        let mut couriers = Vec::new();
        for destination in destinations {
            let channel = Channel::Webhook(Arc::from(destination.url.to_string()));
            let queue = Arc::new(Queue::new(CAPACITY));
            let (inbox, office) = (Arc::clone(&queue), office.clone());
            let standing = Standing::new(channel.clone(), &office.tell);
            Courier::start(inbox, destination, office, channel)?;
            couriers.push((standing, queue));
        }
        let (story, node) = (Story::default(), Arc::from(""));
        Ok(Self { story, node, couriers })
    }

    /// Has sent what is to be said of a fact. Never waits.
    pub fn tell(&mut self, reading: Reading, fact: &Fact) {
        match fact {
            Fact::Started(start) => self.node = Arc::from(start.node.as_deref().unwrap_or("")),
            Fact::NodeFound(name) => self.node = Arc::from(name.as_str()),
            _ => {}
        }
        for chapter in self.story.next(fact) {
            self.pass_on(reading, &chapter);
        }
    }

    fn pass_on(&mut self, reading: Reading, chapter: &Chapter) {
        for (standing, queue) in &mut self.couriers {
            let (at, node, chapter) = (reading.wall, Arc::clone(&self.node), chapter.clone());
            if !queue.offer(Told { at, node, chapter }) {
                standing.lost(1, "too many messages wait already".to_owned());
            }
        }
    }

    /// Lets everybody end who has nothing more to say.
    pub fn close(&self) {
        self.couriers.iter().for_each(|(_, queue)| queue.close());
    }

    /// Waits for those who have, each as long as there is time left, and says what is left then.
    pub fn finish(&mut self, left: impl Fn() -> Duration) {
        for (standing, queue) in &mut self.couriers {
            if !queue.wait_until_done(left()) {
                // One is in hand.
                standing.lost(queue.abandon() + 1, "this process has to end".to_owned());
            }
        }
    }
}

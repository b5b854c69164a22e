//! The end at which facts go in.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::moment::Reading;
use crate::report::Teller;
use crate::report::fact::{Channel, Fact};
use crate::report::queue::Queue;
use crate::report::webhook::courier::{Courier, Office, Told};
use crate::report::webhook::destination::Destination;
use crate::report::webhook::story::Story;

/// All webhooks.
pub struct Webhooks {
    story: Story,
    node: Arc<str>,
    couriers: Vec<(Channel, Arc<Queue<Told>>)>,
    tell: Teller,
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
            Courier::start(inbox, destination, office, channel.clone())?;
            couriers.push((channel, queue));
        }
        let (story, node) = (Story::default(), Arc::from(""));
        Ok(Self { story, node, couriers, tell: Arc::clone(&office.tell) })
    }

    /// Has sent what is to be said of a fact. Never waits.
    pub fn tell(&mut self, reading: Reading, fact: &Fact) {
        match fact {
            Fact::Started(start) => self.node = Arc::from(start.node.as_deref().unwrap_or("")),
            Fact::NodeFound(name) => self.node = Arc::from(name.as_str()),
            _ => {}
        }
        let Some(chapter) = self.story.next(fact) else { return };
        for (channel, queue) in &self.couriers {
            let (at, node, chapter) = (reading.wall, Arc::clone(&self.node), chapter.clone());
            if !queue.offer(Told { at, node, chapter }) {
                let why = "too many messages wait already".to_owned();
                (self.tell)(Fact::ReportLost(channel.clone(), why));
            }
        }
    }

    /// Lets everybody end who has nothing more to say.
    pub fn close(&self) {
        self.couriers.iter().for_each(|(_, queue)| queue.close());
    }

    /// Waits for those who have, each as long as there is time left.
    pub fn finish(&self, left: impl Fn() -> Duration) {
        for (_, queue) in &self.couriers {
            queue.wait_until_done(left());
        }
    }
}

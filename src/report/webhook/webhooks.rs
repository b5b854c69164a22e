//! All webhooks.

use std::sync::Arc;
use std::time::Duration;

use crate::report::Starter;
use crate::report::channel::ChannelStatus;
use crate::report::envelope::Envelope;
use crate::report::fact::Channel;
use crate::report::queue::ReportQueue;
use crate::report::webhook::delivery::{Delivery, DeliveryContext, QueuedMessage};
use crate::report::webhook::message::milestones;
use crate::webhook::destination::Destination;

/// All webhooks.
pub struct Webhooks {
    /// For each webhook its queue, and the status of messages that find no room in it.
    deliveries: Vec<(ChannelStatus, Arc<ReportQueue<QueuedMessage>>)>,
}

/// The most messages in a queue: a drain has two or three.
const CAPACITY: usize = 32;

impl Webhooks {
    /// Queues messages for the threads that the starters start: one for each destination.
    pub fn new(destinations: Vec<Destination>, context: &DeliveryContext) -> (Self, Vec<Starter>) {
        let (mut deliveries, mut starters) = (Vec::new(), Vec::<Starter>::new());
        for destination in destinations {
            let channel = Channel::Webhook(Arc::from(destination.url.to_string()));
            let queue = Arc::new(ReportQueue::new(CAPACITY));
            let (inbox, context) = (Arc::clone(&queue), context.clone());
            let status = ChannelStatus::new(channel.clone(), &context.tell);
            starters.push(Box::new(move || {
                let (inbox, context) = (Arc::clone(&inbox), context.clone());
                Delivery::start(inbox, destination.clone(), context, channel.clone())
            }));
            deliveries.push((status, queue));
        }
        (Self { deliveries }, starters)
    }

    /// Queues the messages for a fact, if there are any. Never blocks.
    pub fn tell(&mut self, envelope: &Envelope) {
        let milestones = milestones(envelope);
        if milestones.is_empty() {
            return;
        }
        let envelope = Arc::new(envelope.clone());
        for (status, queue) in &mut self.deliveries {
            for milestone in milestones {
                if !queue
                    .offer(QueuedMessage { milestone: *milestone, envelope: Arc::clone(&envelope) })
                {
                    status.lost(1, "too many messages wait already".to_owned());
                }
            }
        }
    }

    /// The threads end when they have tried everything that is queued.
    pub fn close(&self) {
        self.deliveries.iter().for_each(|(_, queue)| queue.close());
    }

    /// Waits for that as long as there is time left, and reports what is left.
    pub fn finish(&mut self, left: impl Fn() -> Duration) {
        for (status, queue) in &mut self.deliveries {
            if !queue.wait_until_done(left()) {
                // One is being sent.
                status.lost(queue.abandon() + 1, "this process has to end".to_owned());
            }
        }
    }
}

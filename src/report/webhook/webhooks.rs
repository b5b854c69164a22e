//! All webhooks, and which facts are worth a message: a drain that begins, its end, and a node that is only
//! marked.

use std::sync::Arc;
use std::time::Duration;

use crate::drain::progress::Progress;
use crate::report::Starter;
use crate::report::channel::ChannelStatus;
use crate::report::envelope::Envelope;
use crate::report::fact::{Channel, Fact};
use crate::report::queue::ReportQueue;
use crate::report::webhook::delivery::{Delivery, DeliveryContext, QueuedMessage};
use crate::report::webhook::message::Milestone;
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

fn milestones(envelope: &Envelope) -> &'static [Milestone] {
    let begun = envelope.drain.as_ref().map(|drain| drain.begun);
    match (&envelope.fact, begun) {
        // Until then it may turn out that an earlier process has drained the node.
        (Fact::DrainBegins(_), Some(_)) => &[Milestone::Begins],
        (Fact::TakenOver { .. }, Some(true)) => &[Milestone::TakenOver],
        (Fact::Drain(Progress::Listed { .. }), _) => &[Milestone::Listed],
        (Fact::NoticeMarks { .. }, _) => &[Milestone::Marked],
        // A drain that cannot begin has an end all the same.
        (Fact::Verdict(..), Some(false)) => &[Milestone::Begins, Milestone::Ends],
        (Fact::Verdict(..), _) => &[Milestone::Ends],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain::verdict::Verdict;
    use crate::notice::NoticeId;
    use crate::plan::kinds::Basis;
    use crate::report::fact::Occasion;
    use crate::report::samples::{STOP, TERMINATE, begins, in_envelopes, moved, seen, taken_over};

    /// Each milestone, with the notice that is drained for then.
    fn milestones_of(facts: &[Fact]) -> Vec<(Milestone, NoticeId)> {
        let of = |envelope: Envelope| {
            let notice = envelope.drain.as_ref().unwrap().notice.id.clone();
            milestones(&envelope).iter().map(move |milestone| (*milestone, notice.clone()))
        };
        in_envelopes(facts).into_iter().flat_map(of).collect()
    }

    #[test]
    fn a_drain_begins_once_and_again_for_another_notice() {
        let told = milestones_of(&[seen(STOP), begins(), taken_over(TERMINATE, Basis::AtOnce)]);
        assert_eq!(told, [(Milestone::Begins, STOP), (Milestone::TakenOver, TERMINATE)]);
    }

    #[test]
    fn a_notice_that_was_drained_for_before_begins_none() {
        assert_eq!(milestones_of(&[seen(STOP), Fact::DrainedBefore(STOP)]), []);
    }

    #[test]
    fn a_notice_that_takes_over_before_the_drain_begins_is_the_one_it_begins_for() {
        let told = milestones_of(&[seen(STOP), taken_over(TERMINATE, Basis::AtOnce), begins()]);
        assert_eq!(told, [(Milestone::Begins, TERMINATE)]);
    }

    #[test]
    fn a_notice_that_moves_is_worth_no_message() {
        let told = milestones_of(&[seen(STOP), begins(), moved(Basis::Remembered)]);
        assert_eq!(told, [(Milestone::Begins, STOP)]);
    }

    #[test]
    fn a_drain_that_could_not_begin_is_told_of_with_its_end() {
        let took = Duration::from_secs(1);
        let verdict = Verdict { rows: vec![], listed: false, unread: 0, took, end: None };
        let ends = Fact::Verdict(Occasion::Deadline, Box::new(verdict));
        let told = milestones_of(&[seen(STOP), ends.clone(), ends.clone()]);
        let of = |milestone| (milestone, STOP);
        assert_eq!(told, [Milestone::Begins, Milestone::Ends, Milestone::Ends].map(of));
        let told = milestones_of(&[seen(STOP), begins(), ends]);
        assert_eq!(told, [Milestone::Begins, Milestone::Ends].map(of));
    }
}

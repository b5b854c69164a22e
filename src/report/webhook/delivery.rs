//! Delivers messages to one webhook, one after the other, in a thread of its own: neither the drain nor
//! another webhook waits for it.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::drain::ask::PodRef;
use crate::drain::progress::DrainProgress;
use crate::http::pool::STACK;
use crate::kube::client::Client;
use crate::kube::nodes::Profile;
use crate::kube::reply::profile;
use crate::kube::request;
use crate::moment::WallTime;
use crate::notice::Notice;
use crate::plan::kinds::Basis;
use crate::report::FactSink;
use crate::report::channel::{ChannelStatus, KnownInstance};
use crate::report::envelope::{DrainContext, Envelope};
use crate::report::fact::{Channel, Fact};
use crate::report::queue::{Next, ReportQueue};
use crate::report::webhook::message::{About, Message, Milestone};
use crate::report::webhook::outcome::PostOutcome;
use crate::report::webhook::post::{PostTarget, post};
use crate::webhook::destination::Destination;
use crate::webhook::headers::Headers;

/// What the deliveries to all webhooks have in common.
#[derive(Clone)]
pub struct DeliveryContext {
    /// The machine's clocks.
    pub clock: Clock,
    /// For the labels of the Node.
    pub client: Client,
    /// The instance.
    pub instance: Arc<KnownInstance>,
    /// The operator's name for the cluster.
    pub cluster: Option<String>,
    /// Where failures are reported.
    pub tell: FactSink,
    /// This is a dry run.
    pub dry: bool,
    /// For the jitter.
    pub seed: u64,
}

/// An item of a delivery thread's queue.
pub(super) struct QueuedMessage {
    pub(super) milestone: Milestone,
    pub(super) envelope: Arc<Envelope>,
}

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The same when the process ends.
const LAST_TIMEOUT: Duration = Duration::from_secs(1);
/// How soon files that are missing are read again: twice as long each time.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LAST_LOOK: Duration = Duration::from_mins(1);
/// How long the message that a drain begins waits for the list of pods.
const LIST_WAIT: Duration = Duration::from_secs(2);
/// How long reading the Node may take.
const NODE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one message is retried: longer than an interrupted instance lives.
const PERSISTENCE: Duration = Duration::from_hours(1);

pub(super) struct Delivery {
    queue: Arc<ReportQueue<QueuedMessage>>,
    destination: Destination,
    context: DeliveryContext,
    /// What the messages of the drain under way have in common.
    about: Option<About>,
    /// The pods that are to go, as far as they are known.
    pods: Vec<String>,
    /// Received while waiting for the list of pods.
    next: Option<QueuedMessage>,
    status: ChannelStatus,
    /// What was missing in its files when they were last read.
    unready: Option<String>,
    channel: Channel,
    jitter: fastrand::Rng,
}

impl Delivery {
    /// Starts the thread. It ends when the queue is closed and everything was tried.
    pub(super) fn start(
        queue: Arc<ReportQueue<QueuedMessage>>,
        destination: Destination,
        context: DeliveryContext,
        channel: Channel,
    ) -> io::Result<()> {
        let mut delivery = Self {
            queue,
            destination,
            about: None,
            pods: Vec::new(),
            next: None,
            status: ChannelStatus::new(channel.clone(), &context.tell),
            unready: None,
            channel,
            jitter: fastrand::Rng::with_seed(context.seed),
            context,
        };
        thread::Builder::new()
            .name("webhook".to_owned())
            .stack_size(STACK)
            .spawn(move || delivery.run())
            .map(drop)
    }

    fn run(&mut self) {
        while let Some(queued) = self.next.take().or_else(|| self.wait()) {
            if let Some(message) = self.message(&queued) {
                self.look_at_files();
                self.deliver(&message);
            }
        }
        self.queue.mark_done();
    }

    /// Waits for the next item. What is wrong with the files is reported before a message depends on them,
    /// and they are read again until they are good: a file may be mounted later.
    fn wait(&mut self) -> Option<QueuedMessage> {
        self.look_at_files();
        let mut pause = FIRST_LOOK;
        while self.unready.is_some() {
            match self.queue.wait_for(pause) {
                Next::Item(queued) => return Some(queued),
                Next::Closed => return None,
                Next::Nothing => self.look_at_files(),
            }
            pause = (pause * 2).min(LAST_LOOK);
        }
        self.queue.wait()
    }

    fn look_at_files(&mut self) {
        let faults = self.destination.faults().join("; ");
        let unready = Some(faults).filter(|faults| !faults.is_empty());
        if unready == self.unready {
            return;
        }
        let channel = self.channel.clone();
        let again = self.unready.is_some();
        (self.context.tell)(match &unready {
            Some(why) => Fact::ReportUnready { channel, why: why.clone(), again },
            None => Fact::ReportReady(channel),
        });
        self.unready = unready;
    }

    fn message(
        &mut self,
        QueuedMessage { milestone, envelope }: &QueuedMessage,
    ) -> Option<Message> {
        let at = envelope.at.wall;
        match (milestone, &envelope.fact) {
            (Milestone::Begins, _) => {
                self.wait_for_list();
                self.beginning(envelope, Message::drain_begins)
            }
            (Milestone::TakenOver, _) => self.beginning(envelope, Message::drain_taken_over),
            (Milestone::Marked, fact @ Fact::NoticeMarks { notice, basis }) => {
                let about = self.about(envelope, notice, *basis);
                Some(Message::node_marked(&about, fact.level(), at))
            }
            (Milestone::Listed, Fact::Drain(DrainProgress::Listed { to_go, .. })) => {
                self.pods = names(to_go);
                None
            }
            (Milestone::Ends, Fact::Verdict(occasion, verdict)) => {
                let DrainContext { notice, basis, .. } = envelope.drain.as_deref()?;
                let about = self.about.clone()?;
                let about = About { notice: notice.clone(), basis: *basis, ..about };
                Some(Message::drain_ends(&about, *occasion, verdict, at))
            }
            _ => None,
        }
    }

    fn beginning(
        &mut self,
        envelope: &Envelope,
        message: impl Fn(&About, Vec<String>, WallTime) -> Message,
    ) -> Option<Message> {
        let DrainContext { notice, basis, .. } = envelope.drain.as_deref()?;
        let about = self.about(envelope, notice, *basis);
        let message = message(&about, self.pods.clone(), envelope.at.wall);
        self.about = Some(about);
        Some(message)
    }

    fn wait_for_list(&mut self) {
        self.pods.clear();
        if let Next::Item(queued) = self.queue.wait_for(LIST_WAIT) {
            match &queued.envelope.fact {
                Fact::Drain(DrainProgress::Listed { to_go, .. }) => self.pods = names(to_go),
                _ => self.next = Some(queued),
            }
        }
    }

    fn about(&self, envelope: &Envelope, notice: &Notice, basis: Basis) -> About {
        let instance = self.context.instance.instance();
        let node = envelope.node.as_deref();
        let Profile { labels, provider_id } =
            node.map(|node| self.profile(node)).unwrap_or_default();
        // Without the name of the node, that of the instance is better than none.
        let name = node.or(instance.local_hostname.as_deref()).unwrap_or("(node unknown)");
        About {
            notice: notice.clone(),
            basis,
            cluster: self.context.cluster.clone(),
            node_name: name.to_owned(),
            node_labels: labels,
            provider_id,
            instance: (*instance).clone(),
            dry: self.context.dry,
        }
    }

    /// That of the Node, if the form has a place for it; empty, if it cannot be read now.
    fn profile(&self, node: &str) -> Profile {
        let headers = self.destination.headers.read().unwrap_or_default();
        if !self.destination.form.read_or_usual(&headers).tells_of_the_node() {
            return Profile::default();
        }
        let answer = self.context.client.ask(&request::read_node(node), NODE_TIMEOUT);
        answer.ok().and_then(|reply| profile(&reply)).unwrap_or_default()
    }

    /// Tries until it is delivered, refused, or too old.
    fn deliver(&mut self, message: &Message) {
        let until = self.context.clock.now() + PERSISTENCE;
        let mut backoff = Backoff::from_millis(1000, 30_000);
        // One more attempt when this process ends.
        let mut is_last = false;
        loop {
            let (why, not_before) = match self.try_once(message) {
                Ok(None) => return,
                Ok(Some(PostOutcome::Delivered)) => return self.status.delivered(),
                Ok(Some(PostOutcome::Refused { why })) => {
                    return self.status.refused(&why.clone(), why);
                }
                Ok(Some(PostOutcome::Again { why, not_before })) => (why, not_before),
                // While a mounted Secret is updated, its files may be missing for a moment.
                Err(why) => (why, None),
            };
            let pause = not_before.unwrap_or_default() + backoff.next(&mut self.jitter);
            if is_last || pause > self.context.clock.now().until(until) {
                return self.status.lost(1, why);
            }
            self.status.failed(why);
            is_last = self.queue.wait_for_close(pause);
        }
    }

    /// `None`: the form has no place for such a message.
    fn try_once(&self, message: &Message) -> Result<Option<PostOutcome>, String> {
        let Destination { url, headers, form, proxies, roots } = &self.destination;
        // Without its headers a message may still be accepted.
        let (headers, missing) = match headers.read() {
            Ok(headers) => (headers, None),
            Err(why) => (Headers::default(), Some(why)),
        };
        let form = form.read_or_usual(&headers);
        if !form.takes(message.stage) {
            return Ok(None);
        }
        let body = form.body(message);
        let url = url.read()?;
        let target = PostTarget {
            proxy: proxies.of(&url)?.cloned(),
            url,
            roots: roots.clone(),
            headers: headers.with_content_type(body.content_type),
        };
        let closing = self.queue.wait_for_close(Duration::ZERO);
        let timeout = if closing { LAST_TIMEOUT } else { TIMEOUT };
        let clock = self.context.clock;
        let tried = post(&target, &body.text, timeout, clock);
        Ok(Some(match (PostOutcome::of(&tried, clock.read().wall), missing) {
            // With them it may be accepted.
            (PostOutcome::Refused { why }, Some(missing)) => {
                let why = format!("{why}, and it went without its headers: {missing}");
                PostOutcome::Again { why, not_before: None }
            }
            (outcome, _) => outcome,
        }))
    }
}

/// Each as `namespace/name`.
fn names(pods: &[Arc<PodRef>]) -> Vec<String> {
    pods.iter().map(ToString::to_string).collect()
}

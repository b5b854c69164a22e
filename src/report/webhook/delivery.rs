//! Takes messages to one webhook, one after the other, in a thread of its own: the drain does not
//! wait for it, nor does another webhook.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::drain::timing::Backoff;
use crate::http::pool::STACK;
use crate::intent::Basis;
use crate::kube::client::Client;
use crate::kube::nodes::Profile;
use crate::kube::reply::profile;
use crate::kube::request;
use crate::moment::WallTime;
use crate::notice::Notice;
use crate::report::Teller;
use crate::report::fact::{Channel, Fact};
use crate::report::known_instance::KnownInstance;
use crate::report::queue::{Next, Queue};
use crate::report::standing::Standing;
use crate::report::webhook::destination::Destination;
use crate::report::webhook::headers::Headers;
use crate::report::webhook::message::{About, Message};
use crate::report::webhook::milestone::Milestone;
use crate::report::webhook::outcome::Outcome;
use crate::report::webhook::post::{Target, post};

/// What the deliveries to all webhooks have in common.
#[derive(Clone)]
pub struct Context {
    /// The machine's clocks.
    pub clock: Clock,
    /// Where the Node's labels stand.
    pub client: Client,
    /// What is known of the instance.
    pub instance: Arc<KnownInstance>,
    /// What the operator calls the cluster.
    pub cluster: Option<String>,
    /// Where it is said how messages fare.
    pub tell: Teller,
    /// Nothing is done to anybody.
    pub dry: bool,
    /// Of the jitter.
    pub seed: u64,
}

/// What a delivery thread is told.
pub(super) struct Told {
    pub(super) at: WallTime,
    pub(super) node: Arc<str>,
    pub(super) milestone: Milestone,
}

/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same when the process is to end.
const LAST_PATIENCE: Duration = Duration::from_secs(1);
/// How soon files of which something is missing are looked at again: twice as long each time.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LAST_LOOK: Duration = Duration::from_mins(1);
/// How long the message that a drain begins waits for who is to go.
const LIST_WAIT: Duration = Duration::from_secs(2);
/// How long the Node's labels are waited for.
const NODE_PATIENCE: Duration = Duration::from_secs(3);
/// So long one message is tried: longer than an interrupted instance lives.
const PERSISTENCE: Duration = Duration::from_hours(1);

pub(super) struct Delivery {
    queue: Arc<Queue<Told>>,
    destination: Destination,
    context: Context,
    /// What the messages of the drain under way have in common.
    about: Option<About>,
    /// Who is to go, as far as that is known.
    pods: Vec<String>,
    /// Came while something else was waited for.
    next: Option<Told>,
    standing: Standing,
    /// What was missing in its files when they were last looked at.
    unready: Option<String>,
    channel: Channel,
    jitter: fastrand::Rng,
}

impl Delivery {
    /// Starts the thread. It ends when the queue is closed and everything was tried.
    pub(super) fn start(
        queue: Arc<Queue<Told>>,
        destination: Destination,
        context: Context,
        channel: Channel,
    ) -> io::Result<()> {
        let mut delivery = Self {
            queue,
            destination,
            about: None,
            pods: Vec::new(),
            next: None,
            standing: Standing::new(channel.clone(), &context.tell),
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
        while let Some(told) = self.next.take().or_else(|| self.wait()) {
            if let Some(message) = self.message(told) {
                self.look_at_files();
                self.deliver(&message);
            }
        }
        self.queue.mark_done();
    }

    /// For what comes next. What is wrong with its files is said before a message depends on them, and
    /// then looked at again and again: a file that is mounted may come later.
    fn wait(&mut self) -> Option<Told> {
        self.look_at_files();
        let mut pause = FIRST_LOOK;
        while self.unready.is_some() {
            match self.queue.wait_for(pause) {
                Next::Item(told) => return Some(told),
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

    fn message(&mut self, told: Told) -> Option<Message> {
        let Told { at, node, milestone } = told;
        match milestone {
            Milestone::Begins { notice, basis, taken_over } => {
                if !taken_over {
                    self.wait_for_list();
                }
                let about = self.about(&node, *notice, basis);
                let begins =
                    if taken_over { Message::drain_taken_over } else { Message::drain_begins };
                let message = begins(&about, self.pods.clone(), at);
                self.about = Some(about);
                Some(message)
            }
            Milestone::Listed(pods) => {
                self.pods = pods;
                None
            }
            Milestone::Moved { notice, basis } => {
                if let Some(about) = &mut self.about {
                    (about.notice, about.basis) = (*notice, basis);
                }
                None
            }
            Milestone::Marked { notice, basis, level } => {
                Some(Message::node_marked(&self.about(&node, *notice, basis), level, at))
            }
            Milestone::Ends(occasion, verdict) => {
                Some(Message::drain_ends(self.about.as_ref()?, occasion, &verdict, at))
            }
        }
    }

    fn wait_for_list(&mut self) {
        self.pods.clear();
        match self.queue.wait_for(LIST_WAIT) {
            Next::Item(Told { milestone: Milestone::Listed(pods), .. }) => self.pods = pods,
            Next::Item(other) => self.next = Some(other),
            Next::Nothing | Next::Closed => {}
        }
    }

    fn about(&self, node: &str, notice: Notice, basis: Basis) -> About {
        let instance = self.context.instance.instance();
        let Profile { labels, provider_id } = match node {
            "" => Profile::default(),
            node => self.profile(node),
        };
        // Where the node's name could not be found out, that of its instance says more than none.
        let name = match node {
            "" => instance.local_hostname.as_deref().unwrap_or("(node unknown)"),
            node => node,
        };
        About {
            notice,
            basis,
            cluster: self.context.cluster.clone(),
            node_name: name.to_owned(),
            node_labels: labels,
            provider_id,
            instance: (*instance).clone(),
            dry: self.context.dry,
        }
    }

    /// That of the Node, where the form has room for it; nothing, if it cannot be read now.
    fn profile(&self, node: &str) -> Profile {
        let headers = self.destination.headers.read().unwrap_or_default();
        if !self.destination.form.read_or_usual(&headers).tells_of_the_node() {
            return Profile::default();
        }
        let answer = self.context.client.ask(&request::read_node(node), NODE_PATIENCE);
        answer.ok().and_then(|reply| profile(&reply)).unwrap_or_default()
    }

    /// Tries until the webhook has it, refuses it, or there is no more time.
    fn deliver(&mut self, message: &Message) {
        let until = self.context.clock.now() + PERSISTENCE;
        let mut backoff = Backoff::from_millis(1000, 30_000);
        // One more try when this process is to end.
        let mut is_last = false;
        loop {
            let (why, not_before) = match self.try_once(message) {
                Ok(None) => return,
                Ok(Some(Outcome::Delivered)) => return self.standing.got_through(),
                Ok(Some(Outcome::Refused { why })) => {
                    return self.standing.refused(&why.clone(), why);
                }
                Ok(Some(Outcome::Again { why, not_before })) => (why, not_before),
                // A Secret that is mounted anew is gone for a moment.
                Err(why) => (why, None),
            };
            let pause = not_before.unwrap_or_default() + backoff.next(&mut self.jitter);
            if is_last || pause > self.context.clock.now().until(until) {
                return self.standing.lost(1, why);
            }
            self.standing.failed(why);
            is_last = self.queue.wait_for_close(pause);
        }
    }

    /// `None`: the service has no place for it.
    fn try_once(&self, message: &Message) -> Result<Option<Outcome>, String> {
        let Destination { url, headers, form, proxies, roots } = &self.destination;
        // A message without its headers may get through, and says more than none.
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
        let target = Target {
            proxy: proxies.of(&url)?.cloned(),
            url,
            roots: roots.clone(),
            headers: headers.with_content_type(body.content_type),
        };
        let closing = self.queue.wait_for_close(Duration::ZERO);
        let patience = if closing { LAST_PATIENCE } else { PATIENCE };
        let clock = self.context.clock;
        let tried = post(&target, &body.text, patience, clock);
        Ok(Some(match (Outcome::of(&tried, clock.read().wall), missing) {
            // With them it may be taken.
            (Outcome::Refused { why }, Some(missing)) => {
                let why = format!("{why}, and it went without its headers: {missing}");
                Outcome::Again { why, not_before: None }
            }
            (outcome, _) => outcome,
        }))
    }
}

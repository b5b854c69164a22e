//! The bodies that known services want, in the form that each documents, and within its limits.
//!
//! Where a length is in characters it is counted in UTF-16, which is never less than what a service
//! may count. What is too long is cut, and ends with `…`.

use std::fmt;

use crate::json::{Object, list};
use crate::level::Level;
use crate::notice::Kind;
use crate::report::webhook::field::severity;
use crate::report::webhook::message::{Message, MessageStage};
use crate::webhook::field::{PARTS, Part};
use crate::webhook::form::{Form, RoutingKey};
use crate::webhook::template::JSON;

/// What is posted.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageBody {
    /// What it is, unless the operator's headers say something else.
    pub content_type: &'static str,
    /// The whole of it.
    pub text: String,
}

impl fmt::Debug for MessageBody {
    /// How long it is: a key may be in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageBody({}, {} bytes)", self.content_type, self.text.len())
    }
}

impl Form {
    /// Whether it has a place for this stage. An alert for a node that is only marked would have no event
    /// to resolve it.
    pub fn takes(&self, stage: MessageStage) -> bool {
        !(matches!(self, Self::PagerDuty { .. }) && stage == MessageStage::NodeMarked)
    }

    /// The message in this form.
    pub fn body(&self, message: &Message) -> MessageBody {
        let (content_type, text) = match self {
            Self::Template(template) => (template.content_type(), template.fill(message)),
            Self::Slack { channel } => (JSON, slack(message, channel.as_deref())),
            Self::Teams => (JSON, teams(message)),
            Self::Discord => (JSON, discord(message)),
            Self::PagerDuty { routing_key } => (JSON, pager_duty(message, routing_key)),
            Self::GoogleChat => (JSON, google_chat(message)),
            Self::WeChat => (JSON, wechat(message)),
            Self::Sematext => (JSON, sematext(message)),
            Self::Json => (JSON, everything(message)),
        };
        MessageBody { content_type, text }
    }
}

fn slack(message: &Message, channel: Option<&str>) -> String {
    let escaped =
        whole_text(message).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let json = Object::new().text("text", &escaped);
    match channel {
        Some(channel) => json.text("channel", channel).end(),
        None => json.end(),
    }
}

fn google_chat(message: &Message) -> String {
    let text = whole_text(message).replace('<', "‹").replace('>', "›");
    Object::new().text("text", &text).end()
}

fn teams(message: &Message) -> String {
    let facts = facts(message).into_iter();
    let facts =
        facts.map(|(title, value)| Object::new().text("title", title).text("value", &value).end());
    let color = match message.severity {
        Level::Debug | Level::Info => "Good",
        Level::Warn => "Warning",
        Level::Error => "Attention",
    };
    let heading = Object::new()
        .text("type", "TextBlock")
        .text("text", &line(&headline(message)))
        .text("weight", "Bolder")
        .text("size", "Medium")
        .text("color", color)
        .json("wrap", "true");
    // It is Markdown there, in which one line break is none.
    let words = Object::new()
        .text("type", "TextBlock")
        .text("text", &sentences(message).replace('\n', "\n\n"))
        .json("wrap", "true");
    let facts =
        Object::new().text("type", "FactSet").json("facts", &list(&facts.collect::<Vec<_>>()));
    let card = Object::new()
        .text("$schema", "http://adaptivecards.io/schemas/adaptive-card.json")
        .text("type", "AdaptiveCard")
        .text("version", "1.2")
        .json("body", &list(&[heading.end(), words.end(), facts.end()]))
        .json("msteams", r#"{"width":"Full"}"#);
    let attachment = Object::new()
        .text("contentType", "application/vnd.microsoft.card.adaptive")
        .json("contentUrl", "null")
        .json("content", &card.end());
    Object::new().text("type", "message").json("attachments", &list(&[attachment.end()])).end()
}

fn discord(message: &Message) -> String {
    let fields = facts(message).into_iter();
    let fields = fields.map(|(name, value)| {
        Object::new().text("name", name).text("value", &value).json("inline", "true").end()
    });
    // Green, amber and red, as the number of their RGB.
    let color = match message.severity {
        Level::Debug | Level::Info => "3055683",
        Level::Warn => "13801762",
        Level::Error => "13574702",
    };
    let embed = Object::new()
        .text("description", &sentences(message))
        .json("color", color)
        .json("fields", &list(&fields.collect::<Vec<_>>()))
        .text("timestamp", &message.time.to_string());
    Object::new()
        .text("content", &line(&headline(message)))
        .json("embeds", &list(&[embed.end()]))
        .json("allowed_mentions", r#"{"parse":[]}"#)
        .end()
}

fn pager_duty(message: &Message, RoutingKey(routing_key): &RoutingKey) -> String {
    let resolves = message.stage == MessageStage::DrainEnds { clean: true };
    let event = Object::new()
        .text("routing_key", routing_key)
        .text("event_action", if resolves { "resolve" } else { "trigger" })
        .text("dedup_key", &dedup_key(message));
    if resolves {
        return event.end();
    }
    let payload = Object::new()
        .text("summary", &cut(&whole_text(message).replace('\n', " "), 1024, char::len_utf16))
        .text("source", &line(&message.node_name))
        .text("severity", severity(message.severity))
        .text("timestamp", &message.time.to_string())
        .text("component", PROGRAM)
        .text("group", &line(&message.cluster))
        .text("class", message.kind.name())
        .json("custom_details", &everything(message));
    event.text("client", PROGRAM).json("payload", &payload.end()).end()
}

/// The same for both ends of a drain, also if another notice has taken it over in between: each
/// node has an alert of its own.
fn dedup_key(message: &Message) -> String {
    let key = format!("{PROGRAM}/{}/{}", message.cluster, message.node_name);
    let short = cut(&key, 238, char::len_utf16);
    if short == key { key } else { format!("{short}{:016x}", fingerprint(&key)) }
}

/// FNV-1a: a number that differs where texts differ, for keys that are too long to be sent whole.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn wechat(message: &Message) -> String {
    let content = cut(&whole_text(message), 2048, char::len_utf8);
    let text = Object::new().text("content", &content).end();
    Object::new().text("msgtype", "text").json("text", &text).end()
}

fn sematext(message: &Message) -> String {
    let kind = match message.kind {
        Kind::SpotItn => "aws_spot_instance_terminated",
        Kind::ScheduledEvent => "aws_scheduled_event",
        Kind::RebalanceRecommendation => "aws_rebalance_recommendation",
        Kind::AsgLifecycle => "aws_asg_lifecycle",
    };
    Object::new()
        .text("title", &line(&title(message)))
        .text("message", &whole_text(message))
        .text("type", kind)
        .text("host", &line(&message.node_name))
        .text("severity", severity(message.severity))
        .text("timestamp", &message.time.to_string())
        .text("creator", PROGRAM)
        .text("Instance", &line(&Part::InstanceId.in_text(message)))
        .text("Instance Type", &line(&Part::InstanceType.in_text(message)))
        .text("Availability Zone", &line(&Part::AvailabilityZone.in_text(message)))
        .end()
}

fn everything(message: &Message) -> String {
    let parts = PARTS.iter();
    parts.fold(Object::new(), |json, (_, key, part)| json.json(key, &part.in_json(message))).end()
}

/// `Spot Termination (prod)`, as it was in the messages of kube-spot-termination-notice-handler.
fn title(message: &Message) -> String {
    let title = match message.kind {
        Kind::SpotItn => "Spot Termination",
        Kind::ScheduledEvent => "Scheduled Maintenance",
        Kind::RebalanceRecommendation => "Rebalance Recommendation",
        Kind::AsgLifecycle => "Auto Scaling Termination",
    };
    match message.cluster.as_str() {
        "" => title.to_owned(),
        cluster => format!("{title} ({cluster})"),
    }
}

/// `Spot Termination (prod): ip-10-0-1-17, Instance: i-0123, AZ: eu-west-1a`, as in those messages.
/// What is not known is left out.
fn headline(message: &Message) -> String {
    let known = |name, part: Part| match &*part.in_text(message) {
        "" => String::new(),
        value => format!(", {name}: {value}"),
    };
    let instance = known("Instance", Part::InstanceId);
    let zone = known("AZ", Part::AvailabilityZone);
    format!("{}: {}{instance}{zone}", title(message), message.node_name)
}

/// What has happened, cut; at the beginning, what the notice says, too.
fn sentences(message: &Message) -> String {
    let Message { description, summary, .. } = message;
    let text = match message.stage {
        MessageStage::NodeMarked | MessageStage::DrainBegins if !description.is_empty() => {
            format!("{summary}\n{description}")
        }
        _ => summary.clone(),
    };
    cut(&text, SENTENCES, char::len_utf16)
}

/// The whole message in words, for those who show nothing but that.
fn whole_text(message: &Message) -> String {
    format!("{}\n{}", line(&headline(message)), sentences(message))
}

/// What is known besides, each with a short name.
fn facts(message: &Message) -> Vec<(&'static str, String)> {
    let parts = [
        ("Cluster", Part::Cluster),
        ("Node", Part::NodeName),
        ("Instance", Part::InstanceId),
        ("Instance type", Part::InstanceType),
        ("Availability zone", Part::AvailabilityZone),
        ("Event", Part::EventId),
        ("Start", Part::StartTime),
        ("Pods", Part::Outcomes),
    ];
    let mut facts = Vec::new();
    for (name, part) in parts {
        let value = line(&part.in_text(message));
        if !value.trim().is_empty() {
            facts.push((name, value));
        }
    }
    facts
}

/// A value or a headline, cut.
fn line(text: &str) -> String {
    cut(text, LINE, char::len_utf16)
}

const PROGRAM: &str = "k8s-spot-handler";
/// Characters of a value or a headline.
const LINE: usize = 256;
/// Characters of what has happened. Together with the [`facts`] it is less than what any service has
/// room for.
const SENTENCES: usize = 2000;

/// At most `most` of what `length` counts, with `…` at the end if something was cut off.
fn cut(text: &str, most: usize, length: fn(char) -> usize) -> String {
    let room_for_end = most.saturating_sub(length('…'));
    let (mut sum, mut end) = (0, 0);
    for (index, c) in text.char_indices() {
        if sum <= room_for_end {
            end = index;
        }
        sum += length(c);
        if sum > most {
            return format!("{}…", text.get(..end).unwrap_or_default());
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests;

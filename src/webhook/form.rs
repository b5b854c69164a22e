//! The forms of messages: the operator's template, and those that services document.

use std::fmt;

use crate::webhook::template::Template;

/// The form of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// The operator's template.
    Template(Template),
    /// For Slack's incoming webhooks, and services that take the same (Mattermost, Rocket.Chat):
    /// <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>. Characters with a
    /// meaning are escaped as <https://docs.slack.dev/messaging/formatting-message-text> says, so
    /// `<!channel>` notifies no one. Far below the 40,000 characters that Slack shows.
    Slack {
        /// `#channel` or `@user`. Slack obeys it only for webhooks of the older kind; newer ones
        /// have one channel each.
        channel: Option<String>,
    },
    /// For a Microsoft Teams workflow with the trigger "When a Teams webhook request is received",
    /// as an Adaptive Card in a message; Office 365 connectors, which came before, are retired:
    /// <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>.
    /// At most 28 kB.
    Teams,
    /// For Discord: <https://discord.com/developers/docs/resources/webhook#execute-webhook>, with the
    /// limits of <https://discord.com/developers/docs/resources/message#embed-object-embed-limits>:
    /// content 2000 characters, description 4096, a field 1024, an embed 6000. No one is mentioned.
    Discord,
    /// For PagerDuty's Events API v2, at `https://events.pagerduty.com/v2/enqueue` or its like in the
    /// EU: <https://developer.pagerduty.com/docs/events-api-v2/trigger-events/>. The beginning of a
    /// drain opens an alert; its end resolves that, if nothing is left that was to go, else it is
    /// added to it. Summary 1024 characters, key 255.
    PagerDuty {
        /// What the alert belongs to.
        routing_key: RoutingKey,
    },
    /// For Google Chat: <https://developers.google.com/workspace/chat/quickstart/webhooks>. At most
    /// 32,000 bytes (reference of `spaces.messages/create`). `<users/all>` notifies no one, and
    /// nothing is a link: <https://developers.google.com/workspace/chat/format-messages> has no way to
    /// escape `<`, so it is replaced by a character that looks like it.
    GoogleChat,
    /// For a group of WeCom, WeChat's service for companies, to be posted to
    /// `WECHAT_URL?key=WECHAT_KEY`: <https://developer.work.weixin.qq.com/document/path/99110>. At
    /// most 2048 bytes of text.
    WeChat,
    /// For events of Sematext Cloud: <https://sematext.com/docs/events/adding/>. With the keys and the
    /// type that kube-spot-termination-notice-handler gave them.
    Sematext,
    /// For other services: one flat object with every field. Keys are only ever added.
    Json,
}

impl Form {
    /// Whether it contains the Node's labels or provider id.
    pub fn tells_of_the_node(&self) -> bool {
        match self {
            Self::Json => true,
            Self::Template(template) => template.tells_of_the_node(),
            _ => false,
        }
    }
}

/// The key of a PagerDuty integration: a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct RoutingKey(pub(crate) String);

impl RoutingKey {
    /// Reads the setting. `None` if it is not 32 letters and digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_key = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_key.then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for RoutingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoutingKey(…)")
    }
}

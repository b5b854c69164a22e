use proptest::prelude::*;
use serde_json::{Value as Oracle, json};

use super::*;
use crate::drain::tests::properties::config;
use crate::report::webhook::samples::{bare, begins, ends, messages};
use crate::webhook::template::{DEFAULT_TEMPLATE, Language, Template};

fn routing_key() -> RoutingKey {
    RoutingKey::parse(&"k".repeat(32)).unwrap()
}

fn read(form: &Form, message: &Message) -> Oracle {
    let body = form.body(message);
    assert_eq!(body.content_type, "application/json");
    serde_json::from_str(&body.text).unwrap_or_else(|why| panic!("{why}: {}", body.text))
}

fn clean_end() -> Message {
    Message { stage: MessageStage::DrainEnds { clean: true }, severity: Level::Info, ..ends() }
}

const BEGINS: &str = "Spot Termination (prod): ip-10-0-1-17, Instance: i-0123, AZ: eu-west-1a\n\
    The drain of ip-10-0-1-17 begins.\n\
    spot interruption: the instance will terminate at 2026-11-23T09:02:00Z";
const ENDS: &str = "Spot Termination (prod): ip-10-0-1-17, Instance: i-0123, AZ: eu-west-1a\n\
    The deadline is reached: 2 evicted, 1 still there in 120 s.";

#[test]
fn chats_get_the_headline_that_their_users_know_and_what_happened() {
    let slack = Form::Slack { channel: None };
    assert_eq!(read(&slack, &begins()), json!({"text": BEGINS}));
    let to_channel = Form::Slack { channel: Some("#ops".into()) };
    assert_eq!(read(&to_channel, &ends()), json!({"text": ENDS, "channel": "#ops"}));
    assert_eq!(read(&Form::GoogleChat, &begins()), json!({"text": BEGINS}));
    assert_eq!(read(&Form::WeChat, &ends()), json!({"msgtype": "text", "text": {"content": ENDS}}));
}

#[test]
fn what_is_not_known_is_left_out_of_the_headline() {
    let said = read(&Form::GoogleChat, &bare());
    assert_eq!(said["text"], "Spot Termination: ip-10-0-1-17\nThe drain of ip-10-0-1-17 begins.");
    for (kind, title) in [
        (Kind::ScheduledEvent, "Scheduled Maintenance: "),
        (Kind::RebalanceRecommendation, "Rebalance Recommendation: "),
        (Kind::AsgLifecycle, "Auto Scaling Termination: "),
    ] {
        let said = read(&Form::GoogleChat, &Message { kind, ..bare() });
        assert!(said["text"].as_str().unwrap().starts_with(title));
    }
}

#[test]
fn nobody_is_called_by_what_stands_in_a_message() {
    let summary = "<!channel> & <@U1> @everyone".to_owned();
    let calling = Message { summary, ..ends() };
    let slack = read(&Form::Slack { channel: None }, &calling);
    let text = slack["text"].as_str().unwrap();
    assert!(text.ends_with("\n&lt;!channel&gt; &amp; &lt;@U1&gt; @everyone"), "{text}");
    assert_eq!(read(&Form::Discord, &calling)["allowed_mentions"], json!({"parse": []}));
    let calling = Message { summary: "<users/all> <https://a|b>".to_owned(), ..ends() };
    let google = read(&Form::GoogleChat, &calling);
    let text = google["text"].as_str().unwrap();
    assert!(text.ends_with("\n‹users/all› ‹https://a|b›"), "{text}");
}

#[test]
fn teams_gets_an_adaptive_card() {
    let sent = read(&Form::Teams, &ends());
    assert_eq!(sent["type"], "message");
    assert_eq!(sent["attachments"][0]["contentType"], "application/vnd.microsoft.card.adaptive");
    let card = &sent["attachments"][0]["content"];
    assert_eq!((&card["type"], &card["version"]), (&json!("AdaptiveCard"), &json!("1.2")));
    let [heading, words, facts] = card["body"].as_array().unwrap().as_slice() else { panic!() };
    assert_eq!(
        format!("{}\n{}", heading["text"].as_str().unwrap(), words["text"].as_str().unwrap()),
        ENDS
    );
    assert_eq!(heading["color"], "Attention");
    assert_eq!(facts["type"], "FactSet");
    assert_eq!(facts["facts"][0], json!({"title": "Cluster", "value": "prod"}));
    assert_eq!(facts["facts"][7], json!({"title": "Pods", "value": "evicted=2, still there=1"}));
    let begins = read(&Form::Teams, &begins());
    let words = &begins["attachments"][0]["content"]["body"][1]["text"];
    assert!(words.as_str().unwrap().contains("begins.\n\nspot interruption"), "a line of its own");
}

#[test]
fn discord_gets_an_embed() {
    let sent = read(&Form::Discord, &begins());
    let embed = &sent["embeds"][0];
    assert_eq!(
        format!(
            "{}\n{}",
            sent["content"].as_str().unwrap(),
            embed["description"].as_str().unwrap()
        ),
        BEGINS
    );
    assert_eq!(embed["timestamp"], "2026-11-23T09:00:00Z");
    assert_eq!(embed["fields"][2], json!({"name": "Instance", "value": "i-0123", "inline": true}));
}

#[test]
fn pager_duty_opens_an_alert_and_resolves_it_if_nothing_is_left() {
    let form = Form::PagerDuty { routing_key: routing_key() };
    let [opened, added, resolved] =
        [begins(), ends(), clean_end()].map(|message| read(&form, &message));
    assert_eq!(opened["event_action"], "trigger");
    assert_eq!(opened["payload"]["summary"], BEGINS.replace('\n', " "));
    assert_eq!(opened["payload"]["source"], "ip-10-0-1-17");
    assert_eq!(opened["payload"]["severity"], "warning");
    assert_eq!(opened["payload"]["timestamp"], "2026-11-23T09:00:00Z");
    assert_eq!(opened["payload"]["custom_details"]["instance_type"], "m7g.large");
    assert_eq!(added["event_action"], "trigger");
    assert_eq!(added["payload"]["severity"], "error");
    assert_eq!(added["payload"]["custom_details"]["outcomes"]["still there"], 1);
    assert_eq!(
        resolved,
        json!({"routing_key": "k".repeat(32), "event_action": "resolve", "dedup_key": opened["dedup_key"]})
    );
    assert_eq!(opened["dedup_key"], added["dedup_key"]);
}

#[test]
fn each_node_has_an_alert_of_its_own() {
    let [long, longer] = ["a", "b"].map(|end| "n".repeat(252) + end);
    let other = |node: &str, cluster: &str| Message {
        node_name: node.to_owned(),
        cluster: cluster.to_owned(),
        ..begins()
    };
    let messages = [
        begins(),
        other("node-2", "prod"),
        other("node", "2-prod"),
        other("ip-10-0-1-17", "test"),
        other(&long, "prod"),
        other(&longer, "prod"),
    ];
    let taken_over = Message { kind: Kind::AsgLifecycle, event_id: "x".into(), ..ends() };
    assert_eq!(dedup_key(&taken_over), dedup_key(&begins()));
    let keys: std::collections::BTreeSet<String> = messages.iter().map(dedup_key).collect();
    assert_eq!(keys.len(), messages.len(), "{keys:?}");
    assert!(keys.iter().all(|key| key.chars().map(char::len_utf16).sum::<usize>() <= 255));
}

#[test]
fn a_routing_key_has_32_letters_and_digits_and_is_never_shown() {
    for bad in ["", "k", &"k".repeat(31), &"k".repeat(33), &format!("{}-", "k".repeat(31))] {
        assert_eq!(RoutingKey::parse(bad), None, "{bad}");
    }
    let form = Form::PagerDuty { routing_key: routing_key() };
    assert!(!format!("{form:?} {:?}", form.body(&begins())).contains("kkk"));
}

#[test]
fn sematext_gets_an_event_with_the_keys_of_the_older_handler() {
    let sent = read(&Form::Sematext, &begins());
    assert_eq!(
        sent,
        json!({
            "message": BEGINS,
            "title": "Spot Termination (prod)",
            "type": "aws_spot_instance_terminated",
            "host": "ip-10-0-1-17",
            "severity": "warning",
            "timestamp": "2026-11-23T09:00:00Z",
            "creator": "k8s-spot-handler",
            "Instance": "i-0123",
            "Instance Type": "m7g.large",
            "Availability Zone": "eu-west-1a",
        })
    );
}

#[test]
fn plain_json_has_every_field_under_a_name_that_stays() {
    assert_eq!(
        read(&Form::Json, &ends()),
        json!({
            "event_id": "spot-interruption/terminate/ip-10-0-1-17",
            "kind": "SPOT_ITN",
            "monitor": "SPOT_ITN_MONITOR",
            "description": "spot interruption: the instance will terminate at 2026-11-23T09:02:00Z",
            "state": "",
            "node_name": "ip-10-0-1-17",
            "node_labels": {"pool": "spot", "zone": "a"},
            "pods": ["shop/web-1", "shop/web-2", "shop/db-0"],
            "instance_id": "i-0123",
            "provider_id": "aws:///eu-west-1a/i-0123",
            "instance_type": "m7g.large",
            "start_time": "2026-11-23T09:02:00Z",
            "end_time": "",
            "account_id": "123456789012",
            "availability_zone": "eu-west-1a",
            "region": "eu-west-1",
            "public_hostname": "",
            "public_ip": "",
            "local_hostname": "ip-10-0-1-17.internal",
            "local_ip": "10.0.1.17",
            "instance_life_cycle": "spot",
            "cluster": "prod",
            "stage": "drain-ends",
            "summary": "The deadline is reached: 2 evicted, 1 still there in 120 s.",
            "outcomes": {"evicted": 2, "still there": 1},
            "severity": "error",
            "time": "2026-11-23T09:00:00Z",
        })
    );
}

#[test]
fn a_template_says_what_it_is() {
    let json = Template::parse(DEFAULT_TEMPLATE, Language::Json).unwrap();
    assert!(read(&Form::Template(json), &begins())["text"].is_string());
    let plain = Template::parse("{{ .Kind }} on {{ .NodeName }}", Language::Plain).unwrap();
    let body = Form::Template(plain).body(&begins());
    assert_eq!(body.content_type, "text/plain; charset=utf-8");
    assert_eq!(body.text, "SPOT_ITN on ip-10-0-1-17");
}

#[test]
fn what_is_too_long_is_cut_between_characters() {
    for (text, most, length, cutoff) in [
        ("abc", 3, char::len_utf16 as fn(char) -> usize, "abc"),
        ("abcd", 3, char::len_utf16, "ab…"),
        ("a😀b", 4, char::len_utf16, "a😀b"),
        ("a😀bc", 4, char::len_utf16, "a😀…"),
        ("a😀bc", 3, char::len_utf16, "a…"),
        ("ééé", 6, char::len_utf8, "ééé"),
        ("éééé", 7, char::len_utf8, "éé…"),
        ("", 0, char::len_utf16, ""),
    ] {
        assert_eq!(cut(text, most, length), cutoff);
    }
}

/// What a service counts, at the most.
fn characters(value: &Oracle) -> usize {
    value.as_str().unwrap().encode_utf16().count()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_body_is_json_and_within_its_limits(message in messages()) {
        let slack = read(&Form::Slack { channel: Some("\"#a".into()) }, &message);
        prop_assert!(characters(&slack["text"]) <= 40_000);

        prop_assert!(Form::Teams.body(&message).text.len() <= 28 * 1024);
        read(&Form::Teams, &message);

        let discord = read(&Form::Discord, &message);
        let embed = &discord["embeds"][0];
        prop_assert!(characters(&discord["content"]) <= 2000);
        prop_assert!(characters(&embed["description"]) <= 4096);
        let fields = embed["fields"].as_array().unwrap();
        prop_assert!(fields.len() <= 25);
        let mut sum = characters(&embed["description"]);
        for field in fields {
            prop_assert!((1..=256).contains(&characters(&field["name"])));
            prop_assert!((1..=1024).contains(&characters(&field["value"])));
            sum += characters(&field["name"]) + characters(&field["value"]);
        }
        prop_assert!(sum <= 6000);

        let pager_duty = read(&Form::PagerDuty { routing_key: routing_key() }, &message);
        prop_assert!(characters(&pager_duty["dedup_key"]) <= 255);
        let resolves = message.stage == MessageStage::DrainEnds { clean: true };
        prop_assert_eq!(pager_duty["event_action"] == "resolve", resolves);
        if !resolves {
            prop_assert!((1..=1024).contains(&characters(&pager_duty["payload"]["summary"])));
        }

        prop_assert!(Form::GoogleChat.body(&message).text.len() <= 32_000);
        read(&Form::GoogleChat, &message);
        let wechat = read(&Form::WeChat, &message);
        prop_assert!(wechat["text"]["content"].as_str().unwrap().len() <= 2048);
        read(&Form::Sematext, &message);
        let all = read(&Form::Json, &message);
        prop_assert_eq!(all["summary"].as_str(), Some(&*message.summary));
    }
}

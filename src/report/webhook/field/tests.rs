use proptest::prelude::*;
use serde_json::Value as Oracle;

use super::*;
use crate::drain::tests::properties::config;
use crate::report::webhook::samples::{bare, begins, ends, messages};
use crate::webhook::field::PARTS;
use crate::webhook::template::{DEFAULT_TEMPLATE, Language};

fn json(text: &str) -> Template {
    Template::parse(text, Language::Json).unwrap_or_else(|why| panic!("{text}: {why}"))
}

fn plain(text: &str) -> Template {
    Template::parse(text, Language::Plain).unwrap_or_else(|why| panic!("{text}: {why}"))
}

#[test]
fn the_default_is_json_and_tells_what_happened() {
    let template = json(DEFAULT_TEMPLATE);
    let filled: Oracle = serde_json::from_str(&template.fill(&begins())).unwrap();
    assert_eq!(
        filled["text"],
        "[SPOT_ITN] The drain of ip-10-0-1-17 begins. Node: ip-10-0-1-17, instance: i-0123, event: \
         spot-interruption/terminate/ip-10-0-1-17, start: 2026-11-23T09:02:00Z. spot interruption: \
         the instance will terminate at 2026-11-23T09:02:00Z"
    );
}

#[test]
fn the_default_of_aws_node_termination_handler_is_understood() {
    // Its text is that project's; here stand its fields, in its form.
    let fields = ["EventID", "Kind", "InstanceID", "NodeName", "Description", "StartTime"];
    let fields = fields.map(|field| format!("{field}: {{{{ .{field} }}}}")).join(" - ");
    let filled = json(&format!("{{\"text\":\"{fields}\"}}")).fill(&begins());
    assert!(filled.contains("Kind: SPOT_ITN - InstanceID: i-0123"), "{filled}");
}

#[test]
fn white_space_in_the_braces_does_not_count() {
    for text in ["{{.Kind}}", "{{ .Kind }}", "{{.Kind }}", "{{\t .Kind\r\n}}"] {
        assert_eq!(plain(text).fill(&begins()), "SPOT_ITN", "{text:?}");
    }
    assert_eq!(plain("a{{.Kind}}{{.State}}b{{.Stage}}").fill(&begins()), "aSPOT_ITNbdrain-begins");
}

#[test]
fn in_a_form_no_value_breaks_the_fields() {
    let template =
        Template::parse("a={{ .Summary }}&b={{ .NodeName }}&c=+", Language::Form).unwrap();
    let message = Message { summary: "x&y=z +%\n\"é\"".to_owned(), ..begins() };
    assert_eq!(template.fill(&message), "a=x%26y%3Dz%20%2B%25%0A%22%C3%A9%22&b=ip-10-0-1-17&c=+");
    assert_eq!(template.content_type(), "application/x-www-form-urlencoded");
}

#[test]
fn what_is_no_action_is_text() {
    for text in ["", "}}", "{ { .Kind } }", "{\"a\":{\"b\":{}}}", "$ | . -"] {
        assert_eq!(plain(text).fill(&begins()), text);
    }
    assert_eq!(json(r#"{"a":{"b":"{{ .Kind }}"}}"#).fill(&begins()), r#"{"a":{"b":"SPOT_ITN"}}"#);
}

#[test]
fn every_field_is_there_and_what_is_not_known_is_empty() {
    let names: Vec<String> = Field::all().map(|field| field.to_string()).collect();
    assert_eq!(names.len(), 30);
    let lines = names.iter().map(|name| format!("{name}={{{{ .{name} }}}}"));
    let all = lines.collect::<Vec<_>>().join("\n");
    let expected = r#"EventID=spot-interruption/terminate/ip-10-0-1-17
Kind=SPOT_ITN
Monitor=SPOT_ITN_MONITOR
Description=spot interruption: the instance will terminate at 2026-11-23T09:02:00Z
State=
NodeName=ip-10-0-1-17
NodeLabels=pool=spot, zone=a
Pods=shop/web-1, shop/web-2, shop/db-0
InstanceID=i-0123
ProviderID=aws:///eu-west-1a/i-0123
InstanceType=m7g.large
StartTime=2026-11-23T09:02:00Z
EndTime=
AccountId=123456789012
AvailabilityZone=eu-west-1a
Region=eu-west-1
PublicHostname=
PublicIP=
LocalHostname=ip-10-0-1-17.internal
LocalIP=10.0.1.17
InstanceLifeCycle=spot
Cluster=prod
Stage=drain-ends
Summary=The deadline is reached: 2 evicted, 1 still there in 120 s.
Outcomes=evicted=2, still there=1
Severity=error
Time=2026-11-23T09:00:00Z
NodeLabelsJSON={"pool":"spot","zone":"a"}
PodsJSON=["shop/web-1","shop/web-2","shop/db-0"]
OutcomesJSON={"evicted":2,"still there":1}"#;
    assert_eq!(plain(&all).fill(&ends()), expected);
    let empty = plain("{{ .Cluster }}{{ .Pods }}{{ .PublicIP }}{{ .StartTime }}{{ .PodsJSON }}");
    assert_eq!(empty.fill(&bare()), "[]");
}

#[test]
fn lists_stand_in_json_as_json_or_in_quotes_as_text() {
    let both =
        json(r#"{"list": {{ .PodsJSON }}, "words": "{{ .Pods }}", "both": "{{ .PodsJSON }}"}"#);
    let filled: Oracle = serde_json::from_str(&both.fill(&ends())).unwrap();
    assert_eq!(filled["list"], serde_json::json!(["shop/web-1", "shop/web-2", "shop/db-0"]));
    assert_eq!(filled["words"], "shop/web-1, shop/web-2, shop/db-0");
    assert_eq!(filled["both"], r#"["shop/web-1","shop/web-2","shop/db-0"]"#);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_value_breaks_the_json_or_is_changed_by_it(message in messages()) {
        let all: Vec<Field> = Field::all().collect();
        let quoted = all.iter().map(|field| format!("\"{field}\": \"{{{{ .{field} }}}}\""));
        let bare = all.iter().filter(|field| matches!(field, Field::Json(_)));
        let bare = bare.map(|field| format!("\"raw {field}\": {{{{ .{field} }}}}"));
        let entries: Vec<String> = quoted.chain(bare).collect();
        let text = json(&format!("{{{}}}", entries.join(","))).fill(&message);
        let filled: Oracle = serde_json::from_str(&text).unwrap();
        for field in all {
            prop_assert_eq!(&filled[field.to_string()], &*field.in_text(&message));
        }
        let pods: Vec<&str> =
            filled["raw PodsJSON"].as_array().unwrap().iter().map(|pod| pod.as_str().unwrap()).collect();
        prop_assert_eq!(pods, message.pods.iter().map(String::as_str).collect::<Vec<_>>());
        for (name, value) in &message.node_labels {
            prop_assert_eq!(&filled["raw NodeLabelsJSON"][name], value.as_str());
        }
    }

    /// Made of what JSON and templates are made of, in any order.
    #[test]
    fn whatever_is_accepted_is_json_with_every_message(
        text in template_like(),
        message in messages(),
    ) {
        if let Ok(template) = Template::parse(&text, Language::Json) {
            let filled = template.fill(&message);
            prop_assert!(serde_json::from_str::<Oracle>(&filled).is_ok(), "{text}\n{filled}");
        }
        // No panic, whatever comes.
        let _ = Template::parse(&text, Language::Plain);
    }
}

fn template_like() -> impl Strategy<Value = String> {
    let bits = vec![
        "{{ .Kind }}",
        "{{ .Summary }}",
        "{{ .PodsJSON }}",
        "{{",
        "}}",
        "\"",
        "\"",
        "\"",
        "\\",
        "\\u00",
        "\\ud83d",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "1",
        "a",
        "\n",
        "é",
        " ",
        "null",
    ];
    let free = proptest::collection::vec(proptest::sample::select(bits), 0..12);
    let framed = free.clone().prop_map(|bits| format!("{{\"a\":\"{}\"}}", bits.concat()));
    prop_oneof![free.prop_map(|bits| bits.concat()), framed]
}

#[test]
fn the_page_of_reports_explains_every_field() {
    let page = include_str!("../../../../docs/reports.md");
    for (name, key, _) in PARTS {
        assert!(page.contains(&format!("`.{name}`")), "{name}");
        assert!(page.contains(&format!("`{key}`")), "{key}");
    }
}

//! The operator's template: `Content-Type` in the first line, the template after it. Whatever a message says, the
//! result is what that type says it is; and nothing of a template that is refused is shown but its actions.
#![no_main]

use std::collections::BTreeMap;

use k8s_spot_handler::instance::Instance;
use k8s_spot_handler::level::Level;
use k8s_spot_handler::notice::Kind;
use k8s_spot_handler::report::webhook::message::{Message, MessageStage};
use k8s_spot_handler::webhook::form::Form;
use k8s_spot_handler::webhook::headers::Headers;
use k8s_spot_handler::webhook::template::{Language, Template};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (content_type, template) = text.split_once('\n').unwrap_or(("application/json", text));
    let headers = json!({"content-type": content_type}).to_string();
    let language = Headers::parse(&headers).unwrap_or_default().language();
    match fuzz::within(input, 100, 64 * 1024, || Template::parse(template, language)) {
        Ok(template) => fill(template, language),
        Err(why) => {
            fuzz::is_one_line(&why);
            // What is shown has no control characters.
            let shown: String = template.chars().filter(char::is_ascii_graphic).collect();
            let is_in_action = shown.split("{{").skip(1).any(|action| action.contains("geheim"));
            assert!(is_in_action || !why.contains("geheim"), "{why}");
        }
    }
});

fn fill(template: Template, language: Language) {
    let form = Form::Template(template);
    let awkward = "\" } , \\ \\u0022 {{ .Kind }} \n\r\t\0\u{1b}\u{7f}\u{2028}\u{feff} é 😀 %41 & = + <!channel>";
    for text in ["", "a", awkward] {
        let body = form.body(&message(text));
        match language {
            Language::Json => {
                let read = serde_json::from_str::<Value>(&body.text);
                // The other reader takes no number that is too large for it, and no JSON that is too deep.
                assert!(read.as_ref().err().is_none_or(is_a_limit), "{read:?} of {}", body.text);
            }
            Language::Form | Language::Plain => {}
        }
    }
}

fn is_a_limit(error: &serde_json::Error) -> bool {
    let why = error.to_string();
    why.contains("number out of range") || why.contains("recursion limit")
}

fn message(text: &str) -> Message {
    let some = || Some(text.to_owned());
    Message {
        stage: MessageStage::DrainBegins,
        severity: Level::Warn,
        kind: Kind::SpotItn,
        event_id: text.to_owned(),
        description: text.to_owned(),
        state: text.to_owned(),
        cluster: text.to_owned(),
        node_name: text.to_owned(),
        node_labels: BTreeMap::from([(text.to_owned(), text.to_owned())]),
        provider_id: text.to_owned(),
        pods: vec![text.to_owned(), text.to_owned()],
        outcomes: vec![("evicted", 2)],
        instance: Instance { instance_id: some(), public_ip: some(), ..Instance::default() },
        start_time: Some(fuzz::now().wall),
        end_time: None,
        summary: text.to_owned(),
        time: fuzz::now().wall,
    }
}

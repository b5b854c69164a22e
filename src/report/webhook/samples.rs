//! Messages for the tests of this folder.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::instance::Instance;
use crate::moment::WallTime;
use crate::notice::{Action, Kind, Notice, NoticeId, When};
use crate::plan::kinds::Basis;
use crate::report::fact::Level;
use crate::report::webhook::message::{About, Message, MessageStage};

pub(super) fn wall(text: &str) -> WallTime {
    WallTime::parse(text).unwrap()
}

pub(super) fn instance() -> Instance {
    Instance {
        account_id: Some("123456789012".into()),
        availability_zone: Some("eu-west-1a".into()),
        region: Some("eu-west-1".into()),
        instance_id: Some("i-0123".into()),
        instance_type: Some("m7g.large".into()),
        life_cycle: Some("spot".into()),
        local_hostname: Some("ip-10-0-1-17.internal".into()),
        local_ip: Some("10.0.1.17".into()),
        public_hostname: None,
        public_ip: None,
    }
}

/// A drain for an interruption.
pub(super) fn about() -> About {
    let goes = wall("2026-11-23T09:02:00Z");
    About {
        notice: Notice {
            id: NoticeId::Interruption(Action::Terminate),
            when: When::At(goes),
            until: None,
            window: Duration::from_mins(2),
            wording: r#"{"action": "terminate", "time": "2026-11-23T09:02:00Z"}"#.into(),
        },
        basis: Basis::Stated(goes),
        cluster: Some("prod".into()),
        node_name: "ip-10-0-1-17".into(),
        node_labels: BTreeMap::from([("zone".into(), "a".into()), ("pool".into(), "spot".into())]),
        provider_id: None,
        dry: false,
        instance: instance(),
    }
}

pub(super) fn begins() -> Message {
    Message::drain_begins(&about(), Vec::new(), wall("2026-11-23T09:00:00Z"))
}

/// The same drain at its end, with one pod left.
pub(super) fn ends() -> Message {
    Message {
        stage: MessageStage::DrainEnds { clean: false },
        severity: Level::Error,
        pods: vec!["shop/web-1".into(), "shop/web-2".into(), "shop/db-0".into()],
        outcomes: vec![("evicted", 2), ("still there", 1)],
        summary: "The deadline is reached: 2 evicted, 1 still there in 120 s.".into(),
        ..begins()
    }
}

/// Nothing is known but what is always known.
pub(super) fn bare() -> Message {
    Message {
        description: String::new(),
        cluster: String::new(),
        node_labels: BTreeMap::new(),
        provider_id: String::new(),
        instance: Instance::default(),
        start_time: None,
        ..begins()
    }
}

/// Text that JSON, chats and terminals mind; now and then more of it than any service takes.
pub(super) fn awkward() -> impl Strategy<Value = String> {
    let bits = select(vec![
        "\"",
        "\\",
        "\n",
        "\r\n",
        "\t",
        "\0",
        "\u{1b}[31m",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{2029}",
        "\u{feff}",
        "😀",
        "👩‍👩‍👧",
        "é",
        "{{ .Kind }}",
        "}}",
        "</script>",
        "<!channel>",
        "@everyone",
        "&amp;",
        "\\u0022",
        "\\",
        "`",
        "*",
        "[a](http://b)",
        "🏴",
        "\u{fffd}",
        "x",
    ]);
    let text =
        vec(prop_oneof![bits.prop_map(str::to_owned), any::<char>().prop_map(String::from)], 0..12)
            .prop_map(|bits| bits.concat());
    (text, prop_oneof![9 => Just(1), 1 => 1..400_usize])
        .prop_map(|(text, times)| text.repeat(times))
}

/// Any message at all.
pub(super) fn messages() -> impl Strategy<Value = Message> {
    let what = (
        prop_oneof![
            Just(MessageStage::NodeMarked),
            Just(MessageStage::DrainBegins),
            any::<bool>().prop_map(|clean| MessageStage::DrainEnds { clean })
        ],
        select(vec![Level::Info, Level::Warn, Level::Error]),
        select(Kind::ALL.to_vec()),
        option::of(Just(wall("2026-11-23T09:02:00.123Z"))),
    );
    let lists = (
        btree_map(awkward(), awkward(), 0..4),
        vec(awkward(), 0..4),
        vec((select(vec!["evicted", "still there", "would be refused"]), any::<usize>()), 0..3),
    );
    (what, vec(awkward(), 17), lists).prop_map(|(what, texts, (node_labels, pods, outcomes))| {
        let (stage, severity, kind, start_time) = what;
        let mut texts = texts.into_iter();
        let mut text = || texts.next().unwrap();
        let known = |text: String| Some(text).filter(|text| !text.is_empty());
        Message {
            stage,
            severity,
            kind,
            event_id: text(),
            description: text(),
            state: text(),
            cluster: text(),
            node_name: text(),
            node_labels,
            provider_id: text(),
            pods,
            outcomes,
            instance: Instance {
                account_id: known(text()),
                availability_zone: known(text()),
                region: known(text()),
                instance_id: known(text()),
                instance_type: known(text()),
                life_cycle: known(text()),
                local_hostname: known(text()),
                local_ip: known(text()),
                public_hostname: known(text()),
                public_ip: known(text()),
            },
            start_time,
            end_time: start_time,
            summary: text(),
            time: wall("2026-11-23T09:00:00Z"),
        }
    })
}

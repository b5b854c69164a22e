//! The log in its other forms.

use std::time::Duration;

use serde_json::Value;

use crate::stage::{Stage, quick_pods};

/// The lines as objects, each with what every line has.
fn objects(handler: &crate::child::Handler<'_>) -> Vec<Value> {
    let lines = handler.lines();
    let objects = lines.iter().map(|line| {
        let object: Value =
            serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
        for field in ["time", "level", "fact", "message", "node"] {
            assert!(object[field].is_string(), "no {field}: {line}");
        }
        object
    });
    objects.collect()
}

#[test]
fn a_whole_drain_in_json_one_object_a_line() {
    let stage = Stage::with(quick_pods(2));
    let mut handler = stage.handler().with("JSON_LOGGING", "true").start();
    stage.cloud.announce_in(Duration::from_secs(20));
    stage.left(&[]);
    handler.says("\"fact\":\"verdict\"");
    handler.terminate();
    assert!(handler.ended().success());

    let objects = objects(&handler);
    let facts: Vec<_> = objects.iter().map(|object| object["fact"].as_str().unwrap()).collect();
    assert_eq!(facts.first(), Some(&"started"));
    assert_eq!(facts.last(), Some(&"ends"));
    let verdicts: Vec<_> =
        objects.iter().filter(|object| object["fact"] == "pod_verdict").collect();
    assert_eq!(verdicts.len(), 2);
    for verdict in verdicts {
        assert_eq!(
            (&verdict["outcome"], &verdict["kind"]),
            (&"evicted".into(), &"SPOT_ITN".into())
        );
        assert!(verdict["pod"].is_string() && verdict["namespace"].is_string(), "{verdict}");
        assert!(verdict["seconds"].is_f64(), "{verdict}");
    }
}

#[test]
fn a_log_of_errors_alone_is_silent_where_there_are_none() {
    let stage = Stage::with(quick_pods(1));
    let mut handler = stage.handler().with("LOG_LEVEL", "error").start();
    stage.cloud.announce_in(Duration::from_secs(20));
    stage.left(&[]);
    handler.terminate();
    assert!(handler.ended().success());
    assert_eq!(handler.lines(), [""; 0]);
}

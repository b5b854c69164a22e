//! A list of pods, item by item, compared with what another reader of JSON makes of it.
#![no_main]

use fuzz::{now, pieces};
use k8s_spot_handler::drain::pod::PodNews;
use k8s_spot_handler::kube::watch::fuzzing::list;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let (mode, body) = fuzz::mode(input);
    let whole = fuzz::within(input, 100, 64 * 1024, || list("n", now(), &[body]));
    let pieces: Vec<_> = pieces(body, mode).collect();
    assert_eq!(list("n", now(), &pieces), whole, "in pieces of {mode}");
    let (news, version) = whole;
    for news in &news {
        if let PodNews::Unread { pod, why } = news {
            fuzz::are_lines(pod.iter().chain([why]).map(String::as_str));
        }
    }
    // The API server escapes no letter of a name, and gives no name twice.
    let is_plain = !body.windows(2).any(|two| two == b"\\u") && occurrences(body) <= 1;
    let Some(version) = version.filter(|_| is_plain) else { return };
    let Ok(json) = serde_json::from_slice::<Value>(body) else { return };
    if let Some(items) = json.get("items").and_then(Value::as_array) {
        assert_eq!(news.len(), items.len(), "{json}");
        assert_eq!(json["metadata"]["resourceVersion"], version);
        for (news, item) in news.iter().zip(items) {
            if let PodNews::Seen(pod) = news {
                assert_eq!(item["metadata"]["uid"], pod.reference.uid);
                assert_eq!(item["spec"]["nodeName"], "n");
            }
        }
    } else {
        assert!(news.is_empty(), "{json}");
    }
});

fn occurrences(body: &[u8]) -> usize {
    body.windows(7).filter(|part| part == b"\"items\"").count()
}

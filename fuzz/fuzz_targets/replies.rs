//! What the API server replies to everything but a watch: `STATUS BODY`. What is told of it is one plain line, and
//! nothing counts as done unless the reply says so.
#![no_main]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use k8s_spot_handler::drain::ask::{Answer, Ask, Job, PodRef};
use k8s_spot_handler::kube::reply::{
    KnownBy, Reply, Written, answer, is_allowed, node, node_of_pod, profile, retry_after, version,
    written,
};
use k8s_spot_handler::kube::request::{
    create_event, find_pod, for_job, is_subdomain, patch_event, read_node, review,
};
use k8s_spot_handler::node::NodeAnswer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (status, body) = fuzz::status(input);
    let text = String::from_utf8_lossy(body);
    let header = text.lines().next().and_then(retry_after);
    let reply =
        Reply { status, retry_after: header, date: None, by: KnownBy::Token, body: body.to_vec() };
    fuzz::within(input, 500, 64 * 1024, || check(&reply));
});

fn check(reply: &Reply) {
    let grace = NonZeroU32::MIN;
    for ask in [Ask::Evict { grace, dry: false }, Ask::Delete { grace }, Ask::MarkDisrupted] {
        check_answer(reply, ask);
    }
    match node("n", &read_node("n"), reply) {
        NodeAnswer::Is(node) => {
            assert!(matches!(reply.status, 200 | 201) && !node.resource_version.is_empty());
        }
        NodeAnswer::Conflict => assert_eq!(reply.status, 409),
        NodeAnswer::Missing(why) => {
            assert_eq!(reply.status, 404);
            fuzz::is_one_line(&why);
        }
        NodeAnswer::Forbidden(why) | NodeAnswer::Failed(why) => fuzz::is_one_line(&why),
    }
    for request in [create_event("d", "{}".to_owned()), patch_event("d", "e", "{}".to_owned())] {
        if let Written::Refused { why, .. } | Written::Again { why, .. } = written(&request, reply)
        {
            fuzz::is_one_line(&why);
        }
    }
    match node_of_pod(&find_pod("d", "p"), reply) {
        Ok(node) => assert!(reply.status == 200 && is_subdomain(&node)),
        Err(why) => fuzz::is_one_line(&why),
    }
    fuzz::are_lines(version(reply).as_deref());
    if let Err(why) = is_allowed(&review("", "get", "pods", "n"), reply) {
        fuzz::is_one_line(&why);
    }
    assert!(profile(reply).is_none() || reply.status == 200);
}

fn check_answer(reply: &Reply, ask: Ask) {
    let pod = PodRef { namespace: "d".into(), name: "p".into(), uid: "u".into() };
    let job = Job { pod: Arc::new(pod), ask, timeout: Duration::from_secs(5) };
    let request = for_job(&job, fuzz::now().wall);
    let body = &reply.body;
    match answer(&job, &request, reply) {
        Answer::Accepted => {
            assert!(matches!(reply.status, 200..=299), "{}", reply.status);
            let says = |words: &[u8]| body.windows(words.len()).any(|part| part == words);
            assert!(says(b"Pod") || says(b"Eviction") || says(b"Success") || says(b"\\u"));
        }
        Answer::Gone => assert_eq!(reply.status, 404),
        Answer::Replaced => assert!(matches!(reply.status, 409 | 422)),
        Answer::NamespaceTerminating => assert_eq!(reply.status, 403),
        Answer::Unauthorized(why) => {
            assert_eq!(reply.status, 401);
            fuzz::is_one_line(why);
        }
        Answer::Blocked(budget) => fuzz::is_one_line(&budget.to_string()),
        Answer::Busy { why, retry_after } => {
            assert!(retry_after.is_none_or(|after| after <= Duration::from_secs(u32::MAX.into())));
            fuzz::is_one_line(&why);
        }
        Answer::Failed(why) | Answer::Forbidden(why) | Answer::Broken(why) => {
            fuzz::is_one_line(&why);
        }
    }
}

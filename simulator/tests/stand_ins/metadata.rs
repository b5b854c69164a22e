//! The stand-in metadata service, as a client sees it.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::client::{Answer, Patience, Result, ask, ask_with};
use simulator::{Endpoint, Fault, Metadata, Version};

const ACTION: &str = "GET /latest/meta-data/spot/instance-action";

fn address(cloud: &Metadata) -> Result<SocketAddr> {
    Ok(cloud.url().trim_start_matches("http://").parse()?)
}

fn token(cloud: &Metadata) -> Result<String> {
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 21600\r\n";
    let answer = ask(address(cloud)?, "PUT /latest/api/token", ttl)?;
    assert_eq!(answer.code, 200);
    Ok(String::from_utf8(answer.body)?)
}

fn with_token(cloud: &Metadata, request: &str, token: &str) -> Result<Answer> {
    ask(address(cloud)?, request, &format!("X-aws-ec2-metadata-token: {token}\r\n"))
}

#[test]
fn a_notice_comes_and_goes_behind_a_token_that_expires() -> Result<()> {
    let cloud = Metadata::start()?;
    assert_eq!(ask(address(&cloud)?, ACTION, "")?.code, 401);
    assert_eq!(ask(address(&cloud)?, "PUT /latest/api/token", "")?.code, 400);

    let first = token(&cloud)?;
    assert_eq!(with_token(&cloud, ACTION, &first)?.code, 404);
    cloud.announce("stop", "2026-11-23T09:00:00Z");
    let notice = with_token(&cloud, ACTION, &first)?.json();
    assert_eq!(notice["action"], "stop");
    assert_eq!(notice["time"], "2026-11-23T09:00:00Z");
    let time = "GET /latest/meta-data/spot/termination-time";
    assert_eq!(with_token(&cloud, time, &first)?.code, 404, "only of a termination");

    cloud.expire_tokens();
    assert_eq!(with_token(&cloud, ACTION, &first)?.code, 401);
    let second = token(&cloud)?;
    cloud.set("spot/termination-time", "soon\n");
    assert_eq!(with_token(&cloud, time, &second)?.body, b"soon\n");
    cloud.clear();
    assert_eq!(with_token(&cloud, ACTION, &second)?.code, 404);

    let journal = cloud.journal();
    assert_eq!((journal.count(Endpoint::Token), journal.count(Endpoint::InstanceAction)), (3, 5));
    assert_eq!(journal.most_in_flight(Endpoint::InstanceAction), 1);
    Ok(())
}

#[test]
fn every_other_document_comes_and_goes_too_and_can_be_made_to_fail() -> Result<()> {
    let cloud = Metadata::start()?;
    cloud.speak(Version::Both);
    let get = |path: &str| ask(address(&cloud)?, &format!("GET /latest/meta-data/{path}"), "");
    let (rebalance, state) =
        ("events/recommendations/rebalance", "autoscaling/target-lifecycle-state");
    let (scheduled, history) = ("events/maintenance/scheduled", "events/maintenance/history");
    assert_eq!((get(rebalance)?.code, get(state)?.code), (404, 404));
    assert_eq!((get(scheduled)?.body, get(history)?.body), (b"[]".to_vec(), b"[]".to_vec()));

    cloud.recommend_rebalance("2020-10-27T08:22:00Z");
    assert_eq!(get(rebalance)?.json()["noticeTime"], "2020-10-27T08:22:00Z");
    cloud.target_lifecycle_state("Terminated");
    assert_eq!(get(state)?.body, b"Terminated");

    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_548_061_243);
    let mut event = Metadata::event("system-reboot", "instance-event-1", time);
    cloud.schedule(&[event.clone(), Metadata::event("instance-stop", "2", time)]);
    let planned = get(scheduled)?.json();
    assert_eq!(planned[0]["NotBefore"], "21 Jan 2019 09:00:43 GMT");
    assert_eq!(planned[0]["NotAfter"], "21 Jan 2019 11:00:43 GMT");
    assert_eq!((&planned[0]["State"], &planned[1]["EventId"]), (&"active".into(), &"2".into()));
    cloud.history(std::slice::from_ref(&event));
    event["State"] = "canceled".into();
    cloud.schedule(&[]);
    assert_eq!(get(scheduled)?.body, b"[]");
    let past = get(history)?.json();
    assert_eq!(past[0]["State"], "completed");
    assert_eq!(past[0]["Description"], "[Completed] The instance is scheduled for system-reboot");
    cloud.history(&[event]);
    assert_eq!(get(history)?.json()[0]["State"], "canceled");

    for (endpoint, path) in [
        (Endpoint::Rebalance, rebalance),
        (Endpoint::Scheduled, scheduled),
        (Endpoint::History, history),
        (Endpoint::LifecycleState, state),
    ] {
        cloud.fail(endpoint).with(Fault::Code(503));
        assert_eq!((get(path)?.code, get(path)?.code), (503, 200), "{path}");
    }
    assert_eq!(cloud.journal().count(Endpoint::Other), 0);
    Ok(())
}

#[test]
fn without_version_two_the_put_is_refused_and_all_else_served() -> Result<()> {
    let cloud = Metadata::start()?;
    cloud.speak(Version::V1Only(405));
    assert_eq!(ask(address(&cloud)?, "PUT /latest/api/token", "")?.code, 405);
    let id = ask(address(&cloud)?, "GET /latest/meta-data/instance-id", "")?;
    assert_eq!(id.body, b"i-0123456789abcdef0");
    Ok(())
}

#[test]
fn faults_are_what_they_say() -> Result<()> {
    let cloud = Metadata::start()?;
    cloud.speak(Version::Both);
    cloud.announce_in(Duration::from_mins(2));
    let fail = |fault| {
        cloud.fail(Endpoint::InstanceAction).with(fault);
        ask(address(&cloud)?, ACTION, "")
    };
    assert_eq!(fail(Fault::Code(503))?.code, 503);
    assert!(fail(Fault::Html(200))?.body.starts_with(b"<!DOCTYPE"));
    assert!(fail(Fault::Redirect("http://10.0.0.1/".into()))?.head.contains("Location: http://10"));
    assert!(!fail(Fault::CutInBody)?.complete);
    assert!(String::from_utf8(fail(Fault::NotUtf8)?.body).is_err());
    assert!(fail(Fault::EndlessBody)?.body.len() > 4 * 1024 * 1024);
    assert!(fail(Fault::EndlessHead).is_err());
    assert!(fail(Fault::CutBeforeAnswer).is_err());
    cloud.fail(Endpoint::InstanceAction).with(Fault::Hang);
    assert!(ask_with(Patience::Little, address(&cloud)?, ACTION, "").is_err());
    assert_eq!(ask(address(&cloud)?, ACTION, "")?.code, 200, "each fault once");

    cloud.become_silent();
    assert!(ask_with(Patience::Little, address(&cloud)?, ACTION, "").is_err());
    cloud.heal();
    cloud.stop();
    assert!(ask(address(&cloud)?, ACTION, "").is_err());
    cloud.start_again()?;
    assert_eq!(ask(address(&cloud)?, ACTION, "")?.code, 200);
    Ok(())
}

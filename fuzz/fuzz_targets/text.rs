//! Dates as EC2 and Kubernetes write them, identities of notices, excerpts.
#![no_main]

use std::time::Duration;

use k8s_spot_handler::excerpt::excerpt;
use k8s_spot_handler::kube::reply::retry_after;
use k8s_spot_handler::moment::WallTime;
use k8s_spot_handler::node::state::Occurrence;
use k8s_spot_handler::notice::{Notice, NoticeId, When};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for time in [WallTime::parse(text), WallTime::parse_rfc2822(text)].into_iter().flatten() {
        check_time(time);
    }
    if let Some(id) = NoticeId::parse(text) {
        assert_eq!(id.to_string(), text);
        check_occurrence(&id);
    }
    if let Some(id) = Occurrence::notice(text) {
        check_occurrence(&id);
    }
    let shown = fuzz::within(input, 0, 4096, || excerpt(text));
    fuzz::is_one_line(&shown);
    assert!(shown.chars().count() <= 200);
    assert_eq!(excerpt(&shown), shown);
    assert!(retry_after(text).is_none_or(|after| after <= Duration::from_secs(u32::MAX.into())));
});

/// It is read as it was written, to the millisecond; and counting with it stops at the ends of the calendar.
fn check_time(time: WallTime) {
    let written = time.to_string();
    let read = WallTime::parse(&written).expect("what is written is read");
    assert_eq!(read.to_string(), written);
    assert_eq!(read.unix_milliseconds(), time.unix_milliseconds());
    assert!(read <= time && time.until(read).unwrap_or_default() < Duration::from_millis(1));
    assert!(time + Duration::MAX >= time && time - Duration::MAX <= time);
    let later = time + Duration::from_mins(2);
    let ahead = time.until(later).expect("it is not earlier");
    assert!(ahead == Duration::from_mins(2) || later == time + Duration::MAX);
    assert!(fuzz::now().moment_of(time).is_some() == (time >= fuzz::now().wall));
    assert!(time.unix_seconds().is_finite());
}

fn check_occurrence(id: &NoticeId) {
    for when in [When::Unstated, When::At(fuzz::now().wall)] {
        let wording = String::new();
        let notice = Notice { id: id.clone(), when, until: None, window: Duration::ZERO, wording };
        let occurrence = Occurrence::of(&notice);
        fuzz::is_one_line(occurrence.as_str());
        assert_eq!(Occurrence::notice(occurrence.as_str()).as_ref(), Some(id));
    }
}

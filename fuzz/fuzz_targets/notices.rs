//! What stands at each path of the metadata service: the first answers are to the token's request and the paths in
//! turn, as they are asked. Each answer is `STATUS BODY`; they are parted by a line of `--`.
#![no_main]

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_spot_handler::node::state::Occurrence;
use k8s_spot_handler::notice::{NoticeId, NoticePath};
use k8s_spot_handler::source::fuzzing::{FuzzedReply, polls};
use k8s_spot_handler::source::url::{MetadataUrl, NoticeUrl};
use k8s_spot_handler::source::{Source, Watched};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (mode, rest) = fuzz::mode(input);
    let answers: Vec<_> = fuzz::parts(rest, b"\n--\n").collect();
    let mut turns = answers.iter().cycle().take(64);
    let answer = |asked: &str| {
        assert!(!asked.contains('\n'));
        let (status, body) = fuzz::status(turns.next()?);
        // Beside a token stands how long it holds.
        let headers = if asked.starts_with("PUT") {
            b"x-aws-ec2-metadata-token-ttl-seconds"
        } else {
            &b""[..]
        };
        let headers = String::from_utf8_lossy(headers).into_owned();
        let headers = vec![(headers, String::from_utf8_lossy(body).into_owned())];
        (status != 999).then(|| FuzzedReply { status, headers, body: body.to_vec() })
    };
    let pause = Duration::from_secs(u64::from(mode) * 60);
    let all = fuzz::within(input, 200, 64 * 1024, || polls(&source(mode), 3, pause, answer));
    for polled in all {
        let answer = match polled.outcome {
            Ok(answer) => answer,
            Err(why) => {
                fuzz::is_one_line(&why);
                continue;
            }
        };
        let mut ids = BTreeSet::new();
        for notice in &answer.standing {
            assert!(polled.path.may_say(&notice.id), "{:?} at {}", notice.id, polled.path);
            assert_eq!(NoticeId::parse(&notice.id.to_string()).as_ref(), Some(&notice.id));
            let occurrence = Occurrence::of(notice);
            assert_eq!(Occurrence::notice(occurrence.as_str()).as_ref(), Some(&notice.id));
            assert!(ids.insert(&notice.id), "{} stands twice", notice.id);
            fuzz::are_lines([notice.wording.as_str(), occurrence.as_str()]);
            assert!(notice.wording.chars().count() <= 200);
        }
        assert!(ids.len() <= 50);
        for over in &answer.over {
            fuzz::is_one_line(over);
            let is_it =
                |id: &&NoticeId| matches!(id, NoticeId::Maintenance(event) if event.id == *over);
            assert!(polled.path == NoticePath::Maintenance && !ids.iter().any(is_it));
        }
    }
});

fn source(mode: u8) -> Source {
    let notice_url = [
        None,
        Some("http://169.254.169.254/other"),
        Some("http://notices.example/other?key=1"),
        Some("http://notices.example/latest/meta-data/spot/termination-time"),
    ];
    let notice_url = notice_url[usize::from(mode >> 6)];
    let watched = Watched {
        interruption: mode & 1 == 0,
        rebalance: mode & 2 == 0,
        maintenance: mode & 4 == 0,
        lifecycle: mode & 8 == 0,
    };
    Source {
        metadata_url: MetadataUrl::parse("http://169.254.169.254").expect("it is one"),
        notice_url: notice_url.map(|url| NoticeUrl::parse(url).expect("it is one")),
        interval: Duration::from_secs(2),
        calm_interval: Duration::from_secs(5),
        v1_fallback: mode & 16 == 0,
        watched,
        window: Duration::from_mins(2),
        lifecycle_window: Duration::from_mins(2),
    }
}

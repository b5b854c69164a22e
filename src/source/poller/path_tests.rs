use super::*;
use crate::source::http::ImdsReply;
use crate::source::url::MetadataUrl;

const SERVICE: &str = "http://169.254.169.254";
const EVENT: &str = r#"[{"EventId": "a", "NotBefore": "2019-01-21T09:00:43Z"}]"#;

fn polled_path(path: NoticePath) -> PolledPath {
    let service = MetadataUrl::parse(SERVICE).unwrap();
    let second = Duration::from_secs(1);
    let polled =
        PolledPath::new(path, service.at("/path"), second, PollSchedule::new(second, second));
    match path {
        NoticePath::Maintenance => polled.with_history(service.at("/history")),
        _ => polled,
    }
}

fn client() -> ImdsClient {
    ImdsClient::new(MetadataUrl::parse(SERVICE).unwrap(), true)
}

type Answered<'a> = (u16, &'a str);

/// One poll, and which paths it asked.
fn poll(
    polled: &mut PolledPath,
    client: &mut ImdsClient,
    answered: Answered<'_>,
    history: Answered<'_>,
) -> (Polled, Vec<String>) {
    let mut asked = Vec::new();
    let outcome = polled.poll(client, Moment::START, &mut |request| {
        let path = request.url.path();
        asked.push(path.to_owned());
        let (status, body) = match path {
            "/path" => answered,
            "/history" => history,
            _ => (200, "token"),
        };
        Ok(ImdsReply { status, headers: Vec::new(), body: Ok(body.into()) })
    });
    (outcome, asked)
}

/// One poll of a path that was never polled before.
fn poll_once(path: NoticePath, status: u16, body: &str) -> Polled {
    poll(&mut polled_path(path), &mut client(), (status, body), (404, "")).0
}

const PATHS: [NoticePath; 6] = [
    NoticePath::InstanceAction,
    NoticePath::TerminationTime,
    NoticePath::NoticeUrl,
    NoticePath::Rebalance,
    NoticePath::Maintenance,
    NoticePath::Lifecycle,
];

#[test]
fn every_path_says_nothing_with_a_404_and_only_its_own_kind_with_a_200() {
    for path in PATHS {
        let nothing = Polled { path, status: Some(404), outcome: Ok(PathAnswer::default()) };
        assert_eq!(poll_once(path, 404, "no"), nothing);
        for body in
            ["2015-01-05T18:02:00Z", r#"{"action": "stop"}"#, EVENT, "Terminated", "[]", "x"]
        {
            let Ok(answer) = poll_once(path, 200, body).outcome else { continue };
            for notice in answer.standing {
                assert!(path.may_say(&notice.id), "{path}: {body}");
            }
        }
    }
}

#[test]
fn what_cannot_be_read_names_the_address_and_the_length() {
    for path in PATHS {
        let polled = poll_once(path, 200, "<html>");
        let why = format!(
            "GET {SERVICE}/path: status 200, 6 bytes: HTML, so something else answers at this \
             address"
        );
        assert_eq!((polled.status, polled.outcome), (Some(200), Err(why)), "{path}");
        let polled = poll_once(path, 500, "");
        let why = format!("GET {SERVICE}/path: status 500");
        assert_eq!((polled.status, polled.outcome), (Some(500), Err(why)), "{path}");
    }
    let polled = poll_once(NoticePath::Lifecycle, 200, "Terminating");
    let why =
        format!("GET {SERVICE}/path: status 200, 11 bytes: not a lifecycle state: Terminating");
    assert_eq!(polled.outcome, Err(why));
}

#[test]
fn the_history_is_asked_while_something_is_planned_and_once_after() {
    let (mut path, mut client) = (polled_path(NoticePath::Maintenance), client());
    let mut ask = |scheduled: Answered<'_>| {
        let (polled, asked) = poll(&mut path, &mut client, scheduled, (200, EVENT));
        let says = polled.outcome.map(|answer| (answer.standing.len(), answer.over.len()));
        (says.ok(), asked.iter().any(|path| path == "/history"))
    };
    assert_eq!(ask((200, "[]")), (Some((0, 0)), false));
    assert_eq!(ask((404, "")), (Some((0, 0)), false));
    for _ in 0..2 {
        assert_eq!(ask((200, EVENT)), (Some((0, 1)), true));
        // A failure tells nothing of what is planned.
        assert_eq!(ask((500, "")), (None, false));
        assert_eq!(ask((200, "<html>")), (None, false));
    }
    for none in [(200, "[]"), (404, ""), (200, "")] {
        assert_eq!(ask(none), (Some((0, 1)), true));
        assert_eq!(ask(none), (Some((0, 0)), false));
        assert_eq!(ask((200, EVENT)), (Some((0, 1)), true));
    }
}

#[test]
fn without_a_history_what_is_planned_stands() {
    for history in [(404, ""), (500, ""), (401, ""), (302, ""), (200, ""), (200, "[]"), (200, "[")]
    {
        let mut path = polled_path(NoticePath::Maintenance);
        let (polled, _) = poll(&mut path, &mut client(), (200, EVENT), history);
        assert_eq!(polled.status, Some(200));
        assert_eq!(polled.outcome.map(|answer| answer.standing.len()), Ok(1), "{history:?}");
    }
}

#[test]
fn failures_are_followed_by_longer_and_longer_waits_up_to_the_longest() {
    let waits = |interval: u64, longest: u64, polls: &[bool]| -> Vec<u128> {
        let mut schedule =
            PollSchedule::new(Duration::from_millis(interval), Duration::from_secs(longest));
        let began = Moment::at(Duration::from_mins(1));
        polls
            .iter()
            .map(|&is_answering| schedule.next(began, is_answering).since(began).as_millis())
            .collect()
    };
    let polls = [true, false, false, false, false, false, true, false];
    let seconds = |seconds: [u128; 8]| seconds.map(|second| second * 1000);
    assert_eq!(waits(1000, 5, &polls), seconds([1, 1, 2, 4, 5, 5, 1, 1]));
    assert_eq!(waits(5000, 30, &polls), seconds([5, 5, 10, 20, 30, 30, 5, 5]));
    assert_eq!(waits(30_000, 5, &polls), [30_000; 8]);
    assert_eq!(waits(0, 5, &polls[..3]), [0, 100, 200]);
}

use super::*;
use crate::source::url::MetadataUrl;

const SERVICE: &str = "http://169.254.169.254";
const EVENT: &str = r#"[{"EventId": "a", "NotBefore": "2019-01-21T09:00:43Z"}]"#;

fn lane(path: NoticePath) -> Lane {
    let service = MetadataUrl::parse(SERVICE).unwrap();
    let second = Duration::from_secs(1);
    let lane = Lane::new(path, service.at("/lane"), second, Pace::new(second, second));
    match path {
        NoticePath::Maintenance => lane.with_history(service.at("/history")),
        _ => lane,
    }
}

fn client() -> Client {
    Client::new(MetadataUrl::parse(SERVICE).unwrap(), true)
}

type Answered<'a> = (u16, &'a str);

/// One poll, and which paths it asked.
fn poll(
    lane: &mut Lane,
    client: &mut Client,
    answered: Answered<'_>,
    history: Answered<'_>,
) -> (Polled, Vec<String>) {
    let mut asked = Vec::new();
    let polled = lane.poll(client, Moment::START, &mut |request| {
        let path = request.address.path();
        asked.push(path.to_owned());
        let (status, body) = match path {
            "/lane" => answered,
            "/history" => history,
            _ => (200, "token"),
        };
        Ok(Reply { status, headers: Vec::new(), body: Ok(body.into()) })
    });
    (polled, asked)
}

/// One poll of a new lane.
fn poll_once(path: NoticePath, status: u16, body: &str) -> Polled {
    poll(&mut lane(path), &mut client(), (status, body), (404, "")).0
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
        let nothing = Polled { path, status: Some(404), outcome: Ok(Answer::default()) };
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
            "GET {SERVICE}/lane: status 200, 6 bytes: HTML, so something else answers at this \
             address"
        );
        assert_eq!((polled.status, polled.outcome), (Some(200), Err(why)), "{path}");
        let polled = poll_once(path, 500, "");
        let why = format!("GET {SERVICE}/lane: status 500");
        assert_eq!((polled.status, polled.outcome), (Some(500), Err(why)), "{path}");
    }
    let polled = poll_once(NoticePath::Lifecycle, 200, "Terminating");
    let why =
        format!("GET {SERVICE}/lane: status 200, 11 bytes: not a lifecycle state: Terminating");
    assert_eq!(polled.outcome, Err(why));
}

#[test]
fn the_history_is_asked_while_something_is_planned_and_once_after() {
    let (mut lane, mut client) = (lane(NoticePath::Maintenance), client());
    let mut ask = |scheduled: Answered<'_>| {
        let (polled, asked) = poll(&mut lane, &mut client, scheduled, (200, EVENT));
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
        let mut lane = lane(NoticePath::Maintenance);
        let (polled, _) = poll(&mut lane, &mut client(), (200, EVENT), history);
        assert_eq!(polled.status, Some(200));
        assert_eq!(polled.outcome.map(|answer| answer.standing.len()), Ok(1), "{history:?}");
    }
}

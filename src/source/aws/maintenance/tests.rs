use std::thread;

use super::*;

const WINDOW: Duration = Duration::from_mins(2);
/// As the EC2 user guide shows it.
const GOOD: &str = r#"[
  {
    "NotBefore" : "21 Jan 2019 09:00:43 GMT",
    "Code" : "system-reboot",
    "Description" : "scheduled reboot",
    "EventId" : "instance-event-0d59937288b749b32",
    "NotAfter" : "21 Jan 2019 09:17:23 GMT",
    "State" : "active"
  }
]"#;
const GOOD_ID: &str = "instance-event-0d59937288b749b32";

fn at(time: &str) -> When {
    When::At(WallTime::parse(time).unwrap())
}

fn read(list: &str, past: &str) -> PathAnswer {
    answer(scheduled(list.as_bytes()).unwrap(), history(past.as_bytes()), WINDOW)
}

/// An entry of day `day` of January, its other keys as JSON.
fn entry(id: &str, day: u8, others: &str) -> String {
    format!(
        r#"{{"EventId": "{id}", "NotBefore": "{day} Jan 2019 09:00:43 GMT", "Code": "instance-stop"{others}}}"#
    )
}

fn list(entries: &[String]) -> String {
    format!("[{}]", entries.join(", "))
}

/// What stands as `code/id`, with `/nth` unless that is 0.
fn standing(answer: &PathAnswer) -> Vec<String> {
    let ids = answer.standing.iter().map(|notice| notice.id.to_string());
    ids.map(|id| id.strip_prefix("scheduled-maintenance/").unwrap().to_owned()).collect()
}

fn over(answer: &PathAnswer) -> Vec<&str> {
    answer.over.iter().map(|id| &**id).collect()
}

#[test]
fn an_event_is_read_as_ec2_writes_it() {
    let event = Event { code: Code::SystemReboot, id: Arc::from(GOOD_ID), nth: 0 };
    let wording = "system-reboot; from 21 Jan 2019 09:00:43 GMT until 21 Jan 2019 09:17:23 GMT; \
                   scheduled reboot";
    let expected = Notice {
        id: NoticeId::Maintenance(event),
        when: at("2019-01-21T09:00:43Z"),
        until: WallTime::parse("2019-01-21T09:17:23Z"),
        window: WINDOW,
        wording: wording.to_owned(),
    };
    assert_eq!(read(GOOD, ""), PathAnswer { standing: vec![expected], over: Vec::new() });
}

#[test]
fn each_code_is_known() {
    for code in Code::ALL {
        let read = read(&GOOD.replace("system-reboot", &code.to_string()), "");
        assert_eq!(standing(&read), [format!("{code}/{GOOD_ID}")]);
    }
}

#[test]
fn nothing_in_it_is_none() {
    for none in ["", " \n", "[]", " [ ]\n"] {
        assert_eq!(read(none, ""), PathAnswer::default(), "{none:?}");
    }
}

#[test]
fn what_is_no_list_of_events_is_an_error() {
    for (body, why) in [
        (&b"\xff"[..], Unreadable::NotUtf8),
        (b"<html>", Unreadable::Html),
        (b"null", Unreadable::NotJson),
        (b"{}", Unreadable::NotJson),
        (b"none", Unreadable::NotJson),
        (b"[] []", Unreadable::NotJson),
        (b"[null]", Unreadable::NoEvent),
        (b"[{}, 1, \"x\", [], {\"State\": \"active\"}, {\"Code\": 7}]", Unreadable::NoEvent),
    ] {
        let shown = String::from_utf8_lossy(body);
        assert_eq!(scheduled(body), Err(why), "{shown}");
        assert_eq!(history(body), [], "{shown}");
    }
}

#[test]
fn no_prefix_of_a_list_says_anything() {
    for end in 1..GOOD.len() {
        assert_eq!(scheduled(&GOOD.as_bytes()[..end]), Err(Unreadable::NotJson), "{end}");
    }
}

#[test]
fn a_key_of_any_other_type_hides_no_other_key() {
    let whole = [
        ("NotBefore", "21 Jan 2019 09:00:43 GMT"),
        ("Code", "instance-retirement"),
        ("Description", "it is worn out"),
        ("EventId", GOOD_ID),
        ("NotAfter", "21 Jan 2019 09:17:23 GMT"),
        ("State", "active"),
    ];
    for (bad, _) in whole {
        for value in [None, Some("null"), Some("17"), Some("{}"), Some(r#"["x"]"#), Some(r#"" ""#)]
        {
            let keys = whole.iter().filter_map(|(key, text)| match value {
                _ if *key != bad => Some(format!("{key:?}: {text:?}")),
                Some(value) => Some(format!("{key:?}: {value}")),
                None => None,
            });
            let body = format!("[{{{}}}]", keys.collect::<Vec<_>>().join(", "));
            let read = read(&body, "");
            let [notice] = &read.standing[..] else { panic!("{body}: {read:?}") };
            let id = match bad {
                "Code" => format!("system-reboot/{GOOD_ID}"),
                "EventId" => "instance-retirement/instance-retirement".to_owned(),
                _ => format!("instance-retirement/{GOOD_ID}"),
            };
            assert_eq!(standing(&read), [id], "{body}");
            let stated = at("2019-01-21T09:00:43Z");
            let when = if bad == "NotBefore" { When::Unstated } else { stated };
            assert_eq!(notice.when, when, "{body}");
            assert_eq!(notice.wording.contains("worn out"), bad != "Description", "{body}");
        }
    }
}

#[test]
fn a_time_may_have_either_form() {
    for (text, when) in [
        ("2019-01-21T09:00:43Z", at("2019-01-21T09:00:43Z")),
        ("Mon, 21 Jan 2019 10:00:43 +0100", at("2019-01-21T09:00:43Z")),
        ("21 Jan 2019", When::Unstated),
        ("21.1.2019 09:00", When::Unstated),
        ("soon", When::Unstated),
    ] {
        let read = read(&GOOD.replace("21 Jan 2019 09:00:43 GMT", text), "");
        assert_eq!(read.standing[0].when, when, "{text}");
    }
}

#[test]
fn one_bad_entry_hides_no_other() {
    let body = list(&[
        "null".into(),
        "[[[]]]".into(),
        "{}".into(),
        r#"{"EventId": {"EventId": "x"}}"#.into(),
        entry("b", 2, r#", "Code": 7, "extra": {"deep": [1]}"#),
        entry("a", 1, ""),
    ]);
    assert_eq!(standing(&read(&body, "")), ["instance-stop/a", "system-reboot/b"]);
}

#[test]
fn an_unknown_code_counts_as_system_reboot_and_says_so() {
    let read = read(&GOOD.replace("system-reboot", "host-upgrade"), "");
    assert_eq!(standing(&read), [format!("system-reboot/{GOOD_ID}")]);
    let wording = &read.standing[0].wording;
    assert!(
        wording.starts_with("unknown code, taken for system-reboot: host-upgrade; from 21 Jan"),
        "{wording}"
    );
}

#[test]
fn what_calls_itself_over_does_not_stand() {
    for others in [
        r#", "State": "completed""#,
        r#", "State": "Canceled ""#,
        r#", "State": "CANCELLED""#,
        r#", "Description": "[Completed] rebooted""#,
        r#", "Description": "[Canceled] rebooted", "State": "active""#,
        r#", "Description": " [cancelled]rebooted""#,
    ] {
        let read = read(&list(&[entry("a", 1, others), entry("b", 1, "")]), "");
        assert_eq!((standing(&read), over(&read)), (vec!["instance-stop/b".into()], vec!["a"]));
    }
    for others in [
        r#", "State": "active""#,
        r#", "State": "complete""#,
        r#", "State": 1"#,
        r#", "Description": "to be [Completed] soon""#,
        r#", "Description": "[Planned] [Completed]""#,
        r#", "Description": "[Completed""#,
    ] {
        let read = read(&list(&[entry("a", 1, others)]), "");
        assert_eq!((standing(&read).len(), over(&read).len()), (1, 0), "{others}");
    }
}

#[test]
fn what_the_history_has_does_not_stand_unless_it_was_at_another_time() {
    let planned = list(&[entry("a", 1, ""), entry("a", 9, ""), entry("b", 1, "")]);
    let past = list(&[entry("a", 1, r#", "State": "completed""#), entry("c", 1, "")]);
    let read = read(&planned, &past);
    assert_eq!(standing(&read), ["instance-stop/b", "instance-stop/a"]);
    assert_eq!(read.standing[1].when, at("2019-01-09T09:00:43Z"));
    assert_eq!(over(&read), ["c"], "of a one event still stands");
}

#[test]
fn a_history_that_is_unreadable_or_says_that_it_is_not_over_hides_nothing() {
    let planned = list(&[entry("a", 1, "")]);
    let active = list(&[entry("a", 1, r#", "State": "active""#)]);
    for past in ["", "[]", "<html>", "[{\"EventId\"", "{}", "[1]", &active] {
        let read = read(&planned, past);
        assert_eq!((standing(&read).len(), over(&read).len()), (1, 0), "{past}");
    }
}

#[test]
fn what_is_over_is_told_when_nothing_is_planned_any_more() {
    let past = list(&[entry("a", 1, ""), entry("a", 2, ""), entry("b", 1, "")]);
    let read = read("[]", &past);
    assert_eq!((standing(&read), over(&read)), (Vec::new(), vec!["a", "b"]));
}

#[test]
fn events_that_share_a_name_are_told_apart_by_their_times_whatever_their_order() {
    let (first, second, other) = (entry("a", 1, ""), entry("a", 2, ""), entry("b", 1, ""));
    for entries in [[&first, &second, &other], [&second, &other, &first], [&other, &first, &second]]
    {
        let read = read(&list(&entries.map(String::clone)), "");
        assert_eq!(standing(&read), ["instance-stop/a", "instance-stop/b", "instance-stop/a/1"]);
        assert_eq!(read.standing[2].when, at("2019-01-02T09:00:43Z"));
    }
    let over = entry("a", 1, r#", "State": "completed""#);
    let one_left = read(&list(&[second.clone(), over]), "");
    assert_eq!(standing(&one_left), ["instance-stop/a"], "only what stands is counted");
}

#[test]
fn entries_that_cannot_be_told_apart_are_one_event() {
    let twice = list(&[entry("a", 1, ""), entry("a", 1, r#", "Description": "again""#)]);
    assert_eq!(standing(&read(&twice, "")), ["instance-stop/a"]);
    let other_code = entry("a", 1, "").replace("instance-stop", "instance-reboot");
    let two = list(&[entry("a", 1, ""), other_code]);
    assert_eq!(standing(&read(&two, "")), ["instance-reboot/a", "instance-stop/a/1"]);
}

#[test]
fn an_event_id_is_made_fit_for_what_it_is_written_into() {
    let long = "x".repeat(5000);
    for (id, fit) in [
        ("e@2026-11-25T10:00:00Z", "e_2026-11-25T10:00:00Z"),
        ("a/b", "a_b"),
        (r#"a\"b\\c"#, "a_b_c"),
        (r"a b\nc\u0000d", "a_b_c_d"),
        ("ä\u{202e}", "__"),
        ("/", "_"),
        (&long, &"x".repeat(LONGEST_EVENT_ID)),
    ] {
        let read = read(&list(&[entry(id, 1, "")]), "");
        assert_eq!(standing(&read), [format!("instance-stop/{fit}")]);
        let id = &read.standing[0].id;
        assert_eq!(NoticeId::parse(&id.to_string()).as_ref(), Some(id));
    }
    let same = list(&[entry("a/b", 2, ""), entry("a_b", 1, "")]);
    assert_eq!(standing(&read(&same, "")), ["instance-stop/a_b", "instance-stop/a_b/1"]);
}

#[test]
fn wordings_are_short_lines() {
    let body = GOOD.replace("scheduled reboot", &"two\\nlines ".repeat(100));
    let wording = &read(&body, "").standing[0].wording;
    assert!(wording.chars().count() <= 200 && wording.contains("; two lines two"), "{wording}");
}

#[test]
fn a_list_without_end_gives_a_bounded_answer_with_each_identity_once() {
    let entries: Vec<String> = (0..1000)
        .map(|second| {
            format!(
                r#"{{"EventId": "a", "NotBefore": "2019-01-21T09:{:02}:{:02}Z"}}"#,
                second / 60,
                second % 60
            )
        })
        .rev()
        .collect();
    let read = read(&list(&entries), "");
    let mut ids = standing(&read);
    assert_eq!((ids.len(), read.standing[0].when), (MOST, at("2019-01-21T09:00:00Z")));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), MOST);
}

#[test]
fn no_depth_of_nesting_takes_more_than_the_threads_stack() {
    let bodies = [
        "[".repeat(16_000),
        format!("[{}{}]", "[".repeat(8_000), "]".repeat(8_000)),
        format!("[{}1{}]", "{\"Code\":".repeat(1_500), "}".repeat(1_500)),
        list(&[format!(r#"{{"EventId": "a", "NotBefore": "21{} Jan"}}"#, "(".repeat(15_000))]),
    ];
    let reading = thread::Builder::new()
        .stack_size(128 * 1024)
        .spawn(move || bodies.map(|body| scheduled(body.as_bytes()).map(|entries| entries.len())));
    let read = reading.unwrap().join().unwrap();
    let no_event = Err(Unreadable::NoEvent);
    assert_eq!(read, [Err(Unreadable::NotJson), no_event.clone(), no_event, Ok(1)]);
}

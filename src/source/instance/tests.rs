use std::collections::BTreeMap;
use std::io::Write;

use super::*;
use crate::source::http::ImdsReply;
use crate::source::stand_in::{StandIn, timed_out};
use ureq_proto::http::Method;

const SERVICE: &str = "http://169.254.169.254";
const DOCUMENT: &str = r#"{"accountId": "123456789012", "availabilityZone": "eu-west-1a",
    "instanceId": "i-0123", "instanceType": "m7g.large", "privateIp": "10.0.1.17",
    "region": "eu-west-1", "kernelId": null, "marketplaceProductCodes": ["x"]}"#;

/// What answers, by path below `/latest/`, and what was asked.
struct World {
    bodies: BTreeMap<&'static str, &'static str>,
    /// These get no answer; with the host before them elsewhere than at the service.
    silent: Vec<&'static str>,
    asked: Vec<String>,
}

impl World {
    fn new(bodies: &[(&'static str, &'static str)]) -> Self {
        let bodies = bodies.iter().copied().collect();
        Self { bodies, silent: Vec::new(), asked: Vec::new() }
    }

    fn silent_at(self, paths: &[&'static str]) -> Self {
        Self { silent: paths.to_vec(), ..self }
    }

    fn read(&mut self, source: &InstanceSource) -> Instance {
        source.read_at(Moment::START, &mut |request| {
            let url = request.url.whole();
            let path = url.strip_prefix(&format!("{SERVICE}/latest/")).unwrap_or(&url);
            if request.method == Method::PUT {
                return Ok(reply(200, "token"));
            }
            self.asked.push(path.to_owned());
            if self.silent.contains(&path) {
                return Err(timed_out());
            }
            Ok(self.bodies.get(path).map_or_else(|| reply(404, ""), |body| reply(200, body)))
        })
    }
}

fn reply(status: u16, body: &str) -> ImdsReply {
    ImdsReply { status, headers: Vec::new(), body: Ok(body.into()) }
}

fn source() -> InstanceSource {
    InstanceSource {
        metadata_url: MetadataUrl::parse(SERVICE).unwrap(),
        v1_fallback: true,
        zone_url: None,
        id_url: None,
        type_url: None,
    }
}

fn url(text: &str) -> NoticeUrl {
    NoticeUrl::parse(text).unwrap()
}

fn whole() -> Instance {
    Instance {
        account_id: Some("123456789012".into()),
        availability_zone: Some("eu-west-1a".into()),
        region: Some("eu-west-1".into()),
        instance_id: Some("i-0123".into()),
        instance_type: Some("m7g.large".into()),
        life_cycle: Some("spot".into()),
        local_hostname: Some("ip-10-0-1-17.ec2.internal".into()),
        local_ip: Some("10.0.1.17".into()),
        public_hostname: Some("ec2-1-2-3-4.compute.amazonaws.com".into()),
        public_ip: Some("1.2.3.4".into()),
    }
}

const FOUR: [(&str, &str); 4] = [
    ("meta-data/instance-life-cycle", "spot\n"),
    ("meta-data/local-hostname", "ip-10-0-1-17.ec2.internal"),
    ("meta-data/public-hostname", "ec2-1-2-3-4.compute.amazonaws.com"),
    ("meta-data/public-ipv4", "1.2.3.4"),
];
const DOCUMENT_PATH: &str = "dynamic/instance-identity/document";

fn with_document(document: &'static str) -> World {
    let mut world = World::new(&FOUR);
    world.bodies.insert(DOCUMENT_PATH, document);
    world
}

#[test]
fn the_document_and_four_paths_say_everything() {
    let mut world = with_document(DOCUMENT);
    assert_eq!(world.read(&source()), whole());
    let paths = FOUR.iter().map(|(path, _)| *path);
    assert_eq!(world.asked, [DOCUMENT_PATH].into_iter().chain(paths).collect::<Vec<_>>());
}

#[test]
fn what_the_document_does_not_say_is_asked_for_alone() {
    let single = [
        ("meta-data/placement/availability-zone", "eu-west-1a"),
        ("meta-data/placement/region", "eu-west-1"),
        ("meta-data/instance-id", "i-0123"),
        ("meta-data/instance-type", "m7g.large"),
        ("meta-data/local-ipv4", "10.0.1.17"),
    ];
    for document in [
        None,
        Some("no JSON"),
        Some("[]"),
        Some(r#"{"accountId": 5, "region": {"a": []}, "instanceId": ""}"#),
    ] {
        let mut world = World::new(&[&FOUR[..], &single[..]].concat());
        world.bodies.extend(document.map(|document| (DOCUMENT_PATH, document)));
        let expected = Instance { account_id: None, ..whole() };
        assert_eq!(world.read(&source()), expected, "{document:?}");
        assert_eq!(world.asked.len(), 10, "{:?}", world.asked);
    }
}

#[test]
fn a_service_with_nothing_leaves_everything_unknown() {
    let mut world = World::new(&[]);
    assert_eq!(world.read(&source()), Instance::default());
    assert_eq!(world.asked.len(), 10);
}

#[test]
fn the_operators_addresses_come_first_and_stand_back_where_they_say_nothing() {
    let elsewhere = InstanceSource {
        zone_url: Some(url("http://facts.example/az")),
        id_url: Some(url("http://facts.example/id")),
        type_url: Some(url("http://169.254.169.254/latest/meta-data/instance-type")),
        ..source()
    };
    let mut world = with_document(DOCUMENT);
    world.bodies.insert("http://facts.example/az", "zone-of-mine");
    world.bodies.insert("meta-data/instance-type", "mock.small");
    let expected = Instance {
        availability_zone: Some("zone-of-mine".into()),
        instance_type: Some("mock.small".into()),
        ..whole()
    };
    assert_eq!(world.read(&elsewhere), expected, "the id has 404 there");

    let mut world =
        with_document(DOCUMENT).silent_at(&["http://facts.example/az", "http://facts.example/id"]);
    assert_eq!(world.read(&elsewhere), whole(), "another server does not count as this one");
}

#[test]
fn one_path_without_an_answer_stops_no_other() {
    for (silent, _) in FOUR {
        let mut world = with_document(DOCUMENT).silent_at(&[silent]);
        let read = world.read(&source());
        let unknown = [&read.life_cycle, &read.local_hostname, &read.public_hostname]
            .into_iter()
            .chain([&read.public_ip]);
        assert_eq!(unknown.filter(|value| value.is_none()).count(), 1, "{silent}");
        assert_eq!((world.asked.len(), read.account_id), (5, whole().account_id));
    }
}

#[test]
fn a_service_that_does_not_answer_twice_is_asked_no_more() {
    let mut world = with_document(DOCUMENT).silent_at(&["meta-data/local-hostname", DOCUMENT_PATH]);
    let read = world.read(&source());
    let expected = Instance { life_cycle: Some("spot".into()), ..Instance::default() };
    assert_eq!(read, expected);
    assert_eq!(world.asked.last().map(String::as_str), Some("meta-data/local-hostname"));

    let mut tokens = 0;
    let read = source().read_at(Moment::START, &mut |request| {
        assert_eq!(request.method, Method::PUT);
        tokens += 1;
        Err(timed_out())
    });
    assert_eq!((read, tokens), (Instance::default(), 2));
}

#[test]
fn a_value_is_printable_not_empty_and_not_too_long() {
    for (came, kept) in [
        (" i-0123\r\n", Some("i-0123")),
        ("", None),
        ("\n", None),
        ("a\nb", None),
        ("a\u{1b}[31mb", None),
        ("a\u{202e}b", None),
        ("<html>", None),
        ("grün", Some("grün")),
    ] {
        assert_eq!(fit(came).as_deref(), kept, "{came:?}");
    }
    let long = "ü".repeat(200);
    assert_eq!(fit(&format!("x{long}")), Some(format!("x{}", "ü".repeat(127))));
}

#[test]
fn it_is_read_over_http_with_one_token() {
    let server = StandIn::start(|head, stream| {
        let body = match head.split(' ').collect::<Vec<_>>()[..] {
            ["PUT", ..] => "token",
            [_, "/latest/dynamic/instance-identity/document", ..] => DOCUMENT,
            [_, "/latest/meta-data/instance-life-cycle", ..] => "spot",
            _ => return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        };
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    });
    let metadata_url = MetadataUrl::parse(&server.url("")).unwrap();
    let read = InstanceSource { metadata_url, ..source() }.read(Clock::start());
    let expected =
        Instance { local_hostname: None, public_hostname: None, public_ip: None, ..whole() };
    assert_eq!(read, expected);
    let heads = server.heads();
    assert_eq!(heads.iter().filter(|head| head.starts_with("PUT")).count(), 1);
    let shown = heads.iter().filter(|head| head.contains("X-aws-ec2-metadata-token: token"));
    assert_eq!((shown.count(), heads.len()), (5, 6));
}

use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::clock::Clock;
use crate::http::address::Address;
use crate::http::error::{Cause, Error, Party, Role};
use crate::http::stand_in::{Folder, Identity, LONG, Peer, SHORT, deaf_address, listen};
use crate::report::webhook::outcome::{PostReply, RetryAfter};
use crate::report::webhook::post::{PostTarget, post};
use crate::webhook::destination::{Content, ValueOrFile, WebhookRoots};
use crate::webhook::headers::Headers;
use crate::webhook::proxy::{NoProxy, Proxies, ProxyUrl};
use crate::webhook::url::WebhookUrl;

/// Stands wherever a secret may stand, and must never be seen again.
const SECRET: &str = "geheim";

const MESSAGE: &str = r#"{"text":"geheim ü"}"#;

const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

const DELIVERED: Result<PostReply, Error> = Ok(PostReply { status: 204, retry_after: None });

fn target(scheme: &str, host: &str, port: u16) -> PostTarget {
    let headers = r#"{"Content-Type":"application/json","Authorization":"Bearer geheim"}"#;
    let headers = Headers::parse(headers).unwrap();
    let url = format!("{scheme}://{host}:{port}/services/geheim?key=geheim");
    PostTarget {
        url: WebhookUrl::parse(&url).unwrap(),
        proxy: None,
        roots: WebhookRoots::Public,
        headers,
    }
}

fn plain(port: u16) -> PostTarget {
    target("http", "127.0.0.1", port)
}

/// A server over TLS, and a folder with the CA that vouches for it.
fn secure(port: u16) -> (PostTarget, Folder) {
    let folder = Folder::new();
    let file = folder.put("ca.crt", Identity::shared().authority.as_bytes());
    (PostTarget { roots: WebhookRoots::File(file), ..target("https", "127.0.0.1", port) }, folder)
}

fn by_proxy(target: PostTarget, port: u16) -> PostTarget {
    let proxy = format!("http://user:geheim@127.0.0.1:{port}");
    PostTarget { proxy: Some(ProxyUrl::parse(&proxy).unwrap()), ..target }
}

/// What posting comes to; whatever it is, no secret is in its words.
fn posted(target: &PostTarget, patience: Duration) -> Result<PostReply, Error> {
    let result = post(target, MESSAGE, patience, Clock::start());
    let words = match &result {
        Ok(reply) => format!("{reply:?} {target:?}"),
        Err(error) => format!("{error} {error:?} {target:?}"),
    };
    assert!(!words.contains(SECRET) && !words.contains("Basic"), "{words}");
    result
}

fn words(result: Result<PostReply, Error>) -> String {
    result.unwrap_err().to_string()
}

/// Answers the first request of each connection, tells of it, and ends the connection.
fn answering(identity: Option<&Identity>, answer: &'static [u8]) -> (u16, Receiver<String>) {
    let (tell, told) = mpsc::channel();
    let port = listen(identity, move |_, mut peer| {
        let Some(request) = peer.hears() else { return };
        let _ = tell.send(request);
        peer.says(answer);
        peer.leaves();
    });
    (port, told)
}

fn answer_to(answer: &'static [u8]) -> Result<PostReply, Error> {
    posted(&plain(answering(None, answer).0), LONG)
}

/// The request line, the other lines of the head in order, the body.
fn taken_apart(request: &str) -> (String, Vec<String>, String) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.lines().map(str::to_owned).collect();
    let first = lines.remove(0);
    lines.sort_unstable();
    (first, lines, body.to_owned())
}

fn headers_for(host: &str) -> Vec<String> {
    [
        "authorization: Bearer geheim".to_owned(),
        "connection: close".to_owned(),
        format!("content-length: {}", MESSAGE.len()),
        "content-type: application/json".to_owned(),
        format!("host: {host}"),
        format!("user-agent: k8s-spot-handler/{}", env!("CARGO_PKG_VERSION")),
    ]
    .to_vec()
}

fn party(role: Role, port: u16) -> Party {
    Party { role, address: Address::parse("127.0.0.1", port).unwrap() }
}

fn server(port: u16) -> Party {
    party(Role::Webhook, port)
}

fn proxy(port: u16) -> Party {
    party(Role::Proxy, port)
}

#[test]
fn a_message_is_posted_with_the_operators_headers_and_ours() {
    let (port, requests) = answering(None, NO_CONTENT);
    assert_eq!(posted(&plain(port), LONG), DELIVERED);
    let (line, headers, body) = taken_apart(&requests.recv().unwrap());
    assert_eq!(line, "POST /services/geheim?key=geheim HTTP/1.1");
    assert_eq!(headers, headers_for(&format!("127.0.0.1:{port}")));
    assert_eq!(body, MESSAGE);
}

#[test]
fn over_tls_the_ca_of_a_file_is_believed() {
    let (port, requests) = answering(Some(Identity::shared()), NO_CONTENT);
    let (mut target, _folder) = secure(port);
    assert_eq!(posted(&target, LONG), DELIVERED);
    target.url = WebhookUrl::parse(&format!("https://localhost:{port}/geheim")).unwrap();
    assert_eq!(posted(&target, LONG), DELIVERED);
    let hosts = requests.iter().take(2).map(|request| taken_apart(&request).1.remove(4));
    let expected = [format!("host: 127.0.0.1:{port}"), format!("host: localhost:{port}")];
    assert_eq!(hosts.collect::<Vec<_>>(), expected);
}

#[test]
fn over_tls_nobody_else_is_believed() {
    let (port, requests) = answering(Some(Identity::shared()), NO_CONTENT);
    let (mut target, folder) = secure(port);

    let theirs = Identity::for_names(&["127.0.0.1"]).authority;
    let file = folder.put("theirs.crt", theirs.as_bytes());
    target.roots = WebhookRoots::File(file.clone());
    let result = posted(&target, LONG);
    let by = format!("a CA in {}", file.display());
    assert_eq!(result, Err(Cause::Untrusted(by).with(&server(port))));
    assert_eq!(
        words(result),
        format!(
            "the certificate of the webhook's server 127.0.0.1:{port} is not signed by a CA in {}",
            file.display()
        )
    );

    target.roots = WebhookRoots::Public;
    let result = posted(&target, LONG);
    assert_eq!(
        words(result),
        format!(
            "the certificate of the webhook's server 127.0.0.1:{port} is not signed by a public CA; \
             one's own CA must be given as a file"
        )
    );
    assert!(requests.try_recv().is_err(), "it was told the message");
}

#[test]
fn a_ca_file_that_cannot_be_used_is_named() {
    let (mut target, folder) = secure(deaf_address().port());
    let mut with = |file: PathBuf| {
        target.roots = WebhookRoots::File(file);
        words(posted(&target, LONG))
    };
    let missing = folder.file("missing.crt");
    assert_eq!(
        with(missing.clone()),
        format!(
            "no CA for the webhook's server from {}: No such file or directory (os error 2)",
            missing.display()
        )
    );
    assert!(with(folder.put("page.crt", b"<html>")).contains("it is not PEM: "));
    let key = b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    assert!(with(folder.put("key.crt", key)).ends_with("it has no usable CA certificate"));
}

#[test]
fn the_certificate_must_be_for_the_host_of_the_url() {
    let other = Identity::for_names(&["hooks.example"]);
    let (port, _requests) = answering(Some(&other), NO_CONTENT);
    let (mut target, folder) = secure(port);
    target.roots = WebhookRoots::File(folder.put("other.crt", other.authority.as_bytes()));
    assert_eq!(
        words(posted(&target, LONG)),
        format!(
            "the certificate of the webhook's server 127.0.0.1:{port} is not for this host, only for \
             hooks.example"
        )
    );
}

#[test]
fn one_who_speaks_no_tls_is_named_so() {
    let port = listen(None, |_, mut peer| {
        peer.says(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        peer.waits_for_the_end();
    });
    let (target, _folder) = secure(port);
    assert_eq!(
        words(posted(&target, LONG)),
        format!(
            "no TLS connection to the webhook's server 127.0.0.1:{port}: what answers there does \
             not speak TLS"
        )
    );
}

/// A proxy that does what `answer` says with its first request, and tells of it.
fn connecting(
    answer: impl Fn(&mut Peer) -> bool + Send + Sync + 'static,
    to: u16,
) -> (u16, Receiver<String>) {
    let (tell, told) = mpsc::channel();
    let port = listen(None, move |_, mut peer| {
        let Some(request) = peer.hears() else { return };
        let _ = tell.send(request);
        if answer(&mut peer) {
            peer.tunnels_to(to);
        }
    });
    (port, told)
}

#[test]
fn through_a_proxy_tls_reaches_from_end_to_end() {
    let identity = Identity::for_names(&["hooks.example"]);
    let (port, requests) = answering(Some(&identity), NO_CONTENT);
    // What it says of a body does not count.
    let established = b"HTTP/1.0 200 Connection established\r\nContent-Length: 5\r\n\r\n";
    let (between, connects) = connecting(|peer| peer.says(established), port);
    let folder = Folder::new();
    let file = folder.put("ca.crt", identity.authority.as_bytes());
    // Nobody but the proxy has to know where that name leads.
    let mut target = by_proxy(target("https", "hooks.example", 443), between);
    target.roots = WebhookRoots::File(file);
    assert_eq!(posted(&target, LONG), DELIVERED);

    let (line, headers, body) = taken_apart(&connects.recv().unwrap());
    assert_eq!(line, "CONNECT hooks.example:443 HTTP/1.1");
    assert_eq!(
        headers,
        [
            "host: hooks.example:443".to_owned(),
            "proxy-authorization: Basic dXNlcjpnZWhlaW0=".to_owned(),
            format!("user-agent: k8s-spot-handler/{}", env!("CARGO_PKG_VERSION")),
        ]
    );
    assert_eq!(body, "");

    let (line, headers, body) = taken_apart(&requests.recv().unwrap());
    assert_eq!(line, "POST /services/geheim?key=geheim HTTP/1.1");
    assert_eq!(headers, headers_for("hooks.example"));
    assert_eq!(body, MESSAGE);
}

#[test]
fn a_proxy_cannot_pass_itself_off_as_the_server() {
    let theirs = Identity::for_names(&["127.0.0.1"]);
    let (impostor, requests) = answering(Some(&theirs), NO_CONTENT);
    let (between, _connects) = connecting(|peer| peer.says(b"HTTP/1.1 200 OK\r\n\r\n"), impostor);
    let (target, _folder) = secure(443);
    let error = posted(&by_proxy(target, between), LONG).unwrap_err();
    assert_eq!(error.party, server(443));
    assert!(matches!(error.cause, Cause::Untrusted(_)), "{error:?}");
    assert!(requests.try_recv().is_err(), "it was told the message");
}

#[test]
fn without_tls_the_proxy_is_asked_for_the_whole_address() {
    let (between, requests) = answering(None, NO_CONTENT);
    let target = by_proxy(target("http", "hooks.example", 80), between);
    assert_eq!(posted(&target, LONG), DELIVERED);
    let (line, headers, body) = taken_apart(&requests.recv().unwrap());
    assert_eq!(line, "POST http://hooks.example:80/services/geheim?key=geheim HTTP/1.1");
    let mut expected = headers_for("hooks.example");
    expected.insert(5, "proxy-authorization: Basic dXNlcjpnZWhlaW0=".to_owned());
    assert_eq!(headers, expected);
    assert_eq!(body, MESSAGE);
}

/// A webhook whose address stands in a file, and the proxies of the environment: the real way from there
/// to the proxy.
#[test]
fn the_environments_proxy_is_taken_for_whom_it_is() {
    let (between, requests) = answering(None, NO_CONTENT);
    let folder = Folder::new();
    let file = folder.put("url", b"http://hooks.example/services/geheim\n");
    let proxy = ProxyUrl::parse(&format!("http://user:geheim@127.0.0.1:{between}"));
    let posted_with = |no_proxy: &str| {
        let proxy = Some(proxy.clone().map_err(str::to_owned));
        let proxies = Proxies::by_scheme(None, proxy, NoProxy::parse(no_proxy));
        let url = ValueOrFile::<WebhookUrl>::File(file.clone()).read().unwrap();
        let proxy = proxies.of(&url).unwrap().cloned();
        posted(&PostTarget { url, proxy, ..plain(between) }, LONG)
    };
    assert_eq!(posted_with("other.example"), DELIVERED);
    let (line, ..) = taken_apart(&requests.recv().unwrap());
    assert_eq!(line, "POST http://hooks.example/services/geheim HTTP/1.1");
    // There is no such host.
    assert!(words(posted_with(".example")).contains("hooks.example"));
    assert!(requests.try_recv().is_err(), "the proxy was asked");
}

/// What is wrong with a secret's file is said without the secret.
#[test]
fn no_content_of_a_file_is_shown() {
    let folder = Folder::new();
    let bad = [
        "geheim",
        "https://user:geheim@hooks.example/",
        "hooks.example/geheim",
        "https:///geheim",
        r#"{"X-Key":["geheim"]}"#,
        r#"{"Bearer geheim":"X"}"#,
        r#"{"X-Key":"geheim""#,
        "{\"a\":\"geheim {{ .Nothing }}\"}",
        r#"{{ "geheim" }}"#,
        "geheim {{",
        "{\"a\":geheim}",
    ];
    for text in bad {
        let file = folder.put("secret", text.as_bytes());
        let url = ValueOrFile::<WebhookUrl>::File(file.clone());
        let headers = ValueOrFile::<Headers>::File(file.clone());
        let template = Content::TemplateFile(file).read(&Headers::default());
        let said = format!("{url} {:?} {:?} {template:?}", url.read(), headers.read());
        assert!(!said.contains(SECRET), "{said}");
    }
    let template = Content::Template("geheim".to_owned());
    assert!(!format!("{template:?}").contains(SECRET));
}

#[test]
fn white_space_around_what_a_file_holds_does_not_count() {
    let folder = Folder::new();
    let in_file = |text: &str| folder.put("secret", text.as_bytes());
    let url = "https://hooks.example/a";
    let read = ValueOrFile::<WebhookUrl>::File(in_file(&format!("{url}\n"))).read();
    assert_eq!(read, ValueOrFile::Value(WebhookUrl::parse(url).unwrap()).read());
    let headers = r#"{"Content-Type":"text/plain"}"#;
    let read = ValueOrFile::<Headers>::File(in_file(&format!(" {headers}\r\n"))).read().unwrap();
    assert_eq!(read, Headers::parse(headers).unwrap());
    let template = |text: &str| Content::TemplateFile(in_file(text)).read(&read).unwrap();
    assert!(template("node {{ .NodeName }}\n") == template("node {{ .NodeName }}"));
}

#[test]
fn a_proxy_that_refuses_is_named_with_its_status() {
    let refusal = |answer: &'static [u8]| {
        let (between, _requests) = answering(None, answer);
        let target = by_proxy(target("https", "hooks.example", 443), between);
        (words(posted(&target, LONG)), between)
    };
    let (why, port) = refusal(
        b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\
          Content-Length: 6\r\n\r\ngeheim",
    );
    assert_eq!(
        why,
        format!(
            "the webhook's proxy 127.0.0.1:{port} wants a user and a password, or others, before \
             it connects to hooks.example:443 (status 407)"
        )
    );
    let (why, port) = refusal(b"HTTP/1.1 503 geheim\r\n\r\n");
    assert_eq!(
        why,
        format!(
            "the webhook's proxy 127.0.0.1:{port} does not connect to hooks.example:443: status \
             503"
        )
    );
}

#[test]
fn what_a_proxy_does_not_answer_is_its_own_fault() {
    let through = |answer: fn(Peer), patience| {
        let between = listen(None, move |_, mut peer| {
            peer.hears();
            answer(peer);
        });
        let target = by_proxy(target("https", "hooks.example", 443), between);
        (posted(&target, patience).unwrap_err(), proxy(between))
    };
    let (error, proxy) = through(Peer::waits_for_the_end, SHORT);
    assert_eq!(error, Cause::TimedOut(SHORT).with(&proxy));
    let (error, proxy) = through(Peer::leaves, LONG);
    let why = "it closed the connection".to_owned();
    assert_eq!(error, Cause::Unanswered(why).with(&proxy));
    // The server speaks second in TLS.
    let speaks_first: fn(Peer) = |mut peer| {
        peer.says(b"HTTP/1.1 200 OK\r\n\r\ngeheim");
        peer.waits_for_the_end();
    };
    let (error, proxy) = through(speaks_first, LONG);
    let why = "more than a head answers CONNECT".to_owned();
    assert_eq!(error, Cause::NotHttp { status: None, why }.with(&proxy));
}

#[test]
fn who_cannot_be_reached_is_named() {
    let deaf = deaf_address().port();
    let refused = "cannot be reached: Connection refused (os error 111)";
    let direct = words(posted(&plain(deaf), LONG));
    assert_eq!(direct, format!("the webhook's server 127.0.0.1:{deaf} {refused}"));
    let through = words(posted(&by_proxy(target("https", "hooks.example", 443), deaf), LONG));
    assert_eq!(through, format!("the webhook's proxy 127.0.0.1:{deaf} {refused}"));
    let late = posted(&plain(deaf), Duration::ZERO);
    let no_time = Cause::Unreachable("no time was left to connect".to_owned());
    assert_eq!(late, Err(no_time.with(&server(deaf))));
}

#[test]
fn a_server_that_hangs_is_left_in_time() {
    let port = listen(None, |_, peer| peer.waits_for_the_end());
    let result = posted(&plain(port), SHORT);
    assert_eq!(result, Err(Cause::TimedOut(SHORT).with(&server(port))));
    assert_eq!(
        words(result),
        format!("no complete answer of the webhook's server 127.0.0.1:{port} within 50.0ms")
    );
    let (target, _folder) = secure(port);
    let why = words(posted(&target, SHORT));
    let before =
        format!("no TLS connection to the webhook's server 127.0.0.1:{port}: no answer within ");
    // What connecting took is not among it.
    let waited = why.strip_prefix(&before).and_then(|rest| rest.strip_suffix("ms")).unwrap();
    assert!(waited.parse::<f64>().unwrap() <= 50.0, "{why}");
}

#[test]
fn an_answer_that_is_none_is_not_delivered() {
    for (answer, expected) in [
        (&b""[..], "did not answer: it closed the connection"),
        (b"HTTP/1.1 200 OK\r\nServer: geheim", "was cut short after 31 bytes of its head"),
        (b"220 geheim ESMTP\r\n\r\n", "is not HTTP: "),
    ] {
        let why = words(answer_to(answer));
        assert!(why.contains(expected), "{why}");
    }
    let port = listen(None, |_, mut peer| {
        peer.hears();
        peer.says(b"HTTP/1.1 200 OK\r\n");
        while peer.says(b"X-Pad: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa") {}
    });
    let why = words(posted(&plain(port), LONG));
    assert_eq!(
        why,
        format!(
            "the head of the answer of the webhook's server 127.0.0.1:{port} is longer than 16384 \
             bytes"
        )
    );
}

#[test]
fn a_server_that_is_busy_says_for_how_long() {
    let busy = |answer| answer_to(answer).unwrap();
    let reply = busy(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n\r\ngeheim");
    let wait = Some(RetryAfter::In(Duration::from_secs(7)));
    assert_eq!(reply, PostReply { status: 429, retry_after: wait });
    let reply = busy(b"HTTP/1.1 503 Busy\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n");
    assert!(matches!(reply.retry_after, Some(RetryAfter::At(_))), "{reply:?}");
    assert_eq!(busy(b"HTTP/1.1 503 Busy\r\nRetry-After: soon\r\n\r\n").retry_after, None);
}

#[test]
fn a_redirect_is_an_answer_and_not_followed() {
    let (port, requests) =
        answering(None, b"HTTP/1.1 307 Moved\r\nLocation: /geheim\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(posted(&plain(port), LONG), Ok(PostReply { status: 307, retry_after: None }));
    assert_eq!(requests.try_iter().count(), 1);
}

#[test]
fn what_follows_the_head_of_an_answer_does_not_matter() {
    let delivered = Ok(PostReply { status: 200, retry_after: None });
    assert_eq!(answer_to(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), delivered);
    assert_eq!(answer_to(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), delivered);
    assert_eq!(
        answer_to(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
        delivered
    );
    let stalls = listen(None, |_, mut peer| {
        peer.hears();
        peer.says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok");
        peer.waits_for_the_end();
    });
    assert_eq!(posted(&plain(stalls), LONG), delivered);
    let (ended, end) = mpsc::channel();
    let never_ends = listen(None, move |_, mut peer| {
        peer.hears();
        peer.says(b"HTTP/1.1 200 OK\r\n\r\n");
        while peer.says(&[b'a'; 4096]) {}
        ended.send(()).unwrap();
    });
    assert_eq!(posted(&plain(never_ends), LONG), delivered);
    end.recv().unwrap();
}

#[test]
fn a_server_is_not_cut_off_in_its_answer() {
    let (tell, end) = mpsc::channel();
    let port = listen(None, move |_, mut peer| {
        peer.hears();
        peer.says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 40000\r\n\r\n");
        peer.says(&vec![b'a'; 40_000]);
        let Peer::Plain(mut socket) = peer else { return };
        let _ = tell.send(socket.read(&mut [0]).map_err(|e| e.kind()));
    });
    assert_eq!(posted(&plain(port), LONG), Ok(PostReply { status: 400, retry_after: None }));
    assert_eq!(end.recv().unwrap(), Ok(0));
}

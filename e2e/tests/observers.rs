//! The observers alone, without the program that they are for.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::observers::{Answer, Format, Prometheus, Proxy, Receiver, Sample, Scrape, check_metrics};
use e2e::scene::SOON;
use e2e::tls;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;

#[tokio::test]
async fn a_receiver_keeps_what_it_is_sent_and_answers_as_it_is_told() -> Result<()> {
    let receiver = Receiver::plain().await?;
    receiver.answer_next([
        Answer::status(503)?,
        Answer::status(429)?.with("Retry-After", "1").saying("slowly"),
    ]);
    let mut client = connect(receiver.port()).await?;

    // One connection, as a client that keeps it alive has.
    let first =
        ask(&mut client, "POST /hook/a HTTP/1.1\r\nX-Key: k\r\nContent-Length: 5\r\n\r\nfirst");
    ensure!(first.await?.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    let second = ask(&mut client, "POST /hook/b HTTP/1.1\r\nContent-Length: 0\r\n\r\n").await?;
    ensure!(second.starts_with("HTTP/1.1 429 ") && second.contains("Retry-After: 1\r\n"));
    ensure!(second.ends_with("\r\n\r\nslowly"), "{second}");
    let third = ask(&mut client, "GET /hook/c HTTP/1.1\r\n\r\n").await?;
    ensure!(third.starts_with("HTTP/1.1 200 OK\r\n"), "{third}");

    let all = receiver.received(3, SOON).await?;
    let targets: Vec<&str> = all.iter().map(|one| one.request.target.as_str()).collect();
    assert_eq!(targets, ["/hook/a", "/hook/b", "/hook/c"]);
    let first = &all.first().context("none")?.request;
    assert_eq!((first.method.as_str(), first.body.as_str()), ("POST", "first"));
    assert_eq!(first.header("x-key"), Some("k"));
    Ok(())
}

#[tokio::test]
async fn a_receiver_hangs_or_closes_and_has_the_request_all_the_same() -> Result<()> {
    let receiver = Receiver::plain().await?;
    receiver.answer_next([Answer::Close]);
    receiver.answer_otherwise(Answer::Hang);
    let mut cut = connect(receiver.port()).await?;
    ensure!(ask(&mut cut, "GET /cut HTTP/1.1\r\n\r\n").await?.is_empty());
    let mut hung = connect(receiver.port()).await?;
    hung.write_all(b"GET /hung HTTP/1.1\r\n\r\n").await?;
    receiver.received(2, SOON).await?;
    // It ends with its receiver, and not before.
    let mut nothing = [0; 1];
    ensure!(hung.try_read(&mut nothing).is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
    drop(receiver);
    assert_eq!(hung.read(&mut nothing).await.unwrap_or(0), 0);
    Ok(())
}

#[tokio::test]
async fn a_secure_receiver_is_known_to_who_trusts_its_authority_alone() -> Result<()> {
    let receiver = Receiver::secure(&folder("secure")?).await?;
    let other = Receiver::secure(&folder("secure-other")?).await?;
    ensure!(receiver.url("/x").starts_with("https://"));
    let name = || ServerName::try_from("127.0.0.1");

    let trusting = tls::connector(receiver.authority().context("no authority")?, &[])?;
    let mut client = trusting.connect(name()?, connect(receiver.port()).await?).await?;
    let answer = ask(&mut client, "GET /x HTTP/1.1\r\n\r\n").await?;
    ensure!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");

    let wrong = tls::connector(other.authority().context("no authority")?, &[])?;
    ensure!(wrong.connect(name()?, connect(receiver.port()).await?).await.is_err());
    assert_eq!(receiver.all().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_proxy_passes_on_opens_tunnels_to_one_port_and_tells_of_it() -> Result<()> {
    let folder = folder("proxy")?;
    let receiver = Receiver::plain().await?;
    let secure = Receiver::secure(&folder).await?;
    let mut proxy = Proxy::start(&folder, secure.port(), None).await?;

    let url = receiver.url("/plain");
    let mut client = connect(proxy.port()).await?;
    let passed = format!("GET {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answer = ask(&mut client, &passed).await?;
    ensure!(answer.contains(" 200 OK\r\n"), "{answer}");
    assert_eq!(receiver.received(1, SOON).await?.len(), 1);

    let tunnel = open_tunnel(&proxy, secure.port(), "").await?;
    let trusting = tls::connector(secure.authority().context("no authority")?, &[])?;
    let mut client = trusting.connect(ServerName::try_from("127.0.0.1")?, tunnel).await?;
    let answer = ask(&mut client, "GET /through HTTP/1.1\r\n\r\n").await?;
    ensure!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    proxy.says(&["CONNECT", &format!("127.0.0.1:{}", secure.port())], SOON).await?;

    let elsewhere = open_tunnel(&proxy, receiver.port(), "").await;
    ensure!(elsewhere.is_err_and(|refused| refused.to_string().contains("403")));
    Ok(())
}

#[tokio::test]
async fn a_proxy_with_credentials_asks_for_them() -> Result<()> {
    let receiver = Receiver::plain().await?;
    let folder = folder("proxy-credentials")?;
    let proxy = Proxy::start(&folder, receiver.port(), Some(("e2e", "opensesame"))).await?;
    ensure!(proxy.url().starts_with("http://e2e:opensesame@127.0.0.1:"), "{}", proxy.url());
    let without = open_tunnel(&proxy, receiver.port(), "").await;
    let refused = without.err().context("a tunnel without credentials")?;
    ensure!(refused.to_string().contains("407"), "{refused:#}");
    // Base64 of the two.
    let with = "Proxy-Authorization: Basic ZTJlOm9wZW5zZXNhbWU=\r\n";
    let mut tunnel = open_tunnel(&proxy, receiver.port(), with).await?;
    let answer = ask(&mut tunnel, "GET / HTTP/1.1\r\n\r\n").await?;
    ensure!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn prometheus_reads_both_formats_and_is_asked_for_what_it_knows() -> Result<()> {
    let open_metrics = "# TYPE pods counter\npods_total{outcome=\"evicted\"} 3\n# EOF\n";
    let plain = "# TYPE pods_total counter\npods_total{outcome=\"evicted\"} 3\n";
    let formats = [
        (Format::OpenMetrics, "application/openmetrics-text; version=1.0.0", open_metrics),
        (Format::PlainText, "text/plain; version=0.0.4", plain),
    ];
    let folder = folder("prometheus")?;
    for (format, content_type, page) in formats {
        let target = target(content_type, page).await?;
        let address = format!("127.0.0.1:{}", target.port());
        let scrape = Scrape { target: &address, node: "some", format, rules: &[] };
        let prometheus = Prometheus::start(&folder, scrape).await?;
        prometheus.scrapes(SOON).await?;

        let expression = "pods_total{outcome=~\"ev.*\"} + 1";
        let there = |samples: &[Sample]| !samples.is_empty();
        let samples = prometheus.until(expression, there, SOON).await?;
        let [sample] = samples.as_slice() else { anyhow::bail!("{samples:?}") };
        assert_eq!(sample.value.to_string(), "4");
        assert_eq!(
            ["instance", "node", "outcome", "nothing"].map(|name| sample.label(name)),
            [&address, "some", "evicted", ""]
        );
        ensure!(prometheus.query("up ==").await.is_err());
        assert_eq!(prometheus.query("scalar(up)").await?.len(), 1);

        let asked = target.all();
        let accepted = asked.first().and_then(|one| one.request.header("accept"));
        let open = accepted.context("no Accept")?.contains("application/openmetrics-text");
        assert_eq!(open, format == Format::OpenMetrics, "{accepted:?}");
    }
    Ok(())
}

#[tokio::test]
async fn prometheus_says_what_is_wrong_with_a_page() -> Result<()> {
    // The page of one format under the name of another: it does not end with `# EOF`.
    let target = target("application/openmetrics-text; version=1.0.0", "pods_total 3\n").await?;
    let address = format!("127.0.0.1:{}", target.port());
    let format = Format::OpenMetrics;
    let scrape = Scrape { target: &address, node: "some", format, rules: &[] };
    let prometheus = Prometheus::start(&folder("prometheus-wrong")?, scrape).await?;
    let down = |samples: &[Sample]| samples.iter().any(|up| up.value == 0.0);
    prometheus.until("up", down, SOON).await?;
    let targets = prometheus.targets().await?;
    let [found] = targets.as_slice() else { anyhow::bail!("{targets:?}") };
    ensure!(found.health == "down" && found.last_error.contains("EOF"), "{found:?}");
    ensure!(prometheus.scrapes(Duration::ZERO).await.is_err());
    Ok(())
}

#[tokio::test]
async fn the_rules_that_ship_run_and_say_what_is_to_be_done() -> Result<()> {
    // A drain whose instance goes in a moment, with pods left.
    let deadline = Timestamp::now().as_second() + 10;
    let page = format!(
        "k8s_spot_handler_drain_pods_left 3\n\
         k8s_spot_handler_drain_deadline_timestamp_seconds {deadline}\n"
    );
    let target = target("text/plain; version=0.0.4", &page).await?;
    let address = format!("127.0.0.1:{}", target.port());
    let rules = [shipped("rules.yaml")?];
    let format = Format::OpenMetrics;
    let scrape = Scrape { target: &address, node: "some", format, rules: &rules };
    let prometheus = Prometheus::start(&folder("prometheus-rules")?, scrape).await?;

    let fires = |samples: &[Sample]| samples.iter().any(|alert| alert.label("node") == "some");
    let late = "ALERTS{alertname=\"K8sSpotHandlerDrainLate\",alertstate=\"firing\"}";
    prometheus.until(late, fires, SOON).await?;

    let rules = prometheus.rules().await?;
    ensure!(!rules.is_empty());
    for rule in rules.iter().filter(|rule| rule["type"] == "alerting") {
        let told =
            |part: &str, name: &str| rule[part][name].as_str().is_some_and(|text| !text.is_empty());
        ensure!(rule["health"] != "err", "{rule}");
        ensure!(told("labels", "severity"), "{rule}");
        ensure!(told("annotations", "summary") && told("annotations", "description"), "{rule}");
    }
    Ok(())
}

#[tokio::test]
async fn promtool_takes_a_page_that_keeps_to_the_conventions_and_no_other() -> Result<()> {
    check_metrics("# HELP pods_total Pods.\n# TYPE pods_total counter\npods_total 3\n").await?;
    let unnamed = check_metrics("# HELP pods Pods.\n# TYPE pods counter\npods 3\n").await;
    ensure!(unnamed.is_err_and(|fault| fault.to_string().contains("_total")));
    ensure!(check_metrics("pods_total{ 3\n").await.is_err());
    Ok(())
}

/// A server that gives this page to whoever asks.
async fn target(content_type: &str, page: &str) -> Result<Receiver> {
    let receiver = Receiver::plain().await?;
    let answer = Answer::status(200)?.with("Content-Type", content_type);
    receiver.answer_otherwise(answer.with("Connection", "close").saying(page));
    Ok(receiver)
}

/// A file of `deploy/monitoring`.
fn shipped(name: &str) -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring").join(name);
    Ok(fs::canonicalize(path)?)
}

/// A folder of that name without what another run left there.
fn folder(name: &str) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(&folder)?,
    }
    Ok(folder)
}

async fn connect(port: u16) -> Result<TcpStream> {
    Ok(TcpStream::connect(("127.0.0.1", port)).await?)
}

/// A connection through the proxy to that port of this machine.
async fn open_tunnel(proxy: &Proxy, port: u16, headers: &str) -> Result<TcpStream> {
    let mut stream = connect(proxy.port()).await?;
    let request = format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let answer = ask(&mut stream, &request).await?;
    ensure!(answer.contains(" 200 "), "{answer}");
    Ok(stream)
}

/// Sends a request and reads one answer: as much as its length says.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> Result<String> {
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    while !is_whole(&String::from_utf8_lossy(&answer)) {
        if stream.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    length.and_then(|length| length.parse().ok()).is_none_or(|length: usize| body.len() >= length)
}

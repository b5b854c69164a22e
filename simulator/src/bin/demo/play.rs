//! The demo from the first line to the last.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use simulator::{ApiServer, Class, Happened, Metadata};

use crate::arguments::Arguments;
use crate::handler::{Handler, build};
use crate::review::{Record, review};
use crate::screen::{Screen, Voice};
use crate::stage::{Expected, Role, cast, set};

/// How long the handler watches before anything happens.
const CALM: Duration = Duration::from_secs(3);
/// How long the handler may take to end after SIGTERM and the announced end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Something to show.
enum News {
    Handler(String),
    Cluster(Happened),
}

/// Plays the demo; whether the outcome is what it should be.
pub(crate) fn play(arguments: &Arguments) -> io::Result<bool> {
    let path = match &arguments.handler {
        Some(path) => path.clone(),
        None => build_aloud()?,
    };
    let cloud = Metadata::start()?;
    let roles = cast();
    let cluster = set(&roles)?;
    let notice = arguments.notice;
    let opening_at = Instant::now() + CALM;
    let announced_at = opening_at + notice.prelude();
    let mut screen = Screen::new(announced_at);
    introduce(&screen, &roles)?;

    let (sender, news) = channel();
    forward(cluster.follow(), &sender, News::Cluster);
    let (log, lines) = channel();
    forward(lines, &sender, News::Handler);
    let environment =
        cluster.environment().into_iter().chain([("INSTANCE_METADATA_URL", cloud.url())]);
    let environment = environment.chain(notice.settings());
    let mut handler = Handler::start(&path, arguments, environment, log)?;

    let mut record = Record::default();
    let mut calm = show(&news, opening_at, &mut screen, &mut record, &mut handler, |_| false)?;
    record.opened = cluster.journal().now();
    if let Some(words) = notice.open(&cloud) {
        screen.say(Voice::Cloud, &words)?;
        calm &= show(&news, announced_at, &mut screen, &mut record, &mut handler, |_| false)?;
    }
    if calm {
        record.announced = cluster.journal().now();
        let (left, words) = notice.announce(&cloud);
        record.left = left;
        screen.say(Voice::Cloud, &words)?;
        // One second more: whoever says something at the end is heard.
        let curtain = Instant::now() + record.left + Duration::from_secs(1);
        let names: Vec<_> = roles.iter().map(|role| role.name.as_str()).collect();
        show(&news, curtain, &mut screen, &mut record, &mut handler, |record| {
            record.is_told_of(&names) && stay(&cluster, &roles)
        })?;
    }
    if handler.ended()?.is_none() {
        screen.say(Voice::Demo, "SIGTERM to the handler")?;
    }
    let left = record.end().saturating_sub(cluster.journal().now());
    let status = handler.terminate(left + PATIENCE)?;
    let last_words = Instant::now() + Duration::from_millis(200);
    while let Some(one) = next(&news, last_words) {
        tell(one, &mut screen, &mut record)?;
    }
    drop(screen);

    record.status = status;
    count(&cloud, &cluster);
    Ok(review(&roles, &cluster, &record))
}

fn build_aloud() -> io::Result<PathBuf> {
    println!("Building the handler (cargo build --release) …");
    build()
}

fn introduce(screen: &Screen, roles: &[Role]) -> io::Result<()> {
    println!("A node with {} pods, two budgets in the way:", roles.len());
    for role in roles {
        println!("  {:<36} {}", role.name, role.kind);
    }
    println!("Seconds are counted from the notice.\n");
    screen.say(Voice::Demo, "the handler starts")
}

/// Shows what comes until that moment, or until `enough`, or until the handler
/// ends by itself. Whether the handler is still there.
fn show(
    news: &Receiver<News>,
    until: Instant,
    screen: &mut Screen,
    record: &mut Record,
    handler: &mut Handler,
    enough: impl Fn(&Record) -> bool,
) -> io::Result<bool> {
    while Instant::now() < until {
        let glance = Instant::now() + Duration::from_millis(500);
        match next(news, until.min(glance)) {
            Some(one) => tell(one, screen, record)?,
            // Nothing for a while: a moment to look around.
            None if handler.ended()?.is_some() => {
                screen.say(Voice::Demo, "the handler has ended by itself")?;
                return Ok(false);
            }
            None if enough(record) => return Ok(true),
            None => {}
        }
    }
    Ok(true)
}

fn tell(one: News, screen: &mut Screen, record: &mut Record) -> io::Result<()> {
    match one {
        News::Handler(line) => {
            screen.handler(&line)?;
            record.hear(line);
        }
        News::Cluster(happened) => {
            screen.cluster(&happened.what)?;
            record.see(&happened.what);
        }
    }
    Ok(())
}

fn next(news: &Receiver<News>, until: Instant) -> Option<News> {
    match news.recv_timeout(until.saturating_duration_since(Instant::now())) {
        Ok(one) => Some(one),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => {
            thread::sleep(until.saturating_duration_since(Instant::now()));
            None
        }
    }
}

/// Whether only those are left that should be.
fn stay(cluster: &ApiServer, roles: &[Role]) -> bool {
    let left = cluster.pods();
    roles.iter().all(|role| (role.expected == Expected::LeftAlone) == left.contains(&role.name))
}

fn forward<T: Send + 'static>(
    from: Receiver<T>,
    to: &Sender<News>,
    wrap: impl Fn(T) -> News + Send + 'static,
) {
    let to = to.clone();
    thread::spawn(move || {
        for one in from {
            if to.send(wrap(one)).is_err() {
                break;
            }
        }
    });
}

fn count(cloud: &Metadata, cluster: &ApiServer) {
    let journal = cluster.journal();
    let classes = [
        ("Node read", Class::NodeGet),
        ("Node patched", Class::NodePatch),
        ("pods listed", Class::List),
        ("pods watched", Class::Watch),
        ("evictions asked", Class::Evict),
        ("status patched", Class::Status),
        ("deletions asked", Class::Delete),
    ];
    let counts: Vec<_> =
        classes.iter().map(|(name, class)| format!("{name} {}", journal.count(*class))).collect();
    println!("\nRequests to the API server: {} ({})", journal.len(), counts.join(", "));
    println!(
        "Connections to it: {}, at most {} at a time. Requests to the metadata service: {}.",
        cluster.connections(),
        cluster.most_connections(),
        cloud.journal().len()
    );
}

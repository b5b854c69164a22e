//! The log: a thread that writes facts, as text for people or as JSON for machines. A reader that is slow
//! or hangs delays nothing else.

mod json;
pub mod status_line;
mod text;

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::moment::WallTime;
use crate::report::envelope::Envelope;
use crate::report::fact::{Fact, Level};
use crate::report::queue::ReportQueue;

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Lines of text, each with time and level.
    Text {
        /// Levels stand out by their colour: for a terminal.
        coloured: bool,
    },
    /// One JSON object a line.
    Json,
}

/// The sender of the log. Its thread ends with [`Log::finish`], else with the process.
#[derive(Clone, Debug)]
pub struct Log {
    queue: Arc<ReportQueue<LogEntry>>,
    least: Level,
}

impl Log {
    /// Starts the thread that writes to `out`, from this level up.
    ///
    /// # Errors
    /// The system has no thread to spare.
    pub fn start(out: impl Write + Send + 'static, style: Style, least: Level) -> io::Result<Self> {
        let log = Self::new(least);
        log.write_to(out, style)?;
        Ok(log)
    }

    /// One that keeps facts from this level up until it is [written](Self::write_to).
    pub fn new(least: Level) -> Self {
        Self { queue: Arc::new(ReportQueue::new(CAPACITY)), least }
    }

    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// The system has no thread to spare. It may be tried again.
    pub fn write_to(&self, out: impl Write + Send + 'static, style: Style) -> io::Result<()> {
        let queue = Arc::clone(&self.queue);
        let out: Box<dyn Write + Send> = Box::new(out);
        thread::Builder::new()
            .name("log".to_owned())
            .stack_size(STACK)
            .spawn(move || write_all(&queue, out, style))
            .map(drop)
    }

    /// Queues a fact. Never blocks: if the queue is full, the fact is lost, and a line in its place says
    /// how many were. Returns whether there was room.
    pub fn tell(&self, envelope: Envelope) -> bool {
        if envelope.fact.interest() < self.least {
            return true;
        }
        // The verdict is never lost; there are one or two in a drain.
        if matches!(envelope.fact, Fact::Verdict(..)) {
            self.queue.push(LogEntry::Fact(envelope));
            return true;
        }
        let (at, node) = (envelope.at.wall, envelope.node.clone());
        self.queue.offer_or(LogEntry::Fact(envelope), |last| match last {
            Some(LogEntry::Lost { last, count, .. }) => {
                (*last, *count) = (at, *count + 1);
                None
            }
            _ => Some(LogEntry::Lost { last: at, node, count: 1 }),
        })
    }

    /// Waits until the thread has written what is queued, or `timeout`.
    pub fn finish(&self, timeout: Duration) {
        self.queue.close();
        // Where it is not done by then, there is no place left to report it.
        self.queue.wait_until_done(timeout);
    }
}

/// A line of the JSON log at level error, where there is no [`Log`] yet, or none any more. `fact`: a name
/// that does not change.
pub fn json_line(at: WallTime, fact: &str, message: &impl fmt::Display) -> String {
    json::line(at, Level::Error, fact, None, message)
}

/// Formatting and one line of text fit many times; pages that are not touched cost nothing.
const STACK: usize = 64 * 1024;
/// Four facts for each of 250 pods. Each waits in some 250 bytes, and only while it waits.
const CAPACITY: usize = 1024;

#[derive(Debug)]
enum LogEntry {
    Fact(Envelope),
    /// This many found no room.
    Lost {
        last: WallTime,
        node: Option<Arc<str>>,
        count: usize,
    },
}

fn write_all(queue: &ReportQueue<LogEntry>, mut out: Box<dyn Write>, style: Style) {
    while let Some(entry) = queue.wait() {
        // A closed pipe or a full disk: there is no place to report it, and no reason to stop.
        let _ = entry.write(&mut out, style);
    }
    queue.mark_done();
}

impl LogEntry {
    fn write(&self, out: &mut impl Write, style: Style) -> fmt::Result {
        match (style, self) {
            (Style::Text { coloured }, Self::Fact(Envelope { at, fact, .. })) => {
                text::write(out, coloured, at.wall, fact.level(), fact)
            }
            (Style::Json, Self::Fact(envelope)) => json::write(out, envelope),
            (Style::Text { coloured }, Self::Lost { last, count, .. }) => {
                text::write(out, coloured, *last, Level::Warn, &Lost(*count))
            }
            (Style::Json, Self::Lost { last, node, count }) => {
                let words = Lost(*count);
                let line = json::line(*last, Level::Warn, "log_lost", node.as_deref(), &words);
                out.write_all(line.as_bytes()).map_err(|_| fmt::Error)
            }
        }
    }
}

/// This many messages found no room.
struct Lost(usize);

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let were = if self.0 == 1 { "message was" } else { "messages were" };
        write!(f, "{} {were} lost: the log could not keep up.", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use std::sync::Mutex;

    use super::*;
    use crate::drain::verdict::Verdict;
    use crate::notice::NoticePath;
    use crate::report::fact::Occasion;
    use crate::report::samples::{alone, noon};

    const PLAIN: Style = Style::Text { coloured: false };
    const LONG: Duration = Duration::from_mins(1);

    fn fact(words: &str) -> Fact {
        Fact::Remark(words.into())
    }

    fn tell(log: &Log, fact: Fact) -> bool {
        log.tell(alone(fact))
    }

    /// Keeps what is written where the test can see it.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A pipe that takes nothing until the test lets it.
    struct Blocked {
        arrived: Sender<()>,
        let_go: Receiver<()>,
        paper: Paper,
    }

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.arrived.send(());
            // Once the other end is dropped, this no longer blocks.
            let _ = self.let_go.recv();
            self.paper.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Lets it write everything.
    fn finish(log: &Log) {
        log.finish(LONG);
        assert!(log.queue.wait_until_done(Duration::ZERO));
    }

    #[test]
    fn what_matters_too_little_is_left_out() {
        let paper = Paper::default();
        let log = Log::start(paper.clone(), PLAIN, Level::Warn).unwrap();
        let path = NoticePath::InstanceAction;
        tell(&log, Fact::Polled { path, status: Some(404), good: true });
        tell(&log, Fact::DeadlineReached);
        tell(&log, fact("kept"));
        finish(&log);
        assert_eq!(paper.text(), "2026-11-23T12:00:00.500Z WARN  kept\n");
    }

    #[test]
    fn a_line_for_which_there_is_no_log_is_an_object_too() {
        let line = json_line(noon().wall, "not_started", &"bad\n\"settings\"");
        let object: serde_json::Value =
            serde_json::from_str(line.strip_suffix('\n').unwrap()).unwrap();
        assert_eq!(
            object,
            serde_json::json!({
                "time": "2026-11-23T12:00:00.500Z", "level": "error", "fact": "not_started",
                "message": "bad\n\"settings\"",
            })
        );
    }

    #[test]
    fn trouble_that_is_said_is_said_to_be_over_at_the_same_level() {
        let paper = Paper::default();
        let log = Log::start(paper.clone(), PLAIN, Level::Error).unwrap();
        let path = NoticePath::InstanceAction;
        tell(&log, Fact::MetadataFailing(path, "status 500".to_owned()));
        tell(&log, Fact::MetadataRecovered(path, 7));
        finish(&log);
        assert_eq!(paper.text().lines().count(), 2, "{}", paper.text());
    }

    #[test]
    fn what_finds_no_room_is_counted_and_said_in_its_place() {
        let (arrived, arrival) = channel();
        let (allow, let_go) = channel();
        let paper = Paper::default();
        let pipe = Blocked { arrived, let_go, paper: paper.clone() };
        let log = Log::start(pipe, PLAIN, Level::Info).unwrap();
        tell(&log, fact("in the writer's hand"));
        arrival.recv().unwrap();
        for n in 0..CAPACITY + 37 {
            let has_room = tell(&log, fact(&format!("queued {n}")));
            assert_eq!(has_room, n < CAPACITY);
        }
        allow.send(()).unwrap();
        arrival.recv().unwrap();
        allow.send(()).unwrap();
        arrival.recv().unwrap();
        let verdict = Verdict {
            rows: vec![],
            listed: true,
            unread: 0,
            took: Duration::ZERO,
            end: None,
            node_shutdown: Duration::ZERO,
        };
        tell(&log, fact("after the gap"));
        for n in 0..CAPACITY {
            tell(&log, fact(&format!("queued again {n}")));
        }
        tell(&log, Fact::Verdict(Occasion::Empty, Box::new(verdict)));
        drop(allow);
        finish(&log);

        let text = paper.text();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[CAPACITY].ends_with(&format!("queued {}", CAPACITY - 1)));
        assert!(
            lines[CAPACITY + 1]
                .ends_with("WARN  37 messages were lost: the log could not keep up.")
        );
        assert!(lines[CAPACITY + 2].ends_with("after the gap"));
        assert!(lines[lines.len() - 4].contains("messages were lost"), "{text}");
        assert!(lines[lines.len() - 1].ends_with("no pods in 0.0 s"), "{text}");
    }

    #[test]
    fn a_pipe_that_nobody_reads_holds_up_nobody_but_its_thread() {
        let (arrived, arrival) = channel();
        let (allow, let_go) = channel();
        let paper = Paper::default();
        let log = Log::start(Blocked { arrived, let_go, paper: paper.clone() }, PLAIN, Level::Info)
            .unwrap();
        tell(&log, fact("stuck"));
        arrival.recv().unwrap();
        tell(&log, fact("behind it"));
        // Would not come back if it waited for the pipe.
        log.finish(Duration::from_millis(10));
        assert_eq!(paper.text(), "");
        drop(allow);
    }

    #[test]
    fn a_closed_pipe_is_survived() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let log = Log::start(writer, PLAIN, Level::Info).unwrap();
        tell(&log, fact("to nobody"));
        tell(&log, fact("nor this"));
        finish(&log);
    }

    #[test]
    fn one_failure_loses_one_entry_only() {
        struct Hiccup(bool, Paper);
        impl Write for Hiccup {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if std::mem::take(&mut self.0) {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                self.1.write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let paper = Paper::default();
        let log = Log::start(Hiccup(true, paper.clone()), PLAIN, Level::Info).unwrap();
        tell(&log, fact("lost"));
        tell(&log, fact("kept"));
        finish(&log);
        assert_eq!(paper.text().lines().count(), 1);
        assert!(paper.text().ends_with("kept\n"));
    }
}

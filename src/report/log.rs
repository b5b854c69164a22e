//! The log: a thread of its own that writes facts as lines of text. Whoever tells it something
//! never waits for whoever reads it.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::excerpt::is_hidden;
use crate::moment::WallTime;
use crate::report::fact::{Fact, Level};

/// The log's end at which facts go in. Its thread ends with [`Log::finish`], else with the process.
#[derive(Debug)]
pub struct Log {
    queue: Arc<Queue>,
}

impl Log {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let writer = Arc::clone(&queue);
        thread::Builder::new()
            .name("log".to_owned())
            .stack_size(STACK)
            .spawn(move || write_all(&writer, out))?;
        Ok(Self { queue })
    }

    /// Passes on a fact that became known at `at`. Never waits: if the queue is full, the fact is
    /// lost, and that is said in its place. Whether it found room.
    pub fn tell(&self, at: WallTime, fact: Fact) -> bool {
        self.queue.push(at, fact)
    }

    /// Gives the thread until `timeout` is over to write what is queued, and leaves it then.
    pub fn finish(self, timeout: Duration) {
        self.queue.close();
        self.queue.wait_until_done(timeout);
    }
}

/// Formatting and one line of text fit many times; pages that are not touched cost nothing.
const STACK: usize = 64 * 1024;
/// Four facts for each of 250 pods. Each waits in some 200 bytes, and only while it waits.
const CAPACITY: usize = 1024;
/// Room that the queue keeps when it is empty.
const QUIET: usize = 16;

/// Facts on their way to the writer.
#[derive(Debug, Default)]
struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    entries: VecDeque<Entry>,
    /// Nothing more will come.
    closed: bool,
    /// The writer has written everything and is gone.
    done: bool,
}

#[derive(Debug)]
enum Entry {
    Fact(WallTime, Fact),
    /// So many found no room, the last of them at that time.
    Lost(WallTime, usize),
}

impl Queue {
    fn push(&self, at: WallTime, fact: Fact) -> bool {
        let mut state = self.state();
        // What became of every pod is said whatever happens; there is one table for a drain.
        let has_room = state.entries.len() < CAPACITY || matches!(fact, Fact::Verdict(..));
        if has_room {
            state.entries.push_back(Entry::Fact(at, fact));
        } else if let Some(Entry::Lost(last, count)) = state.entries.back_mut() {
            (*last, *count) = (at, *count + 1);
        } else {
            state.entries.push_back(Entry::Lost(at, 1));
        }
        drop(state);
        self.changed.notify_all();
        has_room
    }

    /// Waits for the next entry. `None`: there will be none.
    fn pop(&self) -> Option<Entry> {
        let idle = |state: &mut QueueState| state.entries.is_empty() && !state.closed;
        let waited = self.changed.wait_while(self.state(), idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let entry = state.entries.pop_front();
        if state.entries.is_empty() {
            state.entries.shrink_to(QUIET);
        }
        entry
    }

    fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    fn mark_done(&self) {
        self.state().done = true;
        self.changed.notify_all();
    }

    fn wait_until_done(&self, timeout: Duration) {
        let at_work = |state: &mut QueueState| !state.done;
        // Whether it is done by then makes no difference: there is nobody left to tell.
        drop(self.changed.wait_timeout_while(self.state(), timeout, at_work));
    }

    /// Held only to move an entry, never while writing.
    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_all(queue: &Queue, mut out: impl Write) {
    while let Some(entry) = queue.pop() {
        // A closed pipe or a full disk: there is nobody to tell, and no reason to stop.
        let _ = write_entry(&mut out, &entry);
    }
    queue.mark_done();
}

fn write_entry(out: &mut impl Write, entry: &Entry) -> fmt::Result {
    match entry {
        Entry::Fact(at, fact) => LineWriter::new(out, *at, fact.level()).write(fact),
        Entry::Lost(at, count) => LineWriter::new(out, *at, Level::Warn).write(&format_args!(
            "{count} {} lost: the log could not keep up.",
            if *count == 1 { "message was" } else { "messages were" }
        )),
    }
}

/// Writes a text of one or more lines, each with time and level before it: log collectors take
/// lines one by one. Hidden characters are escaped: much of the text comes from outside.
struct LineWriter<'a, W> {
    out: &'a mut W,
    /// `2026-11-23T09:00:00.123Z INFO  `
    head: String,
    line: String,
}

impl<'a, W: Write> LineWriter<'a, W> {
    fn new(out: &'a mut W, at: WallTime, level: Level) -> Self {
        // Padded: whole seconds are written without a fraction.
        let head = format!("{:<24} {level:<5} ", at.to_string());
        Self { out, line: head.clone(), head }
    }

    fn write(mut self, text: &impl fmt::Display) -> fmt::Result {
        write!(self, "{text}")?;
        if self.line.len() > self.head.len() { self.end_line() } else { Ok(()) }
    }

    fn end_line(&mut self) -> fmt::Result {
        self.line.truncate(self.line.trim_end().len());
        self.line.push('\n');
        // In one piece: other lines of this process cannot come in between.
        let written = self.out.write_all(self.line.as_bytes());
        self.line.clear();
        self.line.push_str(&self.head);
        written.map_err(|_| fmt::Error)
    }
}

impl<W: Write> fmt::Write for LineWriter<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '\n' => self.end_line()?,
                c if is_hidden(c) => self.line.extend(c.escape_default()),
                c => self.line.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::drain::verdict::Verdict;
    use crate::report::fact::Occasion;
    use crate::settings::Remark;

    const LONG: Duration = Duration::from_mins(1);

    fn at(text: &str) -> WallTime {
        WallTime::parse(text).unwrap()
    }

    fn noon() -> WallTime {
        at("2026-11-23T12:00:00.5Z")
    }

    fn fact(words: &str) -> Fact {
        Fact::Remark(Remark::new(words))
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
    fn finish(log: Log) {
        let queue = Arc::clone(&log.queue);
        log.finish(LONG);
        assert!(queue.state().done);
    }

    fn written(facts: &[&str]) -> String {
        let paper = Paper::default();
        let log = Log::start(paper.clone()).unwrap();
        for words in facts {
            log.tell(noon(), fact(words));
        }
        finish(log);
        paper.text()
    }

    #[test]
    fn each_line_has_time_and_level() {
        let head = "2026-11-23T12:00:00.500Z WARN  ";
        assert_eq!(
            written(&["one", "a table\n  with rows  \n\nand a gap", "two\n"]),
            format!(
                "{head}one\n{head}a table\n{head}  with rows\n{}\n{head}and a gap\n{head}two\n",
                head.trim_end()
            )
        );
    }

    #[test]
    fn messages_stand_in_one_column_at_any_fraction_of_a_second() {
        let mut column = vec![];
        for time in ["2026-11-23T12:00:00Z", "2026-11-23T12:00:00.001Z"] {
            let mut out = vec![];
            write_entry(&mut out, &Entry::Fact(at(time), fact("here"))).unwrap();
            column.push(String::from_utf8(out).unwrap().find("here"));
        }
        assert_eq!(column, [Some(31), Some(31)]);
    }

    #[test]
    fn hidden_characters_are_escaped() {
        let text = written(&["a\u{1b}[31mb\rc\u{0}\u{202e}"]);
        assert!(text.contains("a\\u{1b}[31mb\\rc\\u{0}\\u{202e}\n"), "{text}");
    }

    #[test]
    fn what_finds_no_room_is_counted_and_said_in_its_place() {
        let (arrived, arrival) = channel();
        let (allow, let_go) = channel();
        let paper = Paper::default();
        let pipe = Blocked { arrived, let_go, paper: paper.clone() };
        let log = Log::start(pipe).unwrap();
        log.tell(noon(), fact("in the writer's hand"));
        arrival.recv().unwrap();
        for n in 0..CAPACITY + 37 {
            let found_room = log.tell(noon(), fact(&format!("queued {n}")));
            assert_eq!(found_room, n < CAPACITY);
        }
        allow.send(()).unwrap();
        arrival.recv().unwrap();
        allow.send(()).unwrap();
        arrival.recv().unwrap();
        log.tell(noon(), fact("after the gap"));
        drop(allow);
        finish(log);

        let text = paper.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1 + CAPACITY + 2);
        assert!(lines[CAPACITY].ends_with(&format!("queued {}", CAPACITY - 1)));
        assert!(
            lines[CAPACITY + 1]
                .ends_with("WARN  37 messages were lost: the log could not keep up.")
        );
        assert!(lines[CAPACITY + 2].ends_with("after the gap"));
    }

    #[test]
    fn the_table_of_verdicts_always_finds_room() {
        let queue = Queue::default();
        for n in 0..=CAPACITY {
            queue.push(noon(), fact(&format!("queued {n}")));
        }
        let verdict =
            Verdict { rows: vec![], listed: true, unread: 0, took: Duration::ZERO, end: None };
        queue.push(noon(), Fact::Verdict(Occasion::Empty, Box::new(verdict)));
        let last = queue.state().entries.pop_back();
        assert!(matches!(last, Some(Entry::Fact(_, Fact::Verdict(..)))), "{last:?}");
    }

    #[test]
    fn a_pipe_that_nobody_reads_holds_up_nobody_but_its_thread() {
        let (arrived, arrival) = channel();
        let (allow, let_go) = channel();
        let paper = Paper::default();
        let log = Log::start(Blocked { arrived, let_go, paper: paper.clone() }).unwrap();
        log.tell(noon(), fact("stuck"));
        arrival.recv().unwrap();
        log.tell(noon(), fact("behind it"));
        // Would not come back if it waited for the pipe.
        log.finish(Duration::from_millis(10));
        assert_eq!(paper.text(), "");
        drop(allow);
    }

    #[test]
    fn a_closed_pipe_is_survived() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let log = Log::start(writer).unwrap();
        log.tell(noon(), fact("to nobody"));
        log.tell(noon(), fact("nor this"));
        finish(log);
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
        let log = Log::start(Hiccup(true, paper.clone())).unwrap();
        log.tell(noon(), fact("lost"));
        log.tell(noon(), fact("kept"));
        finish(log);
        assert_eq!(paper.text().lines().count(), 1);
        assert!(paper.text().ends_with("kept\n"));
    }

    #[test]
    fn an_empty_queue_keeps_little_room() {
        let queue = Queue::default();
        for _ in 0..CAPACITY {
            queue.push(noon(), fact("x"));
        }
        for _ in 0..CAPACITY {
            queue.pop();
        }
        assert!(queue.state().entries.capacity() <= 2 * QUIET);
    }
}

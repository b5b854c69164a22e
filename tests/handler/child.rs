//! The handler as a child process: started, listened to, ended.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufRead, BufReader, PipeReader, Write};
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::stage::{Stage, check_laws};
use crate::table::{Table, tables};

/// Everything that is waited for comes within this time, or never. Machines may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How a handler is to be started.
pub(crate) struct Launch<'a> {
    stage: &'a Stage,
    environment: Vec<(String, OsString)>,
    heard: bool,
    stuck: bool,
    /// What a shell does before it becomes the handler.
    before: Vec<String>,
}

impl<'a> Launch<'a> {
    pub(crate) fn on(stage: &'a Stage, environment: Vec<(String, OsString)>) -> Self {
        Self { stage, environment, heard: true, stuck: false, before: Vec::new() }
    }

    /// With this variable in its environment.
    pub(crate) fn with(self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let mut launch = self.without(name);
        launch.environment.push((name.to_owned(), value.as_ref().to_owned()));
        launch
    }

    /// Without that variable in its environment.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// Nobody listens: its standard error is a closed pipe.
    pub(crate) fn unheard(mut self) -> Self {
        self.heard = false;
        self
    }

    /// Nobody reads what it says, and there is no more room for it: its standard error is a full pipe.
    pub(crate) fn stuck(mut self) -> Self {
        self.stuck = true;
        self
    }

    /// With no more file descriptors than these.
    pub(crate) fn descriptors(self, most: u32) -> Self {
        // Those that this process was left with are not the handler's.
        self.after(format!("ulimit -n {most} && exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-"))
    }

    /// With no more memory of its own than so many KiB: heap, stacks, and what else is private and
    /// writable (`RLIMIT_DATA`), touched or not.
    pub(crate) fn memory(self, kib: usize) -> Self {
        // As with musl, threads share one heap.
        self.with("MALLOC_ARENA_MAX", "1").after(format!("ulimit -d {kib}"))
    }

    /// Started once the shell has done this.
    pub(crate) fn after(mut self, command: String) -> Self {
        self.before.push(command);
        self
    }

    /// Runs it with these arguments to its end, as an operator does by hand. What it said and sent is
    /// held against what none may ever say or send.
    pub(crate) fn run(self, arguments: &[&str]) -> Output {
        let output = command(&self.before)
            .args(arguments)
            .env_clear()
            .envs(self.environment)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        for said in [&output.stdout, &output.stderr] {
            let lines: Vec<String> =
                std::str::from_utf8(said).unwrap().lines().map(str::to_owned).collect();
            check_words(&lines);
        }
        check_laws(&self.stage.cluster);
        output
    }

    /// Starts it, and does not wait for anything.
    pub(crate) fn start(self) -> Handler<'a> {
        let (full, stderr) = if self.stuck {
            let (reader, mut writer) = io::pipe().unwrap();
            // As much as a pipe holds (pipe(7)).
            writer.write_all(&vec![b'\n'; 64 * 1024]).unwrap();
            (Some(reader), Stdio::from(writer))
        } else {
            (None, Stdio::piped())
        };
        let mut child = command(&self.before)
            .env_clear()
            .envs(self.environment)
            .stdin(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let log = Arc::new(Log::default());
        let Some(pipe) = child.stderr.take() else {
            log.end();
            return Handler { stage: self.stage, child, log, _full: full };
        };
        if self.heard {
            let log = Arc::clone(&log);
            thread::spawn(move || log.listen(pipe));
        } else {
            drop(pipe);
            log.end();
        }
        Handler { stage: self.stage, child, log, _full: full }
    }
}

fn command(before: &[String]) -> Command {
    let handler = env!("CARGO_BIN_EXE_k8s-spot-handler");
    if before.is_empty() {
        return Command::new(handler);
    }
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("{} && exec \"$0\" \"$@\"", before.join(" && ")), handler]);
    shell
}

/// A handler that was started. Dropped, it is killed, and what it sent and said is held against
/// what no handler may ever send or say.
pub(crate) struct Handler<'a> {
    stage: &'a Stage,
    child: Child,
    log: Arc<Log>,
    /// The end of a pipe that nobody reads.
    _full: Option<PipeReader>,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Lines>,
    grown: Condvar,
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    ended: bool,
}

impl Log {
    fn listen(&self, pipe: ChildStderr) {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { break };
            self.lines.lock().unwrap().lines.push(String::from_utf8(line).unwrap());
            self.grown.notify_all();
        }
        self.end();
    }

    fn end(&self) {
        self.lines.lock().unwrap().ended = true;
        self.grown.notify_all();
    }

    fn copy(&self) -> Vec<String> {
        self.lines.lock().unwrap().lines.clone()
    }

    /// Waits until the lines have what is looked for.
    fn wait_for<T>(&self, look: impl Fn(&[String]) -> Option<T>) -> Option<T> {
        let end = Instant::now() + PATIENCE;
        let mut lines = self.lines.lock().unwrap();
        loop {
            if let Some(found) = look(&lines.lines) {
                return Some(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.ended {
                return None;
            }
            lines = self.grown.wait_timeout(lines, left).unwrap().0;
        }
    }
}

impl Handler<'_> {
    /// Waits for a line with these words, said any time since its start; the line.
    pub(crate) fn says(&self, words: &str) -> String {
        self.says_times(words, 1)
    }

    /// Waits until so many lines with these words were said; the last of them.
    pub(crate) fn says_times(&self, words: &str, count: usize) -> String {
        let nth = |lines: &[String]| {
            lines.iter().filter(|line| line.contains(words)).nth(count - 1).cloned()
        };
        self.log.wait_for(nth).unwrap_or_else(|| panic!("it does not say `{words}`"))
    }

    /// How many lines with these words were said so far.
    pub(crate) fn said(&self, words: &str) -> usize {
        self.log.copy().iter().filter(|line| line.contains(words)).count()
    }

    /// Every line that was said so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.log.copy()
    }

    /// Waits for the table at the end of a drain.
    pub(crate) fn table(&self) -> Table {
        self.nth_table(1)
    }

    /// Waits for the `count`th table since its start.
    pub(crate) fn nth_table(&self, count: usize) -> Table {
        self.log
            .wait_for(|lines| tables(lines).into_iter().nth(count - 1))
            .unwrap_or_else(|| panic!("it prints no table {count}"))
    }

    /// How many threads it has now.
    pub(crate) fn threads(&self) -> usize {
        self.status("Threads:")
    }

    /// The most memory it ever had, in KiB.
    pub(crate) fn peak_memory(&self) -> usize {
        self.status("VmHWM:")
    }

    /// A number in /proc/PID/status.
    fn status(&self, name: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends this signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended by itself, and all its words are heard.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.log.wait_for(|_| None::<()>);
                return status;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end");
    }

    /// Whether it runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Handler<'_> {
    fn drop(&mut self) {
        // It may have ended, and is not there to be killed then.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let lines = self.log.copy();
        if thread::panicking() {
            eprintln!("its log:\n{}", lines.join("\n"));
            eprintln!("the metadata service was asked:\n{}", self.stage.cloud.journal());
            eprintln!("the API server was asked:\n{}", self.stage.cluster.journal());
            return;
        }
        check_words(&lines);
        check_laws(&self.stage.cluster);
    }
}

/// Every JSON Web Token begins with the first, the metadata service's tokens with the second, and
/// the last is the signature of the stand-in's.
const SECRETS: [&str; 3] = ["eyJ", "AQAEA", "bm8gc2lnbmF0dXJl"];

/// What no log may have, whatever happens.
fn check_words(lines: &[String]) {
    for line in lines {
        assert!(!SECRETS.iter().any(|secret| line.contains(secret)), "a token is told: {line}");
        assert!(!line.contains("panicked"), "{line}");
        assert!(!line.contains("fault of this program"), "{line}");
    }
}

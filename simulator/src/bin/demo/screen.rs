//! What the watcher sees: one line for each thing, who says it, and when.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use simulator::Happening;

/// Who says a line.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Voice {
    Demo,
    Cloud,
    Cluster,
    Handler,
}

/// The screen, and its clock: seconds before and after the notice.
pub(crate) struct Screen {
    colours: bool,
    notice: Instant,
    refusals: BTreeMap<String, u32>,
}

impl Screen {
    /// A screen whose clock shows zero at `notice`.
    pub(crate) fn new(notice: Instant) -> Self {
        let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colours, notice, refusals: BTreeMap::new() }
    }

    pub(crate) fn say(&self, voice: Voice, text: &str) -> io::Result<()> {
        let now = Instant::now();
        let seconds = match now.checked_duration_since(self.notice) {
            Some(after) => after.as_secs_f64(),
            None => -self.notice.duration_since(now).as_secs_f64(),
        };
        let (name, colour) = match voice {
            Voice::Demo => ("", "1"),
            Voice::Cloud => ("cloud", "33"),
            Voice::Cluster => ("cluster", "32"),
            Voice::Handler => ("handler", "36"),
        };
        let mut out = io::stdout().lock();
        if self.colours {
            writeln!(out, "\x1b[2m{seconds:+7.2}\x1b[0m \x1b[{colour}m{name:>8} │ {text}\x1b[0m")
        } else {
            writeln!(out, "{seconds:+7.2} {name:>8} │ {text}")
        }
    }

    /// A line of the handler's log; its time stands beside it already.
    pub(crate) fn handler(&self, line: &str) -> io::Result<()> {
        let stamped = line.split_once(' ').filter(|(time, _)| {
            time.len() > 18
                && time.ends_with('Z')
                && time.starts_with(|it: char| it.is_ascii_digit())
        });
        self.say(Voice::Handler, stamped.map_or(line, |(_, rest)| rest))
    }

    /// Something in the cluster. Of the refusals of one pod only the first is
    /// shown; the rest are counted.
    pub(crate) fn cluster(&mut self, what: &Happening) -> io::Result<()> {
        let mut text = what.to_string();
        match what {
            Happening::Refused { pod, .. } => {
                let count = self.refusals.entry(pod.clone()).or_default();
                *count += 1;
                if *count > 1 {
                    return Ok(());
                }
            }
            Happening::Evicted { pod, .. } | Happening::Deleted { pod, .. } => {
                if let Some(count) = self.refusals.get(pod) {
                    let times = if *count == 1 { "refusal" } else { "refusals" };
                    text = format!("{text}, after {count} {times}");
                }
            }
            _ => {}
        }
        self.say(Voice::Cluster, &text)
    }
}

/// Seconds with one digit.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

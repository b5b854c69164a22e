//! What runs in the containers of a real node. It writes a line to its standard output for each thing
//! that happens to it, `MILLISECONDS WHAT`: `started`, the name of every signal, `ends`.
//!
//! Without arguments it ends at the first SIGTERM, as the container that holds a pod's network does.

use std::env::args;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread::{self, sleep};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use signal_hook::low_level::signal_name;

const HELP: &str = "\
container                 ends at SIGTERM
container after SECONDS   ends so long after SIGTERM, with 143
container never           ignores every signal
container hook SECONDS    as a preStop hook: recorded with what the container writes
container hoard BYTES     fills so much memory, then waits
container keep FILE       writes that file, then ends at SIGTERM
";

fn main() -> ExitCode {
    match perform(&args().skip(1).collect::<Vec<_>>()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(arguments: &[String]) -> io::Result<u8> {
    let mut record = io::stdout();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words.as_slice() {
        [] => run(&mut record, Some(Duration::ZERO)),
        ["after", seconds] => run(&mut record, Some(Duration::from_secs(number(seconds)?))),
        ["never"] => run(&mut record, None),
        ["hook", seconds] => {
            // What a hook writes goes nowhere; the log is that of the first process.
            let mut record = OpenOptions::new().write(true).open("/proc/1/fd/1")?;
            note(&mut record, "hook")?;
            sleep(Duration::from_secs(number(seconds)?));
            note(&mut record, "hook ends")?;
            Ok(0)
        }
        ["hoard", bytes] => {
            let mut hoard: Vec<u8> = Vec::new();
            // Written to: memory that was only asked for is not charged.
            hoard.resize(usize::try_from(number(bytes)?).map_err(io::Error::other)?, 1);
            run(&mut record, Some(Duration::from_secs(u64::from(hoard.is_empty()))))
        }
        ["keep", file] => {
            fs::write(file, "kept")?;
            run(&mut record, Some(Duration::ZERO))
        }
        _ => Err(io::Error::other(HELP)),
    }
}

/// Records every signal; ends so long after the first SIGTERM, if it does.
fn run(record: &mut impl Write, end: Option<Duration>) -> io::Result<u8> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2])?;
    note(record, "started")?;
    let mut ending = false;
    for signal in signals.forever() {
        note(record, signal_name(signal).unwrap_or("a signal"))?;
        if let Some(after) = end
            && signal == SIGTERM
            && !ending
        {
            ending = true;
            thread::spawn(move || {
                sleep(after);
                // The process ends whether this is written or not.
                drop(note(&mut io::stdout(), "ends"));
                std::process::exit(if after.is_zero() { 0 } else { 143 });
            });
        }
    }
    Ok(0)
}

fn note(record: &mut impl Write, what: &str) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    writeln!(record, "{} {what}", now.as_millis())?;
    record.flush()
}

fn number(text: &str) -> io::Result<u64> {
    text.parse().map_err(io::Error::other)
}

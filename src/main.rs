//! Arguments, command, exit status.

use std::io::Write;
use std::process::ExitCode;

/// `EX_USAGE` of sysexits.h: the settings are bad.
const BAD_SETTINGS: u8 = 64;

fn main() -> ExitCode {
    match k8s_spot_handler::command::start(std::env::args_os().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(bad) => {
            // Where nobody reads it, the exit status still says it.
            let _ = writeln!(std::io::stderr(), "k8s-spot-handler: {bad}");
            ExitCode::from(BAD_SETTINGS)
        }
    }
}

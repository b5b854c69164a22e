//! Arguments, command, exit status.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match k8s_spot_handler::command::start(std::env::args_os().skip(1)) {
        Ok(status) => status,
        Err(failure) => {
            // Where nobody reads it, the exit status still says it.
            let _ = writeln!(std::io::stderr(), "k8s-spot-handler: {failure}");
            ExitCode::from(failure.exit_status())
        }
    }
}

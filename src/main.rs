//! Arguments, command, exit status.

use std::process::ExitCode;

use k8s_spot_handler::command;

fn main() -> ExitCode {
    command::start(std::env::args_os().skip(1))
}

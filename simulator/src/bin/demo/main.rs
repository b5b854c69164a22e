//! `cargo demo`: the real handler drains a node of a stand-in cluster before a
//! stand-in cloud takes it away, and what happens is shown as it happens.
//!
//! Exit code 0: the outcome is what it should be. 1: it is not, or the demo
//! could not be played. 64: wrong arguments.

mod arguments;
mod handler;
mod notice;
mod play;
mod review;
mod screen;
mod stage;

use std::process::ExitCode;

use arguments::{Arguments, HELP};

fn main() -> ExitCode {
    let arguments = match Arguments::read() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("demo: {error}\n{HELP}");
            return ExitCode::from(64);
        }
    };
    match play::play(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

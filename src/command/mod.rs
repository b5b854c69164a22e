//! What the program can be told to do. Each command is another wiring of the same parts.

mod run;

use std::ffi::OsString;
use std::io::Write;

use crate::settings::{self, BadSettings, Wanted};

/// Does what the arguments (without the program's name) and the environment say.
///
/// # Errors
/// The settings are bad, and nothing was done.
pub fn start(arguments: impl IntoIterator<Item = OsString>) -> Result<(), BadSettings> {
    match settings::read(arguments, &settings::environment)? {
        Wanted::Help => print(&settings::help()),
        Wanted::Version => print(VERSION),
        Wanted::Run(settings) => run::run(*settings),
    }
    Ok(())
}

const VERSION: &str = concat!("k8s-spot-handler ", env!("CARGO_PKG_VERSION"), "\n");

/// To standard output. If nobody takes it (`| head`), nobody misses it.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

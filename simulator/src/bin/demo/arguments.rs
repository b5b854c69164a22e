//! What the demo may be told.

use std::path::PathBuf;

use lexopt::prelude::*;

pub(crate) const HELP: &str = "\
Shows a whole drain: a stand-in cloud announces a spot interruption, and the
real handler drains a node of a stand-in cluster. Takes some 35 seconds.

Usage: cargo demo [-- OPTIONS]

  --handler PATH    this handler instead of one built now (release, this machine)
  --runner COMMAND  what to run it with, such as qemu-aarch64-static
  --help            this
";

pub(crate) struct Arguments {
    /// The handler; `None`: build it.
    pub(crate) handler: Option<PathBuf>,
    /// A command, with arguments of its own after blanks, that runs it.
    pub(crate) runner: Option<String>,
}

impl Arguments {
    /// `Ok(None)`: help was asked for.
    pub(crate) fn read() -> Result<Option<Self>, lexopt::Error> {
        let mut arguments = Self { handler: None, runner: None };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("handler") => arguments.handler = Some(parser.value()?.into()),
                Long("runner") => arguments.runner = Some(parser.value()?.string()?),
                Short('h') | Long("help") => return Ok(None),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Some(arguments))
    }
}

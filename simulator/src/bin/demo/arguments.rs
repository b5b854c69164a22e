//! What the demo may be told.

use std::path::PathBuf;

use lexopt::prelude::*;

use crate::notice::Notice;

pub(crate) const HELP: &str = "\
Shows a whole drain: a stand-in cloud announces a spot interruption, and the
real handler drains a node of a stand-in cluster. Takes some 35 seconds.

With --notice the drain is for something else: maintenance that stops the
instance; an Auto Scaling group that ends it (lifecycle); or, with rebalance, a
recommendation that only marks the node comes before the interruption. These
are asked for every 5 seconds, so each takes a little longer.

Usage: cargo demo [-- OPTIONS]

  --notice KIND     interruption (default), rebalance, maintenance or lifecycle
  --handler PATH    this handler instead of one built now (release, this machine)
  --runner COMMAND  what to run it with, such as qemu-aarch64-static
  --help            this
";

pub(crate) struct Arguments {
    /// What the drain is for.
    pub(crate) notice: Notice,
    /// The handler; `None`: build it.
    pub(crate) handler: Option<PathBuf>,
    /// A command, with arguments of its own after blanks, that runs it.
    pub(crate) runner: Option<String>,
}

impl Arguments {
    /// `Ok(None)`: help was asked for.
    pub(crate) fn read() -> Result<Option<Self>, lexopt::Error> {
        let mut arguments = Self { notice: Notice::Interruption, handler: None, runner: None };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("notice") => arguments.notice = parser.value()?.parse()?,
                Long("handler") => arguments.handler = Some(parser.value()?.into()),
                Long("runner") => arguments.runner = Some(parser.value()?.string()?),
                Short('h') | Long("help") => return Ok(None),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Some(arguments))
    }
}

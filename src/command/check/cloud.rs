//! Asks the metadata service.

use crate::clock::Clock;
use crate::command::check::{Report, judge};
use crate::command::run::{instance_source, source};
use crate::instance::Instance;
use crate::settings::Settings;
use crate::source::TokenCheck;

/// Token, notices, instance.
pub(super) fn look(settings: &Settings, clock: Clock, report: &Report) -> Instance {
    let found = source(settings).check(clock);
    let is_closed = matches!(found.token, TokenCheck::Failed { .. });
    report.add("metadata service", &judge::metadata(&settings.metadata.url, found.token));
    for (path, polled) in found.paths {
        report.add("notices", &judge::notices(path, polled));
    }
    let instance =
        if is_closed { Instance::default() } else { instance_source(settings).read(clock) };
    report.add("instance", &judge::instance(&instance));
    instance
}

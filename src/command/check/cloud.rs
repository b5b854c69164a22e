//! Asks the metadata service.

use crate::clock::Clock;
use crate::command::check::{Report, judge};
use crate::command::run::{instance_source, source};
use crate::instance::Instance;
use crate::settings::Settings;
use crate::source::look::Token;

/// Token, notices, instance.
pub(super) fn look(settings: &Settings, clock: Clock, report: &Report) -> Instance {
    let look = source(settings).look(clock);
    let is_closed = matches!(look.token, Token::Failed { .. });
    report.add("metadata service", &judge::metadata(&settings.metadata.url, look.token));
    for (path, polled) in look.paths {
        report.add("notices", &judge::notices(path, polled));
    }
    let instance =
        if is_closed { Instance::default() } else { instance_source(settings).read(clock) };
    report.add("instance", &judge::instance(&instance));
    instance
}

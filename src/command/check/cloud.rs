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
    report.add(judge::metadata(&settings.metadata.url.to_string(), &look.token));
    for (path, polled) in &look.paths {
        report.add(judge::notices(*path, polled.as_ref()));
    }
    let instance = match look.token {
        Token::Failed { .. } => Instance::default(),
        Token::Given(_) | Token::NotOffered(_) => instance_source(settings).read(clock),
    };
    let is_closed = matches!(look.token, Token::Failed { .. });
    report.add(judge::instance(&instance, is_closed));
    instance
}

//! The two text formats that Prometheus reads, and which of them is sent.

use std::fmt::{self, Write as _};

use crate::report::metrics::labels::label;
use crate::report::metrics::{Family, Histogram};

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus' own, 0.0.4, which all its versions and many other programs read.
    Classic,
}

impl Format {
    /// The one that a client wants most, by its header `Accept` (RFC 9110, 12.5.1; several such
    /// headers are joined by commas). OpenMetrics only if it is asked for by name, in a version that is the
    /// same for what is used here; a client that accepts neither gets the classic one.
    pub fn accepted(accept: &str) -> Self {
        let ranges = accept.split(',').filter_map(Range::parse);
        let weight = |format: Self| {
            let weights = ranges.clone().filter(|range| range.covers(format)).map(|r| r.weight);
            weights.max().unwrap_or(0)
        };
        let (openmetrics, classic) = (weight(Self::OpenMetrics), weight(Self::Classic));
        if openmetrics > 0 && openmetrics >= classic { Self::OpenMetrics } else { Self::Classic }
    }

    /// The header `Content-Type`, as Prometheus' own libraries send it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// One part of a header `Accept`: `text/plain;version=0.0.4;q=0.5`.
struct Range<'a> {
    media: &'a str,
    version: Option<&'a str>,
    /// In thousandths, from 0, not at all, to [`WHOLE`].
    weight: u16,
}

impl<'a> Range<'a> {
    /// `None` if its weight is none.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let mut range = Self { media: parts.next()?, version: None, weight: WHOLE };
        for parameter in parts {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match name.trim() {
                name if name.eq_ignore_ascii_case("version") => range.version = Some(value),
                name if name.eq_ignore_ascii_case("q") => {
                    range.weight = thousandths(value)?;
                }
                _ => {}
            }
        }
        Some(range)
    }

    fn covers(&self, format: Format) -> bool {
        let is = |media: &str| self.media.eq_ignore_ascii_case(media);
        match format {
            Format::OpenMetrics => {
                is("application/openmetrics-text")
                    && matches!(self.version, None | Some("1.0.0" | "0.0.1"))
            }
            Format::Classic => {
                is("*/*") || is("text/*") || is("text/plain") && self.version.is_none_or(is_classic)
            }
        }
    }
}

const WHOLE: u16 = 1000;

/// A weight such as `0.25`: three digits at most (RFC 9110, 12.4.2), so a whole number of thousandths.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let is_number = matches!(whole, "0" | "1") && fraction.bytes().all(|b| b.is_ascii_digit());
    if !is_number || fraction.len() > 3 {
        return None;
    }
    let thousandths: u16 = format!("{whole}{fraction:0<3}").parse().ok()?;
    (thousandths <= WHOLE).then_some(thousandths)
}

fn is_classic(version: &str) -> bool {
    version == "0.0.4"
}

/// A page that is being written.
pub(super) struct MetricsPage {
    format: Format,
    text: String,
}

/// Bytes that a page has room for at once, and the head of the answer with it: a page that grows
/// leaves behind what it was before.
const ROOM: usize = 16 * 1024;

/// What all names begin with.
const PREFIX: &str = "k8s_spot_handler";

impl MetricsPage {
    pub(super) fn new(format: Format) -> Self {
        Self { format, text: String::with_capacity(ROOM) }
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, family: &Family) {
        self.series("counter", name, help, family);
    }

    /// A metric with all of its series.
    pub(super) fn series(&mut self, kind: &str, name: &str, help: &str, family: &Family) {
        self.metadata(kind, name, help);
        let suffix = if kind == "counter" { "_total" } else { "" };
        for (labels, value) in &family.0 {
            self.sample(name, suffix, labels, value);
        }
    }

    /// One that has no labels.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl fmt::Debug) {
        self.metadata("gauge", name, help);
        self.sample(name, "", "", value);
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.metadata("histogram", name, help);
        self.sample(name, "_sum", "", histogram.sum);
        self.sample(name, "_count", "", histogram.counts.iter().sum::<u64>());
        for (bound, count) in histogram.buckets() {
            self.sample(name, "_bucket", &label("le", &bound), count);
        }
    }

    /// The classic format names a counter as its samples are named, and knows no units.
    fn metadata(&mut self, kind: &str, name: &str, help: &str) {
        let is_classic = self.format == Format::Classic;
        let suffix = if is_classic && kind == "counter" { "_total" } else { "" };
        self.line(format_args!("# HELP {PREFIX}_{name}{suffix} {help}."));
        self.line(format_args!("# TYPE {PREFIX}_{name}{suffix} {kind}"));
        if !is_classic && name.ends_with("_seconds") {
            self.line(format_args!("# UNIT {PREFIX}_{name} seconds"));
        }
    }

    /// A fraction has a point even where it is whole, as `Debug` writes it.
    fn sample(&mut self, name: &str, suffix: &str, labels: &str, value: impl fmt::Debug) {
        let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
        self.line(format_args!("{PREFIX}_{name}{suffix}{open}{labels}{close} {value:?}"));
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }

    /// All of it.
    pub(super) fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text += "# EOF\n";
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::Format::{self, Classic, OpenMetrics};

    #[test]
    fn a_client_gets_what_it_wants_most() {
        for (accept, format) in [
            // Prometheus 3, Prometheus 2.42, VictoriaMetrics, a browser, curl.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0,\
                 application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Classic),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Classic),
            ("*/*", Classic),
            ("", Classic),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=0.5", OpenMetrics),
            ("application/openmetrics-text; version=0.0.1", OpenMetrics),
            // Of two that are wanted alike, the one that was named.
            ("text/plain, application/openmetrics-text", OpenMetrics),
            ("application/openmetrics-text;q=0.3, text/plain;q=0.4", Classic),
            ("application/openmetrics-text;q=0.3, */*;q=0.4", Classic),
            ("application/openmetrics-text;q=0.3, text/plain;version=1.0.0;q=0.4", OpenMetrics),
            ("application/openmetrics-text;q=0", Classic),
            ("application/openmetrics-text;q=0.0, image/png", Classic),
            ("application/openmetrics-text;version=2.0.0", Classic),
            ("application/openmetrics-text;version=2.0.0, text/plain;q=0.1", Classic),
            ("application/*", Classic),
            ("application/openmetrics-text;q=0.001", OpenMetrics),
            ("application/openmetrics-text;q=1.000,*/*", OpenMetrics),
            ("application/openmetrics-text;q=0.75,text/plain;q=0.8", Classic),
            ("application/openmetrics-text;q=1.001", Classic),
            ("application/openmetrics-text;q=0.0001", Classic),
            ("application/openmetrics-text;q=.5", Classic),
            ("application/openmetrics-text;q=+1", Classic),
            ("application/openmetrics-text;q=2", Classic),
            ("application/openmetrics-text;q=-1", Classic),
            ("application/openmetrics-text;q=NaN", Classic),
            ("application/openmetrics-text;q=", Classic),
            (",;,=;q;\"", Classic),
            ("application/vnd.google.protobuf;encoding=delimited", Classic),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }
}

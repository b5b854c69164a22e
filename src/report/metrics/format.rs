//! The two text formats in which Prometheus reads metrics, and which of them is sent.

use std::fmt::{self, Write as _};

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus' own, 0.0.4, which every version of it and many others read.
    Classic,
}

impl Format {
    /// The one that a client wants most, by its header `Accept` (RFC 9110, 12.5.1; several such
    /// headers are joined by commas). OpenMetrics only for who asks for it by name, in a version that
    /// differs in nothing used here; who accepts neither gets the classic one all the same.
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

/// A weight such as `0.25`: three digits at most (RFC 9110, 12.4.2), so whole thousandths say it.
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

/// Takes OpenMetrics text and makes the classic format of it, line by line: that names a counter as
/// its samples are named, and knows neither units nor an end.
#[derive(Default)]
pub(super) struct Classic {
    page: String,
    line: String,
    /// Comes before the type, which decides its name.
    help: String,
}

impl Classic {
    /// With room for a page of so many bytes.
    pub(super) fn with_capacity(room: usize) -> Self {
        Self { page: String::with_capacity(room), ..Self::default() }
    }

    /// All lines that came.
    pub(super) fn into_page(self) -> String {
        self.page
    }

    fn end_line(&mut self) -> fmt::Result {
        let Self { page, line, help } = self;
        if let Some(rest) = line.strip_prefix("# HELP ") {
            rest.split_once(' ').map_or("", |(_, words)| words).clone_into(help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let suffix = if kind == "counter" { "_total" } else { "" };
            writeln!(page, "# HELP {name}{suffix} {help}")?;
            writeln!(page, "# TYPE {name}{suffix} {kind}")?;
        } else if !line.starts_with('#') {
            writeln!(page, "{line}")?;
        }
        line.clear();
        Ok(())
    }
}

impl fmt::Write for Classic {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive('\n') {
            match part.strip_suffix('\n') {
                Some(end) => {
                    self.line.push_str(end);
                    self.end_line()?;
                }
                None => self.line.push_str(part),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Format::{self, Classic, OpenMetrics};
    use std::fmt::Write as _;

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

    #[test]
    fn the_classic_format_names_counters_as_their_samples_and_leaves_out_what_it_does_not_know() {
        let openmetrics = "# HELP a_seconds Some words.\n# TYPE a_seconds gauge\n\
                           # UNIT a_seconds seconds\na_seconds 1.5\n# HELP b More.\n\
                           # TYPE b counter\nb_total{c=\"d # e\"} 2\n# EOF\n";
        let expected = "# HELP a_seconds Some words.\n# TYPE a_seconds gauge\na_seconds 1.5\n\
                        # HELP b_total More.\n# TYPE b_total counter\nb_total{c=\"d # e\"} 2\n";
        for length in [1, 2, 7, openmetrics.len()] {
            let mut classic = super::Classic::with_capacity(0);
            for piece in openmetrics.as_bytes().chunks(length) {
                classic.write_str(str::from_utf8(piece).unwrap()).unwrap();
            }
            assert_eq!(classic.into_page(), expected);
        }
    }
}

//! Reads the values of settings. Each function says `None` to what is not valid; what would be is
//! in the table's words, beside it.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::drain::BudgetOverride;
use crate::excerpt::is_hidden;
use crate::http::address::Address;
use crate::kube::identity::Choice;
use crate::kube::request::{is_label, is_subdomain};
use crate::kube::server::ServerUrl;
use crate::node::{RebalanceMark, TaintEffect};
use crate::report::fact::Level;
use crate::report::webhook::proxy::ProxyUrl;
use crate::settings::Output;

/// A truth value as Go's `strconv.ParseBool` reads it: what users of Go programs write.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A truth value or a count, of which anything above 0 is true: `VERBOSE=2` is an old habit.
pub(super) fn flag_or_count(text: &str) -> Option<bool> {
    truth(text).or_else(|| text.parse::<u8>().ok().map(|count| count > 0))
}

/// A whole number in `range`.
pub(super) fn number<N: FromStr + PartialOrd>(text: &str, range: RangeInclusive<N>) -> Option<N> {
    text.parse().ok().filter(|number| range.contains(number))
}

/// Numbers with their units, `90s`, `2m`, `1m30s`, `500ms`. A number
/// without a unit is refused: whoever wrote it may have meant another one.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    let mut rest = text;
    loop {
        let (number, tail) = split(rest, |c| c.is_ascii_digit())?;
        let (unit, tail) = split(tail, |c| c.is_ascii_alphabetic())?;
        let number: u64 = number.parse().ok()?;
        let span = match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            _ => return None,
        };
        sum = sum.checked_add(span)?;
        rest = tail;
        if rest.is_empty() {
            return Some(sum);
        }
    }
}

/// The longest beginning of `text` whose characters are `wanted`, and what follows it.
fn split(text: &str, wanted: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    text.split_at_checked(text.find(|c| !wanted(c)).unwrap_or(text.len()))
}

/// A [`duration`], or a bare number of seconds: for the settings that were bare numbers in the
/// programs before this one.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_secs).or_else(|| duration(text))
}

/// How long before maintenance its drain begins.
pub(super) fn lead_time(text: &str) -> Option<Duration> {
    let valid = Duration::from_secs(1)..=Duration::from_hours(7 * 24);
    duration(text).filter(|span| valid.contains(span))
}

/// A duration as [`duration`] reads it, in the largest units: `1h`, `1m30s`, `0s`.
pub(super) fn written(span: Duration) -> String {
    let seconds = span.as_secs();
    let parts = [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
        (u64::from(span.subsec_millis()), "ms"),
    ];
    let parts = parts.into_iter().filter(|(number, _)| *number > 0);
    let text = parts.fold(String::new(), |text, (number, unit)| text + &number.to_string() + unit);
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// The longest grace that a pod gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GraceLimit {
    /// Each pod's own.
    PodsOwn,
    /// At most so many seconds.
    AtMost(u32),
}

/// Whole seconds; a negative number means the pod's own grace.
pub(super) fn pod_grace(text: &str) -> Option<GraceLimit> {
    let seconds = match text.parse::<i64>() {
        Ok(number) if number < 0 => return Some(GraceLimit::PodsOwn),
        Ok(number) => u32::try_from(number).ok()?,
        Err(_) => {
            let whole = duration(text).filter(|span| span.subsec_nanos() == 0)?;
            u32::try_from(whole.as_secs()).ok()?
        }
    };
    Some(GraceLimit::AtMost(seconds))
}

/// `at-deadline` or `never`.
pub(super) fn at_deadline_or_never(text: &str) -> Option<BudgetOverride> {
    match text {
        "at-deadline" => Some(BudgetOverride::AtDeadline),
        "never" => Some(BudgetOverride::Never),
        _ => None,
    }
}

/// The effect of a taint, as Kubernetes writes it.
pub(super) fn taint_effect(text: &str) -> Option<TaintEffect> {
    match text {
        "NoSchedule" => Some(TaintEffect::NoSchedule),
        "PreferNoSchedule" => Some(TaintEffect::PreferNoSchedule),
        "NoExecute" => Some(TaintEffect::NoExecute),
        _ => None,
    }
}

/// `cordon` or `soft-taint`.
pub(super) fn rebalance_mark(text: &str) -> Option<RebalanceMark> {
    match text {
        "cordon" => Some(RebalanceMark::Cordon),
        "soft-taint" => Some(RebalanceMark::SoftTaint),
        _ => None,
    }
}

/// In whose name requests are made.
pub(super) fn identity(text: &str) -> Option<Choice> {
    [Choice::Auto, Choice::Node, Choice::ServiceAccount]
        .into_iter()
        .find(|choice| choice.word() == text)
}

/// Where an API server is.
pub(super) fn server_url(text: &str) -> Option<ServerUrl> {
    ServerUrl::parse(text).ok()
}

/// How it is printed what was found.
pub(super) fn output(text: &str) -> Option<Output> {
    match text {
        "text" => Some(Output::Text),
        "json" => Some(Output::Json),
        _ => None,
    }
}

/// What matters less is not logged.
pub(super) fn level(text: &str) -> Option<Level> {
    match text.to_ascii_lowercase().as_str() {
        "debug" => Some(Level::Debug),
        "info" => Some(Level::Info),
        "warn" | "warning" => Some(Level::Warn),
        "error" => Some(Level::Error),
        _ => None,
    }
}

/// The form of a webhook's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadyForm {
    /// The operator's own, or the usual one.
    Template,
    /// For Slack.
    Slack,
    /// For Microsoft Teams.
    Teams,
    /// For Discord.
    Discord,
    /// For PagerDuty.
    PagerDuty,
    /// For Google Chat.
    GoogleChat,
    /// All fields.
    Json,
}

/// The name of a form.
pub(super) fn form(text: &str) -> Option<ReadyForm> {
    match text {
        "template" => Some(ReadyForm::Template),
        "slack" => Some(ReadyForm::Slack),
        "teams" => Some(ReadyForm::Teams),
        "discord" => Some(ReadyForm::Discord),
        "pagerduty" => Some(ReadyForm::PagerDuty),
        "google-chat" => Some(ReadyForm::GoogleChat),
        "json" => Some(ReadyForm::Json),
        _ => None,
    }
}

/// Some text for people.
pub(super) fn words(text: &str) -> Option<String> {
    (text.chars().count() <= 256 && !text.contains(is_hidden)).then(|| text.to_owned())
}

/// The name of a Node or Pod.
pub(super) fn subdomain(text: &str) -> Option<String> {
    is_subdomain(text).then(|| text.to_owned())
}

/// The name of a namespace.
pub(super) fn label(text: &str) -> Option<String> {
    is_label(text).then(|| text.to_owned())
}

/// The path of a file, which begins with a slash or with a dot or two and a slash. Anything else is
/// refused: a token, headers or the address of a webhook, put where its file's name belongs, would be
/// taken for a path and shown in every error about that file.
pub(super) fn path(text: &str) -> Option<PathBuf> {
    let begins = ["/", "./", "../"].iter().any(|beginning| text.starts_with(beginning));
    let is_path = begins && !text.contains("://") && !text.contains(is_hidden);
    is_path.then(|| PathBuf::from(text))
}

/// The path of a file, with a slash in it, as an operator's own programs take it.
pub(super) fn any_path(text: &str) -> Option<PathBuf> {
    let is_path = text.contains('/') && !text.contains("://") && !text.contains('\0');
    is_path.then(|| PathBuf::from(text))
}

/// The URL of a proxy, as curl and programs in Go take it from the environment: `http://` may be left
/// out.
pub(super) fn proxy(text: &str) -> Result<ProxyUrl, &'static str> {
    if text.contains("://") {
        ProxyUrl::parse(text)
    } else {
        ProxyUrl::parse(&format!("http://{text}"))
    }
}

/// The host of the API server, if [`Address`] takes it.
pub(super) fn host(text: &str) -> Option<String> {
    Address::parse(text, 0).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn truths_are_those_of_go() {
        for text in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(truth(text), Some(true), "{text}");
        }
        for text in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(truth(text), Some(false), "{text}");
        }
        for text in ["", "yes", "no", "on", "tRUE", " true", "true\n", "2"] {
            assert_eq!(truth(text), None, "{text}");
        }
        assert_eq!(flag_or_count("2"), Some(true));
        assert_eq!(flag_or_count("0"), Some(false));
        assert_eq!(flag_or_count("-1"), None);
    }

    #[test]
    fn durations_need_units() {
        assert_eq!(duration("90s"), Some(90 * SECOND));
        assert_eq!(duration("2m"), Some(120 * SECOND));
        assert_eq!(duration("1m30s"), Some(90 * SECOND));
        assert_eq!(duration("1h"), Some(3600 * SECOND));
        assert_eq!(duration("500ms"), Some(SECOND / 2));
        assert_eq!(duration("0s"), Some(Duration::ZERO));
        for text in [
            "",
            "s",
            "90",
            "1m30",
            "1.5s",
            "-1s",
            "+1s",
            "1 s",
            "1s ",
            "1d",
            "1S",
            "1µs",
            "é",
            "99999999999999999999s",
            "18446744073709551615h",
            "18446744073709551615s1s",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_seconds_only_where_it_always_was() {
        assert_eq!(seconds("5"), Some(5 * SECOND));
        assert_eq!(seconds("5s"), Some(5 * SECOND));
        assert_eq!(seconds("-5"), None);
        assert_eq!(seconds("5 "), None);
        assert_eq!(seconds(""), None);
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["0s", "500ms", "2s", "1m30s", "10m", "1h", "168h", "1h1m1s1ms"] {
            assert_eq!(duration(text).map(written).as_deref(), Some(text));
        }
        assert_eq!(duration("90s").map(written).as_deref(), Some("1m30s"));
    }

    #[test]
    fn a_negative_pod_grace_is_the_pods_own() {
        assert_eq!(pod_grace("-1"), Some(GraceLimit::PodsOwn));
        assert_eq!(pod_grace("-9223372036854775808"), Some(GraceLimit::PodsOwn));
        assert_eq!(pod_grace("0"), Some(GraceLimit::AtMost(0)));
        assert_eq!(pod_grace("30"), Some(GraceLimit::AtMost(30)));
        assert_eq!(pod_grace("2m"), Some(GraceLimit::AtMost(120)));
        for text in ["", "-", "-1s", "1500ms", "4294967296", "1.5", "ten"] {
            assert_eq!(pod_grace(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_those_of_kubernetes() {
        assert_eq!(subdomain("a.b").as_deref(), Some("a.b"));
        assert_eq!(subdomain("a..b"), None);
        assert_eq!(label("kube-system").as_deref(), Some("kube-system"));
        assert_eq!(label("a.b"), None);
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_more() {
        for text in ["10.96.0.1", "fd00::1", "[fd00::1]", "kubernetes.default.svc"] {
            assert_eq!(host(text).as_deref(), Some(text));
        }
        for text in [
            "",
            "[",
            "[]",
            "[10.0.0.1]",
            "[fd00::1",
            "fd00::1]",
            "fd00::1%eth0",
            "10.0.0.256",
            "a b",
            "https://api",
            "api:443",
            "10.0.0.1:443",
            "a..b",
            "a\r\nb",
        ] {
            assert_eq!(host(text), None, "{text}");
        }
    }

    #[test]
    fn a_path_begins_like_one() {
        assert_eq!(path("/run/token"), Some(PathBuf::from("/run/token")));
        assert_eq!(path("./token"), Some(PathBuf::from("./token")));
        assert_eq!(path("../token"), Some(PathBuf::from("../token")));
        for text in ["token", "", "/a\0b", "a/b", "hooks.example/T0/B0", r#"{"A":"b/c"}"#, "/a://b"]
        {
            assert_eq!(path(text), None, "{text}");
        }
    }
}

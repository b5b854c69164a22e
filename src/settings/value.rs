//! Parses the values of settings, and prints them without their secrets. `None` means not valid; what would
//! be valid is in the table.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::excerpt::is_hidden;
use crate::http::address::Address;
use crate::kube::request::{Annotations, is_label, is_qualified, is_subdomain};
use crate::notice::Code;
use crate::settings::Output;
use crate::webhook::proxy::ProxyUrl;

/// Why a value is not valid.
pub(super) enum Invalid {
    /// It is not what the table says.
    Value,
    /// For this reason, which contains nothing of the value.
    Because(String),
    /// For these of its items.
    Items(Vec<BadItem>),
}

impl From<&'static str> for Invalid {
    fn from(why: &'static str) -> Self {
        Self::Because(why.to_owned())
    }
}

impl From<String> for Invalid {
    fn from(why: String) -> Self {
        Self::Because(why)
    }
}

impl From<Vec<BadItem>> for Invalid {
    fn from(items: Vec<BadItem>) -> Self {
        Self::Items(items)
    }
}

/// One of a few words.
pub(super) fn one_of<T, const N: usize>(text: &str, words: [(&str, T); N]) -> Option<T> {
    words.into_iter().find(|(word, _)| *word == text).map(|(_, value)| value)
}

/// A value in `range`.
pub(super) fn within<T: PartialOrd>(range: RangeInclusive<T>, value: Option<T>) -> Option<T> {
    value.filter(|value| range.contains(value))
}

/// The number of a port, which is not 0.
pub(super) fn port(text: &str) -> Option<u16> {
    within(1..=u16::MAX, text.parse().ok())
}

/// A boolean as Go's `strconv.ParseBool` reads it.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A boolean or a count, true above 0: `VERBOSE=2` is common.
pub(super) fn flag_or_count(text: &str) -> Option<bool> {
    truth(text).or_else(|| text.parse::<u8>().ok().map(|count| count > 0))
}

/// Numbers with units: `90s`, `2m`, `1m30s`, `500ms`. A number without a unit is not valid: another
/// unit may be meant.
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

/// The longest prefix of `text` whose characters are `wanted`, and the rest.
fn split(text: &str, wanted: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    text.split_at_checked(text.find(|c| !wanted(c)).unwrap_or(text.len()))
}

/// A [`duration`], or a bare number of seconds: for settings that are bare numbers in other handlers.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_secs).or_else(|| duration(text))
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

/// The longest grace period of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GraceLimit {
    /// Each pod's own.
    PodsOwn,
    /// At most this many seconds.
    AtMost(u32),
}

/// Whole seconds; a negative number means the pod's own grace period.
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

/// The format of the output.
pub(super) fn output(text: &str) -> Option<Output> {
    one_of(text, [("text", Output::Text), ("json", Output::Json)])
}

/// The names of the forms of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FormName {
    /// The operator's template, or the default one.
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

/// Printable text.
pub(super) fn words(text: &str) -> Option<String> {
    (text.chars().count() <= 256 && !text.contains(is_hidden)).then(|| text.to_owned())
}

/// The key of a webhook of WeCom.
pub(super) fn key(text: &str) -> Option<String> {
    let is_of_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.bytes().all(is_of_key).then(|| text.to_owned())
}

/// The name of a Node or Pod.
pub(super) fn subdomain(text: &str) -> Option<String> {
    is_subdomain(text).then(|| text.to_owned())
}

/// The name of a namespace.
pub(super) fn label(text: &str) -> Option<String> {
    is_label(text).then(|| text.to_owned())
}

/// The path of a file that begins with `/`, `./` or `../`. Anything else is not valid: a token, headers
/// or the address of a webhook in its place would be taken for a path and printed in every error about
/// that file.
pub(super) fn path(text: &str) -> Option<PathBuf> {
    let begins = ["/", "./", "../"].iter().any(|beginning| text.starts_with(beginning));
    let is_path = begins && !text.contains("://") && !text.contains(is_hidden);
    is_path.then(|| PathBuf::from(text))
}

/// The path of a file that contains a slash.
pub(super) fn any_path(text: &str) -> Option<PathBuf> {
    let is_path = text.contains('/') && !text.contains("://") && !text.contains('\0');
    is_path.then(|| PathBuf::from(text))
}

/// The URL of a proxy, as curl and programs in Go read it from the environment: without a scheme it is
/// `http://`.
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

/// The path of the liveness probe: `/healthz` by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivePath(Option<String>);

impl Default for LivePath {
    fn default() -> Self {
        Self(Some("/healthz".to_owned()))
    }
}

impl LivePath {
    /// What [`LivePath::parse`] takes, in words.
    pub const VALID: &str = "a path such as /healthz, of visible ASCII characters, without ? and #; not /metrics or /readyz";

    /// `None` if it is not [`LivePath::VALID`].
    pub fn parse(text: &str) -> Option<Self> {
        let is_path = text.starts_with('/')
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#');
        let is_free = text != METRICS && text != READY;
        (is_path && is_free).then(|| Self(Some(text.to_owned())))
    }

    /// Whether the probe is answered at this path.
    pub(crate) fn is(&self, path: &str) -> bool {
        self.0.as_deref().is_none_or(|live| path == live)
    }

    /// Every path that no other page has: if the configured one is not known.
    pub fn anywhere() -> Self {
        Self(None)
    }
}

/// The path of the metrics.
pub const METRICS: &str = "/metrics";
/// The path of the readiness probe.
pub const READY: &str = "/readyz";

/// An item of a list that is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadItem {
    /// As it may be printed.
    item: String,
    /// What is wrong with it: the predicate of a sentence about it.
    why: &'static str,
}

impl fmt::Display for BadItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its item \"{}\" {}", self.item, self.why)
    }
}

/// `instance-retirement=2h,instance-reboot=10m`: codes of scheduled events, each with its lead time.
pub(super) fn lead_times(text: &str) -> Result<BTreeMap<Code, Duration>, Vec<BadItem>> {
    pairs(text, |name, value| {
        let code = Code::ALL.into_iter().find(|code| code.to_string() == name);
        let code = code.ok_or("names a code that does not exist")?;
        let valid = Duration::from_secs(1)..=Duration::from_hours(7 * 24);
        let time = within(valid, duration(value))
            .ok_or("has no duration with its unit from 1s to 168h")?;
        Ok((code, time))
    })
}

/// `team=web,example.com/cost-centre=7`: names and values of annotations (Kubernetes documentation,
/// "Annotations", "Syntax and character set").
pub(super) fn annotations(text: &str) -> Result<Annotations, Vec<BadItem>> {
    pairs(text, |name, value| {
        let pair = (name.to_owned(), value.to_owned());
        is_qualified(name).then_some(pair).ok_or("has a name that is none of an annotation")
    })
}

/// A list of `name=value`. Spaces around names, values and commas do not count.
fn pairs<K: Ord, V>(
    text: &str,
    read: impl Fn(&str, &str) -> Result<(K, V), &'static str>,
) -> Result<BTreeMap<K, V>, Vec<BadItem>> {
    let mut pairs = BTreeMap::new();
    let mut bad = Vec::new();
    for item in text.split(',').map(str::trim) {
        if let Err(why) = pair(&mut pairs, item, &read) {
            bad.push(BadItem { item: shown(OsStr::new(item)), why });
        }
    }
    if bad.is_empty() { Ok(pairs) } else { Err(bad) }
}

fn pair<K: Ord, V>(
    pairs: &mut BTreeMap<K, V>,
    item: &str,
    read: impl Fn(&str, &str) -> Result<(K, V), &'static str>,
) -> Result<(), &'static str> {
    if item.is_empty() {
        return Err("is empty");
    }
    let (name, value) = item.split_once('=').ok_or("has no =")?;
    let (name, value) = read(name.trim(), value.trim())?;
    match pairs.insert(name, value) {
        Some(_) => Err("names what was named before"),
        None => Ok(()),
    }
}

/// What is printed in place of a secret.
pub(super) const NOT_SHOWN: &str = "(not shown)";

/// A value as it may be printed: on one line, of limited length, and not if it looks like a secret: a token
/// in place of the name of its file, the address of a webhook anywhere.
pub(super) fn shown(value: &OsStr) -> String {
    if value.to_string_lossy().contains("://") { NOT_SHOWN.to_owned() } else { line(value) }
}

/// A URL as it may be printed: without query and fragment, and not at all if it contains a user.
pub(super) fn shown_url(value: &OsStr) -> String {
    let text = value.to_string_lossy();
    match text.find(['?', '#']).and_then(|end| text.split_at_checked(end)) {
        // An @ after the question mark belongs to no user.
        Some((before, _)) => line(OsStr::new(before)) + "?…",
        None => line(value),
    }
}

fn line(value: &OsStr) -> String {
    let text = value.to_string_lossy();
    if text.contains("eyJ") {
        return "(not shown: it looks like a token)".to_owned();
    }
    if text.contains('@') {
        return "(not shown: it may hold a password)".to_owned();
    }
    let mut shown: String = text.chars().take(LONGEST_SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// Enough to recognize a value.
const LONGEST_SHOWN: usize = 64;

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

    const MINUTE: Duration = Duration::from_mins(1);

    fn bad(text: &str) -> Vec<String> {
        lead_times(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_code_has_its_time() {
        let two = BTreeMap::from([
            (Code::InstanceRetirement, 120 * MINUTE),
            (Code::InstanceReboot, 10 * MINUTE),
        ]);
        for text in [
            "instance-retirement=2h,instance-reboot=10m",
            " instance-reboot = 10m , instance-retirement=1h60m ",
        ] {
            assert_eq!(lead_times(text), Ok(two.clone()), "{text}");
        }
        for code in Code::ALL {
            let one = BTreeMap::from([(code, MINUTE)]);
            assert_eq!(lead_times(&format!("{code}=1m")), Ok(one));
        }
    }

    #[test]
    fn annotations_have_the_names_that_kubernetes_takes() {
        let two = [("a.b/c_D.e".to_owned(), "1=2".to_owned()), ("team".to_owned(), String::new())];
        assert_eq!(annotations("team=, a.b/c_D.e = 1=2"), Ok(BTreeMap::from(two)));
        for text in ["a b=1", "/a=1", "a/=1", "A.b/c=1", "a/b/c=1", "-a=1", "=1"] {
            assert_eq!(annotations(text).unwrap_err().len(), 1, "{text}");
        }
    }

    #[test]
    fn every_bad_item_is_named() {
        assert_eq!(
            bad(
                "instance-stp=2h,system-reboot,,instance-stop=90,system-reboot=5m,system-reboot=5m"
            ),
            [
                "its item \"instance-stp=2h\" names a code that does not exist",
                "its item \"system-reboot\" has no =",
                "its item \"\" is empty",
                "its item \"instance-stop=90\" has no duration with its unit from 1s to 168h",
                "its item \"system-reboot=5m\" names what was named before",
            ]
        );
        assert_eq!(bad("instance-stop=2h, "), ["its item \"\" is empty"]);
        for text in [
            "",
            ",",
            "instance-stop=2h,",
            "Instance-Stop=2h",
            "instance-stop=",
            "=2h",
            "instance-stop=2h=3h",
            "instance-stop=2h system-reboot=2h",
            "instance-stop=999ms",
            "instance-stop=604801s",
        ] {
            assert_eq!(bad(text).len(), if text == "," { 2 } else { 1 }, "{text}");
        }
    }

    #[test]
    fn a_path_for_liveness_is_one_that_can_be_asked_for_and_is_not_taken() {
        for path in ["/healthz", "/", "/a/b%20c", "/live;v=1"] {
            assert!(LivePath::parse(path).is_some(), "{path}");
        }
        for path in ["", "healthz", "/a b", "/a?b", "/a#b", "/é", "/a\r\nb", "/metrics", "/readyz"]
        {
            assert_eq!(LivePath::parse(path), None, "{path}");
        }
        assert_eq!(LivePath::parse("/healthz"), Some(LivePath::default()));
    }

    #[test]
    fn values_are_shown_short_escaped_and_without_secrets() {
        assert_eq!(shown(OsStr::new("soon")), "soon");
        assert_eq!(shown(OsStr::new("a\n\u{1b}[31m\u{202e}")), "a\\n\\u{1b}[31m\\u{202e}");
        assert_eq!(shown(OsStr::new(&"x".repeat(65))), format!("{}…", "x".repeat(64)));
        assert_eq!(shown(OsStr::new(&"x".repeat(64))), "x".repeat(64));
        for secret in [
            "eyJhbGciOiJSUzI1NiJ9.secret",
            "Bearer eyJsecret",
            "http://me:secret@host/",
            "http://h/p?secret",
        ] {
            assert!(!shown(OsStr::new(secret)).contains("secret"), "{secret}");
        }
    }
}

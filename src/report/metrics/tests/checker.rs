//! Readers of the two text formats that accept nothing but what the specifications do, and of that
//! no more than this program has reason to write: no time stamps, no exemplars, one space.

use std::collections::{BTreeMap, BTreeSet};

/// What a page says: metadata by family, values by series.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Type, help and unit, as far as they are given.
    pub(super) families: BTreeMap<String, Family>,
    /// By name and labels, as they are written.
    pub(super) series: BTreeMap<String, f64>,
}

#[derive(Debug, Default)]
pub(super) struct Family {
    pub(super) kind: String,
    pub(super) help: String,
    pub(super) unit: Option<String>,
}

/// A sample without its value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
}

impl Page {
    pub(super) fn value(&self, series: &str) -> f64 {
        *self.series.get(series).unwrap_or_else(|| panic!("no {series} in {self:#?}"))
    }
}

/// OpenMetrics 1.0.0.
pub(super) fn openmetrics(text: &str) -> Page {
    let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
    let mut page = Page::default();
    let mut samples = Vec::new();
    let mut current = String::new();
    for line in body.split_terminator('\n') {
        if let Some((keyword, name, rest)) = metadata(line) {
            if name != current {
                assert!(!page.families.contains_key(name), "its parts are apart: {line}");
                assert_eq!(keyword, "HELP", "begins with something else: {line}");
                current = name.to_owned();
            }
            assert!(!samples.iter().any(|(family, _)| *family == current), "too late: {line}");
            let family = page.families.entry(current.clone()).or_default();
            match keyword {
                "HELP" => once(&mut family.help, rest),
                "TYPE" => {
                    assert!(["counter", "gauge", "histogram"].contains(&rest), "{line}");
                    once(&mut family.kind, rest);
                }
                "UNIT" => {
                    assert!(name.ends_with(&format!("_{rest}")), "not in its name: {line}");
                    assert!(family.unit.replace(rest.to_owned()).is_none(), "twice: {line}");
                }
                _ => panic!("no such keyword: {line}"),
            }
            continue;
        }
        let (series, value) = sample(line);
        let kind = &page.families[&current].kind;
        let suffix = series.name.strip_prefix(&current).expect("it is of the family before it");
        let suffixes: &[&str] = match kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_count", "_sum"],
            _ => panic!("{line}"),
        };
        assert!(suffixes.contains(&suffix), "{line}");
        samples.push((current.clone(), (series, value, line)));
    }
    finish(page, &samples)
}

/// Prometheus' text format 0.0.4.
pub(super) fn classic(text: &str) -> Page {
    assert!(text.ends_with('\n'));
    let mut page = Page::default();
    let mut samples = Vec::new();
    let mut current = String::new();
    for line in text.split_terminator('\n') {
        if let Some((keyword, name, rest)) = metadata(line) {
            if name != current {
                assert!(!page.families.contains_key(name), "its parts are apart: {line}");
                current = name.to_owned();
            }
            assert!(!samples.iter().any(|(family, _)| *family == current), "too late: {line}");
            let family = page.families.entry(current.clone()).or_default();
            match keyword {
                "HELP" => once(&mut family.help, rest),
                "TYPE" => {
                    let known = ["counter", "gauge", "histogram", "summary", "untyped"];
                    assert!(known.contains(&rest), "{line}");
                    once(&mut family.kind, rest);
                }
                _ => panic!("a comment that says something elsewhere: {line}"),
            }
            continue;
        }
        let (series, value) = sample(line);
        let suffix = series.name.strip_prefix(&current).expect("it is of the family before it");
        match page.families[&current].kind.as_str() {
            "histogram" => assert!(["_bucket", "_count", "_sum"].contains(&suffix), "{line}"),
            "counter" => assert!(suffix.is_empty() && current.ends_with("_total"), "{line}"),
            _ => assert!(suffix.is_empty(), "{line}"),
        }
        samples.push((current.clone(), (series, value, line)));
    }
    finish(page, &samples)
}

/// What holds in both.
fn finish(mut page: Page, samples: &[(String, (Series, f64, &str))]) -> Page {
    let mut seen = BTreeSet::new();
    let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (family, (series, value, line)) in samples {
        assert!(seen.insert(series.clone()), "twice: {line}");
        let kind = &page.families[family].kind;
        assert!(kind == "gauge" || *value >= 0.0, "{line}");
        let names = series.labels.keys().filter(|name| *name != "le").cloned().collect();
        let same = labels.entry(family.clone()).or_insert_with(|| names);
        let names: BTreeSet<_> =
            series.labels.keys().filter(|name| *name != "le").cloned().collect();
        assert_eq!(&names, same, "a family has the same labels everywhere: {line}");
        let (written, _) = line.rsplit_once(' ').unwrap();
        page.series.insert(written.to_owned(), *value);
    }
    for (name, family) in &page.families {
        assert!(!family.kind.is_empty(), "no type: {name}");
        assert!(
            family.help.ends_with('.') && !family.help.ends_with(".."),
            "{name}: {}",
            family.help
        );
        assert!(!family.help.contains(['\\', '"']), "would be escaped: {}", family.help);
        let mine = samples.iter().filter(|(of, _)| of == name);
        let mine: Vec<_> = mine.map(|(_, (series, value, _))| (series, *value)).collect();
        assert!(!mine.is_empty(), "no sample: {name}");
        if family.kind == "histogram" {
            histogram(name, &mine);
        }
    }
    page
}

/// Of one histogram without labels.
fn histogram(name: &str, samples: &[(&Series, f64)]) {
    let of = |suffix: &str| {
        let name = format!("{name}{suffix}");
        samples.iter().filter(move |(series, _)| series.name == name)
    };
    let buckets: Vec<(f64, f64)> = of("_bucket")
        .map(|(series, value)| {
            let bound = series.labels["le"].as_str();
            // The canonical form, in which every client writes the same bound alike.
            assert!(bound == "+Inf" || bound.contains('.'), "{bound}");
            (number(bound), *value)
        })
        .collect();
    assert!(buckets.is_sorted_by(|(a, of_a), (b, of_b)| a < b && of_a <= of_b), "{buckets:?}");
    let (last, all) = buckets.last().unwrap();
    assert!(last.is_infinite());
    assert_eq!(of("_count").map(|(_, value)| value).collect::<Vec<_>>(), [all]);
    assert_eq!(of("_sum").count(), 1);
}

/// `# KEYWORD name rest`.
fn metadata(line: &str) -> Option<(&str, &str, &str)> {
    let rest = line.strip_prefix('#')?;
    let mut words = rest.strip_prefix(' ').unwrap().splitn(3, ' ');
    let (keyword, name, rest) =
        (words.next().unwrap(), words.next().unwrap(), words.next().expect("it says something"));
    assert!(is_name(name, ":"), "{line}");
    Some((keyword, name, rest))
}

fn once(field: &mut String, value: &str) {
    assert!(field.is_empty() && !value.is_empty(), "twice, or nothing: {value}");
    value.clone_into(field);
}

/// `name value` or `name{label="value",…} value`.
fn sample(line: &str) -> (Series, f64) {
    let (written, value) = line.rsplit_once(' ').expect("it has a value");
    let (name, labels) = match written.split_once('{') {
        None => (written, ""),
        Some((name, rest)) => (name, rest.strip_suffix('}').expect("it ends with }")),
    };
    assert!(is_name(name, ":"), "{line}");
    assert!(!written.ends_with("{}"), "{line}");
    let mut parsed = BTreeMap::new();
    // No value here holds a comma or has to be escaped.
    for label in labels.split(',').filter(|_| !labels.is_empty()) {
        let (label, value) = label.split_once('=').expect("a label has a value");
        assert!(is_name(label, "") && !label.starts_with("__"), "{line}");
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap();
        assert!(!value.is_empty() && !value.contains(['"', '\\', '\n']), "{line}");
        assert!(parsed.insert(label.to_owned(), value.to_owned()).is_none(), "{line}");
    }
    (Series { name: name.to_owned(), labels: parsed }, number(value))
}

fn number(text: &str) -> f64 {
    let is_plain = text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    assert!(is_plain || matches!(text, "+Inf" | "NaN"), "{text}");
    text.parse().unwrap()
}

fn is_name(text: &str, more: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || more.contains(c);
    text.starts_with(|c: char| !c.is_ascii_digit()) && text.chars().all(is_part)
}

//! Reads the values of settings that are lists: `name=value,name=value`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::time::Duration;

use crate::kube::request::is_qualified;
use crate::notice::Code;
use crate::settings::problem::shown;
use crate::settings::value::lead_time;

/// An item that is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadItem {
    /// As it may be shown.
    item: String,
    /// What is wrong with it: the end of a sentence that begins with it.
    why: &'static str,
}

impl fmt::Display for BadItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its item \"{}\" {}", self.item, self.why)
    }
}

/// `instance-retirement=2h,instance-reboot=10m`: the codes that are named, each with its time.
pub(super) fn lead_times(text: &str) -> Result<BTreeMap<Code, Duration>, Vec<BadItem>> {
    pairs(text, |name, value| {
        let code = Code::ALL.into_iter().find(|code| code.to_string() == name);
        let code = code.ok_or("names a code that does not exist")?;
        let time = lead_time(value).ok_or("has no duration with its unit from 1s to 168h")?;
        Ok((code, time))
    })
}

/// `team=web,example.com/cost-centre=7`: names and values of annotations (Kubernetes documentation,
/// "Annotations", "Syntax and character set").
pub(super) fn annotations(text: &str) -> Result<BTreeMap<String, String>, Vec<BadItem>> {
    pairs(text, |name, value| {
        let pair = (name.to_owned(), value.to_owned());
        is_qualified(name).then_some(pair).ok_or("has a name that is none of an annotation")
    })
}

/// Reads each `name=value` of a list. Spaces around names, values and commas do not count.
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

#[cfg(test)]
mod tests {
    use super::*;

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
}

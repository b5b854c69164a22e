//! What `--print-settings` prints: what is in force, and where it came from.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;

use crate::settings::BadSettings;
use crate::settings::arguments::Flags;
use crate::settings::settle::{parse, refused};
use crate::settings::sources::Sources;
use crate::settings::table::{Row, rows};

/// The settings as text, whether or not the program would start with them.
#[derive(Debug)]
pub struct Overview {
    /// One line for each setting; then names that are set in vain, remarks, and what is done without.
    pub text: String,
    /// What is not valid, whether the program would start with it or not.
    pub bad: Option<BadSettings>,
}

/// One setting, as it is in force.
#[derive(Debug)]
pub(super) struct InForce {
    /// Its environment variable, by whatever means it came.
    pub(super) name: &'static str,
    /// Fit to be shown. `None` if it is unset.
    pub(super) value: Option<Cow<'static, str>>,
    /// Where it came from.
    pub(super) origin: Origin,
    /// What is wrong with it.
    pub(super) fault: Option<Fault>,
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// This flag.
    Flag(&'static str),
    /// This environment variable.
    Variable(&'static str),
    /// Nobody gave it.
    Default,
    /// Nobody gave it, and there is no value; what happens then, in words.
    Unset(&'static str),
    /// Nobody gave it, and it goes by this other setting.
    Follows(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag --{flag}"),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::Default => f.write_str("default"),
            Self::Unset(words) => write!(f, "default: {words}"),
            Self::Follows(name) => write!(f, "follows {name}"),
        }
    }
}

/// What is wrong with a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Its value is not valid.
    Bad,
    /// It is needed, and unset.
    Missing,
}

/// Reads every setting and tells what it is.
pub(super) fn overview(flags: Flags, variable: &dyn Fn(&str) -> Option<OsString>) -> Overview {
    let mut sources = Sources::new(flags, variable);
    let settings = parse(&mut sources);
    let mut text = table(&sources.in_force);
    list(&mut text, "Set, but without effect here:", &sources.without_effect);
    list(&mut text, "Remarks:", &sources.remarks);
    list(&mut text, "Not valid, and done without:", &sources.unusable);
    // Whoever asks wants to know of each, also of those that the program does without.
    let good = sources.problems.is_empty() && sources.unusable.is_empty();
    let bad = settings.is_none() || !good;
    Overview { text, bad: bad.then(|| refused(sources)) }
}

/// Longer values push aside what follows them: one of them is no reason to part all the others.
const WIDEST_VALUE: usize = 52;

fn table(settings: &[InForce]) -> String {
    let of = |row: &Row| settings.iter().find(|setting| setting.name == row.variable);
    let settings: Vec<_> = rows().filter_map(of).collect();
    let width = |text: &str| text.chars().count();
    let names = settings.iter().map(|setting| width(setting.name)).max().unwrap_or(0);
    let values = settings.iter().map(|setting| width(setting.value())).max().unwrap_or(0);
    let values = values.min(WIDEST_VALUE);
    let line = |setting: &InForce| {
        let fault = match setting.fault {
            Some(Fault::Bad) => ", NOT VALID",
            Some(Fault::Missing) | None => "",
        };
        let InForce { name, origin, .. } = setting;
        format!("{name:names$}  {:values$}  {origin}{fault}\n", setting.value())
    };
    settings.into_iter().map(line).collect()
}

impl InForce {
    fn value(&self) -> &str {
        match (&self.value, self.fault) {
            (Some(value), _) => value,
            (None, Some(Fault::Missing)) => "(missing)",
            (None, _) => "(unset)",
        }
    }
}

fn list(text: &mut String, title: &str, items: &[impl fmt::Display]) {
    if items.is_empty() {
        return;
    }
    text.push('\n');
    text.push_str(title);
    for item in items {
        text.push_str("\n  ");
        text.push_str(&item.to_string());
    }
    text.push('\n');
}

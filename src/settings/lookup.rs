//! Which value each setting has, and whether it comes from a flag, the environment or its default.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;

use crate::settings::Command;
use crate::settings::arguments::{Flags, trimmed};
use crate::settings::predecessors::{Effect, FORMER};
use crate::settings::problem::Unusable;
use crate::settings::table::{DefaultValue, Row, Stakes, Values, row, rows};
use crate::settings::value::{Invalid, NOT_SHOWN};

/// Flags and environment, and what was found in them.
pub(super) struct Lookup<'a> {
    flags: Flags,
    variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The environment is that of an operator's shell, not of a pod.
    is_shell: bool,
    /// Problems that end the program.
    pub(super) problems: Vec<String>,
    /// Problems that do not.
    pub(super) unusable: Vec<Unusable>,
    /// Remarks for the log at start.
    pub(super) remarks: Vec<String>,
    /// What was set by flag or environment.
    pub(super) given: Vec<String>,
    /// Every setting, in the order of the table.
    pub(super) in_force: Vec<InForce>,
    /// Names that are set and have no effect here.
    pub(super) without_effect: Vec<&'static str>,
}

/// The value of a setting that is in force.
pub(super) struct InForce {
    pub(super) row: &'static Row,
    /// As it may be printed. `None` if it is unset.
    pub(super) value: Option<String>,
    /// Where it comes from.
    pub(super) origin: Origin,
    /// What is wrong with it.
    pub(super) fault: Option<Fault>,
    /// It was set, and not to its default.
    is_changed: bool,
}

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// This flag.
    Flag(&'static str),
    /// This environment variable.
    Variable(&'static str),
    /// The table.
    Default,
    /// It is unset and has no default; what happens then, in words.
    Unset(&'static str),
    /// It is unset and derived from this other setting.
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
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Its value is not valid.
    Bad,
    /// It is required and unset.
    Missing,
}

impl<'a> Lookup<'a> {
    /// With these flags; `variable` looks up an environment variable.
    pub(super) fn new(mut flags: Flags, variable: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        let problems = std::mem::take(&mut flags.problems);
        // Kubernetes sets it in every pod.
        let is_pod = variable("KUBERNETES_SERVICE_HOST").and_then(trimmed).is_some();
        let mut lookup = Self {
            is_shell: flags.command.takes_node() && !is_pod,
            flags,
            variable,
            problems: Vec::new(),
            unusable: Vec::new(),
            remarks: Vec::new(),
            given: Vec::new(),
            in_force: Vec::new(),
            without_effect: Vec::new(),
        };
        for (row, problem) in problems {
            match row {
                Some(row) => lookup.wrong(row, problem),
                None => lookup.problems.push(problem),
            }
        }
        lookup
    }

    /// Reads every setting of the table and records problems. If the program runs without a value that is
    /// not valid, its default is in force.
    pub(super) fn read(&mut self) -> Values {
        let mut values = Values::default();
        for row in rows() {
            let Some((origin, text)) = self.choose(row) else { continue };
            let read = |text: &str| (row.read)(&mut values, text);
            let invalid = text.to_str().ok_or(Invalid::Value).and_then(read).err();
            if let (Some(_), DefaultValue::Is(default)) = (&invalid, row.default)
                && !self.decides(row)
            {
                // Tests hold that each default is valid.
                let _ = (row.read)(&mut values, default);
            }
            self.note(row, origin, &text, invalid);
        }
        self.names_without_effect();
        values
    }

    /// Records where a value comes from, and what is wrong with it.
    fn note(&mut self, row: &'static Row, origin: Origin, text: &OsStr, invalid: Option<Invalid>) {
        let value = match invalid {
            // A positional argument may be anything.
            Some(_) if self.flags.is_positional(row) => NOT_SHOWN.to_owned(),
            _ => row.shown(text),
        };
        let given_as = match origin {
            Origin::Variable(name) => name.to_owned(),
            Origin::Flag(flag) => format!("--{flag}"),
            _ => format!("--{}", row.flag),
        };
        let is_given = matches!(origin, Origin::Flag(_) | Origin::Variable(_));
        if is_given {
            self.given.push(format!("{given_as}={value}"));
        }
        let fault = invalid.is_some().then_some(Fault::Bad);
        let valid = row.valid;
        let problems = match invalid {
            None => Vec::new(),
            Some(Invalid::Value) => vec![format!("{given_as} is \"{value}\"; valid is {valid}")],
            Some(Invalid::Because(why)) => vec![format!("{given_as}: {why}")],
            Some(Invalid::Items(items)) => {
                let each = |item| format!("{given_as} is \"{value}\"; {item}; valid is {valid}");
                items.into_iter().map(each).collect()
            }
        };
        for words in problems {
            self.wrong(row, words);
        }
        let is_default = matches!(row.default, DefaultValue::Is(default) if text == default);
        let is_changed = is_given && !is_default;
        self.in_force.push(InForce { row, value: Some(value), origin, fault, is_changed });
    }

    /// Records a problem of a setting: it ends the program, or the program runs without the setting.
    fn wrong(&mut self, row: &Row, problem: String) {
        if self.decides(row) {
            self.problems.push(problem);
            return;
        }
        let instead = match (row.stakes, row.default) {
            (Stakes::Reports(instead), _) if !instead.is_empty() => Cow::Borrowed(instead),
            (Stakes::Reports(_), DefaultValue::Is(default)) => {
                Cow::Owned(format!("its default, {default}, is in force"))
            }
            (Stakes::Reports(_), DefaultValue::Unset(_)) => Cow::Borrowed("it counts as unset"),
            (Stakes::Pods | Stakes::ByHand, _) => Cow::Borrowed("only commands by hand use it"),
        };
        self.done_without(problem, instead);
    }

    /// Whether a value that is not valid ends the program.
    fn decides(&self, row: &Row) -> bool {
        match row.stakes {
            Stakes::Pods => true,
            Stakes::ByHand => self.flags.command != Command::Run,
            Stakes::Reports(_) => false,
        }
    }

    /// Records a problem that ends nothing. `instead`: what applies in its place, as a clause.
    pub(super) fn done_without(
        &mut self,
        problem: impl Into<String>,
        instead: impl Into<Cow<'static, str>>,
    ) {
        self.unusable.push(Unusable { problem: problem.into(), instead: instead.into() });
    }

    /// [`wrong`](Self::wrong) for the setting with this variable.
    pub(super) fn wrong_in(&mut self, variable: &str, words: impl Into<String>) {
        if let Some(row) = row(variable) {
            self.wrong(row, words.into());
        }
    }

    /// Records that the setting with this variable is required and unset. `words`: what that means and
    /// what to do.
    pub(super) fn missing(&mut self, variable: &str, words: &str) {
        self.wrong_in(variable, words);
        self.change(variable, |setting| setting.fault = Some(Fault::Missing));
    }

    /// Replaces what is printed as the value of this setting by what was derived from it and others.
    pub(super) fn made(&mut self, variable: &str, value: String, origin: Option<Origin>) {
        self.change(variable, |setting| {
            setting.value = Some(value);
            setting.origin = origin.unwrap_or(setting.origin);
        });
    }

    fn change(&mut self, variable: &str, change: impl FnOnce(&mut InForce)) {
        let known = self.in_force.iter_mut().find(|known| known.row.variable == variable);
        if let Some(known) = known {
            change(known);
        }
    }

    /// Records that settings contradict each other.
    pub(super) fn contradiction(&mut self, words: impl Into<String>) {
        self.problems.push(words.into());
    }

    /// Adds a remark.
    pub(super) fn remark(&mut self, words: impl Into<String>) {
        self.remarks.push(words.into());
    }

    /// Whether this setting's value is not valid.
    pub(super) fn is_bad(&self, variable: &str) -> bool {
        self.of(variable).is_some_and(|known| known.fault == Some(Fault::Bad))
    }

    /// Whether it is set, validly or not.
    pub(super) fn is_given(&self, variable: &str) -> bool {
        let origin = self.of(variable).map(|known| known.origin);
        matches!(origin, Some(Origin::Flag(_) | Origin::Variable(_)))
    }

    /// Whether it is set by its flag.
    pub(super) fn is_flag_given(&self, variable: &str) -> bool {
        self.of(variable).is_some_and(|known| matches!(known.origin, Origin::Flag(_)))
    }

    /// Whether it is set, and not to its default.
    pub(super) fn is_changed(&self, variable: &str) -> bool {
        self.of(variable).is_some_and(|known| known.is_changed)
    }

    fn of(&self, variable: &str) -> Option<&InForce> {
        let known = self.in_force.iter().find(|known| known.row.variable == variable);
        debug_assert!(known.is_some(), "{variable} is not in the table");
        known
    }

    /// The value in force, and where it comes from. An empty one counts as unset: templates produce
    /// such values.
    fn choose(&mut self, row: &'static Row) -> Option<(Origin, OsString)> {
        let shadowed: Vec<_> = self.flags.shadowed(row).collect();
        for other in shadowed {
            let first = row.flag;
            self.remark(format!("--{other} is given too, but not used: --{first} comes first."));
        }
        let given = self.by_flag(row).or_else(|| self.by_variable(row));
        given.or_else(|| match row.default {
            DefaultValue::Is(value) => Some((Origin::Default, value.into())),
            DefaultValue::Unset(words) => {
                let (origin, value) = (Origin::Unset(words), None);
                let unset = InForce { row, value, origin, fault: None, is_changed: false };
                self.in_force.push(unset);
                None
            }
        })
    }

    fn by_flag(&self, row: &Row) -> Option<(Origin, OsString)> {
        let (flag, value) = self.flags.value(row)?;
        Some((Origin::Flag(flag), trimmed(value.to_owned())?))
    }

    fn by_variable(&mut self, row: &Row) -> Option<(Origin, OsString)> {
        if self.is_shell && row.is_everyday {
            if self.set(row.variable).is_some() {
                self.remark(format!(
                    "{} is not read from the environment outside a pod: other programs use that name, too; \
                     give --{} if it is meant.",
                    row.variable, row.flag
                ));
            }
            return None;
        }
        let names = std::iter::once(row.variable).chain(row.aliases.iter().copied());
        let mut set = names.filter_map(|name| Some((name, self.set(name)?)));
        let (name, value) = set.next()?;
        let shadowed: Vec<_> = set.filter(|(_, other)| *other != value).collect();
        for (other, _) in shadowed {
            self.remark(format!("{other} is set too, but not used: {name} comes first."));
        }
        Some((Origin::Variable(name), value))
    }

    /// The value of an environment variable.
    pub(super) fn set(&self, name: &str) -> Option<OsString> {
        (self.variable)(name).and_then(trimmed)
    }

    /// Adds a remark for each name that has no effect here, if its value asks for something else than what
    /// is done anyway. Values are not printed: some are secrets.
    fn names_without_effect(&mut self) {
        for former in FORMER {
            let by_flag = self.flags.former(former).and_then(|value| trimmed(value.to_owned()));
            let is_variable = by_flag.is_none();
            let Some(value) = by_flag.or_else(|| self.set(former.variable)) else { continue };
            self.without_effect.push(former.variable);
            if former.is_as_here(&value) || is_variable && former.is_common {
                continue;
            }
            match former.effect {
                Effect::None(instead) => {
                    self.remark(format!("{} has no effect: {instead}.", former.variable));
                }
                Effect::Refused(words) => self.contradiction(words),
            }
        }
    }
}

//! Flag, environment, default: which of them a value comes from, and what it is.

use std::ffi::{OsStr, OsString};

use crate::settings::arguments::Flags;
use crate::settings::predecessors::{Effect, FORMER};
use crate::settings::problem::{Problem, shown};
use crate::settings::table::{DefaultValue, Row, Setting};
use crate::settings::{Given, Remark};

/// Where settings come from, and what was found on the way.
pub(super) struct Sources<'a> {
    flags: Flags,
    variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// What is wrong.
    pub(super) problems: Vec<Problem>,
    /// What is worth a word at start.
    pub(super) remarks: Vec<Remark>,
    /// What was given, by whatever means.
    pub(super) given: Vec<Given>,
}

impl<'a> Sources<'a> {
    /// The flags, and a way to look up environment variables.
    pub(super) fn new(mut flags: Flags, variable: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        let problems = std::mem::take(&mut flags.problems);
        Self { flags, variable, problems, remarks: Vec::new(), given: Vec::new() }
    }

    /// The value that is in force. `None` if it is unset, or if it is bad and has been noted as a
    /// problem.
    pub(super) fn value<T>(&mut self, setting: &Setting<T>) -> Option<T> {
        let (given_as, value) = self.choose(&setting.row)?;
        let parsed = value.to_str().and_then(setting.parse);
        if parsed.is_none() {
            let value = shown(&value);
            self.problems.push(Problem::BadValue { given_as, value, valid: setting.row.valid });
        }
        parsed
    }

    /// A value without which nothing goes: if it is unset, that is a problem, told in `words`.
    pub(super) fn required<T>(&mut self, setting: &Setting<T>, words: &'static str) -> Option<T> {
        let before = self.problems.len();
        let value = self.value(setting);
        if value.is_none() && self.problems.len() == before {
            self.problems.push(Problem::Missing(words));
        }
        value
    }

    /// Notes something for the log.
    pub(super) fn remark(&mut self, words: impl Into<String>) {
        self.remarks.push(Remark::new(words));
    }

    /// The flag or variable that decides, and its value. An empty one counts as unset: templates
    /// make such.
    fn choose(&mut self, row: &Row) -> Option<(String, OsString)> {
        let chosen = self.by_flag(row).or_else(|| self.by_variable(row));
        if let Some((given_as, value)) = &chosen {
            self.given.push(Given { given_as: given_as.clone(), value: shown(value) });
        }
        chosen.or_else(|| match row.default {
            DefaultValue::Is(value) => Some((format!("--{}", row.flag), value.into())),
            DefaultValue::Unset(_) => None,
        })
    }

    fn by_flag(&self, row: &Row) -> Option<(String, OsString)> {
        let value = self.flags.value(row).filter(|value| !value.is_empty())?;
        Some((format!("--{}", row.flag), value.to_owned()))
    }

    fn by_variable(&mut self, row: &Row) -> Option<(String, OsString)> {
        let names = || std::iter::once(&row.variable).chain(row.aliases);
        let mut set = names().filter_map(|name| Some((*name, self.set(name)?)));
        let (name, value) = set.next()?;
        let shadowed: Vec<_> = set.filter(|(_, other)| *other != value).collect();
        self.remarks.extend(shadowed.into_iter().map(|(other, _)| {
            Remark::new(format!("{other} is set too, but not used: {name} comes first."))
        }));
        Some((name.to_owned(), value))
    }

    fn set(&self, name: &str) -> Option<OsString> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// Remarks on names that change nothing here, where that makes a difference. Their values are
    /// not shown: some of them are secrets.
    pub(super) fn names_without_effect(&mut self) {
        for former in FORMER {
            let by_flag =
                self.flags.former(former).filter(|value| !value.is_empty()).map(OsStr::to_owned);
            let Some(value) = by_flag.or_else(|| self.set(former.variable)) else { continue };
            if former.is_as_here(&value) {
                continue;
            }
            match former.effect {
                Effect::None(instead) => {
                    self.remark(format!("{} has no effect: {instead}.", former.variable));
                }
                Effect::Refused(words) => self.problems.push(Problem::NotOffered(words)),
            }
        }
    }
}

//! Flag, environment, default: which of them a value comes from, and what it is.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};

use crate::settings::arguments::{Flags, trimmed};
use crate::settings::list::BadItem;
use crate::settings::overview::{Fault, InForce, Origin};
use crate::settings::predecessors::{Effect, FORMER};
use crate::settings::problem::{NOT_SHOWN, Problem, Unusable};
use crate::settings::table::{self, DefaultValue, Parse, Row, Setting, Stakes, rows};
use crate::settings::{Command, Given, Remark};

/// Where settings come from, and what was found on the way.
pub(super) struct Sources<'a> {
    flags: Flags,
    variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The variables are those of an operator's shell, not of a pod.
    is_shell: bool,
    /// What is wrong, and ends the program.
    pub(super) problems: Vec<Problem>,
    /// What is wrong, and is done without.
    pub(super) unusable: Vec<Unusable>,
    /// What is worth a word at start.
    pub(super) remarks: Vec<Remark>,
    /// What was given, by whatever means.
    pub(super) given: Vec<Given>,
    /// Every setting that was asked for.
    pub(super) in_force: Vec<InForce>,
    /// Names that are set and change nothing here.
    pub(super) without_effect: Vec<&'static str>,
}

impl<'a> Sources<'a> {
    /// The flags, and a way to look up environment variables.
    pub(super) fn new(mut flags: Flags, variable: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        let problems = std::mem::take(&mut flags.problems);
        // Kubernetes sets it in every pod.
        let is_pod =
            variable(table::KUBERNETES_SERVICE_HOST.row.variable).and_then(trimmed).is_some();
        let mut sources = Self {
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
        for problem in problems {
            match rows().find(|row| problem.is_of_flag(row.flag)) {
                Some(row) => sources.wrong(row, problem),
                None => sources.problems.push(problem),
            }
        }
        sources
    }

    /// The value that is in force. `None` if it is unset, or if it is bad and has been noted so. Where
    /// the handler does without a bad value, its default is in force.
    pub(super) fn value<T>(&mut self, setting: &Setting<T>) -> Option<T> {
        // There is one of this for each type, so what it calls does most of it.
        let (origin, value) = self.choose_or_note(&setting.row)?;
        match read(&setting.parse, &value) {
            Ok(parsed) => {
                self.note(&setting.row, origin, &value, None);
                Some(parsed)
            }
            Err(bad) => {
                self.note(&setting.row, origin, &value, Some(bad));
                match setting.row.default {
                    DefaultValue::Is(default) if !self.decides(&setting.row) => {
                        read(&setting.parse, OsStr::new(default)).ok()
                    }
                    _ => None,
                }
            }
        }
    }

    /// Whether a bad value ends the program.
    fn decides(&self, row: &Row) -> bool {
        match row.stakes {
            Stakes::Pods => true,
            Stakes::ByHand => self.flags.command != Command::Run,
            Stakes::Reports(_) => false,
        }
    }

    /// Notes what is wrong with a setting: it ends the program, or is done without.
    pub(super) fn wrong(&mut self, row: &Row, problem: Problem) {
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

    /// Notes what is wrong and ends nothing. `instead`: what holds in its place, as a clause.
    pub(super) fn done_without(&mut self, problem: Problem, instead: impl Into<Cow<'static, str>>) {
        self.unusable.push(Unusable { problem, instead: instead.into() });
    }

    /// Whether a setting that was read has a value that is not valid.
    pub(super) fn is_bad(&self, row: &Row) -> bool {
        let mut read = self.in_force.iter();
        read.any(|known| known.name == row.variable && known.fault == Some(Fault::Bad))
    }

    fn choose_or_note(&mut self, row: &Row) -> Option<(Origin, OsString)> {
        let chosen = self.choose(row);
        if chosen.is_none() {
            let origin = match row.default {
                DefaultValue::Unset(words) => Origin::Unset(words),
                DefaultValue::Is(_) => Origin::Default,
            };
            self.in_force.push(InForce { name: row.variable, value: None, origin, fault: None });
        }
        chosen
    }

    /// Notes what was given, and what is wrong with it.
    fn note(&mut self, row: &Row, origin: Origin, value: &OsStr, bad: Option<Bad>) {
        let shown = match bad {
            // Anything may have been put where a node's name belongs.
            Some(_) if self.flags.is_positional(row) => NOT_SHOWN.to_owned(),
            _ => row.shown(value),
        };
        let given_as = match origin {
            Origin::Variable(name) => name.to_owned(),
            Origin::Flag(flag) => format!("--{flag}"),
            _ => format!("--{}", row.flag),
        };
        if matches!(origin, Origin::Flag(_) | Origin::Variable(_)) {
            self.given.push(Given { given_as: given_as.clone(), value: shown.clone() });
        }
        let fault = bad.is_some().then_some(Fault::Bad);
        let (value, valid) = (shown.clone(), row.valid);
        match bad {
            None => {}
            Some(Bad::Value) => self.wrong(row, Problem::BadValue { given_as, value, valid }),
            Some(Bad::Explained(why)) => self.wrong(row, Problem::Explained { given_as, why }),
            Some(Bad::Items(items)) => {
                for item in items {
                    let (given_as, value) = (given_as.clone(), value.clone());
                    self.wrong(row, Problem::BadItem { given_as, value, item, valid });
                }
            }
        }
        let value = Some(Cow::Owned(shown));
        self.in_force.push(InForce { name: row.variable, value, origin, fault });
    }

    /// What was made of this setting and others, for those who want to know what is in force.
    pub(super) fn made(&mut self, row: &Row, value: String, origin: Option<Origin>) {
        if let Some(setting) = self.in_force.iter_mut().find(|known| known.name == row.variable) {
            setting.value = Some(Cow::Owned(value));
            setting.origin = origin.unwrap_or(setting.origin);
        }
    }

    /// Notes that a setting is needed and unset; `words` tell what that means and what to do.
    pub(super) fn missing(&mut self, row: &Row, words: &'static str) {
        self.wrong(row, Problem::Missing(words));
        if let Some(setting) = self.in_force.iter_mut().find(|known| known.name == row.variable) {
            setting.fault = Some(Fault::Missing);
        }
    }

    /// Whether somebody gave it a value, good or bad.
    pub(super) fn is_given(&self, row: &Row) -> bool {
        self.given_to(row).is_some()
    }

    /// Whether somebody gave it a value by its flag.
    pub(super) fn is_flag_given(&self, row: &Row) -> bool {
        self.by_flag(row).is_some()
    }

    /// Whether somebody gave it another value than it has anyway.
    pub(super) fn is_changed(&self, row: &Row) -> bool {
        self.given_to(row).is_some_and(|value| match row.default {
            DefaultValue::Is(default) => value != default,
            DefaultValue::Unset(_) => true,
        })
    }

    fn given_to(&self, row: &Row) -> Option<OsString> {
        let by_flag = self.by_flag(row).map(|(_, value)| value);
        by_flag.or_else(|| self.names(row).find_map(|name| self.set(name)))
    }

    /// A value without which nothing goes: if it is unset, that is a problem, told in `words`.
    pub(super) fn required<T>(&mut self, setting: &Setting<T>, words: &'static str) -> Option<T> {
        let before = self.problems.len();
        let value = self.value(setting);
        if value.is_none() && self.problems.len() == before {
            self.missing(&setting.row, words);
        }
        value
    }

    /// Notes that settings do not go together, in words.
    pub(super) fn contradiction(&mut self, words: impl Into<String>) {
        self.problems.push(Problem::Contradiction(words.into()));
    }

    /// Notes something for the log.
    pub(super) fn remark(&mut self, words: impl Into<String>) {
        self.remarks.push(Remark::new(words));
    }

    /// The value that decides, and where it comes from. An empty one counts as unset: templates make
    /// such.
    fn choose(&mut self, row: &Row) -> Option<(Origin, OsString)> {
        let shadowed: Vec<_> = self.flags.shadowed(row).collect();
        for other in shadowed {
            self.remark(format!(
                "--{other} is given too, but not used: --{} comes first.",
                row.flag
            ));
        }
        self.by_flag(row).or_else(|| self.by_variable(row)).or_else(|| match row.default {
            DefaultValue::Is(value) => Some((Origin::Default, value.into())),
            DefaultValue::Unset(_) => None,
        })
    }

    fn by_flag(&self, row: &Row) -> Option<(Origin, OsString)> {
        let (flag, value) = self.flags.value(row)?;
        Some((Origin::Flag(flag), trimmed(value.to_owned())?))
    }

    fn by_variable(&mut self, row: &Row) -> Option<(Origin, OsString)> {
        if self.is_shell && row.is_everyday && self.is_set(row.variable) {
            self.remark(format!(
                "{} is not read from the environment outside a pod: other programs use that name, too; \
                 give --{} if it is meant.",
                row.variable, row.flag
            ));
        }
        let mut set = self.names(row).filter_map(|name| Some((name, self.set(name)?)));
        let (name, value) = set.next()?;
        let shadowed: Vec<_> = set.filter(|(_, other)| *other != value).collect();
        for (other, _) in shadowed {
            self.remark(format!("{other} is set too, but not used: {name} comes first."));
        }
        Some((Origin::Variable(name), value))
    }

    /// The environment variables of a setting that are read, the first first.
    fn names(&self, row: &Row) -> impl Iterator<Item = &'static str> + use<> {
        let aliases = row.aliases.iter().copied();
        let is_read = !(self.is_shell && row.is_everyday);
        std::iter::once(row.variable).chain(aliases).filter(move |_| is_read)
    }

    /// Whether there is this variable.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.set(name).is_some()
    }

    fn set(&self, name: &str) -> Option<OsString> {
        (self.variable)(name).and_then(trimmed)
    }

    /// Remarks on names that change nothing here, where that makes a difference. Their values are
    /// not shown: some of them are secrets.
    pub(super) fn names_without_effect(&mut self) {
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
                Effect::Refused(words) => self.problems.push(Problem::NotOffered(words)),
            }
        }
    }
}

/// What is not valid.
enum Bad {
    /// The value.
    Value,
    /// The value, for this reason.
    Explained(String),
    /// These items of it.
    Items(Vec<BadItem>),
}

/// What `value` says.
fn read<T>(parse: &Parse<T>, value: &OsStr) -> Result<T, Bad> {
    match (parse, value.to_str()) {
        (Parse::One(parse), Some(text)) => parse(text).ok_or(Bad::Value),
        (Parse::Items(parse), Some(text)) => parse(text).map_err(Bad::Items),
        (Parse::Explained(parse), Some(text)) => parse(text).map_err(Bad::Explained),
        (_, None) => Err(Bad::Value),
    }
}

//! The command line, taken apart. What the values mean is not yet asked.

use std::ffi::{OsStr, OsString};

use lexopt::{Arg, Parser};

use crate::settings::predecessors::Former;
use crate::settings::problem::{Problem, nearest, shown};
use crate::settings::table::{NODE_NAME, OUTPUT, Row, rows};
use crate::settings::{Command, Output};

/// What the command line asks for.
#[derive(Debug)]
pub(super) enum Asked {
    /// `--help`, wherever it stands.
    Help,
    /// `--version`, wherever it stands.
    Version,
    /// To run with these flags, or to tell what that would be.
    Run(Flags),
}

/// The flags given.
#[derive(Debug, Default)]
pub(super) struct Flags {
    /// Name of the flag and its value, in their order.
    given: Vec<(&'static str, OsString)>,
    /// Flags of the predecessors that change nothing here.
    former: Vec<(&'static str, OsString)>,
    /// The first of the arguments, if that is no flag.
    pub(super) command: Command,
    /// `--print-settings`: say what is in force, and do nothing.
    pub(super) print: bool,
    /// What could not be understood.
    pub(super) problems: Vec<Problem>,
}

impl Flags {
    /// The value of `row`'s flag; the last one, if it was given twice.
    pub(super) fn value(&self, row: &Row) -> Option<&OsStr> {
        last(&self.given, row.flag)
    }

    /// How it is printed what was found, whatever else is wrong.
    pub(super) fn output(&self, variable: &dyn Fn(&str) -> Option<OsString>) -> Output {
        let row = &OUTPUT.row;
        let given = self.value(row).filter(|value| !value.is_empty()).map(OsStr::to_owned);
        match given.or_else(|| variable(row.variable)) {
            Some(form) if form == "json" => Output::Json,
            _ => Output::Text,
        }
    }

    /// The value of a predecessor's flag.
    pub(super) fn former(&self, former: &Former) -> Option<&OsStr> {
        last(&self.former, former.variable)
    }
}

fn last<'a>(given: &'a [(&'static str, OsString)], name: &str) -> Option<&'a OsStr> {
    given.iter().rev().find(|(flag, _)| *flag == name).map(|(_, value)| value.as_os_str())
}

/// Takes the arguments (without the program's name) apart.
pub(super) fn read(arguments: impl IntoIterator<Item = OsString>) -> Asked {
    let mut parser = Parser::from_args(arguments);
    let mut flags = Flags::default();
    // The value of an unknown flag is not a second mistake.
    let mut follows_unknown = false;
    let mut is_first_argument = true;
    let mut names_node = false;
    loop {
        let argument = match parser.next() {
            Ok(Some(argument)) => argument,
            Ok(None) => return Asked::Run(flags),
            Err(error) => {
                let argument = shown(OsStr::new(&error.to_string()));
                flags.problems.push(Problem::Unexpected { argument });
                return Asked::Run(flags);
            }
        };
        let after_unknown = std::mem::take(&mut follows_unknown);
        let is_first = std::mem::take(&mut is_first_argument);
        match argument {
            Arg::Long("help") | Arg::Short('h') => return Asked::Help,
            Arg::Long("version") | Arg::Short('V') => return Asked::Version,
            Arg::Long("print-settings") => flags.print = true,
            Arg::Long(name) => match Long::of(name) {
                Long::Ours(row) => match value(&mut parser, row.placeholder.is_none()) {
                    Some(value) => flags.given.push((row.flag, value)),
                    None => flags.problems.push(no_value(row)),
                },
                Long::Former(former) => {
                    let value = value(&mut parser, former.is_switch).unwrap_or_default();
                    flags.former.push((former.variable, value));
                }
                Long::Unknown(problem) => {
                    flags.problems.push(problem);
                    follows_unknown = parser.optional_value().is_none();
                }
            },
            Arg::Short(letter) => {
                // A long flag with one dash comes as its first letter and the rest.
                let rest = parser.optional_value().unwrap_or_default();
                let name = format!("{letter}{}", rest.to_string_lossy());
                let flag = format!("-{}", shown(OsStr::new(&name)));
                let near = nearest(name.split('=').next().unwrap_or_default());
                flags.problems.push(Problem::UnknownFlag { flag, near });
                follows_unknown = true;
            }
            Arg::Value(_) if after_unknown => {}
            Arg::Value(value) if is_first && command(&value).is_some() => {
                flags.command = command(&value).unwrap_or_default();
            }
            Arg::Value(value) if flags.command.takes_node() && !names_node => {
                names_node = true;
                flags.given.push((NODE_NAME.row.flag, value));
            }
            Arg::Value(value) => {
                flags.problems.push(Problem::Unexpected { argument: shown(&value) });
            }
        }
    }
}

fn command(word: &OsStr) -> Option<Command> {
    Command::ALL.into_iter().find(|(name, _)| word == *name).map(|(_, command)| command)
}

/// What a long flag is.
enum Long {
    Ours(&'static Row),
    Former(&'static Former),
    Unknown(Problem),
}

impl Long {
    fn of(name: &str) -> Self {
        let ours = rows().find(|row| row.flag == name).map(Self::Ours);
        ours.or_else(|| Former::by_flag(name).map(Self::Former)).unwrap_or_else(|| {
            let flag = format!("--{}", shown(OsStr::new(name)));
            Self::Unknown(Problem::UnknownFlag { flag, near: nearest(name) })
        })
    }
}

fn no_value(row: &Row) -> Problem {
    Problem::NoValue { flag: row.flag, valid: row.valid }
}

/// The value of the flag just read: after `=`, or for all but a switch the next argument.
fn value(parser: &mut Parser, switch: bool) -> Option<OsString> {
    if switch {
        return Some(parser.optional_value().unwrap_or_else(|| OsString::from("true")));
    }
    parser.value().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::table;

    fn asked(arguments: &[&str]) -> Asked {
        read(arguments.iter().map(OsString::from))
    }

    fn flags(arguments: &[&str]) -> Flags {
        match asked(arguments) {
            Asked::Run(flags) => flags,
            other => panic!("{other:?}"),
        }
    }

    fn problems(arguments: &[&str]) -> Vec<String> {
        flags(arguments).problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_value_follows_or_stands_behind_the_equals_sign() {
        for arguments in
            [&["--workers", "8"][..], &["--workers=8"], &["--workers=4", "--workers", "8"]]
        {
            let flags = flags(arguments);
            assert_eq!(flags.value(&table::WORKERS.row), Some(OsStr::new("8")), "{arguments:?}");
            assert_eq!(flags.problems, []);
        }
        let negative = flags(&["--pod-termination-grace-period", "-1"]);
        let row = &table::POD_TERMINATION_GRACE_PERIOD.row;
        assert_eq!(negative.value(row), Some(OsStr::new("-1")));
    }

    #[test]
    fn a_switch_may_stand_alone() {
        let row = &table::DRY_RUN.row;
        assert_eq!(flags(&["--dry-run"]).value(row), Some(OsStr::new("true")));
        assert_eq!(flags(&["--dry-run=false"]).value(row), Some(OsStr::new("false")));
        assert_eq!(
            problems(&["--dry-run", "false"]),
            ["\"false\" is not a flag; the value of a switch is given as --dry-run=false"]
        );
    }

    #[test]
    fn a_command_stands_at_the_beginning_only() {
        for (word, command) in Command::ALL {
            assert_eq!(flags(&[word, "--workers", "8"]).command, command);
        }
        assert_eq!(flags(&["--workers", "8"]).command, Command::Run);
        assert_eq!(problems(&["--dry-run", "look"]).len(), 1);
        assert_eq!(problems(&["look", "look"]).len(), 1);
        assert_eq!(problems(&["dran"]).len(), 1);
    }

    #[test]
    fn some_commands_are_told_the_node() {
        let flags = flags(&["drain", "--workers", "8", "n1"]);
        assert_eq!(flags.value(&NODE_NAME.row), Some(OsStr::new("n1")));
        assert_eq!(problems(&["drain", "n1", "n2"]).len(), 1);
        assert_eq!(problems(&["run", "n1"]).len(), 1);
    }

    #[test]
    fn help_and_version_win_over_mistakes_before_them() {
        assert!(matches!(asked(&["--nonsense", "--help"]), Asked::Help));
        assert!(matches!(asked(&["-h"]), Asked::Help));
        assert!(matches!(asked(&["--version", "--nonsense"]), Asked::Version));
        assert!(matches!(asked(&["-V"]), Asked::Version));
    }

    #[test]
    fn to_print_the_settings_goes_with_any_flag() {
        assert!(!flags(&["--dry-run"]).print);
        let both = flags(&["--print-settings", "--workers=8"]);
        assert!(both.print && both.value(&table::WORKERS.row).is_some());
        assert_eq!(problems(&["--print-settings=yes"]).len(), 1);
        assert!(matches!(asked(&["--print-settings", "--help"]), Asked::Help));
    }

    #[test]
    fn every_mistake_is_named() {
        assert_eq!(
            problems(&["--ignore-daemonsets", "--foo=1", "--bar", "2", "-x", "run", "--workers"]),
            [
                "there is no flag --ignore-daemonsets; did you mean --ignore-daemon-sets?",
                "there is no flag --foo",
                "there is no flag --bar",
                "there is no flag -x",
                "--workers came without a value; valid is a whole number from 1 to 256",
            ]
        );
        assert_eq!(
            problems(&["-node-name=a"]),
            ["there is no flag -node-name=a; did you mean --node-name?"]
        );
        assert_eq!(problems(&["--dry-run", "run"]).len(), 1);
    }

    #[test]
    fn flags_of_the_predecessors_are_no_mistakes() {
        let flags = flags(&["--kube-api-qps", "5", "--use-apiserver-cache", "--metadata-tries=3"]);
        assert_eq!(flags.problems, []);
        let former = Former::by_flag("kube-api-qps").unwrap();
        assert_eq!(flags.former(former), Some(OsStr::new("5")));
    }
}

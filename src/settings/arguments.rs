//! The command line, split into flags and their values, which are not parsed yet.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use crate::excerpt::is_hidden;
use crate::settings::predecessors::Former;
use crate::settings::table::{Row, row, rows};
use crate::settings::{Command, Output, value};

/// The command line.
#[derive(Debug)]
pub(super) enum CommandLine {
    /// `--help`, at any position.
    Help,
    /// `--version`, at any position.
    Version,
    /// A command with these flags.
    Run(Flags),
}

/// The flags.
#[derive(Default)]
pub(super) struct Flags {
    /// Names and values, in their order.
    given: Vec<(&'static str, OsString)>,
    /// Flags of other handlers that have no effect here.
    former: Vec<(&'static str, OsString)>,
    /// The node is named by a positional argument.
    is_node_positional: bool,
    /// The first argument, unless it is a flag.
    pub(super) command: Command,
    /// `--print-settings`.
    pub(super) print: bool,
    /// What could not be understood, and the setting it belongs to, if that is known.
    pub(super) problems: Vec<(Option<&'static Row>, String)>,
}

impl fmt::Debug for Flags {
    /// Without values: some are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.given.iter().chain(&self.former).map(|(name, _)| name);
        f.debug_set().entries(names).entries(&self.problems).finish()
    }
}

impl Flags {
    /// The value of `row`'s flag, and which of its names was used. The last one counts.
    pub(super) fn value(&self, row: &Row) -> Option<(&'static str, &OsStr)> {
        row.flags().find_map(|flag| Some((flag, last(&self.given, flag)?)))
    }

    /// Other names of `row`'s flag that are given with another value, which does not count.
    pub(super) fn shadowed(&self, row: &Row) -> impl Iterator<Item = &'static str> {
        let first = self.value(row);
        row.flags().filter(move |flag| {
            let value = last(&self.given, flag);
            first.is_some_and(|(name, first)| name != *flag && value.is_some_and(|v| v != first))
        })
    }

    /// Whether `row` is set by a positional argument.
    pub(super) fn is_positional(&self, row: &Row) -> bool {
        self.is_node_positional && row.flag == NODE_NAME
    }

    /// The format of the output, whatever else is wrong.
    pub(super) fn output(&self, variable: &dyn Fn(&str) -> Option<OsString>) -> Output {
        let output = self.early("K8S_SPOT_HANDLER_OUTPUT", variable);
        let output = output.and_then(|form| value::output(&form));
        output.unwrap_or(Output::Text)
    }

    /// Whether the log is JSON, whatever else is wrong.
    pub(super) fn logs_json(&self, variable: &dyn Fn(&str) -> Option<OsString>) -> bool {
        let json = self.early("JSON_LOGGING", variable).and_then(|text| value::truth(&text));
        json.unwrap_or(false)
    }

    fn early(&self, name: &str, variable: &dyn Fn(&str) -> Option<OsString>) -> Option<String> {
        let row = row(name)?;
        let flag = self.value(row).and_then(|(_, value)| trimmed(value.to_owned()));
        flag.or_else(|| variable(row.variable).and_then(trimmed))?.into_string().ok()
    }

    fn set(&mut self, row: &'static Row, flag: &'static str, value: Option<OsString>) {
        if let Some(value) = value {
            self.given.push((flag, value));
        } else {
            let words = format!("--{flag} came without a value; valid is {}", row.valid);
            self.problems.push((Some(row), words));
        }
    }

    fn wrong(&mut self, words: impl Into<String>) {
        self.problems.push((None, words.into()));
    }

    /// The value of another handler's flag.
    pub(super) fn former(&self, former: &Former) -> Option<&OsStr> {
        last(&self.former, former.variable)
    }
}

/// The flag that a positional argument stands for.
const NODE_NAME: &str = "node-name";

fn last<'a>(given: &'a [(&'static str, OsString)], name: &str) -> Option<&'a OsStr> {
    given.iter().rev().find(|(flag, _)| *flag == name).map(|(_, value)| value.as_os_str())
}

/// A value without leading and trailing white space, which Secrets and files end with. `None` if
/// nothing is left: templates produce empty values.
pub(super) fn trimmed(value: OsString) -> Option<OsString> {
    let value = match value.to_str() {
        Some(text) if text.trim() != text => OsString::from(text.trim()),
        _ => value,
    };
    (!value.is_empty()).then_some(value)
}

/// Splits the arguments (without the program's name). Flags are written as for programs in Go,
/// aws-node-termination-handler among them: with one dash or two, and the value after `=` or as the next
/// argument.
pub(super) fn read(arguments: impl IntoIterator<Item = OsString>) -> CommandLine {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let count = arguments.len();
    let mut rest = arguments.into_iter();
    let mut flags = Flags::default();
    // The value of an unknown flag is no second problem.
    let mut follows_unknown = false;
    let mut takes_flags = true;
    while let Some(argument) = rest.next() {
        let position = count - rest.len();
        let after_unknown = std::mem::take(&mut follows_unknown);
        let Some((dashes, name, value)) = flag(&argument).filter(|_| takes_flags) else {
            match command(&argument).filter(|_| position == 1) {
                _ if argument == "--" && takes_flags => takes_flags = false,
                _ if after_unknown => {}
                Some(command) => flags.command = command,
                None if flags.command.takes_node() && !flags.is_node_positional => {
                    flags.is_node_positional = true;
                    flags.given.push((NODE_NAME, argument));
                }
                None => flags.wrong(unexpected(position, &argument)),
            }
            continue;
        };
        let mut value_of = |is_switch: bool| {
            let alone = || if is_switch { Some("true".into()) } else { rest.next() };
            value.clone().or_else(alone)
        };
        match &*name {
            "help" | "h" => return CommandLine::Help,
            "version" | "V" => return CommandLine::Version,
            "print-settings" => match value_of(true).and_then(|v| value::truth(v.to_str()?)) {
                Some(print) => flags.print = print,
                None => flags.wrong("--print-settings: it takes no value"),
            },
            _ => {
                let mut names = rows().flat_map(|row| row.flags().map(move |flag| (row, flag)));
                if let Some((row, flag)) = names.find(|(_, flag)| *flag == name) {
                    flags.set(row, flag, value_of(row.placeholder.is_none()));
                } else if let Some(former) = Former::by_flag(&name) {
                    let value = value_of(former.is_switch).unwrap_or_default();
                    flags.former.push((former.variable, value));
                } else {
                    flags.wrong(unknown(position, dashes, &name));
                    follows_unknown = value.is_none();
                }
            }
        }
    }
    CommandLine::Run(flags)
}

/// The dashes of a flag, its name, and what follows `=`. `None` if the argument is no flag.
fn flag(argument: &OsStr) -> Option<(&'static str, String, Option<OsString>)> {
    let bytes = argument.as_bytes();
    let long = bytes.strip_prefix(b"--").map(|rest| ("--", rest));
    let (dashes, flag) = long.or_else(|| bytes.strip_prefix(b"-").map(|rest| ("-", rest)))?;
    let mut parts = flag.splitn(2, |byte| *byte == b'=');
    let name = parts.next().filter(|_| !flag.is_empty())?;
    let value = parts.next().map(|value| OsStr::from_bytes(value).to_owned());
    Some((dashes, String::from_utf8_lossy(name).into_owned(), value))
}

fn command(word: &OsStr) -> Option<Command> {
    Command::ALL.into_iter().find(|(name, _)| word == *name).map(|(_, command)| command)
}

/// The problem of a flag that does not exist. Its name is printed unless it may contain a secret.
fn unknown(position: usize, dashes: &str, name: &str) -> String {
    let which = match shown_flag(dashes, name) {
        Some(flag) => format!("there is no flag {flag}"),
        None => format!(
            "argument {position} is no flag of this program; it is not shown, because it may hold a secret"
        ),
    };
    match nearest(name) {
        Some(near) => format!("{which}; did you mean --{near}?"),
        None => which,
    }
}

/// The problem of an argument that is neither a flag nor the value of one.
fn unexpected(position: usize, argument: &OsStr) -> String {
    const SWITCH: &str = "the value of a switch is given as --dry-run=false";
    let commands = || Command::ALL.into_iter().map(|(name, _)| name);
    let near = argument.to_str().filter(|text| position == 1 && text.len() <= LONGEST_COMMAND);
    if let Some(near) = near.and_then(|text| nearest_of(text, commands())) {
        return format!("argument {position} is no command; did you mean {near}?");
    }
    let truths = ["true", "false", "yes", "no", "on", "off", "0", "1"];
    match truths.into_iter().chain(commands()).find(|known| argument == *known) {
        Some(word) => format!("\"{word}\" is not a flag; {SWITCH}"),
        None => format!(
            "argument {position} is neither a flag nor the value of one; it is not shown, because it may \
             hold a secret; {SWITCH}"
        ),
    }
}

/// Twice the length of a command: anything longer is no mistyped one.
const LONGEST_COMMAND: usize = 14;

/// The name of a flag that does not exist, if it may be printed: words joined by hyphens. Anything else
/// may be a value, as in `-pPASSWORD`.
fn shown_flag(dashes: &str, name: &str) -> Option<String> {
    let is_word = |word: &str| {
        !word.is_empty()
            && word.len() <= LONGEST_WORD
            && word.bytes().all(|b| b.is_ascii_alphabetic())
    };
    let is_short = name.len() == 1 && name.is_ascii() && !name.contains(is_hidden);
    let is_long = dashes.len() > 1 || name.contains('-');
    // Letters alone may be a value too: only what is near a flag, and not a flag with a suffix, is printed.
    let is_near = || nearest(name).is_some_and(|flag| !name.to_ascii_lowercase().starts_with(flag));
    let is_name = || is_long && name.split(['-', '_']).all(is_word) && is_near();
    (is_short || is_name()).then(|| format!("{dashes}{name}"))
}

/// Anything longer is no mistyped flag.
const LONGEST_NAME: usize = 64;

/// The longest word in a flag's name.
const LONGEST_WORD: usize = 16;

/// The flag that was most likely meant by `name` (without dashes): the nearest, if at most a third of
/// it differs.
fn nearest(name: &str) -> Option<&'static str> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let name = name.to_ascii_lowercase().replace('_', "-");
    nearest_of(&name, rows().flat_map(Row::flags))
}

/// The nearest of these, if at most a third of it differs.
fn nearest_of(word: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    // The distance is at least the difference of the lengths.
    let is_near = |known: &&str| known.len().abs_diff(word.len()) <= known.len() / 3;
    known
        .filter(is_near)
        .map(|known| (distance(word, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len() / 3)
        .map(|(_, known)| known)
}

/// The Levenshtein distance in bytes. A crate for it would be one more in a process that may evict
/// every pod, for a hint.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (above, b) in row.iter_mut().skip(1).zip(to.bytes()) {
            let change = diagonal + usize::from(a != b);
            diagonal = *above;
            left = change.min(*above + 1).min(left + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(arguments: &[&str]) -> CommandLine {
        read(arguments.iter().map(OsString::from))
    }

    fn flags(arguments: &[&str]) -> Flags {
        match asked(arguments) {
            CommandLine::Run(flags) => flags,
            other => panic!("{other:?}"),
        }
    }

    fn value<'a>(flags: &'a Flags, row: &Row) -> Option<&'a str> {
        flags.value(row)?.1.to_str()
    }

    fn problems(arguments: &[&str]) -> Vec<String> {
        flags(arguments).problems.iter().map(|(_, problem)| problem.clone()).collect()
    }

    #[test]
    fn a_value_follows_or_stands_behind_the_equals_sign() {
        for arguments in
            [&["--cluster", "a"][..], &["--cluster=a"], &["--cluster=b", "--cluster", "a"]]
        {
            let flags = flags(arguments);
            assert_eq!(value(&flags, row("CLUSTER").unwrap()), Some("a"), "{arguments:?}");
            assert!(flags.problems.is_empty());
        }
        let negative = flags(&["--pod-termination-grace-period", "-1"]);
        let row = row("POD_TERMINATION_GRACE_PERIOD").unwrap();
        assert_eq!(value(&negative, row), Some("-1"));
    }

    #[test]
    fn a_switch_may_stand_alone() {
        let row = row("DRY_RUN").unwrap();
        assert_eq!(value(&flags(&["--dry-run"]), row), Some("true"));
        assert_eq!(value(&flags(&["--dry-run=false"]), row), Some("false"));
        assert_eq!(
            problems(&["--dry-run", "false"]),
            ["\"false\" is not a flag; the value of a switch is given as --dry-run=false"]
        );
    }

    #[test]
    fn a_command_stands_at_the_beginning_only() {
        for (word, command) in Command::ALL {
            assert_eq!(flags(&[word, "--cluster", "a"]).command, command);
        }
        assert_eq!(flags(&["--cluster", "a"]).command, Command::Run);
        assert_eq!(problems(&["--dry-run", "check"]).len(), 1);
        assert_eq!(problems(&["run", "run"]).len(), 1);
        assert_eq!(problems(&["dran"]), ["argument 1 is no command; did you mean drain?"]);
        assert_eq!(problems(&["--dry-run", "dran"]).len(), 1);
    }

    #[test]
    fn some_commands_are_told_the_node() {
        let flags = flags(&["drain", "--cluster", "a", "n1"]);
        assert_eq!(value(&flags, row("NODE_NAME").unwrap()), Some("n1"));
        assert_eq!(problems(&["drain", "n1", "n2"]).len(), 1);
        assert_eq!(problems(&["run", "n1"]).len(), 1);
    }

    #[test]
    fn help_and_version_win_over_mistakes_before_them() {
        assert!(matches!(asked(&["--nonsense", "--help"]), CommandLine::Help));
        assert!(matches!(asked(&["-h"]), CommandLine::Help));
        assert!(matches!(asked(&["--version", "--nonsense"]), CommandLine::Version));
        assert!(matches!(asked(&["-V"]), CommandLine::Version));
    }

    #[test]
    fn to_print_the_settings_goes_with_any_flag() {
        assert!(!flags(&["--dry-run"]).print);
        let both = flags(&["--print-settings", "--cluster=a"]);
        assert!(both.print && both.value(row("CLUSTER").unwrap()).is_some());
        assert_eq!(problems(&["--print-settings=yes"]).len(), 1);
        assert!(matches!(asked(&["--print-settings", "--help"]), CommandLine::Help));
    }

    #[test]
    fn every_mistake_is_named() {
        assert_eq!(
            problems(&[
                "--ignore-daemonsets",
                "--foo=1",
                "--bar",
                "2",
                "-x",
                "run",
                "--safety-margin"
            ]),
            [
                "there is no flag --ignore-daemonsets; did you mean --ignore-daemon-sets?",
                "argument 2 is no flag of this program; it is not shown, because it may hold a secret",
                "argument 3 is no flag of this program; it is not shown, because it may hold a secret",
                "there is no flag -x",
                "--safety-margin came without a value; valid is a duration with its unit from 0s to \
                 1h, such as 500ms or 2s",
            ]
        );
        assert_eq!(
            problems(&["-pod-nam=a", "-nodname=a"]),
            [
                "there is no flag -pod-nam; did you mean --pod-name?",
                "argument 2 is no flag of this program; it is not shown, because it may hold a \
                 secret; did you mean --node-name?",
            ]
        );
        assert_eq!(problems(&["--dry-run", "run"]).len(), 1);
    }

    #[test]
    fn flags_of_the_predecessors_are_no_mistakes() {
        let flags = flags(&["--kube-api-qps", "5", "--use-apiserver-cache", "--metadata-tries=3"]);
        assert!(flags.problems.is_empty());
        let former = Former::by_flag("kube-api-qps").unwrap();
        assert_eq!(flags.former(former), Some(OsStr::new("5")));
    }

    #[test]
    fn distances() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn a_slip_finds_its_flag_and_nonsense_finds_none() {
        assert_eq!(nearest("ignore-daemonsets"), Some("ignore-daemon-sets"));
        assert_eq!(nearest("POLL_INTERVAL"), Some("poll-interval"));
        assert_eq!(nearest("clusters"), Some("cluster"));
        assert_eq!(nearest("nodename"), Some("node-name"));
        assert_eq!(nearest("frobnicate"), None);
        assert_eq!(nearest(""), None);
        assert_eq!(nearest(&"cluster".repeat(1000)), None);
    }
}

//! What `--help` and `--print-settings` print, made from the table.

use std::ffi::OsString;
use std::fmt::{self, Write};

use crate::settings::BadSettings;
use crate::settings::arguments::Flags;
use crate::settings::lookup::{Fault, InForce, Lookup};
use crate::settings::settle::{parse, refused};
use crate::settings::table::{DefaultValue, GROUPS, Row};

/// What `--help` prints.
pub fn help() -> String {
    let mut text = String::from(INTRODUCTION);
    for group in GROUPS {
        text.push_str(group.title);
        text.push_str(":\n");
        for row in group.rows {
            // Writing to a String does not fail.
            let _ = describe(&mut text, row);
        }
        text.push('\n');
    }
    text.push_str(OTHERS);
    text
}

const INTRODUCTION: &str = concat!(
    "k8s-spot-handler ",
    env!("CARGO_PKG_VERSION"),
    "
Polls the EC2 metadata service for notices that this Kubernetes node is to go, marks the node and
gets its pods off it in time.

Usage: k8s-spot-handler [COMMAND] [FLAG]...

Each setting is a flag and an environment variable. The flag comes first, then the variable, then
the default. Durations have units: 500ms, 90s, 2m, 1m30s.

"
);

const OTHERS: &str = "Instead of running:
  -h, --help
        this text
  -V, --version
        name and version
  --print-settings
        what is in force with these flags and this environment, and where it comes from; what is
        wrong is said on standard error, with exit status 64
  run
        what is done without a command
  check [NODE]
        see whether everything is there that a drain needs, and say what to do where it is not:
        exit status 0 if so, 69 if metadata service or API server fail, 78 if settings,
        permissions, token or node are wrong
  plan [NODE]
        what would become of each pod if the notice came now, --deadline before the end; asks, and
        changes nothing: exit status 0 if no pod would be lost, 1 if one would, 69 if that cannot be
        found out
  drain [NODE]
        cordon the node and evict its pods, now: exit status 0 if all that were to go are gone, 1 if
        some are left after --deadline, 69 if the API server cannot be asked; budgets and graces are
        kept, unless --budget-override=at-deadline is given; pods without a controller and with
        emptyDir volumes go, too, unless --drain-unmanaged=false, --delete-local-data=false
  restore [NODE]
        take back what drain, or this program for a notice, has done to the node

Exit status: 0 when told to end, by SIGTERM or SIGINT. Before anything is done: 64 for bad settings,
71 where the system gives no thread or no socket to begin with. Nothing else ends it.
";

fn describe(text: &mut String, row: &Row) -> std::fmt::Result {
    write!(text, "  --{}", row.flag)?;
    match row.placeholder {
        Some(placeholder) => write!(text, " {placeholder}")?,
        None => text.push_str("[=BOOL]"),
    }
    write!(text, ", {}", row.variable)?;
    for alias in row.aliases {
        write!(text, " or {alias}")?;
    }
    let (DefaultValue::Is(default) | DefaultValue::Unset(default)) = row.default;
    text.push('\n');
    for alias in row.flag_aliases {
        paragraph(text, &format!("or --{alias}"));
    }
    paragraph(text, row.help);
    paragraph(text, &format!("valid: {}", row.valid));
    paragraph(text, &format!("default: {default}"));
    Ok(())
}

/// Appends a paragraph, wrapped, with a hanging indent.
fn paragraph(text: &mut String, words: &str) {
    let mut column = 0;
    for word in words.split(' ') {
        if column == 0 || column + 1 + word.len() > WIDTH {
            let (end, indent) = if column == 0 { ("", 8) } else { ("\n", 10) };
            *text += end;
            text.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else {
            text.push(' ');
            column += 1;
        }
        *text += word;
        column += word.len();
    }
    text.push('\n');
}

/// The width of a terminal.
const WIDTH: usize = 100;

/// The settings in force as text, valid or not.
#[derive(Debug)]
pub struct Overview {
    /// One line per setting; then names without effect, remarks, and settings that are not valid.
    pub text: String,
    /// Every problem, whether or not it ends the program.
    pub bad: Option<BadSettings>,
}

/// What `--print-settings` prints.
pub(super) fn overview(flags: Flags, variable: &dyn Fn(&str) -> Option<OsString>) -> Overview {
    let mut lookup = Lookup::new(flags, variable);
    let settings = parse(&mut lookup);
    let mut text = table(&lookup.in_force);
    list(&mut text, "Set, but without effect here:", &lookup.without_effect);
    list(&mut text, "Remarks:", &lookup.remarks);
    list(&mut text, "Not valid, and done without:", &lookup.unusable);
    // Every problem is reported here, also those that end nothing.
    let good = lookup.problems.is_empty() && lookup.unusable.is_empty();
    let bad = settings.is_none() || !good;
    Overview { text, bad: bad.then(|| refused(lookup)) }
}

/// A longer value does not widen the column.
const WIDEST_VALUE: usize = 52;

fn table(settings: &[InForce]) -> String {
    let width = |text: &str| text.chars().count();
    let names = settings.iter().map(|setting| width(setting.row.variable)).max().unwrap_or(0);
    let values = settings.iter().map(|setting| width(setting.value())).max().unwrap_or(0);
    let values = values.min(WIDEST_VALUE);
    let line = |setting: &InForce| {
        let fault = match setting.fault {
            Some(Fault::Bad) => ", NOT VALID",
            Some(Fault::Missing) | None => "",
        };
        let InForce { row: Row { variable, .. }, origin, .. } = setting;
        format!("{variable:names$}  {:values$}  {origin}{fault}\n", setting.value())
    };
    settings.iter().map(line).collect()
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
    *text += "\n";
    *text += title;
    for item in items {
        *text += "\n  ";
        *text += &item.to_string();
    }
    *text += "\n";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::table::rows;

    /// The text without its line breaks.
    fn flowing(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_name_and_default_of_the_table_is_in_the_help() {
        let (help, words) = (help(), flowing(&help()));
        for group in GROUPS {
            assert!(help.contains(&format!("\n{}:\n", group.title)), "{}", group.title);
        }
        for row in rows() {
            assert!(help.contains(&format!("  --{}", row.flag)), "{}", row.flag);
            for name in row.aliases.iter().chain([&row.variable]) {
                assert!(help.contains(name), "{name}");
            }
            let (DefaultValue::Is(default) | DefaultValue::Unset(default)) = row.default;
            let rest = format!("{} valid: {} default: {default}", row.help, row.valid);
            assert!(words.contains(&rest), "{rest}");
        }
    }

    #[test]
    fn no_line_is_too_long_for_a_terminal() {
        for line in help().lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }
}

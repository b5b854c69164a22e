//! The help text, made from the table.

use std::fmt::Write;

use crate::settings::table::{DefaultValue, Row, TABLE};

/// What `--help` prints.
pub fn help() -> String {
    let mut text = String::from(INTRODUCTION);
    for row in TABLE {
        // Writing to a String does not fail.
        let _ = describe(&mut text, row);
    }
    text.push_str(OTHERS);
    text
}

const INTRODUCTION: &str = concat!(
    "k8s-spot-handler ",
    env!("CARGO_PKG_VERSION"),
    "
Polls the EC2 metadata service for a spot interruption of this Kubernetes node, cordons the node
and gets its pods off it in time.

Usage: k8s-spot-handler [FLAG]...

Each setting is a flag and an environment variable. The flag comes first, then the variable, then
the default. Durations have units: 500ms, 90s, 2m, 1m30s.

"
);

const OTHERS: &str = "  -h, --help
        this text
  -V, --version
        name and version

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
    writeln!(
        text,
        "\n        {}\n        valid: {}\n        default: {default}",
        row.help, row.valid
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_default_of_the_table_is_in_the_help() {
        let help = help();
        for row in TABLE {
            assert!(help.contains(&format!("  --{}", row.flag)), "{}", row.flag);
            for name in row.aliases.iter().chain([&row.variable]) {
                assert!(help.contains(name), "{name}");
            }
            let (DefaultValue::Is(default) | DefaultValue::Unset(default)) = row.default;
            assert!(help.contains(&format!("default: {default}\n")), "{default}");
        }
    }

    #[test]
    fn no_line_is_too_long_for_a_terminal() {
        for line in help().lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}

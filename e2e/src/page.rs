//! Tables on pages of `docs/`: written by the tests, and held to what they see. That on the security page stands
//! here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

use crate::lock;

/// Set to anything, it has the table written instead of compared.
pub const UPDATE: &str = "UPDATE_DOCS";

/// One row, as one column has it.
pub struct Row {
    /// Whose things are touched.
    pub whose: &'static str,
    /// What is tried.
    pub what: &'static str,
    /// What the server makes of it.
    pub cell: String,
}

/// The columns of the table, in order. Each belongs to one scenario.
pub const COLUMNS: [&str; 4] = ["confined", "confined, taints", "classic", "classic, 1.34"];

const PAGE: Page = Page { file: "security.md", table: "attempts" };

/// A page of `docs/` of which the tests write a table, between two comments that name it.
pub struct Page {
    /// Its file.
    pub file: &'static str,
    /// The name of the table.
    pub table: &'static str,
}

/// Tests end side by side, and write the same files.
static PAGES: Mutex<()> = Mutex::new(());

/// Holds one column of the table to these rows, or writes it.
///
/// # Errors
/// The page has no table, or its column says something else.
pub fn settle(column: &str, rows: &[Row]) -> Result<()> {
    PAGE.settle(|before| table(&cells(before), column, rows))
}

impl Page {
    /// The table as it is.
    ///
    /// # Errors
    /// The page has none.
    pub fn read(&self) -> Result<String> {
        let _alone = lock(&PAGES);
        Ok(self.parts()?.1)
    }

    /// Holds the table to what is made of it, or writes that.
    ///
    /// # Errors
    /// The page has no such table, or it says something else.
    pub fn settle(&self, made: impl FnOnce(&str) -> String) -> Result<()> {
        let _alone = lock(&PAGES);
        let (head, before, tail) = self.parts()?;
        let after = made(&before);
        if before == after {
            return Ok(());
        }
        if std::env::var_os(UPDATE).is_some() {
            fs::write(self.path(), format!("{head}{after}{tail}"))?;
            return Ok(());
        }
        let lines = differences(&before, &after).join("\n");
        bail!("docs/{} says something else ({UPDATE}=1 writes it):\n{lines}", self.file)
    }

    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(self.file)
    }

    /// What stands before the table, the table, and what follows.
    fn parts(&self) -> Result<(String, String, String)> {
        let Self { file, table } = self;
        let begin = format!("<!-- {table}, written by the tests -->\n");
        let end = format!("<!-- end of {table} -->\n");
        let page = fs::read_to_string(self.path()).with_context(|| format!("reading {file}"))?;
        let place = || format!("docs/{file} has no place for {table}");
        let (head, rest) = page.split_once(&begin).with_context(place)?;
        let (table, tail) = rest.split_once(&end).with_context(place)?;
        Ok((format!("{head}{begin}"), table.to_owned(), format!("{end}{tail}")))
    }
}

/// The lines that only one of two texts has.
pub(crate) fn differences(before: &str, after: &str) -> Vec<String> {
    let only = |text: &str, other: &str, sign: &str| -> Vec<String> {
        let only = text.lines().filter(|line| !other.lines().any(|known| known == *line));
        only.map(|line| format!("{sign} {line}")).collect()
    };
    [only(before, after, "-"), only(after, before, "+")].concat()
}

type Cells = BTreeMap<(String, String), Vec<String>>;

fn cells(table: &str) -> Cells {
    let mut all = Cells::new();
    for line in table.lines().filter(|line| line.starts_with('|')) {
        let mut row = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
        if let (Some(whose), Some(what)) = (row.next(), row.next()) {
            all.insert((whose, what), row.collect());
        }
    }
    all
}

fn table(known: &Cells, column: &str, rows: &[Row]) -> String {
    let mut text = format!("| Whose | What is tried | {} |\n", COLUMNS.join(" | "));
    text.push_str(&"|---".repeat(COLUMNS.len() + 2));
    text.push_str("|\n");
    for row in rows {
        let others = known.get(&(row.whose.to_owned(), row.what.to_owned()));
        let cells = COLUMNS.iter().enumerate().map(|(index, name)| {
            let other = others.and_then(|cells| cells.get(index)).map_or("–", String::as_str);
            if *name == column { row.cell.as_str() } else { other }
        });
        let cells: Vec<_> = cells.collect();
        text += &["|", row.whose, "|", row.what, "|", &cells.join(" | "), "|"].join(" ");
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(what: &'static str, cell: &str) -> Row {
        Row { whose: "node B", what, cell: cell.to_owned() }
    }

    #[test]
    fn a_column_is_written_and_the_others_stay() {
        let first = table(&Cells::new(), "classic", &[row("list", "done"), row("taint", "403")]);
        assert!(first.contains("| node B | list | – | – | done | – |\n"), "{first}");
        let second = table(&cells(&first), "confined", &[row("list", "403"), row("cut", "404")]);
        assert!(second.contains("| node B | list | 403 | – | done | – |\n"), "{second}");
        assert!(second.contains("| node B | cut | 404 | – | – | – |\n"), "{second}");
        assert!(!second.contains("taint |"), "{second}");
        let again = table(&cells(&second), "confined", &[row("list", "403"), row("cut", "404")]);
        assert_eq!(second, again);
    }
}

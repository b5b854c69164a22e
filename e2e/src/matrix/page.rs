//! The table in docs/reliability.md.

use std::collections::BTreeMap;

use anyhow::Result;

use super::table::{self, Cell, FAULTS, LASTING, STEPS, Step, left_out};
use crate::page::Page;

/// What became of each cell.
pub type Outcomes = [(Cell, String)];

const PAGE: Page = Page { file: "reliability.md", table: "faults" };

/// Where a cell was never played.
const UNKNOWN: &str = "?";

/// Where there is none.
const NONE: &str = "–";

/// Holds the table to these outcomes, or writes them.
///
/// # Errors
/// The page has no table, or its cells say something else.
pub fn settle(outcomes: &Outcomes) -> Result<()> {
    PAGE.settle(|before| {
        let mut known = read(before);
        for (cell, outcome) in outcomes {
            known.insert((cell.what.to_owned(), cell.step, place(cell)), outcome.clone());
        }
        written(&known)
    })
}

/// Whether the page says this of a cell.
#[must_use]
pub fn knows(cell: &Cell, outcome: &str) -> bool {
    let known = PAGE.read().map(|table| read(&table)).unwrap_or_default();
    let at = (cell.what.to_owned(), cell.step, place(cell));
    known.get(&at).is_some_and(|known| known == outcome)
}

/// How many cells have come to what.
#[must_use]
pub fn summary(outcomes: &Outcomes) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, outcome) in outcomes {
        *counts.entry(outcome).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let lines = counts.iter().map(|(outcome, count)| format!("{count:5}  {outcome}\n"));
    lines.collect::<Vec<_>>().concat()
}

type Known = BTreeMap<(String, Step, usize), String>;

/// Which of the durations.
fn place(cell: &Cell) -> usize {
    LASTING.iter().position(|lasting| *lasting == cell.lasting).unwrap_or_default()
}

fn read(table: &str) -> Known {
    let mut known = Known::new();
    for line in table.lines().filter(|line| line.starts_with('|')) {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let what = cells.next().unwrap_or_default().to_owned();
        for (step, cell) in STEPS.into_iter().zip(cells) {
            let parts: Vec<&str> = cell.split(" / ").collect();
            for place in 0..LASTING.len() {
                let outcome = parts.get(place).or(parts.first()).copied().unwrap_or(UNKNOWN);
                known.insert((what.clone(), step, place), outcome.to_owned());
            }
        }
    }
    known
}

fn written(known: &Known) -> String {
    let mut text = format!("{} cells: what goes wrong, at which step.\n\n", table::cells().len());
    let steps: Vec<String> = STEPS.iter().map(ToString::to_string).collect();
    text += &["| | ", &steps.join(" | "), " |\n|---", &"|---".repeat(STEPS.len()), "|\n"].concat();
    for (what, fault) in FAULTS {
        let cells = STEPS.map(|step| {
            if left_out(step, fault).is_some() {
                return NONE.to_owned();
            }
            let of = |place| known.get(&(what.to_owned(), step, place));
            let all: Vec<&str> =
                (0..LASTING.len()).map(|place| of(place).map_or(UNKNOWN, String::as_str)).collect();
            let same = all.iter().all(|outcome| Some(outcome) == all.first());
            if same { all.first().copied().unwrap_or_default().to_owned() } else { all.join(" / ") }
        });
        text += &["| ", what, " | ", &cells.join(" | "), " |\n"].concat();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::differences;

    #[test]
    fn what_was_written_is_read_and_others_stay() {
        let cells = table::cells();
        let first = (cells[0], "2 lost".to_owned());
        let last = (*cells.last().unwrap(), "deleted".to_owned());
        let mut known = Known::new();
        for (cell, outcome) in [first, last] {
            known.insert((cell.what.to_owned(), cell.step, place(&cell)), outcome);
        }
        let text = written(&known);
        assert!(text.contains("| connections refused | 2 lost / ? / ? |"), "{text}");
        assert!(text.contains(" ? / ? / deleted |"), "{text}");
        assert_eq!(written(&read(&text)), text);
        assert!(differences(&text, &text).is_empty());
    }
}

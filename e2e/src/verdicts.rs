//! The table of verdicts, read back from the handler's log.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// One table: what became of each pod, by `namespace/name`.
#[derive(Clone, Debug)]
pub struct Verdicts {
    rows: BTreeMap<String, Row>,
    /// The line below the table.
    pub summary: String,
}

/// What became of one pod.
#[derive(Clone, Debug)]
pub struct Row {
    /// Such as `evicted`.
    pub outcome: String,
    /// The rest of the line.
    pub note: String,
}

impl Verdicts {
    /// All complete tables in a log, in order.
    #[must_use]
    pub fn all(log: &str) -> Vec<Self> {
        let mut tables = Vec::new();
        let mut open: Option<BTreeMap<String, Row>> = None;
        for line in log.lines().map(message) {
            if is_header(line) {
                open = Some(BTreeMap::new());
            } else if let Some(rows) = &mut open {
                if let Some((pod, row)) = read_row(line) {
                    rows.insert(pod, row);
                } else if line.contains(" in ") {
                    tables.extend(open.take().map(|rows| Self { rows, summary: line.to_owned() }));
                }
            }
        }
        tables
    }

    /// The row of one pod.
    ///
    /// # Errors
    /// It has none.
    pub fn of(&self, namespace: &str, name: &str) -> Result<&Row> {
        let pod = format!("{namespace}/{name}");
        self.rows.get(&pod).with_context(|| format!("{pod} is not in the table of verdicts"))
    }

    /// How many pods of a namespace have this outcome.
    #[must_use]
    pub fn count(&self, namespace: &str, outcome: &str) -> usize {
        self.rows_in(namespace).filter(|row| row.outcome == outcome).count()
    }

    /// The rows of a namespace.
    pub fn rows_in(&self, namespace: &str) -> impl Iterator<Item = &Row> {
        let prefix = format!("{namespace}/");
        self.rows.iter().filter(move |(pod, _)| pod.starts_with(&prefix)).map(|(_, row)| row)
    }
}

/// A line of the log without its time and level.
fn message(line: &str) -> &str {
    let levels = ["INFO", "WARN", "ERROR"];
    let words = line.split_once(' ').map(|(_, rest)| rest.trim_start());
    let message = words.and_then(|words| levels.iter().find_map(|level| words.strip_prefix(level)));
    message.map_or(line, str::trim_start)
}

fn is_header(line: &str) -> bool {
    ["POD", "OUTCOME", "SECONDS", "NOTE"]
        .iter()
        .all(|word| line.split_whitespace().any(|w| w == *word))
}

/// Columns are two spaces apart or more; an outcome may hold single ones.
fn read_row(line: &str) -> Option<(String, Row)> {
    let columns: Vec<&str> =
        line.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
    let (pod, outcome, seconds) = (columns.first()?, columns.get(1)?, columns.get(2)?);
    let is_pod = pod.contains('/') && !pod.contains(' ');
    let is_time = *seconds == "-" || seconds.parse::<f64>().is_ok();
    (is_pod && is_time).then(|| {
        let row = Row { outcome: (*outcome).to_owned(), note: columns[3..].join(" ") };
        ((*pod).to_owned(), row)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read() {
        let log = "\
2026-11-23T09:00:00.123Z INFO  every pod has its verdict
2026-11-23T09:00:00.123Z INFO  POD          OUTCOME           SECONDS  NOTE
2026-11-23T09:00:00.123Z INFO  ns/web-1     evicted               1.2
2026-11-23T09:00:00.123Z INFO  ns/web-2     deleted              38.0  against disruption budget ns/web
2026-11-23T09:00:00.123Z WARN  ns/web-3     still there             -  was not asked
2026-11-23T09:00:00.123Z INFO  kube-system/x  left alone            -  belongs to a DaemonSet
2026-11-23T09:00:00.123Z INFO  1 evicted, 1 deleted, 1 still there, 1 left alone in 38.1 s
2026-11-23T09:00:00.123Z INFO  something else
";
        let tables = Verdicts::all(log);
        assert_eq!(tables.len(), 1);
        assert_eq!(tables[0].count("ns", "evicted"), 1);
        assert_eq!(tables[0].of("ns", "web-2").unwrap().note, "against disruption budget ns/web");
        assert_eq!(tables[0].of("ns", "web-3").unwrap().outcome, "still there");
        assert!(tables[0].of("ns", "web-4").is_err());
    }
}

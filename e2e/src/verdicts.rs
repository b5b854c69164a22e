//! The table of verdicts, read back from the handler's log.

use anyhow::{Context, Result};
use jiff::Timestamp;

/// One table: what became of each pod. A name may stand twice in it: two pods,
/// one after the other.
#[derive(Clone, Debug)]
pub struct Verdicts {
    /// When it was written.
    pub at: Timestamp,
    rows: Vec<Row>,
    /// The line below the table.
    pub summary: String,
}

/// What became of one pod.
#[derive(Clone, Debug)]
pub struct Row {
    /// `namespace/name`.
    pub pod: String,
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
        let mut open: Option<(Timestamp, Vec<Row>)> = None;
        for line in log.lines() {
            let (time, message) = split(line);
            if is_header(message) {
                open = time.map(|at| (at, Vec::new()));
            } else if let Some((_, rows)) = &mut open {
                if let Some(row) = read_row(message) {
                    rows.push(row);
                } else if message.contains(" in ") {
                    let summary = message.to_owned();
                    tables.extend(open.take().map(|(at, rows)| Self { at, rows, summary }));
                }
            }
        }
        tables
    }

    /// All rows.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row of one pod; the first, if two had that name.
    ///
    /// # Errors
    /// It has none.
    pub fn of(&self, namespace: &str, name: &str) -> Result<&Row> {
        let pod = format!("{namespace}/{name}");
        let row = self.rows.iter().find(|row| row.pod == pod);
        row.with_context(|| format!("{pod} is not in the table of verdicts"))
    }

    /// How many pods of a namespace have this outcome.
    #[must_use]
    pub fn count(&self, namespace: &str, outcome: &str) -> usize {
        self.rows_in(namespace).filter(|row| row.outcome == outcome).count()
    }

    /// The rows of a namespace.
    pub fn rows_in(&self, namespace: &str) -> impl Iterator<Item = &Row> {
        let prefix = format!("{namespace}/");
        self.rows.iter().filter(move |row| row.pod.starts_with(&prefix))
    }
}

/// A line of the log: its time, and what it says behind time and level.
fn split(line: &str) -> (Option<Timestamp>, &str) {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    match first.parse() {
        Ok(time) => {
            let rest = rest.trim_start();
            let message = rest.split_once(' ').map_or("", |(_, message)| message.trim_start());
            (Some(time), message)
        }
        Err(_) => (None, line),
    }
}

fn is_header(line: &str) -> bool {
    ["POD", "OUTCOME", "SECONDS", "NOTE"]
        .iter()
        .all(|word| line.split_whitespace().any(|w| w == *word))
}

/// Columns are two spaces apart or more; an outcome may hold single ones.
fn read_row(line: &str) -> Option<Row> {
    let columns: Vec<&str> =
        line.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
    let [pod, outcome, seconds, note @ ..] = columns.as_slice() else { return None };
    let is_pod = pod.contains('/') && !pod.contains(' ');
    let is_time = *seconds == "-" || seconds.parse::<f64>().is_ok();
    (is_pod && is_time).then(|| Row {
        pod: (*pod).to_owned(),
        outcome: (*outcome).to_owned(),
        note: note.join(" "),
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
2026-11-23T09:00:00.123Z INFO  1 left alone, 1 evicted, 1 deleted, 1 still there in 38.1 s
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

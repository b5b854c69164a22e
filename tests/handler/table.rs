//! The table of verdicts, as somebody reads it who has nothing but the log.

/// One table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The line above it: why there is a table.
    pub(crate) occasion: String,
    /// The pods in it.
    pub(crate) rows: Vec<Row>,
    /// The line below it.
    pub(crate) sum: String,
}

/// One pod's row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// `namespace/name`.
    pub(crate) pod: String,
    /// What became of it, in a word or two.
    pub(crate) outcome: String,
    /// When it was gone, `-` if it is not.
    pub(crate) seconds: String,
    /// What there is to say besides.
    pub(crate) note: String,
}

impl Table {
    /// The row of this pod, `namespace/name`.
    pub(crate) fn row(&self, pod: &str) -> &Row {
        let mut rows = self.rows.iter().filter(|row| row.pod == pod);
        let row = rows.next().unwrap_or_else(|| panic!("{pod} is not in {self:#?}"));
        assert!(rows.next().is_none(), "{pod} is twice in {self:#?}");
        row
    }

    /// Its row has this outcome, and these words in its note.
    pub(crate) fn says(&self, pod: &str, outcome: &str, note: &str) {
        let row = self.row(pod);
        assert!(row.outcome == outcome && row.note.contains(note), "{pod}: {self:#?}");
        let is_gone = !["still there", "told to end", "handed over", "left alone"]
            .contains(&outcome)
            && !outcome.starts_with("would");
        assert_eq!(row.seconds.parse::<f64>().is_ok(), is_gone, "{row:?}");
    }

    /// All these pods were evicted, there is no other row, and nothing is left.
    pub(crate) fn all_evicted(&self, pods: &[impl AsRef<str>]) {
        for pod in pods {
            self.says(pod.as_ref(), "evicted", "");
        }
        assert_eq!(self.rows.len(), pods.len(), "{self:#?}");
        self.is_clean();
    }

    /// It says that nothing is left.
    pub(crate) fn is_clean(&self) {
        assert!(self.occasion.contains("nothing is left that was to go"), "{self:#?}");
        assert!(!self.sum.contains("more"), "{self:#?}");
    }
}

/// Before each message stand time and level, always as wide.
const HEAD: usize = "2026-11-23T09:00:00.123Z INFO  ".len();

/// Before each of its lines but the first.
const INDENT: &str = "  ";

/// All tables that are complete.
pub(crate) fn tables<'a>(lines: &'a [String]) -> Vec<Table> {
    let message = |line: &'a String| {
        let message = line.get(HEAD..).unwrap_or_default();
        message.strip_prefix(INDENT).unwrap_or(message)
    };
    let messages: Vec<&str> = lines.iter().map(message).collect();
    let heads = (1..messages.len()).filter(|&index| is_head(messages[index]));
    heads
        .filter_map(|head| table(messages[head - 1], messages[head], &messages[head + 1..]))
        .collect()
}

fn is_head(message: &str) -> bool {
    message.split_whitespace().eq(["POD", "OUTCOME", "SECONDS", "NOTE"])
}

fn table(occasion: &str, head: &str, below: &[&str]) -> Option<Table> {
    let [outcome, seconds, note] = ["OUTCOME", "SECONDS", "NOTE"].map(|word| head.find(word));
    let (outcome, seconds, note) = (outcome?, seconds?, note?);
    let is_row = |line: &str| line.split(' ').next().is_some_and(|pod| pod.contains('/'));
    let cell = |line: &str, from: usize, to: usize| {
        line.get(from..to.min(line.len())).unwrap_or_default().trim().to_owned()
    };
    let rows = below.iter().take_while(|line| is_row(line)).map(|line| Row {
        pod: cell(line, 0, outcome),
        outcome: cell(line, outcome, seconds),
        seconds: cell(line, seconds, note),
        note: cell(line, note, usize::MAX),
    });
    let rows: Vec<_> = rows.collect();
    let sum = (*below.get(rows.len())?).to_owned();
    Some(Table { occasion: occasion.to_owned(), rows, sum })
}

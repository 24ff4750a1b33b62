//! A CSV file as rows of a time and a count.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::super::input::{BYTE_ORDER_MARK, lines};
use super::super::lines::{Line, Lines};
use crate::domain::time::Timestamp;

/// Rows looked at to tell the interval: their times, not their values.
const AHEAD: usize = 1000;

/// A series that is being read.
pub(super) struct Series {
    path: PathBuf,
    lines: Lines,
    number: u64,
    ahead: VecDeque<Row>,
    interval: f64,
    /// Why the rows ahead end where they do.
    broken: Option<anyhow::Error>,
}

/// One row.
pub(super) struct Row {
    /// As written.
    pub(super) timestamp: String,
    /// The same as an instant.
    pub(super) at: Timestamp,
    /// As written.
    pub(super) written: String,
    /// None when the row has no value.
    pub(super) value: Option<f64>,
}

impl Series {
    /// Opens a file and tells its interval. `read` is told of bytes taken from it.
    pub(super) fn open(path: &Path, read: impl Fn(usize) + Send + 'static) -> anyhow::Result<Self> {
        let lines = lines(path, read)?;
        let (ahead, broken) = (VecDeque::new(), None);
        let mut series = Self { path: path.to_owned(), lines, number: 0, ahead, interval: 0.0, broken };
        series.look_ahead()?;
        Ok(series)
    }

    /// Seconds from row to row; 0 for a series without rows.
    pub(super) fn interval(&self) -> f64 {
        self.interval
    }

    /// The next row; none at the end.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Row>> {
        match self.ahead.pop_front() {
            Some(row) => Ok(Some(row)),
            None => self.broken.take().map_or_else(|| self.read(), Err),
        }
    }

    fn look_ahead(&mut self) -> anyhow::Result<()> {
        while self.ahead.len() < AHEAD {
            match self.read() {
                Ok(Some(row)) => self.ahead.push_back(row),
                Ok(None) => break,
                Err(error) if self.ahead.len() < 2 => return Err(error),
                Err(error) => {
                    self.broken = Some(error);
                    break;
                }
            }
        }
        if self.ahead.is_empty() {
            return Ok(());
        }
        // The most frequent step, of equals the shortest: some rows may be missing or out of order.
        let mut steps: BTreeMap<i64, usize> = BTreeMap::new();
        for (before, after) in self.ahead.iter().zip(self.ahead.iter().skip(1)) {
            let step = after.at.micros() - before.at.micros();
            *steps.entry(step).or_default() += usize::from(step > 0);
        }
        let most = steps.values().copied().max().filter(|most| *most > 0);
        let step = steps.iter().find(|(_, rows)| Some(**rows) == most).map(|(step, _)| *step);
        let Some(step) = step else {
            bail!(
                "{}: no row is later than the one before, so there is no interval; give at least two rows, \
                   in the order of time",
                self.path.display()
            );
        };
        if step < 1_000_000 {
            bail!(
                "{}: the rows are less than a second apart; add them up to at least one a second",
                self.path.display()
            );
        }
        #[allow(clippy::cast_precision_loss, reason = "microseconds of an interval")]
        {
            self.interval = step as f64 / 1e6;
        }
        Ok(())
    }

    fn read(&mut self) -> anyhow::Result<Option<Row>> {
        loop {
            let Some(line) = self.lines.next().with_context(|| self.path.display().to_string())? else {
                return Ok(None);
            };
            self.number += 1;
            let at_start = self.number == 1;
            let Line::Whole(line) = line else {
                return self.wrong("is too long for a row of numbers", "is this a CSV file?");
            };
            let line = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| at_start).unwrap_or(&line);
            let Ok(line) = std::str::from_utf8(line) else {
                return self.wrong("is not UTF-8 text", "save the file as UTF-8, or unpack it");
            };
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let mut fields = line.split(',').map(|field| field.trim().trim_matches('"').trim());
            let (Some(timestamp), value) = (fields.next(), fields.next()) else { continue };
            let Ok(at) = Timestamp::parse(timestamp) else {
                if at_start {
                    continue; // the header
                }
                return self.wrong(
                    &format!("begins with {timestamp:?}, which is no time"),
                    "write it as 2026-11-22T10:00:00Z, or as 2026-11-22 10:00:00 in UTC",
                );
            };
            let Some(written) = value else {
                return self.wrong("has no second column", "write timestamp,value with a comma in between");
            };
            let absent = ["", "NA", "NaN", "nan", "null"].contains(&written);
            let value = written.parse::<f64>().ok().filter(|value| value.is_finite());
            if value.is_none() && !absent {
                let remedy = "write a plain number such as 42, or nothing where none is known";
                return self.wrong(&format!("has {written:?} where a count should be"), remedy);
            }
            if value.is_some_and(|value| value > 1e15) {
                return self
                    .wrong(&format!("counts {written}, more than there is"), "is the second column the right one?");
            }
            if value.is_some_and(|value| value < 0.0) {
                let remedy = "this is for counts; a series that falls below zero is something else";
                return self.wrong(&format!("counts {written}, less than nothing"), remedy);
            }
            return Ok(Some(Row { timestamp: timestamp.to_owned(), at, written: written.to_owned(), value }));
        }
    }

    fn wrong<T>(&self, what: &str, remedy: &str) -> anyhow::Result<T> {
        bail!("{}: line {} {what}; {remedy}", self.path.display(), self.number)
    }
}

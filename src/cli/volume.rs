//! `stormbell volume`: which rows of a series are unusual.
//!
//! The series is read as it comes and forgotten: a row is judged by those before it, so a
//! pipe that never ends works, and what is printed of a row never changes.

use std::io::{BufWriter, IsTerminal as _, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::progress::Progress;
use super::{Exit, counted, say};
use crate::domain::quantity;
use crate::domain::time::human;
use crate::domain::volume::Promise;
use judge::{Judge, Judged};
use series::{Row, Series};

mod judge;
mod learn;
mod series;

/// Say which rows of a series of counts are unusual.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
FILE is CSV with a header: first a timestamp (RFC 3339, or YYYY-MM-DD HH:MM:SS in UTC), then a
count per interval. Rows that are missing, or have no value, are taken as time that nobody saw.
Printed are timestamp, value, expected, upper (the largest value that were no alarm; empty when
none could be one), score (0 to 1, from 0.5 on an alarm) and alarm.

Examples:
  stormbell volume posts-per-hour.csv
  stormbell volume posts.csv.gz --false-alarms \"1 per 7d\" --json")]
pub(super) struct Volume {
    /// The series; .gz and .zst are unpacked, - is standard input
    #[arg(value_name = "FILE", required = true)]
    file: Option<PathBuf>,
    /// How many false alarms are accepted in how long
    #[arg(long, value_name = "RATE", default_value = "1 per 30d", value_parser = rate)]
    false_alarms: Promise,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<VolumeCommand>,
}

#[derive(Debug, Subcommand)]
enum VolumeCommand {
    /// Learn from recorded posts what is usual for each rule; alerts nobody
    Learn(learn::Learn),
}

pub(super) fn rate(text: &str) -> Result<Promise, String> {
    quantity::rate(text).map_err(|error| error.to_string())
}

/// A row as JSON.
#[derive(Serialize)]
#[serde(tag = "type", rename = "row")]
struct RowJson<'a> {
    timestamp: &'a str,
    value: Option<f64>,
    expected: f64,
    upper: Option<f64>,
    score: f64,
    alarm: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

/// The account at the end.
#[derive(Debug, Default, Serialize)]
#[serde(tag = "type", rename = "summary")]
struct SummaryJson {
    rows: u64,
    alarms: u64,
    /// Rows that were not there.
    missing: u64,
    /// Rows that came after a later one.
    late: u64,
    interval_seconds: f64,
}

impl Volume {
    pub(super) fn main(mut self) -> anyhow::Result<Exit> {
        match (self.command.take(), self.file.take()) {
            (Some(VolumeCommand::Learn(learn)), _) => learn.main(),
            (None, file) => self.judge(&file.unwrap_or_default()),
        }
    }

    fn judge(&self, file: &PathBuf) -> anyhow::Result<Exit> {
        // On a terminal the rows themselves show how far it is.
        let files = if std::io::stdout().is_terminal() { &[][..] } else { std::slice::from_ref(file) };
        let progress = Progress::over(files);
        let mut series = Series::open(file, progress.reader())?;
        let mut out = BufWriter::new(std::io::stdout());
        if !self.json {
            writeln!(out, "timestamp,value,expected,upper,score,alarm")?;
        }
        let mut judge = Judge::new(series.interval(), self.false_alarms);
        let mut summary = SummaryJson { interval_seconds: series.interval(), ..SummaryJson::default() };
        loop {
            // What was printed of the rows before a broken one stands.
            let row = match series.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => {
                    out.flush()?;
                    return Err(error);
                }
            };
            let judged = judge.row(&row);
            summary.rows += 1;
            summary.alarms += u64::from(judged.alarm);
            summary.missing += judged.missing;
            summary.late += u64::from(judged.late);
            self.print(&mut out, &row, &judged)?;
        }
        drop(progress);
        if self.json {
            serde_json::to_writer(&mut out, &summary)?;
            writeln!(out)?;
        }
        out.flush().context("standard output")?;
        tell(&summary);
        Ok(Exit::Fine)
    }

    fn print(&self, out: &mut impl Write, row: &Row, judged: &Judged) -> anyhow::Result<()> {
        let Judged { expected, upper, score, alarm, why, .. } = judged;
        let alarm = u8::from(*alarm);
        if self.json {
            let (timestamp, value, why) = (row.timestamp.as_str(), row.value, why.as_deref());
            let json = RowJson { timestamp, value, expected: *expected, upper: *upper, score: *score, alarm, why };
            serde_json::to_writer(&mut *out, &json)?;
            writeln!(out)?;
            return Ok(());
        }
        let upper = upper.map(|upper| upper.to_string()).unwrap_or_default();
        writeln!(out, "{},{},{expected:.3},{upper},{score:.4},{alarm}", row.timestamp, row.written)?;
        Ok(())
    }
}

fn tell(summary: &SummaryJson) {
    let SummaryJson { rows, alarms, missing, late, interval_seconds } = summary;
    if *rows == 0 {
        return say("the file has a header and no rows: there is nothing to judge");
    }
    let interval = human(std::time::Duration::try_from_secs_f64(*interval_seconds).unwrap_or_default());
    say(&format!("{} of {interval} each: {}", counted(*rows, "row"), counted(*alarms, "alarm")));
    if *missing > 0 {
        say(&format!("{} missing, taken as time that nobody saw", counted(*missing, "row")));
    }
    if *late > 0 {
        say(&format!("{} came after a later one: counted where they belong, not judged", counted(*late, "row")));
    }
}

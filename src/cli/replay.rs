//! `stormbell replay`: recorded posts through the same engine, in their own time.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::listening::{Listening, ListeningArgs};
use super::player::{Player, Span, joined};
use super::{Exit, counted, is_broken_pipe, say, show};
use crate::app::clock::SystemClock;
use crate::domain::commit::Commit;
use crate::domain::event::{Ledger, Rejected};
use crate::domain::matcher::Scratch;
use crate::domain::post::Excerpt;
use crate::domain::rule::RuleSet;
use crate::domain::time::Clock as _;
use crate::source::Format;
use crate::telemetry::memory::memory;
use crate::wire::replayed::{AlertJson, MatchJson, SummaryJson};

/// Run recorded posts through the rules, as fast as possible; notifies nobody.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell replay day.jsonl.zst --org \"Mercy General\"
  stormbell replay day.jsonl.zst --rules rules/new.toml --matches
  stormbell replay /var/lib/stormbell/stormbell.db --json
  websocat wss://… | stormbell replay - --format jetstream --json")]
pub(super) struct Replay {
    /// Recordings, one post or frame a line; .gz and .zst are unpacked, - is standard input; or the
    /// daemon's database, which keeps the posts that rules took
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How frames are written: auto, posts, or a wire such as jetstream
    #[arg(long, value_name = "FMT", default_value = "auto", value_parser = format)]
    format: FormatChoice,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Print each matching post too
    #[arg(long)]
    matches: bool,
    /// Threads that decode and match [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    #[command(flatten)]
    listening: ListeningArgs,
}

/// `None` means: look.
#[derive(Clone, Debug)]
pub(super) struct FormatChoice(pub(super) Option<Format>);

pub(super) fn format(text: &str) -> Result<FormatChoice, String> {
    if text == "auto" {
        return Ok(FormatChoice(None));
    }
    let known = || format!("known are auto, {}", Format::ALL.each_ref().map(Format::as_str).join(", "));
    text.parse().map(|format| FormatChoice(Some(format))).map_err(|()| known())
}

impl Replay {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let Some(Listening { rulebook, .. }) = self.listening.resolve() else { return Ok(Exit::Config) };
        if !rulebook.is_sound() {
            show(&rulebook.findings);
            say("the rules cannot be used; nothing was replayed");
            return Ok(Exit::Config);
        }
        let began = SystemClock.now();
        let mut tape = Tape::new(&rulebook.rules, self.json, self.matches);
        let mut recordings = Player::of(&self.files, self.format.0);
        recordings.threads = self.threads.map_or(recordings.threads, usize::from);
        let played = recordings.play([&rulebook.rules], |span, [commit]| {
            tape.span = joined(tape.span, span);
            tape.took(&commit)
        });
        let seconds = SystemClock.now().since(began).as_secs_f64();
        match played {
            Ok(_) => tape.end(seconds)?,
            // What was read before a recording broke off still counts.
            Err(broken) if tape.ledger.frames > 0 && !is_broken_pipe(&broken) => {
                tape.end(seconds)?;
                return Err(broken.context("the replay ends early"));
            }
            Err(error) => return Err(error),
        }
        Ok(Exit::Fine)
    }
}

/// What is printed.
struct Tape<'a> {
    rules: &'a RuleSet,
    json: bool,
    matches: bool,
    out: BufWriter<std::io::Stdout>,
    scratch: Scratch,
    ledger: Ledger,
    span: Span,
    summary: SummaryJson,
}

impl<'a> Tape<'a> {
    fn new(rules: &'a RuleSet, json: bool, matches: bool) -> Self {
        Self {
            rules,
            json,
            matches,
            out: BufWriter::new(std::io::stdout()),
            scratch: Scratch::default(),
            ledger: Ledger::default(),
            span: None,
            summary: SummaryJson { rules: rules.rules().len(), ..SummaryJson::default() },
        }
    }

    fn took(&mut self, commit: &Commit) -> anyhow::Result<()> {
        commit.progress.values().for_each(|progress| self.ledger.add(&progress.ledger));
        self.summary.matched_posts += commit.posts.len() as u64;
        self.summary.alerts += commit.alerts.len() as u64;
        self.summary.incidents += commit.alerts.iter().filter(|alert| alert.new_incident).count() as u64;
        if self.matches {
            for post in &commit.posts {
                let hits = self.rules.matches(&Excerpt::of(post), &mut self.scratch);
                for rule in hits.into_iter().filter_map(|rule| self.rules.get(rule)) {
                    let verdict = rule.explain(post);
                    let terms = verdict.query.terms();
                    let found = MatchJson { rule: rule.id.as_str(), post: post.id.as_str(), terms };
                    if self.json {
                        line(&mut self.out, &found)?;
                    } else {
                        writeln!(self.out, "match   {} {} {}", found.rule, found.post, found.terms.join(", "))?;
                    }
                }
            }
        }
        for alert in &commit.alerts {
            if self.json {
                line(&mut self.out, &AlertJson::from(alert))?;
                continue;
            }
            let how = if alert.new_incident { "opens" } else { "joins" };
            let (at, severity) = (alert.at.to_string(), alert.severity.as_str());
            writeln!(self.out, "{at:<27} {severity:<8} {} {how} {}: {}", alert.rule, alert.incident, alert.why)?;
        }
        Ok(())
    }

    fn end(mut self, seconds: f64) -> anyhow::Result<()> {
        let Ledger { frames, posts, other, duplicates, .. } = self.ledger;
        let mut summary = SummaryJson {
            frames,
            posts,
            other,
            rejected: self.ledger.rejected_total(),
            duplicates,
            from: self.span.map(|(from, _)| from.to_string()),
            to: self.span.map(|(_, to)| to.to_string()),
            seconds,
            peak_rss_bytes: memory().peak_bytes,
            ..self.summary
        };
        summary.frames_per_second = rate(frames, seconds);
        if self.json {
            line(&mut self.out, &summary)?;
        } else {
            let SummaryJson { matched_posts, alerts, incidents, rules, frames_per_second, .. } = &summary;
            writeln!(
                self.out,
                "{}: {}, {other} other, {}, {}",
                counted(frames, "frame"),
                counted(posts, "post"),
                rejected(&self.ledger),
                counted(duplicates, "duplicate")
            )?;
            writeln!(
                self.out,
                "{} matched {}: {} in {}",
                counted(*matched_posts, "post"),
                counted(*rules as u64, "rule"),
                counted(*alerts, "alert"),
                counted(*incidents, "incident")
            )?;
            if let (Some(from), Some(to)) = (&summary.from, &summary.to) {
                writeln!(self.out, "from {from} to {to}, in {seconds:.2} s ({frames_per_second} frames/s)")?;
            }
        }
        if frames > 0 && frames == self.ledger.rejected_total() {
            say("no frame could be read; is --format right?");
        }
        self.out.flush().context("standard output")
    }
}

/// How many were rejected, and why.
fn rejected(ledger: &Ledger) -> String {
    let reasons = Rejected::ALL.into_iter().zip(ledger.rejected).filter(|(_, count)| *count > 0);
    let reasons: Vec<String> = reasons.map(|(reason, count)| format!("{count} {}", reason.as_str())).collect();
    match reasons.as_slice() {
        [] => "0 rejected".to_owned(),
        reasons => format!("{} rejected ({})", ledger.rejected_total(), reasons.join(", ")),
    }
}

pub(super) fn line(out: &mut impl Write, value: &impl serde::Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)?;
    Ok(())
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rounded rate for people"
)]
fn rate(frames: u64, seconds: f64) -> u64 {
    (frames as f64 / seconds.max(1e-6)).round() as u64
}

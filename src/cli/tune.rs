//! `stormbell tune`: what a promise about false alarms costs, on the rule's own history.
//!
//! A promise is kept by asking for more surprise, and whoever asks for more surprise hears
//! later of small things. How much later nobody can say in general: it depends on how busy
//! and how bursty the rule's stream is. So the past is played once, what the rule took is
//! kept (24 bytes a post; nothing of the posts it did not take), and each setting is run
//! through it, alone and with bursts put on top (`domain::engine::tuning`).

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::archive::{self, past};
use super::explain::unknown;
use super::listening::{Listening, ListeningArgs};
use super::player::{Player, Span, is_yet_to_come, joined};
use super::progress::Progress;
use super::replay::{FormatChoice, format};
use super::volume::rate;
use super::{Exit, say, show};
use crate::domain::commit::Commit;
use crate::domain::condition::{Condition, Count, Spike};
use crate::domain::engine::tuning::{Burst, History, Moment, Taken, tune};
use crate::domain::incident::Gap;
use crate::domain::key::Key;
use crate::domain::rule::{Rule, RuleSet};
use crate::domain::time::{Timestamp, human};
use crate::domain::volume::Promise;
use crate::rng::Rng;
use outcome::{Outcome, Row, Setting};

mod advice;
mod chart;
mod outcome;
mod page;

/// Show what a rule's promise about false alarms costs, on its own history.
#[derive(Debug, Args)]
#[command(after_help = "\
The rule's past is run through each setting: how many alerts a month would it have raised? And at a
hundred random hours a burst of new authors is put on top: how many of them must write within 10
minutes, or within 2 hours, to be noticed, and how soon is that? The same seed asks the same again.

Examples:
  stormbell tune reputation.spike                       on what the daemon kept
  stormbell tune reputation.spike year.jsonl.zst --plot tune.svg
  stormbell tune reputation.spike --false-alarms \"1 per 7d\" --false-alarms \"1 per 60d\" --json
  stormbell tune safety.count --at-least 2 3 5          a count has no promise but a threshold")]
pub(super) struct Tune {
    /// The rule's id; a rule with a spike or a count
    rule: String,
    /// Recordings in the order of their time, as `replay` reads them [default: the daemon's database]
    #[arg(value_name = "FILE", conflicts_with = "archive")]
    files: Vec<PathBuf>,
    /// Use what the daemon kept: the posts that its rules took
    #[arg(long)]
    archive: bool,
    /// Promises to try [default: 1 per 7d, 14d, 30d, 90d, 365d]; the one in force is always tried
    #[arg(long, value_name = "RATE", num_args = 1.., value_parser = rate)]
    false_alarms: Vec<Promise>,
    /// Thresholds of a count to try [default: 2 3 5 8 12 20]; the one in force is always tried
    #[arg(long, value_name = "N", num_args = 1.., conflicts_with = "false_alarms",
          value_parser = clap::value_parser!(u64).range(2..))]
    at_least: Vec<u64>,
    /// Write a chart into this file, for browsers and documents
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// What the random hours are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How frames are written: auto, posts, or a wire such as jetstream
    #[arg(long, value_name = "FMT", default_value = "auto", value_parser = format)]
    format: FormatChoice,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    listening: ListeningArgs,
}

const DAY: Duration = Duration::from_hours(24);
const PROMISED_DAYS: [u64; 5] = [7, 14, 30, 90, 365];
const THRESHOLDS: [u64; 6] = [2, 3, 5, 8, 12, 20];
/// Authors of the bursts, and within how long each writes.
pub(super) const AUTHORS: [usize; 6] = [5, 8, 12, 20, 40, 80];
pub(super) const WITHIN: [Duration; 2] = [Duration::from_mins(10), Duration::from_hours(2)];
/// Random hours at which bursts are tried; on a busy rule fewer, so that it ends.
const MOMENTS: usize = 100;
const LEAST_MOMENTS: usize = 20;
const MOST_POSTS: usize = 4_000_000;
/// A spike learns for a quarter of the history, but not less than this, nor more than a season takes.
const LEARNS: (Duration, Duration) = (Duration::from_hours(7 * 24), Duration::from_hours(28 * 24));
/// And is tried on at least so much.
const TRIED: Duration = Duration::from_hours(7 * 24);

impl Tune {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let Some(Listening { rulebook, database, .. }) = self.listening.resolve() else { return Ok(Exit::Config) };
        if !rulebook.is_sound() {
            show(&rulebook.findings);
            say("the rules cannot be used; nothing was tried");
            return Ok(Exit::Config);
        }
        let Some((_, rule)) = rulebook.rules.find(&self.rule) else {
            say(&unknown(&self.rule, &rulebook.rules));
            return Ok(Exit::Usage);
        };
        let promise = promise(rule, &rulebook.rules);
        let settings = match self.settings(rule, promise) {
            Ok(settings) => settings,
            Err(why) => {
                say(&why);
                return Ok(Exit::Usage);
            }
        };
        let Some(files) = past(&self.files, database) else { return Ok(Exit::Usage) };
        if let Some(path) = &self.plot {
            // Trying takes minutes: a place that cannot be written to is told before.
            chart::check(path)?;
        }
        let alone = Arc::new(rulebook.rules.some(|other| other.id == rule.id));
        let past = Past::read(&files, self.format, &alone)?;
        let Some((from, to)) = past.span else {
            say(
                "error: no post is in the history, so there is nothing to try; `stormbell replay` says what it could not read",
            );
            return Ok(Exit::Failed);
        };
        if is_yet_to_come(to) {
            say("nothing was tried");
            return Ok(Exit::Failed);
        }
        let learns = matches!(rule.condition, Condition::Spike(_));
        let Some(since) = tried_from(learns, from, to) else {
            say(&too_short(learns, from, to));
            return Ok(Exit::Failed);
        };
        let history =
            History { taken: &past.taken, from, gaps: &past.gaps, sources: past.sources, zone: rulebook.rules.zone() };
        let bursts: Vec<Burst> = WITHIN
            .into_iter()
            .flat_map(|within| AUTHORS.into_iter().map(move |authors| Burst { authors, within }))
            .collect();
        let moments = moments(self.seed, past.moments(settings.len()), since, to);
        let (conditions, settings): (Vec<Condition>, Vec<Setting>) = settings.into_iter().unzip();
        let progress = Progress::of(moments.len(), "random hours");
        let tried = tune(&conditions, &history, since, &moments, &bursts, progress.counter()).unwrap_or_default();
        drop(progress);
        let rows = settings.into_iter().zip(tried).map(|(setting, tried)| Row {
            setting,
            in_force: is_in_force(rule, promise, setting),
            tried,
        });
        let outcome = Outcome {
            rule: rule.id.as_str(),
            title: &rule.title,
            posts: past.posts,
            taken: past.taken.len() as u64,
            span: (from, to),
            since,
            moments: moments.len(),
            seed: self.seed,
            rows: rows.collect(),
        };
        if let Some(path) = &self.plot {
            chart::write(path, &outcome)?;
        }
        if self.json {
            outcome.print_json()?;
        } else {
            page::print(&outcome)?;
        }
        Ok(Exit::Fine)
    }

    /// What is tried, the most talkative first; or what is wrong with the question.
    fn settings(&self, rule: &Rule, in_force: Option<Promise>) -> Result<Vec<(Condition, Setting)>, String> {
        if rule.by.is_some() {
            return Err(format!(
                "error: {} counts by key, and each key has a past of its own; \
                 `stormbell backtest` shows how often it would have spoken",
                rule.id
            ));
        }
        match &rule.condition {
            Condition::Spike(spike) if self.at_least.is_empty() => {
                let usual =
                    PROMISED_DAYS.map(|days| Promise { alarms: 1, within: DAY * u32::try_from(days).unwrap_or(1) });
                let asked = if self.false_alarms.is_empty() { usual.to_vec() } else { self.false_alarms.clone() };
                let mut promises: Vec<Promise> = asked;
                promises.extend(in_force);
                promises.sort_by(|one, other| other.per_year().total_cmp(&one.per_year()));
                promises.dedup_by(|one, other| (one.per_year() - other.per_year()).abs() < 1e-9);
                let setting =
                    |false_alarms| (Condition::Spike(Spike { false_alarms, ..*spike }), Setting::Promise(false_alarms));
                Ok(promises.into_iter().map(setting).collect())
            }
            _ if rule.hold.is_asked() => Err(format!(
                "error: {} must hold, or counts as firing, for a while (`for`, `keep_firing_for`), which `tune` does not try; \
                 `stormbell backtest` shows how often it would have spoken",
                rule.id
            )),
            Condition::Count(count) if self.false_alarms.is_empty() => {
                let asked = if self.at_least.is_empty() { &THRESHOLDS[..] } else { &self.at_least };
                let mut thresholds = [asked, &[count.at_least]].concat();
                thresholds.sort_unstable();
                thresholds.dedup();
                let setting = |at_least| (Condition::Count(Count { at_least, ..*count }), Setting::AtLeast(at_least));
                Ok(thresholds.into_iter().map(setting).collect())
            }
            Condition::Spike(_) => Err(format!(
                "error: {} is set by a promise, not by a threshold; write --false-alarms \"1 per 30d\"",
                rule.id
            )),
            Condition::Count(_) => Err(format!(
                "error: {} counts, it makes no promise; write --at-least 3, or give it a spike in place of its count",
                rule.id
            )),
            other => Err(format!(
                "error: {} has neither a spike nor a count ({}), so there is nothing to tune; \
                 `stormbell backtest` shows how often it would have spoken",
                rule.id,
                other.kind().as_str()
            )),
        }
    }
}

/// What a spike promises among all rules; says so when that is not what is written.
fn promise(rule: &Rule, rules: &RuleSet) -> Option<Promise> {
    let Condition::Spike(spike) = &rule.condition else { return None };
    let promise = rules.promise(spike);
    if promise != spike.false_alarms {
        say(&format!("{} promises {}, which the budget of all rules makes {promise}", rule.id, spike.false_alarms));
    }
    Some(promise)
}

/// Whether a setting is the one the rule has.
fn is_in_force(rule: &Rule, in_force: Option<Promise>, setting: Setting) -> bool {
    match (&rule.condition, setting) {
        (Condition::Spike(_), Setting::Promise(promise)) => {
            in_force.is_some_and(|in_force| (in_force.per_year() - promise.per_year()).abs() < 1e-9)
        }
        (Condition::Count(count), Setting::AtLeast(at_least)) => count.at_least == at_least,
        _ => false,
    }
}

/// What a rule took of the past.
struct Past {
    taken: Vec<Taken>,
    posts: u64,
    span: Span,
    gaps: Vec<Gap>,
    sources: usize,
}

impl Past {
    fn read(files: &[PathBuf], format: FormatChoice, rules: &Arc<RuleSet>) -> anyhow::Result<Self> {
        let mut past = Self { taken: Vec::new(), posts: 0, span: None, gaps: Vec::new(), sources: 1 };
        for path in files {
            if let Some(heard) = archive::heard(path)? {
                (past.gaps, past.sources) = (heard.lost, heard.sources);
            }
        }
        Player::of(files, format.0).play([rules], |span, [commit]| {
            past.took(span, &commit);
            Ok(())
        })?;
        past.taken.sort_by_key(|taken| taken.at);
        Ok(past)
    }

    /// A post that was told and counted now is new to the rule.
    fn took(&mut self, span: Span, commit: &Commit) {
        self.span = joined(self.span, span);
        self.posts += commit.progress.values().map(|progress| progress.ledger.posts).sum::<u64>();
        let counted: HashSet<_> = commit.sightings.iter().map(|sighting| &sighting.seen.post).collect();
        let new = commit.tellings.iter().filter(|telling| counted.contains(&telling.post));
        self.taken.extend(new.map(|telling| Taken {
            at: telling.at,
            author: Key::of(&telling.author),
            story: telling.story,
        }));
    }

    /// At how many moments bursts are tried: each burst and setting runs through hours of history.
    fn moments(&self, settings: usize) -> usize {
        let length = self.span.map_or(0.0, |(from, to)| to.since(from).as_secs_f64());
        let hours = WITHIN.iter().map(Duration::as_secs_f64).sum::<f64>() * small(AUTHORS.len());
        let each = small(self.taken.len()) * hours / length.max(1.0) * small(settings);
        let most = small(MOST_POSTS) / each.max(1.0);
        if most >= small(MOMENTS) { MOMENTS } else { whole(most).max(LEAST_MOMENTS) }
    }
}

/// From when on a rule is tried; none when that leaves too little.
fn tried_from(learns: bool, from: Timestamp, to: Timestamp) -> Option<Timestamp> {
    let whole = to.since(from);
    let (least, most) = LEARNS;
    let learning = if learns { (whole / 4).clamp(least, most) } else { Duration::ZERO };
    (learning + TRIED <= whole).then(|| from + learning)
}

fn too_short(learns: bool, from: Timestamp, to: Timestamp) -> String {
    let (least, _) = LEARNS;
    let learning = format!("{} to learn what is usual, {} to be tried on", human(least), human(TRIED));
    let chance = "less shows what chance did, not what the setting does".to_owned();
    let (needed, why) = if learns { (least + TRIED, learning) } else { (TRIED, chance) };
    format!(
        "error: the history is too short: {}, from {} to {}; at least {} are needed ({why}). Give more recordings, \
         or wait until {} and see that [store] retention is longer",
        human(to.since(from)),
        from.whole_second(),
        to.whole_second(),
        human(needed),
        (from + needed).whole_second()
    )
}

/// Random times at which a burst begins and is over before the end, in their order.
fn moments(seed: u64, count: usize, since: Timestamp, to: Timestamp) -> Vec<Moment> {
    let mut rng = Rng::new(seed);
    let longest = WITHIN.into_iter().max().unwrap_or_default();
    let most = AUTHORS.into_iter().max().unwrap_or_default();
    let span = to.since(since).saturating_sub(longest);
    let mut moments: Vec<Moment> = (0..count)
        .map(|_| {
            let at = since + rng.between(Duration::ZERO, span);
            let mut writes: Vec<f64> = (0..most).map(|_| share(&mut rng)).collect();
            // Somebody is the first, and the delay counts from there.
            writes.first_mut().into_iter().for_each(|first| *first = 0.0);
            Moment { at, writes }
        })
        .collect();
    moments.sort_by_key(|moment| moment.at);
    moments
}

fn share(rng: &mut Rng) -> f64 {
    small(usize::try_from(rng.below(1 << 32)).unwrap_or_default()) / small(1 << 32)
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
const fn small(count: usize) -> f64 {
    count as f64
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of moments")]
const fn whole(count: f64) -> usize {
    count as usize
}

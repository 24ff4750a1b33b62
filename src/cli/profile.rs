//! `stormbell check --profile`: what each rule costs on recorded posts.

use std::io::Write as _;
use std::path::PathBuf;

use super::input::Recording;
use super::{counted, say};
use crate::app::clock::SystemClock;
use crate::domain::event::SourceEvent;
use crate::domain::matcher::Scratch;
use crate::domain::post::Excerpt;
use crate::domain::rule::cost::cost;
use crate::domain::rule::{Rule, RuleSet};
use crate::domain::time::Clock as _;
use crate::source::Incoming;

/// Posts every rule is timed on; of more, every second, fourth, eighth … is taken.
const TIMED: usize = 10_000;
/// Passes over them, the fastest of which counts: others were disturbed.
const PASSES: usize = 3;

/// Prints a line for each rule, the most expensive first.
pub(super) fn profile(files: &[PathBuf], rules: &RuleSet) -> anyhow::Result<()> {
    let mut scratch = Scratch::default();
    let mut sample = Sample { posts: Vec::new(), stride: 1, seen: 0 };
    let mut matched = vec![0_u64; rules.rules().len()];
    for file in files {
        let mut recording = Recording::open(file, None, |_| ())?;
        while let Some(incoming) = recording.next()? {
            let Incoming::Frames { source, frames, .. } = incoming else { continue };
            for frame in &frames {
                let Ok(bytes) = &frame.body else { continue };
                let Ok(SourceEvent::Post(post)) = recording.format.decode(&source, bytes, None).event else { continue };
                let excerpt = Excerpt::of(&post);
                for rule in rules.matches(&excerpt, &mut scratch) {
                    if let Some(count) = matched.get_mut(rule) {
                        *count += 1;
                    }
                }
                sample.offer(excerpt);
            }
        }
    }
    anyhow::ensure!(sample.seen > 0, "no post is in the recording, so nothing can be measured");
    let reading = sample.time(&RuleSet::default());
    let together = sample.time(rules) - reading;
    let mut lines: Vec<(f64, &Rule, u64)> = Vec::new();
    for (rule, matched) in rules.rules().iter().zip(matched) {
        let alone = sample.time(&RuleSet::new(vec![rule.clone()]));
        lines.push((alone - reading, rule, matched));
    }
    lines.sort_by(|(one, ..), (other, ..)| other.total_cmp(one));
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:>8}  {:>9}  {:>8}  rule", "ns/post", "matched", "terms")?;
    for (nanoseconds, rule, matched) in lines {
        let share = share(matched, sample.seen);
        writeln!(out, "{:>8.0}  {share:>7.3} %  {:>8}  {}", nanoseconds.max(0.0), cost(rule), rule.id)?;
    }
    say(&format!(
        "{}, {} of them timed: each rule alone, the fastest of {PASSES} passes, less the time without rules \
         ({reading:.0} ns/post to read the words)",
        counted(sample.seen, "post"),
        sample.posts.len()
    ));
    say(&format!("all together: {:.0} ns/post; they share words, so it is not their sum", together.max(0.0)));
    Ok(())
}

/// Posts from all over the recordings, without chance.
struct Sample {
    posts: Vec<Excerpt>,
    stride: u64,
    seen: u64,
}

impl Sample {
    fn offer(&mut self, post: Excerpt) {
        if self.seen.is_multiple_of(self.stride) {
            self.posts.push(post);
        }
        self.seen += 1;
        if self.posts.len() > TIMED {
            let mut keep = false;
            self.posts.retain(|_| {
                keep = !keep;
                keep
            });
            self.stride *= 2;
        }
    }

    /// Nanoseconds a post takes with these rules.
    fn time(&self, rules: &RuleSet) -> f64 {
        let mut scratch = Scratch::default();
        let passes = (0..PASSES).map(|_| {
            let began = SystemClock.now();
            let matches: usize = self.posts.iter().map(|post| rules.matches(post, &mut scratch).len()).sum();
            std::hint::black_box(matches);
            SystemClock.now().since(began).as_secs_f64()
        });
        let fastest = passes.fold(f64::INFINITY, f64::min);
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let posts = self.posts.len() as f64;
        fastest * 1e9 / posts
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rounded share for people")]
fn share(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole as f64
}

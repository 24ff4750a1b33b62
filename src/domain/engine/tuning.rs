//! Other settings of a rule, tried on its own history.
//!
//! What a promise about false alarms costs is a question about one rule's stream: how often
//! would it have spoken, and which bursts would it have missed? So the rule's past is run
//! through the very conditions that the daemon runs, once for each setting; and at some
//! moments of it a burst of new authors is put on top, in a copy that is thrown away. The
//! same moments and the same bursts for every setting, so that settings differ by what they
//! are and not by luck. A smaller burst is the beginning of a larger one's authors.
//!
//! A burst counts as caught when the rule fires before it is over: later is too late. One
//! that comes while the rule is silent after an alarm of its own is missed, as it would be.

use std::time::Duration;

use super::exposure::Exposure;
use super::minutes::Surroundings;
use super::watch::{Watch, policy};
use crate::domain::condition::{Condition, Count, Seen, Spike, Window};
use crate::domain::id::{AuthorId, PostId};
use crate::domain::incident::Gap;
use crate::domain::key::Key;
use crate::domain::story::Story;
use crate::domain::time::{Timestamp, Zone};
use crate::domain::volume::{Policy, Scale};

/// A post that a rule took: what its conditions ask of it, in 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Event time.
    pub at: Timestamp,
    /// The author's name.
    pub author: Key,
    /// The story it is part of.
    pub story: Story,
}

/// What a rule took, and when it could take anything.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    /// By time.
    pub taken: &'a [Taken],
    /// From when on posts were seen.
    pub from: Timestamp,
    /// How much time was lost in between.
    pub gaps: &'a [Gap],
    /// By how many sources posts were seen.
    pub sources: usize,
    /// Whose hours the season has.
    pub zone: &'a Zone,
}

/// So many authors who write once each within so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// How many.
    pub authors: usize,
    /// Within how long.
    pub within: Duration,
}

/// When bursts begin, and when in their course each author writes: 0 is the beginning, 1 the end.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Event time.
    pub at: Timestamp,
    /// For each author; as many as the largest burst has.
    pub writes: Vec<f64>,
}

/// What a setting did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Alerts on the history itself, since the time that was asked for.
    pub alerts: u64,
    /// For each burst, after how long it was caught, shortest first; those missed are not among them.
    pub caught: Vec<Vec<Duration>>,
}

/// Tries settings of a rule; none when one of them is no count and no spike. Alerts count from
/// `since` on; `moments` are by time, and `done` is called after each.
pub fn tune(
    settings: &[Condition],
    history: &History<'_>,
    since: Timestamp,
    moments: &[Moment],
    bursts: &[Burst],
    mut done: impl FnMut(),
) -> Option<Vec<Tried>> {
    let scale = Scale::minutes();
    let mut exposure = Exposure::default();
    exposure.sources = history.sources;
    history.gaps.iter().for_each(|gap| exposure.ended(gap));
    let around = Surroundings { scale: &scale, zone: history.zone, exposure: &exposure };
    let mut rules: Vec<Trier> =
        settings.iter().map(|setting| Trier::new(setting, &scale, history.from)).collect::<Option<_>>()?;
    let mut tried = vec![Tried { alerts: 0, caught: vec![Vec::new(); bursts.len()] }; rules.len()];
    let mut moments = moments.iter().peekable();
    let mut try_bursts = |rules: &[Trier], tried: &mut [Tried], moment: &Moment, place: usize| {
        let later = history.taken.get(place..).unwrap_or_default();
        for (which, burst) in bursts.iter().enumerate() {
            let posts = with_burst(later, place, moment, burst);
            for (rule, tried) in rules.iter().zip(&mut *tried) {
                let caught = rule.clone().fires_at(&posts, &around).map(|at| at.since(moment.at));
                tried.caught.get_mut(which).into_iter().for_each(|delays| delays.extend(caught));
            }
        }
        done();
    };
    for (place, taken) in history.taken.iter().enumerate() {
        while let Some(moment) = moments.next_if(|moment| moment.at <= taken.at) {
            try_bursts(&rules, &mut tried, moment, place);
        }
        let seen = taken.seen(place);
        for (rule, tried) in rules.iter_mut().zip(&mut tried) {
            tried.alerts += u64::from(rule.fires(&seen, &around) && taken.at >= since);
        }
    }
    moments.for_each(|moment| try_bursts(&rules, &mut tried, moment, history.taken.len()));
    tried.iter_mut().flat_map(|tried| &mut tried.caught).for_each(|delays| delays.sort_unstable());
    Some(tried)
}

impl Taken {
    fn seen(&self, place: usize) -> Seen {
        let (post, author) = (format!("{place}"), format!("{:x}", self.author.bits()));
        Seen::new(self.at, PostId::from(post), AuthorId::from(author), self.story)
    }
}

/// What the rule takes from a moment on until a burst is over, by time.
fn with_burst(later: &[Taken], place: usize, moment: &Moment, burst: &Burst) -> Vec<Seen> {
    let over = moment.at + burst.within;
    let ordinary =
        later.iter().take_while(|taken| taken.at <= over).zip(place..).map(|(taken, place)| taken.seen(place));
    let extra = moment.writes.iter().take(burst.authors).enumerate().map(|(author, share)| {
        let at = moment.at + burst.within.mul_f64(share.clamp(0.0, 1.0));
        let post = PostId::from(format!("burst {author}"));
        Seen::new(at, post.clone(), AuthorId::from(post.as_str()), Story::begun_by(&post))
    });
    let mut posts: Vec<Seen> = ordinary.chain(extra).collect();
    posts.sort_unstable();
    posts
}

/// A rule with one setting.
#[derive(Clone)]
enum Trier {
    Count(Count, Window),
    Spike(Spike, Box<(Policy, Watch)>),
}

impl Trier {
    fn new(setting: &Condition, scale: &Scale, from: Timestamp) -> Option<Self> {
        match setting {
            Condition::Count(count) => Some(Self::Count(*count, Window::default())),
            Condition::Spike(spike) => {
                let policy = policy(spike.false_alarms, spike, scale);
                Some(Self::Spike(*spike, Box::new((policy, Watch::new(scale, from)))))
            }
            _ => None,
        }
    }

    fn fires(&mut self, seen: &Seen, around: &Surroundings<'_>) -> bool {
        match self {
            Self::Count(count, window) => window.add(seen.clone(), count).is_some(),
            Self::Spike(spike, known) => {
                let (policy, watch) = known.as_mut();
                watch.add(spike, policy, seen, around).is_some()
            }
        }
    }

    /// When it fires first.
    fn fires_at(mut self, posts: &[Seen], around: &Surroundings<'_>) -> Option<Timestamp> {
        posts.iter().find(|seen| self.fires(seen, around)).map(|seen| seen.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::condition::Distinct;
    use crate::domain::event::DownReason;
    use crate::domain::volume::Promise;

    const DAY: i64 = 86_400;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_788_220_800 + seconds)
    }

    /// Somebody else each time, so many times a day, for so many days.
    fn steady(per_day: i64, days: i64) -> Vec<Taken> {
        let post = |n: i64| Taken { at: at(n * DAY / per_day), author: Key::of(&n), story: Story(n.cast_unsigned()) };
        (0..per_day * days).map(post).collect()
    }

    /// A burst at noon of each day from the fifteenth on, evenly.
    fn noons(days: i64) -> Vec<Moment> {
        let writes: Vec<f64> = (0..80).map(|n| f64::from(n) / 80.0).collect();
        (14..days).map(|day| Moment { at: at(day * DAY + DAY / 2), writes: writes.clone() }).collect()
    }

    fn spike(days: u64) -> Condition {
        let false_alarms = Promise { alarms: 1, within: Duration::from_hours(24 * days) };
        Condition::Spike(Spike { false_alarms, at_least: 5, authors: 3 })
    }

    fn caught(settings: &[Condition], taken: &[Taken], gaps: &[Gap]) -> Vec<Vec<usize>> {
        let zone = Zone::default();
        let history = History { taken, from: at(0), gaps, sources: 1, zone: &zone };
        let bursts = [5, 8, 40].map(|authors| Burst { authors, within: Duration::from_mins(10) });
        let mut done = 0;
        let tried = tune(settings, &history, at(14 * DAY), &noons(24), &bursts, || done += 1).unwrap();
        assert_eq!(done, 10, "moments after the last post are tried, too");
        tried.iter().map(|tried| tried.caught.iter().map(Vec::len).collect()).collect()
    }

    #[test]
    fn a_quiet_rule_hears_eight_people_and_a_busy_one_does_not() {
        let settings = [spike(7), spike(365)];
        for heard in caught(&settings, &[], &[]) {
            assert_eq!(heard[1..], [10, 10], "eight in ten minutes on a silent rule");
        }
        for heard in caught(&settings, &steady(2880, 24), &[]) {
            assert_eq!(heard[..2], [0, 0], "eight are nothing where two come every minute");
            assert_eq!(heard[2], 10);
        }
    }

    #[test]
    fn a_stricter_promise_misses_what_is_small_and_slow() {
        let (taken, zone) = (steady(1, 24), Zone::default());
        let history = History { taken: &taken, from: at(0), gaps: &[], sources: 1, zone: &zone };
        let bursts = [5, 80].map(|authors| Burst { authors, within: Duration::from_hours(2) });
        let tried = tune(&[spike(7), spike(3650)], &history, at(0), &noons(24), &bursts, || ()).unwrap();
        let caught = |setting: usize| tried[setting].caught.iter().map(Vec::len).collect::<Vec<_>>();
        assert!(caught(0)[0] > caught(1)[0], "{:?} {:?}", caught(0), caught(1));
        assert_eq!((caught(0)[1], caught(1)[1]), (10, 10));
        assert!(tried[1].caught[1][0] >= tried[0].caught[1][0], "and hears later of what is large");
    }

    #[test]
    fn a_count_hears_what_reaches_it() {
        let count = |at_least| {
            Condition::Count(Count { at_least, distinct: Distinct::Author, within: Duration::from_mins(15) })
        };
        let heard = caught(&[count(5), count(6), count(41)], &[], &[]);
        assert_eq!(heard, [[10, 10, 10], [0, 10, 10], [0, 0, 0]]);
    }

    #[test]
    fn what_the_daemon_missed_is_no_silence() {
        let taken: Vec<Taken> = steady(480, 24).into_iter().filter(|taken| taken.at >= at(10 * DAY)).collect();
        let (from, to, reason) = (at(0), Some(at(10 * DAY)), DownReason::NotRunning);
        let lost = Gap { source: "s".into(), from, to, reason, recovered: false };
        let zone = Zone::default();
        let alerts = |gaps: &[Gap]| {
            let history = History { taken: &taken, from, gaps, sources: 1, zone: &zone };
            tune(&[spike(30)], &history, from, &[], &[], || ()).unwrap()[0].alerts
        };
        assert_eq!(alerts(&[lost]), 0);
        assert!(alerts(&[]) > 0, "ten silent days make the first hour an alarm");
    }

    #[test]
    fn other_conditions_have_nothing_to_tune() {
        let zone = Zone::default();
        let history = History { taken: &[], from: at(0), gaps: &[], sources: 1, zone: &zone };
        assert_eq!(tune(&[Condition::Match], &history, at(0), &[], &[], || ()), None);
    }
}

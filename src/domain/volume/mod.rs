//! What is usual for a rule, and what is not.
//!
//! A [`Baseline`] takes a rule's posts as counts in bins of time and says of each bin
//! whether it is an alarm. Three questions must all be answered with yes:
//!
//! 1. *Enough?* A handful of posts in the window.
//! 2. *Surprising?* So many are unlikely under the rule's own season and burstiness.
//! 3. *New?* The excess comes near or over the largest one the rule remembers.
//!
//! A rule that has storms of its own is asked for more surprise, see `storms.rs`.
//!
//! Four windows are asked: a quarter of an hour, two hours, half a day, and the quarter
//! of an hour against the two hours that it ends. After an alarm the rule is silent for
//! half a day, unless the next is twice as strong.
//!
//! Rejected, each measured on labelled streams of a social network and on simulated ones:
//! ratios to the hour before and fixed thresholds (hundreds of false alarms a year on
//! steady streams), EARS and the mean with three standard deviations (the same, unless
//! set so high that they miss half of all bursts), surprise alone (fires at every little
//! storm: what tells an event from ordinary life is that this rule has not lately done
//! the like).
//!
//! All is a function of the bins before and of this one. A bin that is still filling may
//! be judged as often as one likes ([`Baseline::judge`]); with every post it can only
//! become more of an alarm, so judging early finds what judging late would find.

mod channel;
mod promise;
mod recent;
mod scale;
mod season;
mod silence;
mod stored;
mod storms;
mod tail;
mod words;

use channel::{Channel, Common, Test, clipped};
pub use promise::{Floor, Policy, Promise};
use recent::Recent;
pub use scale::Scale;
use season::{Forecast, Season};
pub use silence::{Longest, Lull};
pub use stored::Unreadable;
use storms::Storms;
pub use words::rounded;

/// An excess of this share of the record is new.
const NEW: f64 = 0.93;
/// Hours without a second alarm, and how much stronger one must be to come all the same.
const SILENT_HOURS: f64 = 12.0;
const STRONGER: f64 = 2.0;
/// No alarms, no records and no doubt of what is seen before this age.
const WARM_HOURS: f64 = 6.0;
/// Much surprise is asked of a rule younger than this.
const COLD_DAYS: f64 = 2.0;
const COLD_SURPRISE: f64 = 5.0;

/// What one bin brought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Posts.
    pub count: f64,
    /// The share of the bin during which posts could be seen: 0 to 1.
    pub exposure: f64,
    /// Local hours since Monday 00:00 at its beginning.
    pub hour: f64,
}

/// All that is remembered of a stream of bins.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    season: Season,
    recent: Recent,
    channels: [Channel; 4],
    /// The level over the last weeks, as a fading mean.
    mean: f64,
    mean_weight: f64,
    /// Bins seen.
    age: f64,
    /// Bins since the records' bases were renewed.
    renewed: f64,
    /// Bins since the last alarm, and how new that one was.
    silent: f64,
    strength: f64,
    storms: Storms,
}

/// What a bin is against all that came before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// Whether it is an alarm.
    pub alarm: bool,
    /// Posts expected in this bin.
    pub expected: f64,
    /// The window to speak of: the most surprising one.
    pub window: Window,
    /// `-log10` of the chance of what that window holds.
    pub surprise: f64,
    /// The largest excess, by the record of its window.
    pub novelty: f64,
}

/// A window and what was expected of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    /// Its length in bins.
    pub bins: usize,
    /// Posts in it.
    pub seen: f64,
    /// Posts expected.
    pub expected: f64,
    /// Size of the negative binomial around that.
    pub size: f64,
    /// Compared with the hours just before, not with other weeks.
    pub local: bool,
}

/// A bin among all that came before.
struct Reading {
    forecast: Forecast,
    /// Posts expected in the bin.
    expected: f64,
    sums: [recent::Sum; 4],
    common: Common,
    tests: [Test; 4],
}

impl Window {
    /// The most posts that are not unusual: 19 times in 20 there are no more.
    pub fn usual_up_to(&self) -> f64 {
        tail::usual_up_to(self.expected, self.size, 0.05_f64.log10().abs())
    }
}

impl Baseline {
    /// Nothing is known yet.
    pub fn new(scale: &Scale) -> Self {
        Self {
            season: Season::new(scale),
            recent: Recent::new(scale),
            channels: [Channel::default(); 4],
            mean: 0.0,
            mean_weight: 0.0,
            age: 0.0,
            renewed: 0.0,
            silent: f64::INFINITY,
            strength: 0.0,
            storms: Storms::default(),
        }
    }

    /// Judges a bin, which may still be filling; nothing is learnt.
    pub fn judge(&self, scale: &Scale, policy: &Policy, bin: Bin) -> Judgement {
        let reading = self.read(scale, bin);
        let Some(decision) = self.decide(scale, policy, &reading) else {
            return Judgement {
                alarm: false,
                expected: reading.expected,
                window: Window::default(),
                surprise: 0.0,
                novelty: 0.0,
            };
        };
        let (mut window, mut surprise) = reading.most_surprising(scale);
        let alarm = decision.is_alarm(|| surprise);
        if decision.by_floor && surprise < decision.least_surprise {
            window = reading.of_floor(scale);
            surprise = tail::surprise(window.seen, window.expected, window.size);
        }
        Judgement { alarm, expected: reading.expected, window, surprise, novelty: decision.novelty }
    }

    /// Whether a bin is an alarm, as [`Baseline::judge`] says, without the reasons.
    pub fn is_alarm(&self, scale: &Scale, policy: &Policy, bin: Bin) -> bool {
        let reading = self.read(scale, bin);
        let decision = self.decide(scale, policy, &reading);
        decision.is_some_and(|decision| decision.is_alarm(|| reading.most_surprising(scale).1))
    }

    /// The largest count of that bin that is no alarm; none while no count would be one.
    pub fn upper(&self, scale: &Scale, policy: &Policy, bin: Bin) -> Option<f64> {
        let alarm = |count| self.is_alarm(scale, policy, Bin { count, ..bin });
        // Nobody counts that far.
        alarm(1e15).then(|| (tail::above_all(0.0, |count| !alarm(count)) - 1.0).max(0.0))
    }

    /// Takes a bin in. Whether its alarm is told is for the caller to say: one that is not
    /// told silences nothing. True when there was one, and it was.
    pub fn learn(&mut self, scale: &Scale, policy: &Policy, bin: Bin, told: bool) -> bool {
        let reading = self.read(scale, bin);
        let decision = self.decide(scale, policy, &reading);
        let alarm = decision.filter(|decision| told && decision.is_alarm(|| reading.most_surprising(scale).1));
        let storm = decision.filter(|decision| decision.is_new && self.storms.may_grow(decision.novelty));
        let storm = storm.map(|_| reading.most_surprising(scale).1);
        let Reading { forecast, expected, sums, common, tests } = reading;
        let Bin { count, exposure, hour } = bin;
        self.recent.push(scale, count, expected, sums);
        self.silent += 1.0;
        if exposure <= 0.0 {
            return false; // unseen: neither quiet nor learnt
        }
        self.age += exposure;
        self.storms.learn(scale, exposure, storm.filter(|_| common.warm && !common.cold));
        self.mean = self.mean * common.fading.level + forecast.mean();
        self.mean_weight = self.mean_weight * common.fading.level + 1.0;
        self.renewed += exposure;
        if self.renewed >= SILENT_HOURS * scale.per_hour {
            self.renewed = 0.0;
            self.channels.iter_mut().for_each(Channel::renew_base);
        }
        for (channel, test) in self.channels.iter_mut().zip(&tests) {
            channel.learn(&common, test);
        }
        if let Some(alarm) = alarm {
            (self.silent, self.strength) = (0.0, alarm.novelty);
        }
        let noise = tests.first().map_or(0.0, |test| test.noise);
        let count = if common.warm { clipped(count, expected, noise) } else { count };
        self.season.learn(scale, hour, count, exposure, forecast, &common.fading);
        alarm.is_some()
    }

    /// Time passes unseen.
    #[allow(clippy::cast_precision_loss, reason = "a number of bins")]
    pub fn skip(&mut self, scale: &Scale, policy: &Policy, bins: u64, hour: f64) {
        let unseen = Bin { count: 0.0, exposure: 0.0, hour };
        let remembered = scale.remembered as u64;
        for _ in 0..bins.min(remembered) {
            self.learn(scale, policy, unseen, false);
        }
        // Nothing is left of what was before; only the time since the last alarm grows.
        self.silent += bins.saturating_sub(remembered) as f64;
    }

    /// Puts late posts into the bin where they belong, `age` bins before the last one
    /// taken in. Beyond half a day nothing would notice.
    pub fn add_late(&mut self, scale: &Scale, age: usize, hour: f64, posts: f64) {
        if age + 1 >= scale.remembered {
            return;
        }
        self.recent.add_late(scale, age, posts);
        // As posts in time are: an event shall not become the usual.
        let expected = self.recent.expected(age + 1);
        let noise = self.channels.first().map_or(0.0, Channel::noise);
        let count = self.recent.count(age);
        let learnt = clipped(count, expected, noise) - clipped(count - posts, expected, noise);
        self.season.learn_late(hour, learnt);
    }

    /// Takes out the posts of the last half day, and the memory of the last alarm: what is
    /// left is how much is usual.
    pub fn forget_posts(&mut self) {
        self.recent.forget_posts();
        (self.silent, self.strength) = (f64::INFINITY, 0.0);
    }

    /// There may be more or fewer posts from now on for a reason that concerns nobody.
    pub fn doubt(&mut self) {
        self.season.doubt();
    }

    /// Bins seen.
    pub fn age(&self) -> f64 {
        self.age
    }

    /// What was expected of the bin `age` bins before the last one taken in.
    pub fn expected(&self, age: usize) -> f64 {
        self.recent.expected(age + 1)
    }

    fn read(&self, scale: &Scale, bin: Bin) -> Reading {
        let Bin { count, exposure, hour } = bin;
        let forecast = self.season.forecast(scale, hour);
        let expected = forecast.mean() * exposure;
        let sums = self.recent.with(scale, count, expected);
        let fading = scale.fading(exposure);
        let age = self.age + exposure;
        let common = Common {
            evidence: self.season.posts,
            mean: (self.mean * fading.level + forecast.mean()) / (self.mean_weight * fading.level + 1.0),
            exposure,
            warm: age >= WARM_HOURS * scale.per_hour,
            cold: age < COLD_DAYS * scale.per_day,
            fading,
        };
        let [quarter, hours, half_day, _] = sums;
        let local = recent::Sum { seen: quarter.seen, expected: against_hours_before(quarter, hours) };
        let [bins_quarter, bins_hours, bins_half_day, _] = scale.windows;
        let asked = [(quarter, bins_quarter), (hours, bins_hours), (half_day, bins_half_day), (local, bins_quarter)];
        // The bases of records are renewed before a bin is tested, and matter only to what is learnt.
        let mut tests = [Test::default(); 4];
        for ((test, channel), (sum, bins)) in tests.iter_mut().zip(&self.channels).zip(asked) {
            *test = channel.test(scale, &common, sum, bins);
        }
        Reading { forecast, expected, sums, common, tests }
    }

    /// What an alarm takes at that bin; none when nothing was seen.
    fn decide(&self, scale: &Scale, policy: &Policy, reading: &Reading) -> Option<Decision> {
        let Reading { common, tests, sums: [.., minutes], .. } = reading;
        let hours = (self.age + common.exposure) / scale.per_hour;
        let reached =
            |floor: &Floor| floor.is_reached(minutes.seen, minutes.expected, !common.warm) && hours >= floor.from_hours;
        let by_floor = policy.floor.as_ref().is_some_and(reached);
        let novelty = tests.iter().map(|test| test.novelty).fold(if by_floor { NEW } else { 0.0 }, f64::max);
        let free = self.silent + 1.0 > SILENT_HOURS * scale.per_hour || novelty > STRONGER * self.strength;
        let asked = policy.surprise_at(common.mean * scale.per_hour);
        let least_surprise = if common.cold { asked.max(COLD_SURPRISE) } else { asked };
        let is_new = novelty >= NEW;
        let of_storms = if is_new { self.storms.surprise_at(policy.per_year) } else { 0.0 };
        let decision = Decision {
            novelty,
            by_floor,
            least_surprise: least_surprise.max(of_storms),
            of_storms,
            is_new,
            possible: (common.warm || by_floor) && free && is_new,
        };
        (common.exposure > 0.0).then_some(decision)
    }
}

/// All but the surprise, which takes a while to compute and hardly ever matters.
#[derive(Clone, Copy)]
struct Decision {
    novelty: f64,
    by_floor: bool,
    least_surprise: f64,
    /// What the rule's own storms ask even of the floor.
    of_storms: f64,
    is_new: bool,
    /// New, and neither too early nor too soon after another one.
    possible: bool,
}

impl Decision {
    fn is_alarm(&self, surprise: impl FnOnce() -> f64) -> bool {
        self.possible && surprise() >= if self.by_floor { self.of_storms } else { self.least_surprise }
    }
}

impl Reading {
    fn most_surprising(&self, scale: &Scale) -> (Window, f64) {
        let [quarter, hours, half_day, _] = scale.windows;
        let mut most = (Window::default(), 0.0);
        for ((test, bins), local) in
            self.tests.iter().zip([quarter, hours, half_day, quarter]).zip([false, false, false, true])
        {
            let surprise = test.surprise();
            if surprise > most.1 {
                let Test { seen, expected, size, .. } = *test;
                most = (Window { bins, seen, expected, size, local }, surprise);
            }
        }
        most
    }

    fn of_floor(&self, scale: &Scale) -> Window {
        let ([.., minutes], [.., bins]) = (self.sums, scale.windows);
        let size = self.tests.first().map_or(1.0, |test| test.size);
        Window { bins, seen: minutes.seen, expected: minutes.expected.max(1e-6), size, local: false }
    }
}

/// What the last quarter of an hour holds by the two hours it ends, pulled towards the
/// calendar by five imagined posts.
fn against_hours_before(quarter: recent::Sum, hours: recent::Sum) -> f64 {
    const IMAGINED: f64 = 5.0;
    quarter.expected.max(1e-6) * (hours.seen - quarter.seen + IMAGINED) / (hours.expected - quarter.expected + IMAGINED)
}

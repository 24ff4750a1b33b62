//! Schedules against a model that walks minute by minute, and the puzzles that other programs
//! are asked about.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn zone(name: &str) -> Zone {
    Zone::of(jiff::tz::TimeZone::get(name).unwrap())
}

fn utc(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn wall(text: &str) -> WallTime {
    text.parse::<jiff::civil::DateTime>().unwrap().into()
}

fn hours(days: &str, from: u16, to: u16) -> Hours {
    let on = |name: &&str| days.split(' ').any(|day| day == *name) || days == "all";
    Hours { days: Weekdays(Weekdays::NAMES.map(|name| on(&name))), from: from * 60, to: to * 60 }
}

fn layer(people: &str, every_hours: u64, start: &str, only: &[Hours]) -> Layer {
    Layer {
        rotation: people.split(' ').map(PersonName::from).collect(),
        start: wall(start),
        every: Duration::from_hours(every_hours),
        only: only.to_vec(),
    }
}

fn schedule(name: &str, layers: &[Layer]) -> Schedule {
    Schedule { zone: zone(name), layers: layers.to_vec(), overrides: Vec::new() }
}

/// `who from` of each shift, times as clocks there show them.
fn told(schedule: &Schedule, from: &str, to: &str) -> Vec<String> {
    let shifts = schedule.shifts(utc(from), utc(to));
    let clock = |at: Timestamp| {
        let at = jiff::Timestamp::from_microsecond(at.micros()).unwrap().to_zoned(schedule.zone.rules().clone());
        at.strftime("%a %d %H:%M%:z").to_string()
    };
    shifts.map(|shift| format!("{} {}", clock(shift.from), shift.person.map_or("nobody", PersonName::as_str))).collect()
}

#[test]
fn a_hand_over_at_eight_is_at_eight_in_summer_and_in_winter() {
    let daily = schedule("America/New_York", &[layer("ann bob", 24, "2026-10-30T08:00", &[])]);
    assert_eq!(
        told(&daily, "2026-10-31T00:00:00Z", "2026-11-03T00:00:00Z"),
        ["Fri 30 20:00-04:00 ann", "Sat 31 08:00-04:00 bob", "Sun 01 08:00-05:00 ann", "Mon 02 08:00-05:00 bob"]
    );
    let spring = told(&daily, "2027-03-13T13:30:00Z", "2027-03-15T14:00:00Z");
    assert_eq!(spring.len(), 3);
    assert!(spring[1].starts_with("Sun 14 08:00-04:00") && spring[2].starts_with("Mon 15 08:00-04:00"), "{spring:?}");
}

#[test]
fn twelve_hour_shifts_stay_day_and_night_over_a_year() {
    let shifts = schedule("Europe/Berlin", &[layer("day night", 12, "2026-01-01T07:00", &[])]);
    for shift in shifts.shifts(utc("2026-01-01T06:00:00Z"), utc("2027-01-01T06:00:00Z")) {
        let civil = shifts.zone.rules().to_datetime(jiff::Timestamp::from_microsecond(shift.from.micros()).unwrap());
        let hour = if shift.person.unwrap().as_str() == "day" { 7 } else { 19 };
        assert_eq!((civil.hour(), civil.minute()), (hour, 0), "{shift:?}");
    }
}

#[test]
fn a_hand_over_that_the_clock_skips_or_shows_twice_happens_once() {
    let nightly = schedule("America/New_York", &[layer("ann bob", 24, "2027-03-13T02:30", &[])]);
    assert_eq!(
        told(&nightly, "2027-03-14T05:00:00Z", "2027-03-15T08:00:00Z"),
        ["Sun 14 00:00-05:00 ann", "Sun 14 03:00-04:00 bob", "Mon 15 02:30-04:00 ann"]
    );
    let nightly = schedule("America/New_York", &[layer("ann bob", 24, "2026-10-31T01:30", &[])]);
    assert_eq!(
        told(&nightly, "2026-11-01T04:00:00Z", "2026-11-02T07:00:00Z"),
        ["Sun 01 00:00-04:00 ann", "Sun 01 01:30-04:00 bob", "Mon 02 01:30-05:00 ann"]
    );
}

#[test]
fn hours_through_midnight_belong_to_the_day_on_which_they_begin() {
    // Nights of Friday and Saturday only; the rest is the desk's.
    let weekend = layer("ann bob", 7 * 24, "2026-11-02T08:00", &[hours("fri sat", 18, 8)]);
    let desk = layer("desk", 24, "2026-11-01T00:00", &[]);
    assert_eq!(
        told(&schedule("Europe/London", &[weekend, desk]), "2026-11-06T12:00:00Z", "2026-11-09T12:00:00Z"),
        [
            "Fri 06 12:00+00:00 desk",
            "Fri 06 18:00+00:00 ann",
            "Sat 07 08:00+00:00 desk",
            "Sat 07 18:00+00:00 ann",
            "Sun 08 08:00+00:00 desk"
        ]
    );
}

#[test]
fn a_weekend_that_begins_on_friday_evening_is_one_shift_through_the_night_clocks_are_set() {
    let at = |days: &str, from: u16, to: u16| hours(days, from, to);
    let weekend = [at("fri", 17, 24), at("sat sun", 0, 24), at("mon", 0, 8)];
    let weekend = layer("ann bob", 7 * 24, "2026-10-23T17:00", &weekend);
    let desk = layer("desk", 24, "2026-10-01T00:00", &[]);
    assert_eq!(
        told(&schedule("Europe/Berlin", &[weekend, desk]), "2026-10-23T12:00:00Z", "2026-11-02T12:00:00Z"),
        [
            "Fri 23 14:00+02:00 desk",
            "Fri 23 17:00+02:00 ann",
            "Mon 26 08:00+01:00 desk",
            "Fri 30 17:00+01:00 bob",
            "Mon 02 08:00+01:00 desk"
        ]
    );
}

#[test]
fn a_rotation_turns_while_its_layer_does_not_count() {
    // Office hours, a new person each day: over the weekend two turns pass unseen.
    let office = layer("ann bob cid", 24, "2026-11-02T09:00", &[hours("mon tue wed thu fri", 9, 17)]);
    assert_eq!(
        told(&schedule("UTC", &[office]), "2026-11-05T09:00:00Z", "2026-11-09T17:00:00Z"),
        [
            "Thu 05 09:00+00:00 ann",
            "Thu 05 17:00+00:00 nobody",
            "Fri 06 09:00+00:00 bob",
            "Fri 06 17:00+00:00 nobody",
            "Mon 09 09:00+00:00 bob"
        ]
    );
}

#[test]
fn the_first_layer_that_has_somebody_decides_and_an_override_before_all() {
    let week = layer("ann bob", 7 * 24, "2026-11-02T08:00", &[]);
    let nights = layer("nia", 24, "2026-11-03T00:00", &[hours("all", 20, 6)]);
    let mut both = schedule("UTC", &[nights, week]);
    let replace = |person: &str, from: &str, to: &str| Override { person: person.into(), from: utc(from), to: utc(to) };
    both.overrides = vec![
        replace("cid", "2026-11-04T12:00:00Z", "2026-11-05T12:00:00Z"),
        replace("dan", "2026-11-04T18:00:00Z", "2026-11-04T22:00:00Z"),
    ];
    assert_eq!(
        told(&both, "2026-11-04T00:00:00Z", "2026-11-06T00:00:00Z"),
        [
            "Wed 04 00:00+00:00 nia",
            "Wed 04 06:00+00:00 ann",
            "Wed 04 12:00+00:00 cid",
            "Wed 04 18:00+00:00 dan",
            "Wed 04 22:00+00:00 cid",
            "Thu 05 12:00+00:00 ann",
            "Thu 05 20:00+00:00 nia"
        ]
    );
}

#[test]
fn a_new_layer_above_takes_over_on_its_day() {
    let old = layer("ann bob", 7 * 24, "2026-01-05T08:00", &[]);
    let new = layer("cid dan", 7 * 24, "2026-12-01T08:00", &[]);
    let shifts = told(&schedule("UTC", &[new, old]), "2026-11-30T00:00:00Z", "2026-12-09T00:00:00Z");
    assert_eq!(shifts[1..], ["Mon 30 08:00+00:00 bob", "Tue 01 08:00+00:00 cid", "Tue 08 08:00+00:00 dan"]);
}

#[test]
fn a_day_that_a_country_leaves_out_is_nobodys_turn() {
    // Samoa had no 30 December 2011: of four daily turns one has no time.
    let daily = schedule("Pacific/Apia", &[layer("ann bob cid dan", 24, "2011-12-28T00:00", &[])]);
    assert_eq!(
        told(&daily, "2011-12-28T10:00:00Z", "2012-01-01T00:00:00Z"),
        ["Wed 28 00:00-10:00 ann", "Thu 29 00:00-10:00 bob", "Sat 31 00:00+14:00 dan", "Sun 01 00:00+14:00 ann"]
    );
}

#[test]
fn a_hole_of_the_week_is_found_and_a_whole_week_has_none() {
    let (day, night) = (hours("mon tue wed thu fri", 8, 20), hours("mon tue wed thu fri", 20, 8));
    let weekend = hours("sat sun", 8, 8);
    let of = |only: &[Hours]| layer("ann", 24, "2026-01-01T00:00", only);
    let from = utc("2026-03-01T00:00:00Z");
    for name in ["America/New_York", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia"] {
        let whole = schedule(name, &[of(&[day]), of(&[night]), of(&[weekend])]);
        assert_eq!(whole.gaps(from), [], "{name}");
        assert!(whole.shifts(from, from + Duration::from_hours(9000)).all(|shift| shift.person.is_some()), "{name}");
    }
    let no_sundays = schedule("UTC", &[of(&[day, night]), of(&[hours("sat", 8, 8)])]);
    let gaps: Vec<(String, String)> =
        no_sundays.gaps(from).iter().map(|gap| (gap.from.to_string(), gap.to.to_string())).collect();
    assert_eq!(gaps[0].0, "2026-03-01T08:00:00Z");
    assert_eq!(gaps[0].1, "2026-03-02T08:00:00Z");
    assert_eq!(gaps.len(), 3);
}

#[test]
fn an_override_hides_no_hole_and_a_start_that_is_yet_to_come_is_one() {
    let mut late = schedule("UTC", &[layer("ann", 24, "2026-12-01T08:00", &[])]);
    let from = utc("2026-11-28T00:00:00Z");
    let gap = |person| Shift { person, from, to: utc("2026-12-01T08:00:00Z") };
    assert_eq!(late.gaps(from), [gap(None)]);
    assert_eq!(late.gaps(utc("2026-12-01T08:00:00Z")), []);
    late.overrides = vec![Override { person: "bob".into(), from, to: utc("2026-12-01T08:00:00Z") }];
    assert_eq!(late.gaps(from), [], "somebody bridges it");
    let mut part = schedule("UTC", &[layer("ann", 24, "2026-01-01T00:00", &[hours("mon", 0, 12)])]);
    part.overrides = vec![Override { person: "bob".into(), from, to: utc("2027-01-04T00:00:00Z") }];
    assert_eq!(part.gaps(from)[0].from, utc("2027-01-04T12:00:00Z"));
    assert_eq!(Schedule { layers: Vec::new(), ..part }.gaps(from)[0].from, utc("2027-01-04T00:00:00Z"));
}

#[test]
fn quiet_hours_end_where_no_others_begin() {
    let night = Hours { days: Weekdays::ALL, from: 22 * 60, to: 6 * 60 };
    let person = Person {
        contact: BTreeMap::new(),
        zone: zone("Europe/Berlin"),
        quiet: vec![night, hours("sat sun", 6, 12)],
        language: None,
    };
    let until = |at: &str| person.quiet_until(utc(at)).map(|until| until.to_string());
    assert_eq!(until("2026-10-22T21:00:00Z"), Some("2026-10-23T04:00:00Z".to_owned()));
    // Saturday until noon, and the clock is set back in the night to Sunday.
    assert_eq!(until("2026-10-24T00:30:00Z"), Some("2026-10-24T10:00:00Z".to_owned()));
    assert_eq!(until("2026-10-25T00:30:00Z"), Some("2026-10-25T11:00:00Z".to_owned()));
    assert_eq!(until("2026-10-24T10:00:00Z"), None);
    let always = Person { quiet: vec![hours("all", 6, 6)], ..person };
    assert!(always.quiet_until(utc("2026-10-24T10:00:00Z")).is_some(), "it comes to an end");
}

#[test]
fn only_hours_without_a_hole_cover_the_week() {
    for (hours, whole) in [
        (vec![hours("all", 0, 0)], true),
        (vec![hours("all", 8, 20), hours("all", 20, 8)], true),
        (vec![hours("mon tue wed thu fri sat", 8, 8), hours("sun", 9, 8)], false),
        (vec![], false),
    ] {
        assert_eq!(cover_the_week(&hours), whole, "{hours:?}");
    }
}

/// The same schedule by somebody who sits before the clock and turns a page when it is time.
struct Walker<'a> {
    schedule: &'a Schedule,
    /// The furthest the clock has shown.
    shown: WallTime,
    /// Of each layer the page, and when the next is turned.
    pages: Vec<(Option<usize>, WallTime)>,
}

impl<'a> Walker<'a> {
    fn new(schedule: &'a Schedule) -> Self {
        let pages = schedule.layers.iter().map(|layer| (None, layer.start)).collect();
        Self { schedule, shown: WallTime::of(-1_000_000, 0), pages }
    }

    fn walk_to(&mut self, at: Timestamp) -> Option<PersonName> {
        self.shown = self.shown.max(self.schedule.zone.reads(at));
        let mut found = None;
        for (layer, (page, next)) in self.schedule.layers.iter().zip(&mut self.pages) {
            while *next <= self.shown {
                *page = Some(page.map_or(0, |page| (page + 1) % layer.rotation.len()));
                *next = next.plus(i64::try_from(layer.every.as_micros()).unwrap());
            }
            let counts = layer.only.is_empty() || layer.only.iter().any(|hours| is_in(hours, self.shown));
            if let Some(page) = page.filter(|_| counts && found.is_none()) {
                found = Some(layer.rotation[page].clone());
            }
        }
        let overridden = self.schedule.overrides.iter().filter(|one| one.from <= at && at < one.to);
        overridden.map(|one| one.person.clone()).next_back().or(found)
    }
}

fn is_in(hours: &Hours, shown: WallTime) -> bool {
    let minute = u16::try_from(shown.since(WallTime::of(shown.day(), 0)) / 60_000_000).unwrap();
    let on = |day: i64| hours.days.0[usize::try_from((day + 3).rem_euclid(7)).unwrap()];
    let (today, yesterday) = (on(shown.day()), on(shown.day() - 1));
    if hours.from < hours.to {
        return today && (hours.from..hours.to).contains(&minute);
    }
    (today && minute >= hours.from) || (yesterday && minute < hours.to)
}

const ZONES: [&str; 11] = [
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Beirut",
    "Pacific/Apia",
    "America/Havana",
    "Africa/Casablanca",
    "America/Santiago",
    "Asia/Kathmandu",
    "Europe/London",
    "UTC",
];

/// A moment not long before clocks are set.
fn eve(name: &str, choice: usize) -> Timestamp {
    let zone = jiff::tz::TimeZone::get(name).unwrap();
    let from: jiff::Timestamp = "2009-01-01T00:00:00Z".parse().unwrap();
    let set = zone.following(from).take(60).map(|set| set.timestamp()).nth(choice).unwrap_or(from);
    Timestamp::from_seconds(set.as_second() / 60 * 60) - Duration::from_hours(50)
}

prop_compose! {
    fn some_hours()(days in any::<[bool; 7]>(), from in 0u16..48, to in 0u16..=48) -> Hours {
        Hours { days: Weekdays(days), from: from * 30, to: to * 30 }
    }
}

prop_compose! {
    fn some_layer()(
        people in 1usize..4,
        days_before in 0i64..4,
        minute in 0i64..1440,
        every in prop_oneof![Just(60u64), 60u64..300, Just(720), Just(1440), Just(7 * 1440), 1440u64..6000],
        only in prop::collection::vec(some_hours(), 0..3),
    ) -> (i64, i64, Layer) {
        let rotation = ["ann", "bob", "cid"].map(PersonName::from)[..people].to_vec();
        (days_before, minute, Layer { rotation, start: WallTime::of(0, 0), every: Duration::from_mins(every), only })
    }
}

/// How long the walker watches: two days before the clock is set, and two after.
const MINUTES: u64 = 4 * 1440;

proptest! {
    #[test]
    fn a_schedule_is_what_somebody_before_the_clock_does(
        name in prop::sample::select(ZONES.to_vec()),
        choice in 0usize..60,
        layers in prop::collection::vec(some_layer(), 0..4),
        overrides in prop::collection::vec((0u64..6000, 0u64..3000), 0..3),
    ) {
        let begin = eve(name, choice);
        let zone = zone(name);
        let today = zone.reads(begin).day();
        let layers: Vec<Layer> = layers.into_iter().map(|(days_before, minute, layer)| {
            Layer { start: WallTime::of(today + 2 - days_before, minute), ..layer }
        }).collect();
        let overrides: Vec<Override> = overrides.into_iter().map(|(from, length)| {
            let from = begin + Duration::from_mins(from);
            Override { person: "sub".into(), from, to: from + Duration::from_mins(length) }
        }).collect();
        let schedule = Schedule { zone, layers, overrides };
        // The clock may have been set shortly before: the walker has seen that, too.
        let mut walker = Walker::new(&schedule);
        let warm = begin - Duration::from_hours(4);
        (0..240).for_each(|minute| { walker.walk_to(warm + Duration::from_mins(minute)); });
        let mut expected: Vec<Shift<'_>> = Vec::new();
        let mut walked = Vec::new();
        for minute in 0..MINUTES {
            let at = begin + Duration::from_mins(minute);
            let person = walker.walk_to(at);
            if minute % 13 == 0 {
                prop_assert_eq!(schedule.at(at), person.as_ref(), "at {}", at);
            }
            walked.push((at, person));
        }
        let end = begin + Duration::from_mins(MINUTES);
        for (at, person) in &walked {
            match expected.last_mut() {
                Some(last) if last.person == person.as_ref() => last.to = *at + Duration::from_mins(1),
                _ => expected.push(Shift { person: person.as_ref(), from: *at, to: *at + Duration::from_mins(1) }),
            }
        }
        let shifts: Vec<Shift<'_>> = schedule.shifts(begin, end).collect();
        prop_assert_eq!(&shifts, &expected);
        let holes = schedule.gaps(begin);
        for hole in shifts.iter().filter(|shift| shift.person.is_none()) {
            prop_assert!(holes.iter().any(|gap| gap.from <= hole.from && hole.to <= gap.to), "{:?} in {:?}", hole, holes);
        }
    }
}

//! A thousand bad nights, by a virtual clock: the engine, the real store, and the functions by which dispatchers
//! decide, against receivers that are down for hours, half recovered, slow, overrun, or take a message and never say so; people
//! who do not answer; nights on which clocks change; clocks that are set by hours; a disk that refuses for a while; drills; and a
//! process that dies wherever it can.
//!
//! What must hold is checked by an account of its own ([`account`]), which knows posts, commits, sends and answers, and
//! nothing of how they came about. `STORMBELL_SEEDS=20000 cargo test --release --test nights` tries more.

#![cfg(test)]
#![allow(missing_docs, unreachable_pub, clippy::missing_panics_doc, clippy::panic, reason = "parts of one suite")]

#[path = "../support/mod.rs"]
mod support;

mod account;
mod night;
mod service;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use night::Night;

/// Nights in a usual run.
const SEEDS: u64 = 1000;

/// Evenly spread numbers (splitmix64): the same night every time.
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    pub fn between(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.below(u64::try_from(to - from).unwrap())).unwrap()
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

#[test]
fn a_thousand_bad_nights_lose_no_page_tell_none_twice_and_explain_every_one() {
    let asked = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match asked("STORMBELL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..asked("STORMBELL_SEEDS").unwrap_or(SEEDS),
    };
    let next = AtomicU64::new(seeds.start);
    let total: Mutex<BTreeMap<&'static str, u64>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let told = std::panic::catch_unwind(|| {
                        let night = Night::live(seed);
                        if seed.is_multiple_of(20) {
                            assert_eq!(night.account.taken, Night::live(seed).account.taken, "invariant 4");
                        }
                        night.account.close(&night)
                    });
                    let Ok(happened) = told else {
                        next.store(u64::MAX / 2, Ordering::Relaxed);
                        panic!("night {seed}: again with STORMBELL_SEED={seed}");
                    };
                    let mut total = total.lock().unwrap();
                    for (what, times) in happened {
                        *total.entry(what).or_default() += times;
                    }
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    println!("{} nights: {total:#?}", seeds.end - seeds.start);
    if seeds.end - seeds.start >= SEEDS {
        for what in night::EVERYTHING {
            assert!(total.get(what).is_some_and(|times| *times >= 20), "{what} was hardly tried: {total:#?}");
        }
    }
}

#[test]
fn receipts_are_asked_for_right_after_a_disk_that_refused_takes_everything_again() {
    let (from, to) = (600, 1200);
    // During the trouble, and right after it: nothing of the first step takes it.
    for shots in [900, 1205] {
        let mut night = Night::staged(&[shots], (from, to), &["pager", "sms"]);
        night.until(1200);
        assert_eq!(night.account.said("overdue", "pager"), [0; 0]);
        let decided = shots.max(to);
        night.until(decided + 45 - 2 * night::LOOK);
        assert_eq!(night.account.said("overdue", "pager"), [0; 0], "{shots}: it has its time");
        night.until(decided + 45 + 2 * night::LOOK);
        assert_eq!(night.account.said("overdue", "pager").len(), 1, "{shots}: then it is told, once");
        assert!(!night.account.said("escalated", "").is_empty(), "{shots}: and whoever is next hears of it at once");
    }
}

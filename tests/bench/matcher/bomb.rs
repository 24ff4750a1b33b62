//! Rules of ten thousand words whose operators nest: linear, or refused.

use stormbell::domain::matcher::Matcher;

use crate::corpus::Recording;
use crate::corpus::hostile::bombs;
use crate::measure::timed;
use crate::subject::{Reader, query};

/// Words of each.
const LEAVES: usize = 10_000;

/// Prints what each shape costs to read, to build and to ask.
pub fn measure(recording: &Recording, seed: u64) {
    println!("\nbomb      rules of {LEAVES} words (memory: `cargo bench --bench heap`)");
    for (name, text) in bombs(LEAVES, seed) {
        let (parsed, parsing) = timed(|| query(&text));
        let query = match parsed {
            Ok(query) => query,
            Err(reason) => {
                println!("          {name}: refused after {:.1} ms ({reason})", parsing.as_secs_f64() * 1000.0);
                continue;
            }
        };
        let (matcher, building) = timed(|| Matcher::new([&query]));
        let mut reader = Reader::default();
        let (_, matching) =
            timed(|| recording.frames().filter_map(|frame| reader.frame(frame, &matcher)).sum::<usize>());
        println!(
            "          {name}: {} KB of text, parsed in {:.1} ms, built in {:.1} ms; {:.0} ns/frame of the corpus",
            text.len() / 1000,
            parsing.as_secs_f64() * 1000.0,
            building.as_secs_f64() * 1000.0,
            matching.as_nanos() as f64 / recording.len() as f64,
        );
    }
}

//! Exactness comes before speed: nothing is timed that is not right.

use stormbell::domain::matcher::Matcher;

use super::corpus::Recording;
use super::subject::{Queries, Reader};

/// Questions asked of the slow evaluation about all queries, in all.
const QUESTIONS: usize = 2_000_000;
/// Posts of which every match is asked after.
const POSTS: usize = 20_000;

/// A matcher that was checked.
pub fn exact(queries: &Queries, recording: &Recording) -> Matcher {
    let matcher = Matcher::new(&queries.parsed);
    check(&matcher, queries, recording);
    matcher
}

/// Asks the slow evaluation whether it agrees: of every query on posts spread over the
/// recording, and of every match on many posts more.
///
/// # Panics
/// At the first difference, which ends the benchmark.
pub fn check(matcher: &Matcher, queries: &Queries, recording: &Recording) -> String {
    let mut reader = Reader::default();
    let posts: Vec<&[u8]> = recording.frames().filter(|frame| reader.read(frame)).collect();
    let whole = (QUESTIONS / queries.parsed.len().max(1)).clamp(1, posts.len());
    let mut positive = 0;
    for frame in spread(&posts, whole) {
        reader.read(frame);
        let found = reader.matches(matcher);
        let slow = reader.slowly(queries.parsed.iter());
        let slow: Vec<usize> = (0..slow.len()).filter(|&query| slow[query]).collect();
        assert!(found == slow, "{}", difference(&found, &slow, queries, frame));
        positive += found.len();
    }
    let many = POSTS.min(posts.len());
    for frame in spread(&posts, many) {
        reader.read(frame);
        let found = reader.matches(matcher);
        let slow = reader.slowly(found.iter().map(|&query| &queries.parsed[query]));
        let slow: Vec<usize> = found.iter().zip(slow).filter_map(|(&query, holds)| holds.then_some(query)).collect();
        assert!(found == slow, "{}", difference(&found, &slow, queries, frame));
        positive += found.len();
    }
    format!("{whole} posts × all rules, {many} posts × all their matches, {positive} of them positive: no difference")
}

/// So many of them, evenly.
fn spread<'a, 'f>(posts: &'a [&'f [u8]], count: usize) -> impl Iterator<Item = &'f [u8]> + use<'a, 'f> {
    (0..count).map(move |place| posts[place * posts.len() / count])
}

fn difference(found: &[usize], slow: &[usize], queries: &Queries, frame: &[u8]) -> String {
    let wrong = found.iter().find(|query| !slow.contains(query)).or_else(|| slow.iter().find(|q| !found.contains(q)));
    let query = wrong.map_or("", |&query| &queries.written[query].query);
    let says = if wrong.is_some_and(|query| found.contains(query)) { "takes" } else { "does not take" };
    format!("the matcher {says} and the slow evaluation disagrees: {query} on {}", String::from_utf8_lossy(frame))
}

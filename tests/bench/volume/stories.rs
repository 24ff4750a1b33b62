//! Folding posts into stories: what a worker does for it, and what the engine does.

use std::hint::black_box;
use std::time::{Duration, Instant};

use stormbell::domain::post::{Excerpt, Post};
use stormbell::domain::story::{Sketch, Stories};
use stormbell::domain::text::Words;
use stormbell::domain::time::Timestamp;

use crate::corpus::Draft;
use crate::rng::Rng;

const POSTS: usize = 100_000;
/// One in so many is a copy of an earlier one, with a few words more.
const COPIES: usize = 3;
const ROUNDS: usize = 5;

pub fn stories(seed: u64) {
    let posts = posts(seed);
    let (mut drawing, mut folding, mut names) = (Duration::MAX, Duration::MAX, 0);
    for _ in 0..ROUNDS {
        let (mut drawn, mut words) = (Duration::ZERO, Words::default());
        let sketches = posts.iter().map(|post| {
            let excerpt = Excerpt::of(post);
            words.read(&excerpt); // the matcher has done that
            let began = Instant::now();
            let sketch = Sketch::of(&excerpt, &words);
            drawn += began.elapsed();
            sketch
        });
        let sketches: Vec<Sketch> = sketches.collect();
        let mut stories = Stories::default();
        let mut told = std::collections::HashSet::new();
        let began = Instant::now();
        for (post, sketch) in posts.iter().zip(sketches) {
            told.insert(black_box(stories.tell(post, sketch)).0);
        }
        (drawing, folding, names) = (drawing.min(drawn), folding.min(began.elapsed()), told.len());
    }
    let each = |all: Duration| all.as_secs_f64() * 1e6 / POSTS as f64;
    println!(
        "\nstories   {POSTS} posts, one in {COPIES} a copy, are {names} stories; sketched by a worker in {:.2} µs each, folded by the engine in {:.2} µs (best of {ROUNDS})",
        each(drawing),
        each(folding)
    );
}

fn posts(seed: u64) -> Vec<Post> {
    let mut rng = Rng(seed);
    let mut posts: Vec<Post> = Vec::with_capacity(POSTS);
    for number in 0..POSTS {
        let at = Timestamp::from_seconds(1_795_341_600 + i64::try_from(number).unwrap());
        let text = match number.checked_sub(1) {
            Some(last) if number.is_multiple_of(COPIES) => {
                format!("{} — {}", posts[last - rng.index(last.min(1000) + 1)].text, rng.letters(5))
            }
            _ => Draft::new(&mut rng).text,
        };
        let author = format!("did:plc:{}", rng.letters(24));
        let id = format!("at://{author}/app.bsky.feed.post/{}", rng.letters(13));
        posts.push(Post::plain(id.into(), "bench".into(), author.into(), text, at));
    }
    posts
}

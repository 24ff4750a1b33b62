use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::domain::story::Story;

const MINUTE: i64 = 60;

fn share(above: f64, at_least: u64) -> Share {
    Share { above: Part::new(above).unwrap(), at_least, within: Duration::from_hours(1) }
}

fn seen(post: usize, author: &str, seconds: i64) -> Seen {
    let post = format!("post {post:05}").into();
    let story = Story::begun_by(&post);
    Seen::new(Timestamp::from_seconds(1_000_000 + seconds), post, author.into(), story)
}

/// Posts as (author, second, part): at which of them (by place) the share fires.
fn fires(share: &Share, posts: &[(&str, i64, bool)]) -> Vec<usize> {
    let mut whole = Whole::default();
    let add = |(place, (author, at, is_part)): (usize, &(&str, i64, bool))| {
        whole.add(&seen(place, author, *at), *is_part, share).map(|_| place)
    };
    posts.iter().enumerate().filter_map(add).collect()
}

/// So many posts by as many authors, one a minute.
fn crowd(from: i64, many: i64, is_part: bool) -> Vec<(&'static str, i64, bool)> {
    let name = |n: i64| &*Box::leak(format!("{is_part} {from} {n}").into_boxed_str());
    (0..many).map(|n| (name(n), from + n * MINUTE, is_part)).collect()
}

#[test]
fn a_share_fires_when_more_than_the_part_matched_and_enough_was_said() {
    let mut posts = crowd(0, 14, false);
    posts.extend(crowd(14 * MINUTE, 7, true));
    assert_eq!(fires(&share(0.30, 20), &posts), [20], "six of twenty are not more than 30 %");
    assert_eq!(fires(&share(0.30, 22), &posts), [0; 0]);
    posts.rotate_left(14);
    assert_eq!(fires(&share(0.30, 20), &posts), [19], "a post that only makes the whole large enough fires too");
}

#[test]
fn the_reason_names_both_counts_and_the_evidence_is_the_part() {
    let mut whole = Whole::default();
    let mut posts = crowd(0, 14, false);
    posts.extend(crowd(14 * MINUTE, 7, true));
    let mut last = None;
    for (place, (author, at, is_part)) in posts.into_iter().enumerate() {
        last = whole.add(&seen(place, author, at), is_part, &share(0.30, 20));
    }
    let fired = last.unwrap();
    let places: Vec<String> = fired.seen.iter().map(|seen| seen.post.to_string()).collect();
    assert_eq!(places, (14..21).map(|n| format!("post {n:05}")).collect::<Vec<_>>());
    let finding = fired.finding.unwrap();
    assert_eq!(finding.words, "33 % of what was said within 1 h (above 30 %): 7 of 21 posts, by 7 of 21 authors");
    assert!(matches!(finding.figures, Figures::Share { of: 21, share } if (share - 1.0 / 3.0).abs() < 1e-9));
}

#[test]
fn one_author_moves_no_share_however_much_they_write() {
    for at_least in [1, 5, 20] {
        let mut posts = crowd(0, 20, false);
        posts.extend((0..400).map(|n| ("flooder", 20 * MINUTE + n, true)));
        assert_eq!(fires(&share(0.10, at_least), &posts), [0; 0]);
        let alone: Vec<_> = (0..400).map(|n| ("flooder", n * 30, true)).collect();
        assert_eq!(fires(&share(0.10, at_least), &alone), [0; 0]);
    }
    // Nor does one author make it small.
    let mut posts = crowd(0, 14, false);
    posts.extend((0..400).map(|n| ("flooder", 14 * MINUTE + n / 10, false)));
    posts.extend(crowd(15 * MINUTE, 9, true));
    assert_eq!(fires(&share(0.30, 20), &posts).len(), 1);
}

#[test]
fn it_fires_again_after_a_window_without() {
    let shares = |gap: i64| {
        let mut posts = crowd(0, 14, false);
        posts.extend(crowd(14 * MINUTE, 10, true));
        posts.extend(crowd(gap, 10, true));
        posts.extend(crowd(gap + 10 * MINUTE, 10, false));
        fires(&share(0.30, 10), &posts).len()
    };
    assert_eq!(shares(60 * MINUTE), 1);
    assert_eq!(shares(180 * MINUTE), 2);
}

#[test]
fn a_late_post_counts_where_it_belongs() {
    let mut posts = crowd(0, 14, false);
    posts.extend(crowd(14 * MINUTE, 6, true));
    posts.extend(crowd(600 * MINUTE, 20, false));
    posts.push(("late", 20 * MINUTE, true));
    assert_eq!(fires(&share(0.30, 20), &posts), [40]);
}

#[test]
fn a_post_counts_once_and_an_edit_can_make_it_count_for_the_part() {
    let share = share(0.30, 3);
    let mut whole = Whole::default();
    for (n, author) in ["a", "b", "c"].into_iter().enumerate() {
        assert_eq!(whole.add(&seen(n, author, 0), false, &share), None);
        assert_eq!(whole.add(&seen(n, author, 5), false, &share), None);
    }
    assert_eq!(whole.heard.len(), 3);
    assert_eq!(whole.add(&seen(0, "a", 9), true, &share), None);
    let fired = whole.add(&seen(1, "b", 9), true, &share).unwrap();
    assert_eq!(fired.seen.iter().map(|seen| seen.at).collect::<Vec<_>>(), [seen(0, "a", 0).at; 2]);
    assert_eq!((fired.authors, fired.at), (2, Some(seen(0, "", 0).at)));
}

#[test]
fn memory_is_bounded_whatever_is_said() {
    let share = share(0.5, 20);
    let mut whole = Whole::default();
    for n in 0..20_000_usize {
        whole.add(&seen(n, &format!("a{}", n % 9_000), i64::try_from(n).unwrap() / 4), n % 3 == 0, &share);
    }
    assert!(whole.heard.len() <= CAPACITY && whole.part.len() <= CAPACITY);
    assert!(size_of::<Heard>() * CAPACITY < 20_000 && whole.to_bytes().len() < 20_000);
    // What was pushed out does not come back.
    assert_eq!(whole.admit(&seen(7, "new", 10), true, share.within), None);
}

#[test]
fn what_is_damaged_or_of_another_version_is_not_read() {
    let mut whole = Whole::default();
    for (place, (author, at, is_part)) in crowd(0, 9, true).into_iter().enumerate() {
        whole.add(&seen(place, author, at), is_part, &share(0.3, 3));
    }
    let bytes = whole.to_bytes();
    for cut in 0..bytes.len() {
        assert!(Whole::from_bytes(&bytes[..cut]).is_err());
    }
    assert!(Whole::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    assert!(Whole::from_bytes(&[&[9], &bytes[1..]].concat()).is_err());
}

/// The definition, at length: what counts in the window that ends at `end`.
fn is_exceeded(posts: &[(u8, i64, bool)], end: i64, share: &Share) -> bool {
    let within: Vec<_> = posts.iter().filter(|(_, at, _)| (end - 3599..=end).contains(at)).collect();
    let of = |author: u8, part: bool| within.iter().filter(|p| p.0 == author && (!part || p.2)).count().min(3) as u64;
    let authors: HashSet<u8> = within.iter().map(|post| post.0).collect();
    let total = |part| authors.iter().map(|&author| of(author, part)).sum::<u64>();
    let people = |part| authors.iter().filter(|&&author| of(author, part) > 0).count() as u64;
    total(false) >= share.at_least
        && people(true) > 1
        && share.above.is_exceeded(total(true), total(false))
        && share.above.is_exceeded(people(true), people(false))
}

/// Which posts fire: those that make a window exceed the share, an hour after the last that did.
fn naive(posts: &[(u8, i64, bool)], share: &Share) -> Vec<usize> {
    let mut admitted: Vec<(u8, i64, bool)> = Vec::new();
    let mut episodes: Vec<(i64, i64)> = Vec::new();
    let mut fires = Vec::new();
    for (place, &(author, at, part)) in posts.iter().enumerate() {
        let near = admitted.iter().filter(|p| p.0 == author && p.2 == part && (p.1 - at).abs() < 3600);
        if near.count() >= 3 {
            continue;
        }
        admitted.push((author, at, part));
        let ends: Vec<i64> = admitted.iter().map(|post| post.1).filter(|end| (at..at + 3600).contains(end)).collect();
        let mut ends: Vec<i64> = ends.into_iter().filter(|&end| is_exceeded(&admitted, end, share)).collect();
        ends.sort_unstable();
        let (Some(&first), Some(&last)) = (ends.first(), ends.last()) else { continue };
        let mut span = (first, last + 3600);
        let mut is_news = true;
        for &(began, ended) in episodes.iter().filter(|(began, ended)| first <= *ended && last + 3600 >= *began) {
            span = (span.0.min(began), span.1.max(ended));
            is_news = false;
        }
        episodes.retain(|(began, ended)| *began > span.1 || *ended < span.0);
        episodes.push(span);
        if is_news {
            fires.push(place);
        }
    }
    fires
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn it_fires_exactly_when_a_naive_count_says_so(
        posts in prop::collection::vec((0u8..9, 0i64..20_000, any::<bool>()), 1..80),
        in_order: bool,
        above in 0.1f64..0.8,
        at_least in 1u64..12,
        restart in 0usize..80,
    ) {
        let mut posts = posts;
        if in_order {
            posts.sort_by_key(|post| post.1);
        }
        let share = share(above, at_least);
        let mut whole = Whole::default();
        let mut fires = Vec::new();
        for (place, (author, at, is_part)) in posts.iter().enumerate() {
            if place == restart {
                let evidence = std::mem::take(&mut whole.part);
                whole = Whole::from_bytes(&whole.to_bytes()).unwrap();
                for seen in &evidence {
                    whole.remember(seen);
                }
                prop_assert_eq!(&whole.part, &evidence);
            }
            let fired = whole.add(&seen(place, &author.to_string(), *at), *is_part, &share);
            if let Some(fired) = fired {
                let at = fired.at.unwrap();
                prop_assert!(fired.seen.iter().all(|seen| seen.at <= at && seen.at + share.within > at));
                prop_assert!(fired.authors > 1);
                fires.push(place);
            }
        }
        prop_assert_eq!(fires, naive(&posts, &share));
    }
}

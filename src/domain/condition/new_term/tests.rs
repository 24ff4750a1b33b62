use proptest::prelude::*;

use super::*;
use crate::domain::post::Post;

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;

const ASKED: NewTerm = NewTerm { within: Duration::from_hours(1), at_least: 5, authors: 3 };

/// A rule's memory, and a number for each post.
struct Rule {
    vocabulary: Vocabulary,
    posts: usize,
    asked: NewTerm,
}

impl Rule {
    fn new(asked: NewTerm) -> Self {
        Self { vocabulary: Vocabulary::new(at(0)), posts: 0, asked }
    }

    /// What fires, as people read it.
    fn post(&mut self, author: &str, seconds: i64, text: &str) -> Option<String> {
        let id = format!("post {:05}", self.posts);
        let story = Story::begun_by(&id.as_str().into());
        self.post_of(story, author, seconds, text).map(|fired| fired.finding.unwrap().words)
    }

    fn post_of(&mut self, story: Story, author: &str, seconds: i64, text: &str) -> Option<Fired> {
        let id = format!("post {:05}", self.posts);
        self.posts += 1;
        let post = Post::plain(id.as_str().into(), "s".into(), author.into(), text.to_owned(), at(seconds));
        let seen = Seen::new(at(seconds), post.id.clone(), post.author.id.clone(), story);
        self.vocabulary.add(&seen, &terms(&post, false), &OwnWords::default(), &self.asked)
    }

    /// A post in an author's own words, with one that all have.
    fn people(&mut self, from: i64, many: i64, word: &str) -> Vec<String> {
        let own = |n: i64| {
            format!(
                "{word} {}",
                ["ward", "visit", "parking", "soup", "smile", "flowers", "music"][usize::try_from(n).unwrap() % 7]
            )
        };
        (0..many).filter_map(|n| self.post(&format!("{word} {n}"), from + n * MINUTE, &own(n))).collect()
    }

    fn restart(&mut self) {
        let evidence = std::mem::take(&mut self.vocabulary.evidence);
        self.vocabulary = Vocabulary::from_bytes(&self.vocabulary.to_bytes()).unwrap();
        for seen in &evidence {
            self.vocabulary.remember(seen);
        }
        assert_eq!(self.vocabulary.evidence, evidence);
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_700_000_000 + seconds)
}

#[test]
fn a_word_that_was_not_there_fires_once_and_says_what_it_is() {
    let mut rule = Rule::new(ASKED);
    rule.people(0, 5, "parking");
    let fired = rule.people(26 * DAY, 9, "Légionella");
    assert_eq!(
        fired,
        ["‘legionella’ in 5 posts by 5 authors within 1 h, not seen in this rule's posts in 26 d before"]
    );
    assert_eq!(rule.people(27 * DAY, 9, "legionella"), [""; 0], "then it was there");
    assert_eq!(rule.people(27 * DAY, 9, "parking"), [""; 0]);
}

#[test]
fn tags_and_links_are_terms_too() {
    let mut rule = Rule::new(ASKED);
    let fired = rule.people(2 * DAY, 5, "https://www.news.example/scandal?by=ann");
    assert_eq!(
        fired,
        ["a link to ‘news[.]example’ in 5 posts by 5 authors within 1 h, not seen in this rule's posts in 2 d before"]
    );
    let fired = rule.people(3 * DAY, 5, "#ShameOnThem");
    assert!(fired[0].starts_with("‘#shameonthem’ in 5 posts"), "{fired:?}");
}

#[test]
fn a_rule_learns_for_a_day_before_anything_is_new_to_it() {
    let mut rule = Rule::new(ASKED);
    assert_eq!(rule.people(DAY - 2 * MINUTE, 9, "legionella"), [""; 0], "its first post came too early");
    assert_eq!(rule.people(DAY + MINUTE, 5, "strike").len(), 1);
    rule.vocabulary.doubt(at(2 * DAY));
    assert_eq!(rule.people(2 * DAY + 60 * MINUTE, 9, "fire"), [""; 0], "another source brings other words");
    assert_eq!(rule.people(3 * DAY + 60 * MINUTE, 9, "flood").len(), 1);
}

#[test]
fn one_author_makes_no_term_and_cannot_fill_the_memory() {
    let mut rule = Rule::new(ASKED);
    for n in 0..3000 {
        let words = (0..20).map(|word| format!("noise{n}x{word}")).collect::<Vec<_>>().join(" ");
        assert_eq!(rule.post("flooder", 2 * DAY + n, &format!("legionella {words}")), None);
    }
    assert_eq!(rule.vocabulary.recent.len(), 3);
    assert_eq!(rule.post("second", 2 * DAY + 3000, "legionella here"), None);
    assert!(rule.post("third", 2 * DAY + 3001, "legionella there").is_some(), "three, one and one of three authors");
}

#[test]
fn of_one_author_near_copies_are_one_post() {
    let mut rule = Rule::new(ASKED);
    for (author, story) in [("a", 1), ("a", 1), ("a", 1), ("b", 1), ("c", 1), ("d", 1)] {
        assert_eq!(rule.post_of(Story(story), author, 2 * DAY, "legionella"), None);
    }
    let fired = rule.post_of(Story(1), "e", 2 * DAY, "legionella").unwrap();
    assert!(fired.finding.unwrap().words.starts_with("‘legionella’ in 5 posts by 5 authors"));
    assert_eq!((fired.seen.len(), fired.authors), (7, 5));
}

#[test]
fn the_other_words_of_the_same_news_do_not_fire_and_other_news_does() {
    let mut rule = Rule::new(ASKED);
    let mut fired = rule.people(2 * DAY, 20, "legionella cooling tower");
    fired.extend(rule.people(2 * DAY + 30 * MINUTE, 9, "cooling tower of legionella"));
    assert_eq!(fired.len(), 1);
    let other = rule.people(2 * DAY + 40 * MINUTE, 9, "strike pickets");
    assert_eq!(other.len(), 1, "an hour of one thing does not hide another: {other:?}");
    // The same thing in the words that came with it, by people who do not name it.
    assert_eq!(rule.people(2 * DAY + 55 * MINUTE, 4, "cooling"), [""; 0]);
}

#[test]
fn a_lone_post_in_the_morning_does_not_make_it_old() {
    let mut rule = Rule::new(ASKED);
    rule.post("early", 5 * DAY, "legionella?");
    assert_eq!(rule.people(5 * DAY + 20 * 3600, 5, "legionella").len(), 1);
    rule.post("early", 10 * DAY, "strike?");
    assert_eq!(rule.people(11 * DAY + 3600, 5, "strike"), [""; 0], "the day after it was there before");
}

#[test]
fn late_posts_count_where_they_belong() {
    let mut rule = Rule::new(ASKED);
    let early = rule.people(2 * DAY, 4, "legionella");
    rule.people(2 * DAY + 5 * 3600, 3, "parking");
    let late = rule.post("late", 2 * DAY + 5 * MINUTE, "also legionella");
    assert!(early.is_empty() && late.is_some());
    // What is older than all that is recent teaches, and no more.
    assert_eq!(rule.people(MINUTE, 9, "strike"), [""; 0]);
    assert_eq!(rule.people(2 * DAY + 6 * 3600, 9, "strike"), [""; 0]);
}

#[test]
fn what_an_author_took_back_is_gone() {
    let mut rule = Rule::new(ASKED);
    rule.people(2 * DAY, 4, "legionella");
    let author = Key::of("legionella 1");
    assert!(rule.vocabulary.erase(|_, by| by == author) && !rule.vocabulary.erase(|_, by| by == author));
    assert_eq!(rule.post("fifth", 2 * DAY + 5 * MINUTE, "legionella"), None);
    assert!(rule.post("sixth", 2 * DAY + 6 * MINUTE, "legionella").is_some());
}

#[test]
fn memory_is_bounded_whatever_is_said() {
    let mut rule = Rule::new(ASKED);
    let mut most = 0;
    for n in 0..1200_i64 {
        let words = (0..60).map(|word| format!("w{}x{word}", n % 900)).collect::<Vec<_>>().join(" ");
        rule.post(&format!("a{}", n % 700), n * 137, &words);
        let Vocabulary { recent, told, evidence, .. } = &rule.vocabulary;
        let terms: usize = recent.iter().map(|recent| recent.terms.len() * 4).sum();
        let held = 4 * 2560 + recent.len() * size_of::<Recent>() + terms + told.len() * 16;
        most = most.max(held);
        assert!(recent.len() <= RECENT && evidence.len() <= RECENT + 1 && told.len() <= TOLD);
    }
    assert!(most < 20_500 && rule.vocabulary.to_bytes().len() < 20_000, "{most} bytes");
}

#[test]
fn what_is_damaged_or_of_another_version_is_not_read() {
    let mut rule = Rule::new(ASKED);
    rule.people(2 * DAY, 9, "legionella");
    let bytes = rule.vocabulary.to_bytes();
    for cut in (0..bytes.len()).step_by(7) {
        assert!(Vocabulary::from_bytes(&bytes[..cut]).is_err());
    }
    assert!(Vocabulary::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    assert!(Vocabulary::from_bytes(&[&[9], &bytes[1..]].concat()).is_err());
}

/// Posts as (author, second, words): which fire, by the definition at length. All of one day,
/// so that nothing that was said is known before.
fn naive(posts: &[(u8, i64, Vec<u8>)], asked: &NewTerm) -> Vec<usize> {
    let within = asked.within.as_secs().cast_signed();
    let (mut read, mut told): (Vec<usize>, HashSet<u8>) = (Vec::new(), HashSet::new());
    let mut fires = Vec::new();
    let mut explained: HashSet<usize> = HashSet::new();
    for (place, (author, at, words)) in posts.iter().enumerate() {
        let near =
            read.iter().map(|&read| &posts[read]).filter(|post| post.0 == *author && (post.1 - at).abs() < within);
        if near.count() >= 3 {
            continue;
        }
        read.push(place);
        if words.iter().any(|word| told.contains(word)) {
            explained.insert(place);
            continue;
        }
        let mut best: Option<((u64, u64), u8)> = None;
        for word in words.iter().collect::<HashSet<_>>() {
            let having: Vec<usize> = read.iter().copied().filter(|read| posts[*read].2.contains(word)).collect();
            let open: Vec<usize> = having.into_iter().filter(|having| !explained.contains(having)).collect();
            let mut starts: Vec<i64> =
                open.iter().map(|open| posts[*open].1).filter(|from| (at - within + 1..=*at).contains(from)).collect();
            starts.sort_unstable();
            for from in starts {
                let inside: Vec<usize> =
                    open.iter().copied().filter(|open| (from..from + within).contains(&posts[*open].1)).collect();
                let authors = inside.iter().map(|inside| posts[*inside].0).collect::<HashSet<_>>().len() as u64;
                if inside.len() as u64 >= asked.at_least && authors >= asked.authors {
                    let size = (inside.len() as u64, authors);
                    if best.is_none_or(|(most, named)| size > most || size == most && *word < named) {
                        best = Some((size, *word));
                    }
                    break;
                }
            }
        }
        if let Some((_, word)) = best {
            told.insert(word);
            explained.extend(read.iter().copied().filter(|read| posts[*read].2.contains(&word)));
            fires.push(place);
        }
    }
    fires
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn it_fires_exactly_when_the_definition_says_so(
        posts in prop::collection::vec((0u8..8, 0i64..20_000, prop::collection::vec(0u8..12, 1..4)), 1..80),
        at_least in 2u64..6,
        authors in 2u64..4,
        restart in 0usize..80,
    ) {
        let asked = NewTerm { at_least, authors, ..ASKED };
        let mut rule = Rule::new(asked);
        let mut fires = Vec::new();
        for (place, (author, second, words)) in posts.iter().enumerate() {
            if place == restart {
                rule.restart();
            }
            let text: Vec<String> = words.iter().map(|word| format!("word{}", char::from(b'a' + word))).collect();
            if rule.post(&format!("author {author}"), 2 * DAY + second, &text.join(" ")).is_some() {
                fires.push(place);
            }
        }
        prop_assert_eq!(fires, naive(&posts, &asked));
    }
}

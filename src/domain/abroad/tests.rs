//! What is asked over there, and that nothing is lost by it.

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;

use super::split::fit;
use super::widen::Wide;
use super::{Abroad, MOST_RULES, RULE_CHARS};
use crate::domain::diagnostic::SourceText;
use crate::domain::organization::Organization;
use crate::domain::post::{Excerpt, Post, PostKind};
use crate::domain::query::{Lists, Query, Term, explain, parse};
use crate::domain::rule::model::{Except, Of};
use crate::domain::rule::{Rule, RuleSet, compile};
use crate::domain::text::Words;
use crate::domain::time::Timestamp;

fn lists() -> Lists {
    let mut lists = Lists::of(&Organization {
        aliases: vec!["Médecin Chef".to_owned()],
        accounts: vec!["@stbrigids.example".to_owned(), "@stbrigids".to_owned()],
        ..Organization::named("St. Brigid's Hospital")
    });
    let terms = ["fire", "patients", "infect*", "two words"].map(|text| Term::parse(text).unwrap());
    lists.insert("mixed", terms.to_vec());
    lists.insert("plain", ["fire", "smoke"].map(|text| Term::parse(text).unwrap()).to_vec());
    lists.insert("odd", vec![Term::parse("shooter").unwrap().fuzzy()]);
    lists
}

/// The rules for a query, one a line; what cannot be watched is a dash.
fn asked(query: &str) -> String {
    let query = parse(query, &lists()).unwrap_or_else(|mistakes| panic!("{query}: {mistakes:?}"));
    let wide = Wide::of(&query.root, &"x".into(), &mut false);
    match wide {
        Wide::Nothing => "nothing".to_owned(),
        wide => fit(wide, RULE_CHARS, 16).map_or_else(
            || "-".to_owned(),
            |(_, pieces, _)| pieces.iter().map(|piece| piece.text().to_owned()).collect::<Vec<_>>().join("\n"),
        ),
    }
}

#[test]
fn what_x_can_say_is_said_and_all_else_is_asked_for_more_widely() {
    for (query, expected) in [
        ("fire", "fire"),
        ("Fire AND smoke", "fire smoke"),
        ("fire (smoke OR steam)", "fire (smoke OR steam)"),
        ("fire OR smoke steam", "fire OR (smoke steam)"),
        (r#""active shooter""#, r#""active shooter" OR #activeshooter"#),
        ("covid-19", r#""covid 19" OR #covid19"#),
        ("patients", r#"patients OR "patient's""#),
        ("don't", r#"dont OR "don't""#),
        ("O'Brien", r#"obrien OR "o'brien""#),
        ("médecin", r#"medecin OR "médecin""#),
        (r#""or""#, r#""or""#),
        ("fire NEAR/5 smoke", "fire smoke"),
        (r#""fire smoke"~3"#, "fire smoke"),
        ("{AIDS}", r#"aids OR "aid's""#),
        ("#er", "#er"),
        ("#covid*", "-"),
        ("@stbrigids", "@stbrigids"),
        ("@stbrigids.example", r#""stbrigids.example""#),
        ("from:(StBrigids OR did:plc:abc OR x:998877)", "from:stbrigids OR from:998877"),
        ("from:did:plc:abc", "nothing"),
        ("fire lang:en", "fire lang:en"),
        ("fire lang:zh", "fire"),
        ("fire -lang:en", "fire -lang:en"),
        ("link:news.example", r#"url:"news.example""#),
        ("fire has:(media OR link)", "fire (has:media OR has:links)"),
        ("fire kind:repost", "fire is:retweet"),
        ("fire -kind:repost", "fire -is:retweet"),
        ("fire kind:(post OR reply OR quote)", "fire -is:retweet"),
        ("fire kind:reply", "fire -is:retweet"),
        ("fire min_followers:1000", "fire"),
        ("fire source:x", "fire"),
        ("fire source:y", "nothing"),
        ("fire -source:x", "nothing"),
        ("fire -source:y", "fire"),
        ("fire NOT drill", "fire"),
        ("fire NOT (drill OR from:stbrigids)", "fire -from:stbrigids"),
        ("fire OR (smoke -lang:en)", "fire OR (smoke -lang:en)"),
        ("fire infect*", "fire"),
        ("fire $mixed", "fire"),
        ("infect* OR fire", "-"),
        ("fire /sm.ke/", "fire"),
        ("/sm.ke/", "-"),
        ("fire $odd", "fire"),
        ("$plain steam", "(fire OR smoke) steam"),
    ] {
        assert_eq!(asked(query), expected, "{query}");
    }
}

#[test]
fn a_long_choice_becomes_several_rules_and_the_name_of_the_site_is_the_last_to_go() {
    let words = |count: usize| (0..count).map(|word| format!("word{word:04}")).collect::<Vec<_>>().join(" OR ");
    let long = asked(&words(300));
    assert_eq!(long.lines().count(), 4);
    assert!(long.lines().all(|rule| rule.len() <= RULE_CHARS && !rule.contains('(')));
    let both = asked(&format!("steam ({})", words(300)));
    assert_eq!(both.lines().count(), 4);
    assert!(both.lines().all(|rule| rule.len() <= RULE_CHARS && (rule.ends_with(") steam") || rule.starts_with("(w"))));
    let too_long = asked(&format!("$plain ({})", words(3000)));
    assert_eq!(too_long, "fire OR smoke");
    let ours = asked(&format!("$org ({}) smoke", words(3000)));
    assert!(ours.contains("smoke") && ours.contains("brigid's") && !ours.contains("word"), "{ours}");
    let name = asked(&format!("$org ({})", words(3000)));
    assert!(name.contains("@stbrigids OR") || name.contains("OR @stbrigids"), "{name}");
}

fn rules(file: &str) -> RuleSet {
    let source = Arc::new(SourceText { name: "r.toml".to_owned(), text: file.to_owned() });
    let (file, findings) = crate::config::rules::parse_rules(&source);
    let (rules, mistakes) = compile(&file.unwrap(), &Organization::named("St. Brigid's Hospital"));
    assert!(findings.is_empty() && mistakes.is_empty(), "{findings:?} {mistakes:?}");
    RuleSet::new(rules)
}

fn rule(id: &str, rest: &str) -> String {
    format!("[[rule]]\nid = \"{id}\"\ntitle = \"t\"\nseverity = \"low\"\n{rest}\n")
}

#[test]
fn rules_that_others_cover_are_not_asked_for_twice_and_what_cannot_be_asked_is_named() {
    let file = [
        "schema = 1\n[pack]\nname = \"p\"\n".to_owned(),
        rule("p.narrow", "query = 'fire smoke'"),
        rule("p.wide", "query = 'fire infect*'"),
        rule("p.same", "query = 'smoke fire'"),
        rule("p.shape", "query = '/sm.ke/'"),
        rule("p.elsewhere", "query = 'steam source:other'"),
        rule("p.apart", "query = 'steam'\nexcept = [{ reason = \"r\", query = 'from:ann' }]"),
        rule("p.share", "query = 'rats'\nshare = { of = '$org', above = 0.3, at_least = 20, within = \"1h\" }"),
    ];
    let abroad = Abroad::of(&rules(&file.concat()), &"x".into());
    let org = r#""st brigids hospital" OR "st brigid's hospital" OR #stbrigidshospital"#;
    assert!(abroad.rules.iter().any(|rule| rule.starts_with(org)), "the whole of a share is counted too: {abroad:#?}");
    let others: Vec<&str> = abroad.rules.iter().map(String::as_str).filter(|rule| !rule.starts_with(org)).collect();
    assert_eq!(others, ["fire", "rats OR \"rat's\"", "steam -from:ann"]);
    let ids = |ids: &[crate::domain::id::RuleId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((ids(&abroad.widened), ids(&abroad.unwatched)), (vec!["p.wide".to_owned()], vec!["p.shape".to_owned()]));
    assert_eq!(abroad.searches.len(), 1);
    assert!(abroad.searches[0].contains("(fire) OR ") && abroad.searches[0].len() <= 512, "{:?}", abroad.searches);
    let written = Abroad::as_written(&["cat has:media".to_owned()]);
    assert_eq!(
        (written.rules.as_slice(), written.searches.as_slice()),
        (&["cat has:media".to_owned()][..], &["cat has:media".to_owned()][..])
    );
}

#[test]
fn more_rules_than_x_takes_are_asked_for_more_widely() {
    let mut file = "schema = 1\n[pack]\nname = \"p\"\n[lists]\n".to_owned();
    for list in 0..150 {
        let words: Vec<String> = (0..1200).map(|word| format!("\"w{list}x{word}\"")).collect();
        writeln!(file, "l{list} = [{}]", words.join(", ")).unwrap();
    }
    for list in 0..150 {
        file += &rule(&format!("p.r{list}"), &format!("query = 'steam{list} $l{list}'"));
    }
    let abroad = Abroad::of(&rules(&file), &"x".into());
    assert!(abroad.rules.len() <= MOST_RULES && abroad.unwatched.is_empty(), "{}", abroad.rules.len());
    assert_eq!(abroad.widened.len(), 150);
    assert!(abroad.rules.contains(&"steam7".to_owned()));
}

/// X's filtered stream as its documents describe it.
mod naive {
    use super::{Post, PostKind};

    /// The tokens of a text.
    fn tokens(text: &str) -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|token| !token.is_empty()).map(str::to_lowercase).collect()
    }

    fn holds(tokens: &[String], phrase: &[String]) -> bool {
        !phrase.is_empty() && tokens.windows(phrase.len()).any(|window| window == phrase)
    }

    /// Whole entities of a text that begin with a sign.
    fn entities(text: &str, sign: char) -> Vec<String> {
        let after = text.match_indices(sign).map(|(at, _)| text.get(at + sign.len_utf8()..).unwrap());
        let name = |rest: &str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_lowercase();
        after.map(name).collect()
    }

    fn operator(text: &str, post: &Post) -> bool {
        let unquoted = |text: &str| text.trim_matches('"').to_owned();
        if let Some(text) = text.strip_prefix('-') {
            return !operator(text, post);
        }
        if let Some(tag) = text.strip_prefix('#') {
            return entities(&post.text, '#').iter().any(|entity| entity == tag);
        }
        if let Some(account) = text.strip_prefix('@') {
            return entities(&post.text, '@').iter().any(|entity| entity == account);
        }
        match text.split_once(':') {
            Some(("from", who)) => {
                post.author.handle.as_deref() == Some(who) || post.author.id.as_str() == format!("x:{who}")
            }
            Some(("lang", lang)) => post.lang.iter().any(|spoken| spoken == lang),
            Some(("url", url)) => post.links.iter().any(|link| holds(&tokens(link), &tokens(&unquoted(url)))),
            Some(("has", "links")) => !post.links.is_empty() || post.has_media,
            Some(("has", "media")) => post.has_media,
            Some(("is", "retweet")) => post.kind == PostKind::Repost,
            _ => holds(&tokens(&post.text), &tokens(&unquoted(text))),
        }
    }

    /// Whether a rule takes the post. AND binds tighter than OR.
    pub(super) fn takes(rule: &str, post: &Post) -> bool {
        let mut rest = rule.trim();
        let taken = either(&mut rest, post);
        assert!(rest.is_empty(), "{rule}: {rest} is left");
        taken
    }

    fn either(rest: &mut &str, post: &Post) -> bool {
        let mut taken = all(rest, post);
        while let Some(after) = rest.strip_prefix("OR ") {
            *rest = after;
            taken |= all(rest, post);
        }
        taken
    }

    fn all(rest: &mut &str, post: &Post) -> bool {
        let mut taken = true;
        let mut parts = 0;
        while !rest.is_empty() && !rest.starts_with(')') && !rest.starts_with("OR ") {
            parts += 1;
            if let Some(after) = rest.strip_prefix('(') {
                *rest = after;
                taken &= either(rest, post);
                *rest = rest.strip_prefix(')').expect("a closed group").trim_start();
                continue;
            }
            let mut quoted = false;
            let end = rest.find(|c: char| {
                quoted ^= c == '"';
                !quoted && (c == ' ' || c == ')')
            });
            let (one, after) = rest.split_at(end.unwrap_or(rest.len()));
            taken &= operator(one, post);
            *rest = after.trim_start();
        }
        assert!(parts > 0, "an empty group");
        taken
    }
}

#[test]
fn the_model_of_x_is_right_about_its_own_examples() {
    let post =
        |text: &str| Post::plain("x:1".into(), "x".into(), "x:2".into(), text.to_owned(), Timestamp::from_seconds(0));
    for (rule, text, taken) in [
        ("cola", "I like coca-cola", true),
        ("\"coca cola\"", "I like coca-cola", true),
        ("cat", "CATS", false),
        ("apple OR iphone ipad", "an ipad", false),
        ("apple OR iphone ipad", "iphone, ipad", true),
        ("(apple OR iphone) ipad", "apple", false),
        ("#thanku", "#thankunext", false),
        ("cat -grumpy", "grumpy cat", false),
    ] {
        assert_eq!(naive::takes(rule, &post(text)), taken, "{rule} on {text}");
    }
}

fn term() -> impl Strategy<Value = String> {
    let terms = [
        "fire",
        "smoke",
        "patients",
        "nurse",
        "don't",
        "O'Brien",
        "médecin",
        "st",
        "brigids",
        "\"St. Brigid's\"",
        "\"two words\"",
        "\"patients smoke fire\"",
        "infect*",
        "smo?e",
        "\"fire smoke\"~2",
        "{Nurse}",
        "#er",
        "#fire",
        "#fi?e",
        "@stbrigids",
        "@stbrigids.example",
        "$mixed",
        "$odd",
        "$plain",
        "$org",
        "/sm.ke/",
        "covid-19",
    ];
    prop::sample::select(terms.to_vec()).prop_map(str::to_owned)
}

fn field() -> impl Strategy<Value = String> {
    let fields = [
        "from:rita",
        "from:(rita OR did:plc:a)",
        "from:x:77",
        "lang:en",
        "lang:(en OR de)",
        "lang:zh",
        "source:x",
        "source:y",
        "link:news.example",
        "has:media",
        "has:link",
        "has:(alt OR media)",
        "kind:repost",
        "kind:(post OR quote)",
        "min_followers:10",
        "tag:er",
    ];
    prop::sample::select(fields.to_vec()).prop_map(str::to_owned)
}

fn query() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![3 => term(), 1 => field()];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" OR "))),
            inner.clone().prop_map(|part| format!("(NOT {part})")),
            (term(), term(), 0..6_u32).prop_map(|(a, b, distance)| format!("({a} NEAR/{distance} {b})")),
        ]
    })
}

fn post() -> impl Strategy<Value = Post> {
    let words = [
        "fire",
        "Smoke",
        "patients",
        "patient's",
        "Patient’s",
        "nurse",
        "Nurse",
        "don't",
        "dont",
        "O'Brien",
        "OBrien",
        "médecin",
        "Medecin",
        "Chef",
        "st",
        "St",
        "Brigids",
        "Brigid's",
        "hospital",
        "two",
        "words",
        "infection",
        "shooter",
        "sh00ter",
        "#er",
        "#fire",
        "#ER",
        "#twowords",
        "@stbrigids",
        "@stbrigids.example",
        "covid",
        "19",
        "#covid19",
    ];
    let separator = prop::sample::select(vec![" ", ", ", ". ", "\n", " - "]);
    let text = prop::collection::vec((prop::sample::select(words.to_vec()), separator), 0..14);
    let text = text.prop_map(|words| words.into_iter().flat_map(|(word, after)| [word, after]).collect::<String>());
    let kinds = prop::sample::select(PostKind::ALL.to_vec());
    let (lang, handle) = (prop::sample::select(vec!["en", "de", "zh"]), prop::sample::select(vec!["rita", "ann"]));
    let link = prop::option::of(prop::sample::select(vec!["https://www.news.example/a", "https://other.example"]));
    (text, kinds, lang, handle, link, any::<bool>(), 0..2_u64).prop_map(
        |(text, kind, lang, handle, link, has_media, followers)| {
            let mut post =
                Post::plain("x:1".into(), "x".into(), "x:77".into(), text, Timestamp::from_seconds(1_795_361_900));
            (post.kind, post.has_media) = (kind, has_media);
            post.lang = vec![lang.to_owned()];
            post.links = link.map(str::to_owned).into_iter().collect();
            post.author.handle = Some(handle.to_owned());
            post.author.followers = Some(followers * 100);
            post
        },
    )
}

fn takes(query: &Query, post: &Post) -> bool {
    let post = Excerpt::of(post);
    explain::explain(query, &Words::of_post(&post), &post).satisfied
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn whatever_our_query_takes_its_rules_over_there_take_too(
        text in query(),
        posts in prop::collection::vec(post(), 12),
        chars in prop::sample::select(vec![40, 90, RULE_CHARS]),
        most in prop::sample::select(vec![1, 3, 16]),
    ) {
        let Ok(query) = parse(&text, &lists()) else { return Ok(()) };
        let wide = Wide::of(&query.root, &"x".into(), &mut false);
        let nothing = wide == Wide::Nothing;
        let pieces = fit(wide, chars, most).map(|(_, pieces, _)| pieces);
        for piece in pieces.iter().flatten() {
            prop_assert!(piece.text().chars().count() <= chars, "{}", piece.text());
        }
        prop_assert!(pieces.as_ref().is_none_or(|pieces| pieces.len() <= most));
        for post in posts.iter().filter(|post| takes(&query, post)) {
            prop_assert!(!nothing, "{text} takes {post:?}");
            let Some(pieces) = &pieces else { continue };
            let taken = pieces.iter().any(|piece| naive::takes(piece.text(), post));
            prop_assert!(taken, "{text} takes {:?}, and none of {:?} does", post.text, pieces);
        }
    }

    #[test]
    fn an_exception_never_takes_out_over_there_what_it_leaves_here(text in query(), posts in prop::collection::vec(post(), 12)) {
        let Ok(query) = parse(&text, &lists()) else { return Ok(()) };
        let wide = Wide::all([Wide::word("smoke".to_owned()), Wide::without(&query.root, &"x".into())]);
        let pieces = fit(wide.clone(), RULE_CHARS, 64).map(|(_, pieces, _)| pieces);
        let smokes = |post: &Post| naive::takes("smoke", post);
        for post in posts.iter().filter(|post| smokes(post) && !takes(&query, post)) {
            prop_assert!(wide != Wide::Nothing, "{text} leaves {post:?}");
            let taken = pieces.iter().flatten().any(|piece| naive::takes(piece.text(), post));
            prop_assert!(taken, "{text} leaves {:?}, and none of {pieces:?} takes it", post.text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whatever_a_share_counts_x_is_asked_for(
        texts in prop::array::uniform4(query()),
        posts in prop::collection::vec(post(), 12),
    ) {
        let parsed: Result<Vec<Query>, _> = texts.iter().map(|text| parse(text, &lists())).collect();
        let Ok([query, except, whole, others]) = parsed.map(|parsed| <[Query; 4]>::try_from(parsed).unwrap()) else {
            return Ok(());
        };
        let share = "query = 'a'\nshare = { of = 'b', above = 0.3, at_least = 10, within = \"1h\" }";
        let mut rule = rules(&format!("schema = 1\n[pack]\nname = \"p\"\n{}", rule("p.s", share))).rules()[0].clone();
        rule.excepts = vec![Except { reason: String::new(), query: except }];
        rule.of = Some(Of { query: whole, excepts: vec![others] });
        rule.query = query;
        let set = RuleSet::new(vec![rule]);
        let abroad = Abroad::of(&set, &"x".into());
        let mut scratch = crate::domain::matcher::Scratch::default();
        for post in posts.iter().filter(|_| abroad.unwatched.is_empty()) {
            let is_counted = !set.hits(&Excerpt::of(post), &mut scratch).is_empty();
            let taken = abroad.rules.iter().any(|rule| naive::takes(rule, post));
            prop_assert!(taken || !is_counted, "{texts:?} counts {:?}, and none of {:?} takes it", post.text, abroad.rules);
        }
    }
}

#[test]
fn what_a_share_excepts_is_asked_for_as_part_of_its_whole() {
    let share = "query = 'fire'\nexcept = [{ reason = \"r\", query = 'from:ann' }]\n\
        share = { of = 'ward', above = 0.3, at_least = 10, within = \"1h\" }";
    let set = rules(&["schema = 1\n[pack]\nname = \"p\"\n".to_owned(), rule("p.share", share)].concat());
    let mut asked = Abroad::of(&set, &"x".into()).rules;
    asked.sort();
    assert_eq!(asked, ["fire -from:ann", "ward"]);
}

#[test]
fn a_rule_that_says_so_does_not_read_x() {
    let file = [
        "schema = 1\n[pack]\nname = \"p\"\n".to_owned(),
        rule("p.apart", "query = 'fire'\nnot_on = [\"x\"]"),
        rule("p.all", "query = 'smoke'"),
    ];
    let kinds = [("x-posts".into(), "x"), ("bluesky".into(), "jetstream")];
    let set = rules(&file.concat()).reading(&kinds);
    let reads = |name: &str| set.rules().iter().filter(|rule: &&Rule| super::reads(rule, &name.into())).count();
    assert_eq!((reads("x-posts"), reads("bluesky")), (1, 2));
    assert_eq!(Abroad::of(&set, &"x-posts".into()).rules, ["smoke"]);
    let mut post =
        Post::plain("x:1".into(), "x-posts".into(), "x:2".into(), "fire".to_owned(), Timestamp::from_seconds(0));
    let mut scratch = crate::domain::matcher::Scratch::default();
    assert!(set.matches(&Excerpt::of(&post), &mut scratch).is_empty());
    post.source = "bluesky".into();
    assert_eq!(set.matches(&Excerpt::of(&post), &mut scratch).len(), 1);
}

#[test]
fn a_share_that_does_not_read_x_does_not_count_its_posts_either() {
    let share =
        "query = 'fire'\nshare = { of = 'ward', above = 0.3, at_least = 10, within = \"1h\" }\nnot_on = [\"x\"]";
    let file = ["schema = 1\n[pack]\nname = \"p\"\n".to_owned(), rule("p.share", share)];
    let set = rules(&file.concat()).reading(&[("x-posts".into(), "x"), ("bluesky".into(), "jetstream")]);
    let hits = |source: &str| {
        let post =
            Post::plain("1".into(), source.into(), "2".into(), "the ward".to_owned(), Timestamp::from_seconds(0));
        set.hits(&Excerpt::of(&post), &mut crate::domain::matcher::Scratch::default()).len()
    };
    assert_eq!((hits("bluesky"), hits("x-posts")), (1, 0), "of the whole, and nobody's");
    assert!(Abroad::of(&set, &"x-posts".into()).rules.is_empty());
}

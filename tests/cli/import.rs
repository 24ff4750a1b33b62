//! `import`: queries of other programs, and what was lost.

use std::fmt::Write as _;

use super::support::{Desk, golden};

const X: &str = r#"(gunman OR "active shooter" -drill) (hospital OR #StBrigidsER) lang:en -is:retweet
from:ann to:@stbrigids has:images url:"https://www.news.example/a" $ABC place:paris @stbrigids
"wait time"~3 followers_count:100..500 NEAR cold/soup
lang:en -is:reply
(soup OR (tea) sample:10
# a comment
"#;

const BRANDWATCH: &str = r#"<<< the hospital >>>
("St Brigid's" OR brigids* OR colo?r OR *itis OR ab*) NEAR/5f (gunman OR "shots fired"~3)
AND NOT (title:(recipe OR "soup of the day") OR site:news.example OR author:(ann OR bob))
AND (raw:ER OR {ICU} OR hashtags:code_silver) AND country:usa
AND ((a NEAR/3 b) NEAR/4 (c AND d)) AND language:en AND authorFollowers:[100 TO 500]
"#;

const WEB_OF_SCIENCE: &str = "TS=(\"infect* disease\" NEAR/3 hospital$) AND TI=(ward NEAR nurse) NOT PY=2020";

const GDELT: &str =
    "near20:\"hospital strike\" (nurses OR doctors) sourcelang:english domain:news.example theme:HEALTH\n";

const SIGMA: &str = r"title: Gunman near the hospital
id: 5a2b
status: test
level: high
logsource:
  product: social
detection:
  who:
    text|contains:
      - gunman
      - '*active shooter*'
    lang: en
  where_er:
    message|contains|all: ['hospital', 'emergency room']
  where_ward:
    - ward
    - 'waiting room'
  shape:
    text|re: 'code (silver|black)'
    src_ip|cidr: 10.0.0.0/8
  drill:
    text: drill
    user|startswith: ann
  condition: (who or shape) and 1 of where_* and not drill | count() > 3
tags: [crisis]
---
title: Nothing we know
detection:
  selection:
    EventID: 4625
  condition: selection
";

#[test]
fn each_language_comes_over_with_a_report_of_what_did_not() {
    let desk = Desk::new();
    let mut pages = String::new();
    for (language, text) in
        [("x", X), ("brandwatch", BRANDWATCH), ("web-of-science", WEB_OF_SCIENCE), ("gdelt", GDELT), ("sigma", SIGMA)]
    {
        let ran = desk.feed(&["import", "--from", language, "-"], text.as_bytes());
        assert_eq!(ran.code, 0, "{}", ran.err);
        let checked = desk.file("imported.toml", &ran.out).run(&["check", "imported.toml"]);
        assert_eq!(checked.code, 0, "{}", checked.err);
        write!(pages, "=== {language}\n{}", ran.text()).unwrap();
    }
    golden!("cli-import", pages);
}

#[test]
fn when_nothing_comes_over_the_answer_is_one() {
    let desk = Desk::new();
    for (language, text) in
        [("x", "lang:en"), ("x", ""), ("brandwatch", "country:usa"), ("sigma", "a: [1"), ("sigma", "")]
    {
        let ran = desk.feed(&["import", "--from", language, "-"], text.as_bytes());
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{language} {text}");
        assert!(!ran.err.is_empty());
    }
    let deep = format!("{}a{}", "(".repeat(10_000), ")".repeat(10_000));
    assert_eq!(desk.feed(&["import", "--from", "x", "-"], deep.as_bytes()).code, 1);
}

/// Each was carried over as something else, most without a word about it.
#[test]
fn what_an_import_once_got_wrong() {
    let desk = Desk::new();
    for (language, text, query, lost) in [
        // A blank before `=` made the field a word that every post had to have.
        ("web-of-science", "TS =\n(soup OR tea)", "soup OR tea", "`TS=` is about articles"),
        ("web-of-science", "TS = soup AND AU = (smith or jones)", "soup", "`AU=` has no counterpart"),
        ("web-of-science", "TS=(soup or tea and not milk)", "soup OR (tea AND NOT milk)", "`TS=`"),
        ("web-of-science", "TS=(soup near/3 tea)", "soup NEAR/3 tea", "`TS=`"),
        ("web-of-science", "TS=(soup SAME tea)", "soup AND tea", "SAME became AND"),
        ("web-of-science", "soup AND #2", "soup", "`#2` is the number of another search"),
        // NOT binds tighter than NEAR in our language only.
        ("brandwatch", "soup NOT tea NEAR/3 milk", "soup AND NOT (tea NEAR/3 milk)", ""),
        ("brandwatch", "((soup OR stew) AND (milk OR tea))~5", "(soup OR stew) NEAR/5 (milk OR tea)", ""),
        ("brandwatch", "(soup AND tea AND milk)~5", "soup AND tea AND milk", "`~5` is for two words"),
        ("brandwatch", "soup ONEAR/4 tea", "soup ONEAR/4 tea", ""),
        ("brandwatch", "soup near/3 tea", "soup AND \"near/3\" AND tea", "`near/3` is no operator there"),
        ("brandwatch", "soup AND (tea OR)", "soup AND tea", "an operator has nothing to work on"),
        ("brandwatch", "soup AND language:english", "soup AND lang:en", ""),
        ("x", "soup or tea", "soup AND or AND tea", "`or` is no operator there"),
        ("x", "soup \"cold tea", "soup AND \"cold tea\"", "a phrase is not closed"),
        ("gdelt", "soup tone<-5", "soup", "`tone<-5` has no counterpart"),
        ("sigma", "detection:\n  words:\n    '|all': [soup, tea]\n  condition: words", "soup AND tea", ""),
    ] {
        let ran = desk.feed(&["import", "--from", language, "-"], text.as_bytes());
        let line = ran.out.lines().find_map(|line| line.strip_prefix("query    = ")).unwrap_or_default();
        assert_eq!(line.trim_matches('\''), query, "{language} {text}\n{}", ran.err);
        match lost {
            "" => assert!(ran.err.contains("nothing was lost"), "{text}\n{}", ran.err),
            lost => assert!(ran.err.contains(lost), "{text}\n{}", ran.err),
        }
    }
}

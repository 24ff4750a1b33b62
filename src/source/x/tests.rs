//! The decoder.

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_795_361_900);
const SAID: &str = r#"{"data":{"id":"1795361234567890123","text":"@northgate 6 hours in the ER &amp; no end #er https://t.co/abc","author_id":"998877","created_at":"2026-11-22T15:38:15.000Z","lang":"en","conversation_id":"1795361234567890123","edit_history_tweet_ids":["1795361234567890123"],"referenced_tweets":[{"type":"replied_to","id":"1795360000000000000"}],"entities":{"urls":[{"start":33,"end":49,"url":"https://t.co/abc","expanded_url":"https://example.org/er","display_url":"example.org/er"}],"hashtags":[{"start":29,"end":32,"tag":"er"}],"mentions":[{"start":0,"end":10,"username":"northgate","id":"55"}]},"attachments":{"media_keys":["3_1795"]},"public_metrics":{"retweet_count":0},"geo":{"place_id":"01a9a39529b27f36"}},"includes":{"users":[{"id":"1","username":"other"},{"id":"998877","username":"rita_rn","name":"Rita","public_metrics":{"followers_count":412}}],"media":[{"media_key":"3_1795","type":"photo","url":"https://pbs.twimg.com/x","alt_text":"Crowded waiting room"},{"media_key":"3_9","alt_text":"of another post"}]},"matching_rules":[{"id":"1795361000000000001","tag":"ng-en"}]}"#;

fn event(frame: &str) -> Result<SourceEvent, Rejected> {
    decode(&"x".into(), frame.as_bytes(), Some(NOW)).event
}

fn post(frame: &str) -> Post {
    match event(frame) {
        Ok(SourceEvent::Post(post)) => *post,
        other => panic!("{other:?}: {frame}"),
    }
}

#[test]
fn a_line_of_the_stream_is_a_post_with_all_that_belongs_to_it() {
    let said = post(SAID);
    assert_eq!((said.id.as_str(), said.version), ("x:1795361234567890123", None));
    assert_eq!((said.author.id.as_str(), said.author.followers), ("x:998877", Some(412)));
    assert_eq!((said.author.handle.as_deref(), said.author.name.as_deref()), (Some("rita_rn"), Some("Rita")));
    assert_eq!(said.url.as_deref(), Some("https://x.com/rita_rn/status/1795361234567890123"));
    assert_eq!(said.text, "@northgate 6 hours in the ER & no end #er https://example.org/er");
    assert_eq!((said.kind, said.reply_to), (PostKind::Reply, Some("x:1795360000000000000".into())));
    assert_eq!((said.links, said.tags), (vec!["https://example.org/er".to_owned()], vec!["er".to_owned()]));
    assert_eq!((said.media_text, said.has_media), (vec!["Crowded waiting room".to_owned()], true));
    assert_eq!((said.lang, said.event_time.to_string()), (vec!["en".to_owned()], "2026-11-22T15:38:15Z".to_owned()));
}

#[test]
fn the_names_of_the_new_schema_mean_the_same() {
    let renamed = SAID
        .replace("edit_history_tweet_ids", "edit_history_post_ids")
        .replace("referenced_tweets", "referenced_posts");
    assert_eq!(post(&renamed), post(SAID));
    let long = r#""note_tweet":{"text":"the whole of it https://t.co/z","entities":{"urls":[{"url":"https://t.co/z","expanded_url":"https://z.example/"}]}},"text":"the wh…""#;
    let noted = SAID.replace(r#""text":"@northgate 6 hours in the ER &amp; no end #er https://t.co/abc""#, long);
    let renamed = noted.replace("note_tweet", "note_post");
    assert_eq!(post(&noted).text, "the whole of it https://z.example/");
    assert_eq!(post(&noted).links.len(), 2, "those of the beginning are kept");
    assert_eq!(post(&renamed), post(&noted));
}

#[test]
fn an_edit_is_another_version_of_the_first() {
    let edited = SAID.replace(r#""id":"1795361234567890123","text""#, r#""id":"1795361299999999999","text""#);
    let edited = edited.replace(r#"["1795361234567890123"]"#, r#"["1795361234567890123","1795361299999999999"]"#);
    let edited = post(&edited);
    assert_eq!((edited.id.as_str(), edited.version.as_deref()), ("x:1795361234567890123", Some("1795361299999999999")));
    assert!(edited.url.unwrap().ends_with("/1795361299999999999"), "the link shows what is there now");
}

#[test]
fn a_repost_says_what_it_repeats_and_all_of_it() {
    let repeated = r#"{"data":{"id":"20","text":"RT @ann: fire in the hosp…","author_id":"2","created_at":"2026-11-22T15:38:15.000Z","referenced_tweets":[{"type":"retweeted","id":"10"}]},"includes":{"tweets":[{"id":"10","text":"fire in the hospital's east wing","attachments":{"media_keys":["m"]}}],"media":[{"media_key":"m","alt_text":"smoke"}]}}"#;
    let repost = post(repeated);
    assert_eq!((repost.kind, repost.repost_of), (PostKind::Repost, Some("x:10".into())));
    assert_eq!(
        (repost.text.as_str(), repost.media_text.as_slice()),
        ("fire in the hospital's east wing", &["smoke".to_owned()][..])
    );
    assert_eq!(post(&repeated.replace("\"tweets\":", "\"posts\":")).text, repost.text);
    let alone = repeated.replace("\"tweets\":", "\"nothing\":");
    assert_eq!(post(&alone).text, "RT @ann: fire in the hosp…");
    let quote = post(&repeated.replace("retweeted", "quoted"));
    assert_eq!(
        (quote.kind, quote.quote_of, quote.url.as_deref()),
        (PostKind::Quote, Some("x:10".into()), Some("https://x.com/i/status/20"))
    );
}

#[test]
fn a_post_without_a_date_has_that_of_its_id() {
    let id = first_id_at(NOW - Duration::from_secs(5)) + 77;
    let bare = format!(r#"{{"data":{{"id":"{id}","author_id":"2","text":"fire"}}}}"#);
    assert_eq!(post(&bare).event_time, NOW - Duration::from_secs(5));
    assert_eq!(made_at(first_id_at(NOW)), Some(NOW));
    assert_eq!(event(r#"{"data":{"id":"1","author_id":"2","text":"fire"}}"#), Err(Rejected::AbsurdDate));
}

#[test]
fn what_is_no_post_is_what_it_is() {
    for (frame, expected) in [
        (r#"{"errors":[{"title":"operational-disconnect"}]}"#, Ok(SourceEvent::Other)),
        ("{}", Ok(SourceEvent::Other)),
        (r#"{"data":7}"#, Err(Rejected::WrongType)),
        (r#"{"data":{"id":"1","text":"x"}}"#, Err(Rejected::MissingField)),
        (r#"{"data":{"id":1,"author_id":"2"}}"#, Err(Rejected::MissingField)),
        (r#"{"data":{"id":"-4","author_id":"2"}}"#, Err(Rejected::MissingField)),
        ("[]", Err(Rejected::WrongType)),
        ("<html>", Err(Rejected::NotJson)),
    ] {
        assert_eq!(event(frame), expected, "{frame}");
    }
    // Parts that make no sense are left out, without harm to the others.
    let odd = SAID.replace(r#""urls":[{"#, r#""urls":[7,{"#).replace(r#""lang":"en""#, r#""lang":"und""#);
    let odd = odd.replace(r#""username":"rita_rn""#, r#""username":"../x""#).replace(r#"{"followers_count":412}"#, "7");
    let odd = post(&odd);
    assert_eq!((odd.links.len(), odd.lang.len(), odd.author.handle, odd.author.followers), (1, 0, None, None));
}

#[test]
fn a_short_address_is_not_replaced_within_another() {
    assert_eq!(
        expanded("https://t.co/abcd https://t.co/abc.", "https://t.co/abc", "https://x.example"),
        "https://t.co/abcd https://x.example."
    );
    assert_eq!(expanded("nothing", "https://t.co/abc", "https://x.example"), "nothing");
}

#[test]
fn languages_have_the_names_that_all_others_have() {
    for (said, expected) in [("en", Some("en")), ("in", Some("id")), ("iw", Some("he")), ("qme", None), ("zxx", None)] {
        let post = post(&SAID.replace(r#""lang":"en""#, &format!(r#""lang":"{said}""#)));
        assert_eq!(post.lang.first().map(String::as_str), expected, "{said}");
    }
}

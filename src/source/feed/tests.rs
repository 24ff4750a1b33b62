use std::time::Duration;

use proptest::prelude::*;
use url::Url;

use super::known::{Extent, Known};
use super::wire::{hub_of, link};
use super::{Document, Item, NotAFeed, read};
use crate::domain::event::SourceEvent;
use crate::domain::post::Post;
use crate::domain::time::Timestamp;
use crate::source::posts;

const NOW: Timestamp = Timestamp::from_seconds(1_795_361_895);

fn base() -> Url {
    Url::parse("https://blog.example/feed.xml").unwrap()
}

fn document(text: &str) -> Document {
    read(text.as_bytes(), None, &base()).unwrap()
}

/// The only item as a post.
fn post(text: &str) -> Post {
    let document = document(text);
    let [item] = document.items.as_slice() else { panic!("{} items", document.items.len()) };
    as_post(item)
}

fn as_post(item: &Item) -> Post {
    let line = item.line(&super::item::global_id(&item.own_id(), "blog.example"), "blog.example", None, NOW).unwrap();
    match posts::decode(&"blog".into(), &line, Some(NOW)).event {
        Ok(SourceEvent::Post(post)) => *post,
        other => panic!("{other:?}"),
    }
}

fn rss(item: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><rss version=\"2.0\" xmlns:content=\"http://purl.org/rss/1.0/modules/content/\" \
         xmlns:dc=\"http://purl.org/dc/elements/1.1/\" xmlns:podcast=\"https://podcastindex.org/namespace/1.0\">\
         <channel><title>City Blog</title><link>https://blog.example/</link><language>en-US</language><ttl>30</ttl>\
         {item}</channel></rss>"
    )
}

#[test]
fn rss_2_with_all_that_people_put_in_it() {
    let text = rss("<item><title>Long waits &amp; anger</title><link>/er</link><guid isPermaLink=\"false\">17</guid>\
         <pubDate>Mon, 22 Nov 26 15:30 GMT</pubDate><dc:creator>Rita</dc:creator><category>er</category>\
         <category>northgate</category><description>Short</description>\
         <content:encoded><![CDATA[<p>Six hours &mdash; at <a href=\"/n\">Northgate</a></p><img src=x alt=\"Crowd\">]]></content:encoded>\
         <enclosure url=\"x.mp3\" type=\"audio/mpeg\"/></item>");
    let post = post(&text);
    assert_eq!(post.text, "Long waits & anger\nSix hours — at Northgate");
    assert_eq!(post.id.as_str(), "feed:blog.example/17");
    assert_eq!(post.url.as_deref(), Some("https://blog.example/er"));
    assert_eq!((post.author.id.as_str(), post.author.name.as_deref()), ("feed:blog.example/Rita", Some("Rita")));
    assert_eq!(post.created_at.to_string(), "2026-11-22T15:30:00Z");
    assert_eq!(post.event_time, post.created_at);
    assert_eq!((post.lang, post.tags), (vec!["en-US".into()], vec!["er".into(), "northgate".into()]));
    assert_eq!((post.links, post.media_text), (vec!["https://blog.example/n".into()], vec!["Crowd".into()]));
    assert!(post.has_media);
    assert_eq!(document(&text).fresh_for, Some(Duration::from_mins(30)));
}

#[test]
fn dokuwiki_is_rss_1_by_default_and_its_rss_2_has_no_guid() {
    let first = post(
        "<rdf:RDF xmlns=\"http://purl.org/rss/1.0/\" xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\" \
         xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><channel rdf:about=\"x\"><title>Wiki</title></channel>\
         <item rdf:about=\"https://wiki.example/er?rev=1\"><dc:date>2026-11-22T15:30:00+00:00</dc:date>\
         <dc:creator>ann</dc:creator><title>hospital:er</title><link>https://wiki.example/er</link>\
         <description>Gunman at Northgate</description></item></rdf:RDF>",
    );
    assert_eq!(
        (first.id.as_str(), first.text.as_str()),
        ("https://wiki.example/er?rev=1", "hospital:er\nGunman at Northgate")
    );
    assert_eq!(first.author.name.as_deref(), Some("ann"));
    let second = post(&rss("<item><title>er</title><link>https://wiki.example/er</link></item>"));
    assert_eq!(second.id.as_str(), "https://wiki.example/er");
    assert_eq!((second.author.name.as_deref(), second.event_time), (Some("City Blog"), NOW));
}

#[test]
fn atom_with_xhtml_a_base_and_prefixes_of_its_own() {
    let text = "<a:feed xmlns:a=\"http://www.w3.org/2005/Atom\" xml:lang=\"de\" xml:base=\"https://blog.example/en/\">\
         <a:title>T</a:title><a:author><a:name>Rita</a:name><a:uri>https://rita.example</a:uri></a:author>\
         <a:link rel=\"hub\" href=\"https://hub.example/\"/><a:link rel=\"self\" href=\"/atom\"/>\
         <a:entry><a:id>tag:blog.example,2026:1</a:id><a:title type=\"text\">ER</a:title>\
         <a:link href=\"er.html\"/><a:updated>2026-11-22T15:30:00Z</a:updated>\
         <a:source><a:title>not this</a:title><a:id>nor this</a:id></a:source>\
         <a:content type=\"xhtml\"><div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Five &lt; six<br/>hours</p></div></a:content>\
         </a:entry></a:feed>";
    let read = post(text);
    assert_eq!((read.id.as_str(), read.text.as_str()), ("tag:blog.example,2026:1", "ER\nFive < six\nhours"));
    assert_eq!(read.url.as_deref(), Some("https://blog.example/en/er.html"));
    assert_eq!((read.author.id.as_str(), read.lang), ("https://rita.example", vec!["de".into()]));
    let document = document(text);
    assert_eq!(document.hub.unwrap().as_str(), "https://hub.example/");
    assert_eq!(document.own_url.unwrap().as_str(), "https://blog.example/atom");
}

#[test]
fn a_video_of_youtube_is_known_by_its_id_and_its_channel() {
    let read = post(
        "<feed xmlns:yt=\"http://www.youtube.com/xml/schemas/2015\" xmlns=\"http://www.w3.org/2005/Atom\">\
         <entry><id>yt:video:VIDEOID0001</id><yt:videoId>VIDEOID0001</yt:videoId><yt:channelId>UCabc</yt:channelId>\
         <title>Inside the Northgate ER</title><link rel=\"alternate\" href=\"https://www.youtube.com/watch?v=VIDEOID0001\"/>\
         <author><name>City News</name><uri>https://www.youtube.com/channel/UCabc</uri></author>\
         <published>2026-11-22T15:38:00+00:00</published></entry></feed>",
    );
    assert_eq!((read.id.as_str(), read.text.as_str()), ("yt:video:VIDEOID0001", "Inside the Northgate ER"));
    assert_eq!(read.author.id.as_str(), "https://www.youtube.com/channel/UCabc");
}

#[test]
fn json_feed() {
    let read = post(
        r#"{"version":"https://jsonfeed.org/version/1.1","title":"T","items":[{"id":5,"url":"/5","external_url":"https://o.example/",
        "content_text":"Six < seven\nhours","authors":[{"name":"Rita","url":"https://r.example/"}],"date_published":"2026-11-22T15:30:00Z",
        "tags":["er"],"language":"en"},{"title":"an item without an id"},7]}"#,
    );
    assert_eq!((read.id.as_str(), read.text.as_str()), ("feed:blog.example/5", "Six < seven\nhours"));
    assert_eq!((read.author.id.as_str(), read.links), ("https://r.example/", vec!["https://o.example/".into()]));
}

#[test]
fn what_is_no_feed_is_never_an_empty_one() {
    for (text, expected) in [
        ("<!DOCTYPE html><html><body>Please log in</body></html>", NotAFeed::Page),
        ("<HTML><p>error", NotAFeed::Page),
        ("", NotAFeed::Unknown),
        ("Service unavailable", NotAFeed::Unknown),
        ("{}", NotAFeed::Unknown),
        ("{\"version\":\"2\",\"items\":[]}", NotAFeed::Unknown),
        ("<svg/>", NotAFeed::Unknown),
    ] {
        assert_eq!(read(text.as_bytes(), None, &base()), Err(expected), "{text}");
    }
}

#[test]
fn a_document_that_breaks_off_gives_what_was_there_and_says_so() {
    let whole = rss("<item><guid>1</guid><title>one</title></item><item><guid>2</guid><title>two</title></item>");
    assert!(document(&whole).is_whole);
    let cut = document(whole.split("two").next().unwrap());
    assert!(!cut.is_whole);
    assert_eq!(cut.items[0].title, "one");
}

#[test]
fn sloppy_xml_is_read_all_the_same() {
    let sloppy = rss("<item><title>Q&A &nbsp; &rsquo; & more</title><description>one <b>bold <br> two</description>\
         <media:description>undeclared</media:description></item><item><title>next</title></item>");
    let document = document(&sloppy);
    let texts: Vec<_> = document.items.iter().map(|item| as_post(item).text).collect();
    assert_eq!(texts, ["Q&A ’ & more\none bold\ntwo", "next"]);
    assert_eq!(document.items[0].media_text, ["undeclared"]);
}

#[test]
fn entities_of_a_document_are_never_expanded() {
    let bomb = format!(
        "<!DOCTYPE rss [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;\"><!ENTITY c SYSTEM \"file:///etc/passwd\">]>{}",
        rss("<item><title>&b; &c;</title></item>")
    );
    assert_eq!(document(&bomb).items[0].title, "&b; &c;");
}

fn items(items: &[(&str, &str, &str)]) -> Document {
    let item = |(id, link, text): &(&str, &str, &str)| {
        format!(
            "<item><guid isPermaLink=\"false\">{id}</guid><link>https://blog.example/{link}</link><title>t {link}</title><description>{text}</description></item>"
        )
    };
    document(&rss(&items.iter().map(item).collect::<String>()))
}

fn known() -> Known {
    Known::resume(None, "https://blog.example/feed.xml")
}

/// The posts a document brings, as (id, text).
fn news(known: &mut Known, document: &Document) -> Vec<(String, String)> {
    let news = known.take_in(document, Extent::Window, "blog.example", Some(NOW));
    news.items.iter().map(|(id, item)| (id.clone(), item.content.clone())).collect()
}

#[test]
fn the_first_document_is_history() {
    let mut known = known();
    assert_eq!(news(&mut known, &items(&[("1", "a", "old")])), []);
    let next = news(&mut known, &items(&[("3", "c", "newest"), ("2", "b", "new"), ("1", "a", "old")]));
    let expected = [("feed:blog.example/2", "new"), ("feed:blog.example/3", "newest")];
    assert_eq!(next, expected.map(|(id, text)| (id.to_owned(), text.to_owned())), "the oldest first");
    assert_eq!(news(&mut known, &items(&[("3", "c", "newest"), ("1", "a", "old")])), []);
}

#[test]
fn a_bookmark_goes_on_where_it_was_and_only_for_its_own_feed() {
    let mut known = known();
    news(&mut known, &items(&[("1", "a", "old")]));
    known.etag = Some("W/\"x\"".into());
    let bookmark = known.bookmark().unwrap();
    let mut resumed = Known::resume(Some(&bookmark), "https://blog.example/feed.xml");
    assert_eq!(resumed, known);
    assert_eq!(news(&mut resumed, &items(&[("2", "b", "new"), ("1", "a", "old")])).len(), 1);
    let other = Known::resume(Some(&bookmark), "https://blog.example/other.xml");
    assert_eq!((other.etag, other.begun), (None, false));
    assert!(!Known::resume(Some(&"not ours".into()), "x").begun);
}

#[test]
fn a_changed_text_is_a_new_version_of_the_same_post() {
    let mut known = known();
    news(&mut known, &items(&[("1", "a", "old")]));
    let changed = news(&mut known, &items(&[("1", "a", "gunman")]));
    assert_eq!(changed, [("feed:blog.example/1".to_owned(), "gunman".to_owned())]);
    assert_eq!(news(&mut known, &items(&[("1", "a", "gunman")])), []);
}

#[test]
fn ids_that_change_with_every_poll_bring_nothing_twice() {
    let mut known = known();
    news(&mut known, &items(&[("1", "a", "old"), ("2", "b", "old")]));
    assert_eq!(news(&mut known, &items(&[("3", "a", "old"), ("4", "b", "old")])), []);
    let changed = news(&mut known, &items(&[("5", "a", "changed"), ("6", "b", "old")]));
    let again = news(&mut known, &items(&[("7", "a", "again"), ("8", "b", "old")]));
    assert_eq!((changed.len(), again.len()), (1, 1));
    assert_eq!(changed[0].0, again[0].0, "one post, two versions");
}

#[test]
fn two_items_of_one_page_and_title_are_two() {
    let mut known = known();
    news(&mut known, &items(&[("1", "a", "one")]));
    assert_eq!(news(&mut known, &items(&[("2", "a", "one"), ("1", "a", "one")])).len(), 1);
    assert_eq!(news(&mut known, &items(&[("2", "a", "one"), ("1", "a", "one")])).len(), 0);
}

#[test]
fn a_site_that_renames_everything_brings_no_history_as_news() {
    let mut known = known();
    news(&mut known, &items(&[("1", "a", "old")]));
    let dated = |text: &str, date: &str| {
        format!("<item><guid>{text}</guid><title>{text}</title><pubDate>{date}</pubDate></item>")
    };
    let all = [dated("old", "22 Nov 2020 10:00 GMT"), dated("new", "23 Nov 2026 10:00 GMT"), dated("undated", "")];
    let document = document(&rss(&all.concat()));
    let news = known.take_in(&document, Extent::Window, "blog.example", Some(NOW));
    assert!(news.turned_over);
    let ids: Vec<_> = news.items.iter().map(|(_, item)| item.title.as_str()).collect();
    assert_eq!(ids, ["undated", "new"]);
}

#[test]
fn tombstones_take_back_what_was_seen_here_and_nothing_else() {
    let mut known = known();
    let tombstone = |id: &str| {
        format!(
            "<at:deleted-entry xmlns:at=\"http://purl.org/atompub/tombstones/1.0\" ref=\"{id}\" when=\"2026-11-22T16:00:00Z\"/>"
        )
    };
    news(&mut known, &items(&[("1", "a", "old"), ("2", "b", "old")]));
    let document = document(&rss(&[tombstone("1"), tombstone("at://did:plc:x/app.bsky.feed.post/1")].concat()));
    let gone = known.take_in(&document, Extent::Window, "blog.example", Some(NOW)).gone;
    assert_eq!(gone, [("feed:blog.example/1".to_owned(), Timestamp::parse("2026-11-22T16:00:00Z").ok())]);
    assert_eq!(known.take_in(&document, Extent::Window, "blog.example", Some(NOW)).gone, [], "once");
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut known = known();
    for round in 0..30 {
        let ids: Vec<String> = (0..200).map(|n| format!("{round}-{n}")).collect();
        let list: Vec<_> = ids.iter().map(|id| (id.as_str(), id.as_str(), "x")).collect();
        news(&mut known, &items(&list));
    }
    let bytes = known.bookmark().unwrap().0.len();
    assert!(bytes < 60_000, "{bytes}");
}

#[test]
fn dates_that_lie_do_not_move_what_counts() {
    for (date, created, counts_now) in [
        ("22 Nov 2026 15:00 GMT", "2026-11-22T15:00:00Z", false),
        ("1 Jan 1970 00:00 GMT", "", true),
        ("22 Nov 2036 15:00 GMT", "", true),
        ("22 Nov 2019 15:00 GMT", "2019-11-22T15:00:00Z", true),
    ] {
        let post = post(&rss(&format!("<item><guid>1</guid><title>x</title><pubDate>{date}</pubDate></item>")));
        assert_eq!(post.event_time == NOW, counts_now, "{date}");
        let expected = if created.is_empty() { NOW.to_string() } else { created.to_owned() };
        assert_eq!(post.created_at.to_string(), expected, "{date}");
    }
}

proptest! {
    #[test]
    fn no_bytes_stop_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(read(&bytes, None, &base()));
    }

    #[test]
    fn no_pieces_of_feeds_stop_the_reader(text in
        "(<rss>|<channel>|<item>|</item>|<title>|</title>|<description>|</description>|<p>|</p>|<atom:entry>|<!\\[CDATA\\[|\\]\\]>|&amp;|&x;|<a href=|\"|x|é|<feed xmlns=\"http://www.w3.org/2005/Atom\">|<entry>|</entry>|<content type=\"xhtml\">|</content>|<!--|-->|<\\?){0,40}") {
        let text = format!("<rss>{text}");
        if let Ok(document) = read(text.as_bytes(), None, &base()) {
            for item in &document.items {
                as_post(item);
            }
        }
    }
}

const CHANNEL: &str = "https://www.youtube.com/feeds/videos.xml?channel_id=UCabc";

/// A video as `YouTube` shows it to whoever asks, or pushes it, which leaves out what is long.
fn video(title: &str, description: Option<&str>) -> Document {
    let group = description.map(|text| {
        format!(
            "<media:group><media:title>{title}</media:title><media:description>{text}</media:description></media:group>"
        )
    });
    document_at(&format!(
        "<feed xmlns:yt=\"http://www.youtube.com/xml/schemas/2015\" xmlns:media=\"http://search.yahoo.com/mrss/\" \
         xmlns=\"http://www.w3.org/2005/Atom\"><link rel=\"self\" href=\"{CHANNEL}\"/><title>YouTube video feed</title>\
         <entry><id>yt:video:VIDEOID0001</id><yt:videoId>VIDEOID0001</yt:videoId><yt:channelId>UCabc</yt:channelId>\
         <title>{title}</title><link rel=\"alternate\" href=\"https://www.youtube.com/watch?v=VIDEOID0001\"/>\
         <author><name>City News</name><uri>https://www.youtube.com/channel/UCabc</uri></author>\
         <published>2026-11-22T15:38:00+00:00</published><updated>2026-11-22T15:39:55+00:00</updated>{}</entry></feed>",
        group.unwrap_or_default()
    ))
}

fn document_at(text: &str) -> Document {
    read(text.as_bytes(), None, &CHANNEL.parse().unwrap()).unwrap()
}

/// What a push says that is new, as posts.
fn pushed(known: &mut Known, document: &Document, extent: Extent) -> Vec<Post> {
    let news = known.take_in(document, extent, "www.youtube.com", Some(NOW));
    let line = |(id, item): &(String, &Item)| item.line(id, "www.youtube.com", None, NOW).unwrap();
    let posts = news.items.iter().map(|item| posts::decode(&"yt".into(), &line(item), Some(NOW)).event);
    posts
        .map(|event| match event {
            Ok(SourceEvent::Post(post)) => *post,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_video_that_is_pushed_is_the_one_that_is_polled() {
    let mut known = Known::resume(None, CHANNEL);
    pushed(&mut known, &document_at("<feed xmlns=\"http://www.w3.org/2005/Atom\"></feed>"), Extent::Window);
    let first = pushed(&mut known, &video("Inside the Northgate ER", None), Extent::Part).remove(0);
    assert_eq!(
        (first.id.as_str(), first.author.id.as_str()),
        ("yt:video:VIDEOID0001", "https://www.youtube.com/channel/UCabc")
    );
    assert_eq!(first.url.as_deref(), Some("https://www.youtube.com/watch?v=VIDEOID0001"));
    assert_eq!((first.text.as_str(), first.author.name.as_deref()), ("Inside the Northgate ER", Some("City News")));
    // Polling brings its description, too: the same post, with more words.
    let polled = pushed(&mut known, &video("Inside the Northgate ER", Some("Six hours")), Extent::Window).remove(0);
    assert_eq!((&polled.id, polled.media_text.as_slice()), (&first.id, &["Six hours".to_owned()][..]));
    // The hub says that something of it changed, without what: nothing is new, and nothing flaps.
    assert_eq!(pushed(&mut known, &video("Inside the Northgate ER", None), Extent::Part), []);
    assert_eq!(pushed(&mut known, &video("Inside the Northgate ER", Some("Six hours")), Extent::Window), []);
    // Another title is another version.
    let edited = pushed(&mut known, &video("Inside the Northgate ER (updated)", None), Extent::Part).remove(0);
    assert_eq!(edited.id, first.id);
    assert_ne!((&edited.version, &edited.text), (&first.version, &first.text));
    let tombstone = document_at(
        "<feed xmlns:at=\"http://purl.org/atompub/tombstones/1.0\" xmlns=\"http://www.w3.org/2005/Atom\">\
         <at:deleted-entry ref=\"yt:video:VIDEOID0001\" when=\"2026-11-22T16:00:00+00:00\">\
         <link href=\"https://www.youtube.com/watch?v=VIDEOID0001\"/><at:by><name>City News</name>\
         <uri>https://www.youtube.com/channel/UCabc</uri></at:by></at:deleted-entry></feed>",
    );
    let gone = known.take_in(&tombstone, Extent::Part, "www.youtube.com", Some(NOW)).gone;
    assert_eq!(gone, [("yt:video:VIDEOID0001".to_owned(), Timestamp::parse("2026-11-22T16:00:00Z").ok())]);
}

#[test]
fn a_part_of_a_feed_says_nothing_of_the_rest() {
    let mut known = known();
    let many: Vec<String> = (0..900).map(|number| number.to_string()).collect();
    let all: Vec<(&str, &str, &str)> = many.iter().map(|id| (id.as_str(), id.as_str(), "old")).collect();
    news(&mut known, &items(&all));
    let part = items(&[("new", "n", "new")]);
    let brought = known.take_in(&part, Extent::Part, "blog.example", Some(NOW));
    assert!(!brought.turned_over);
    assert_eq!((brought.items.len(), brought.fresh.len()), (1, 1));
    assert_eq!(news(&mut known, &items(&all)), [], "all of them are still known");
}

#[test]
fn a_hub_is_where_the_document_or_its_server_says() {
    let url = Url::parse("https://blog.example/feed.xml").unwrap();
    let named = |document: &Document, url: &Url| hub_of(document, url).map(|hub| (hub.url, hub.topic));
    let texts = |url: &str, topic: &str| Some((url.to_owned(), topic.to_owned()));
    assert_eq!(named(&Document::default(), &url), None);
    let with = |hub: &str, own: Option<&str>| Document {
        hub: hub.parse().ok(),
        own_url: own.and_then(|own| own.parse().ok()),
        ..Document::default()
    };
    assert_eq!(named(&with("https://hub.example/", None), &url), texts("https://hub.example/", url.as_str()));
    let own = with("https://hub.example/", Some("https://blog.example/atom"));
    assert_eq!(named(&own, &url), texts("https://hub.example/", "https://blog.example/atom"));
    for inside in ["http://127.0.0.1/hub", "http://10.0.0.1/", "https://intranet/", "ftp://hub.example/"] {
        assert_eq!(named(&with(inside, None), &url), None, "{inside}");
    }
    // YouTube's documents do not name theirs.
    let channel = CHANNEL.parse().unwrap();
    let topic = "https://www.youtube.com/xml/feeds/videos.xml?channel_id=UCabc";
    assert_eq!(named(&Document::default(), &channel), texts("https://pubsubhubbub.appspot.com/subscribe", topic));
}

#[test]
fn links_in_headers_are_found_by_their_relation() {
    let base = Url::parse("https://blog.example/feed.xml").unwrap();
    let found = |lines: &[&str], relation: &str| {
        let headers = lines.iter().map(|line| (reqwest::header::LINK, line.parse().unwrap())).collect();
        link(&headers, relation, &base).map(String::from)
    };
    let hub = Some("https://hub.example/".to_owned());
    for lines in [
        &["<https://hub.example/>; rel=\"hub\""][..],
        &["<https://hub.example/>;rel=hub"],
        &["</feed.xml>; rel=\"self\", <https://hub.example/>; title=\"a, b\"; rel=\"alternate hub\""],
        &["</other>; rel=self", "<https://hub.example/>; REL=\"Hub\", </x>; rel=next"],
    ] {
        assert_eq!(found(lines, "hub"), hub, "{lines:?}");
    }
    assert_eq!(found(&["</feed.xml>; rel=\"self\", <https://hub.example/>; rel=hub"], "self"), Some(base.to_string()));
    for lines in
        [&[][..], &["https://hub.example/; rel=hub"], &["<https://hub.example/"], &["<https://hub.example/>; rel=hubs"]]
    {
        assert_eq!(found(lines, "hub"), None, "{lines:?}");
    }
}

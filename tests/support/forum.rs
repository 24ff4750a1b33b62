//! Forums on loopback, each in its dialect over one little world of topics and comments, that misbehave as real ones do.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use stormbell::config::model::SourceKind;
use stormbell::domain::event::Bookmark;
use stormbell::domain::time::Timestamp;
use stormbell::net::inlet::Inlets;
use stormbell::source::timing::Timing;

use super::clock::SetClock;
use super::reading::Reading;
use super::sink::{Act, Request, SimSink};

/// When the world begins.
pub const BEGINNING: i64 = 1_795_361_895;

/// One thing that somebody wrote. Even numbers are comments under the odd one before.
#[derive(Clone, Debug)]
pub struct Thing {
    /// Its number.
    pub number: u64,
    /// Its second since 1970.
    pub at: i64,
    /// What it says.
    pub text: String,
    /// How often it was changed.
    pub edits: u64,
    /// It is not shown any more.
    pub is_gone: bool,
    /// It stands first, whatever its date.
    pub is_pinned: bool,
}

/// What is in a forum, and how it behaves.
#[derive(Debug, Default)]
pub struct World {
    /// The oldest first.
    pub things: Vec<Thing>,
    /// Discourse as it was: pages are ranges of numbers, the named one among them.
    pub is_old: bool,
    /// Lists end behind so many things.
    pub shows: Option<usize>,
    /// Somebody writes whenever a page was sent: what stood at its end stands on the next one, too.
    pub moves: bool,
    /// Hacker News: numbers that are not there yet.
    pub late: Vec<u64>,
    /// Tokens handed out.
    pub tokens: u64,
    /// Answers of the thread of a video, by its number.
    pub answers: Vec<(u64, String)>,
}

/// A forum that is asked.
pub struct SimForum {
    /// Its server, whose script goes before what the forum would answer.
    pub sink: SimSink,
    /// The time, which goes on a minute with each thing that is written.
    pub clock: SetClock,
    world: Arc<Mutex<World>>,
}

impl SimForum {
    /// One that speaks that dialect, with so much history.
    pub async fn start(dialect: &'static str, history: u64) -> Self {
        let forum = Self {
            sink: SimSink::start().await,
            clock: SetClock::at(Timestamp::from_seconds(BEGINNING)),
            world: Arc::default(),
        };
        for _ in 0..history {
            forum.write("history");
        }
        let world = Arc::clone(&forum.world);
        forum.sink.otherwise(move |request| {
            let act = answer(dialect, &mut world.lock().unwrap(), request);
            act.unwrap_or_else(|| panic!("nobody asks a forum that: {}", request.line))
        });
        forum
    }

    /// The world as it is.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Somebody writes something, a minute later.
    pub fn write(&self, text: &str) -> u64 {
        let mut world = self.world();
        let number = world.add(text);
        self.clock.set(Timestamp::from_seconds(BEGINNING + i64::try_from(number).unwrap() * 60 + 1));
        number
    }

    /// What is known of a thing.
    pub fn change(&self, number: u64, change: impl FnOnce(&mut Thing)) {
        change(self.world().things.iter_mut().find(|thing| thing.number == number).unwrap());
    }

    /// The author changes it.
    pub fn edit(&self, number: u64, text: &str) {
        self.change(number, |thing| {
            text.clone_into(&mut thing.text);
            thing.edits += 1;
        });
    }

    /// The author takes it back.
    pub fn delete(&self, number: u64) {
        self.change(number, |thing| thing.is_gone = true);
    }

    /// Paths with queries that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.sink.requests().iter().map(path_of).collect()
    }
}

impl World {
    fn add(&mut self, text: &str) -> u64 {
        let number = self.things.last().map_or(1, |last| last.number + 1);
        let at = BEGINNING + i64::try_from(number).unwrap() * 60;
        let text = format!("{text} {number}");
        self.things.push(Thing { number, at, text, edits: 0, is_gone: false, is_pinned: false });
        number
    }

    /// A page of those that are there, the newest first.
    fn page(&mut self, of: impl Fn(&Thing) -> bool, page: usize, size: usize) -> Vec<Thing> {
        let all = self.things.iter().rev().filter(|thing| !thing.is_gone && of(thing));
        let (pinned, others): (Vec<&Thing>, Vec<&Thing>) = all.partition(|thing| thing.is_pinned);
        let all = pinned.into_iter().chain(others).take(self.shows.unwrap_or(usize::MAX));
        let shown: Vec<Thing> = all.skip(page * size).take(size).cloned().collect();
        if self.moves {
            self.add("while it was read");
        }
        shown
    }

    fn find(&self, number: u64) -> Option<&Thing> {
        self.things.iter().find(|thing| thing.number == number)
    }
}

fn is_comment(thing: &Thing) -> bool {
    thing.number.is_multiple_of(2)
}

fn path_of(request: &Request) -> String {
    request.line.split(' ').nth(1).unwrap().to_owned()
}

/// The value of a parameter in an address.
fn parameter(path: &str, name: &str) -> Option<String> {
    let url: url::Url = format!("http://forum.example{path}").parse().unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn date(at: i64) -> String {
    Timestamp::from_seconds(at).to_string()
}

fn json_page(value: &Value) -> Act {
    Act::Page(200, vec![("content-type", "application/json".into())], value.to_string().into_bytes())
}

fn answer(dialect: &str, world: &mut World, request: &Request) -> Option<Act> {
    let path = path_of(request);
    match dialect {
        "discourse" => discourse(world, &path),
        "hackernews" => hacker_news(world, &path),
        "lemmy" => lemmy(world, &path),
        "lobsters" => lobsters(world, &path),
        "reddit" => reddit(world, &path, request),
        "youtube" => youtube(world, &path),
        other => panic!("{other}"),
    }
}

fn discourse(world: &mut World, path: &str) -> Option<Act> {
    let post = |thing: &Thing| {
        json!({
            "id": thing.number, "user_id": 9, "username": "rita", "name": "Rita Q.", "created_at": date(thing.at),
            "updated_at": date(thing.at + i64::try_from(thing.edits).unwrap()), "version": 1 + thing.edits, "post_type": 1,
            "raw": thing.text, "cooked": format!("<p>{}</p>", thing.text), "topic_id": thing.number.div_ceil(2),
            "topic_slug": "er", "topic_title": "ER", "post_number": if is_comment(thing) { 2 } else { 1 },
        })
    };
    if let Some(number) = path.strip_prefix("/posts/").and_then(|rest| rest.strip_suffix(".json")) {
        let thing = world.find(number.parse().unwrap()).filter(|thing| !thing.is_gone);
        return Some(thing.map_or(Act::Answer(404), |thing| json_page(&post(thing))));
    }
    let before = parameter(path, "before").map(|before| before.parse::<u64>().unwrap());
    let newest = world.things.last().map_or(0, |thing| thing.number);
    let is_old = world.is_old;
    let (from, to) = match before {
        _ if is_old => (before.unwrap_or(newest).saturating_sub(50), before.unwrap_or(newest)),
        before => (0, before.map_or(newest, |before| before - 1)),
    };
    let shown = world.page(|thing| thing.number > from && thing.number <= to, 0, 50);
    path.starts_with("/posts.json")
        .then(|| json_page(&json!({ "latest_posts": shown.iter().map(post).collect::<Vec<_>>() })))
}

fn reddit(world: &mut World, path: &str, request: &Request) -> Option<Act> {
    if path == "/api/v1/access_token" {
        assert_eq!(request.body, b"grant_type=client_credentials");
        assert_eq!(request.header("authorization"), "Basic aWQ6c2VjcmV0");
        world.tokens += 1;
        return Some(json_page(&json!({ "access_token": format!("t{}", world.tokens), "expires_in": 86400 })));
    }
    assert!(request.header("user-agent").contains("/u/stormbell_test"), "{}", request.header("user-agent"));
    if request.header("authorization") != format!("Bearer t{}", world.tokens) {
        return Some(Act::Answer(401));
    }
    let name = |thing: &Thing| format!("{}_{}", if is_comment(thing) { "t1" } else { "t3" }, thing.number);
    let data = |thing: &Thing| {
        let edited = if thing.edits > 0 { json!(thing.at + 30) } else { json!(false) };
        let mut data = json!({
            "name": name(thing), "author": "ann", "author_fullname": "t2_ann", "created_utc": thing.at, "edited": edited,
            "subreddit": "boston", "permalink": format!("/r/boston/comments/{}/x/", thing.number), "stickied": thing.is_pinned,
        });
        let more = if is_comment(thing) {
            json!({ "body": thing.text, "parent_id": format!("t3_{}", thing.number - 1), "link_id": format!("t3_{}", thing.number - 1) })
        } else {
            json!({ "title": "ER", "selftext": thing.text, "is_self": true })
        };
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "kind": if is_comment(thing) { "t1" } else { "t3" }, "data": data })
    };
    if path.starts_with("/api/info") {
        let ids = parameter(path, "id").unwrap();
        let asked: Vec<&str> = ids.split(',').collect();
        let there: Vec<Value> = world
            .things
            .iter()
            .filter(|thing| asked.contains(&&*name(thing)))
            .map(|thing| {
                let mut shown = data(thing);
                if thing.is_gone {
                    let field = if is_comment(thing) { "body" } else { "selftext" };
                    shown["data"]["author"] = json!("[deleted]");
                    shown["data"][field] = json!("[removed]");
                }
                shown
            })
            .collect();
        return Some(json_page(&json!({ "kind": "Listing", "data": { "after": null, "children": there } })));
    }
    assert_eq!(parameter(path, "before"), None, "an anchor that was deleted shows nothing for ever");
    let wants_comments = path.starts_with("/r/boston/comments");
    let page: usize = parameter(path, "after").map_or(0, |after| after.trim_start_matches("page").parse().unwrap());
    let shown = world.page(|thing| is_comment(thing) == wants_comments, page, 100);
    let after = (shown.len() == 100).then(|| format!("page{}", page + 1));
    let listing = json!({ "kind": "Listing", "data": { "after": after, "children": shown.iter().map(data).collect::<Vec<_>>() } });
    ["/r/boston/new", "/r/boston/comments", "/search"]
        .iter()
        .any(|known| path.starts_with(known))
        .then(|| json_page(&listing))
}

fn lemmy(world: &mut World, path: &str) -> Option<Act> {
    let uri = |thing: &Thing| {
        format!("https://lemmy.example/{}/{}", if is_comment(thing) { "comment" } else { "post" }, thing.number)
    };
    let view = |thing: &Thing| {
        let updated = (thing.edits > 0).then(|| date(thing.at + 30));
        let creator =
            json!({ "id": 5, "name": "ann", "display_name": "Ann", "actor_id": "https://home.example/u/ann" });
        // Without a zone, as older versions write it.
        let published = date(thing.at).trim_end_matches('Z').to_owned();
        let is_gone = thing.is_gone;
        if is_comment(thing) {
            let comment = json!({ "id": thing.number, "ap_id": uri(thing), "content": thing.text, "published": published,
                "updated": updated, "deleted": is_gone, "removed": false, "path": format!("0.{}", thing.number) });
            return json!({ "comment": comment, "creator": creator, "post": { "ap_id": "https://lemmy.example/post/1" } });
        }
        let post = json!({ "id": thing.number, "ap_id": uri(thing), "name": "ER", "body": thing.text, "published": published,
            "updated": updated, "deleted": false, "removed": is_gone, "featured_community": thing.is_pinned });
        json!({ "post": post, "creator": creator })
    };
    for kind in ["post", "comment"] {
        if path.starts_with(&format!("/api/v3/{kind}?")) {
            let thing = world.find(parameter(path, "id").unwrap().parse().unwrap()).unwrap();
            return Some(json_page(&json!({ format!("{kind}_view"): view(thing) })));
        }
        if path.starts_with(&format!("/api/v3/{kind}/list?")) {
            let page = parameter(path, "page").map_or(0, |page| page.parse::<usize>().unwrap() - 1);
            let shown = world.page(|thing| is_comment(thing) == (kind == "comment"), page, 50);
            return Some(json_page(&json!({ format!("{kind}s"): shown.iter().map(view).collect::<Vec<_>>() })));
        }
    }
    None
}

fn lobsters(world: &mut World, path: &str) -> Option<Act> {
    let story = |thing: &Thing| {
        json!({ "short_id": format!("x{}", thing.number), "created_at": date(thing.at), "title": "ER", "url": "https://a.example/x",
            "description": format!("<p>{}</p>", thing.text), "submitter_user": "ann", "tags": ["health"],
            "comments_url": format!("https://lobste.rs/s/x{}/er", thing.number) })
    };
    let number = |rest: &str| rest.trim_start_matches('x').trim_end_matches(".json").parse::<u64>().unwrap();
    if let Some(rest) = path.strip_prefix("/s/") {
        let thing = world.find(number(rest)).filter(|thing| !thing.is_gone);
        return Some(thing.map_or(Act::Answer(404), |thing| json_page(&story(thing))));
    }
    if let Some(rest) = path.strip_prefix("/c/") {
        let thing = world.find(number(rest)).unwrap();
        return Some(json_page(
            &json!({ "short_id": format!("x{}", thing.number), "created_at": date(thing.at), "is_deleted": thing.is_gone,
            "comment": "<em>Comment removed by author</em>" }),
        ));
    }
    let page =
        path.split_once("/page/").map_or(0, |(_, rest)| rest.split('.').next().unwrap().parse::<usize>().unwrap() - 1);
    if path.starts_with("/newest") {
        let shown = world.page(|thing| !is_comment(thing), page, 25);
        return Some(json_page(&shown.iter().map(story).collect()));
    }
    let item = |thing: &Thing| {
        let (number, text) = (thing.number, &thing.text);
        let stamp = jiff::Timestamp::from_second(thing.at).unwrap().strftime("%a, %d %b %Y %H:%M:%S +0000");
        format!(
            "<item><title>on ER</title><link>https://lobste.rs/s/x{}/er#c_x{number}</link><guid>https://lobste.rs/c/x{number}</guid>\
             <author>ann@users.lobste.rs (ann)</author><pubDate>{stamp}</pubDate>\
             <description>&lt;p&gt;{text}&lt;/p&gt;</description></item>",
            number - 1
        )
    };
    let shown = world.page(is_comment, page, 25);
    let items: String = shown.iter().map(item).collect();
    let document = format!("<rss version=\"2.0\"><channel><title>Newest Comments</title>{items}</channel></rss>");
    path.starts_with("/comments").then(|| Act::Page(200, Vec::new(), document.into_bytes()))
}

fn hacker_news(world: &World, path: &str) -> Option<Act> {
    let newest = world.things.last().map_or(0, |thing| thing.number);
    if path == "/v0/maxitem.json" {
        return Some(json_page(&json!(newest)));
    }
    if path == "/v0/updates.json" {
        let changed = world.things.iter().filter(|thing| thing.edits > 0 || thing.is_gone).map(|thing| thing.number);
        return Some(json_page(&json!({ "items": changed.collect::<Vec<_>>(), "profiles": [] })));
    }
    let number: u64 = path.strip_prefix("/v0/item/")?.strip_suffix(".json")?.parse().ok()?;
    let thing = world.find(number).filter(|_| !world.late.contains(&number));
    Some(json_page(&thing.map_or(Value::Null, |thing| {
        if thing.is_gone {
            return json!({ "id": number, "type": "comment", "time": thing.at, "deleted": true });
        }
        if is_comment(thing) {
            json!({ "id": number, "type": "comment", "by": "ann", "time": thing.at, "parent": number - 1, "text": format!("<p>{}", thing.text) })
        } else {
            json!({ "id": number, "type": "story", "by": "ann", "time": thing.at, "title": thing.text, "url": "https://a.example/x" })
        }
    })))
}

fn youtube(world: &mut World, path: &str) -> Option<Act> {
    assert_eq!(parameter(path, "key").as_deref(), Some("key"));
    let comment = &|id: &str, text: &str, at: i64, edits: u64, parent: Option<&str>| {
        let updated = date(at + i64::try_from(edits).unwrap());
        let mut snippet = json!({ "videoId": "VIDEOID0001", "textDisplay": text, "authorDisplayName": "@ann",
            "authorChannelId": { "value": "UCann" }, "publishedAt": date(at), "updatedAt": updated });
        if let Some(parent) = parent {
            snippet["parentId"] = json!(parent);
        }
        json!({ "id": id, "snippet": snippet })
    };
    let top = |thing: &Thing| comment(&format!("c{}", thing.number), &thing.text, thing.at, thing.edits, None);
    let answers = world.answers.clone();
    let under = |number: u64| {
        let of_it = answers.iter().enumerate().filter(move |(_, (thread, _))| *thread == number);
        of_it.map(move |(place, (_, text))| {
            comment(&format!("c{number}.{place}"), text, BEGINNING + 100_000, 0, Some(&format!("c{number}")))
        })
    };
    if path.starts_with("/comments?") {
        let items: Vec<Value> = match (parameter(path, "parentId"), parameter(path, "id")) {
            (Some(parent), _) => under(parent.trim_start_matches('c').parse().unwrap()).collect(),
            (None, Some(ids)) => {
                let asked: Vec<&str> = ids.split(',').collect();
                let there = world
                    .things
                    .iter()
                    .filter(|thing| !thing.is_gone && asked.contains(&&*format!("c{}", thing.number)));
                there.map(top).collect()
            }
            (None, None) => return None,
        };
        return Some(json_page(&json!({ "items": items })));
    }
    let page: usize = parameter(path, "pageToken").map_or(0, |token| token.parse().unwrap());
    let shown = world.page(|_| true, page, 100);
    let next = (shown.len() == 100).then(|| (page + 1).to_string());
    let threads: Vec<Value> = shown
        .iter()
        .map(|thing| {
            let all: Vec<Value> = under(thing.number).collect();
            let first: Vec<&Value> = all.iter().take(1).collect();
            json!({ "id": format!("c{}", thing.number), "replies": { "comments": first },
            "snippet": { "videoId": "VIDEOID0001", "totalReplyCount": all.len(), "topLevelComment": top(thing) } })
        })
        .collect();
    path.starts_with("/commentThreads?").then(|| json_page(&json!({ "items": threads, "nextPageToken": next })))
}

/// Reads such a source by the forum's clock, in a hurry.
pub fn start(kind: SourceKind, forum: &SimForum, resume: Option<Bookmark>) -> Reading {
    let longest = Duration::from_millis(50);
    let timing = Timing {
        first_backoff: Duration::from_millis(5),
        longest_backoff: Duration::from_millis(10),
        longest_rest: longest,
        operator_rest: longest,
        ..Timing::default()
    };
    Reading::by(kind, timing, Arc::new(forum.clock.clone()), resume, Inlets::default())
}

/// Stops it; where it would go on.
pub async fn left(reading: Reading) -> Option<Bookmark> {
    let bookmark = reading.position.bookmark();
    reading.stop().await;
    bookmark
}

/// What came, without the title that all topics have.
pub fn texts(reading: &Reading) -> Vec<&str> {
    reading.posts.iter().map(|post| post.text.trim_start_matches("ER\n")).collect()
}

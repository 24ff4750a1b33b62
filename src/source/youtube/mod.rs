//! `youtube`: a channel's new videos by its feed, pushed by its hub or polled, and comments by the Data API, polled within
//! the day's quota.
//!
//! What comments promise: threads, the newest first, page behind page (`commentThreads.list`, a unit each); an answer is
//! shown under its thread, the first few with it and all by `comments.list`. Answers under threads that have left the
//! first page are not seen, edits and deletions only of what that page shows or hides. Where a video's comments are
//! switched off, that is told once, and the others are read. What `YouTube` gives to nobody but a channel's owner (OAuth):
//! captions, what moderators hold back, statistics. Live chats are not read here.
//!
//! Videos and comments are one source, one bookmark: the feed carries what was seen of comments with it. Ids are those of
//! the feed: `yt:video:…`, and beside them `yt:comment:…`. Source: <https://developers.google.com/youtube/v3/docs>.

mod budget;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use self::budget::{Account, next_day};
use super::feed::Feed;
use super::forum::{Asked, Board, Forum, Item, Memory, Page, Reading, Said, below, date, hand_on, short, shown, text};
use super::http::{Answer, refused};
use super::line::Line;
use super::supervise::{End, Failure, Remedy, Supervisor};
use crate::config::model::{CommentsConfig, YoutubeConfig};
use crate::domain::event::{Bookmark, Joint, Rejected};
use crate::domain::id::{AuthorId, PostId, SourceName};
use crate::domain::post::PostKind;
use crate::domain::time::Timestamp;
use crate::telemetry::events;

/// Threads of a page; no more are given.
const PAGE: &str = "100";
/// Items of a page that are looked at.
const MOST_ITEMS: usize = 1000;
/// Threads whose answers are asked for in one round: each costs a unit, and the others wait for the next.
const MOST_THREADS: usize = 10;
/// Pages of one thread's answers.
const MOST_PAGES: usize = 5;
/// Comments asked for at once by their ids.
const MOST_IDS: usize = 50;

/// Reads it for as long as the program runs.
pub(super) async fn read(config: YoutubeConfig, line: Line) {
    let comments = config.comments;
    match (config.videos, comments) {
        (Some(videos), comments) => {
            let url = videos.url.clone();
            let feed = Feed::new(videos, &line).with(comments.map(Beside::new));
            Supervisor::new(feed, vec![url], line).run().await;
        }
        (None, Some(comments)) => {
            let (url, every) = (comments.url.clone(), comments.poll_every);
            let of = place(&comments);
            Supervisor::new(Forum::new(Comments::new(comments), &of, every), vec![url], line).run().await;
        }
        (None, None) => {}
    }
}

/// Another API is another place.
fn place(config: &CommentsConfig) -> String {
    format!("youtube {}", config.url)
}

/// Comments that are read beside a feed of videos.
pub(super) struct Beside {
    reader: super::forum::Reader<Comments>,
    every: Duration,
}

impl Beside {
    fn new(config: CommentsConfig) -> Self {
        let (of, every) = (place(&config), config.poll_every);
        Self { reader: super::forum::Reader::new(Comments::new(config), &of), every }
    }

    /// Goes on where that was noted.
    pub(super) fn resume(&mut self, noted: Option<&str>) {
        self.reader.resume(noted);
    }

    /// Reads what is new. `bookmark` makes one of what is to be noted; `again` is the host that is seen again with it. How
    /// long to wait.
    ///
    /// # Errors
    /// [`End::Stopped`], or a failure: then it is read again.
    pub(super) async fn read(
        &mut self,
        bookmark: impl FnOnce(String) -> Option<Bookmark>,
        again: Option<&str>,
        line: &mut Line,
    ) -> Result<Duration, End> {
        let began = line.now();
        let round = self.reader.round(line).await?;
        if let Some(host) = again {
            line.connected(host, Joint::GoesOn).await?;
        }
        hand_on(&round, began, round.noted().and_then(bookmark), line).await?;
        self.reader.took(round);
        Ok(self.reader.board().pace(self.every, line.now()))
    }
}

/// The comments of a channel's videos, and of others.
struct Comments {
    config: CommentsConfig,
    asked: Asked,
    account: Account,
    /// What the last round cost, and what was used before it.
    cost: u64,
    before: u64,
    /// How many answers a thread had when all were read, by its id.
    answers: BTreeMap<String, u64>,
    /// Threads that may still be asked for in this round.
    left: usize,
    /// Lists that cannot be had, of which people were told.
    told: BTreeSet<String>,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
    #[serde(default, rename = "nextPageToken")]
    next: Option<String>,
}

/// A page, read.
struct Read {
    items: Vec<Item>,
    /// How many answers each thread has, and how many of them were shown with it.
    threads: Vec<(String, u64, u64)>,
    next: Option<String>,
    /// Why there is none.
    closed: Option<&'static str>,
}

impl Comments {
    fn new(config: CommentsConfig) -> Self {
        let asked = Asked::new(config.transport.clone());
        Self {
            config,
            asked,
            account: Account::default(),
            cost: 1,
            before: 0,
            answers: BTreeMap::new(),
            left: MOST_THREADS,
            told: BTreeSet::new(),
        }
    }

    /// One request, which costs a unit, whatever comes of it.
    async fn ask(&mut self, method: &str, query: &[(&str, &str)], line: &Line) -> Result<Option<Read>, End> {
        let now = line.now();
        let budget = self.config.daily_units;
        if !self.account.spend(now, budget) {
            return Err(spent(self.account.used(), now));
        }
        if self.account.warns(budget) {
            let used = self.account.used();
            let notice = format!(
                "{used} of today's {budget} units of YouTube's quota are used; comments are asked for less often"
            );
            events::source_notice(&line.name, &notice);
        }
        let mut url = below(&self.config.url, [method]);
        url.query_pairs_mut().extend_pairs(query).append_pair("textFormat", "plainText");
        url.query_pairs_mut().append_pair("key", self.config.key.expose().trim());
        let read = |body: &[u8]| page(body, &line.name, now);
        let answer = self.asked.page_or(&url, read, |host, answer| otherwise(host, answer, now), line).await;
        if let Err(End::Failed(Failure { remedy: Remedy::Spent(_), .. })) = &answer {
            self.account.is_refused();
        }
        answer
    }

    /// All answers of a thread.
    async fn answers(&mut self, thread: &str, line: &Line) -> Result<Vec<Item>, End> {
        let (mut items, mut after) = (Vec::new(), None::<String>);
        for _ in 0..MOST_PAGES {
            let mut query = vec![("part", "snippet"), ("parentId", thread), ("maxResults", PAGE)];
            query.extend(after.as_deref().map(|after| ("pageToken", after)));
            let Some(read) = self.ask("comments", &query, line).await? else { break };
            items.extend(read.items.into_iter().map(|item| Item { in_order: false, ..item }));
            after = read.next;
            if after.is_none() {
                break;
            }
        }
        Ok(items)
    }
}

impl Board for Comments {
    fn lists(&self) -> Vec<String> {
        let channel = self.config.channel.iter().map(|channel| format!("channel {channel}"));
        channel.chain(self.config.videos.iter().map(|video| format!("video {video}"))).collect()
    }

    async fn page(
        &mut self,
        list: &str,
        after: Option<&str>,
        memory: &Memory,
        line: &Line,
    ) -> Result<Option<Page>, End> {
        if self.lists().first().is_some_and(|first| first == list) && after.is_none() {
            (self.before, self.left) = (self.account.used(), MOST_THREADS);
        }
        let (kind, id) = list.split_once(' ').unwrap_or_default();
        let of = if kind == "channel" { "allThreadsRelatedToChannelId" } else { "videoId" };
        let mut query = vec![("part", "snippet,replies"), (of, id), ("order", "time"), ("maxResults", PAGE)];
        query.extend(after.map(|after| ("pageToken", after)));
        let read = self.ask("commentThreads", &query, line).await?;
        let Some(Read { mut items, threads, next, closed }) = read else { return Ok(None) };
        if let Some(why) = closed {
            if self.told.insert(list.to_owned()) {
                events::source_notice(&line.name, &format!("the comments of {kind} {id} cannot be read: {why}"));
            }
            return Ok(None);
        }
        for (thread, all, shown) in threads {
            let has_more = all > shown && self.answers.get(&thread) != Some(&all);
            // What was there before the first look is history.
            if !has_more || !memory.has_begun() {
                continue;
            }
            if self.left == 0 {
                // The page is to come again, even if nothing changes.
                self.asked.forget();
                continue;
            }
            self.left -= 1;
            items.extend(self.answers(&thread, line).await?);
            self.answers.insert(thread, all);
        }
        while self.answers.len() > MOST_ITEMS {
            self.answers.pop_first();
        }
        self.cost = self.account.used().saturating_sub(self.before).max(1);
        Ok(Some(Page { items, known: 0, next }))
    }

    async fn again(&mut self, _: &str, names: &[String], _: &Memory, line: &Line) -> Result<Vec<Item>, End> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let ids = names.iter().take(MOST_IDS).map(String::as_str).collect::<Vec<_>>().join(",");
        let read = self.ask("comments", &[("part", "snippet"), ("id", &ids)], line).await?;
        let Some(Read { mut items, .. }) = read else { return Ok(Vec::new()) };
        items.retain(|item| names.contains(&item.name));
        let there: BTreeSet<String> = items.iter().map(|item| item.name.clone()).collect();
        let gone = names.iter().filter(|name| !there.contains(*name));
        let gone = gone.map(|name| Item { name: name.clone(), at: None, in_order: false, said: Said::Gone(id(name)) });
        items.extend(gone.collect::<Vec<_>>());
        Ok(items)
    }

    fn begin(&mut self, note: &str) {
        self.asked.forget();
        self.account.go_on_from(note);
    }

    fn pace(&self, every: Duration, now: Timestamp) -> Duration {
        self.account.pace(every, self.cost, self.config.daily_units, now)
    }

    fn note(&self) -> String {
        self.account.note()
    }
}

fn spent(used: u64, now: Timestamp) -> End {
    let until = next_day(now);
    let error =
        format!("today's quota is used up ({used} units); comments are read again at {until}, or raise `daily_units`");
    End::Failed(Failure { error, remedy: Remedy::Spent(until) })
}

/// What an answer that is no page means.
fn otherwise(host: &str, answer: &Answer, now: Timestamp) -> Result<Read, End> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let reason = text(&body, "/error/errors/0/reason").unwrap_or_default();
    let closed = |why| Ok(Read { items: Vec::new(), threads: Vec::new(), next: None, closed: Some(why) });
    match reason {
        "commentsDisabled" => closed("they are switched off"),
        "videoNotFound" | "channelNotFound" => closed("YouTube does not know it"),
        "quotaExceeded" | "dailyLimitExceeded" => {
            let until = next_day(now);
            let error = format!("{host} says that today's quota is used up; comments are read again at {until}");
            Err(End::Failed(Failure { error, remedy: Remedy::Spent(until) }))
        }
        "rateLimitExceeded" | "userRateLimitExceeded" => {
            let error = format!("{host} has enough of us for now");
            Err(End::Failed(Failure { error, remedy: Remedy::Busy(None) }))
        }
        "keyInvalid" | "badRequest" if answer.status == StatusCode::BAD_REQUEST => {
            Err(Failure::operator(format!("{host} does not take the key; check `api_key`")))
        }
        "accessNotConfigured" | "forbidden" | "ipRefererBlocked" => {
            let advice = "let the key's project use the YouTube Data API v3, from this address";
            Err(Failure::operator(format!("{host} does not let the key in ({reason}); {advice}")))
        }
        _ => Err(refused(host, answer.status, &answer.headers)),
    }
}

/// Reads the body of an answer with threads or comments; nothing when it is none.
pub fn read_page(body: &[u8], now: Timestamp) -> Option<Vec<Item>> {
    page(body, &SourceName::from("youtube"), now).map(|read| read.items)
}

fn page(body: &[u8], source: &SourceName, now: Timestamp) -> Option<Read> {
    let List { items: list, next } = serde_json::from_slice(body).ok()?;
    let base = Url::parse("https://www.youtube.com").ok()?;
    let reading = Reading { source, base: &base, now };
    let (mut items, mut threads) = (Vec::new(), Vec::new());
    for raw in list.into_iter().take(MOST_ITEMS) {
        let Ok(value) = serde_json::from_str::<Value>(raw.get()) else {
            items.push(Item::of(raw, |_| Err(Rejected::WrongType)));
            continue;
        };
        if value.pointer("/snippet/topLevelComment").is_none() {
            items.push(Item::of(raw, |value| comment(value, true, &reading)));
            continue;
        }
        let first = value.pointer("/snippet/topLevelComment").cloned().unwrap_or_default();
        items.push(Item::of(raw, |_| comment(&first, true, &reading)));
        let answers =
            value.pointer("/replies/comments").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let answers = answers.iter().take(MOST_ITEMS).map(|answer| Item::of(raw, |_| comment(answer, false, &reading)));
        let shown = answers.len() as u64;
        items.extend(answers);
        let all = value.pointer("/snippet/totalReplyCount").and_then(Value::as_u64).unwrap_or(0);
        threads.extend(short(&value, "/id").map(|thread| (thread.to_owned(), all, shown)));
    }
    let next = next.filter(|next| (1..=1024).contains(&next.len()));
    Some(Read { items, threads, next, closed: None })
}

fn id(name: &str) -> PostId {
    PostId::from(format!("yt:comment:{name}"))
}

fn comment(comment: &Value, is_thread: bool, reading: &Reading<'_>) -> Result<Item, Rejected> {
    let name = short(comment, "/id").ok_or(Rejected::MissingField)?.to_owned();
    let writer = short(comment, "/snippet/authorChannelId/value");
    let shown_as = shown(comment, "/snippet/authorDisplayName");
    let author = match (writer, &shown_as) {
        (Some(channel), _) => format!("https://www.youtube.com/channel/{channel}"),
        (None, Some(name)) => format!("yt:user:{name}"),
        (None, None) => return Err(Rejected::MissingField),
    };
    let at = date(comment, "/snippet/publishedAt");
    let edited = date(comment, "/snippet/updatedAt").filter(|edited| Some(*edited) != at);
    let words = text(comment, "/snippet/textOriginal").or_else(|| text(comment, "/snippet/textDisplay"));
    let mut post = reading.post(id(&name), AuthorId::from(author), [None, words], (at, edited));
    post.author.handle = shown_as.as_deref().and_then(|name| name.strip_prefix('@')).map(str::to_owned);
    post.author.name = shown_as;
    post.kind = PostKind::Reply;
    let parent = short(comment, "/snippet/parentId");
    let video = short(comment, "/snippet/videoId");
    post.reply_to = parent.map(id).or_else(|| video.map(|video| PostId::from(format!("yt:video:{video}"))));
    let page = video.and_then(|video| {
        Url::parse_with_params("https://www.youtube.com/watch", [("v", video), ("lc", name.as_str())]).ok()
    });
    post.url = page.map(Into::into);
    Ok(Item { name, at, in_order: is_thread && parent.is_none(), said: Said::post(post) })
}

//! A `youtube` source: a channel's videos, and comments.

use url::Url;

use super::documents::poll_every;
use crate::config::endpoint::{TRANSPORT_KEYS, address, transport};
use crate::config::model::{CommentsConfig, FeedConfig, ForumConfig, Transport, YoutubeConfig};
use crate::config::reference::{Surroundings, secret};
use crate::config::table::{Checked, Noted, Table, Value, all, quoted};

const KEYS: [&str; 9] = ["name", "kind", "channel", "videos", "push", "api_key", "daily_units", "poll_every", "url"];
/// What says something only where comments are read.
const OF_COMMENTS: [&str; 4] = ["videos", "daily_units", "poll_every", "url"];
/// Each costs a unit whenever it is asked for.
const MOST_VIDEOS: usize = 50;
/// The feed of a channel's videos.
const VIDEOS: &str = "https://www.youtube.com/feeds/videos.xml";
/// What ids of videos have, and those of channels behind `UC`.
const VIDEO_ID: usize = 11;
const CHANNEL_ID: usize = 24;

/// Reads one.
pub(super) fn source(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<YoutubeConfig> {
    let known: Vec<&str> = KEYS.iter().chain(&TRANSPORT_KEYS).copied().collect();
    table.allow_only(&known);
    let channel = table.get("channel").map(|value| channel(&value)).transpose();
    let push = table.get("push").map(|value| value.boolean().map(|push| (value, push))).transpose();
    let way = transport(table, around);
    let comments = comments(table, around);
    let (channel, way, comments) = (channel?, way?, comments?);
    if channel.is_none() && comments.is_none() {
        let example = "`channel = \"UC…\"`, or `videos` with an `api_key`: what is read";
        table.require("channel", example)?;
    }
    let videos = channel.as_deref().map(|channel| feed(channel, &way)).transpose()?;
    let videos = match (videos, push?) {
        (None, Some((push, true))) => {
            let help = "add `channel = \"UC…\"`: what a hub pushes are a channel's new videos, not comments";
            return push.absent("SB0003", "`push` without `channel`", help);
        }
        (videos, push) => videos.map(|feed| FeedConfig { push: push.is_some_and(|(_, push)| push), ..feed }),
    };
    let comments = comments.map(|comments| CommentsConfig { channel, transport: way, ..comments });
    Ok(YoutubeConfig { videos, comments })
}

fn feed(channel: &str, way: &Transport) -> Checked<FeedConfig> {
    let url = Url::parse_with_params(VIDEOS, [("channel_id", channel)]).or(Err(Noted))?;
    Ok(FeedConfig { url, poll_every: None, push: false, transcripts: false, login: None, transport: way.clone() })
}

/// Comments, but for what they share with the videos.
fn comments(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<Option<CommentsConfig>> {
    let Some(key) = table.get("api_key") else {
        if let Some(useless) = OF_COMMENTS.iter().find_map(|key| table.get(key)) {
            let message = format!("`{}` without `api_key`", useless.key());
            let help =
                "add `api_key = { credential = \"youtube\" }`: comments are read with a key of a project at Google";
            return useless.absent("SB0003", message, help);
        }
        return Ok(None);
    };
    let key = secret(&key, around);
    let url = match table.get("url") {
        Some(value) => address(&value, &["https", "http"]),
        None => Url::parse(CommentsConfig::DEFAULT_URL).or(Err(Noted)), // cannot fail: it is a constant
    };
    let videos = table.get("videos").map_or(Ok(Vec::new()), |value| videos(&value));
    let daily_units = table.get("daily_units").map(|value| value.count(1)).transpose();
    let every = poll_every(table);
    let comments = CommentsConfig {
        url: url?,
        key: key?,
        channel: None,
        videos: videos?,
        daily_units: daily_units?.unwrap_or(CommentsConfig::DEFAULT_UNITS),
        poll_every: every?.unwrap_or(ForumConfig::USUAL),
        transport: Transport::default(),
    };
    if comments.videos.is_empty() && table.get("channel").is_none() {
        let example = "`channel = \"UC…\"` or `videos = [\"…\"]`: whose comments are read";
        table.require("channel", example)?;
    }
    Ok(Some(comments))
}

fn is_id(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn channel(value: &Value<'_>) -> Checked<String> {
    let text = value.filled()?;
    if is_id(text, CHANNEL_ID) && text.starts_with("UC") {
        return Ok(text.to_owned());
    }
    let help =
        "write the id, UC and 22 more letters: on the channel's page it is under “Share channel, Copy channel ID”";
    value.error("SB0005", format!("{} is not a channel's id", quoted(text)), help)
}

fn videos(value: &Value<'_>) -> Checked<Vec<String>> {
    let items = value.one_or_more()?;
    if items.is_empty() || items.len() > MOST_VIDEOS {
        return value.error("SB0005", format!("`videos` has {} entries", items.len()), "name 1 to 50");
    }
    all(items.iter().map(|(item, text)| {
        if is_id(text, VIDEO_ID) {
            return Ok((*text).to_owned());
        }
        let help = "write the 11 letters behind `v=` in the video's address";
        item.error("SB0005", format!("{} is not a video's id", quoted(text)), help)
    }))
}

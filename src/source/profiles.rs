//! Who the authors are whose posts matter, where the stream does not say: their handle, name and
//! followers, asked for afterwards.
//!
//! Only of authors whose posts a rule took, so that the service learns of nobody else; in groups,
//! slowly, each once a day. Nothing waits for the answer, and what cannot be had is done without.

use std::collections::HashSet;
use std::mem;
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use super::Incoming;
use super::http::{Http, Request};
use super::line::Line;
use super::supervise::{End, Failure};
use crate::config::model::Transport;
use crate::domain::id::AuthorId;
use crate::domain::post::Author;
use crate::telemetry::events;

/// Authors one request may name (`app.bsky.actor.getProfiles`).
const TOGETHER: usize = 25;
/// How long the first waits for others to be asked for with it.
const GATHER: Duration = Duration::from_millis(250);
/// Between two requests.
const PACE: Duration = Duration::from_secs(1);
/// After one that failed.
const PAUSE: Duration = Duration::from_mins(1);
/// Authors that are not asked for again.
const REMEMBERED: usize = 1 << 14;
/// An author may have changed after so long.
const FRESH: Duration = Duration::from_hours(24);
/// A profile is a kilobyte or two.
const MOST: usize = 1 << 20;
/// Longest name or handle that is believed, in bytes.
const LONGEST: usize = 512;

/// Answers of `app.bsky.actor.getProfiles`, as far as they are read.
#[derive(Deserialize)]
struct Profiles {
    profiles: Vec<Profile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    did: String,
    handle: Option<String>,
    display_name: Option<String>,
    followers_count: Option<u64>,
}

/// Those asked for lately, forgotten by halves.
struct Asked {
    young: HashSet<AuthorId>,
    old: HashSet<AuthorId>,
    since: Instant,
}

impl Asked {
    fn is_new(&mut self, author: &AuthorId) -> bool {
        if self.young.len() >= REMEMBERED || self.since.elapsed() >= FRESH / 2 {
            (self.old, self.since) = (mem::take(&mut self.young), Instant::now());
        }
        !self.old.contains(author) && self.young.insert(author.clone())
    }
}

/// Asks `service` for everybody who is `wanted`, until nobody asks any more.
pub async fn look_up(service: Url, transport: Transport, mut wanted: mpsc::Receiver<AuthorId>, line: Line) {
    let http = match Http::new(&transport, service.scheme() == "http") {
        Ok(http) => http,
        Err(end) => return unanswered(&line, &service, &end),
    };
    let mut asked = Asked { young: HashSet::new(), old: HashSet::new(), since: Instant::now() };
    while let Some(authors) = gather(&mut wanted, &mut asked).await {
        let pause = match http.get(Request::get(address(&service, &authors), HeaderMap::new(), MOST), &line).await {
            Ok(answer) => {
                for author in read(&answer.body, &authors) {
                    if line.tell(Incoming::Author { author, at: line.now() }).await.is_err() {
                        return;
                    }
                }
                PACE
            }
            Err(End::Stopped) => return,
            Err(end) => {
                unanswered(&line, &service, &end);
                PAUSE
            }
        };
        if line.unless_stopped(sleep(pause)).await.is_err() {
            return;
        }
    }
}

/// The next authors nobody was asked about; none once all is over.
async fn gather(wanted: &mut mpsc::Receiver<AuthorId>, asked: &mut Asked) -> Option<Vec<AuthorId>> {
    let mut authors = Vec::new();
    while authors.is_empty() {
        authors.extend(Some(wanted.recv().await?).filter(|author| asked.is_new(author)));
    }
    let until = Instant::now() + GATHER;
    while authors.len() < TOGETHER
        && let Ok(Some(author)) = timeout_at(until, wanted.recv()).await
    {
        authors.extend(Some(author).filter(|author| asked.is_new(author)));
    }
    Some(authors)
}

fn address(service: &Url, authors: &[AuthorId]) -> Url {
    let mut url = service.clone();
    url.set_path("/xrpc/app.bsky.actor.getProfiles");
    url.query_pairs_mut().clear().extend_pairs(authors.iter().map(|author| ("actors", author.as_str())));
    url
}

/// Those of the answer that were asked for.
fn read(body: &[u8], asked: &[AuthorId]) -> Vec<Author> {
    let Ok(Profiles { profiles }) = serde_json::from_slice(body) else { return Vec::new() };
    let short = |text: Option<String>| text.filter(|text| !text.is_empty() && text.len() <= LONGEST);
    let author = |profile: Profile| {
        let id = AuthorId::from(profile.did);
        asked.contains(&id).then(|| Author {
            id,
            handle: short(profile.handle),
            name: short(profile.display_name),
            followers: profile.followers_count,
        })
    };
    profiles.into_iter().filter_map(author).collect()
}

fn unanswered(line: &Line, service: &Url, end: &End) {
    if let End::Failed(Failure { error, .. }) = end {
        events::source_profiles_unanswered(&line.name, service.host_str().unwrap_or_default(), error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_asked_for_are_believed() {
        let body =
            br#"{"profiles":[{"did":"did:plc:a","handle":"ann.example","displayName":"Ann","followersCount":61000},
            {"did":"did:plc:b","handle":"","followersCount":1},{"did":"did:plc:evil","handle":"x"}]}"#;
        let authors = read(body, &["did:plc:a".into(), "did:plc:b".into()]);
        let [ann, bob] = authors.as_slice() else { panic!("{authors:?}") };
        assert_eq!(
            (ann.handle.as_deref(), ann.name.as_deref(), ann.followers),
            (Some("ann.example"), Some("Ann"), Some(61_000))
        );
        assert_eq!((bob.handle.as_deref(), bob.followers), (None, Some(1)));
        assert!(read(b"<html>", &["did:plc:a".into()]).is_empty());
    }

    #[test]
    fn authors_go_into_one_address() {
        let url =
            address(&"https://public.example/ignored?x=1".parse().unwrap(), &["did:plc:a".into(), "did:web:b".into()]);
        let expected =
            "https://public.example/xrpc/app.bsky.actor.getProfiles?actors=did%3Aplc%3Aa&actors=did%3Aweb%3Ab";
        assert_eq!(url.as_str(), expected);
    }

    #[tokio::test]
    async fn nobody_is_asked_for_twice_a_day() {
        let (sender, mut wanted) = mpsc::channel(64);
        let mut asked = Asked { young: HashSet::new(), old: HashSet::new(), since: Instant::now() };
        for author in ["a", "b", "a"] {
            sender.send(author.into()).await.unwrap();
        }
        let both: Vec<AuthorId> = vec!["a".into(), "b".into()];
        assert_eq!(gather(&mut wanted, &mut asked).await, Some(both));
        sender.send("a".into()).await.unwrap();
        drop(sender);
        assert_eq!(gather(&mut wanted, &mut asked).await, None);
    }
}

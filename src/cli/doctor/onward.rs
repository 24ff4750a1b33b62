//! Asks servers which further hosts they send us to, where anybody may ask: without a secret, as the daemon will.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::task::JoinSet;
use url::Url;

use crate::config::model::{NamedIn, Naming, Onward};
use crate::net::http::{beginning, client, no_answer};
use crate::source::feed;
use crate::source::mastodon::STREAMS_NAMED_IN;

/// More is not read of a document, in bytes: the names stand at its beginning.
const MOST_BYTES: usize = 4 << 20;
/// Where a provider names what the daemon asks; where people sign in is for their browsers to reach.
const OF_PROVIDER: [&str; 2] = ["/token_endpoint", "/jwks_uri"];

/// Where each leads; otherwise why that is not known, where there was somebody to ask.
type Answer = Result<Vec<Url>, Option<String>>;

/// Asks all at once; the answers come in their order.
pub(super) async fn ask(all: Vec<Onward>, within: Duration) -> Vec<(Onward, Answer)> {
    let mut under_way = JoinSet::new();
    for (place, onward) in all.into_iter().enumerate() {
        under_way.spawn(async move {
            let answer = match &onward.named_in {
                Some(named_in) => named(named_in, within).await.map_err(Some),
                None => Err(None),
            };
            (place, onward, answer)
        });
    }
    let mut answers = under_way.join_all().await;
    answers.sort_by_key(|(place, ..)| *place);
    answers.into_iter().map(|(_, onward, answer)| (onward, answer)).collect()
}

async fn named(by: &NamedIn, within: Duration) -> Result<Vec<Url>, String> {
    match by.document {
        Naming::Feed => {
            let (headers, body) = get(by, &by.url, within).await?;
            let hub = feed::hub(&body, &headers, &by.url).map_err(|error| format!("it answers with {error}"))?;
            Ok(hub.into_iter().collect())
        }
        Naming::Provider => {
            let (_, body) = get(by, &by.url, within).await?;
            let document = object(&body)?;
            Ok(OF_PROVIDER.iter().filter_map(|place| address(&document, place)).collect())
        }
        Naming::Instance => {
            let mut last = Err(String::new());
            for (path, place) in STREAMS_NAMED_IN {
                let mut url = by.url.clone();
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.pop_if_empty().extend(path.split('/'));
                }
                last = get(by, &url, within).await;
                if let Ok((_, body)) = &last {
                    return Ok(address(&object(body)?, place).into_iter().collect());
                }
            }
            last.map(|_| Vec::new())
        }
    }
}

/// A document, or why there is none.
async fn get(by: &NamedIn, url: &Url, within: Duration) -> Result<(HeaderMap, Vec<u8>), String> {
    let client = client(&by.transport, url.scheme() == "http").and_then(|builder| Ok(builder.build()?));
    let client = client.map_err(|error| error.to_string())?;
    let answer = client.get(url.clone()).timeout(within).send().await.map_err(no_answer)?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    if !status.is_success() {
        return Err(format!("it answers {status}"));
    }
    Ok((headers, beginning(answer, MOST_BYTES).await))
}

fn object(body: &[u8]) -> Result<Value, String> {
    let document: Option<Value> = serde_json::from_slice(body).ok();
    document.filter(Value::is_object).ok_or_else(|| "its answer cannot be read".to_owned())
}

fn address(document: &Value, place: &str) -> Option<Url> {
    Url::parse(document.pointer(place)?.as_str()?).ok()
}

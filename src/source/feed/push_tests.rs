use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::wire::may_know_secret;
use super::*;
use crate::config::secret::Secret;
use crate::domain::time::{Clock, Timestamp};
use crate::source::position::Position;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_795_361_895)
    }
}

fn line() -> Line {
    let (out, _) = mpsc::channel(1);
    let clock = Arc::new(Fixed);
    let mut line =
        Line::new("blog".into(), Timing::default(), Position::default(), out, clock, CancellationToken::new());
    line.inlets = Inlets::at("https://bell.example/".parse().unwrap(), Secret::new("key".to_owned()));
    line
}

fn hub() -> Hub {
    Hub { url: "https://hub.example/".to_owned(), topic: "https://blog.example/feed".to_owned() }
}

/// An instant so many minutes after the beginning.
#[derive(Clone, Copy)]
struct Start(Instant);

impl Start {
    fn after(self, minutes: u64) -> Instant {
        self.0 + Duration::from_mins(minutes)
    }
}

/// A subscription that the hub verified for a day, and that brought something.
async fn verified(line: &Line) -> (Push, Start) {
    let start = Instant::now();
    let mut push = Push::open(true, None, line, start);
    push.is_at(Some(&hub()), start);
    assert_eq!(push.request(line, start).map(|(asking, _)| asking), Some(Asking::Subscribe));
    verify(&push, line).await;
    push.hear(line, start);
    assert!(!push.is_reliable(start), "it brought nothing yet");
    push.brought(Some(&[Key::of(&0_u64)]));
    assert!(push.is_reliable(start));
    (push, Start(start))
}

async fn verify(push: &Push, line: &Line) {
    verify_for(86_400, push, line).await;
}

async fn verify_for(lease: u64, push: &Push, line: &Line) {
    let place = push.topic(&hub(), true).unwrap().place;
    let query = format!(
        "hub.mode=subscribe&hub.challenge=x&hub.lease_seconds={lease}&hub.topic=https%3A%2F%2Fblog.example%2Ffeed"
    );
    let call = Call { place: Some(place), query: Some(query), headers: HeaderMap::new(), body: None };
    assert_eq!(line.inlets.find("blog").unwrap().call(call).await.text, "x");
}

fn status(status: u16) -> Answer {
    Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: Vec::new() }
}

/// Quirk 13: the hub takes the subscription, and delivers nothing.
#[tokio::test]
async fn quirk_13_a_hub_that_accepts_and_delivers_nothing_is_not_relied_on() {
    let line = line();
    let (mut push, start) = verified(&line).await;
    let [one, two, three] = [1_u64, 2, 3].map(|number| Key::of(&number));
    push.found(&[one], &line, start.after(0));
    push.found(&[two], &line, start.after(9));
    assert!(push.is_reliable(start.after(9)), "it may be slow");
    push.brought(Some(&[one]));
    push.found(&[], &line, start.after(18));
    assert!(push.is_reliable(start.after(18)), "it was slow");
    push.found(&[], &line, start.after(19));
    assert!(!push.is_reliable(start.after(19)), "of the second nothing came");
    push.brought(Some(&[three]));
    assert!(push.is_reliable(start.after(20)), "it delivers again");
}

#[tokio::test]
async fn what_is_polled_because_the_hub_rang_was_brought_by_it() {
    let line = line();
    let (mut push, start) = verified(&line).await;
    push.brought(None);
    push.found(&[Key::of(&1_u64)], &line, start.after(0));
    push.found(&[], &line, start.after(60));
    assert!(push.is_reliable(start.after(60)));
}

#[tokio::test]
async fn a_lease_is_renewed_at_half_time_and_relied_on_until_its_end() {
    let line = line();
    let (mut push, start) = verified(&line).await;
    push.answered(Asking::Subscribe, Ok(status(202)), &line, start.after(0));
    assert!(push.request(&line, start.after(12 * 60 - 1)).is_none());
    // Quirk 14: it does not renew, for days.
    for hour in 12..24 {
        let now = start.after(hour * 60);
        assert!(push.request(&line, now).is_some(), "asked again within the hour, {hour}");
        push.answered(Asking::Subscribe, Ok(status(503)), &line, now);
        assert!(push.is_reliable(now), "the old lease is good");
    }
    assert!(!push.is_reliable(start.after(24 * 60)));
    verify(&push, &line).await;
    push.hear(&line, start.after(25 * 60));
    assert!(push.is_reliable(start.after(25 * 60)));
}

#[tokio::test]
async fn a_hub_that_gives_seconds_is_not_asked_every_second_nor_relied_on() {
    let line = line();
    let (mut push, start) = verified(&line).await;
    for lease in [0, 1, 30] {
        verify_for(lease, &push, &line).await;
        push.hear(&line, start.after(0));
        assert!(push.told.is_some(), "somebody is told");
        assert!(push.request(&line, start.after(4)).is_none());
        assert!(!push.is_reliable(start.after(4)), "the feed is polled as if there were no hub");
        assert!(push.request(&line, start.after(5)).is_some());
    }
}

#[tokio::test]
async fn a_hub_that_gives_years_is_asked_again_within_the_month() {
    let line = line();
    let (mut push, start) = verified(&line).await;
    verify_for(u64::MAX, &push, &line).await;
    push.hear(&line, start.after(0));
    assert!(push.request(&line, start.after(15 * 24 * 60)).is_some());
}

#[test]
fn a_secret_goes_to_a_hub_without_tls_only_where_the_feed_is_read_without_it() {
    let at = |url: &str| Hub { url: url.to_owned(), ..hub() };
    let (plain, tls) = ("http://blog.example/feed".parse().unwrap(), "https://blog.example/feed".parse().unwrap());
    for (hub, url, may) in [
        ("https://hub.example/", &plain, true),
        ("https://hub.example/", &tls, true),
        ("http://blog.example/hub", &plain, true),
        ("http://blog.example/hub", &tls, false),
        ("http://hub.example/", &plain, false),
        ("http://hub.example/", &tls, false),
    ] {
        assert_eq!(may_know_secret(&at(hub), url), may, "{hub} {url}");
    }
}

#[tokio::test]
async fn a_hub_that_never_asks_whether_it_was_us_is_asked_again() {
    let (line, start) = (line(), Start(Instant::now()));
    let mut push = Push::open(true, None, &line, start.0);
    push.is_at(Some(&hub()), start.0);
    for time in [0, 10, 20] {
        assert!(push.request(&line, start.after(time)).is_some());
        push.answered(Asking::Subscribe, Ok(status(202)), &line, start.after(time));
        assert!(!push.is_reliable(start.after(time)) && push.request(&line, start.after(time + 9)).is_none());
    }
}

#[tokio::test]
async fn another_topic_is_another_path_and_the_old_one_is_given_back() {
    let line = line();
    let (mut push, start) = verified(&line).await;
    let before = push.topic(&hub(), true).unwrap();
    let moved = Hub { topic: "https://blog.example/moved".to_owned(), ..hub() };
    push.is_at(Some(&moved), start.0);
    assert!(!push.is_reliable(start.0));
    assert_ne!(push.topic(&moved, true).unwrap().place, before.place);
    let asked = [push.request(&line, start.0), push.request(&line, start.0)];
    assert_eq!(
        asked.map(|asked| asked.map(|(asking, _)| asking)),
        [Some(Asking::Unsubscribe), Some(Asking::Subscribe)]
    );
}

//! The decoder.

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_795_361_900);
const SAID: &str = r#"{"metadata":{"message_id":"befa7b53","message_type":"notification","message_timestamp":"2026-11-22T15:38:15.634234626Z","subscription_type":"channel.chat.message","subscription_version":"1"},"payload":{"subscription":{"id":"0b7f","status":"enabled","type":"channel.chat.message","version":"1","condition":{"broadcaster_user_id":"55","user_id":"9"},"transport":{"method":"websocket","session_id":"s"},"created_at":"2026-11-22T15:00:00Z","cost":0},"event":{"broadcaster_user_id":"55","broadcaster_user_login":"er","broadcaster_user_name":"ER","chatter_user_id":"77","chatter_user_login":"rita","chatter_user_name":"Rita","message_id":"u1","message":{"text":"smoke in the ER https://a.example/1","fragments":[]},"color":"","badges":[],"message_type":"text","cheer":null,"reply":null}}}"#;

fn event(frame: &str) -> Result<SourceEvent, Rejected> {
    decode(&"chat".into(), frame.as_bytes(), Some(NOW)).event
}

#[test]
fn a_notification_is_a_post_of_the_same_name_as_over_irc() {
    let Ok(SourceEvent::Post(post)) = event(SAID) else { panic!("{:?}", event(SAID)) };
    assert_eq!((post.id.as_str(), post.author.id.as_str()), ("twitch:u1", "twitch:77"));
    assert_eq!((post.author.handle.as_deref(), post.author.name.as_deref()), (Some("rita"), Some("Rita")));
    assert_eq!((post.text.as_str(), post.links.len()), ("smoke in the ER https://a.example/1", 1));
    assert_eq!(post.url.as_deref(), Some("https://www.twitch.tv/er"));
    assert_eq!(
        (post.kind, post.event_time.whole_second().to_string()),
        (PostKind::Post, "2026-11-22T15:38:15Z".to_owned())
    );
    let reply = SAID.replace("\"reply\":null", "\"reply\":{\"parent_message_id\":\"u0\"}");
    let Ok(SourceEvent::Post(post)) = event(&reply) else { panic!("no post") };
    assert_eq!((post.kind, post.reply_to), (PostKind::Reply, Some("twitch:u0".into())));
}

#[test]
fn deletions_name_what_is_gone_and_the_rest_is_other() {
    let gone = SAID.replace("\"type\":\"channel.chat.message\"", "\"type\":\"channel.chat.message_delete\"");
    assert!(matches!(event(&gone), Ok(SourceEvent::PostDeleted { post, .. }) if post.as_str() == "twitch:u1"));
    let cleared = SAID.replace("\"type\":\"channel.chat.message\"", "\"type\":\"channel.chat.clear_user_messages\"");
    assert_eq!(event(&cleared), Ok(SourceEvent::Other));
    for (frame, expected) in [
        (r#"{"metadata":{"message_type":"session_keepalive"},"payload":{}}"#.to_owned(), Ok(SourceEvent::Other)),
        ("{}".to_owned(), Ok(SourceEvent::Other)),
        (SAID.replace("\"chatter_user_id\":\"77\",", ""), Err(Rejected::MissingField)),
        (SAID.replace("\"message_id\":\"u1\",", ""), Err(Rejected::MissingField)),
        (SAID.replace("2026-11-22T15:38:15.634234626Z", "1999-11-22T15:38:15Z"), Err(Rejected::AbsurdDate)),
        (SAID.replace("\"message\":{", "\"message\":7,\"other\":{"), Err(Rejected::MissingField)),
        ("[]".to_owned(), Err(Rejected::WrongType)),
    ] {
        assert_eq!(event(&frame), expected, "{frame}");
    }
}

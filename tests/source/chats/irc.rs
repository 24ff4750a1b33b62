//! `irc` and `twitch` against a server whose lines the test speaks.

use stormbell::config::model::{IrcConfig, IrcDialect, SourceKind, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::event::{DownReason, Joint};

use crate::support::listener::{Listener, quick};
use crate::support::socket::{Peer, SimSocket};

fn listen(sim: &SimSocket, dialect: IrcDialect, channels: &[&str]) -> Listener {
    let config = IrcConfig {
        dialect,
        url: sim.url("/"),
        nick: "bell".to_owned(),
        password: Some(Secret::new("oauth:planted-irc-token".to_owned())),
        channels: channels.iter().map(|&channel| channel.to_owned()).collect(),
        transport: Transport::default(),
    };
    Listener::start(SourceKind::Irc(config), quick(), None)
}

fn said(id: &str, text: &str) -> String {
    let at = crate::support::daemon::now() / 1000;
    format!(
        "@display-name=Rita;id={id};room-id=55;tmi-sent-ts={at};user-id=77 :rita!rita@rita.tmi.twitch.tv PRIVMSG #er :{text}"
    )
}

/// Lets a client of Twitch's in.
async fn welcome(sim: &SimSocket) -> Peer {
    let mut peer = sim.peer().await;
    assert_eq!(peer.hears().await, "CAP REQ :twitch.tv/tags twitch.tv/commands");
    assert_eq!(peer.hears().await, "PASS oauth:planted-irc-token");
    assert_eq!(peer.hears().await, "NICK bell");
    peer.says(":tmi.twitch.tv CAP * ACK :twitch.tv/tags twitch.tv/commands\r\n").await;
    peer.says(":tmi.twitch.tv 001 bell :Welcome, GLHF!\r\n:tmi.twitch.tv 376 bell :>\r\n").await;
    assert_eq!(peer.hears().await, "JOIN #er");
    peer.says(":bell!bell@bell.tmi.twitch.tv JOIN #er\r\n:bell.tmi.twitch.tv 366 bell #er :End of /NAMES list\r\n")
        .await;
    peer
}

#[tokio::test]
async fn one_frame_holds_several_lines_and_pings_are_answered() {
    let sim = SimSocket::start().await;
    let mut listener = listen(&sim, IrcDialect::Twitch, &["#er"]);
    let mut peer = welcome(&sim).await;
    let lines = [said("u1", "smoke in the ER"), "PING :tmi.twitch.tv".to_owned(), said("u2", "me too")];
    peer.says(format!("{}\r\n", lines.join("\r\n"))).await;
    assert_eq!(peer.hears().await, "PONG :tmi.twitch.tv");
    listener.until_text("me too").await;
    assert_eq!(listener.texts(), ["me too", "smoke in the ER"].into());
    assert_eq!(listener.joints, [Joint::Live]);
    let post = listener.post("me too");
    assert_eq!((post.id.as_str(), post.author.id.as_str()), ("twitch:u2", "twitch:77"));
    assert_eq!(post.url.as_deref(), Some("https://www.twitch.tv/er"));
}

#[tokio::test]
async fn what_moderators_take_back_is_gone() {
    let sim = SimSocket::start().await;
    let mut listener = listen(&sim, IrcDialect::Twitch, &["#er"]);
    let mut peer = welcome(&sim).await;
    let at = crate::support::daemon::now() / 1000;
    peer.says(format!("{}\r\n", said("u1", "smoke"))).await;
    peer.says(format!("@login=rita;target-msg-id=u1;tmi-sent-ts={at} :tmi.twitch.tv CLEARMSG #er :smoke\r\n")).await;
    peer.says(format!("@room-id=55;target-user-id=77;tmi-sent-ts={at} :tmi.twitch.tv CLEARCHAT #er :rita\r\n")).await;
    listener.until(|listener| !listener.authors_deleted.is_empty()).await;
    assert_eq!(listener.deleted, ["twitch:u1".to_owned()].into());
    assert_eq!(listener.authors_deleted, ["twitch:77".to_owned()].into());
}

#[tokio::test]
async fn a_server_that_wants_to_be_connected_to_anew_leaves_a_gap_on_record() {
    let sim = SimSocket::start().await;
    let mut listener = listen(&sim, IrcDialect::Twitch, &["#er"]);
    let mut peer = welcome(&sim).await;
    peer.says(format!("{}\r\n:tmi.twitch.tv RECONNECT\r\n", said("u1", "just before"))).await;
    assert_eq!(peer.ended().await, Some(1000));
    let mut peer = welcome(&sim).await;
    peer.says(said("u2", "and after")).await;
    listener.until_text("and after").await;
    assert_eq!((listener.posts.len(), listener.downs.as_slice()), (2, &[DownReason::Closed][..]));
}

#[tokio::test]
async fn a_server_that_dies_is_told_and_joined_again() {
    let sim = SimSocket::start().await;
    let mut listener = listen(&sim, IrcDialect::Twitch, &["#er"]);
    drop(welcome(&sim).await);
    let mut peer = welcome(&sim).await;
    peer.says(said("u2", "back")).await;
    listener.until_text("back").await;
    assert_eq!(
        (listener.downs.as_slice(), listener.joints.as_slice()),
        (&[DownReason::Closed][..], &[Joint::Live; 2][..])
    );
}

#[tokio::test]
async fn a_refused_login_is_for_somebody_to_mend() {
    let sim = SimSocket::start().await;
    let mut listener = listen(&sim, IrcDialect::Twitch, &["#er"]);
    let mut peer = sim.peer().await;
    peer.says(":tmi.twitch.tv NOTICE * :Login authentication failed\r\n").await;
    listener.until(|listener| listener.downs == [DownReason::Refused]).await;
    assert!(listener.joints.is_empty());
}

#[tokio::test]
async fn a_quiet_channel_is_seen_by_its_pongs() {
    let sim = SimSocket::start().await;
    let mut listener = listen(&sim, IrcDialect::Twitch, &["#er"]);
    let mut peer = welcome(&sim).await;
    peer.meanwhile(listener.until(|listener| listener.covered >= 4)).await;
    assert!(listener.posts.is_empty() && listener.downs.is_empty());
}

#[tokio::test]
async fn a_plain_server_gets_what_the_standards_want_and_a_taken_name_another() {
    let sim = SimSocket::start().await;
    let mut listener = listen(&sim, IrcDialect::Standard, &["#er", "#lobby"]);
    let mut peer = sim.peer().await;
    assert_eq!(peer.headers["origin"], "http://127.0.0.1");
    let mut heard = Vec::new();
    while heard.last().is_none_or(|line| line != "CAP END") {
        heard.push(peer.hears().await);
    }
    assert_eq!(heard[..2], ["CAP REQ :message-tags", "CAP REQ :server-time"]);
    assert_eq!(heard[4..], ["PASS :oauth:planted-irc-token", "NICK bell", "USER bell 0 * :stormbell", "CAP END"]);
    peer.says(":irc.lab 433 * bell :Nickname is already in use.").await;
    assert_eq!(peer.hears().await, "NICK bell_");
    peer.says(":irc.lab 001 bell_ :Welcome").await;
    assert_eq!(peer.hears().await, "JOIN #er,#lobby");
    peer.says(":irc.lab 403 bell_ #lobby :No such channel").await;
    peer.says(":bell_!bell@host JOIN :#er").await;
    peer.says("@msgid=abc;time=2026-11-22T10:00:00.000Z :rita!r@h PRIVMSG #er :\u{3}04,01fi\u{2}re\u{f} in the ER")
        .await;
    peer.says(":bell_!bell@host PRIVMSG #er :our own").await;
    peer.says(":rita!r@h PRIVMSG bell_ :to us alone").await;
    listener.until_text("fire in the ER").await;
    let post = listener.post("fire in the ER");
    assert_eq!((post.id.as_str(), post.event_time.to_string().as_str()), ("irc:chat/abc", "2026-11-22T10:00:00Z"));
    peer.says(":rita!r@h PRIVMSG #er :no tags here").await;
    listener.until_text("no tags here").await;
    assert_eq!(listener.posts.len(), 2);
}

#[tokio::test]
async fn a_server_whose_channels_are_all_shut_is_for_somebody_to_mend() {
    let sim = SimSocket::start().await;
    let mut listener = listen(&sim, IrcDialect::Standard, &["#er"]);
    let mut peer = sim.peer().await;
    peer.says(":irc.lab 001 bell :Welcome").await;
    peer.says(":irc.lab 473 bell #er :Cannot join channel (+i)").await;
    listener.until(|listener| listener.downs == [DownReason::Refused]).await;
}

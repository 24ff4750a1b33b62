//! The fast lane held against the library alone, on the same bytes in any pieces.

use proptest::prelude::*;
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
use tokio::runtime::Builder;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;

/// Small, so that frames can be too long for it.
const LIMIT: usize = 200_000;

fn limits() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT))
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..126), _) => bytes.push(short),
        (_, Ok(long)) => {
            bytes.push(126);
            bytes.extend(long.to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

/// What was received, until the end or an error.
#[derive(Debug, PartialEq)]
struct Story {
    received: Vec<Received>,
    error: Option<String>,
    /// What the other side got.
    answers: Vec<u8>,
}

/// Sends bytes in pieces and listens to the end.
fn told<F: Future<Output = (Vec<Received>, Option<String>)>>(
    bytes: &[u8],
    pieces: &[usize],
    listen: impl FnOnce(DuplexStream) -> F,
) -> Story {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (here, there) = duplex(1 << 20);
        let (mut read, mut write) = tokio::io::split(there);
        let mut answers = Vec::new();
        let send = async {
            let (mut rest, mut pieces) = (bytes, pieces.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.len().min(*pieces.next().unwrap()));
                if write.write_all(piece).await.is_err() {
                    return; // whoever listened has met an error
                }
                tokio::task::yield_now().await;
                rest = after;
            }
            write.shutdown().await.unwrap_or_default();
        };
        let hear = async { read.read_to_end(&mut answers).await.unwrap() };
        let ((), _, (received, error)) = tokio::join!(send, hear, listen(here));
        Story { received, error, answers: unmasked(&answers) }
    })
}

/// Without the keys, which are random.
fn unmasked(mut bytes: &[u8]) -> Vec<u8> {
    let mut frames = Vec::new();
    while let Some(header) = Header::of(bytes) {
        let (head, rest) = bytes.split_at(header.size);
        let (payload, after) = rest.split_at(usize::try_from(header.payload).unwrap());
        let key = &head[header.size - 4..];
        frames.push(header.first);
        frames.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes = after;
    }
    frames
}

async fn ours(link: DuplexStream) -> (Vec<Received>, Option<String>) {
    let ahead = Ahead { link: Box::new(link), buffer: BytesMut::new(), granted: Granted::Bytes(0) };
    let library = WebSocketStream::from_raw_socket(ahead, Role::Client, Some(limits())).await;
    let mut socket = Socket { library, asked: false };
    let mut received = Vec::new();
    loop {
        match socket.next().await {
            Some(Ok(Received::Closed(code))) => {
                received.push(Received::Closed(code));
                socket.close(CloseFrame { code: 1000.into(), reason: "".into() }).await;
                return (received, None);
            }
            Some(Ok(next)) => received.push(next),
            Some(Err(error)) => return (received, Some(error.to_string())),
            None => return (received, None),
        }
    }
}

async fn theirs(link: DuplexStream) -> (Vec<Received>, Option<String>) {
    let mut library = WebSocketStream::from_raw_socket(link, Role::Client, Some(limits())).await;
    let mut received = Vec::new();
    loop {
        match library.next().await {
            Some(Ok(Message::Text(text))) => received.push(Received::Frame(text.into())),
            Some(Ok(Message::Binary(bytes))) => received.push(Received::Frame(bytes)),
            Some(Ok(Message::Close(frame))) => {
                received.push(Received::Closed(frame.map(|frame| frame.code.into())));
                while let Some(Ok(_)) = library.next().await {}
                return (received, None);
            }
            Some(Ok(_)) => received.push(Received::Control),
            Some(Err(error)) => return (received, Some(error.to_string())),
            None => return (received, None),
        }
    }
}

/// What a server may send, and what it may not but can.
fn sent() -> impl Strategy<Value = Vec<u8>> {
    let text = |length: usize| frame(WHOLE_TEXT, "é".repeat(length / 2).as_bytes());
    prop_oneof![
        8 => (0usize..400).prop_map(text),
        1 => prop_oneof![Just(1 << 16), Just((1 << 16) + 2), Just(90_000), Just(LIMIT + 2)].prop_map(text),
        1 => "[a-z]{0,100}".prop_map(|bytes| frame(0x82, bytes.as_bytes())),
        2 => "[a-z]{0,100}".prop_map(|bytes| frame(0x89, bytes.as_bytes())),
        1 => Just(frame(0x8a, b"")),
        2 => ("[a-z]{1,99}", "[a-z]{0,99}", any::<bool>()).prop_map(|(first, last, pinged)| {
            let ping = if pinged { frame(0x89, b"amid") } else { Vec::new() };
            [frame(0x01, first.as_bytes()), ping, frame(0x00, b""), frame(0x80, last.as_bytes())].concat()
        }),
        1 => prop_oneof![
            Just(frame(0x88, &[0x03, 0xe8])),
            Just(frame(0x80, b"continues nothing")),
            Just(frame(0xc1, b"reserved bit")),
            Just(frame(0x83, b"reserved kind")),
            Just(frame(0x09, b"ping in pieces")),
            Just(frame(0x89, &[b'x'; 126])),
            Just(vec![WHOLE_TEXT, 0x81, 0, 0, 0, 0, b'm']),
            Just(vec![WHOLE_TEXT, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ],
    ]
}

proptest! {
    #[test]
    fn what_is_received_is_what_the_library_receives(
        sent in prop::collection::vec(sent(), 0..12),
        pieces in prop::collection::vec(prop_oneof![1usize..8, 1usize..3000, Just(1 << 16)], 1..6),
        cut in prop_oneof![Just(0usize), 1usize..600],
    ) {
        let mut bytes = sent.concat();
        bytes.truncate(bytes.len().saturating_sub(cut));
        prop_assert_eq!(told(&bytes, &pieces, ours), told(&bytes, &pieces, theirs));
    }

    #[test]
    fn arbitrary_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1usize..50) {
        told(&bytes, &[piece], ours);
    }
}

#[test]
fn a_ping_between_texts_is_answered_at_once() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (here, mut there) = duplex(1 << 16);
        let listening = ours(here);
        let talk = async move {
            there
                .write_all(&[frame(WHOLE_TEXT, b"a"), frame(0x89, b"?"), frame(WHOLE_TEXT, b"b")].concat())
                .await
                .unwrap();
            // Nothing more is sent before the answer has come: a header, a key and a byte.
            let mut answer = [0; 7];
            there.read_exact(&mut answer).await.unwrap();
            assert_eq!((unmasked(&answer)), [0x8a, b'?']);
        };
        let ((received, _), ()) = tokio::join!(listening, talk);
        let frame = |text: &'static [u8]| Received::Frame(Bytes::from_static(text));
        assert_eq!(received, [frame(b"a"), Received::Control, frame(b"b")]);
    });
}

#[test]
fn frames_that_come_with_the_handshakes_answer_are_not_lost() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (here, mut there) = duplex(1 << 16);
        let serve = async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                there.read_buf(&mut request).await.unwrap();
            }
            let request = String::from_utf8(request).unwrap();
            let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
            let accept = derive_accept_key(key.as_bytes());
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            let bytes = [answer.as_bytes(), &frame(WHOLE_TEXT, b"first"), &frame(0x01, b"sec"), &frame(0x80, b"ond")].concat();
            there.write_all(&bytes).await.unwrap();
            there
        };
        let listen = async {
            let mut socket = Socket::open("ws://host/", Box::new(here), limits()).await.unwrap();
            (socket.next().await.unwrap().unwrap(), socket.next().await.unwrap().unwrap())
        };
        let (received, _open) = tokio::join!(listen, serve);
        let frame = |text: &'static [u8]| Received::Frame(Bytes::from_static(text));
        assert_eq!(received, (frame(b"first"), frame(b"second")));
    });
}

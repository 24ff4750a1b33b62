//! Frames in the shape of Jetstream's: four in ten are posts, the rest likes, follows,
//! reposts, blocks, deletes, identities and accounts.

use std::fmt::Write;

use super::super::rng::Rng;
use super::draft::Draft;

/// Makes frames.
pub struct Corpus {
    rng: Rng,
    posts: u64,
    /// Posts with a character beyond ASCII.
    foreign: u64,
    frames: u64,
    /// Keys of recent posts, for others to answer, like and take back.
    recent: Vec<(String, String)>,
}

impl Corpus {
    /// 2026-11-22T12:00:00Z, in microseconds.
    pub const NOON: u64 = 1_795_348_800_000_000;

    pub fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let recent = (0..512).map(|_| (did(&mut rng), tid(Self::NOON, &mut rng))).collect();
        Self { rng, posts: 0, foreign: 0, frames: 0, recent }
    }

    /// What it made so far, in words.
    pub fn account(&self) -> String {
        let percent = |part: u64, whole: u64| 100 * part / whole.max(1);
        let (posts, foreign) = (percent(self.posts, self.frames), percent(self.foreign, self.posts));
        format!("{posts} % posts, {foreign} % of them beyond ASCII")
    }

    /// Somebody does something at `time_us`.
    pub fn frame(&mut self, time_us: u64, frame: &mut String) {
        let what = self.rng.below(1000);
        if what < 403 {
            let draft = Draft::new(&mut self.rng);
            self.foreign += u64::from(!draft.text.is_ascii());
            return self.post(time_us, &draft, frame);
        }
        self.frames += 1;
        let did = did(&mut self.rng);
        let time = written(time_us);
        head(frame, &did, time_us);
        match what {
            403..773 => self.reaction("like", time_us, frame),
            773..843 => self.reaction("repost", time_us, frame),
            843..938 => self.relation("follow", time_us, frame),
            938..948 => self.relation("block", time_us, frame),
            948..985 => self.delete(time_us, frame),
            985..992 => {
                let handle = self.rng.letters(12);
                write!(frame, r#""identity","identity":{{"did":"{did}","handle":"{handle}.example","seq":{time_us},"time":"{time}"}}}}"#)
                    .unwrap();
            }
            _ => write!(
                frame,
                r#""account","account":{{"active":true,"did":"{did}","seq":{time_us},"time":"{time}"}}}}"#
            )
            .unwrap(),
        }
    }

    /// Somebody posts.
    pub fn post(&mut self, time_us: u64, draft: &Draft, frame: &mut String) {
        self.frames += 1;
        self.posts += 1;
        let did = did(&mut self.rng);
        head(frame, &did, time_us);
        let Draft { text, lang, extras } = draft;
        let (time, text) = (written(time_us), self.escaped(text));
        let record = format!(
            r#"{{"$type":"app.bsky.feed.post","createdAt":"{time}",{extras}"langs":["{lang}"],"text":{text}}}"#
        );
        let rkey = self.create("app.bsky.feed.post", &record, time_us, frame);
        let index = self.rng.index(self.recent.len());
        self.recent[index] = (did, rkey);
    }

    fn delete(&mut self, time_us: u64, frame: &mut String) {
        let index = self.rng.index(self.recent.len());
        let (of, rkey) = self.recent[index].clone();
        head(frame, &of, time_us);
        let rev = tid(time_us, &mut self.rng);
        write!(frame, r#""commit","commit":{{"rev":"{rev}","operation":"delete","collection":"app.bsky.feed.post","rkey":"{rkey}"}}}}"#)
            .unwrap();
    }

    fn reaction(&mut self, what: &str, time_us: u64, frame: &mut String) {
        let (collection, time) = (format!("app.bsky.feed.{what}"), written(time_us));
        let subject = reference(&mut self.rng);
        let record = format!(r#"{{"$type":"{collection}","createdAt":"{time}","subject":{subject}}}"#);
        self.create(&collection, &record, time_us, frame);
    }

    fn relation(&mut self, what: &str, time_us: u64, frame: &mut String) {
        let (collection, time) = (format!("app.bsky.graph.{what}"), written(time_us));
        let subject = did(&mut self.rng);
        let record = format!(r#"{{"$type":"{collection}","createdAt":"{time}","subject":"{subject}"}}"#);
        self.create(&collection, &record, time_us, frame);
    }

    fn create(&mut self, collection: &str, record: &str, time_us: u64, frame: &mut String) -> String {
        let rng = &mut self.rng;
        let (rev, rkey, cid) = (tid(time_us, rng), tid(time_us, rng), cid(rng));
        write!(frame, r#""commit","commit":{{"rev":"{rev}","operation":"create","collection":"{collection}","rkey":"{rkey}","record":{record},"cid":"{cid}"}}}}"#)
            .unwrap();
        rkey
    }

    /// A JSON string; one in a hundred in the hand of a program that trusts only ASCII.
    fn escaped(&mut self, text: &str) -> String {
        let json = serde_json::to_string(text).unwrap();
        if self.rng.below(100) > 0 {
            return json;
        }
        json.encode_utf16().fold(String::new(), |mut escaped, unit| {
            match u8::try_from(unit).ok().filter(u8::is_ascii) {
                Some(ascii) => escaped.push(char::from(ascii)),
                None => write!(escaped, "\\u{unit:04x}").unwrap(),
            }
            escaped
        })
    }
}

/// One of 60,000 people.
pub fn did(rng: &mut Rng) -> String {
    let person = rng.below(60_000);
    format!("did:plc:{}", Rng(person).letters(24))
}

/// A record's key: its time, sortable.
fn tid(time_us: u64, rng: &mut Rng) -> String {
    let bits = time_us << 10 | rng.below(1024);
    (0..13)
        .rev()
        .map(|place| char::from(b"234567abcdefghijklmnopqrstuvwxyz"[(bits >> (5 * place) & 31) as usize]))
        .collect()
}

/// A content's hash.
pub fn cid(rng: &mut Rng) -> String {
    format!("bafyrei{}", rng.letters(52))
}

/// Another post.
pub fn reference(rng: &mut Rng) -> String {
    let (cid, did, rkey) = (cid(rng), did(rng), tid(Corpus::NOON, rng));
    format!(r#"{{"cid":"{cid}","uri":"at://{did}/app.bsky.feed.post/{rkey}"}}"#)
}

fn head(frame: &mut String, did: &str, time_us: u64) {
    frame.clear();
    write!(frame, r#"{{"did":"{did}","time_us":{time_us},"kind":"#).unwrap();
}

/// The author's clock, a little behind.
fn written(time_us: u64) -> String {
    let at = i64::try_from(time_us / 1000).unwrap() - 700;
    jiff::Timestamp::from_millisecond(at).unwrap().to_string()
}

//! A crowd of made-up people: Jetstream frames in the shape of the real ones, and rules
//! over the same words.
//!
//! Shares, sizes and languages follow counts of the public network: four frames in ten
//! are posts, six posts in ten hold a character beyond ASCII, words are as unequal as
//! words are (the r-th is met 1/r as often as the first). The same seed gives the same frames.

use std::fmt::Write;

/// Whom the rules guard.
pub const HOSPITAL: &str = "St. Brigid's Hospital";

/// Words each language has.
const VOCABULARY: f64 = 6000.0;
/// Rules are about words rarer than the first so many.
const COMMON: f64 = 150.0;
const BASE32: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A language: how often it is written, what stands between words, what words are made of.
struct Tongue {
    code: &'static str,
    /// Of a hundred posts.
    share: u64,
    space: &'static str,
    syllables: &'static str,
}

const TONGUES: &[Tongue] = &[
    tongue("en", 46, " ", "th er in on an re he ou st ar nd ing ly com pro ter ful ness est un de al or ent"),
    tongue(
        "ja",
        16,
        "",
        "の に は を た が で て と し れ さ ある いる 人 日 本 病 院 見 行 食 新 月 学 気 今 コ ー ラ イ ン ス ト",
    ),
    tongue("pt", 9, " ", "de ão ar es co mo ra ção te nho é as um pre vi da os lhe"),
    tongue("de", 6, " ", "er en sch ein ge be ver te lich keit ung ü ä ö ß au st ich an"),
    tongue("es", 6, " ", "de la os ción en ar ía que es ado mie per con ñ te ro á"),
    tongue("fr", 4, " ", "le ment é ou qu ai re è eau es tion ç ie par on eur d’"),
    tongue("ko", 4, " ", "이 다 는 에 한 국 사 람 고 하 지 안 녕 오 늘 병 원 을"),
    tongue("ru", 4, " ", "о не на ст ра по то ко ни ет ова ть пре ый ж"),
    tongue("zh", 2, "", "的 一 是 不 了 人 我 在 有 他 这 医 院 中 大 来"),
    tongue("th", 1, "", "การ ที่ ใน เป็น ไม่ มา คน วัน ดี ครับ"),
    tongue("ar", 1, " ", "ال من في على ها ون ت ين م ست مر"),
    tongue("hi", 1, " ", "है का में की से हिन् दी ना कर ओं"),
];

const fn tongue(code: &'static str, share: u64, space: &'static str, syllables: &'static str) -> Tongue {
    Tongue { code, share, space, syllables }
}

/// The words English speakers use most, and after them those a hospital's rules ask for.
const ENGLISH: &str = "the to a and of i in is it that you for on my this with so be but me not have are just was we \
    at if all like no they what as people do can your get one about up now its from an out more there time or when \
    know good how by new think really day going see some their will today who would because only don't it's love \
    make want he she her his them back been had still even right go here than too has our need year last never";
const GRAVE: &str = "shot shooting police fire hospital gun attack bomb shooter emergency threat knife nurse doctor \
    patient lockdown evacuated ambulance hostage gunman explosion weapon";

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

/// What a post holds.
#[derive(Default)]
pub struct Draft {
    text: String,
    lang: &'static str,
    extras: String,
}

impl Draft {
    /// Just a text.
    pub fn english(text: &str) -> Self {
        Self { text: text.to_owned(), lang: "en", extras: String::new() }
    }
}

impl Corpus {
    /// 2026-11-22T12:00:00Z, in microseconds.
    pub const NOON: u64 = 1_795_348_800_000_000;

    pub fn new(seed: u64) -> Self {
        let mut corpus = Self { rng: Rng(seed), posts: 0, foreign: 0, frames: 0, recent: Vec::new() };
        corpus.recent = (0..512).map(|_| (corpus.did(), corpus.tid(Self::NOON))).collect();
        corpus
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
            let draft = self.draft();
            self.foreign += u64::from(!draft.text.is_ascii());
            return self.post(time_us, &draft, frame);
        }
        self.frames += 1;
        let did = self.did();
        let time = written(time_us);
        head(frame, &did, time_us);
        match what {
            ..773 => self.reaction("like", time_us, frame),
            ..843 => self.reaction("repost", time_us, frame),
            ..938 => {
                let record =
                    format!(r#"{{"$type":"app.bsky.graph.follow","createdAt":"{time}","subject":"{}"}}"#, self.did());
                self.create("app.bsky.graph.follow", &record, time_us, frame);
            }
            ..948 => {
                let record =
                    format!(r#"{{"$type":"app.bsky.graph.block","createdAt":"{time}","subject":"{}"}}"#, self.did());
                self.create("app.bsky.graph.block", &record, time_us, frame);
            }
            ..985 => {
                let index = self.rng.index(self.recent.len());
                let (of, rkey) = self.recent[index].clone();
                head(frame, &of, time_us);
                let rev = self.tid(time_us);
                write!(frame, r#""commit","commit":{{"rev":"{rev}","operation":"delete","collection":"app.bsky.feed.post","rkey":"{rkey}"}}}}"#)
                    .unwrap();
            }
            ..992 => {
                write!(frame, r#""identity","identity":{{"did":"{did}","handle":"{}.example","seq":{time_us},"time":"{time}"}}}}"#, &did[8..20])
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
        let did = self.did();
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

    fn draft(&mut self) -> Draft {
        let tongue = self.tongue();
        let mut text = String::new();
        // Between four words and sixty, half of the posts below sixteen.
        for _ in 0..self.rng.log_uniform(4.0, 60.0) as usize {
            if !text.is_empty() {
                text.push_str(tongue.space);
            }
            let rank = self.rng.log_uniform(1.0, VOCABULARY) as u64;
            text.push_str(&word(tongue, rank));
            match self.rng.below(60) {
                0..3 => text.push(if tongue.space.is_empty() { '。' } else { ',' }),
                3..5 => text.push_str("!\n"),
                5 => text.push_str(" \"quoted\""),
                _ => {}
            }
        }
        if self.rng.below(6) == 0 {
            text.push_str([" 😂", " ❤️", " 🔥🔥", " 🙏🏽", " ✨"][self.rng.index(5)]);
        }
        if self.rng.below(1500) == 0 {
            write!(text, " at {HOSPITAL}").unwrap();
        }
        let mut extras = String::new();
        self.embed(&mut extras);
        self.facets(&mut text, &mut extras);
        if self.rng.below(100) < 45 {
            let (parent, root) = (self.reference(), self.reference());
            write!(extras, r#""reply":{{"parent":{parent},"root":{root}}},"#).unwrap();
        }
        Draft { text, lang: tongue.code, extras }
    }

    fn embed(&mut self, extras: &mut String) {
        match self.rng.below(100) {
            0..22 => {
                let (tongue, blob) = (self.tongue(), self.cid());
                let ranks: Vec<u64> = (0..8).map(|_| self.rng.log_uniform(1.0, VOCABULARY) as u64).collect();
                let alt: Vec<String> = ranks.into_iter().map(|rank| word(tongue, rank)).collect();
                let alt = alt.join(tongue.space);
                write!(extras, r#""embed":{{"$type":"app.bsky.embed.images","images":[{{"alt":"{alt}","aspectRatio":{{"height":1350,"width":1080}},"image":{{"$type":"blob","ref":{{"$link":"{blob}"}},"mimeType":"image/jpeg","size":204800}}}}]}},"#)
            }
            22..36 => {
                let blob = self.cid();
                write!(extras, r#""embed":{{"$type":"app.bsky.embed.external","external":{{"description":"What happened, who says so, and what comes next.","thumb":{{"$type":"blob","ref":{{"$link":"{blob}"}},"mimeType":"image/jpeg","size":119635}},"title":"The day in brief","uri":"https://news.example/2026/11/22/brief"}}}},"#)
            }
            36..46 => {
                let quoted = self.reference();
                write!(extras, r#""embed":{{"$type":"app.bsky.embed.record","record":{quoted}}},"#)
            }
            _ => Ok(()),
        }
        .unwrap();
    }

    fn facets(&mut self, text: &mut String, extras: &mut String) {
        let (word, feature) = match self.rng.below(100) {
            0..12 => ("#photo", r##"{"$type":"app.bsky.richtext.facet#tag","tag":"photo"}"##),
            10..18 => {
                ("news.example/brief", r#"{"$type":"app.bsky.richtext.facet#link","uri":"https://news.example/brief"}"#)
            }
            _ => return,
        };
        let start = text.len() + 1;
        write!(text, " {word}").unwrap();
        let end = text.len();
        write!(extras, r#""facets":[{{"features":[{feature}],"index":{{"byteEnd":{end},"byteStart":{start}}}}}],"#)
            .unwrap();
    }

    fn reaction(&mut self, what: &str, time_us: u64, frame: &mut String) {
        let (collection, time, subject) = (format!("app.bsky.feed.{what}"), written(time_us), self.reference());
        let record = format!(r#"{{"$type":"{collection}","createdAt":"{time}","subject":{subject}}}"#);
        self.create(&collection, &record, time_us, frame);
    }

    fn create(&mut self, collection: &str, record: &str, time_us: u64, frame: &mut String) -> String {
        let (rev, rkey, cid) = (self.tid(time_us), self.tid(time_us), self.cid());
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

    fn tongue(&mut self) -> &'static Tongue {
        let mut place = self.rng.below(100);
        let found = TONGUES.iter().find(|tongue| {
            let here = place < tongue.share;
            place = place.saturating_sub(tongue.share);
            here
        });
        found.unwrap_or(&TONGUES[0])
    }

    fn reference(&mut self) -> String {
        let (did, cid, rkey) = (self.did(), self.cid(), self.tid(Self::NOON));
        format!(r#"{{"cid":"{cid}","uri":"at://{did}/app.bsky.feed.post/{rkey}"}}"#)
    }

    fn did(&mut self) -> String {
        // One of 60,000 people.
        let person = self.rng.below(60_000);
        format!("did:plc:{}", Rng(person).letters(24))
    }

    fn tid(&mut self, time_us: u64) -> String {
        let bits = time_us << 10 | self.rng.below(1024);
        (0..13)
            .rev()
            .map(|place| char::from(b"234567abcdefghijklmnopqrstuvwxyz"[(bits >> (5 * place) & 31) as usize]))
            .collect()
    }

    fn cid(&mut self) -> String {
        format!("bafyrei{}", self.rng.letters(52))
    }
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

/// The word of a rank: the same whenever it is asked for.
fn word(tongue: &Tongue, rank: u64) -> String {
    if tongue.code == "en" {
        let grave = rank.checked_sub(COMMON as u64).filter(|rank| rank.is_multiple_of(5)).map(|rank| rank / 5);
        let known = match grave {
            None => ENGLISH.split_ascii_whitespace().nth(rank as usize),
            Some(place) => GRAVE.split_ascii_whitespace().nth(place as usize),
        };
        if let Some(known) = known {
            return known.to_owned();
        }
    }
    let mut rng = Rng(rank << 8 ^ u64::from(tongue.code.as_bytes()[0]) ^ u64::from(tongue.code.as_bytes()[1]) << 3);
    let syllables: Vec<&str> = tongue.syllables.split(' ').collect();
    let length = match rank {
        ..60 => 1,
        60..150 => 2,
        _ => 3 + rng.below(2),
    };
    (0..length).map(|_| syllables[rng.index(syllables.len())]).collect()
}

/// A file of rules: words, phrases, conditions of both, lists; one in five counts.
pub fn rules(count: usize) -> String {
    let mut corpus = Corpus::new(77);
    let mut terms = |count: usize| -> Vec<String> {
        let tongue = corpus.tongue();
        (0..count).map(|_| word(tongue, corpus.rng.log_uniform(COMMON, VOCABULARY) as u64)).collect()
    };
    let mut file = "schema = 1\n[pack]\nname = \"bench\"\n[lists]\n".to_owned();
    for list in 0..10 {
        writeln!(file, "list{list} = [\"{}\"]", terms(20).join("\", \"")).unwrap();
    }
    for rule in 0..count {
        let [a, b, c] = &terms(3)[..] else { unreachable!() };
        let query = match rule % 10 {
            0..4 => format!("\"{a}\""),
            4..6 => format!("\"{a} {b}\""),
            6 => format!("\"{a}\" AND (\"{b}\" OR \"{c}\")"),
            7 => format!("(\"{a}\" OR \"{b}\") NOT \"{c}\""),
            8 => format!("$list{} AND \"{a}\"", rule / 10 % 10),
            _ => format!("$org AND ($list{} OR \"{a} {b}\" OR \"{c}\")", rule / 10 % 10),
        };
        write!(file, "[[rule]]\nid = \"bench.{rule}\"\ntitle = \"Rule {rule}\"\nseverity = \"low\"\ntopic = \"bench-{rule}\"\nquery = '{query}'\n")
            .unwrap();
        if rule % 5 == 0 {
            file.push_str("count = { at_least = 3, distinct = \"author\", within = \"10m\" }\n");
        }
    }
    file
}

/// Rules that open an incident each, topics `alarm-0` and on.
pub fn alarms(count: usize) -> String {
    let head = "schema = 1\n[pack]\nname = \"bench\"\n".to_owned();
    head + &(0..count).map(alarm_rule).collect::<String>()
}

/// The rule of an alarm.
pub fn alarm_rule(number: usize) -> String {
    format!(
        "[[rule]]\nid = \"alarm.{number}\"\ntitle = \"Alarm {number}\"\nseverity = \"critical\"\ntopic = \"alarm-{number}\"\nquery = '{}'\n",
        word_of_alarm(number)
    )
}

/// What somebody writes who raises it.
pub fn alarm(number: usize) -> String {
    format!("Something is wrong here: {}", word_of_alarm(number))
}

fn word_of_alarm(number: usize) -> String {
    format!("zqalarm{number}")
}

/// `splitmix64`.
struct Rng(u64);

impl Rng {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    const fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    const fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// Each doubling between the two is as likely as any other.
    fn log_uniform(&mut self, least: f64, most: f64) -> f64 {
        let share = self.next() as f64 / u64::MAX as f64;
        least * (most / least).powf(share)
    }

    fn letters(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(BASE32[self.index(BASE32.len())])).collect()
    }
}

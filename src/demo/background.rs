//! Everything that is not the crisis: likes, follows, small talk in a dozen languages,
//! and now and then the hospital as people ordinarily speak of it.
//!
//! The shares follow the real network, where likes and follows dominate and posts are
//! few. Nothing here may alert: film shooters, flu shots and shot clocks are on purpose.

use std::collections::VecDeque;
use std::time::Duration;

use super::event::{Card, Draft, Event, LIKE, Press, REPOST, Reference};
use crate::rng::Rng;

/// Posts remembered, for others to like, answer and delete.
const REMEMBERED: usize = 400;

/// An endless crowd that talks about other things.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    rng: Rng,
    recent: VecDeque<Reference>,
}

impl Crowd {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), recent: VecDeque::new() }
    }

    /// What somebody does at `at`.
    pub(super) fn act(&mut self, press: &mut Press, at: Duration) -> Event {
        let someone = stranger(&mut self.rng);
        let earlier = self.rng.below(self.recent.len() as u64);
        let earlier = usize::try_from(earlier).ok().and_then(|index| self.recent.get(index)).cloned();
        match (self.rng.below(1000), earlier) {
            (0..520, Some(post)) => press.react(at, &someone, LIKE, &post),
            (520..630, Some(post)) => press.react(at, &someone, REPOST, &post),
            (630..770, _) => {
                let other = stranger(&mut self.rng);
                press.follow(at, &someone, &other)
            }
            (770..785, _) => press.identity(&someone),
            (785..792, _) => press.account(&someone, None),
            (792..794, _) => press.account(&someone, Some("deactivated")),
            (794..804, _) => {
                let about = self.rng.phrase(PROFILES);
                press.profile(at, &someone, "Somebody", &about)
            }
            (804..824, Some(post)) => {
                self.recent.retain(|kept| *kept != post);
                post.delete()
            }
            (824..880, Some(post)) => self.say(press, at, &someone, |draft| draft.reply_to = Some(post)),
            (880..890, Some(post)) => self.say(press, at, &someone, |draft| draft.quotes = Some(post)),
            _ => self.say(press, at, &someone, |_| ()),
        }
    }

    fn say(&mut self, press: &mut Press, at: Duration, who: &str, relate: impl FnOnce(&mut Draft)) -> Event {
        let mut draft = self.small_talk();
        relate(&mut draft);
        let (event, reference) = press.post(at, who, draft);
        self.recent.push_back(reference);
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
        event
    }

    fn small_talk(&mut self) -> Draft {
        let (lang, template) = if self.rng.one_in(120) { ("en", self.rng.pick(HOSPITAL)) } else { self.rng.pick(TALK) };
        let mut draft = Draft { text: self.rng.phrase(template), lang, ..Draft::default() };
        match self.rng.below(20) {
            0..=2 => {
                let template = self.rng.pick(PICTURES);
                draft.alt = Some(self.rng.phrase(template));
            }
            3 => draft.card = Some(GARDEN),
            _ => {}
        }
        draft
    }
}

/// A handle nobody has: one of about 60,000.
pub(super) fn stranger(rng: &mut Rng) -> String {
    const FIRST: [&str; 12] =
        ["maple", "quiet", "amber", "north", "paper", "velvet", "rusty", "lucky", "tidal", "cobalt", "mossy", "plain"];
    const SECOND: [&str; 12] =
        ["otter", "lantern", "fern", "piano", "harbor", "comet", "teapot", "walnut", "kite", "badger", "cello", "loom"];
    format!("{}-{}-{}.example", rng.pick(&FIRST), rng.pick(&SECOND), rng.below(420))
}

const GARDEN: Card = Card {
    uri: "https://allotment.example/late-tomatoes",
    title: "Late tomatoes, and what to do with them",
    description: "A short guide for gardeners who gave up too early.",
};

const PROFILES: &str = "{Gardener|Runner|Reads too much|Tea, not coffee}. {Opinions my own.|Mostly birds.|}";

const PICTURES: &[&str] = &[
    "A {tabby|black|ginger} cat asleep on a {keyboard|radiator|stack of books}",
    "{Sunset|Fog|First snow} over the {harbour|old bridge|car park}",
    "Screenshot of a game scoreboard, final score {21:14|3:2|98:97}",
    "A plate of {pasta|dumplings|tomatoes on toast}",
];

/// The hospital on an ordinary day.
const HOSPITAL: &[&str] = &[
    "{Huge thanks|So grateful} to the {nurses|night shift|midwives} at St. Brigid's Hospital {❤️|🙏|👏}",
    "{Four|Five|Six} hours in the waiting room at St Brigids and {still counting|nobody tells us anything|one chair}",
    "Parking at St Brigids is {a scandal|14 dollars now|impossible before ten} 🚗",
    "Flu shots at St. Brigid’s Hospital are walk-in {this week|until Friday}, took me {five|ten} minutes",
    "The {soup|coffee|bread pudding} at Saint Brigid's is {better than it has any right to be|cold again}",
    "Started my {first|last} week of placement at St Brigids {today|this morning}!",
];

/// Everything else, with its language.
const TALK: &[(&str, &str)] = &[
    ("en", "{Coffee|Tea|A walk} first, then {everything else|the inbox|the world} ☕"),
    ("en", "Why is the {7:42|8:15|17:30} always {late|full|cancelled} on a {Monday|Friday}?"),
    ("en", "{Finally|At last} finished {the third season|that book|the puzzle}. {No spoilers!|What now?|Worth it.}"),
    ("en", "The new shooter on my list has {gorgeous maps|terrible netcode}, {14|20|31} hours in #gaming"),
    ("en", "In that movie the shooter was {the butler|the dentist|nobody we had met} and I {called it|am annoyed}"),
    ("en", "Shot clock at {zero|one second} and it goes IN. What a {game|night|finish} 🏀"),
    ("en", "Photo shoot with the {puppies|twins|band} today, {wish me luck|rain or not} #photography"),
    ("en", "{My|Our} {tomatoes|roses|beans} are {dying|thriving} and I {did nothing|did everything right} #garden"),
    ("en", "Hot take: {rain|silence|soup} is {underrated|overrated}"),
    ("en", "New post on {bread|bicycles|old maps}: https://notes.example/{bread|bikes|maps} {🧵|}"),
    ("en", "{lol|haha|ok} {same|no|fair|I can't}"),
    ("en", "Anyone know a good {plumber|vet|bakery} near the {harbour|station|market}?"),
    ("en", "Bomb recipe for {lentils|cheesecake}, {thank me later|you will cry} 💣😂"),
    ("en", "Good morning to everyone except {mosquitoes|whoever parked on the bike lane|my alarm} 🌅"),
    ("de", "{Guten Morgen|Moin|Servus} zusammen, {Kaffee ist fertig|heute wird es heiß|endlich Wochenende} ☀️"),
    ("de", "Die {Bahn|S-Bahn|Fähre} {kommt nicht|ist wieder zu spät|fährt heute mal}. {Wunder|Typisch}!"),
    ("de", "{Kennt jemand|Wer hat} ein gutes Rezept für {Kürbissuppe|Käsekuchen|Rote Bete}?"),
    ("es", "{Buenos días|Hola a todos}, {otro lunes más|qué calor hace|por fin viernes} 😅"),
    ("es", "El partido de {anoche|ayer} fue {increíble|un robo|para olvidar} ⚽"),
    ("es", "{Mi gata|Mi perro} {duerme|ronca} {todo el día|encima del teclado} 🐱"),
    ("fr", "{Quelqu’un connaît|Vous auriez} une bonne {boulangerie|librairie} près de la gare ?"),
    ("fr", "{Il pleut|Il neige|Soleil} {encore|enfin}, {tant pis|tant mieux} 🌧️"),
    ("pt", "{Bom dia|Boa tarde} {pessoal|gente}, {café e pão|feriado hoje|segunda de novo} ☕"),
    ("pt", "Que {jogo|filme|livro} {lindo|chato|esquisito}, {recomendo|não recomendo}"),
    ("it", "{Buongiorno|Ciao}, {oggi si cammina|piove ancora|finalmente il mare} 🌊"),
    ("nl", "{Weer|Alweer} {regen|file|een mooie dag}, {typisch|heerlijk}"),
    ("pl", "{Dzień dobry|Hej}, {znowu pada|kawa i książka|w końcu piątek}"),
    ("tr", "{Günaydın|Merhaba}, {çay hazır|yine yağmur|haftaya tatil} 🫖"),
    ("ja", "{おはようございます|今日も暑い|やっと金曜日}。{コーヒー飲みたい|猫がかわいい|電車が遅れてる}"),
    ("ja", "{新刊|映画|ゲーム}{最高だった|気になる|まだ途中}"),
    ("ko", "{좋은 아침|오늘도 덥다|드디어 금요일} {커피 한 잔|고양이 귀여워}"),
    ("zh", "{早上好|今天真热|终于周五了}，{喝杯咖啡|猫很可爱|地铁又晚点}"),
    ("uk", "{Доброго ранку|Привіт}, {кава готова|знову дощ|нарешті вихідні}"),
    ("ar", "{صباح الخير|مساء الخير} {يا جماعة|للجميع}"),
    ("th", "{สวัสดีตอนเช้า|ร้อนมาก|หิวแล้ว}"),
];

//! The crisis: a rumour, a second voice, pictures, the news, then dozens of people.
//!
//! Before it come the posts a bad rule would wake people for: an announced drill, games,
//! films, flu shots. Everything is fixed but for the words of the crowd.

use std::time::Duration;

use super::background::stranger;
use super::event::{Card, Draft, Event, LIKE, Press, REPOST, Reference};
use super::script::Scripted;
use crate::rng::Rng;

/// The hospital's own account.
pub(super) const HOSPITAL: &str = "stbrigids.example";
const NEWS: &str = "harborherald.example";

/// Everything about the hospital that has its fixed place in the play, in order of time.
pub(super) fn beats(press: &mut Press, seed: u64) -> Vec<Scripted> {
    let mut beats = Beats { press, rng: Rng::new(seed), events: Vec::new(), answerable: Vec::new() };
    beats.calm();
    beats.first_voices();
    beats.news();
    beats.crowd();
    let mut events = beats.events;
    events.sort_by_key(|scripted| scripted.at);
    events
}

struct Beats<'a> {
    press: &'a mut Press,
    rng: Rng,
    events: Vec<Scripted>,
    /// Posts of the crisis that others answer, quote, repost and like.
    answerable: Vec<Reference>,
}

impl Beats<'_> {
    fn calm(&mut self) {
        let hospital = self.press.identity(HOSPITAL);
        self.at(ms(400), hospital);
        let herald = self.press.identity(NEWS);
        self.at(ms(900), herald);
        for (at, who, lang, text) in CALM {
            self.post(ms(*at), who, Draft { text: (*text).to_owned(), lang, ..Draft::default() });
        }
        self.post(
            ms(13_500),
            "pixelpaula.example",
            Draft {
                text: "ok this level broke me".to_owned(),
                lang: "en",
                alt: Some("Game screenshot: a shooter crouches behind a hospital bed, 3 lives left".to_owned()),
                ..Draft::default()
            },
        );
    }

    fn first_voices(&mut self) {
        let rumour = self.voice(
            20_000,
            "wren-in-4b.example",
            "Does anyone know what is going on? They say there is a gunman in the ER at St Brigids. We were told to stay in the room and lock the door",
        );
        let second = self.voice(
            26_000,
            "tomasz-drives.example",
            "Shots fired inside St. Brigid’s Hospital!! People running out of the emergency entrance. STAY AWAY from Harbor Street",
        );
        let quote =
            Draft { text: "My sister works there 😰 please be safe".to_owned(), lang: "en", ..Draft::default() };
        self.post(ms(28_000), "fern-and-ink.example", Draft { quotes: Some(rumour.clone()), ..quote });
        let reply = Draft { text: "Are you OK? Which floor?".to_owned(), lang: "en", ..Draft::default() };
        self.post(ms(28_900), "uncle-marek.example", Draft { reply_to: Some(rumour), ..reply });
        let hiding = self.voice(
            30_000,
            "nightshift-noor.example",
            "shooter at saint brigid's, second floor. Six of us hiding in the linen room by radiology",
        );
        let picture = Draft {
            text: "From across the street just now 🚨 #Northgate".to_owned(),
            lang: "en",
            alt: Some(
                "Police with rifles outside the emergency entrance of St. Brigid's Hospital, reports of an active shooter"
                    .to_owned(),
            ),
            ..Draft::default()
        };
        let picture = self.post(ms(31_500), "window-seat-7.example", picture);
        let spanish = "Hay un hombre armado en el hospital St Brigids, se oyen disparos. Mi madre está adentro 🙏";
        self.post(
            ms(33_000),
            "luz-del-puerto.example",
            Draft { text: spanish.to_owned(), lang: "es", ..Draft::default() },
        );
        self.answerable.extend([second, picture]);
        // She was told that the post gives the hiding place away.
        let taken_back = hiding.delete();
        self.at(ms(44_000), taken_back);
    }

    fn news(&mut self) {
        let article = Draft {
            text: "BREAKING: police respond to reports of shots fired at St. Brigid's Hospital. https://harborherald.example/live".to_owned(),
            lang: "en",
            card: Some(Card {
                uri: "https://harborherald.example/live",
                title: "Live: shots reported at St. Brigid's Hospital",
                description: "Police ask people to keep away from the Harbor Street campus.",
            }),
            ..Draft::default()
        };
        let article = self.post(ms(35_000), NEWS, article);
        let statement = Draft {
            text: "There is an emergency on our Harbor Street campus. St. Brigid's Hospital is in lockdown. Police are on site. Please stay away and do not call the wards.".to_owned(),
            lang: "en",
            ..Draft::default()
        };
        let statement = self.post(ms(41_000), HOSPITAL, statement);
        for (news, from) in [(article, 35_400), (statement, 41_400)] {
            for count in 0..90 {
                let at = ms(from + count * count * 3 + self.rng.below(40));
                let who = stranger(&mut self.rng);
                let collection = self.rng.pick(&[REPOST, LIKE]);
                let event = self.press.react(at, &who, collection, &news);
                self.at(at, event);
            }
            self.answerable.push(news);
        }
    }

    /// One post in 700 ms at first, then ever more, and slowly fewer after a minute.
    fn crowd(&mut self) {
        let mut at = 32_000;
        let mut number = 0;
        while at < 150_000 {
            number += 1;
            let (lang, template) = self.rng.pick(CROWD);
            let mut draft = Draft { text: self.rng.phrase(template), lang, ..Draft::default() };
            let earlier = self.earlier();
            match number % 7 {
                2 => draft.reply_to = earlier,
                4 => draft.quotes = earlier,
                5 => draft.alt = Some(self.rng.phrase(PICTURES)),
                _ => {}
            }
            // A number of its own: nobody in this crowd speaks twice.
            let who = format!("neighbour-{number}.example");
            self.post(ms(at), &who, draft);
            at += match at {
                0..40_000 => 700,
                40_000..60_000 => 320,
                60_000..90_000 => 900,
                _ => 2_500,
            };
        }
    }

    fn earlier(&mut self) -> Option<Reference> {
        let index = usize::try_from(self.rng.below(self.answerable.len() as u64)).ok()?;
        self.answerable.get(index).cloned()
    }

    fn voice(&mut self, at: u64, who: &str, text: &str) -> Reference {
        self.post(ms(at), who, Draft { text: text.to_owned(), lang: "en", ..Draft::default() })
    }

    fn post(&mut self, at: Duration, who: &str, draft: Draft) -> Reference {
        let (event, reference) = self.press.post(at, who, draft);
        self.at(at, event);
        reference
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.events.push(Scripted { at, event });
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What must stay quiet: when, who, language, text.
const CALM: &[(u64, &str, &str, &str)] = &[
    (
        3_000,
        "gran-of-five.example",
        "en",
        "Huge thanks to the team on ward 6 at St. Brigid's Hospital ❤️ Dad came home today",
    ),
    (
        5_500,
        "waiting-since-six.example",
        "en",
        "5 hours in the St Brigids emergency room and still no doctor. Unacceptable #patientcare",
    ),
    (
        8_000,
        HOSPITAL,
        "en",
        "Today 2–4 pm: announced active shooter drill at St. Brigid's Hospital, Harbor Street campus. You may see police. This is a training exercise.",
    ),
    (
        10_000,
        "couch-critic.example",
        "en",
        "Rewatching that old movie where the shooter hides in a hospital. Still tense 🎬",
    ),
    (11_000, "jab-reporter.example", "en", "Flu shots at St. Brigid’s Hospital took ten minutes, no queue. Go!"),
    (12_500, "lobby-legend.example", "en", "Best new shooter in years, the headshot sound is so good #gaming"),
    (15_000, "film-crew-fan.example", "en", "They shot a video at St Brigids for nurses' week and it is adorable"),
    (
        17_000,
        "hafen-hanna.example",
        "de",
        "Großes Lob an die Notaufnahme im St. Brigid's Hospital, schnell und freundlich 👏",
    ),
    (
        18_500,
        "courtside-cleo.example",
        "en",
        "Shot clock violation, AGAIN. My blood pressure needs St Brigids tonight 😅",
    ),
];

const PICTURES: &str = "{Blurry photo of|View from a bus of|Screenshot of a map with} {police cars|ambulances and police|officers running} {at|in front of|near} St. Brigid's Hospital";

/// The crowd, with its language. The last ones do not name the hospital.
const CROWD: &[(&str, &str)] = &[
    (
        "en",
        "{Is it true|Can anyone confirm|Hearing} that there is {a gunman|an active shooter|a man with a gun} {at|inside} {St Brigids|St. Brigid's Hospital|Saint Brigid's}{?|??| 😱}",
    ),
    (
        "en",
        "{Active shooter|Gunman|Shots fired} {at|inside} {St Brigids|St. Brigid’s Hospital|saint brigid's}. {Stay away|Avoid Harbor Street|Stay safe everyone}{.|!| 🙏}",
    ),
    (
        "en",
        "My {mum|cousin|neighbour} is a {nurse|patient|porter} at St Brigids and {heard gunshots|is hiding from the shooter|says a gunman is in the ER}. {Please pray|I am shaking|No answer now}",
    ),
    (
        "en",
        "Police {everywhere|running in} at St. Brigid's Hospital, {they are looking for a shooter|people say there was a shooting|we heard gunfire}",
    ),
    (
        "en",
        "#BREAKING {shooting|gunman} reported at St. Brigid's Hospital, {whole block closed|lockdown|helicopter above us}",
    ),
    (
        "en",
        "The whole {ER|maternity ward|building} at Saint Brigid's is on lockdown{, gunman inside|, shots heard|. What is happening}",
    ),
    (
        "es",
        "{Dicen que hay|Confirman} un {tirador|hombre armado} en el hospital St Brigids{. Eviten la zona|, recen por ellos 🙏|}",
    ),
    ("de", "{Schüsse|Bewaffneter Mann} im St. Brigid's Hospital{, bitte die Gegend meiden|! Weiß jemand mehr?|}"),
    (
        "fr",
        "{Des coups de feu|Un homme armé} à l'hôpital St Brigids{, évitez le quartier|. Quelqu'un a des nouvelles ?|}",
    ),
    ("en", "{Praying for|Thinking of} everyone {in there|at the hospital} {🙏|💔|}"),
    ("en", "{omg|no no no|not here} {please be safe|again|I was there this morning}"),
];

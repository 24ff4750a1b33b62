//! How people answer a text message or a call: the number by which a message names its incident, what counts as
//! yes, and what a voice says in their language.
//!
//! An incident's number follows from its id, so every message and restart gives the same. Four digits are typed at
//! night without a mistake; of a handful of open incidents two hardly ever share one, and then neither is taken.

use sha2::{Digest, Sha256};

use crate::domain::id::IncidentId;

/// Digits of an incident's number.
const DIGITS: usize = 4;
/// What people write who take charge.
const YES: [&str; 11] = ["ack", "acknowledge", "acknowledged", "ok", "okay", "1", "yes", "ja", "si", "sí", "oui"];
/// Thumbs up, of whatever skin.
const THUMB: char = '\u{1F44D}';

/// By which number a text message names an incident: `0417`.
pub fn number(incident: &IncidentId) -> String {
    let digest = Sha256::digest(incident.as_str());
    let number = digest.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    format!("{:04}", number % 10_000)
}

/// What somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// They take charge: of the incident with that number, or of the one there is.
    Take(Option<String>),
    /// Something else. A sentence is never taken for a yes: “ok, but I cannot come” is none.
    Unclear,
}

/// Reads a text message.
pub fn read(text: &str) -> Said {
    let text = text.to_lowercase();
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let is_number = |word: &str| word.len() == DIGITS && word.bytes().all(|digit| digit.is_ascii_digit());
    match words.as_slice() {
        [] if text.contains(THUMB) => Said::Take(None),
        [yes] if YES.contains(yes) => Said::Take(None),
        [number] if is_number(number) => Said::Take(Some((*number).to_owned())),
        [yes, number] | [number, yes] if YES.contains(yes) && is_number(number) => {
            Said::Take(Some((*number).to_owned()))
        }
        _ => Said::Unclear,
    }
}

/// What a voice says besides the message.
#[derive(Clone, Copy, Debug)]
pub struct Phrases {
    /// The language, as Twilio's voices have it.
    pub locale: &'static str,
    /// How to take charge.
    pub press: &'static str,
    /// Nobody pressed anything.
    pub nothing_pressed: &'static str,
    /// Whoever pressed has it.
    pub yours: &'static str,
    /// `{}` has it.
    pub taken: &'static str,
    /// It ended.
    pub over: &'static str,
    /// There is newer news of it.
    pub outdated: &'static str,
    /// It could not be written down.
    pub uncertain: &'static str,
}

const ENGLISH: Phrases = Phrases {
    locale: "en-US",
    press: "Press 1 to take charge.",
    nothing_pressed: "No key was pressed. You have not taken charge.",
    yours: "You have it. Nobody else is called.",
    taken: "{} has it. There is nothing to do.",
    over: "It is over. There is nothing to do.",
    outdated: "It became graver since this call began. You are called again. Nobody has it yet.",
    uncertain: "It is not certain that you have it. Please take charge in another way.",
};

const PHRASES: [(&str, Phrases); 4] = [
    ("en", ENGLISH),
    (
        "de",
        Phrases {
            locale: "de-DE",
            press: "Drücken Sie die 1, um zu übernehmen.",
            nothing_pressed: "Es wurde keine Taste gedrückt. Sie haben nicht übernommen.",
            yours: "Sie haben übernommen. Es wird niemand weiter angerufen.",
            taken: "{} hat übernommen. Es ist nichts zu tun.",
            over: "Es ist vorbei. Es ist nichts zu tun.",
            outdated: "Es ist seit Beginn dieses Anrufs ernster geworden. Sie werden erneut angerufen. Noch hat niemand übernommen.",
            uncertain: "Es ist nicht sicher, dass Sie übernommen haben. Bitte übernehmen Sie auf einem anderen Weg.",
        },
    ),
    (
        "fr",
        Phrases {
            locale: "fr-FR",
            press: "Appuyez sur 1 pour prendre en charge.",
            nothing_pressed: "Aucune touche n'a été pressée. Vous n'avez pas pris en charge.",
            yours: "Vous avez pris en charge. Personne d'autre n'est appelé.",
            taken: "{} a pris en charge. Il n'y a rien à faire.",
            over: "C'est terminé. Il n'y a rien à faire.",
            outdated: "La situation s'est aggravée depuis le début de cet appel. Vous serez rappelé. Personne n'a encore pris en charge.",
            uncertain: "Il n'est pas certain que vous ayez pris en charge. Veuillez le faire par un autre moyen.",
        },
    ),
    (
        "es",
        Phrases {
            locale: "es-ES",
            press: "Pulse 1 para hacerse cargo.",
            nothing_pressed: "No se pulsó ninguna tecla. Usted no se ha hecho cargo.",
            yours: "Usted se ha hecho cargo. No se llama a nadie más.",
            taken: "{} se ha hecho cargo. No hay nada que hacer.",
            over: "Ha terminado. No hay nada que hacer.",
            outdated: "La situación se ha agravado desde el comienzo de esta llamada. Le llamaremos de nuevo. Nadie se ha hecho cargo todavía.",
            uncertain: "No es seguro que usted se haya hecho cargo. Hágalo por otro medio, por favor.",
        },
    ),
];

/// Languages of Twilio's voices. Source: <https://www.twilio.com/docs/voice/twiml/say#attributes-language>.
const LOCALES: [&str; 26] = [
    "ca-ES", "da-DK", "de-DE", "en-US", "en-AU", "en-CA", "en-GB", "en-IN", "es-ES", "es-MX", "fi-FI", "fr-FR",
    "fr-CA", "it-IT", "ja-JP", "ko-KR", "nb-NO", "nl-NL", "pl-PL", "pt-PT", "pt-BR", "ru-RU", "sv-SE", "zh-CN",
    "zh-HK", "zh-TW",
];

impl Phrases {
    /// Those of a language such as `de` or `de-at`; English where there are none.
    pub fn of(language: &str) -> &'static Self {
        let known = PHRASES.iter().find(|(name, _)| *name == primary(language));
        known.map_or(&ENGLISH, |(_, phrases)| phrases)
    }
}

/// As Twilio's voices have a language such as `de`, `de-at` or `pt-br`; none where no voice speaks it.
pub fn locale(language: &str) -> Option<&'static str> {
    let exactly = LOCALES.iter().find(|locale| locale.eq_ignore_ascii_case(language));
    exactly.or_else(|| LOCALES.iter().find(|locale| primary(locale) == primary(language))).copied()
}

fn primary(language: &str) -> &str {
    language.split('-').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_word_or_a_number_takes_charge_and_a_sentence_does_not() {
        let number = |digits: &str| Said::Take(Some(digits.to_owned()));
        for (text, said) in [
            ("OK", Said::Take(None)),
            (" ack. ", Said::Take(None)),
            ("1", Said::Take(None)),
            ("Sí!", Said::Take(None)),
            ("👍🏽", Said::Take(None)),
            ("0417", number("0417")),
            ("Ok 0417", number("0417")),
            ("0417 ack", number("0417")),
            ("ok, but I cannot come", Said::Unclear),
            ("not ok", Said::Unclear),
            ("ok ok", Said::Unclear),
            ("ok 417", Said::Unclear),
            ("ok 04170", Said::Unclear),
            ("who is that?", Said::Unclear),
            ("Liked “CRITICAL: gunman”", Said::Unclear),
            ("STOP", Said::Unclear),
            ("", Said::Unclear),
        ] {
            assert_eq!(read(text), said, "{text}");
        }
    }

    #[test]
    fn numbers_stay_the_same_and_hardly_meet() {
        assert_eq!(number(&"inc-1".into()), number(&"inc-1".into()));
        let numbers: BTreeSet<String> = (0..20).map(|count| number(&format!("inc-{count}").as_str().into())).collect();
        assert!(numbers.len() >= 19 && numbers.iter().all(|number| read(number) == Said::Take(Some(number.clone()))));
    }

    #[test]
    fn every_language_has_a_voice_or_none() {
        for (language, voice) in [
            ("de", Some("de-DE")),
            ("de-at", Some("de-DE")),
            ("pt-br", Some("pt-BR")),
            ("en-gb", Some("en-GB")),
            ("xx", None),
        ] {
            assert_eq!(locale(language), voice, "{language}");
        }
        for (language, phrases) in &PHRASES {
            assert_eq!(locale(language), Some(phrases.locale));
            assert!(phrases.taken.contains("{}") && phrases.press.contains('1'));
        }
        assert_eq!((Phrases::of("fr-ca").locale, Phrases::of("xx").locale), ("fr-FR", "en-US"));
    }

    proptest! {
        #[test]
        fn no_text_stops_the_reader(text in "\\PC{0,200}") {
            let _any = read(&text);
        }
    }
}

//! A hospital's names in a text that may mean something else by them.
//!
//! “Mercy”, “Hope” and “General” are hospitals and everyday words. Such a name alone says
//! nothing; it is the hospital's where it stands in company: before a word of hospitals
//! (`mercy er`), behind a word of place (`at mercy`), before what only a house does (`mercy
//! is on lockdown`). The ways of writing are phrases, so that `$org_guarded` is a list like
//! any other. Rejected: the spelling with a capital (half of all alarms are written without),
//! and a word of hospitals anywhere in the post (“no mercy for the gunman, he is in hospital”).
//!
//! A name that goes on (“St Mary's Church”) is somebody else's, whatever it is. That no
//! phrase can say, so a rule that asks for the guarded name gets an exception with it.

use super::ast::{Lists, Query};
use super::explain::explain;
use super::parse::parse;
use super::term::Term;
use crate::domain::organization::Organization;
use crate::domain::post::{Excerpt, Post};
use crate::domain::text::Words;

/// Everyday words that are names of hospitals.
const EVERYDAY: &str = "mercy hope grace faith charity providence trinity unity harmony liberty concord dignity \
    ascension temple rush banner sharp advocate summit baptist methodist lutheran presbyterian adventist jewish \
    catholic swedish mayo esperanza misericordia caritas hoffnung";
/// The same, of two words.
const EVERYDAY_PHRASES: [&str; 3] = ["good samaritan", "la fe", "la paz"];
/// Words that tell hospitals of one city apart, and say nothing elsewhere.
const GENERIC: &str = "general memorial childrens womens university regional community city county central national \
    state royal district metropolitan valley north south east west northside southside eastside westside downtown \
    midtown uptown riverside lakeside";
/// Of these people say “the”.
const WITH_ARTICLE: &str = "general royal";
/// Of these “at” says little: one is “at university”.
const NOT_A_PLACE: &str =
    "university community city county central national state regional district north south east west downtown";

/// What stands behind the name of a hospital and of little else.
const HOUSE: &str = "\
    hospital, hospitals, hosp, medical center, medical centre, med center, er, a&e, emergency room, emergency \
    department, emergency dept, icu, nicu, picu, infirmary, klinik, klinikum, krankenhaus, notaufnahme, \
    urgencias, pronto soccorso";
/// What belongs to a hospital, behind a name that is not an adjective as well.
const WARD: &str = "\
    medical, health, healthcare, clinic, clinics, nurse, nurses, doctor, doctors, surgeon, surgeons, staff, \
    patient, patients, ward, campus, trauma, maternity, lobby, parking garage, emergency, computers, computer \
    system, computer systems, network, servers, phones, website, ambulances";
/// What only a house does.
const EVENT: &str = "\
    is on lockdown, on lockdown, in lockdown, is locked down, lockdown, is being evacuated, being evacuated, is \
    evacuating, is on diversion, on diversion, diverting ambulances, is on fire";
/// What the name of a house follows.
const PLACE: &str = "\
    at, inside, outside, near, taken to, rushed to, brought to, transported to, airlifted to, admitted to, \
    discharged from, en el, beim, vor dem, nel";
/// The same where the name may be an adjective.
const SURELY_PLACE: &str = "\
    at, inside, outside";
/// Kinds of hospital that stand before a name.
const KIND: &str = "\
    hospital, hôpital, clinic, clínica, clinique, klinik, klinikum, krankenhaus, ospedale";

/// What a name that goes on with it is the name of.
const NAMESAKE: &str = "\
    church, cathedral, parish, abbey, monastery, convent, school, schools, high school, primary school, middle \
    school, elementary, academy, preschool, kindergarten, seminary, college, university, street, avenue, road, \
    lane, square, park, bridge, airport, stadium, arena, county, river, lake, bay, island, beach, cemetery, pub, \
    hotel, mall, palace, playground, museum, birthday, motors, electric, mills, assembly, election, corps, \
    springs, rugby, football, basketball, choir, mail, navy, kirche, schule, grundschule, gymnasium, friedhof, \
    straße, gemeinde, store, meeting, wedding, catholic school, catholic church, parish church";
/// What is named after somebody by standing before them.
const NAMED_AFTER: &str = "\
    church of, university of, college of, sisters of, iglesia, parroquia, colegio, escuela, universidad, calle, \
    plaza, église, paroisse, école, lycée, université, rue, chiesa, scuola, igreja, escola, rua";

/// First words of names, short and in full.
const RESPELT: [(&str, &str); 3] = [("St", "Saint"), ("Ste", "Sainte"), ("Mt", "Mount")];

/// Why a name alone says little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It is a word, or too short to be more.
    Everyday,
    /// It tells hospitals of one city apart.
    Generic,
}

impl Doubt {
    /// What there is to doubt about a name.
    pub fn about(name: &str) -> Option<Self> {
        let words = Words::of(name);
        if EVERYDAY_PHRASES.contains(&words.normalised(0)) {
            return Some(Self::Everyday);
        }
        let mut words = words.words().map(|(word, _)| word);
        let (Some(word), None) = (words.next(), words.next()) else { return None };
        let is_in = |table: &str| table.split(' ').any(|entry| entry == word);
        let short = word.len() < 3 && word.is_ascii();
        match () {
            () if is_in(GENERIC) => Some(Self::Generic),
            () if is_in(EVERYDAY) || short => Some(Self::Everyday),
            () => None,
        }
    }
}

/// What `$org_guarded` takes for the names, each a phrase; as they are written comes first.
pub(super) fn guarded<'a>(names: impl Iterator<Item = &'a str> + Clone) -> impl Iterator<Item = Term> {
    let written = names.clone().map(str::to_owned).chain(names.filter_map(respelt));
    let phrases = written.flat_map(|name| match Doubt::about(&name) {
        None => forms(&name).collect::<Vec<_>>(),
        Some(doubt) => forms(&name).flat_map(|form| in_company(&form, doubt)).collect(),
    });
    phrases.filter_map(|text| Term::parse(&text).ok())
}

/// A name, and what is its own: “Jane Roe’s” is one word more than the name has.
pub(super) fn forms(name: &str) -> impl Iterator<Item = String> {
    let own = (!name.ends_with(['s', 'S'])).then(|| format!("{name}'s"));
    [Some(name.to_owned()), own].into_iter().flatten()
}

/// The name with its first word written short or in full.
fn respelt(name: &str) -> Option<String> {
    let (first, rest) = name.split_once(char::is_whitespace)?;
    let first = first.trim_end_matches('.');
    let is = |spelling: &str| first.eq_ignore_ascii_case(spelling);
    let (short, long) = RESPELT.into_iter().find(|(short, long)| is(short) || is(long))?;
    Some(format!("{} {rest}", if is(short) { long } else { short }))
}

/// The entries of a table; none of an empty one.
fn entries(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.split(", ").filter(|entry| !entry.is_empty())
}

fn in_company(name: &str, doubt: Doubt) -> Vec<String> {
    let folded = Words::of(name);
    let word = folded.words().next().map_or("", |(word, _)| word);
    let is_in = |table: &str| table.split(' ').any(|entry| entry == word);
    let (behind, before) = match doubt {
        Doubt::Everyday => (WARD, PLACE),
        Doubt::Generic if is_in(NOT_A_PLACE) => ("", ""),
        Doubt::Generic => ("", SURELY_PLACE),
    };
    let behind = [HOUSE, EVENT, behind].into_iter().flat_map(entries).map(|behind| format!("{name} {behind}"));
    let before = [KIND, before].into_iter().flat_map(entries).map(|before| format!("{before} {name}"));
    let mut ways: Vec<String> = behind.chain(before).collect();
    if is_in(WITH_ARTICLE) {
        ways.extend(entries(SURELY_PLACE).map(|before| format!("{before} the {name}")));
    }
    ways
}

/// Posts about what only shares the guarded name; `lists` are the organisation's.
pub fn namesakes(lists: &Lists) -> Option<Query> {
    let mut lists = lists.clone();
    for (name, words) in [("namesake", NAMESAKE), ("named_after", NAMED_AFTER), ("house", HOUSE)] {
        lists.insert(name, entries(words).filter_map(|word| Term::parse(word).ok()).collect());
    }
    parse(NAMESAKES, &lists).ok()
}

/// Whether a post has one of the names, and none where it must be the hospital's.
pub fn is_doubtful(organization: &Organization, post: &Post) -> bool {
    let lists = Lists::of(organization);
    let post = Excerpt::of(post);
    let mut words = Words::default();
    words.read(&post);
    let takes = |query| parse(query, &lists).is_ok_and(|query| explain(&query, &words, &post).satisfied);
    takes("$org") && !takes("$org_guarded")
}

/// “St Mary's College Hospital” is a hospital again.
const NAMESAKES: &str =
    "($org_guarded ONEAR/0 $namesake OR $named_after ONEAR/1 $org_guarded) NOT ($org_guarded ONEAR/3 $house)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn post(text: &str) -> Post {
        Post::plain("p".into(), "s".into(), "a".into(), text.to_owned(), Timestamp::from_seconds(0))
    }

    /// Whether a post with the text is taken to be about a hospital of that name.
    fn is_about(name: &str, text: &str) -> bool {
        let lists = Lists::of(&Organization::named(name));
        let asked = [parse("$org_guarded", &lists).unwrap(), namesakes(&lists).unwrap()];
        let post = post(text);
        let post = Excerpt::of(&post);
        let mut words = Words::default();
        words.read(&post);
        let [named, namesake] = asked.map(|query| explain(&query, &words, &post).satisfied);
        named && !namesake
    }

    #[test]
    fn an_everyday_word_is_the_hospital_in_company_only() {
        let hospital = [
            ("Mercy", "gunman at Mercy"),
            ("Mercy", "MERCY ER ON LOCKDOWN"),
            ("Mercy", "Mercy's computers are down"),
            ("Mercy", "two shot, both taken to mercy"),
            ("Hope", "#HopeHospital"),
            ("Hope", "Hope is on lockdown"),
            ("Grace", "explosion at the Grace hospital"),
            ("General", "a man with a knife in General A&E"),
            ("General", "computers down at the General"),
            ("University", "shots in University Hospital"),
            ("Children's", "fire at Childrens"),
            ("Good Samaritan", "gunman at Good Samaritan"),
            ("Northside", "Northside hospital evacuated"),
            ("LA", "bomb threat, LA hospital"),
        ];
        let other = [
            ("Mercy", "have mercy, what a shooting"),
            ("Mercy", "at the mercy of hackers"),
            ("Mercy", "my sister Mercy was stabbed"),
            ("Hope", "I hope the shooter is caught"),
            ("Hope", "all hope is lost"),
            ("Hope", "a hope beyond the flood"),
            ("Grace", "by the grace of God"),
            ("General", "the general opened fire"),
            ("General", "at Dollar General, armed man"),
            ("General", "outside General Motors"),
            ("University", "gunman at university"),
            ("Children's", "near a children's party"),
            ("Good Samaritan", "a good samaritan stops the gunman"),
            ("Northside", "shots on the northside"),
            ("LA", "bomb threat in LA"),
        ];
        for (name, text) in hospital {
            assert!(is_about(name, text), "{name}: {text}");
        }
        for (name, text) in other {
            assert!(!is_about(name, text), "{name}: {text}");
        }
        let mercy = Organization::named("Mercy");
        let doubtful = ["gunman at Mercy", "have mercy", "nothing"].map(|text| is_doubtful(&mercy, &post(text)));
        assert_eq!(doubtful, [false, true, false]);
    }

    #[test]
    fn a_name_that_goes_on_is_somebody_elses() {
        for (text, ours) in [
            ("fire at St. Mary's", true),
            ("fire at St Mary's Church", false),
            ("St Marys University on lockdown", false),
            ("fire at Saint Mary's", true),
            ("la iglesia de St Mary's", false),
            ("St. Mary's Catholic School evacuated", false),
            ("St Mary's College Hospital on lockdown", true),
            ("gunman in the church opposite St Mary's", true),
        ] {
            assert_eq!(is_about("St Mary's", text), ours, "{text}");
        }
    }

    #[test]
    fn other_names_are_taken_as_they_are() {
        let lists = Lists::of(&Organization::named("Charité"));
        assert_eq!(lists.get("org").unwrap().terms, lists.get("org_guarded").unwrap().terms);
        assert_eq!(Doubt::about("Mercy General"), None);
        assert_eq!(Doubt::about("聖路加"), None);
    }
}

//! How well the packs that come with the program find what they are for, on real posts
//! that people have labelled (`../shared/data`; not part of the repository).
//!
//! None of these posts names our hospital, so each part says how the hospital is lent to
//! them. What is counted is posts that satisfy a rule (query and exceptions); the
//! conditions, which ask for several authors before anybody is paged, come on top.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Parser;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use stormbell::config::model::{RuleEntry, RuleOrigin};
use stormbell::config::rules::load_rules;
use stormbell::domain::diagnostic::has_errors;
use stormbell::domain::matcher::Scratch;
use stormbell::domain::organization::Organization;
use stormbell::domain::post::{Excerpt, Post};
use stormbell::domain::rule::raw::RawFile;
use stormbell::domain::rule::{RuleSet, compile};
use stormbell::domain::time::Timestamp;
use stormbell::report::{Colours, render};

/// The pack whose rules are complaints.
const COMPLAINTS: &str = "complaints";

/// The words that stand for the hospital in each collection: what its posts call the place
/// of the event.
const PLACES: [(&str, &[&str]); 9] = [
    ("2012_Costa_Rica_earthquake", &["Costa Rica", "Nicoya", "Guanacaste", "temblorcr", "terremotocr"]),
    ("2012_Venezuela_refinery", &["Amuay", "Paraguaná", "Falcón", "refinería", "refinery"]),
    ("2013_LA_airport_shootings", &["LAX", "airport", "Los Angeles"]),
    ("2013_NY_train_crash", &["New York", "NYC", "NY", "Bronx", "Metro North"]),
    ("2013_Sardinia_floods", &["Sardegna", "Sardinia", "Olbia"]),
    ("2013_Singapore_haze", &["Singapore", "SG", "sghaze"]),
    ("drm_messages", &["Haiti", "Port au Prince", "Pakistan", "New York", "New Jersey", "hospital"]),
    ("health_posts", &["hospital", "hospitals", "clinic", "VA", "CDC"]),
    ("ordinary", &["hospital"]),
];

/// Measures the packs on labelled posts.
#[derive(Debug, Parser)]
pub struct Packs {
    /// Folder of the packs
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/rules"))]
    rules: PathBuf,
    /// Folder of the labelled posts
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data"))]
    data: PathBuf,
}

impl Packs {
    pub fn run(self) {
        if !self.data.is_dir() {
            println!("packs     not measured: the labelled posts are not here ({})", self.data.display());
            return;
        }
        let files = self.files();
        let read = |name: &str| labelled(&self.data.join(name));
        feedback(&files, &read("nhs_feedback.jsonl.zst"));
        let collections = [read("t26_posts.jsonl.zst"), read("drm_messages.jsonl.zst"), read("health_posts.jsonl.zst")];
        events(&files, &collections);
        ordinary(&files, &collections.concat());
    }

    fn files(&self) -> Vec<RawFile> {
        let entry = RuleEntry { origin: RuleOrigin::Path(self.rules.clone()), place: None };
        let (files, findings) = load_rules(&[entry], &[]);
        assert!(!has_errors(&findings), "{}", render(&findings, Colours::Plain));
        files
    }
}

/// Complaints among patients' comments. They are about a hospital without naming it, so
/// each is given the hospital's account, or its name.
fn feedback(files: &[RawFile], comments: &[Labelled]) {
    let hospital = Organization::example();
    let mut rules = Asked::of(files.iter().filter(|file| file.pack.name.value == COMPLAINTS), &hospital);
    let account = hospital.accounts.concat();
    println!("\nComplaints: {} comments of nhs_feedback (a complaint: negative or very_negative)", comments.len());
    println!("| the hospital is | half | comments | complaints | found | falsely | precision | recall |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (lent, lend) in [("mentioned at the end", true), ("named at the beginning", false)] {
        for half in [Half::Tuned, Half::HeldOut] {
            let mut tally = Tally::default();
            for comment in comments.iter().filter(|comment| Half::of(&comment.id) == half) {
                let Some(label) = comment.label.as_deref() else { continue };
                let text = &comment.text;
                let text = if lend { format!("{text} {account}") } else { format!("{}: {text}", hospital.name) };
                tally.add(matches!(label, "negative" | "very_negative"), !rules.hits(&text).is_empty());
            }
            let Tally { wanted, unwanted, found, falsely } = tally;
            let (precision, recall) = (share(found, found + falsely), share(found, wanted));
            let all = wanted + unwanted;
            println!("| {lent} | {half:?} | {all} | {wanted} | {found} | {falsely} | {precision:.3} | {recall:.3} |");
        }
    }
    // Only of the half that rules may be tuned on: the other must not be looked into.
    println!("\n| rule (tuned half, mentioned) | complaints | others | precision |\n| --- | --- | --- | --- |");
    let mut by_rule: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for comment in comments.iter().filter(|comment| Half::of(&comment.id) == Half::Tuned) {
        let Some(label) = comment.label.as_deref() else { continue };
        let wanted = matches!(label, "negative" | "very_negative");
        for rule in rules.hits(&format!("{} {account}", comment.text)) {
            by_rule.entry(rule).or_default()[usize::from(!wanted)] += 1;
        }
    }
    for (rule, [found, falsely]) in by_rule {
        println!("| {rule} | {found} | {falsely} | {:.2} |", share(found, found + falsely));
    }
}

/// The crisis packs on posts of real events, with the words of the event's place for the
/// hospital's name.
fn events(files: &[RawFile], collections: &[Vec<Labelled>; 3]) {
    let mut groups: BTreeMap<&str, Vec<&Labelled>> = BTreeMap::new();
    for (name, posts) in ["t26_posts", "drm_messages", "health_posts"].into_iter().zip(collections) {
        for post in posts {
            let event = post.event.as_deref().filter(|_| name == "t26_posts").unwrap_or(name);
            groups.entry(event).or_default().push(post);
        }
    }
    println!("\nCrisis packs, the event's place for the hospital");
    println!("| collection | of the event, naming the place | found | share | ordinary | falsely | per 10,000 |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (event, posts) in groups {
        let place = organization(event);
        let mut crisis = Asked::of(files.iter().filter(|file| is_crisis(file)), &place);
        let mut naming = Naming::of(&place);
        let mut tally = Tally::default();
        for post in posts {
            match post.of_event() {
                Some(true) if naming.names(&post.text) => tally.add(true, !crisis.hits(&post.text).is_empty()),
                Some(false) => tally.add(false, !crisis.hits(&post.text).is_empty()),
                _ => {}
            }
        }
        let Tally { wanted, unwanted, found, falsely } = tally;
        let (hits, false_rate) = (share(found, wanted), 1e4 * share(falsely, unwanted));
        println!("| {event} | {wanted} | {found} | {hits:.3} | {unwanted} | {falsely} | {false_rate:.1} |");
    }
}

/// Every pack on ordinary posts, for a hospital called `hospital`.
fn ordinary(files: &[RawFile], posts: &[Labelled]) {
    let hospital = organization("ordinary");
    let posts: Vec<&Labelled> = posts.iter().filter(|post| post.of_event() == Some(false)).collect();
    let mut naming = Naming::of(&hospital);
    let named: Vec<&str> = posts.iter().map(|post| post.text.as_str()).filter(|text| naming.names(text)).collect();
    println!(
        "\nFalse hits on {} ordinary posts, {} of which say `hospital`, the hospital's name",
        posts.len(),
        named.len()
    );
    println!("| pack | posts | per 10,000 | rules that took them |\n| --- | --- | --- | --- |");
    for file in files {
        let mut pack = Asked::of(std::iter::once(file), &hospital);
        let mut rules = BTreeSet::new();
        let taken = named.iter().map(|text| pack.hits(text)).filter(|hits| !hits.is_empty());
        let falsely = taken.inspect(|hits| rules.extend(hits.iter().cloned())).count();
        let rate = 1e4 * share(falsely, posts.len());
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        println!("| {} | {falsely} | {rate:.1} | {} |", file.pack.name.value, rules.join(", "));
    }
}

fn is_crisis(file: &RawFile) -> bool {
    Path::new(&file.source.name).parent().is_some_and(|folder| folder.ends_with("crisis"))
}

fn organization(collection: &str) -> Organization {
    let (_, words) = PLACES.iter().find(|(name, _)| *name == collection).expect("every collection has its places");
    let aliases = words[1..].iter().map(|&word| word.to_owned()).collect();
    Organization { aliases, ..Organization::named(words[0]) }
}

/// Rules that texts are shown to, one at a time.
struct Asked {
    rules: RuleSet,
    scratch: Scratch,
}

impl Asked {
    fn of<'a>(files: impl Iterator<Item = &'a RawFile>, organization: &Organization) -> Self {
        let mut rules = Vec::new();
        for file in files {
            let (compiled, findings) = compile(file, organization);
            assert!(!has_errors(&findings), "{}", render(&findings, Colours::Plain));
            rules.extend(compiled);
        }
        Self { rules: RuleSet::new(rules), scratch: Scratch::default() }
    }

    /// The rules that take a post of that text.
    fn hits(&mut self, text: &str) -> Vec<String> {
        let post = Post::plain("post".into(), "data".into(), "somebody".into(), text.to_owned(), Timestamp::default());
        let taken = self.rules.matches(&Excerpt::of(&post), &mut self.scratch);
        taken.into_iter().filter_map(|rule| Some(self.rules.get(rule)?.id.as_str().to_owned())).collect()
    }
}

/// Whether a text names the organisation, as rules see it.
struct Naming(Asked);

impl Naming {
    fn of(organization: &Organization) -> Self {
        let text = "schema = 1\n[pack]\nname = \"naming\"\n[[rule]]\nid = \"naming.org\"\ntitle = \"named\"\nseverity = \"info\"\nquery = '$org'\n";
        let source = stormbell::domain::diagnostic::SourceText { name: "naming".to_owned(), text: text.to_owned() };
        let (file, _) = stormbell::config::rules::parse_rules(&std::sync::Arc::new(source));
        Self(Asked::of(file.iter(), organization))
    }

    fn names(&mut self, text: &str) -> bool {
        !self.0.hits(text).is_empty()
    }
}

/// Which half of the comments a comment is in: the rules were tuned on one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Tuned,
    HeldOut,
}

impl Half {
    fn of(id: &str) -> Self {
        let last = Sha256::digest(id).last().copied().unwrap_or_default();
        if last % 2 == 0 { Self::Tuned } else { Self::HeldOut }
    }
}

#[derive(Default)]
struct Tally {
    wanted: usize,
    unwanted: usize,
    found: usize,
    falsely: usize,
}

impl Tally {
    fn add(&mut self, wanted: bool, hit: bool) {
        if wanted {
            self.wanted += 1;
            self.found += usize::from(hit);
        } else {
            self.unwanted += 1;
            self.falsely += usize::from(hit);
        }
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A post with the label people gave it.
#[derive(Clone, Deserialize)]
struct Labelled {
    id: String,
    text: String,
    label: Option<String>,
    event: Option<String>,
}

impl Labelled {
    /// Whether it is of an event or ordinary; `None` where the labels leave it open.
    fn of_event(&self) -> Option<bool> {
        match self.label.as_deref()? {
            "informative" | "related" | "incident" => Some(true),
            "not_related" | "background" => Some(false),
            _ => None,
        }
    }
}

fn labelled(path: &Path) -> Vec<Labelled> {
    let file = File::open(path).unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()));
    let text = std::io::read_to_string(zstd::Decoder::new(file).unwrap()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

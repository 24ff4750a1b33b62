//! An incident, as pages name it.

use super::chart::{self, Labels, Usual};
use super::frame::Frame;
use crate::domain::harmless::{clean, clip};
use crate::domain::incident::{Incident, IncidentState};
use crate::domain::time::human;
use crate::web::backend::Growth;

/// Characters of a title and of a reason.
const MOST_TITLE: usize = 200;
const MOST_WHY: usize = 1000;

/// What pages say of an incident.
pub(super) struct Card {
    /// Below the root.
    pub(super) path: String,
    pub(super) severity: &'static str,
    pub(super) severity_word: String,
    pub(super) title: String,
    pub(super) why: String,
    pub(super) exercise: bool,
    /// What else is to be known at once.
    pub(super) marks: Vec<String>,
    /// Whether it is there for others to read.
    kept: bool,
    /// Whether nobody has it.
    pub(super) free: bool,
    pub(super) owner: String,
    /// `1 story · 412 authors · 3 901 posts`
    pub(super) numbers: String,
    pub(super) posts: String,
    pub(super) authors: String,
    pub(super) opened: String,
    pub(super) opened_at: String,
    pub(super) age: String,
    /// How it grew, in SVG; made of numbers and escaped words.
    pub(super) chart: String,
}

impl Card {
    pub(super) fn of(f: &Frame, incident: &Incident) -> Self {
        let veiled;
        let is_kept = !f.may_see(incident);
        let incident = if is_kept {
            veiled = incident.clone().veiled();
            &veiled
        } else {
            incident
        };
        let Incident { severity, state, opened_at, posts, authors, stories, .. } = incident;
        let w = f.w;
        let people = f.counted(*authors, &w.one_author, &w.many_authors);
        let said = f.counted(*posts, &w.one_post, &w.many_posts);
        let stories = (*stories > 0).then(|| f.counted(*stories, &w.one_story, &w.many_stories));
        let numbers: Vec<String> = stories.into_iter().chain([people, said]).collect();
        Self {
            path: path(incident.id.as_str()),
            severity: severity.as_str(),
            severity_word: f.severity(*severity).to_string(),
            title: if is_kept { w.restricted.to_string() } else { clip(&clean(incident.unmarked_title()), MOST_TITLE) },
            why: if is_kept { w.restricted_text.to_string() } else { clip(&clean(&incident.why), MOST_WHY) },
            exercise: incident.exercise,
            kept: is_kept,
            marks: [(incident.late, &w.late), (incident.muted.is_some(), &w.muted)]
                .into_iter()
                .filter(|(is_so, _)| *is_so)
                .map(|(_, word)| word.to_string())
                .collect(),
            free: *state == IncidentState::Open && !is_kept,
            owner: owner(f, incident),
            numbers: if is_kept { String::new() } else { numbers.join(" · ") },
            posts: f.number(*posts),
            authors: f.number(*authors),
            opened: f.time(*opened_at),
            opened_at: opened_at.to_string(),
            age: f.ago(*opened_at),
            chart: String::new(),
        }
    }

    /// With the picture of how it grew.
    pub(super) fn grown(self, f: &Frame, growth: &Growth, usual: Option<Usual>) -> Self {
        if self.kept {
            return self; // how many speak of it is not everybody's either
        }
        let Growth { from, every, moments } = growth;
        if moments.is_empty() {
            return Self { chart: format!("<p class=\"hint\">{}</p>", f.w.chart_none), ..self };
        }
        let to = *from + every.saturating_mul(u32::try_from(moments.len()).unwrap_or(u32::MAX));
        let most = moments.iter().map(|moment| moment.posts).max().unwrap_or(0);
        let says = f.w.chart_text.with([
            ("posts", &self.posts),
            ("authors", &self.authors),
            ("from", &f.time(*from)),
            ("to", &f.time(to)),
            ("most", &f.number(most)),
            ("every", &human(*every)),
        ]);
        let w = f.w;
        let labels = [&w.chart_posts, &w.chart_authors, &w.chart_expected].map(ToString::to_string);
        let [posts, authors, expected] = &labels;
        let labels = Labels { says: &says, posts, authors, expected };
        Self { chart: chart::draw(growth, usual, &labels, |at| f.time(at)), ..self }
    }
}

/// The address of an incident's page below the root, whatever is in its id.
pub(super) fn path(id: &str) -> String {
    let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    format!("incidents/{id}")
}

/// Who has it, since when; or who ended it.
fn owner(f: &Frame, incident: &Incident) -> String {
    let who = |by: &str| clip(&clean(by), 100);
    match (incident.state, &incident.acknowledged, &incident.resolved) {
        (IncidentState::Resolved, _, Some(ended)) => {
            f.w.over.with([("who", &who(&ended.by)), ("time", &f.time(ended.at))])
        }
        (IncidentState::Acknowledged, Some(taken), _) => {
            f.w.has_it.with([("who", &who(&taken.by)), ("time", &f.time(taken.at))])
        }
        _ => f.w.nobody.to_string(),
    }
}

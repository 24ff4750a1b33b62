//! Who is told of an incident, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::addressee::{Addressee, Recipient};
use super::cap::Cap;
use super::id::{PersonName, ReceiverName, ScheduleName, TeamName, Topic};
use super::incident::{Escalation, Incident, Severity};
use super::inhibit::Inhibition;
use super::oncall::{Hours, People};
use super::terms::Terms;
use super::time::{Timestamp, Zone};

/// The routes of a configuration, and the people they name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// In order; the first that fits takes the incident.
    pub list: Vec<Route>,
    /// Everybody who can be told in person.
    pub people: Arc<People>,
    /// Which incidents people are not told of while a bigger one is open.
    pub inhibitions: Vec<Inhibition>,
    /// How many messages a receiver gets at most.
    pub caps: BTreeMap<ReceiverName, Cap>,
    /// When what they are told of ends and begins again, and what is news.
    pub terms: Terms,
}

/// One `[[route]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Any of these; empty means every severity.
    pub severity: Vec<Severity>,
    /// Any of these; empty means every topic.
    pub topics: Vec<Glob>,
    /// Who is told, one step after the other until somebody acknowledges.
    pub steps: Vec<Step>,
    /// Tell the last step again while nobody acknowledges.
    pub repeat_every: Option<Duration>,
    /// Later routes may take the incident too.
    pub go_on: bool,
    /// The last step is the last resort: it names everybody there is.
    pub last_resort: bool,
    /// When it tells nobody.
    pub off: OffTimes,
}

/// When a route tells nobody: at any of its mute times, and outside all of its active times, if it has some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffTimes {
    /// Then it tells nobody.
    pub mute: Vec<NamedTime>,
    /// Only then it tells anybody; always, when there are none.
    pub active: Vec<NamedTime>,
}

/// One `[[time]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTime {
    /// Its name, as history has it.
    pub name: String,
    /// By whose clocks.
    pub zone: Zone,
    /// Hours of certain days; never empty.
    pub hours: Vec<Hours>,
}

impl NamedTime {
    /// Whether it is that time.
    fn covers(&self, at: Timestamp) -> bool {
        self.hours.iter().any(|hours| hours.cover(&self.zone, at))
    }
}

impl OffTimes {
    /// Whether there are any.
    pub fn are_set(&self) -> bool {
        !self.mute.is_empty() || !self.active.is_empty()
    }

    /// Why nobody is told at that instant; none: people are.
    pub fn at(&self, at: Timestamp) -> Option<String> {
        if let Some(mute) = self.mute.iter().find(|mute| mute.covers(at)) {
            return Some(format!("it is its mute time {}", mute.name));
        }
        if self.active.is_empty() || self.active.iter().any(|active| active.covers(at)) {
            return None;
        }
        let names: Vec<&str> = self.active.iter().map(|active| active.name.as_str()).collect();
        Some(format!("it is outside its active times: {}", names.join(", ")))
    }
}

/// One step of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who is told.
    pub notify: Vec<Target>,
    /// Go to the next step unless somebody acknowledges within this time.
    pub ack_within: Option<Duration>,
}

/// What a step names. Who that is, is found at the moment the step is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Whomever a receiver tells by itself.
    Receiver(ReceiverName),
    /// One person.
    Person(PersonName),
    /// All of a team.
    Team(TeamName),
    /// Who is on call then.
    Schedule(ScheduleName),
}

impl From<ReceiverName> for Target {
    fn from(receiver: ReceiverName) -> Self {
        Self::Receiver(receiver)
    }
}

/// A topic pattern in which `*` stands for any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(pub String);

impl Glob {
    /// Whether the whole of `text` fits the pattern.
    pub fn fits(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|head| text.strip_prefix(head)) else { return false };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            let Some((_, after)) = rest.split_once(part) else { return false };
            rest = after;
        }
        true
    }
}

impl Route {
    /// Whether this route is for incidents of that severity and topic.
    pub fn fits(&self, severity: Severity, topic: &Topic) -> bool {
        (self.severity.is_empty() || self.severity.contains(&severity))
            && (self.topics.is_empty() || self.topics.iter().any(|glob| glob.fits(topic.as_str())))
    }
}

impl Routes {
    /// Routes that name receivers only.
    pub fn of(list: Vec<Route>) -> Self {
        Self { list, ..Self::default() }
    }

    /// Who is told at this point of the route, as things are `now`: who is on call, and where
    /// people are reached.
    pub fn addressees(&self, escalation: &Escalation, now: Timestamp) -> BTreeSet<Addressee> {
        let step = self.list.get(escalation.route).and_then(|route| route.steps.get(escalation.step));
        let targets = step.into_iter().flat_map(|step| &step.notify);
        targets.flat_map(|target| self.behind(target, now)).collect()
    }

    fn behind(&self, target: &Target, now: Timestamp) -> Vec<Addressee> {
        let persons: Vec<&PersonName> = match target {
            Target::Receiver(receiver) => return vec![receiver.clone().into()],
            Target::Person(person) => vec![person],
            Target::Team(team) => self.people.teams.get(team).into_iter().flatten().collect(),
            Target::Schedule(schedule) => {
                self.people.schedules.get(schedule).and_then(|schedule| schedule.at(now)).into_iter().collect()
            }
        };
        persons.into_iter().flat_map(|person| self.contacts(person)).collect()
    }

    /// Everywhere a person is reached.
    pub fn contacts(&self, name: &PersonName) -> Vec<Addressee> {
        let Some(person) = self.people.persons.get(name) else { return Vec::new() };
        let recipient = |address: &String| Some(Recipient { person: name.clone(), address: address.clone() });
        let contacts = person.contact.iter();
        contacts.map(|(receiver, at)| Addressee { receiver: receiver.clone(), recipient: recipient(at) }).collect()
    }

    /// Until when an addressee must not be told of something of that severity; none: tell it.
    /// What is critical goes through.
    pub fn quiet_until(&self, addressee: &Addressee, severity: Severity, now: Timestamp) -> Option<Timestamp> {
        let person = addressee.person().filter(|_| severity < Severity::Critical)?;
        self.people.persons.get(person)?.quiet_until(now)
    }

    /// Whether an addressee is still in the configuration: one who has left is told nothing more.
    pub fn knows(&self, addressee: &Addressee) -> bool {
        addressee.person().is_none_or(|person| self.people.persons.contains_key(person))
    }

    /// Whether the step after this point is the last resort: time leads there, and that nobody can
    /// be reached, but not that people sleep.
    pub fn next_is_last_resort(&self, escalation: &Escalation) -> bool {
        let next = Escalation { step: escalation.step + 1, ..escalation.clone() };
        self.is_last_resort(&next)
    }

    /// Whether the step told last is the last resort.
    pub fn is_last_resort(&self, escalation: &Escalation) -> bool {
        self.list
            .get(escalation.route)
            .is_some_and(|route| route.last_resort && escalation.step + 1 == route.steps.len())
    }

    /// Whether the route has another step after this point.
    pub fn has_next(&self, escalation: &Escalation) -> bool {
        self.list.get(escalation.route).is_some_and(|route| escalation.step + 1 < route.steps.len())
    }

    /// Takes the route to its next step, or to a repetition of the last one.
    pub fn go_on(&self, escalation: &mut Escalation, now: Timestamp) {
        let steps = self.list.get(escalation.route).map_or(0, |route| route.steps.len());
        escalation.step = (escalation.step + 1).min(steps.saturating_sub(1));
        escalation.due = self.due(escalation, now);
    }

    /// Why a route tells nobody now; none: it does.
    pub fn off(&self, route: usize, now: Timestamp) -> Option<String> {
        self.list.get(route)?.off.at(now)
    }

    /// Whether a route names an addressee in any of its steps, now or at some time.
    pub fn names(&self, route: usize, addressee: &Addressee) -> bool {
        let steps = self.list.get(route).into_iter().flat_map(|route| &route.steps);
        steps.flat_map(|step| &step.notify).any(|target| match (target, addressee.person()) {
            (Target::Receiver(receiver), None) => *receiver == addressee.receiver,
            (Target::Receiver(_), Some(_)) | (_, None) => false,
            (Target::Person(name), Some(person)) => name == person,
            (Target::Team(team), Some(person)) => {
                self.people.teams.get(team).is_some_and(|members| members.contains(person))
            }
            (Target::Schedule(name), Some(person)) => {
                self.people.schedules.get(name).is_some_and(|schedule| schedule.persons().any(|on| on == person))
            }
        })
    }

    /// Has escalations wait anew from where they stand; not those that were kept back, see [`Escalation::muted`].
    pub fn wait_anew(&self, escalations: &mut [Escalation], now: Timestamp) {
        for escalation in escalations.iter_mut().filter(|escalation| !escalation.muted) {
            escalation.due = self.due(escalation, now);
        }
    }

    /// When the route must go on, if nobody acknowledges: to its next step, or after the
    /// last one to a repetition.
    pub fn due(&self, escalation: &Escalation, now: Timestamp) -> Option<Timestamp> {
        let route = self.list.get(escalation.route)?;
        let next = route.steps.get(escalation.step + 1).is_some();
        let wait = if next { route.steps.get(escalation.step)?.ack_within } else { route.repeat_every };
        wait.map(|wait| now + wait)
    }

    /// Whether the escalation can have come about with these routes: its route exists, has
    /// that step, and takes such an incident at its severity or an earlier, lower one.
    pub fn may_stand(&self, escalation: &Escalation, incident: &Incident) -> bool {
        let fits_at = |route: &Route, topic: &Topic, severity: Severity| {
            Severity::ALL.iter().any(|&was| was <= severity && route.fits(was, topic))
        };
        let fits = |route: &Route| incident.topics().any(|(topic, severity)| fits_at(route, topic, severity));
        self.list.get(escalation.route).is_some_and(|route| escalation.step < route.steps.len() && fits(route))
    }

    /// The routes that take the incident, by their place: those of each of its topics.
    pub fn taking(&self, incident: &Incident) -> Vec<usize> {
        let mut taking = Vec::new();
        for (topic, severity) in incident.topics() {
            for (place, route) in self.list.iter().enumerate().filter(|(_, route)| route.fits(severity, topic)) {
                if !taking.contains(&place) {
                    taking.push(place);
                }
                if !route.go_on {
                    break;
                }
            }
        }
        taking
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_fit_whole_topics() {
        for (pattern, text, fits) in [
            ("cyber*", "cyber", true),
            ("cyber*", "cyber-attack", true),
            ("cyber*", "a cyber", false),
            ("*", "anything", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("*threat", "active-threat", true),
            ("active-threat", "active-threat", true),
            ("active", "active-threat", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(Glob(pattern.to_owned()).fits(text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn the_first_fitting_route_takes_it_unless_it_says_continue() {
        let route = |severity: Severity, go_on| Route { severity: vec![severity], go_on, ..Route::default() };
        let routes = |go_on| {
            Routes::of(vec![
                route(Severity::Low, false),
                route(Severity::High, go_on),
                Route::default(),
                Route::default(),
            ])
        };
        let fits = |routes: &Routes| {
            let topic = Topic::from("t");
            let mut taking = Vec::new();
            for (place, route) in routes.list.iter().enumerate() {
                if route.fits(Severity::High, &topic) {
                    taking.push(place);
                    if !route.go_on {
                        break;
                    }
                }
            }
            taking
        };
        assert_eq!(fits(&routes(false)), [1]);
        assert_eq!(fits(&routes(true)), [1, 2]);
    }
}

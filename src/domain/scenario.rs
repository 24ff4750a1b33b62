//! Scenarios of exercises: posts in the words of people who see something, about the organization there is.

use std::time::Duration;

use super::post::Post;
use super::time::Timestamp;

/// A story that is told by invented people.
struct Scenario {
    name: &'static str,
    /// Author and text; `{org}` is the organization.
    posts: &'static [(&'static str, &'static str)],
}

const SCENARIOS: [Scenario; 3] = [
    Scenario {
        name: "active-threat",
        posts: &[
            ("one", "there is a gunman at {org}, shots fired in the lobby"),
            ("two", "active shooter at {org} we are hiding in a ward"),
        ],
    },
    Scenario {
        name: "cyber-attack",
        posts: &[
            ("one", "{org} was hit by ransomware, all computers are down"),
            ("two", "nurses at {org} on paper charts, ransomware they say"),
            ("three", "cyber attack on {org}, systems down, appointments cancelled"),
        ],
    },
    Scenario {
        name: "fire",
        posts: &[
            ("one", "fire at {org}, smoke coming out of the third floor"),
            ("two", "{org} is on fire, patients are being evacuated"),
        ],
    },
];

/// The names of all scenarios.
pub fn names() -> [&'static str; 3] {
    SCENARIOS.map(|scenario| scenario.name)
}

/// The posts of a scenario, as if they were written now; none when there is no such scenario.
pub fn posts(name: &str, organization: &str, now: Timestamp) -> Option<Vec<Post>> {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name)?;
    let post = |(number, (author, text)): (u64, &(&str, &str))| {
        let id = format!("exercise/{name}/{}/{number}", now.micros());
        let author = format!("exercise/{author}");
        let text = text.replace("{org}", organization);
        // In their order, the last one now.
        let at = now - Duration::from_millis(scenario.posts.len() as u64 - number);
        Post::plain(id.as_str().into(), "exercise".into(), author.as_str().into(), text, at)
    };
    Some((1..).zip(scenario.posts).map(post).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_told_about_the_organization_in_order() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let posts = posts("fire", "Mercy General", now).unwrap();
        assert!(
            posts
                .iter()
                .all(|post| post.text.contains("Mercy General") && post.author.id.as_str().starts_with("exercise/"))
        );
        assert!(posts.is_sorted_by_key(|post| post.event_time) && posts.last().unwrap().event_time == now);
        assert!(super::posts("tea", "Mercy General", now).is_none());
    }
}

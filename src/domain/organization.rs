//! The hospital itself: what `$org`, `$people` and `$places` stand for.

/// The organisation the program listens for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Full name.
    pub name: String,
    /// Other names people use.
    pub aliases: Vec<String>,
    /// Its own accounts, with `@`.
    pub accounts: Vec<String>,
    /// People whose names count as the organisation's.
    pub people: Vec<String>,
    /// Its buildings and campuses.
    pub places: Vec<String>,
    /// IANA name of the zone people think in.
    pub timezone: String,
}

impl Organization {
    /// Its name and the others people use.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        std::iter::once(&self.name).chain(&self.aliases).map(String::as_str)
    }

    /// An organisation known by its name alone.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            aliases: Vec::new(),
            accounts: Vec::new(),
            people: Vec::new(),
            places: Vec::new(),
            timezone: "UTC".to_owned(),
        }
    }

    /// The hospital that rule tests and the demo speak of, unless they bring their own.
    pub fn example() -> Self {
        let list = |items: &[&str]| items.iter().map(|&item| item.to_owned()).collect();
        Self {
            name: "St. Brigid's Hospital".to_owned(),
            aliases: list(&["St Brigids", "Saint Brigid's"]),
            accounts: list(&["@stbrigids.example"]),
            people: list(&["Dr. Jane Roe"]),
            places: list(&["Harbor Street campus"]),
            timezone: "America/New_York".to_owned(),
        }
    }
}

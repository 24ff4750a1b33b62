//! The console in Debian's Chromium, before the built program: from the first account to the end of a crisis, in small
//! and large windows, by day and by night, without script, and judged by axe-core for those who see or point badly.

#![cfg(test)]

mod support;

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use support::browser::Browser;
use support::daemon::{Config, Daemon, HOOK, Place, now, pair_rule, say, word_rule};
use support::jetstream::{Script, SimJetstream};
use support::sink::SimSink;

const PASSWORD: &str = "planted correct horse battery";

/// Bob can be given an incident; he is told by the hook, then everybody behind it.
const PEOPLE: &str = "[[person]]\nname = \"ann\"\ncontact = { hook = \"+1555001\" }\n\
    [[person]]\nname = \"bob\"\ncontact = { hook = \"+1555002\" }\n\
    [[schedule]]\nname = \"press\"\ntimezone = \"America/New_York\"\n\
    [[schedule.layer]]\nrotation = [\"ann\"]\nevery = \"7d\"\nstart = 2026-01-05\nhand_over = \"08:00\"\n\
    only = [{ weekdays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"], from = \"08:00\", to = \"18:00\" }]\n\
    [[schedule.layer]]\nrotation = [\"bob\", \"ann\"]\nevery = \"7d\"\nstart = 2026-01-05\nhand_over = \"08:00\"\n\
    [[route]]\nsteps = [{ notify = [\"press\"], ack_within = \"1h\" }, { notify = [\"hook\"] }]\n";

struct World {
    stream: SimJetstream,
    daemon: Daemon,
    root: String,
    _sink: SimSink,
    _place: Place,
}

impl World {
    async fn new() -> Self {
        let stream = SimJetstream::start(Script::default()).await;
        let threat =
            format!("{}playbook = \"playbooks/active-threat.md\"\n", pair_rule("active-threat", "gunman", "critical"));
        let rules = [threat, word_rule("service", "parking", "low")];
        let sink = SimSink::start().await;
        let config = Config::new(&stream.url(), "").webhook("hook", &sink.url(HOOK)).and(PEOPLE);
        let place = Place::new(&config, &rules);
        let daemon = place.start().await;
        daemon.says("source connected").await;
        // Only what says something is seen.
        stream.push(say(now(), "did:plc:eve", "k0", "nice weather"));
        daemon.until(async || daemon.source().await, |source| source["up"] == true).await;
        let root = format!("http://127.0.0.1:{}", daemon.port());
        Self { stream, daemon, root, _sink: sink, _place: place }
    }

    /// Two people say it.
    async fn crisis(&self) -> Value {
        for who in ["did:plc:ann", "did:plc:bob"] {
            self.stream.push(say(
                now(),
                who,
                &format!("k{}", now()),
                "a gunman is in the lobby <script>alert(1)</script>",
            ));
        }
        let found = async || self.daemon.incidents("active-threat").await;
        self.daemon.until(found, |found: &Vec<Value>| !found.is_empty()).await.remove(0)
    }

    /// The link in the log by which the first account is made.
    async fn first_link(&self) -> String {
        let line = self.daemon.says("this link makes the first one").await;
        let (_, rest) = line.split_once("http://").unwrap_or_else(|| panic!("{line}"));
        let end = rest.find(|c: char| c == '"' || c.is_whitespace()).unwrap_or(rest.len());
        format!("http://{}", rest.get(..end).unwrap())
    }

    async fn sign_up(&self, browser: &Browser) {
        browser.go(&self.first_link().await).await;
        browser.fill("input[name=name]", "ann").await;
        browser.fill("input[name=password]", PASSWORD).await;
        browser.fill("input[name=again]", PASSWORD).await;
        browser.picture("console-first.png").await;
        browser.press("main button").await;
        self.sees(browser, "h1", "All quiet").await;
    }

    /// Waits until an element says so.
    async fn sees(&self, browser: &Browser, selector: &str, words: &str) {
        let text = async || browser.text(selector).await;
        self.daemon.until(text, |text| text.contains(words)).await;
    }
}

/// Whether the page fits into the window, and what axe-core finds.
async fn judge(browser: &Browser, axe: &str, what: &str) {
    let wide = browser.run("return document.documentElement.scrollWidth - window.innerWidth").await;
    assert!(wide.as_i64().unwrap() <= 0, "{what} is {wide} px wider than the window");
    // The driver's scripts run beside the page's policy.
    browser.run(axe).await;
    let script = "return axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })\
        .then((found) => found.violations.map((one) => one.id + ': ' + one.nodes.map((node) => node.target + ' ' + node.failureSummary).join(' | ')))";
    let found = browser.run(script).await;
    assert_eq!(found, Value::Array(vec![]), "{what}");
}

/// axe-core from npm, in a folder that is kept; brought once, however many tests ask at the same time.
fn axe() -> &'static str {
    static AXE: LazyLock<String> = LazyLock::new(|| {
        let folder = std::env::var_os("STORMBELL_AXE")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("axe"), PathBuf::from);
        let script = folder.join("node_modules/axe-core/axe.min.js");
        if !script.try_exists().unwrap() {
            std::fs::create_dir_all(&folder).unwrap();
            let install = ["install", "--prefix", ".", "--no-audit", "--no-fund", "--ignore-scripts", "axe-core@4"];
            let done = Command::new("npm").args(install).current_dir(&folder).output().unwrap();
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "npm could not install axe-core: {said}");
        }
        std::fs::read_to_string(script).unwrap()
    });
    &AXE
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's chromium and chromium-driver, and npm; .ci/run installs them"]
async fn a_crisis_is_seen_taken_and_ended_in_a_real_browser() {
    let (world, axe) = (World::new().await, axe());
    let browser = Browser::start(1440, 900, false).await;
    world.sign_up(&browser).await;
    judge(&browser, axe, "all quiet").await;
    browser.picture("console-quiet.png").await;

    // Nobody loads the page again: it follows.
    let threat = world.crisis().await;
    world.sees(&browser, "h1", "1 incident is open").await;
    world.sees(&browser, ".incident h2", "active-threat reported").await;
    browser.picture("console-open.png").await;
    judge(&browser, axe, "a crisis").await;
    browser.press(".incident form.take button").await;
    world.sees(&browser, ".owner", "ann has it").await;
    assert_eq!(browser.text("#posts mark").await, "gunman");
    assert!(browser.text("#posts").await.contains("<script>alert(1)</script>"), "as text");
    judge(&browser, axe, "an incident").await;
    browser.picture("console-incident.png").await;
    let id = threat["id"].as_str().unwrap();
    assert_eq!(world.daemon.get(&format!("/api/v1/incidents/{id}")).await["acknowledged"]["by"], "ann");

    // It grows while somebody writes: what was typed stays.
    browser.press(".actions details summary").await;
    browser.fill(".actions textarea", "called the police").await;
    world.stream.push(say(now(), "did:plc:carl", &format!("k{}", now()), "gunman at the door"));
    world.sees(&browser, "#head .numbers", "3 authors").await;
    assert_eq!(browser.run("return document.querySelector('.actions textarea').value").await, "called the police");
    browser.press(".actions details button").await;
    world.sees(&browser, "#timeline", "called the police").await;

    follow_the_playbook(&world, &browser, axe, id).await;

    browser.go(&format!("{}/silences?match=topic%3Dservice", world.root)).await;
    browser.fill("input[name=reason]", "the car park is closed").await;
    browser.press("button[value=preview]").await;
    world.sees(&browser, ".preview h3", "It would have muted").await;
    judge(&browser, axe, "silences").await;
    // It was a film; the rule's page proposes what to do, and tries it.
    browser.go(&format!("{}/incidents/{id}", world.root)).await;
    browser.fill(".judge input[name=text]", "a film").await;
    browser.press(".judge button[value=no]").await;
    world.sees(&browser, ".judged", "ann judged it noise").await;
    browser.go(&format!("{}/rules/active-threat.rule", world.root)).await;
    world.sees(&browser, "#proposal-h", "Shortest exception").await;
    judge(&browser, axe, "a rule").await;
    browser.picture("console-rule.png").await;
    browser.fill("textarea[name=query]", " OR lobby").await;
    browser.fill("textarea[name=text]", "a man with a gun").await;
    browser.press("#try button[value=try]").await;
    world.sees(&browser, "#try .preview", "It takes 3 of the 3").await;
    judge(&browser, axe, "a try").await;
    browser.picture("console-try.png").await;
    browser.press("#try button[value=preview]").await;
    world.sees(&browser, "#try .preview", "Alerts of the change").await;
    judge(&browser, axe, "a preview").await;
    browser.picture("console-preview.png").await;
    browser.go(&format!("{}/search", world.root)).await;
    browser.fill("input[name=q]", "gunman -door").await;
    browser.press("form.seek button").await;
    world.sees(&browser, "#posts-h + ol mark", "gunman").await;
    browser.fill("input[name=name]", "Gunmen").await;
    browser.press("#save-h + form button").await;
    world.sees(&browser, "ul.saved", "Gunmen").await;
    judge(&browser, axe, "a search").await;
    browser.picture("console-search.png").await;
    browser.go(&format!("{}/people/calendar", world.root)).await;
    judge(&browser, axe, "the duty calendar").await;
    browser.picture("console-calendar.png").await;
    for page in
        ["incidents", "sources", "rules", "people", "account", "access", "audit", "wall", "playbooks", "handover"]
    {
        browser.go(&format!("{}/{page}", world.root)).await;
        judge(&browser, axe, page).await;
        browser.picture(&format!("console-{page}.png")).await;
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    world.daemon.stop().await;
}

/// Presses what sends a form, and waits for the page that answers: the one before it may be brought up to date meanwhile.
async fn send(world: &World, browser: &Browser, selector: &str) {
    browser.run("window.before = true; return true").await;
    browser.press(selector).await;
    let loaded = async || browser.run("return !window.before && document.readyState === 'complete'").await;
    world.daemon.until(loaded, |loaded: &Value| *loaded == true).await;
}

/// Steps, roles, what may be said; then the incident is handed over, and its report read.
async fn follow_the_playbook(world: &World, browser: &Browser, axe: &str, id: &str) {
    world.sees(browser, "#playbook .clock", "The first statement is due in").await;
    send(world, browser, "#playbook .step button.tick").await;
    world.sees(browser, "#playbook .step.done", "ann").await;
    browser.press("#playbook details.roles summary").await;
    browser.fill("#playbook .roles input[name=person]", "Dr. Roe").await;
    send(world, browser, "#playbook .roles form button").await;
    world.sees(browser, "#playbook .roles", "Dr. Roe").await;
    world.sees(browser, "#playbook .statements .mark", "not approved").await;
    browser.go(&format!("{}/playbooks", world.root)).await;
    browser.press("details.playbook summary").await;
    judge(browser, axe, "an open playbook").await;
    browser.picture("console-playbook-open.png").await;
    send(world, browser, "button[name=may]").await;
    browser.go(&format!("{}/incidents/{id}", world.root)).await;
    world.sees(browser, "#playbook .statements", "approved by ann").await;
    judge(browser, axe, "statements").await;
    browser.picture("console-statements.png").await;
    send(world, browser, "#playbook .statements form button").await;
    world.sees(browser, "#playbook .clock.out", "First statement out").await;
    browser.press(".actions details:nth-of-type(3) summary").await;
    judge(browser, axe, "a hand-over").await;
    browser.picture("console-hand-over.png").await;
    send(world, browser, ".actions details:nth-of-type(3) button").await;
    world.sees(browser, ".owner", "bob has it").await;
    browser.press("a[href$='/report']").await;
    world.sees(browser, "h1", "Report: active-threat").await;
    judge(browser, axe, "a report").await;
    browser.picture("console-report.png").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's chromium and chromium-driver, and npm; .ci/run installs them"]
async fn at_night_on_a_telephone_it_is_the_same() {
    let (world, axe) = (World::new().await, axe());
    world.crisis().await;
    let browser = Browser::start(360, 740, true).await;
    browser.go(&world.first_link().await).await;
    judge(&browser, axe, "the invitation").await;
    browser.fill("input[name=name]", "ann").await;
    browser.fill("input[name=password]", PASSWORD).await;
    browser.fill("input[name=again]", PASSWORD).await;
    browser.press("main button").await;
    world.sees(&browser, "h1", "1 incident is open").await;
    assert_eq!(browser.run("return matchMedia('(prefers-color-scheme: dark)').matches").await, true);
    for page in [
        "",
        "incidents",
        "sources",
        "rules",
        "people",
        "silences",
        "account",
        "access",
        "audit",
        "wall",
        "search?q=gunman&lang=en",
        "people/calendar",
        "rules/active-threat.rule",
        "playbooks",
        "handover",
    ] {
        browser.go(&format!("{}/{page}", world.root)).await;
        judge(&browser, axe, &format!("/{page} at night")).await;
        let name = page.replace(['/', '?'], "-");
        browser.picture(&format!("console-night-{name}.png")).await;
    }
    browser.go(&world.root).await;
    browser.press(".incident h2 a").await;
    world.sees(&browser, "#head h1", "active-threat").await;
    judge(&browser, axe, "an incident at night").await;
    browser.picture("console-night-incident.png").await;
    browser.press("#playbook details.roles summary").await;
    judge(&browser, axe, "a playbook at night").await;
    browser.picture("console-night-playbook.png").await;
    browser.press("a[href$='/report']").await;
    world.sees(&browser, "h1", "Report: active-threat").await;
    judge(&browser, axe, "a report at night").await;
    browser.picture("console-night-report.png").await;
    browser.go(&world.root).await;
    // By keyboard alone: the first key leads past the navigation.
    let focused = "document.body.focus(); return document.querySelector('a').className";
    assert_eq!(browser.run(focused).await, "skip");
    world.daemon.stop().await;
}

//! The console in Debian's Chromium, before the built program: from the first account to the end of a crisis, in small
//! and large windows, by day and by night, without script, and judged by axe-core for those who see or point badly.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use crate::support::browser::{Browser, ENTER, TAB};
use crate::support::child::npm;
use crate::support::daemon::{Config, Daemon, HOOK, Place, now, pair_rule, say, word_rule};
use crate::support::jetstream::{Script, SimJetstream};
use crate::support::sink::SimSink;
use serde_json::{Value, json};
use tokio::net::TcpListener;

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
        Self::with(|config| config).await
    }

    /// With other settings than the usual ones.
    async fn with(change: impl FnOnce(Config) -> Config) -> Self {
        let stream = SimJetstream::start(Script::default()).await;
        let threat =
            format!("{}playbook = \"playbooks/active-threat.md\"\n", pair_rule("active-threat", "gunman", "critical"));
        let rules = [threat, word_rule("service", "parking", "low")];
        let sink = SimSink::start().await;
        let config = Config::new(&stream.url(), "").webhook("hook", &sink.url(HOOK)).and(PEOPLE);
        let place = Place::new(&change(config), &rules);
        place.write("oidc-secret", "planted client+secret%/");
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
        self.sign_up_into(browser, "All quiet").await;
    }

    /// Makes the first account, and sees that headline.
    async fn sign_up_into(&self, browser: &Browser, headline: &str) {
        browser.go(&self.first_link().await).await;
        browser.fill("input[name=name]", "ann").await;
        browser.fill("input[name=password]", PASSWORD).await;
        browser.fill("input[name=again]", PASSWORD).await;
        browser.picture("console-first.png").await;
        browser.press("main button").await;
        self.sees(browser, "h1", headline).await;
    }

    /// Waits until an element says so.
    async fn sees(&self, browser: &Browser, selector: &str, words: &str) {
        let text = async || browser.text(selector).await;
        self.daemon.until(text, |text| text.contains(words)).await;
    }
}

/// Whether the page fits into the window, and what axe-core finds.
async fn judge(browser: &Browser, axe: &str, what: &str) {
    let wide = browser.run("const page = document.documentElement; return page.scrollWidth - page.clientWidth").await;
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
    let loaded =
        "return [!window.before && document.readyState === 'complete', location.href, document.body?.innerText]";
    world.daemon.until(async || browser.run(loaded).await, |loaded: &Value| loaded[0] == true).await;
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

/// Every element that takes a focus and can be seen.
const STOPS: &str = "[...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex=\"0\"]')]\
    .filter((one) => one.checkVisibility() && !one.disabled)";

/// Goes through the page by the key that goes on: every stop is reached, in the order of the page, and shows that it has
/// the focus.
async fn goes_round(browser: &Browser, what: &str) {
    while !went_round(browser, what).await {}
}

/// The same; false when the page renewed itself meanwhile, and has other stops.
async fn went_round(browser: &Browser, what: &str) -> bool {
    browser
        .run(&format!("window.stops = {STOPS}; window.scrollTo(0, 0); document.activeElement.blur(); return 0"))
        .await;
    let count = browser.run("return window.stops.length").await.as_u64().unwrap();
    assert!(count > 0, "{what}");
    let mut reached = Vec::new();
    for _ in 0..count {
        browser.keys(TAB).await;
        // Fields of a date have stops within themselves.
        while browser.run("return window.last === document.activeElement").await == true {
            browser.keys(TAB).await;
        }
        let stop = "const one = window.last = document.activeElement; const style = getComputedStyle(one); const box = one.getBoundingClientRect(); \
            return [window.stops.indexOf(one), style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, \
            box.bottom > 0 && box.top < innerHeight, one.outerHTML.slice(0, 120), window.stops.every((one) => one.isConnected)]";
        let stop = browser.run(stop).await;
        if stop[4] != true {
            return false;
        }
        assert_eq!(
            (&stop[1], &stop[2]),
            (&Value::Bool(true), &Value::Bool(true)),
            "{what}: is not seen to have the focus: {stop}"
        );
        reached.push(stop[0].as_i64().unwrap());
    }
    let all: Vec<i64> = (0..i64::try_from(count).unwrap()).collect();
    assert_eq!(reached, all, "{what}");
    true
}

/// On to an element, by the key that goes on.
async fn tab_to(browser: &Browser, selector: &str) {
    for _ in 0..300 {
        browser.keys(TAB).await;
        let there = format!("return document.activeElement === document.querySelector(\"{selector}\")");
        if browser.run(&there).await == true {
            return;
        }
    }
    panic!("no key leads to {selector}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's chromium and chromium-driver, and npm; .ci/run installs them"]
async fn a_crisis_is_taken_and_ended_without_a_mouse() {
    let world = World::new().await;
    let browser = Browser::start(1440, 900, false).await;
    browser.go(&world.first_link().await).await;
    tab_to(&browser, "input[name=name]").await;
    browser.keys(&format!("ann{TAB}{PASSWORD}{TAB}{PASSWORD}{ENTER}")).await;
    world.sees(&browser, "h1", "All quiet").await;
    let threat = world.crisis().await;
    world.sees(&browser, ".incident h2", "active-threat reported").await;

    // The first key leads past the navigation.
    browser.go(&world.root).await;
    browser.keys(TAB).await;
    assert_eq!(browser.run("return document.activeElement.className").await, "skip");
    browser.keys(ENTER).await;
    assert_eq!(browser.run("return document.activeElement.id").await, "main");
    tab_to(&browser, ".incident form.take button").await;
    browser.keys(ENTER).await;
    world.sees(&browser, ".owner", "ann has it").await;
    tab_to(&browser, ".actions details summary").await;
    browser.keys(&format!("{ENTER}{TAB}called the police{TAB}{ENTER}")).await;
    world.sees(&browser, "#timeline", "called the police").await;
    tab_to(&browser, "#playbook .step button.tick").await;
    browser.keys(ENTER).await;
    world.sees(&browser, "#playbook .step.done", "ann").await;
    tab_to(&browser, ".actions details:nth-of-type(2) summary").await;
    browser.keys(&format!("{ENTER}{TAB}it was a film{TAB}{ENTER}")).await;
    world.sees(&browser, ".owner", "Over: ann").await;
    let id = threat["id"].as_str().unwrap();
    assert_eq!(world.daemon.get(&format!("/api/v1/incidents/{id}")).await["state"], "resolved");

    for page in PAGES {
        browser.go(&format!("{}/{page}", world.root)).await;
        goes_round(&browser, page).await;
    }
    for page in [format!("incidents/{id}"), format!("incidents/{id}/report")] {
        browser.go(&format!("{}/{page}", world.root)).await;
        goes_round(&browser, &page).await;
    }
    world.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's chromium and chromium-driver, and npm; .ci/run installs them"]
async fn without_script_one_reads_and_takes_charge_all_the_same() {
    let world = World::new().await;
    let browser = Browser::start(360, 740, false).await;
    // Pages have no script within themselves, their policy forbids it; the one beside them never comes. The driver's own
    // would not run either if all were switched off.
    for (cmd, params) in [("Network.enable", json!({})), ("Network.setBlockedURLs", json!({ "urls": ["*.js"] }))] {
        browser.post("/goog/cdp/execute", json!({ "cmd": cmd, "params": params })).await;
    }
    world.sign_up(&browser).await;
    let threat = world.crisis().await;
    // Nothing follows by itself.
    assert_eq!(browser.text("#live").await, "");
    browser.go(&world.root).await;
    world.sees(&browser, "h1", "1 incident is open").await;
    browser.press(".incident h2 a").await;
    world.sees(&browser, "#head h1", "active-threat reported").await;
    assert_eq!(browser.text("#posts mark").await, "gunman");
    browser.press("form.take button").await;
    world.sees(&browser, ".owner", "ann has it").await;
    browser.press(".actions details summary").await;
    browser.fill(".actions textarea", "called the police").await;
    browser.press(".actions details button").await;
    world.sees(&browser, "#timeline", "called the police").await;
    assert_eq!(browser.text("#live").await, "", "no script ran");
    let id = threat["id"].as_str().unwrap();
    assert_eq!(world.daemon.get(&format!("/api/v1/incidents/{id}")).await["acknowledged"]["by"], "ann");
    world.daemon.stop().await;
}

/// Every page that has no name of something in its address.
const PAGES: [&str; 16] = [
    "",
    "incidents",
    "sources",
    "rules",
    "rules/active-threat.rule",
    "people",
    "people/calendar",
    "silences",
    "account",
    "access",
    "audit",
    "wall",
    "search?q=gunman&lang=en",
    "playbooks",
    "handover",
    "no-such-page",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's chromium and chromium-driver, and npm; .ci/run installs them"]
async fn what_answers_a_form_is_fine_small_and_large_by_day_and_by_night() {
    let (world, axe) = (World::new().await, axe());
    let threat = world.crisis().await;
    let incident = format!("incidents/{}", threat["id"].as_str().unwrap());
    let link = world.first_link().await;
    for (place, (width, height, dark)) in
        [(360, 740, false), (360, 740, true), (1440, 900, false), (1440, 900, true)].into_iter().enumerate()
    {
        let browser = Browser::start(width, height, dark).await;
        let name = |what: &str| format!("console-{what}-{width}-{}.png", if dark { "night" } else { "day" });
        let at = |page: &str| format!("{}/{page}", world.root);
        let shown = async |what: &str| {
            judge(&browser, axe, &format!("{what} at {width} px, {dark}")).await;
            browser.picture(&name(what)).await;
        };
        if place == 0 {
            browser.go(&link).await;
            browser.fill("input[name=name]", "ann").await;
            browser.fill("input[name=password]", PASSWORD).await;
            browser.fill("input[name=again]", "another horse altogether").await;
            send(&world, &browser, "main button").await;
            shown("refused-password").await;
            browser.fill("input[name=password]", PASSWORD).await;
            browser.fill("input[name=again]", PASSWORD).await;
            send(&world, &browser, "main button").await;
        } else {
            browser.go(&at("")).await;
            shown("sign-in").await;
            browser.fill("input[name=name]", "ann").await;
            browser.fill("input[name=password]", PASSWORD).await;
            send(&world, &browser, "main button").await;
        }
        browser.go(&at("account")).await;
        browser.fill("section[aria-labelledby=tokens-h] input[name=name]", "the wall of the press office").await;
        send(&world, &browser, "form[action$='account/tokens'] button").await;
        world.sees(&browser, "code.link", "sbt_").await;
        shown("token").await;
        browser.go(&at("access")).await;
        browser.fill("form[action$='access/invite'] input[name=name]", &format!("guest{place}")).await;
        send(&world, &browser, "form[action$='access/invite'] button").await;
        world.sees(&browser, "code.link", "/invited/").await;
        shown("invited").await;
        browser.go(&at("silences?match=topic%3Dservice")).await;
        browser.fill("input[name=reason]", "the car park is closed").await;
        send(&world, &browser, "button[value=preview]").await;
        shown("silence-preview").await;
        browser.fill("input[name=match]", "=").await;
        send(&world, &browser, "button[value=order]").await;
        shown("silence-refused").await;
        browser.go(&at("rules/active-threat.rule")).await;
        browser.fill("textarea[name=query]", " OR lobby").await;
        browser.fill("textarea[name=text]", "a man with a gun").await;
        send(&world, &browser, "#try button[value=try]").await;
        shown("rule-try").await;
        send(&world, &browser, "#try button[value=preview]").await;
        shown("rule-preview").await;
        browser.fill("textarea[name=query]", " OR (").await;
        send(&world, &browser, "#try button[value=try]").await;
        shown("rule-refused").await;
        browser.go(&at("playbooks")).await;
        browser.press("details.playbook summary").await;
        shown("playbook-open").await;
        browser.go(&at("handover")).await;
        browser.fill("#notes textarea", "The press office of the city called twice.").await;
        send(&world, &browser, "#notes button").await;
        shown("handover-note").await;
        browser.go(&at("people/calendar")).await;
        shown("calendar").await;
        browser.go(&at(&incident)).await;
        browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true }); return 0").await;
        shown("incident-open").await;
        browser.go(&at(&format!("{incident}/report"))).await;
        shown("report").await;
        // What somebody may not do, and what there is not.
        browser.go(&at("incidents/none")).await;
        shown("no-incident").await;
        send(&world, &browser, "form.me button").await;
    }
    world.daemon.stop().await;
}

/// Lighthouse's “Slow 4G”: 1.6 Mbit/s down, 750 kbit/s up, 150 ms there and back.
const SLOW: (u32, u32, u32) = (150, 200_000, 93_750);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's chromium and chromium-driver; .ci/run installs them"]
async fn the_first_page_is_small() {
    let world = World::new().await;
    world.crisis().await;
    let browser = Browser::start(360, 740, false).await;
    world.sign_up_into(&browser, "1 incident is open").await;
    // Another one, which has nothing of ours yet.
    let browser = Browser::start(360, 740, false).await;
    browser.go(&world.root).await;
    browser.fill("input[name=name]", "ann").await;
    browser.fill("input[name=password]", PASSWORD).await;
    browser.press("main button").await;
    world.sees(&browser, "h1", "1 incident is open").await;
    // Without what was kept of the page before; the session's cookie stays.
    let command = |cmd: &str| json!({ "cmd": cmd, "params": {} });
    browser.post("/goog/cdp/execute", command("Network.clearBrowserCache")).await;
    browser.slow(SLOW.0, SLOW.1, SLOW.2).await;
    browser.go(&world.root).await;
    world.sees(&browser, "h1", "1 incident is open").await;
    let loaded = "const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]; \
        const paint = performance.getEntriesByName('first-contentful-paint')[0]; \
        return [all.reduce((sum, one) => sum + one.transferSize, 0), all.length, paint?.startTime ?? null]";
    let loaded = async || browser.run(loaded).await;
    let loaded = world.daemon.until(loaded, |loaded: &Value| !loaded[2].is_null()).await;
    println!("{} bytes in {} parts, readable after {} ms", loaded[0], loaded[1], loaded[2]);
    assert!(loaded[1].as_u64().unwrap() >= 3, "page, style and script: {loaded}");
    let bytes = loaded[0].as_u64().unwrap();
    assert!(bytes > 10_000 && bytes < 100_000, "{loaded}");
    world.daemon.stop().await;
}

/// A port that is free now.
async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// Signs in at the pages of the provider, which asks the first time whether we may know.
async fn sign_in_there(world: &World, browser: &Browser, name: &str) {
    let field = async || browser.run("return !!document.querySelector('input[name=login]')").await;
    world.daemon.until(field, |there: &Value| *there == true).await;
    browser.fill("input[name=login]", name).await;
    browser.fill("input[name=password]", "whatever").await;
    browser.press("button[type=submit]").await;
    world.sees(browser, "h1", "Authorize").await;
    browser.press("button[type=submit]").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's chromium and chromium-driver, and npm; .ci/run installs them"]
async fn people_sign_in_by_a_provider_of_another_make() {
    let port = free_port().await;
    let root = format!("http://127.0.0.1:{port}");
    let (folder, text) = (tempfile::tempdir().unwrap(), include_str!("../foreign/oidc.mjs"));
    let back = format!("{root}/sign-in/oidc/back");
    let Some(mut provider) = npm(folder.path(), "oidc.mjs", text, &["oidc-provider@9"], &[&back]) else { return };
    let line = provider.line_with("listens at http://");
    let (_, issuer) = line.split_once("listens at ").unwrap();
    let oidc = format!(
        "[web.oidc]\nissuer = \"{issuer}\"\nname = \"St. Brigid's\"\nclient_id = \"stormbell\"\n\
         client_secret = {{ file = \"oidc-secret\" }}\nscope = \"openid profile groups\"\n\
         roles = {{ \"crisis-team\" = \"responder\" }}\n"
    );
    let world = World::with(|config| config.public(&root).listening(port).and(&oidc)).await;
    let (axe, browser) = (axe(), Browser::start(1440, 900, false).await);

    // Who is in no group is known there, and nobody here.
    browser.go(&format!("{root}/sources")).await;
    world.sees(&browser, "main", "Sign in with St. Brigid's").await;
    judge(&browser, axe, "signing in elsewhere").await;
    browser.picture("console-sign-in-elsewhere.png").await;
    browser.press("a[href*='sign-in/oidc']").await;
    sign_in_there(&world, &browser, "eve").await;
    world.sees(&browser, "main", "have no role here").await;
    judge(&browser, axe, "no role here").await;
    browser.picture("console-no-role.png").await;

    // Another browser: there, too, one stays signed in.
    let browser = Browser::start(360, 740, true).await;
    browser.go(&format!("{root}/sources")).await;
    world.sees(&browser, "main", "Sign in with St. Brigid's").await;
    judge(&browser, axe, "signing in elsewhere at night").await;
    browser.picture("console-night-sign-in-elsewhere.png").await;
    browser.press("a[href*='sign-in/oidc']").await;
    sign_in_there(&world, &browser, "ann").await;
    world.sees(&browser, "h1", "Sources").await;
    browser.go(&format!("{root}/account")).await;
    world.sees(&browser, "main", "Responder").await;
    assert!(browser.text("h1").await.contains(": ann"));
    assert_eq!(browser.run("return document.cookie").await, "", "no script reads them");
    send(&world, &browser, "form.me button").await;
    // Who is still signed in there comes in without a word, and to nobody's page but ours.
    browser.press("a[href*='sign-in/oidc']").await;
    world.sees(&browser, "form.me", "ann").await;

    // Who says no there is told so here.
    send(&world, &browser, "form.me button").await;
    browser.run(&format!("location = '{root}/sign-in/oidc/back?error=access_denied&state=x'; return 0")).await;
    world.sees(&browser, "main", "begun elsewhere").await;
    world.daemon.stop().await;
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

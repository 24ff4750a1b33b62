//! Chromium, driven by its own driver.

use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Client;
use serde_json::{Value, json};

use super::child::{Process, Reads};

/// Keys without a letter (W3C `WebDriver`, §17.4.2).
pub const TAB: &str = "\u{E004}";
pub const ENTER: &str = "\u{E007}";

/// A browser, driven by its own driver (W3C `WebDriver`).
pub struct Browser {
    _driver: Process,
    _profile: tempfile::TempDir,
    client: Client,
    session: String,
}

impl Browser {
    /// On a telephone.
    pub async fn telephone() -> Self {
        Self::start(375, 720, false).await
    }

    /// With a window of that size in pixels; in the colours of the night.
    pub async fn start(width: u32, height: u32, dark: bool) -> Self {
        let mut driver = Command::new("chromedriver");
        let mut driver = Process::start(driver.arg("--port=0").stderr(Stdio::null()), Reads::Output);
        let line = driver.line_with("was started successfully on port");
        let port = line.trim_end_matches('.').rsplit(' ').next().unwrap().to_owned();
        let profile = tempfile::tempdir().unwrap();
        let folder = format!("--user-data-dir={}", profile.path().display());
        let quiet =
            ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"];
        let mut args =
            [&["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", &folder][..], &quiet].concat();
        if dark {
            args.push("--blink-settings=preferredColorScheme=0");
        }
        let emulated =
            json!({ "deviceMetrics": { "width": width, "height": height, "pixelRatio": 1.0, "mobile": width < 600 } });
        let options = json!({ "args": args, "mobileEmulation": emulated });
        let log = json!({ "browser": "ALL" });
        let wanted =
            json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options, "goog:loggingPrefs": log } } });
        let client = Client::builder().no_proxy().tls_certs_only([]).timeout(2 * super::PATIENCE).build().unwrap();
        let mut browser =
            Self { _driver: driver, _profile: profile, client, session: format!("http://127.0.0.1:{port}/session") };
        let id = browser.post("", wanted).await["sessionId"].clone();
        browser.session = format!("{}/{}", browser.session, id.as_str().unwrap());
        browser
    }

    /// Goes to an address, and waits until the page is drawn: what is typed before, the browser throws away.
    pub async fn go(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
        let drawn = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done(null)))";
        self.post("/execute/async", json!({ "script": drawn, "args": [] })).await;
    }

    /// What a script returns.
    pub async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Types into a field.
    pub async fn fill(&self, selector: &str, text: &str) {
        self.on(selector, "value", json!({ "text": text })).await;
    }

    /// Presses keys one after the other, as somebody without a mouse does; see [`TAB`] for those that have no letter.
    pub async fn keys(&self, keys: &str) {
        let press = |key: char| {
            let key = key.to_string();
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        };
        let presses: Vec<Value> = keys.chars().flat_map(press).collect();
        self.post("/actions", json!({ "actions": [{ "type": "key", "id": "keys", "actions": presses }] })).await;
    }

    /// Makes the network slow, as a page of another origin finds it; both in bytes a second.
    pub async fn slow(&self, latency_ms: u32, down: u32, up: u32) {
        let conditions =
            json!({ "offline": false, "latency": latency_ms, "download_throughput": down, "upload_throughput": up });
        self.post("/chromium/network_conditions", json!({ "network_conditions": conditions })).await;
    }

    /// What the console of the browser complains about.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", json!({ "type": "browser" })).await;
        log.as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.ask(path, &body).await;
        assert!(answer["value"]["error"].is_null(), "{path}: {answer:#}");
        answer["value"].clone()
    }

    async fn ask(&self, path: &str, body: &Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.session)).body(body.to_string());
        serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
    }

    /// What the element shows.
    pub async fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector('{selector}')?.innerText ?? ''");
        self.post("/execute/sync", json!({ "script": script, "args": [] })).await.as_str().unwrap().to_owned()
    }

    pub async fn press(&self, selector: &str) {
        self.on(selector, "click", json!({})).await;
    }

    /// Does something to an element; to its successor if the page renewed itself in between.
    async fn on(&self, selector: &str, what: &str, body: Value) {
        loop {
            let element = self.element(selector).await;
            let path = format!("/element/{element}/{what}");
            let answer = self.ask(&path, &body).await;
            let error = &answer["value"]["error"];
            // What leaves the page while something is done to it is said to be stale, or not to be shown.
            if error.is_null() || (error != "stale element reference" && self.element(selector).await == element) {
                assert!(error.is_null(), "{path}: {answer:#}");
                return;
            }
        }
    }

    async fn element(&self, selector: &str) -> String {
        let element = self.post("/element", json!({ "using": "css selector", "value": selector })).await;
        element.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
    }

    /// A picture for whoever wants to look, in the folder that is named.
    pub async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("STORMBELL_PICTURES") else { return };
        // All of the page, also what one would have to scroll to.
        let size = self
            .run("return [document.documentElement.clientWidth, Math.min(document.documentElement.scrollHeight, 8000)]")
            .await;
        let clip = json!({ "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1 });
        let params = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let shot = self.post("/goog/cdp/execute", json!({ "cmd": "Page.captureScreenshot", "params": params })).await;
        let png = BASE64_STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(std::path::Path::new(&folder).join(name), png).unwrap();
    }
}

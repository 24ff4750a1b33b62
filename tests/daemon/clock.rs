//! The machine's clock, set by hours and by years under the running program: nobody is told anything false, nothing that
//! is true is missed, and nobody is told twice.
//!
//! The program runs under Debian's `libfaketime`, which shifts what it reads of the clock and leaves alone what goes
//! evenly (`CLOCK_MONOTONIC`). The stream keeps its own time, as a real one does.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::daemon::{Config, Daemon, HOOK, Place, now, pair_rule, say};
use crate::support::jetstream::{Script, SimJetstream};
use crate::support::sink::{Request, SimSink};
use serde_json::Value;
use stormbell::rng::Rng;

/// How many times the clock is set, unless `STORMBELL_JUMPS` says so.
const JUMPS: usize = 20;

/// What would be false: a rule that asks for the unusual, one that asks for silence, and one that asks for a share.
const FALSE: &str = "[[rule]]
id = \"spike.rule\"
title = \"unusual\"
severity = \"critical\"
topic = \"spike\"
query = 'weather'
spike = { false_alarms = \"1 per 7d\" }

[[rule]]
id = \"quiet.rule\"
title = \"silence\"
severity = \"critical\"
topic = \"quiet\"
query = 'weather'
quiet = { for = \"2h\" }

";

/// The clock as the program sees it.
struct Faked {
    file: PathBuf,
    library: PathBuf,
}

impl Faked {
    fn new(folder: &Path) -> Self {
        let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"];
        let library = folders.iter().map(|folder| Path::new(folder).join("faketime/libfaketime.so.1"));
        let library = library.into_iter().find(|path| path.is_file()).expect("needs Debian's libfaketime");
        let faked = Self { file: folder.join("clock"), library };
        faked.set(0);
        faked
    }

    /// So many seconds beside the true one.
    fn set(&self, seconds: i64) {
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(beside, &self.file).unwrap();
    }

    fn command(&self, place: &Place) -> Command {
        let mut command = place.command();
        command.env("LD_PRELOAD", &self.library).env("FAKETIME_TIMESTAMP_FILE", &self.file);
        // Its older name, too: whichever the library is of.
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_RESET", "1");
        command
    }
}

/// What came to that address.
fn requests_to(sink: &SimSink, path: &str) -> Vec<Request> {
    sink.requests().into_iter().filter(|request| request.line.contains(path)).collect()
}

fn kinds(requests: &[Request], kind: &str) -> Vec<String> {
    let bodies = requests.iter().map(|request| serde_json::from_slice::<Value>(&request.body).unwrap());
    let of_kind = bodies.filter(|body| body["type"] == kind);
    of_kind.map(|body| body["incident"]["topic"].as_str().unwrap().to_owned()).collect()
}

async fn opened(daemon: &Daemon, topic: &str) -> Value {
    daemon.until(async || daemon.incidents(topic).await, |found| !found.is_empty()).await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's libfaketime; run by .ci/run"]
async fn a_clock_that_is_set_by_hours_and_years_tells_nobody_anything_false_and_hides_nothing() {
    const HOUR: i64 = 3600;
    const YEAR: i64 = 365 * 24 * HOUR;
    let jumps = std::env::var("STORMBELL_JUMPS").map_or(JUMPS, |jumps| jumps.parse().unwrap());
    let seed = std::env::var("STORMBELL_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("{jumps} jumps, seed {seed}");
    let mut rng = Rng::new(seed);
    let (stream, sink) = (SimJetstream::start(Script::default()).await, SimSink::start().await);
    let config = Config::new(&stream.url(), "").webhook("hook", &sink.url(HOOK)).webhook("boss", &sink.url("/boss"));
    // Who does not take charge in two hours is passed over; the run is shorter than that.
    let config = config.and(
        "[[route]]\nsteps = [{ notify = [\"hook\"], ack_within = \"2h\" }, { notify = [\"boss\"] }]\nrepeat_every = \"4h\"",
    );
    let mut rules = vec![FALSE.to_owned(), pair_rule("first", "beginning", "critical")];
    rules.extend((0..jumps).map(|jump| pair_rule(&format!("jump-{jump}"), &format!("zqword{jump}"), "critical")));
    let place = Place::new(&config, &rules);
    let faked = Faked::new(&place.path(""));
    let daemon = place.start_as(faked.command(&place)).await;
    daemon.says("source connected").await;
    let mut frames = 0;
    let mut tell = |did: &str, text: &str| {
        frames += 1;
        stream.push(say(now(), did, &format!("k{frames}"), text));
        frames
    };
    // One that nobody takes charge of while the clock jumps: its two hours go evenly.
    tell("did:plc:a", "beginning");
    tell("did:plc:b", "beginning");
    opened(&daemon, "first").await;
    let mut at = 0;
    for jump in 0..jumps {
        let topic = format!("jump-{jump}");
        let read = tell("did:plc:a", &format!("zqword{jump} and the weather"));
        daemon.read_frames(read).await;
        let by = match rng.below(10) {
            0 => YEAR,
            1 => -YEAR,
            _ => (1 + i64::try_from(rng.below(12 * HOUR as u64)).unwrap()) * if rng.below(2) == 0 { 1 } else { -1 },
        };
        // Never further than two years from the truth; certificates and calendars have ends.
        at = if (at + by).abs() > 2 * YEAR { at - by } else { at + by };
        faked.set(at);
        daemon.says_times("service.clock.set", jump + 1).await;
        // The second half of a pair that began before.
        tell("did:plc:b", &format!("zqword{jump} too"));
        let incident = opened(&daemon, &topic).await;
        let told =
            async || kinds(&requests_to(&sink, HOOK), "incident.opened").iter().filter(|one| **one == topic).count();
        daemon.until(told, |told| *told == 1).await;
        daemon.act(incident["id"].as_str().unwrap(), "ack").await;
    }
    let incidents = daemon.get("/api/v1/incidents").await;
    let topics: Vec<&str> = incidents.as_array().unwrap().iter().map(|one| one["topic"].as_str().unwrap()).collect();
    assert_eq!(topics.len(), jumps + 1, "one of each pair and nothing else: {topics:?}");
    let told = requests_to(&sink, HOOK);
    let openings = kinds(&told, "incident.opened");
    assert_eq!(openings.len(), jumps + 1, "{openings:?}");
    assert!(told.len() <= 2 * (jumps + 1), "opened and acknowledged, no more: {}", told.len());
    assert_eq!(kinds(&requests_to(&sink, "/boss"), "incident.escalated"), [""; 0], "its two hours are not over");
    // What was read is there, whatever year it was.
    assert!(place.database_holds("zqword0 and the weather"));
    daemon.stop().await;
}

//! `stormbell demo`: the whole program, with a simulated world around it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::run::{STANDING_FILTER, standing, to_the_end, with_desktop};
use super::{Exit, say};
use crate::app::clock::SystemClock;
use crate::app::daemon::{self, Failure, Setup};
use crate::app::rulebook::Rulebook;
use crate::config::model::{JetstreamConfig, SourceConfig, SourceKind, Transport};
use crate::demo::script::Script;
use crate::demo::server::{Speed, serve};
use crate::domain::organization::Organization;
use crate::domain::quantity::duration;
use crate::domain::time::Clock;
use crate::source::timing::Timing;

/// Watch a crisis unfold: a simulated stream, the built-in rules, the whole pipeline.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell demo                                  stop it with Ctrl-C
  stormbell demo --speed 5 --exit-after 20s")]
pub(super) struct Demo {
    /// How many times faster than life, 0.01 to 1000
    #[arg(long, value_name = "N", default_value = "1", value_parser = speed)]
    speed: Speed,
    /// Stop by itself after this time (for instance 90s)
    #[arg(long, value_name = "DUR", value_parser = span)]
    exit_after: Option<Duration>,
}

fn speed(text: &str) -> Result<Speed, String> {
    let number = text.parse().ok().and_then(Speed::new);
    number.ok_or_else(|| "a number from 0.01 to 1000".to_owned())
}

fn span(text: &str) -> Result<Duration, String> {
    duration(text).map_err(|error| error.to_string())
}

/// The play is the same every time; only its keys differ.
const SEED: u64 = 20;

impl Demo {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let folder = std::env::temp_dir().join(format!("stormbell-demo-{}", std::process::id()));
        let exit = to_the_end(STANDING_FILTER, self.play(folder.join("stormbell.db")));
        // Nobody misses it if the system cleans up later.
        std::fs::remove_dir_all(&folder).unwrap_or_default();
        exit
    }

    async fn play(self, database: std::path::PathBuf) -> Result<(), Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("a port for the simulated stream")?;
        let stream = listener.local_addr().context("the simulated stream's address")?;
        let mut config = standing(Organization::example(), simulated(stream)?, &database);
        if let Some(web) = &mut config.web
            && TcpListener::bind(web.listen).await.is_err()
        {
            web.listen.set_port(0); // taken: any other will do for a demo
        }
        introduce(&config.organization);
        let config = with_desktop(config).await;
        let rulebook = Rulebook::load(&config.rules, &config.organization);
        let (listening, address) = oneshot::channel();
        let stop = CancellationToken::new();
        let setup = Setup {
            config,
            rules: Arc::clone(&rulebook.rules),
            files: rulebook.files,
            reload: None,
            open_api: true,
            timing: Timing::default(),
            stop: stop.clone(),
            listening: Some(listening),
        };
        let script = Script::new(SEED, clock.now());
        // The world goes on until the daemon is done, as the real one would.
        let play = serve(listener, script, self.speed, clock, CancellationToken::new());
        let exit_after = self.exit_after;
        let guide = async {
            if let Ok(address) = address.await {
                point_out(address);
            }
            if let Some(span) = exit_after {
                sleep(span).await;
                stop.cancel();
            }
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            result = daemon::run(setup) => result,
            result = play => {
                let why = result.map_or_else(anyhow::Error::new, |()| anyhow::anyhow!("it ended"));
                Err(why.context("the simulated stream").into())
            }
            never = guide => match never {},
        }
    }
}

fn simulated(address: SocketAddr) -> anyhow::Result<SourceConfig> {
    let jetstream = JetstreamConfig {
        urls: vec![Url::parse(&format!("ws://{address}/subscribe"))?],
        wanted_collections: JetstreamConfig::DEFAULT_COLLECTIONS.iter().map(ToString::to_string).collect(),
        max_frame_bytes: JetstreamConfig::DEFAULT_MAX_FRAME_BYTES,
        profiles: None,
        expect_frame_within: Some(Duration::from_secs(30)),
        compression: None,
        transport: Transport::default(),
    };
    Ok(SourceConfig { name: "simulated".into(), kind: SourceKind::Jetstream(jetstream), max_frames_per_second: None })
}

fn introduce(organization: &Organization) {
    say("stormbell demo: a simulated stream on this machine; nothing leaves it, nobody is paged.");
    say(&format!("  The hospital is {}. What to watch for:", organization.name));
    say("     0 s  people talk about everything; a drill at the hospital is announced, and nothing rings");
    say("    20 s  a first person reports a gunman: an incident opens, one report only");
    say("    26 s  a second person does: the same incident becomes critical");
    say("    50 s  dozens do: it is told again at 6, 18, 54 authors, not for each post");
}

fn point_out(address: SocketAddr) {
    let url = if address.port() == 8787 { String::new() } else { format!(" --url http://{address}") };
    say(&format!("  In a browser: http://{address}/    the same for people, and live"));
    say("  In another terminal:");
    say(&format!("    stormbell status{url}                 what is seen, and what is not"));
    say(&format!("    stormbell incidents{url}              what is going on"));
    say(&format!("    stormbell ack INCIDENT --by you{url}  take charge"));
    say("  Stop with Ctrl-C. On your own hospital: stormbell run --org \"Name of the hospital\"");
    say("");
}

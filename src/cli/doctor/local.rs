//! What the daemon wants of this machine.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;
use zbus::proxy::CacheProperties;

use super::{Part, State};
use crate::app::clock::SystemClock;
use crate::config::certificate::{certificate, ends};
use crate::config::load::{ABSENT, OPEN_TO_ALL};
use crate::config::model::{Config, TlsFiles};
use crate::domain::diagnostic::Diagnostic;
use crate::domain::message::counted;
use crate::domain::time::{Clock as _, Timestamp, human};

/// With less the database cannot grow through a crisis, in bytes.
const LITTLE: u64 = 1 << 30;
/// With less it is about to stop writing, in bytes.
const NEARLY_NONE: u64 = 64 << 20;
/// A certificate that ends sooner should have been renewed.
const SOON: Duration = Duration::from_hours(14 * 24);
/// For an answer on the bus.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// All that can be seen without waiting.
pub(super) fn parts(config: &Config) -> Vec<Part> {
    let folder = config.store.path.parent().unwrap_or(Path::new("."));
    // A database in a relative place.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut parts = vec![state_folder(folder)];
    parts.extend(space(folder));
    parts.extend(
        config.web.as_ref().and_then(|web| web.tls.as_ref()).map(|files| own_certificate(files, SystemClock.now())),
    );
    parts.push(ipv6());
    parts
}

fn fine(name: &'static str, words: String) -> Part {
    Part { name, state: State::Fine, words, advice: None }
}

/// The first folder on the way up that is there.
fn nearest(folder: &Path) -> &Path {
    folder.ancestors().find(|one| one.is_dir()).unwrap_or(Path::new("/"))
}

/// Whether a file can be made where the database is to be: permissions alone do not say so.
fn state_folder(folder: &Path) -> Part {
    let name = "state folder";
    let there = nearest(folder);
    let probe = there.join(format!(".stormbell-doctor-{}", std::process::id()));
    let written =
        OpenOptions::new().write(true).create_new(true).open(&probe).and_then(|mut file| file.write_all(b"x"));
    // Made by us a moment ago, or not there.
    fs::remove_file(&probe).unwrap_or_default();
    let shown = folder.display();
    match written {
        Ok(()) if there == folder => fine(name, format!("{shown} can be written to")),
        Ok(()) => fine(name, format!("{shown} will be made at the start")),
        Err(error) => Part {
            name,
            state: State::Failed,
            words: format!("nothing can be written to {}: {error}", there.display()),
            advice: Some(
                "let the daemon's user own it; under the packaged unit systemd sees to that, and a shell is another user"
                    .to_owned(),
            ),
        },
    }
}

fn space(folder: &Path) -> Option<Part> {
    let found = rustix::fs::statvfs(nearest(folder)).ok()?;
    Some(room(found.f_bavail.saturating_mul(found.f_frsize)))
}

#[expect(clippy::cast_precision_loss, reason = "a size for people")]
fn room(bytes: u64) -> Part {
    let words = format!("{:.1} GB free for the database", bytes as f64 / 1e9);
    let state = match bytes {
        0..NEARLY_NONE => State::Failed,
        NEARLY_NONE..LITTLE => State::Warning,
        _ => State::Fine,
    };
    let advice = "make room, or let less be kept (`retention` in [store]): a full disk keeps what is new in memory";
    Part { name: "free space", state, words, advice: (state != State::Fine).then(|| advice.to_owned()) }
}

fn own_certificate(files: &TlsFiles, now: Timestamp) -> Part {
    let name = "certificate";
    let failed =
        |words: String, advice: &str| Part { name, state: State::Failed, words, advice: Some(advice.to_owned()) };
    let certified = match certificate(files) {
        Ok(certified) => certified,
        Err(error) => return failed(error.to_string(), "see `tls` in [web]: browsers and desks get no answer"),
    };
    let Some(end) = ends(&certified) else { return fine(name, "the one of [web] never ends".to_owned()) };
    let renewed = "renew it; the daemon reads the files again by itself";
    match end.since(now) {
        Duration::ZERO => failed(format!("the one of [web] ended at {end}"), renewed),
        left => {
            let words = format!("the one of [web] is good for {}, until {end}", human(left));
            let state = if left < SOON { State::Warning } else { State::Fine };
            Part { name, state, words, advice: (left < SOON).then(|| renewed.to_owned()) }
        }
    }
}

/// Whether there is a way out by IPv6. Nothing is sent: a datagram's socket only looks its way up.
fn ipv6() -> Part {
    /// Nobody has it (RFC 3849).
    const ANYWHERE: &str = "[2001:db8::1]:9";
    let way = UdpSocket::bind("[::]:0").and_then(|socket| socket.connect(ANYWHERE));
    let words = match way {
        Ok(()) => "there is a way out; hosts that have both are reached by either",
        Err(_) => "there is no way out, which is fine: hosts are reached by IPv4",
    };
    fine("IPv6", words.to_owned())
}

/// What the configuration's secrets lack; each is told in full where it was found.
pub(super) fn secrets(findings: &[Diagnostic]) -> Part {
    let name = "secrets";
    let absent = findings.iter().filter(|finding| finding.code == ABSENT);
    let (elsewhere, missing): (Vec<_>, Vec<_>) =
        absent.partition(|finding| finding.message.contains("$CREDENTIALS_DIRECTORY is not set"));
    let those = |some: usize| if some == 1 { "1 is".to_owned() } else { format!("{some} are") };
    if !missing.is_empty() {
        return Part {
            name,
            state: State::Failed,
            words: format!("{} not there, or cannot be read; see above", those(missing.len())),
            advice: Some("the daemon does not start without them".to_owned()),
        };
    }
    if !elsewhere.is_empty() {
        return Part {
            name,
            state: State::Warning,
            words: format!("{} given by the service manager, and so to the service alone", those(elsewhere.len())),
            advice: Some(
                "to see whether they are there, say from where: CREDENTIALS_DIRECTORY=FOLDER stormbell doctor"
                    .to_owned(),
            ),
        };
    }
    let open = findings.iter().filter(|finding| finding.code == OPEN_TO_ALL).count() as u64;
    if open > 0 {
        return Part {
            name,
            state: State::Warning,
            words: format!("{} of every user of this machine; see above", counted(open, "file")),
            advice: Some("chmod 600".to_owned()),
        };
    }
    fine(name, "all that the configuration names are there".to_owned())
}

/// Of systemd-timedated, which asks the kernel: so it knows of chrony and ntpd, too.
#[zbus::proxy(
    interface = "org.freedesktop.timedate1",
    default_service = "org.freedesktop.timedate1",
    default_path = "/org/freedesktop/timedate1"
)]
trait TimeDate {
    #[zbus(property, name = "NTPSynchronized")]
    fn synchronized(&self) -> zbus::Result<bool>;
}

/// Whether somebody keeps the clock.
pub(super) async fn clock() -> Part {
    let asked = async {
        let bus = zbus::Connection::system().await?;
        let service = TimeDateProxy::builder(&bus).cache_properties(CacheProperties::No).build().await?;
        service.synchronized().await
    };
    let answer: Option<bool> = timeout(ANSWERED_WITHIN, asked).await.ok().and_then(Result::ok);
    kept(answer)
}

fn kept(answer: Option<bool>) -> Part {
    let name = "clock";
    let look = "let chrony or systemd-timesyncd keep it: pages, reports and the audit log show its time";
    match answer {
        Some(true) => fine(name, "synchronised".to_owned()),
        Some(false) => Part {
            name,
            state: State::Warning,
            words: "nobody sets it by the network's time".to_owned(),
            advice: Some(look.to_owned()),
        },
        None => Part {
            name,
            state: State::Warning,
            words: "nobody here can say whether it is set by the network's time (systemd-timedated)".to_owned(),
            advice: Some(look.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_is_a_warning_and_none_a_failure() {
        for (bytes, state) in [(0, State::Failed), (NEARLY_NONE, State::Warning), (LITTLE, State::Fine)] {
            let part = room(bytes);
            assert_eq!((part.state, part.advice.is_some()), (state, state != State::Fine));
        }
    }

    #[test]
    fn a_clock_that_nobody_keeps_is_told() {
        assert_eq!(kept(Some(true)).state, State::Fine);
        for answer in [Some(false), None] {
            assert!(kept(answer).advice.is_some());
        }
    }

    #[test]
    fn a_folder_that_takes_nothing_is_told_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(state_folder(folder.path()).state, State::Fine);
        assert!(state_folder(&folder.path().join("a/b")).words.ends_with("will be made at the start"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        // Nobody may write there, not even root.
        let refused = state_folder(Path::new("/proc/sys"));
        assert_eq!(refused.state, State::Failed);
        assert!(refused.words.starts_with("nothing can be written to /proc/sys: "), "{}", refused.words);
    }
}

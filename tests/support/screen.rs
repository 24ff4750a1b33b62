//! A desktop session of its own: an X server nobody sees, a bus, and dunst, whose popups can be read and pressed, or
//! Xfce's service and a mouse.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::PATIENCE;

/// A bus that starts no services by itself, but for those in one folder: whether there is one for popups is the test's
/// business.
const BUS: &str = "<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><servicedir>FOLDER</servicedir>\
    <policy context=\"default\"><allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/></policy>\
    </busconfig>";
/// Xfce's service cannot live without its settings.
const XFCONF: &str = "[D-BUS Service]\nName=org.xfce.Xfconf\nExec=/usr/lib/x86_64-linux-gnu/xfce4/xfconf/xfconfd\n";
const XFCE: &str = "/usr/lib/x86_64-linux-gnu/xfce4/notifyd/xfce4-notifyd";

/// A session; it ends when dropped.
pub struct Session {
    folder: TempDir,
    address: String,
    display: String,
    dunst: Option<Running>,
    dunsts: u32,
    xfce: Option<Running>,
    _bus: Running,
    _server: Running,
}

/// Ends its process when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts a program whose first line says where it is.
fn start(command: &mut Command) -> (Running, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it is installed");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (Running(child), line.trim().to_owned())
}

impl Session {
    /// Without a notification service.
    pub fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut xvfb = Command::new("Xvfb");
        let (server, display) = start(xvfb.args(["-displayfd", "1", "-screen", "0", "900x500x24", "-nolisten", "tcp"]));
        let config = folder.path().join("bus.conf");
        std::fs::write(&config, BUS.replace("FOLDER", folder.path().to_str().unwrap())).unwrap();
        std::fs::write(folder.path().join("xfconf.service"), XFCONF).unwrap();
        let mut bus = Command::new("dbus-daemon");
        let (bus, address) = start(bus.arg("--config-file").arg(&config).args(["--nofork", "--print-address=1"]));
        Self {
            folder,
            address,
            display: format!(":{display}"),
            dunst: None,
            dunsts: 0,
            xfce: None,
            _bus: bus,
            _server: server,
        }
    }

    /// A program in the session.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        self.enter(&mut command);
        command
    }

    /// Puts a command into the session.
    pub fn enter(&self, command: &mut Command) {
        command.env("DISPLAY", &self.display).env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        command.env_remove("WAYLAND_DISPLAY");
    }

    /// Starts dunst; `markup` is `full` or `no`. It must be the only one.
    pub fn start_dunst(&mut self, markup: &str) {
        let (settings, choose) = (self.folder.path().join("dunstrc"), self.folder.path().join("choose.sh"));
        // What `dunstctl context` asks a person for.
        std::fs::write(&choose, format!("#!/bin/sh\nexec grep -m1 -f {}/pick\n", self.folder.path().display()))
            .unwrap();
        Command::new("chmod").arg("+x").arg(&choose).status().unwrap();
        let text = format!(
            "[global]\nmarkup = {markup}\ndmenu = {}\nfont = DejaVu Sans 11\nwidth = 480\nheight = 400\nnotification_limit = 20\n\
             enable_recursive_icon_lookup = true\n[urgency_critical]\ntimeout = 0\n",
            choose.display()
        );
        std::fs::write(&settings, text).unwrap();
        self.dunsts += 1;
        let output = std::fs::File::create(self.folder.path().join(format!("shown-{}", self.dunsts))).unwrap();
        let mut dunst = self.command("dunst");
        dunst.arg("-conf").arg(&settings).arg("-print").stdout(output).stderr(Stdio::null());
        self.dunst = Some(Running(dunst.spawn().expect("dunst is installed")));
        self.until("dunst is there", || self.has_service());
    }

    fn has_service(&self) -> bool {
        let mut ask = self.command("dbus-send");
        ask.args(["--print-reply=literal", "--dest=org.freedesktop.DBus", "/", "org.freedesktop.DBus.NameHasOwner"]);
        let answer = ask.arg("string:org.freedesktop.Notifications").output().unwrap();
        String::from_utf8_lossy(&answer.stdout).contains("true")
    }

    /// Ends dunst, and with it every popup. What it had shown can be read then.
    pub fn stop_dunst(&mut self) {
        let dunst = self.dunst.take().expect("it runs");
        // It writes what it printed only when it ends in peace.
        let ended = Command::new("kill").arg(dunst.0.id().to_string()).status().unwrap();
        assert!(ended.success());
        let mut dunst = dunst;
        dunst.0.wait().unwrap();
        self.until("dunst is gone", || !self.has_service());
    }

    /// All popups that every dunst so far has shown, in order. Of one that runs, only what it has printed.
    pub fn popups(&self) -> Vec<Popup> {
        let shown =
            (1..=self.dunsts).map(|n| std::fs::read_to_string(self.folder.path().join(format!("shown-{n}"))).unwrap());
        shown.flat_map(|shown| Popup::read(&shown)).collect()
    }

    /// Starts Xfce's service, whose popups have true buttons.
    pub fn start_xfce(&mut self) {
        let mut xfce = self.command(XFCE);
        xfce.env("HOME", self.folder.path()).env("NO_AT_BRIDGE", "1").env("GTK_A11Y", "none");
        self.xfce = Some(Running(xfce.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it is installed")));
        self.until("Xfce's service is there", || self.has_service());
    }

    /// Moves the mouse to the leftmost button of the popup, which is at its bottom, and clicks.
    pub fn click_first_button(&self) {
        let find = "timeout 10 xdotool search --sync --onlyvisible --class xfce4-notifyd getwindowgeometry --shell";
        let click = "xdotool mousemove $((X + WIDTH / 6)) $((Y + HEIGHT - 30)) mousedown 1 sleep 0.15 mouseup 1";
        let clicked = self.command("sh").args(["-c", &format!("eval \"$({find})\" && {click}")]).status().unwrap();
        assert!(clicked.success());
    }

    /// How many popups are on the screen.
    pub fn displayed(&self) -> u32 {
        let output = self.command("dunstctl").args(["count", "displayed"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }

    /// Waits for so many.
    pub fn displays(&self, count: u32) {
        self.until(&format!("{count} popups"), || self.displayed() == count);
    }

    /// Presses the first button whose label and popup fit the pattern, once there is one.
    pub fn press(&self, pattern: &str) {
        std::fs::write(self.folder.path().join("pick"), format!("{pattern}\n")).unwrap();
        let pressed = self.command("dunstctl").arg("context").status().unwrap();
        assert!(pressed.success());
    }

    /// Closes all popups as a person does.
    pub fn dismiss_all(&self) {
        assert!(self.command("dunstctl").arg("close-all").status().unwrap().success());
    }

    /// Keeps a picture of the screen for a person to judge, where one is asked for: only that needs `ImageMagick`.
    pub fn screenshot(&self, name: &str) {
        let Some(folder) = std::env::var_os("STORMBELL_KEEP_SCREENSHOTS") else { return };
        let path = Path::new(&folder).join(format!("{name}.png"));
        let taken =
            self.command("import").args(["-window", "root"]).arg(path).status().expect("ImageMagick is installed");
        assert!(taken.success());
    }

    /// Waits for something that other programs do.
    #[allow(clippy::disallowed_methods, reason = "dunst and X tell nobody when they are done")]
    pub fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let began = tokio::time::Instant::now();
        while !is_so() {
            assert!(began.elapsed() < PATIENCE, "in vain: {what}; shown: {:#?}", self.popups());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// One popup of `dunst -print`.
#[derive(Debug)]
pub struct Popup {
    pub appname: String,
    pub summary: String,
    pub urgency: String,
    pub body: String,
}

impl Popup {
    /// The popups of `dunst -print`, in the order in which they appeared.
    fn read(shown: &str) -> Vec<Self> {
        let popup = |text: &str| {
            let after = |start: &str| text.split_once(start).unwrap_or_else(|| panic!("no {start} in {text}")).1;
            let quoted = |name: &str, next: &str| after(name).split_once(next).unwrap().0.to_owned();
            Self {
                appname: quoted("\tappname: '", "'\n\t"),
                summary: quoted("\tsummary: '", "'\n\tbody"),
                body: quoted("\tbody: '", "'\n\ticon"),
                urgency: quoted("\turgency: ", "\n"),
            }
        };
        shown.split("\n}\n").filter(|text| text.contains("appname") && text.contains("urgency: ")).map(popup).collect()
    }
}

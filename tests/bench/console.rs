//! The console under load: slow connections, viewers, and the first page as it goes over the wire.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::corpus::Corpus;
use super::corpus::Draft;
use super::corpus::rules::{alarm, alarms};
use super::daemon::{Daemon, TOKEN};
use super::latency::micros_now;
use super::measure::Spread;
use super::sink::Sink;
use super::stream::{Listener, Stream};

/// The answer of a page comes within this, or the run ends.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often calm and crowd take turns.
const TURNS: usize = 4;
/// A byte of a slow request comes this often.
const DRIP: Duration = Duration::from_secs(1);

/// In so many parts of it.
const SLICES: usize = 100;
/// Who was turned away and comes back does so after this.
const AGAIN: Duration = Duration::from_secs(10);

#[derive(Debug, Parser)]
pub struct Console {
    /// Connections that send a request byte by byte and never end it
    #[arg(long, default_value_t = 10_000)]
    slow: usize,
    /// Streams of events that are looked at
    #[arg(long, default_value_t = 500)]
    viewers: usize,
    /// Pages asked for in each stretch, one after the other, each over a connection of its own
    #[arg(long, default_value_t = 2000)]
    pages: usize,
    /// Incidents that are open
    #[arg(long, default_value_t = 20)]
    open: usize,
}

impl Console {
    /// As without arguments.
    pub fn all() -> Self {
        Self::parse_from(["console"])
    }

    pub fn run(self, seed: u64) {
        let world = World::start(self.open, seed);
        world.first_page();
        let watching = self.viewers(&world);
        drop(watching);
        self.slow(&world, None);
        self.slow(&world, Some(AGAIN));
    }

    /// Memory that viewers cost, once each has been told of an incident.
    fn viewers(&self, world: &World) -> Vec<TcpStream> {
        let before = world.daemon.memory("VmRSS");
        let mut watching: Vec<TcpStream> = (0..self.viewers).map(|_| world.ask("/api/v1/events")).collect();
        for one in &mut watching {
            until(one, "event: missed");
        }
        let idle = world.daemon.memory("VmRSS");
        world.happens(self.open);
        for one in &mut watching {
            until(one, "event: incident");
        }
        let told = world.daemon.memory("VmRSS");
        let more = |at: u64| at.saturating_sub(before) as f64 / 1e6;
        println!(
            "viewers   {} streams of events: {:.1} MB more while nothing happens, {:.1} MB once all were told of an incident; {:.1} MB before",
            self.viewers,
            more(idle),
            more(told),
            before as f64 / 1e6
        );
        watching
    }

    /// How long a page takes in calm, and beside slow connections; in turns, so that what else the machine does counts for both.
    fn slow(&self, world: &World, again: Option<Duration>) {
        let room = allow_files(self.slow as u64 + 500);
        let slow = self.slow.min(usize::try_from(room.saturating_sub(500)).unwrap());
        if slow < self.slow {
            println!("slow      only {slow} connections: this process may not open more files");
        }
        let (mut calm, mut beside, mut open) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TURNS {
            calm.extend(world.pages(self.pages / TURNS));
            let crowd = Crowd::start(world.address, slow, again);
            beside.extend(world.pages(self.pages / TURNS));
            open.push(crowd.open());
            drop(crowd);
        }
        let (calm, beside) = (Spread::of(calm), Spread::of(beside));
        let back = again.map_or("stay away".to_owned(), |again| format!("come back after {} s", again.as_secs()));
        println!("page      in calm: {calm}");
        println!(
            "page      beside {slow} slow connections that {back} when they are turned away ({open:?} had a place when looked at): {beside}"
        );
        println!("page      p99 beside them is {:.2} × that in calm", beside.micros(0.99) / calm.micros(0.99));
    }
}

struct World {
    daemon: Daemon,
    listener: Mutex<Listener>,
    sink: Mutex<Sink>,
    address: SocketAddr,
    seed: u64,
}

impl World {
    fn start(open: usize, seed: u64) -> Self {
        let (stream, sink) = (Stream::open(), Sink::open());
        let daemon = Daemon::start(&stream, &sink, &alarms(open + 1));
        let listener = Mutex::new(stream.listener());
        let (address, sink) = (daemon.console(), Mutex::new(sink));
        let world = Self { daemon, listener, sink, address, seed };
        (0..open).for_each(|number| world.happens(number));
        world
    }

    /// Somebody raises an alarm, and the hook was told.
    fn happens(&self, number: usize) {
        let (mut corpus, mut frame) = (Corpus::new(self.seed), String::new());
        corpus.post(micros_now(), &Draft::english(&alarm(number)), &mut frame);
        self.listener.lock().unwrap().send(&frame);
        let sink = self.sink.lock().unwrap();
        while sink.next().topic() != format!("alarm-{number}") {}
    }

    fn ask(&self, path: &str) -> TcpStream {
        let mut connection = TcpStream::connect(self.address).unwrap();
        connection.set_nodelay(true).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        let address = self.address;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
        );
        connection.write_all(request.as_bytes()).unwrap();
        connection
    }

    /// All bytes of an answer, and how long they took from before the connection was made.
    fn get(&self, path: &str) -> (Vec<u8>, Duration) {
        let began = Instant::now();
        let mut answer = Vec::new();
        self.ask(path).read_to_end(&mut answer).unwrap();
        let took = began.elapsed();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(&answer));
        (answer, took)
    }

    fn pages(&self, count: usize) -> Vec<Duration> {
        (0..count).map(|_| self.get("/").1).collect()
    }

    /// What a browser fetches for the first page, headers included.
    fn first_page(&self) {
        let (page, _) = self.get("/");
        let text = String::from_utf8_lossy(&page).into_owned();
        let mut parts = vec![("/".to_owned(), page.len())];
        for (_, rest) in text.match_indices("/assets/").map(|(at, _)| text.split_at(at)) {
            let path = rest.split('"').next().unwrap();
            parts.push((path.to_owned(), self.get(path).0.len()));
        }
        let whole: usize = parts.iter().map(|(_, bytes)| bytes).sum();
        let parts: Vec<String> = parts.iter().map(|(path, bytes)| format!("{path} {bytes}")).collect();
        println!("first     {whole} bytes with headers: {}", parts.join(", "));
    }
}

/// Reads until these words have come.
fn until(connection: &mut TcpStream, words: &str) {
    let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&heard).contains(words) {
        let length = connection.read(&mut piece).unwrap();
        assert!(length > 0, "the stream ended before {words:?}: {}", String::from_utf8_lossy(&heard));
        heard.extend(&piece[..length]);
    }
}

/// Lets this process open more files, as many as it may; gives how many that are.
fn allow_files(wanted: u64) -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    limit.current = Some(wanted.min(most).max(limit.current.unwrap_or(u64::MAX)));
    setrlimit(Resource::Nofile, limit).unwrap();
    limit.current.unwrap_or(u64::MAX)
}

/// A client of a crowd.
enum Client {
    There(TcpStream),
    /// Turned away then.
    Gone(Instant),
}

/// Clients that are there and get nothing done.
struct Crowd {
    stop: Arc<AtomicBool>,
    open: Arc<AtomicUsize>,
    worker: Option<thread::JoinHandle<()>>,
}

impl Crowd {
    fn start(address: SocketAddr, count: usize, again: Option<Duration>) -> Self {
        let (stop, open) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut all: Vec<Client> = (0..count).map(|_| Client::There(begin(address))).collect();
        let worker = thread::spawn({
            let (stop, open) = (Arc::clone(&stop), Arc::clone(&open));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    // Spread over the second, as from as many machines.
                    for (slice, clients) in all.chunks_mut(count.div_ceil(SLICES)).enumerate() {
                        thread::sleep((DRIP / SLICES as u32 * slice as u32).saturating_sub(began.elapsed()));
                        for one in clients {
                            match one {
                                Client::There(connection) if !drips(connection) => *one = Client::Gone(Instant::now()),
                                Client::Gone(since) if again.is_some_and(|again| since.elapsed() > again) => {
                                    *one = Client::There(begin(address));
                                }
                                Client::There(_) | Client::Gone(_) => {}
                            }
                        }
                    }
                    thread::sleep(DRIP.saturating_sub(began.elapsed()));
                    let there = all.iter().filter(|one| matches!(one, Client::There(_))).count();
                    open.store(there, Ordering::Relaxed);
                }
            }
        });
        Self { stop, open, worker: Some(worker) }
    }

    /// How many have a place still, at the last look.
    fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            worker.join().unwrap();
        }
    }
}

fn begin(address: SocketAddr) -> TcpStream {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_nonblocking(true).unwrap();
    // Whoever is turned away at once is no error here.
    drop(connection.write_all(b"GET / HTTP/1.1\r\nX-Slow: "));
    connection
}

/// One more byte; whether the other end is still there.
fn drips(mut connection: &TcpStream) -> bool {
    let there = match connection.read(&mut [0; 64]) {
        Ok(length) => length > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    };
    there && connection.write_all(b"x").is_ok()
}

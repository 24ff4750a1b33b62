"""Cuts the power of a guest while it pages, and looks what it still knows.

What the guest said "200" to must be there after the cut: calls of a source (`/in/tips`), and people who took charge. What
it never answered, or only read of its stream, must come to be known all the same, once. Each is one incident, and the
receiver hears of it; a message may come a second time, under the name it had.
"""

import collections
import hashlib
import hmac
import http.client
import json
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

EACH = 24  # topics of a cut, for each of two ways
BOOTED_WITHIN = 300
KNOWN_WITHIN = 180
TOKEN, SECRET = "power-api-token-0123456789", b"power-hook-secret-0123456789"
API, WORLD = 18788, 18080


def topic(way, cut, number):
    return f"zq{way}c{cut}n{number}"


def call(port, method, path, body=b"", headers=None, within=10):
    """The status and the body; status 0 where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=within)
    try:
        connection.request(method, path, body, {"connection": "close", "host": "127.0.0.1:8787", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def api(method, path, body=b"", within=10):
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    return call(API, method, path, body, headers, within)


def until(within, what, is_so):
    deadline = time.monotonic() + within
    while not is_so():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.1)


class Run:
    def __init__(self, kernel, work):
        self.kernel, self.work = kernel, work
        self.said, self.accepted, self.acknowledged = set(), set(), set()
        self.guest = None

    def boot(self):
        with open(self.work / "console", "ab") as console:
            self.guest = subprocess.Popen(
                [
                    "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max",
                    "-smp", "2", "-m", "1024", "-nographic", "-nodefaults", "-no-user-config", "-serial", "stdio",
                    "-drive", f"file={self.work}/disk.img,format=raw,if=virtio,cache=none",
                    "-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{API}-10.0.2.15:8788",
                    "-device", "virtio-net-pci,netdev=n,romfile=",
                    "-kernel", self.kernel, "-initrd", f"{self.work}/initrd",
                    "-append", "console=ttyS0 quiet rdinit=/init mitigations=off no_timer_check",
                ],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            )
        until(BOOTED_WITHIN, "the daemon is ready", lambda: self.lives() and api("GET", "/readyz")[0] == 200)

    def lives(self):
        assert self.guest.poll() is None, "the guest ended by itself"
        return True

    def cut(self):
        self.guest.kill()
        self.guest.wait()

    def heard(self):
        """Of each topic the incidents that the receiver heard of, and how many messages that was."""
        incidents, messages = collections.defaultdict(set), collections.Counter()
        # The last line may be on its way.
        for line in (self.work / "world" / "hooks").read_text().split("\n")[:-1]:
            message = json.loads(line)
            if message["type"] == "incident.opened":
                incidents[message["incident"]["topic"]].add(message["incident"]["id"])
                messages[message["webhook_id"]] += 1
        return incidents, messages

    def burst(self, cut, over):
        """Everything at once, until the power is gone."""

        def stream():
            for number in range(EACH):
                if over.wait(0.05):
                    return
                name = topic("s", cut, number)
                self.said.add(name)
                call(WORLD, "POST", "/say", f"there is {name} in the lobby".encode())

        def calls():
            for number in range(EACH):
                if over.is_set():
                    return
                name = topic("w", cut, number)
                body = json.dumps({"type": "tip", "id": name, "text": f"a {name} again", "author": "ann"}).encode()
                signed = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
                if call(API, "POST", "/in/tips", body, {"x-hub-signature-256": signed})[0] == 200:
                    self.accepted.add(name)

        def people():
            while not over.is_set():
                heard = {one for ids in self.heard()[0].values() for one in ids}
                for incident in sorted(heard - self.acknowledged):
                    body = json.dumps({"by": "ann"}).encode()
                    if over.is_set() or api("POST", f"/api/v1/incidents/{incident}/ack", body)[0] != 200:
                        break
                    self.acknowledged.add(incident)
                over.wait(0.1)

        workers = [threading.Thread(target=work) for work in (stream, calls, people)]
        for worker in workers:
            worker.start()
        return workers

    def look(self):
        """What was promised is there."""
        wanted = self.said | self.accepted
        until(KNOWN_WITHIN, "all is told", lambda: self.lives() and wanted <= self.heard()[0].keys())
        for name, incidents in self.heard()[0].items():
            assert len(incidents) == 1, f"{name} is {len(incidents)} incidents"
        for incident in self.acknowledged:
            status, body = api("GET", f"/api/v1/incidents/{incident}")
            assert status == 200, f"{incident} is lost ({status})"
            assert json.loads(body)["state"] == "acknowledged", f"nobody has {incident} any more"


def cut_all(cuts, kernel, work):
    rng = random.Random(1)
    (work / "world").mkdir()
    (work / "world" / "hooks").touch()
    script = pathlib.Path(__file__).parent.parent / "boot" / "world.py"
    world = subprocess.Popen([sys.executable, script, work / "world"])
    run = Run(kernel, work)
    began = time.monotonic()
    try:
        until(20, "the world begins", lambda: call(WORLD, "POST", "/nothing")[0] == 200)
        for cut in range(cuts):
            run.boot()
            run.look()
            over = threading.Event()
            workers = run.burst(cut, over)
            # Anywhere in the burst.
            time.sleep(rng.uniform(0.5, 8))
            run.cut()
            over.set()
            for worker in workers:
                worker.join()
            print(
                f"[{time.monotonic() - began:4.0f} s] cut {cut + 1}: {len(run.accepted)} calls answered, {len(run.said)} posts,"
                f" {len(run.acknowledged)} incidents acknowledged",
                flush=True,
            )
        run.boot()
        run.look()
        incidents, messages = run.heard()
        twice = sum(count - 1 for count in messages.values())
        assert run.accepted and run.said and run.acknowledged
        print(
            f"{cuts} cuts: {len(run.accepted)} answered calls, {len(run.said)} posts of the stream and"
            f" {len(run.acknowledged)} acknowledgements, none lost; {len(incidents)} incidents, each once;"
            f" {twice} of {len(messages)} messages came a second time, under the same id"
        )
    except BaseException:
        print((work / "console").read_text(errors="replace")[-4000:], file=sys.stderr)
        raise
    finally:
        if run.guest:
            run.cut()
        world.kill()
        world.wait()


# Whoever ends this ends the guest as well.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
if sys.argv[1] == "topics":
    for cut in range(int(sys.argv[2])):
        for number in range(EACH):
            print(topic("s", cut, number))
            print(topic("w", cut, number))
else:
    cut_all(int(sys.argv[2]), sys.argv[3], pathlib.Path(sys.argv[4]))

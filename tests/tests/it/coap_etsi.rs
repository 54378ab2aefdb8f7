//! The scenarios of ETSI's plugtests for CoAP, those that libcoap ships a script for (`examples/etsi_testcases.sh`), by libcoap's client
//! on test resources: a proxy between them sees each datagram, and loses some.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tempfile::TempDir;
use tests::{Broker, PATIENCE, Process, Serve, scratch, tool};

use crate::wires::coap::{
    ACKNOWLEDGEMENT, BLOCK1, BLOCK2, CONFIRMABLE, CONTENT_FORMAT, ETAG, Message, NON_CONFIRMABLE,
    OBSERVE, RESET, URI_PATH, URI_QUERY,
};
use crate::wires::nats::Nats;

const GET: u8 = 0x01;
const POST: u8 = 0x02;
const PUT: u8 = 0x03;
const DELETE: u8 = 0x04;
const FETCH: u8 = 0x05;

const CREATED: u8 = 0x41;
const DELETED: u8 = 0x42;
const CHANGED: u8 = 0x44;
const CONTENT: u8 = 0x45;
const CONTINUE: u8 = 0x5f;
const UNAUTHORIZED: u8 = 0x81;

const TEXT: Option<u32> = Some(0);
const LINKS: Option<u32> = Some(40);

/// Whence a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Client,
    Server,
}

/// What passed, and what is to be lost.
#[derive(Debug, Default)]
struct Passed {
    all: Mutex<Vec<(From, Message)>>,
    changed: Condvar,
    over: AtomicBool,
}

/// Passes datagrams on between one client and a broker.
struct Proxy {
    port: u16,
    passed: Arc<Passed>,
    threads: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// Loses the first message of which this is so.
    fn losing(server: u16, is_lost: fn(From, &Message) -> bool) -> Self {
        let bind = || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
            socket.set_read_timeout(Some(Duration::from_millis(50))).expect("it has one");
            socket
        };
        let (near, far) = (Arc::new(bind()), Arc::new(bind()));
        far.connect(("127.0.0.1", server)).expect("an address");
        let port = near.local_addr().expect("it is bound").port();
        let passed = Arc::new(Passed::default());
        let client: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
        let pass = |from: From| {
            let (near, far, client) = (Arc::clone(&near), Arc::clone(&far), Arc::clone(&client));
            let passed = Arc::clone(&passed);
            thread::spawn(move || {
                let (mut buffer, mut loses) = (vec![0; 65_536], true);
                while !passed.over.load(Ordering::Relaxed) {
                    let socket = if from == From::Client { &near } else { &far };
                    // Nothing came for a moment, or somebody was not there.
                    let Ok((length, sender)) = socket.recv_from(&mut buffer) else { continue };
                    let bytes = &buffer[..length];
                    if from == From::Client {
                        *client.lock() = Some(sender);
                    }
                    let message = Message::parse(bytes);
                    let is_lost = loses && is_lost(from, &message);
                    loses &= !is_lost;
                    passed.all.lock().push((from, message));
                    passed.changed.notify_all();
                    // Whoever is gone gets nothing.
                    let _sent = match (from, *client.lock()) {
                        _ if is_lost => Ok(0),
                        (From::Client, _) => far.send(bytes),
                        (From::Server, Some(client)) => near.send_to(bytes, client),
                        (From::Server, None) => Ok(0),
                    };
                }
            })
        };
        let threads = vec![pass(From::Client), pass(From::Server)];
        Self { port, passed, threads }
    }

    fn new(server: u16) -> Self {
        Self::losing(server, |_, _| false)
    }

    /// Waits until what passed is such.
    fn wait<T>(&self, what: &str, is: impl Fn(&[(From, Message)]) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        let mut all = self.passed.all.lock();
        loop {
            if let Some(found) = is(&all) {
                return found;
            }
            let late = self.passed.changed.wait_until(&mut all, until).timed_out();
            assert!(!late, "{what}: {all:#?}");
        }
    }

    fn all(&self) -> Vec<(From, Message)> {
        self.passed.all.lock().clone()
    }

    fn of(&self, from: From) -> Vec<Message> {
        let of = |(whose, message): (From, Message)| (whose == from).then_some(message);
        self.all().into_iter().filter_map(of).collect()
    }

    /// The last request, and the response to it.
    fn exchange(&self) -> (Message, Message) {
        let is_request = |message: &Message| (1..32).contains(&message.code);
        let is_response = |message: &Message| message.code >= 0x40 && message.code != UNAUTHORIZED;
        let request = self.of(From::Client).into_iter().rfind(is_request).expect("it asked");
        let response = self.of(From::Server).into_iter().rfind(is_response).expect("it answered");
        assert_eq!(request.token, response.token);
        (request, response)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.passed.over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().expect("it ended well"));
    }
}

/// A broker with the resources, and the client.
struct Etsi {
    broker: Broker,
}

impl Etsi {
    fn start() -> Option<Self> {
        tool("libcoap")?;
        let etsi = Self { broker: Serve::new().start() };
        for path in ["test", "seg1/seg2/seg3", "query", "obs"] {
            etsi.put(path, &["-t", "0", "-e", "what is there"]);
        }
        Some(etsi)
    }

    fn proxy(&self) -> Proxy {
        Proxy::new(self.broker.coap())
    }

    fn command(port: u16, args: &[&str], path: &str) -> Command {
        let program = tool("libcoap").expect("it was there before").join("bin/coap-client");
        let mut command = Command::new(program);
        command.args(["-B", "60"]).args(args).arg(format!("coap://127.0.0.1:{port}/{path}"));
        command
    }

    /// What the client prints.
    fn run(port: u16, args: &[&str], path: &str) -> String {
        let output = Self::command(port, args, path).output().expect("the client is there");
        String::from_utf8([output.stdout, output.stderr].concat()).expect("text").trim().to_owned()
    }

    fn put(&self, path: &str, args: &[&str]) {
        let said = Self::run(self.broker.coap(), &[&["-m", "put"], args].concat(), path);
        assert_eq!(said, "", "it is put");
    }

    /// One exchange: what the client prints, its request, and the response.
    fn ask(&self, args: &[&str], path: &str) -> (String, Message, Message) {
        let proxy = self.proxy();
        let said = Self::run(proxy.port, args, path);
        let (request, response) = proxy.exchange();
        (said, request, response)
    }

    /// One exchange of that kind, checked as the first eight scenarios want it.
    fn transaction(&self, kind: u8, args: &[&str], method: u8, code: u8) -> (String, Message) {
        let args = if kind == NON_CONFIRMABLE { [&["-N"], args].concat() } else { args.to_vec() };
        let (said, request, response) = self.ask(&args, "test");
        assert_eq!((request.kind, request.code), (kind, method));
        assert_eq!(response.code, code);
        if kind == CONFIRMABLE {
            assert_eq!((response.kind, response.id), (ACKNOWLEDGEMENT, request.id));
        } else {
            assert_eq!(response.kind, NON_CONFIRMABLE);
        }
        (said, response)
    }
}

/// TD_COAP_CORE_01 to 08: each method, confirmable and not.
#[test]
fn core_01_to_08_each_method() {
    let Some(etsi) = Etsi::start() else { return };
    let write = ["-t", "0", "-e", "sometext"];
    let with = |method: &'static str| [&["-m", method], &write[..]].concat();
    for kind in [CONFIRMABLE, NON_CONFIRMABLE] {
        etsi.put("test", &["-t", "0", "-e", "what is there"]);
        let (said, response) = etsi.transaction(kind, &["-m", "get"], GET, CONTENT);
        assert_eq!((&said[..], response.number(CONTENT_FORMAT)), ("what is there", TEXT));
        etsi.transaction(kind, &["-m", "delete"], DELETE, DELETED);
        etsi.transaction(kind, &with("post"), POST, CREATED);
        assert_eq!(etsi.ask(&["-m", "get"], "test").0, "sometext");
        etsi.transaction(kind, &with("put"), PUT, CHANGED);
        etsi.transaction(kind, &["-m", "delete"], DELETE, DELETED);
    }
}

/// TD_COAP_CORE_10 to 13: a token, none, segments of a path, a query.
#[test]
fn core_10_to_13_tokens_paths_and_queries() {
    let Some(etsi) = Etsi::start() else { return };
    let (said, request, response) = etsi.ask(&["-T", "sometok"], "test");
    // This client counts its last byte up.
    assert!(request.token.starts_with(b"someto"), "{request:?}");
    assert_eq!((&said[..], request.token.len()), ("what is there", 7));
    assert_eq!((response.code, response.number(CONTENT_FORMAT)), (CONTENT, TEXT));

    // This client has a token always.
    let bare = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    bare.connect(("127.0.0.1", etsi.broker.coap())).expect("an address");
    bare.set_read_timeout(Some(PATIENCE)).expect("it has one");
    bare.send(b"\x40\x01\x12\x34\xb4test").expect("it goes out");
    let mut buffer = [0; 1500];
    let count = bare.recv(&mut buffer).expect("it answers");
    let answer = Message::parse(&buffer[..count]);
    assert_eq!((answer.kind, answer.id, answer.code), (ACKNOWLEDGEMENT, 0x1234, CONTENT));
    assert_eq!((&answer.token[..], &answer.payload[..]), (&b""[..], &b"what is there"[..]));

    let texts = |message: &Message, number| {
        let values = message.options.iter().filter(|(own, _)| *own == number);
        values.map(|(_, value)| String::from_utf8(value.clone()).unwrap()).collect::<Vec<_>>()
    };
    let (said, request, response) = etsi.ask(&[], "seg1/seg2/seg3");
    assert_eq!(texts(&request, URI_PATH), ["seg1", "seg2", "seg3"]);
    assert_eq!((&said[..], response.number(CONTENT_FORMAT)), ("what is there", TEXT));
    let (said, request, response) = etsi.ask(&[], "query?first=1&second=2&third=3");
    assert_eq!(texts(&request, URI_QUERY), ["first=1", "second=2", "third=3"]);
    assert_eq!((&said[..], response.number(CONTENT_FORMAT)), ("what is there", TEXT));
}

/// TD_COAP_CORE_14: of a request, and of its response, one is lost.
#[test]
fn core_14_what_is_lost_comes_again() {
    let Some(etsi) = Etsi::start() else { return };
    let lost: [fn(From, &Message) -> bool; 2] =
        [|from, _| from == From::Client, |from, _| from == From::Server];
    for lost in lost {
        let proxy = Proxy::losing(etsi.broker.coap(), lost);
        assert_eq!(Etsi::run(proxy.port, &[], "test"), "what is there");
        let (request, response) = proxy.exchange();
        assert_eq!((response.kind, response.id), (ACKNOWLEDGEMENT, request.id));
        let asked = proxy.of(From::Client);
        // Once more, or more often where the machine is slow.
        assert!(asked.len() >= 2 && asked.windows(2).all(|two| two[0] == two[1]), "{asked:?}");
    }
}

/// Has a responder answer a request to `separate` once its client was told that it takes longer, and checks how that went.
/// It was told so often when the responder answers. What passed.
fn separate(etsi: &Etsi, lost: fn(From, &Message) -> bool, acknowledgements: usize) -> Proxy {
    let proxy = Proxy::losing(etsi.broker.coap(), lost);
    let mut responder = Nats::connect(&etsi.broker.nats());
    responder.subscribe_in_group("separate", "responders");
    let args = ["-m", "fetch", "-t", "0", "-e", "well?"];
    let client = Process::start("coap-client", &mut Etsi::command(proxy.port, &args, "separate"));
    let question = responder.message();
    let is_told = |(from, message): &(From, Message)| {
        (*from, message.kind, message.code) == (From::Server, ACKNOWLEDGEMENT, 0)
    };
    proxy.wait("an acknowledgement", |all| {
        let told = all.iter().filter(|one| is_told(one)).count();
        (told >= acknowledgements).then_some(())
    });
    responder.publish(&question.reply.expect("it asks"), None, None, b"well.");
    let exit = client.exit(PATIENCE);
    assert_eq!(exit.stdout.trim(), "well.", "{exit:?}");
    let (request, response) = proxy.exchange();
    assert_eq!((request.kind, request.code), (CONFIRMABLE, FETCH));
    assert_eq!((response.kind, response.code), (CONFIRMABLE, CONTENT));
    let is_acknowledged = |(from, message): &(From, Message)| {
        (*from, message.kind, message.id) == (From::Client, ACKNOWLEDGEMENT, response.id)
    };
    proxy.wait("it is acknowledged", |all| all.iter().find(|one| is_acknowledged(one)).map(|_| ()));
    proxy
}

/// TD_COAP_CORE_09, with FETCH in place of GET: of GET no answer takes so long here, for a value is there or is not.
#[test]
fn core_09_a_separate_response() {
    let Some(etsi) = Etsi::start() else { return };
    drop(separate(&etsi, |_, _| false, 1));
}

/// TD_COAP_CORE_15: of a request, its acknowledgement, its response, and that one's acknowledgement, one is lost.
#[test]
fn core_15_a_separate_response_where_messages_are_lost() {
    let Some(etsi) = Etsi::start() else { return };
    let lost: [fn(From, &Message) -> bool; 4] = [
        |_, message| message.code == FETCH,
        |from, message| from == From::Server && message.kind == ACKNOWLEDGEMENT,
        |_, message| message.code == CONTENT,
        |from, message| from == From::Client && message.kind == ACKNOWLEDGEMENT,
    ];
    let again = [(FETCH, 1), (FETCH, 2), (CONTENT, 1), (CONTENT, 1)];
    for (lost, (again, acknowledgements)) in lost.into_iter().zip(again) {
        let proxy = separate(&etsi, lost, acknowledgements);
        proxy.wait("the same again", |all| {
            let same = all.iter().filter(|(_, message)| message.code == again);
            let same: Vec<_> = same.collect();
            (same.len() >= 2 && same.windows(2).all(|two| two[0] == two[1])).then_some(())
        });
    }
}

/// TD_COAP_LINK_01 and 02: what there is, and what of it is of a type.
#[test]
fn link_01_and_02_discovery() {
    let Some(etsi) = Etsi::start() else { return };
    let (said, _, response) = etsi.ask(&[], ".well-known/core");
    assert_eq!((response.code, response.number(CONTENT_FORMAT)), (CONTENT, LINKS));
    for path in ["</ps>", "</test>", "</seg1/seg2/seg3>", "</query>", "</obs>"] {
        assert!(said.contains(path), "{said}");
    }
    let (said, _, response) = etsi.ask(&[], ".well-known/core?rt=core.ps.coll");
    assert_eq!((response.code, response.number(CONTENT_FORMAT)), (CONTENT, LINKS));
    assert!(said.starts_with("</ps>;") && !said.contains("</test>"), "{said}");
}

/// A file with this in it, and its folder.
fn file_of(body: &str) -> (TempDir, String) {
    let folder = scratch();
    let file = folder.path().join("body");
    std::fs::write(&file, body).expect("the scratch folder is writable");
    let file = file.display().to_string();
    (folder, file)
}

/// The number, whether more follow, and the size of a piece.
fn piece(message: &Message, option: u16) -> Option<(u32, bool, u32)> {
    let value = message.number(option)?;
    Some((value >> 4, value & 8 != 0, 16 << (value & 7)))
}

/// TD_COAP_BLOCK_01 and 02: a large value is read in pieces, of which the client speaks first, or the broker.
#[test]
fn block_01_and_02_reading_in_pieces() {
    let Some(etsi) = Etsi::start() else { return };
    let body = "0123456789abcdef".repeat(200);
    let (_folder, file) = file_of(&body);
    etsi.put("large", &["-t", "0", "-b", "1024", "-f", &file]);
    for (args, first, sizes) in
        [(&["-b", "256"][..], Some((0, false, 256)), 256), (&[][..], None, 1024)]
    {
        let proxy = etsi.proxy();
        assert_eq!(Etsi::run(proxy.port, args, "large"), body);
        let asked = proxy.of(From::Client).into_iter().filter(|message| message.code == GET);
        let asked: Vec<_> = asked.map(|message| piece(&message, BLOCK2)).collect();
        assert_eq!(asked[0], first);
        let told = proxy.of(From::Server).into_iter().filter(|message| message.code == CONTENT);
        let told: Vec<_> = told.collect();
        let count = body.len().div_ceil(sizes);
        let wanted = (0..count).map(|at| {
            Some((u32::try_from(at).unwrap(), at + 1 < count, u32::try_from(sizes).unwrap()))
        });
        assert!(told.iter().map(|message| piece(message, BLOCK2)).eq(wanted), "{told:?}");
        assert!(told.iter().all(|message| message.number(CONTENT_FORMAT) == TEXT));
        assert!(told.iter().all(|one| one.option(ETAG) == told[0].option(ETAG)));
    }
}

/// TD_COAP_BLOCK_03 and 04: a large value is put and posted in pieces.
#[test]
fn block_03_and_04_writing_in_pieces() {
    let Some(etsi) = Etsi::start() else { return };
    let body = "fedcba9876543210".repeat(200);
    let (_folder, file) = file_of(&body);
    for (method, path, code) in [("put", "large-update", PUT), ("post", "large-create", POST)] {
        let proxy = etsi.proxy();
        let args = ["-m", method, "-t", "0", "-b", "1024", "-f", &file];
        assert_eq!(Etsi::run(proxy.port, &args, path), "");
        let sent = proxy.of(From::Client).into_iter().filter(|message| message.code == code);
        let pieces: Vec<_> = sent.filter_map(|message| piece(&message, BLOCK1)).collect();
        let wanted = [(0, true, 1024), (1, true, 1024), (2, true, 1024), (3, false, 1024)];
        assert!(pieces.ends_with(&wanted), "{pieces:?}");
        let told = proxy.of(From::Server).into_iter().filter(|message| message.code >= 0x40);
        let codes: Vec<_> = told.map(|message| message.code).collect();
        assert!(codes.ends_with(&[CONTINUE, CONTINUE, CONTINUE, CREATED]), "{codes:x?}");
        assert_eq!(etsi.ask(&[], path).0, body);
    }
}

/// A client that observes `obs`, and was told what there is.
fn observer(proxy: &Proxy, args: &[&str]) -> Process {
    let args = [&["-s", "600"], args].concat();
    let observer = Process::start("coap-client", &mut Etsi::command(proxy.port, &args, "obs"));
    proxy.wait("the first", |all| notifications(all).first().map(|_| ()));
    observer
}

fn notifications(all: &[(From, Message)]) -> Vec<Message> {
    let is_one = |(from, message): &&(From, Message)| {
        *from == From::Server && message.number(OBSERVE).is_some()
    };
    all.iter().filter(is_one).map(|(_, message)| message.clone()).collect()
}

/// TD_COAP_OBS_01 and 03: changes are told with numbers that go up, and to who asks again after the broker was away.
#[test]
fn obs_01_and_03_observing() {
    let Some(mut etsi) = Etsi::start() else { return };
    for number in 0..2 {
        let proxy = etsi.proxy();
        let _observer = observer(&proxy, &[]);
        for value in ["1", "2"] {
            etsi.put("obs", &["-t", "0", "-e", &format!("{number}.{value}")]);
        }
        let told = proxy.wait("both values", |all| {
            let told = notifications(all);
            (told.len() >= 3).then_some(told)
        });
        let numbers: Vec<_> = told.iter().map(|message| message.number(OBSERVE).unwrap()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        assert!(told.iter().all(|message| message.number(CONTENT_FORMAT) == TEXT));
        let payloads: Vec<_> = told[1..].iter().map(|message| message.payload.clone()).collect();
        assert_eq!(
            payloads,
            [format!("{number}.1"), format!("{number}.2")].map(String::into_bytes)
        );
        etsi.broker.kill();
        etsi.broker.restart();
    }
}

/// TD_COAP_OBS_02: a client that asks for it is told no more.
#[test]
fn obs_02_the_client_has_enough() {
    let Some(etsi) = Etsi::start() else { return };
    let proxy = etsi.proxy();
    let said = Etsi::run(proxy.port, &["-s", "1"], "obs");
    assert!(said.starts_with("what is there"), "{said}");
    let is_enough = |(from, message): &&(From, Message)| {
        (*from, message.code, message.number(OBSERVE)) == (From::Client, GET, Some(1))
    };
    // The client does not wait for the response.
    let (_, request) = proxy.wait("it has enough", |all| all.iter().find(is_enough).cloned());
    let (_, response) = proxy.wait("a response", |all| {
        all.iter().find(|(from, one)| *from == From::Server && one.id == request.id).cloned()
    });
    assert_eq!((response.code, response.number(OBSERVE)), (CONTENT, None));
    let before = notifications(&proxy.all()).len();
    etsi.put("obs", &["-e", "nobody hears it"]);
    // Whatever was sent for that was sent before this is answered.
    let (_, answer, _) = etsi.ask(&[], "obs");
    assert_eq!(answer.code, GET);
    assert_eq!(notifications(&proxy.all()).len(), before);
}

/// TD_COAP_OBS_04: a client is gone without a word. What must be confirmed is not, and nothing else is told until it is.
/// (That it is given up in the end is tested where time is simulated: `crates/door-coap/tests/it/observe.rs`.)
#[test]
fn obs_04_the_client_is_off() {
    let Some(etsi) = Etsi::start() else { return };
    let proxy = etsi.proxy();
    let mut observer = observer(&proxy, &[]);
    observer.kill();
    let mut told = Vec::new();
    for number in 0..100 {
        etsi.put("obs", &["-e", &number.to_string()]);
        told = notifications(&proxy.all());
        if told.iter().any(|message| message.kind == CONFIRMABLE) {
            break;
        }
    }
    let last = told.last().expect("some").clone();
    assert_eq!(last.kind, CONFIRMABLE, "one of so many is to be confirmed: {told:?}");
    etsi.put("obs", &["-e", "nobody hears it"]);
    let again = proxy.wait("the same again", |all| {
        let again = notifications(all).split_off(told.len());
        (again.len() >= 2).then_some(again)
    });
    assert!(again.iter().all(|message| *message == last), "{again:?}");
}

/// TD_COAP_OBS_05: a client that has begun anew rejects what it does not know, and is told no more.
#[test]
fn obs_05_the_client_forgot() {
    let Some(etsi) = Etsi::start() else { return };
    let proxy = etsi.proxy();
    let port = tests::free_port().to_string();
    let mut before = observer(&proxy, &["-p", &port, "-T", "before"]);
    before.kill();
    let args = ["-s", "600", "-p", &port, "-T", "after"];
    let _after = Process::start("coap-client", &mut Etsi::command(proxy.port, &args, "test"));
    // This client counts their last bytes up, and puts more before them when it asks again.
    let of = |all: &[(From, Message)], token: &[u8]| {
        let is_of = |message: &Message| message.token.windows(token.len()).any(|own| own == token);
        notifications(all).into_iter().filter(is_of).collect::<Vec<_>>()
    };
    proxy.wait("it observes", |all| of(all, b"afte").first().map(|_| ()));
    etsi.put("obs", &["-e", "to whom?"]);
    let told = proxy.wait("it is told", |all| of(all, b"befor").get(1).cloned());
    let is_rejected = |(from, message): &(From, Message)| {
        (*from, message.kind, message.id) == (From::Client, RESET, told.id)
    };
    proxy.wait("it is rejected", |all| all.iter().find(|one| is_rejected(one)).map(|_| ()));
    etsi.put("obs", &["-e", "to nobody"]);
    etsi.put("test", &["-e", "to the new one"]);
    proxy.wait("it goes on", |all| of(all, b"afte").get(1).map(|_| ()));
    assert_eq!(of(&proxy.all(), b"befor").len(), 2);
}

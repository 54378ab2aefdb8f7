//! A power cut, for a broker that is a process: what it wrote and did not sync is lost, in part.
//!
//! `tests/native/powercut.c` is preloaded into the broker and notes each write and each sync below
//! its data folder. After the broker's SIGKILL, [`PowerCut::strike`] makes the folder that a
//! machine would find when the power comes back:
//!
//! - What a sync covered is there. A file's sync covers its bytes and size; a name is there once
//!   its folder was synced.
//! - Of each write since, chance decides: it is lost, or there, or torn, each sector of 512 bytes
//!   by itself. Likewise how many of a folder's changes since its last sync are there; they keep
//!   their order.
//!
//! This is harsher than any one file system, and no harsher than what POSIX allows.
//!
//! Other brokers are watched by strace instead ([`PowerCut::traced`]), since not all of them go through the C library.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use self::trace::Trace;
use crate::{Process, Serve, tool};

mod trace;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Bytes of a note before its text.
const HEAD: usize = 21;

/// The watch over one broker's data folder.
#[derive(Debug)]
pub struct PowerCut {
    root: PathBuf,
    journal: PathBuf,
    /// The folder as it was when the broker last started.
    before: PathBuf,
    /// Whatever is synced, all names are as they were then.
    is_journaled: bool,
}

/// What one power cut did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Struck {
    /// Writes that no sync had covered.
    pub unsynced: usize,
    /// Those of them that were lost or torn.
    pub lost: usize,
    /// Names whose change no sync had covered and was lost.
    pub names_lost: Vec<PathBuf>,
}

impl PowerCut {
    /// Watches the broker that will be started.
    ///
    /// # Panics
    /// When there is no C compiler.
    pub fn watch(serve: Serve) -> (Serve, Self) {
        let home = serve.home().to_path_buf();
        let this = Self {
            root: serve.data(),
            journal: home.join("journal"),
            before: home.join("before"),
            is_journaled: false,
        };
        let text = |path: &Path| path.to_str().expect("the path is UTF-8").to_owned();
        let serve = serve
            .preload("powercut")
            .env("POWERCUT_ROOT", &text(&this.root))
            .env("POWERCUT_JOURNAL", &text(&this.journal));
        (serve, this)
    }

    /// For any program that keeps its files in the folder `root`, which exists, and is started as [`Self::traced`] says.
    /// Kinder than [`Self::watch`]: as file systems with a journal do it, any sync makes all changes of names before it
    /// sure, on which many programs count.
    ///
    /// # Panics
    /// When the folder cannot be copied.
    pub fn over(root: &Path, home: &Path) -> Self {
        let (journal, before) = (home.join("journal"), home.join("before"));
        let this = Self { root: root.to_path_buf(), journal, before, is_journaled: true };
        this.keep();
        this
    }

    /// The command, watched by strace. The process that is started is the program's own. `None` without strace.
    pub fn traced(&self, command: &Command) -> Option<Command> {
        let mut strace = Command::new(tool("strace")?.join("bin/strace"));
        strace.args(["-f", "-D", "-y", "-xx", "-s", "1000000000", "-e", "signal=none", "-e"]);
        strace.arg(format!("trace={}", trace::CALLS)).arg("-o").arg(self.trace());
        strace.arg(command.get_program()).args(command.get_args());
        let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        strace.envs(set);
        Some(strace)
    }

    /// Kills a program that was started as [`Self::traced`] says, and takes over what strace saw.
    ///
    /// # Panics
    /// When strace does not come to an end.
    pub fn kill(&self, process: &mut Process) {
        let status = fs::read_to_string(format!("/proc/{}/status", process.id()));
        let tracer = status.unwrap_or_default();
        let tracer = tracer.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        let tracer = format!("/proc/{}", tracer.unwrap_or("0").trim());
        process.kill();
        let deadline = Instant::now() + Duration::from_secs(60);
        while Path::new(&tracer).exists() {
            assert!(Instant::now() < deadline, "strace goes on without its program");
            std::thread::sleep(Duration::from_millis(5)); // poll: strace ends, a minute at most
        }
        let mut files = Vec::new();
        sizes(&self.before, &self.root, &mut files);
        let text = fs::read_to_string(self.trace()).expect("strace wrote it");
        let notes = Trace::new(&self.root, files.into_iter()).notes(&text);
        fs::write(&self.journal, notes).expect("the folder is writable");
    }

    fn trace(&self) -> PathBuf {
        self.journal.with_extension("trace")
    }

    /// Has the broker that is started next kill itself after so many writes, syncs and changes of
    /// names; `None`: never.
    ///
    /// # Panics
    /// When that cannot be noted.
    pub fn cut_after(&self, notes: Option<u64>) {
        let text = notes.map_or_else(String::new, |notes| notes.to_string());
        fs::write(self.journal.with_extension("at"), text).expect("the folder is writable");
    }

    /// Replaces the folder of a broker that was killed by what a power cut would have left of it.
    /// `below(n)` is a random number below `n`.
    ///
    /// # Panics
    /// When the journal is damaged, or a file cannot be read or written.
    pub fn strike(&self, below: &mut impl FnMut(u64) -> u64) -> Struck {
        let mut disk = Disk::load(&self.before, &self.root);
        disk.is_journaled = self.is_journaled;
        let journal = fs::read(&self.journal).unwrap_or_default();
        let mut rest = journal.as_slice();
        while let Some(note) = Note::take(&mut rest) {
            disk.play(&note);
        }
        let struck = disk.lose(below);
        if self.root.exists() {
            fs::remove_dir_all(&self.root).expect("the data folder can be removed");
        }
        disk.store(&self.root);
        self.keep();
        struck
    }

    /// The next cut starts from what is in the folder of a broker that was killed: the system had
    /// time to write what the broker had not synced.
    ///
    /// # Panics
    /// When a file cannot be read or written.
    pub fn keep(&self) {
        if self.before.exists() {
            fs::remove_dir_all(&self.before).expect("the copy can be removed");
        }
        copy(&self.root, &self.before);
        fs::remove_file(&self.journal).ok();
    }
}

/// The files of a copy, by the names that they have in what it is a copy of, with their sizes.
fn sizes(copy: &Path, root: &Path, files: &mut Vec<(PathBuf, u64)>) {
    for entry in fs::read_dir(copy).into_iter().flatten().flatten() {
        let name = root.join(entry.file_name());
        match entry.metadata() {
            Ok(of) if of.is_dir() => sizes(&entry.path(), &name, files),
            Ok(of) => files.push((name, of.len())),
            Err(_) => {}
        }
    }
}

/// One note of the journal; see powercut.c.
struct Note<'a> {
    kind: u8,
    file: u64,
    position: u64,
    bytes: &'a [u8],
}

impl<'a> Note<'a> {
    /// The next one. The last may be cut off by the broker's end: then it was not done.
    fn take(rest: &mut &'a [u8]) -> Option<Self> {
        let number = |at: usize| Some(u64::from_le_bytes(*rest.get(at..)?.first_chunk()?));
        let (kind, file, position) = (*rest.first()?, number(1)?, number(9)?);
        let length = u32::from_le_bytes(*rest.get(17..)?.first_chunk()?) as usize;
        let bytes = rest.get(HEAD..HEAD + length)?;
        *rest = &rest[HEAD + length..];
        Some(Self { kind, file, position, bytes })
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(std::str::from_utf8(self.bytes).expect("paths are UTF-8"))
    }

    fn two_paths(&self) -> (PathBuf, PathBuf) {
        let text = std::str::from_utf8(self.bytes).expect("paths are UTF-8");
        let (from, to) = text.split_once('\0').expect("two paths");
        (from.into(), to.into())
    }
}

/// A file, whatever its name.
#[derive(Debug, Default)]
struct Node {
    /// What is on stable storage.
    durable: Vec<u8>,
    /// What was done since, oldest first.
    since: Vec<Edit>,
    /// How many of those a sync that has begun will cover.
    covered: usize,
}

#[derive(Debug)]
enum Edit {
    Write(u64, Vec<u8>),
    Resize(u64),
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Folder,
    File(usize),
}

/// A change of names in one folder.
#[derive(Debug, Clone)]
enum Rename {
    Set(PathBuf, Entry),
    Remove(PathBuf),
    /// Both at once: file systems keep a rename whole.
    Move(PathBuf, PathBuf, Entry),
}

impl Rename {
    /// The name that changes; of a move the new one.
    fn name(&self) -> &Path {
        match self {
            Self::Set(name, _) | Self::Remove(name) | Self::Move(_, name, _) => name,
        }
    }
}

#[derive(Debug, Default)]
struct Disk {
    nodes: Vec<Node>,
    /// The shim's numbers.
    numbers: HashMap<u64, usize>,
    /// Names as the program sees them, and as they are on stable storage.
    seen: BTreeMap<PathBuf, Entry>,
    durable: BTreeMap<PathBuf, Entry>,
    /// Changes by folder that no sync has covered, and how many one that has begun will cover.
    renames: BTreeMap<PathBuf, (Vec<Rename>, usize)>,
    /// Any sync that ends well covers them all.
    is_journaled: bool,
}

impl Disk {
    /// A copy of a folder, its names as if it stood at `root`; all of it on stable storage.
    fn load(copy: &Path, root: &Path) -> Self {
        let mut disk = Self::default();
        // The broker syncs the folder that this one lies in; the journal does not reach so far.
        disk.durable.insert(root.to_path_buf(), Entry::Folder);
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(copy.join(&folder)) else { continue };
            disk.durable.insert(place(root, &folder), Entry::Folder);
            for entry in entries {
                let entry = entry.expect("the copy can be read");
                let name = folder.join(entry.file_name());
                if entry.file_type().expect("the copy can be read").is_dir() {
                    folders.push(name);
                } else {
                    let durable = fs::read(entry.path()).expect("the copy can be read");
                    let node = disk.add(Node { durable, ..Node::default() });
                    disk.durable.insert(place(root, &name), Entry::File(node));
                }
            }
        }
        disk.seen = disk.durable.clone();
        disk
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn node(&mut self, note: &Note<'_>) -> &mut Node {
        let index = self.numbers.get(&note.file).expect("a file is opened before it is used");
        &mut self.nodes[*index]
    }

    fn play(&mut self, note: &Note<'_>) {
        match note.kind {
            b'O' => {
                let path = note.path();
                let Some(Entry::File(node)) = self.seen.get(&path) else {
                    panic!("opened, but never made: {path:?}");
                };
                self.numbers.insert(note.file, *node);
            }
            b'C' => {
                let node = self.add(Node::default());
                self.numbers.insert(note.file, node);
                self.rename(Rename::Set(note.path(), Entry::File(node)));
            }
            b'W' => {
                let edit = Edit::Write(note.position, note.bytes.to_vec());
                self.node(note).since.push(edit);
            }
            b'T' => self.node(note).since.push(Edit::Resize(note.position)),
            b'B' => {
                let node = self.node(note);
                node.covered = node.since.len();
            }
            b'S' => {
                self.node(note).sync(note.position);
                if self.is_journaled {
                    self.commit_names();
                }
            }
            b'M' => self.rename(Rename::Set(note.path(), Entry::Folder)),
            b'U' | b'X' => self.rename(Rename::Remove(note.path())),
            b'R' => {
                let (from, to) = note.two_paths();
                let entry = *self.seen.get(&from).expect("what is renamed is there");
                self.rename(Rename::Move(from, to, entry));
            }
            b'D' => {
                if let Some((changes, covered)) = self.renames.get_mut(&note.path()) {
                    *covered = changes.len();
                }
            }
            b'E' => {
                if let Some((changes, covered)) = self.renames.get_mut(&note.path()) {
                    let durable: Vec<_> = changes.drain(..std::mem::take(covered)).collect();
                    durable.iter().for_each(|change| apply(change, &mut self.durable));
                }
                if self.is_journaled {
                    self.commit_names();
                }
            }
            kind => panic!("the journal has a note of kind {kind}"),
        }
    }

    fn commit_names(&mut self) {
        for (changes, covered) in self.renames.values_mut() {
            changes.drain(..).for_each(|change| apply(&change, &mut self.durable));
            *covered = 0;
        }
    }

    fn rename(&mut self, change: Rename) {
        apply(&change, &mut self.seen);
        let folder = change.name().parent().map(Path::to_path_buf).unwrap_or_default();
        self.renames.entry(folder).or_default().0.push(change);
    }

    /// The cut: decides what of all that was not synced is there nevertheless.
    fn lose(&mut self, below: &mut impl FnMut(u64) -> u64) -> Struck {
        let mut struck = Struck::default();
        for node in &mut self.nodes {
            let luck = below(3);
            for edit in std::mem::take(&mut node.since) {
                struck.unsynced += 1;
                // All lost, all there, or each as it happens.
                let fate = if luck == 2 { below(3) } else { luck };
                struck.lost += usize::from(fate != 1);
                match (fate, edit) {
                    (0, _) => {}
                    (2, Edit::Write(position, bytes)) => node.tear(position, &bytes, below),
                    (_, edit) => node.apply(&edit),
                }
            }
        }
        for (changes, _) in self.renames.values() {
            let kept = usize::try_from(below(changes.len() as u64 + 1)).unwrap_or(0);
            struck.names_lost.extend(changes[kept..].iter().map(|change| change.name().into()));
            changes[..kept].iter().for_each(|change| apply(change, &mut self.durable));
        }
        struck
    }

    /// Writes what is on stable storage as a folder. What lies in a folder whose own name was lost
    /// is lost with it.
    fn store(&self, root: &Path) {
        let is_there = |path: &Path| {
            path.ancestors()
                .skip(1)
                .take_while(|above| above.starts_with(root))
                .all(|above| self.durable.get(above) == Some(&Entry::Folder))
        };
        for (path, entry) in self.durable.iter().filter(|(path, _)| is_there(path)) {
            match entry {
                Entry::Folder => fs::create_dir_all(path).expect("a folder can be made"),
                Entry::File(node) => {
                    fs::write(path, &self.nodes[*node].durable).expect("a file can be written");
                }
            }
        }
    }
}

impl Node {
    fn sync(&mut self, size: u64) {
        let done: Vec<_> = self.since.drain(..std::mem::take(&mut self.covered)).collect();
        done.iter().for_each(|edit| self.apply(edit));
        // What was allocated without being written.
        if self.since.is_empty() {
            self.apply(&Edit::Resize(size));
        }
    }

    fn apply(&mut self, edit: &Edit) {
        match edit {
            Edit::Resize(size) => self.durable.resize(index(*size), 0),
            Edit::Write(position, bytes) => self.put(index(*position), bytes),
        }
    }

    /// Each sector of the write is there or not.
    fn tear(&mut self, position: u64, bytes: &[u8], below: &mut impl FnMut(u64) -> u64) {
        let (mut at, mut rest) = (index(position), bytes);
        while !rest.is_empty() {
            let (sector, later) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
            if below(2) == 0 {
                self.put(at, sector);
            }
            (at, rest) = (at + sector.len(), later);
        }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.durable[at..end].copy_from_slice(bytes);
    }
}

fn apply(change: &Rename, names: &mut BTreeMap<PathBuf, Entry>) {
    match change {
        Rename::Set(name, entry) => drop(names.insert(name.clone(), *entry)),
        Rename::Remove(name) => drop(names.remove(name)),
        Rename::Move(from, to, entry) => {
            names.remove(from);
            names.insert(to.clone(), *entry);
        }
    }
}

fn index(position: u64) -> usize {
    usize::try_from(position).expect("files fit into memory")
}

/// `join` with nothing would add a slash.
fn place(root: &Path, name: &Path) -> PathBuf {
    if name.as_os_str().is_empty() { root.to_path_buf() } else { root.join(name) }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).into_iter().flatten() {
        let entry = entry.expect("the folder can be read");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("the folder can be read").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(kind: u8, file: u64, position: u64, bytes: &[u8]) -> Vec<u8> {
        let mut note = vec![kind];
        note.extend(file.to_le_bytes());
        note.extend(position.to_le_bytes());
        note.extend(u32::try_from(bytes.len()).expect("short").to_le_bytes());
        note.extend(bytes);
        note
    }

    fn disk(notes: &[Vec<u8>]) -> Disk {
        let mut disk = Disk::default();
        disk.durable.insert("/d".into(), Entry::Folder);
        disk.seen = disk.durable.clone();
        let journal = notes.concat();
        let mut rest = journal.as_slice();
        while let Some(note) = Note::take(&mut rest) {
            disk.play(&note);
        }
        assert!(rest.is_empty(), "every note was read");
        disk
    }

    fn content(disk: &Disk, path: &str) -> Option<Vec<u8>> {
        match disk.durable.get(Path::new(path)) {
            Some(Entry::File(node)) => Some(disk.nodes[*node].durable.clone()),
            _ => None,
        }
    }

    #[test]
    fn only_what_was_synced_is_sure_to_be_there() {
        let notes = [
            note(b'C', 1, 0, b"/d/a"),
            note(b'W', 1, 0, b"first"),
            note(b'B', 1, 0, b""),
            note(b'W', 1, 5, b" while it syncs"),
            note(b'S', 1, 5, b""),
            note(b'D', 0, 0, b"/d"),
            note(b'C', 2, 0, b"/d/b"),
            note(b'E', 0, 0, b"/d"),
        ];
        let mut all_lost = disk(&notes);
        let struck = all_lost.lose(&mut |_| 0);
        let names_lost = vec!["/d/b".into()];
        assert_eq!(struck, Struck { unsynced: 1, lost: 1, names_lost });
        assert_eq!(content(&all_lost, "/d/a").as_deref(), Some(&b"first"[..]));
        assert_eq!(content(&all_lost, "/d/b"), None, "its name came after the sync began");
        let mut all_there = disk(&notes);
        all_there.lose(&mut |_| 1);
        assert_eq!(content(&all_there, "/d/a").as_deref(), Some(&b"first while it syncs"[..]));
        assert_eq!(content(&all_there, "/d/b").as_deref(), Some(&b""[..]));
    }

    #[test]
    fn a_name_without_its_folders_sync_is_lost_though_the_file_was_synced() {
        let mut cut = disk(&[
            note(b'C', 1, 0, b"/d/new"),
            note(b'W', 1, 0, b"x"),
            note(b'B', 1, 0, b""),
            note(b'S', 1, 1, b""),
            note(b'R', 0, 0, b"/d/new\0/d/old"),
        ]);
        cut.lose(&mut |_| 0);
        assert!(content(&cut, "/d/new").is_none() && content(&cut, "/d/old").is_none());
    }

    #[test]
    fn a_torn_write_is_there_by_sectors() {
        let mut cut = disk(&[
            note(b'C', 1, 0, b"/d/a"),
            note(b'D', 0, 0, b"/d"),
            note(b'E', 0, 0, b"/d"),
            note(b'W', 1, 512, &[7; 1024]),
        ]);
        // Fate: each as it happens; this one torn; the first sector there, the second not.
        let mut chances = [2, 2, 0, 1].into_iter();
        cut.lose(&mut |_| chances.next().unwrap_or(0));
        let left = content(&cut, "/d/a").expect("it has a name");
        assert_eq!(left, [vec![0; 512], vec![7; 512]].concat());
    }
}

//! A disk in memory that keeps apart what the operating system has and what is on stable storage.
//!
//! On a power cut, every sector that was written and not synced is, as the seed says, as it was or as
//! it became; of the entries of a folder that were changed and not synced, the first few changes
//! count and the others do not. That is all that POSIX promises; most file systems are kinder.

mod files;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::disk::{Open, SimulatedDisk, SimulatedFile};
use parking_lot::Mutex;

use self::files::Content;
use crate::random::Dice;
use crate::threads::Turns;

/// Names a file or folder, whatever its path.
type Node = u64;

const ROOT: Node = 0;
/// A slow sync takes up to this long, in nanoseconds.
const SLOW: u64 = 800_000_000;

/// What goes wrong on the disk at present.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// There is no room for one byte more.
    pub full: bool,
    /// So many syncs from now, one fails; 0 if none is to.
    pub fails_in: u32,
    /// Syncs take long.
    pub slow: bool,
}

/// The machine's disk: outlives processes. Clones are the same disk.
#[derive(Debug, Clone)]
pub(crate) struct Machine(Arc<Mutex<Tree>>);

#[derive(Debug)]
struct Tree {
    files: BTreeMap<Node, Content>,
    folders: BTreeMap<Node, Folder>,
    next: Node,
    faults: Faults,
    dice: Dice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    File(Node),
    Folder(Node),
}

#[derive(Debug, Default)]
struct Folder {
    entries: BTreeMap<OsString, Entry>,
    durable: BTreeMap<OsString, Entry>,
    /// What was changed since the last sync, in order; `None` removes.
    changes: Vec<Change>,
}

/// Entries that change together, as in a rename.
type Change = Vec<(OsString, Option<Entry>)>;

impl Folder {
    fn change(&mut self, change: Change) {
        apply(&mut self.entries, &change);
        self.changes.push(change);
    }

    fn sync(&mut self) {
        self.durable = self.entries.clone();
        self.changes.clear();
    }
}

fn apply(entries: &mut BTreeMap<OsString, Entry>, change: &Change) {
    for (name, entry) in change {
        match entry {
            Some(entry) => entries.insert(name.clone(), *entry),
            None => entries.remove(name),
        };
    }
}

impl Machine {
    /// A disk with an empty data folder, which is the administrator's to make.
    pub(crate) fn new(dice: Dice) -> Self {
        let mut root = Folder::default();
        root.change(vec![("data".into(), Some(Entry::Folder(1)))]);
        root.sync();
        let folders = BTreeMap::from([(ROOT, root), (1, Folder::default())]);
        let (files, faults) = (BTreeMap::new(), Faults::default());
        Self(Arc::new(Mutex::new(Tree { files, folders, next: 2, faults, dice })))
    }

    /// What goes wrong from now on.
    pub(crate) fn set_faults(&self, faults: Faults) {
        self.0.lock().faults = faults;
    }

    /// Whether the sync that was to fail did.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.lock().faults.fails_in == 0
    }

    /// The machine loses its power: what was not synced may be gone.
    pub(crate) fn cut_power(&self) {
        let mut tree = self.0.lock();
        let tree = &mut *tree;
        for folder in tree.folders.values_mut() {
            let kept = tree.dice.index(folder.changes.len() + 1);
            for change in folder.changes.iter().take(kept) {
                apply(&mut folder.durable, change);
            }
            folder.entries = folder.durable.clone();
            folder.changes.clear();
        }
        for file in tree.files.values_mut() {
            file.cut_power(&tree.dice);
            file.locked = false;
        }
        tree.sweep();
    }

    /// The process ended: what it held is free.
    pub(crate) fn unlock(&self) {
        let mut tree = self.0.lock();
        tree.files.values_mut().for_each(|file| file.locked = false);
        tree.sweep();
    }

    /// The disk as one process sees it, until that is killed.
    pub(crate) fn mount(&self, turns: Turns, alive: Arc<AtomicBool>) -> Mounted {
        Mounted { machine: self.clone(), turns, alive }
    }
}

impl Tree {
    /// Forgets what no folder has any more. Nothing may be open.
    fn sweep(&mut self) {
        let folders = self.folders.values();
        let known: Vec<Entry> = folders
            .flat_map(|f| {
                let changed = f.changes.iter().flatten().filter_map(|(_, entry)| entry.as_ref());
                f.entries.values().chain(f.durable.values()).chain(changed).copied()
            })
            .collect();
        self.files.retain(|node, _| known.contains(&Entry::File(*node)));
    }

    fn folder(&mut self, path: &Path) -> io::Result<Node> {
        let mut at = ROOT;
        for part in path.components().filter(|part| matches!(part, std::path::Component::Normal(_)))
        {
            let folder = self.folders.get(&at).ok_or(io::ErrorKind::NotFound)?;
            match folder.entries.get(part.as_os_str()) {
                Some(Entry::Folder(node)) => at = *node,
                Some(Entry::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => return Err(io::ErrorKind::NotFound.into()),
            }
        }
        Ok(at)
    }

    /// The folder that a path lies in, its name there, and what has it.
    fn find(&mut self, path: &Path) -> io::Result<(Node, OsString, Option<Entry>)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let folder = self.folder(path.parent().unwrap_or(Path::new("/")))?;
        let entry = self.folders.get(&folder).and_then(|f| f.entries.get(&name).copied());
        Ok((folder, name, entry))
    }

    fn change(&mut self, folder: Node, change: Change) {
        if let Some(folder) = self.folders.get_mut(&folder) {
            folder.change(change);
        }
    }

    fn new_node(&mut self) -> Node {
        let node = self.next;
        self.next += 1;
        node
    }

    /// Whether this sync fails, and how long it takes.
    fn sync(&mut self) -> (bool, u64) {
        let faults = &mut self.faults;
        let fails = faults.fails_in == 1;
        faults.fails_in = faults.fails_in.saturating_sub(1);
        let time = if faults.slow && self.dice.one_in(4) {
            self.dice.below(SLOW)
        } else if self.dice.one_in(2) {
            self.dice.below(6_000_000)
        } else {
            0
        };
        (fails, time)
    }
}

/// The disk, as one process sees it.
#[derive(Debug, Clone)]
pub(crate) struct Mounted {
    machine: Machine,
    turns: Turns,
    alive: Arc<AtomicBool>,
}

impl Mounted {
    fn tree<T>(&self, act: impl FnOnce(&mut Tree) -> io::Result<T>) -> io::Result<T> {
        // What a process does while it is being killed never happened.
        if !self.alive.load(Ordering::Relaxed) {
            return Err(io::Error::other("the process is gone"));
        }
        act(&mut self.machine.0.lock())
    }

    /// A change of the disk is a place where others may come in between.
    fn pass(&self) {
        let passes = self.machine.0.lock().dice.one_in(4);
        if passes {
            self.turns.pass(0);
        }
    }

    fn synced(&self, sync: impl FnOnce(&mut Tree, bool) -> io::Result<()>) -> io::Result<()> {
        let (fails, time) = self.tree(|tree| Ok(tree.sync()))?;
        // Others may change what is being synced; the system promises what was there before.
        self.turns.pass(time);
        self.tree(|tree| sync(tree, fails))?;
        if fails { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }
}

impl SimulatedDisk for Mounted {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn SimulatedFile>> {
        let node = self.tree(|tree| {
            let (folder, name, entry) = tree.find(path)?;
            match entry {
                Some(Entry::Folder(_)) => Err(io::ErrorKind::IsADirectory.into()),
                Some(Entry::File(node)) => {
                    if how == Open::Anew
                        && let Some(file) = tree.files.get_mut(&node)
                    {
                        file.set_length(0);
                    }
                    Ok(node)
                }
                None if matches!(how, Open::Read | Open::Write | Open::Direct) => {
                    Err(io::ErrorKind::NotFound.into())
                }
                None if tree.faults.full => Err(io::ErrorKind::StorageFull.into()),
                None => {
                    let node = tree.new_node();
                    tree.files.insert(node, Content::default());
                    tree.change(folder, vec![(name, Some(Entry::File(node)))]);
                    Ok(node)
                }
            }
        })?;
        Ok(Box::new(OpenFile { disk: self.clone(), node }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.tree(|tree| {
            let mut so_far = PathBuf::from("/");
            for part in path.components().skip(1) {
                so_far.push(part);
                let (folder, name, entry) = tree.find(&so_far)?;
                if entry.is_none() {
                    let node = tree.new_node();
                    tree.folders.insert(node, Folder::default());
                    tree.change(folder, vec![(name, Some(Entry::Folder(node)))]);
                }
            }
            Ok(())
        })
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.tree(|tree| {
            let node = tree.folder(path)?;
            let folder = tree.folders.get(&node).ok_or(io::ErrorKind::NotFound)?;
            let mut paths: Vec<_> = folder.entries.keys().map(|name| path.join(name)).collect();
            // In no order that means anything.
            for at in (1..paths.len()).rev() {
                paths.swap(at, tree.dice.index(at + 1));
            }
            Ok(paths)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass();
        self.tree(|tree| {
            let (from, old, entry) = tree.find(from)?;
            let entry = entry.ok_or(io::ErrorKind::NotFound)?;
            let (to, new, _) = tree.find(to)?;
            let (gone, added) = ((old, None), (new, Some(entry)));
            if from == to {
                tree.change(from, vec![gone, added]);
            } else {
                tree.change(to, vec![added]);
                tree.change(from, vec![gone]);
            }
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.pass();
        self.tree(|tree| match tree.find(path)? {
            (folder, name, Some(Entry::File(_))) => {
                tree.change(folder, vec![(name, None)]);
                Ok(())
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        for inner in self.read_dir(path)? {
            self.remove_file(&inner).or_else(|_| self.remove_dir_all(&inner))?;
        }
        self.tree(|tree| {
            let (folder, name, _) = tree.find(path)?;
            tree.change(folder, vec![(name, None)]);
            Ok(())
        })
    }

    fn exists(&self, path: &Path) -> bool {
        self.tree(|tree| Ok(tree.find(path)?.2.is_some())).unwrap_or(false)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        self.tree(|tree| match tree.find(path)?.2 {
            Some(Entry::File(node)) => {
                tree.files.get(&node).map(Content::length).ok_or(io::ErrorKind::NotFound.into())
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let node = self.tree(|tree| tree.folder(path))?;
        self.synced(|tree, fails| {
            match tree.folders.get_mut(&node) {
                Some(folder) if !fails => folder.sync(),
                _ => {}
            }
            Ok(())
        })
    }

    fn sync_file_system(&self) -> io::Result<()> {
        self.synced(|tree, fails| {
            if !fails {
                tree.folders.values_mut().for_each(Folder::sync);
                tree.files.values_mut().for_each(Content::sync);
            }
            Ok(())
        })
    }
}

/// A file that a process has open.
#[derive(Debug)]
struct OpenFile {
    disk: Mounted,
    node: Node,
}

impl OpenFile {
    fn with<T>(&self, act: impl FnOnce(&mut Content, &Faults) -> io::Result<T>) -> io::Result<T> {
        self.disk.tree(|tree| {
            let file = tree.files.get_mut(&self.node).ok_or(io::ErrorKind::NotFound)?;
            act(file, &tree.faults)
        })
    }

    /// Fails where a file cannot become so long.
    fn with_room<T>(
        &self,
        length: u64,
        act: impl FnOnce(&mut Content) -> io::Result<T>,
    ) -> io::Result<T> {
        self.with(|file, faults| {
            if faults.full && length > file.length() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            act(file)
        })
    }

    fn sync(&self) -> io::Result<()> {
        // What is there now is promised; what comes while it lasts is not.
        let promised = self.with(|file, _| Ok(file.dirty()))?;
        self.disk.synced(|tree, fails| {
            let file = tree.files.get_mut(&self.node).ok_or(io::ErrorKind::NotFound)?;
            if fails {
                // The system notes that it tried, and never tries again.
                file.lose(&promised, &tree.dice);
            } else {
                file.sync_some(&promised);
            }
            Ok(())
        })
    }
}

impl SimulatedFile for OpenFile {
    fn read_exact_at(&self, out: &mut [u8], position: u64) -> io::Result<()> {
        self.with(|file, _| file.read(out, position))
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.disk.pass();
        // A process that is killed in the middle, or a disk that fills up, leaves half of it.
        self.with_room(position + bytes.len() as u64, |file| {
            file.write(bytes, position);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.with_room(bytes, |file| {
            if bytes > file.length() {
                file.set_length(bytes);
            }
            Ok(())
        })
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        self.with_room(bytes, |file| {
            file.set_length(bytes);
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.with(|file, _| Ok(file.length()))
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.with(|file, _| Ok(!std::mem::replace(&mut file.locked, true)))
    }

    fn unlock(&self) -> io::Result<()> {
        self.with(|file, _| {
            file.locked = false;
            Ok(())
        })
    }
}

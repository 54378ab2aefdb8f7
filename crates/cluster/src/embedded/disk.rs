//! The file: three redb tables in `meta.redb`, held by `meta.lock`.
//!
//! | table | key | value |
//! |---|---|---|
//! | `keys` | key | create revision, mod revision, version, lease (0: none), 8 bytes each, little endian; then the value |
//! | `leases` | lease | time to live in milliseconds |
//! | `meta` | name | `format`, `revision`, `last_lease`, `commits` |

mod backend;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::disk::{File, Open};
use base::planted::{self, Bug};
use bytes::Bytes;
use redb::{
    Builder, Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable,
    StorageBackend, TableDefinition, TableError, WriteTransaction,
};

use self::backend::{DiskFiles, Watched};
use super::overlay::Overlay;
use crate::{KeyValue, LeaseId, MetaError, Revision};

const KEYS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("keys");
const LEASES: TableDefinition<'_, u64, u64> = TableDefinition::new("leases");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// Version of the layout above. A file of another one is refused, not guessed at.
const FORMAT: u64 = 1;

/// The revision of an empty store, as etcd has it.
const FIRST_REVISION: Revision = 1;

/// Opens the file that redb writes to; tests put faults in between.
pub(super) trait Files: Send + Debug {
    /// The disk that it is on.
    fn disk(&self) -> &base::Disk {
        &base::Disk::System
    }

    /// Opens the file for reading and writing, or creates it.
    fn open(&self, path: &Path) -> io::Result<Box<dyn StorageBackend>>;
}

/// What a store holds when it is opened.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) revision: Revision,
    pub(super) last_lease: LeaseId,
    pub(super) kvs: Vec<KeyValue>,
    pub(super) leases: Vec<(LeaseId, Duration)>,
}

impl Default for Loaded {
    fn default() -> Self {
        Self {
            revision: FIRST_REVISION,
            last_lease: LeaseId(0),
            kvs: Vec::new(),
            leases: Vec::new(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    cache_bytes: usize,
    files: Box<dyn Files>,
    /// `None` after a failed commit until the file could be opened anew.
    database: Option<Database>,
    /// Raised by one for each commit: tells a failed commit that is on disk from one that is not.
    commits: u64,
    /// An fsync failed: what the page cache shows is no longer what the disk holds.
    sync_failed: Arc<AtomicBool>,
    poisoned: Option<String>,
    /// Locked until this is dropped.
    _lock: File,
}

impl Disk {
    pub(super) fn open(
        folder: &Path,
        cache_bytes: usize,
        disk: &base::Disk,
    ) -> Result<(Self, Loaded), MetaError> {
        Self::open_with(folder, cache_bytes, Box::new(DiskFiles(disk.clone())))
    }

    pub(super) fn open_with(
        folder: &Path,
        cache_bytes: usize,
        files: Box<dyn Files>,
    ) -> Result<(Self, Loaded), MetaError> {
        let on = files.disk();
        on.create_dir_all(folder).map_err(|error| io("creating its folder", &error))?;
        let lock = lock(on, folder)?;
        let path = folder.join("meta.redb");
        let mut disk = Self {
            path,
            cache_bytes,
            files,
            database: None,
            commits: 0,
            sync_failed: Arc::new(AtomicBool::new(false)),
            poisoned: None,
            _lock: lock,
        };
        match disk.files.disk().length(&disk.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(folder)?,
            found => {
                let bytes = found.map_err(|error| io("looking for its file", &error))?;
                let written = write_again(disk.files.disk(), &disk.path, bytes);
                written.map_err(|error| io("making its file durable", &error))?;
            }
        }
        let database = disk.open_database(&disk.path)?;
        let read = database.begin_read().map_err(|error| redb("reading its file", error))?;
        disk.commits = commits(&read)?;
        let loaded = load(&read)?;
        drop(read);
        disk.database = Some(database);
        Ok((disk, loaded))
    }

    /// Writes an empty store under another name first, so that a crash leaves a whole one or none.
    fn create(&self, folder: &Path) -> Result<(), MetaError> {
        let new = folder.join("meta.redb.new");
        let disk = self.files.disk();
        match disk.remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io("removing the rest of a failed start", &error));
            }
            _ => {}
        }
        let database = self.open_database(&new)?;
        let write = begin(&database)?;
        write_meta(&write, FIRST_REVISION, LeaseId(0), 0)?;
        write.open_table(KEYS).map_err(|error| redb("creating its file", error))?;
        write.open_table(LEASES).map_err(|error| redb("creating its file", error))?;
        write.commit().map_err(|error| redb("creating its file", error))?;
        database.close().map_err(|error| redb("creating its file", error))?;
        disk.rename(&new, &self.path).map_err(|error| io("naming its file", &error))?;
        // The folder may be new as well, and is then as lost as its own name.
        for folder in [Some(folder), folder.parent()].into_iter().flatten() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            let synced = disk.sync_dir(folder);
            synced.map_err(|error| io("syncing its folder", &error))?;
        }
        Ok(())
    }

    fn open_database(&self, path: &Path) -> Result<Database, MetaError> {
        let file = self.files.open(path).map_err(|error| io("opening its file", &error))?;
        let backend = Watched::new(file, Arc::clone(&self.sync_failed));
        Builder::new()
            .set_cache_size(self.cache_bytes)
            // Otherwise redb trusts a file that was closed cleanly, and may panic if it must not.
            .set_check_integrity_on_open(true)
            .create_with_backend(backend)
            .map_err(|error| redb("opening its file", error))
    }

    /// Makes the layer durable. On an error the file holds what it held before, or the store is
    /// poisoned.
    pub(super) fn commit(
        &mut self,
        overlay: &Overlay,
        last_lease: LeaseId,
    ) -> Result<(), MetaError> {
        if let Some(reason) = &self.poisoned {
            return Err(MetaError::Poisoned(reason.clone()));
        }
        self.reopen()?;
        let Some(database) = &self.database else {
            return Err(MetaError::Poisoned("its file is not open".to_owned()));
        };
        match write(database, overlay, last_lease, self.commits + 1) {
            Ok(()) => {
                self.commits += 1;
                Ok(())
            }
            Err(error) => {
                self.recover(&error);
                match error {
                    // "Not carried out" is only said once the file has shown it.
                    MetaError::Full(detail) if self.database.is_none() => {
                        Err(MetaError::Io { doing: "committing", detail })
                    }
                    error => Err(error),
                }
            }
        }
    }

    pub(super) fn close(self) -> Result<(), MetaError> {
        match self.database {
            Some(database) => database.close().map_err(|error| redb("closing its file", error)),
            None => Ok(()),
        }
    }

    /// redb takes no more commits after an error of the device. If no fsync failed, the file can
    /// be opened anew and shows for certain what became of the commit. After a failed fsync it
    /// shows what the page cache has, and no later fsync would tell that it never reached the disk.
    fn recover(&mut self, error: &MetaError) {
        if let Some(database) = self.database.take()
            && let Err(error) = database.close()
        {
            tracing::debug!(%error, "closing the metadata file after a failed commit");
        }
        if self.sync_failed.load(Ordering::SeqCst) {
            self.poisoned = Some(error.to_string());
        } else if let Err(again) = self.reopen() {
            tracing::warn!(error = %again, "the metadata file cannot be opened; will try again");
        }
    }

    fn reopen(&mut self) -> Result<(), MetaError> {
        if self.database.is_some() {
            return Ok(());
        }
        let opened = self.open_database(&self.path).and_then(|database| {
            let read = database.begin_read().map_err(|error| redb("reading its file", error))?;
            Ok((commits(&read)?, database))
        });
        if self.sync_failed.load(Ordering::SeqCst) {
            self.poisoned = Some("an fsync failed while it was opened anew".to_owned());
        }
        let (commits, database) = opened?;
        if commits != self.commits {
            let reason = format!("its file is at commit {commits}, memory at {}", self.commits);
            self.poisoned = Some(reason.clone());
            return Err(MetaError::Poisoned(reason));
        }
        self.database = Some(database);
        Ok(())
    }
}

/// Writes a file over itself. After a failed sync the system takes what it has for written, though it
/// never reached the disk: a process before this one may have met that. The header goes last, when
/// what it points to is on the disk.
fn write_again(disk: &base::Disk, path: &Path, bytes: u64) -> io::Result<()> {
    const HEADER: u64 = 4096;
    const CHUNK: u64 = 256 * 1024;
    let file = disk.open(path, Open::Write)?;
    let copy = |from: u64, to: u64| {
        let mut chunk = vec![0; usize::try_from(to - from).map_err(io::Error::other)?];
        file.read_exact_at(&mut chunk, from)?;
        file.write_all_at(&chunk, from)
    };
    let mut from = HEADER;
    while from < bytes {
        let to = bytes.min(from + CHUNK);
        copy(from, to)?;
        from = to;
    }
    file.sync_data()?;
    copy(0, HEADER.min(bytes))?;
    file.sync_data()
}

fn lock(disk: &base::Disk, folder: &Path) -> Result<File, MetaError> {
    let path = folder.join("meta.lock");
    let file = disk.open(&path, Open::Create).map_err(|error| io("opening its lock", &error))?;
    match file.try_lock() {
        Ok(true) => Ok(file),
        Ok(false) => Err(MetaError::Locked { path }),
        Err(error) => Err(io("taking its lock", &error)),
    }
}

fn begin(database: &Database) -> Result<WriteTransaction, MetaError> {
    const DOING: &str = "beginning a commit";
    let mut write = database.begin_write().map_err(|error| redb(DOING, error))?;
    let durability = match planted::is(Bug::MetadataNotSynced) {
        true => Durability::None,
        false => Durability::Immediate,
    };
    write.set_durability(durability).map_err(|error| redb(DOING, error))?;
    Ok(write)
}

fn write(
    database: &Database,
    overlay: &Overlay,
    last_lease: LeaseId,
    commits: u64,
) -> Result<(), MetaError> {
    const DOING: &str = "writing a commit";
    let write = begin(database)?;
    {
        let mut keys = write.open_table(KEYS).map_err(|error| redb(DOING, error))?;
        let mut buffer = Vec::new();
        for (key, kv) in &overlay.keys {
            match kv {
                Some(kv) => {
                    encode(kv, &mut buffer);
                    keys.insert(&key[..], &buffer[..]).map_err(|error| redb(DOING, error))?;
                }
                None => drop(keys.remove(&key[..]).map_err(|error| redb(DOING, error))?),
            }
        }
        let mut leases = write.open_table(LEASES).map_err(|error| redb(DOING, error))?;
        for (id, ttl) in &overlay.leases {
            match ttl {
                Some(ttl) => {
                    let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
                    leases.insert(id.0, millis).map_err(|error| redb(DOING, error))?;
                }
                None => drop(leases.remove(id.0).map_err(|error| redb(DOING, error))?),
            }
        }
    }
    write_meta(&write, overlay.revision, last_lease, commits)?;
    write.commit().map_err(|error| redb("committing", error))
}

fn write_meta(
    write: &WriteTransaction,
    revision: Revision,
    last_lease: LeaseId,
    commits: u64,
) -> Result<(), MetaError> {
    const DOING: &str = "writing a commit";
    let mut meta = write.open_table(META).map_err(|error| redb(DOING, error))?;
    let rows = [
        ("format", FORMAT),
        ("revision", revision),
        ("last_lease", last_lease.0),
        ("commits", commits),
    ];
    for (name, value) in rows {
        meta.insert(name, value).map_err(|error| redb(DOING, error))?;
    }
    Ok(())
}

fn commits(read: &ReadTransaction) -> Result<u64, MetaError> {
    let meta = read.open_table(META).map_err(table)?;
    let format = number(&meta, "format")?;
    if format != FORMAT {
        return Err(corrupt(format!("format {format}; this version reads format {FORMAT}")));
    }
    number(&meta, "commits")
}

fn load(read: &ReadTransaction) -> Result<Loaded, MetaError> {
    const DOING: &str = "reading its file";
    let meta = read.open_table(META).map_err(table)?;
    let revision = number(&meta, "revision")?;
    let last_lease = LeaseId(number(&meta, "last_lease")?);
    let mut loaded = Loaded { revision, last_lease, kvs: Vec::new(), leases: Vec::new() };
    let keys = read.open_table(KEYS).map_err(table)?;
    for row in keys.iter().map_err(|error| redb(DOING, error))? {
        let (key, value) = row.map_err(|error| redb(DOING, error))?;
        let kv = decode(key.value(), value.value());
        let kv = kv.filter(|kv| kv.mod_revision <= revision);
        let kv = kv.ok_or_else(|| corrupt("a key's entry is malformed".to_owned()))?;
        loaded.kvs.push(kv);
    }
    let leases = read.open_table(LEASES).map_err(table)?;
    for row in leases.iter().map_err(|error| redb(DOING, error))? {
        let (id, ttl) = row.map_err(|error| redb(DOING, error))?;
        loaded.leases.push((LeaseId(id.value()), Duration::from_millis(ttl.value())));
    }
    Ok(loaded)
}

fn number(meta: &impl ReadableTable<&'static str, u64>, name: &str) -> Result<u64, MetaError> {
    let found = meta.get(name).map_err(|error| redb("reading its file", error))?;
    found.map(|value| value.value()).ok_or_else(|| corrupt(format!("it has no {name}")))
}

fn encode(kv: &KeyValue, buffer: &mut Vec<u8>) {
    buffer.clear();
    let lease = kv.lease.map_or(0, |lease| lease.0);
    for number in [kv.create_revision, kv.mod_revision, kv.version, lease] {
        buffer.extend_from_slice(&number.to_le_bytes());
    }
    buffer.extend_from_slice(&kv.value);
}

fn decode(key: &[u8], entry: &[u8]) -> Option<KeyValue> {
    let (head, value) = entry.split_first_chunk::<32>()?;
    let (numbers, _) = head.as_chunks::<8>();
    let [create_revision, mod_revision, version, lease] =
        numbers.try_into().ok().map(|n: [[u8; 8]; 4]| n.map(u64::from_le_bytes))?;
    Some(KeyValue {
        key: Bytes::copy_from_slice(key),
        value: Bytes::copy_from_slice(value),
        create_revision,
        mod_revision,
        version,
        lease: (lease != 0).then_some(LeaseId(lease)),
    })
}

fn corrupt(what: String) -> MetaError {
    MetaError::Corrupt(what)
}

/// The error of a table that every store has.
fn table(error: TableError) -> MetaError {
    match error {
        TableError::Storage(error) => redb("reading its file", error),
        other => corrupt(other.to_string()),
    }
}

fn redb(doing: &'static str, error: impl Into<redb::Error>) -> MetaError {
    match error.into() {
        // Not its format, or shorter than its own header says.
        redb::Error::Io(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            corrupt(error.to_string())
        }
        redb::Error::Io(error) => io(doing, &error),
        redb::Error::Corrupted(what) => corrupt(what),
        error @ (redb::Error::UpgradeRequired(_)
        | redb::Error::RepairAborted
        | redb::Error::TableTypeMismatch { .. }) => corrupt(error.to_string()),
        error => MetaError::Io { doing, detail: error.to_string() },
    }
}

/// An error of the system.
pub(super) fn io(doing: &'static str, error: &io::Error) -> MetaError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            MetaError::Full(error.to_string())
        }
        _ => MetaError::Io { doing, detail: error.to_string() },
    }
}

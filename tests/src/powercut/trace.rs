//! What strace saw a program do to its files, as the notes of `tests/native/powercut.c`: for programs that do not
//! go through the C library.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The system calls that change files or sync them, or say where the next change is.
pub(super) const CALLS: &str = "open,openat,creat,read,readv,write,pwrite64,writev,pwritev,pwritev2,lseek,ftruncate,fallocate,fsync,\
                                fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir";

/// Reads a trace. Memory that is mapped and written is not seen.
pub(super) struct Trace<'a> {
    root: &'a Path,
    /// Files by their names, with their sizes as far as they were written here.
    files: HashMap<PathBuf, File>,
    next: u64,
    /// Where the next write goes, by number and name of an open file.
    positions: HashMap<(String, PathBuf), u64>,
    /// Calls that had begun when another thread's came.
    begun: HashMap<&'a str, &'a str>,
    notes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct File {
    number: u64,
    size: u64,
    is_noted: bool,
}

impl<'a> Trace<'a> {
    /// `files`: what is there already, with sizes.
    pub(super) fn new(root: &'a Path, files: impl Iterator<Item = (PathBuf, u64)>) -> Self {
        let number = |(at, (path, size)): (usize, (PathBuf, u64))| {
            (path, File { number: at as u64 + 1, size, is_noted: false })
        };
        let files: HashMap<_, _> = files.enumerate().map(number).collect();
        let next = files.len() as u64 + 1;
        let (positions, begun) = (HashMap::new(), HashMap::new());
        Self { root, files, next, positions, begun, notes: Vec::new() }
    }

    /// The notes of all that the trace's text says.
    pub(super) fn notes(mut self, text: &'a str) -> Vec<u8> {
        for line in text.lines() {
            let Some((thread, what)) = line.split_once(' ') else { continue };
            let what = what.trim_start();
            if let Some(begun) = what.strip_suffix(" <unfinished ...>") {
                self.sync_begins(begun);
                self.begun.insert(thread, begun);
            } else if let Some((_, rest)) =
                what.split_once(" resumed>").filter(|_| what.starts_with("<... "))
            {
                if let Some(begun) = self.begun.remove(thread) {
                    self.done(&format!("{begun}{rest}"));
                }
            } else {
                self.sync_begins(what);
                self.done(what);
            }
        }
        self.notes
    }

    fn sync_begins(&mut self, call: &str) {
        if let Some((_, args)) = call.split_once('(').filter(|(name, _)| is_sync(name)) {
            let (_, path) = open_file(args.trim_end_matches(')'));
            self.sync(&path, b'B', b'D');
        }
    }

    /// A file has one kind of note, a folder another.
    fn sync(&mut self, path: &Path, of_file: u8, of_folder: u8) {
        if !path.starts_with(self.root) {
        } else if let Some(file) = self.files.get(path).copied() {
            self.note(of_file, file.number, file.size, b"");
        } else if path.is_dir() {
            self.note_path(of_folder, 0, path);
        }
    }

    /// A call that has returned: `name(args) = result`.
    fn done(&mut self, call: &str) {
        let Some((head, result)) = call.rsplit_once(" = ") else { return };
        let Some((name, args)) = head.trim_end().trim_end_matches(')').split_once('(') else {
            return;
        };
        let number: i64 =
            result.split(['<', ' ']).next().and_then(|n| n.parse().ok()).unwrap_or(-1);
        if number < 0 {
            return;
        }
        let args = split(args);
        let arg = |at: usize| args.get(at).copied().unwrap_or_default();
        match name {
            "open" | "openat" | "creat" => self.opened(result, &args),
            "write" | "writev" => self.wrote(arg(0), arg(1), number.cast_unsigned(), None),
            "pwrite64" | "pwritev" | "pwritev2" => {
                let at = arg(3).parse().expect("the position of a write");
                self.wrote(arg(0), arg(1), number.cast_unsigned(), Some(at));
            }
            "read" | "readv" => {
                if let Some(place) = self.positions.get_mut(&open_file(arg(0))) {
                    *place += number.cast_unsigned();
                }
            }
            "lseek" => {
                let (fd, path) = open_file(arg(0));
                self.positions.insert((fd, path), number.cast_unsigned());
            }
            "ftruncate" => self.resized(arg(0), |_| arg(1).parse().expect("a size")),
            "fallocate" if arg(1) == "0" => {
                let number = |at: usize| arg(at).parse::<u64>().expect("a size");
                self.resized(arg(0), |size| size.max(number(2) + number(3)));
            }
            "fsync" | "fdatasync" => self.sync(&open_file(arg(0)).1, b'S', b'E'),
            "rename" => self.renamed(&path_of("", arg(0)), &path_of("", arg(1))),
            "renameat" | "renameat2" => {
                self.renamed(&path_of(arg(0), arg(1)), &path_of(arg(2), arg(3)));
            }
            "unlink" => self.removed(&path_of("", arg(0)), b'U'),
            "rmdir" => self.removed(&path_of("", arg(0)), b'X'),
            "unlinkat" => {
                let kind = if arg(2).contains("AT_REMOVEDIR") { b'X' } else { b'U' };
                self.removed(&path_of(arg(0), arg(1)), kind);
            }
            "mkdir" => self.made(&path_of("", arg(0))),
            "mkdirat" => self.made(&path_of(arg(0), arg(1))),
            _ => {}
        }
    }

    fn opened(&mut self, result: &str, args: &[&str]) {
        let (fd, path) = open_file(result);
        let flags = args.iter().find(|arg| arg.starts_with("O_")).copied().unwrap_or_default();
        let makes = flags.contains("O_CREAT") || args.len() == 2;
        if !path.starts_with(self.root) || flags.contains("O_DIRECTORY") {
            return;
        }
        if !self.files.contains_key(&path) {
            if !makes {
                return; // A folder.
            }
            let file = File { number: self.next, size: 0, is_noted: true };
            self.next += 1;
            self.note_path(b'C', file.number, &path);
            self.files.insert(path.clone(), file);
        }
        let Some(file) = self.files.get_mut(&path) else { return };
        let known = *file;
        file.is_noted = true;
        if flags.contains("O_TRUNC") {
            file.size = 0;
        }
        if !known.is_noted {
            self.note_path(b'O', known.number, &path);
        }
        if flags.contains("O_TRUNC") {
            self.note(b'T', known.number, 0, b"");
        }
        if flags.contains("O_APPEND") {
            self.positions.remove(&(fd, path));
        } else {
            self.positions.insert((fd, path), 0);
        }
    }

    /// `at`: where, if the call says so; else where the file stands, at its end if it is only appended to.
    fn wrote(&mut self, file: &str, data: &str, done: u64, at: Option<u64>) {
        let (fd, path) = open_file(file);
        let Some(known) = self.files.get_mut(&path) else { return };
        let place = self.positions.get_mut(&(fd, path));
        let begin = at.or(place.as_deref().copied()).unwrap_or(known.size);
        if let (Some(place), None) = (place, at) {
            *place = begin + done;
        }
        known.size = known.size.max(begin + done);
        let number = known.number;
        let bytes = strings(data).concat();
        let done = usize::try_from(done).expect("a size");
        self.note(
            b'W',
            number,
            begin,
            bytes.get(..done).expect("strace shows all that is written"),
        );
    }

    fn resized(&mut self, file: &str, size: impl FnOnce(u64) -> u64) {
        let (_, path) = open_file(file);
        let Some(known) = self.files.get_mut(&path) else { return };
        known.size = size(known.size);
        let File { number, size, .. } = *known;
        self.note(b'T', number, size, b"");
    }

    fn renamed(&mut self, from: &Path, to: &Path) {
        if !from.starts_with(self.root) || !to.starts_with(self.root) {
            return;
        }
        if let Some(file) = self.files.remove(from) {
            self.files.insert(to.to_path_buf(), file);
        }
        let paths = [from.as_os_str().as_encoded_bytes(), b"\0", to.as_os_str().as_encoded_bytes()];
        self.note(b'R', 0, 0, &paths.concat());
    }

    fn removed(&mut self, path: &Path, kind: u8) {
        if path.starts_with(self.root) {
            self.files.remove(path);
            self.note_path(kind, 0, path);
        }
    }

    fn made(&mut self, path: &Path) {
        if path.starts_with(self.root) {
            self.note_path(b'M', 0, path);
        }
    }

    fn note_path(&mut self, kind: u8, file: u64, path: &Path) {
        self.note(kind, file, 0, path.as_os_str().as_encoded_bytes());
    }

    fn note(&mut self, kind: u8, file: u64, position: u64, bytes: &[u8]) {
        self.notes.push(kind);
        self.notes.extend(file.to_le_bytes());
        self.notes.extend(position.to_le_bytes());
        self.notes.extend(u32::try_from(bytes.len()).expect("a length").to_le_bytes());
        self.notes.extend(bytes);
    }
}

fn is_sync(name: &str) -> bool {
    matches!(name, "fsync" | "fdatasync")
}

/// The arguments, parted at commas that are in no bracket and no string. With `-xx` no string has one of its own.
fn split(args: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, sign) in args.char_indices() {
        match sign {
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(args.get(from..at).unwrap_or_default().trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(args.get(from..).unwrap_or_default().trim());
    parts
}

/// Of `5<\x2f…>`: the number and the name.
fn open_file(text: &str) -> (String, PathBuf) {
    let (number, rest) = text.split_once('<').unwrap_or((text, ""));
    let name = rest.split_once('>').map_or("", |(name, _)| name);
    (number.to_owned(), path(&bytes(name)))
}

/// A name that an argument gives, in the folder that another one gives.
fn path_of(folder: &str, name: &str) -> PathBuf {
    let name = strings(name).concat();
    if folder.is_empty() { path(&name) } else { open_file(folder).1.join(path(&name)) }
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

/// What stands between quotes, one after the other.
fn strings(text: &str) -> Vec<Vec<u8>> {
    text.split('"').skip(1).step_by(2).map(bytes).collect()
}

/// Of `\x61\x62`: its bytes.
fn bytes(text: &str) -> Vec<u8> {
    let code = |code: &str| u8::from_str_radix(code, 16).expect("strace writes bytes as \\xHH");
    text.split("\\x").skip(1).map(code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> String {
        text.bytes().map(|byte| format!("\\x{byte:02x}")).collect()
    }

    #[test]
    fn a_trace_becomes_notes() {
        let (a, b, new) = (hex("/r/a"), hex("/r/b"), hex("new"));
        let text = format!(
            "1 openat(AT_FDCWD<{cwd}>, \"{a}\", O_RDWR|O_CLOEXEC) = 5<{a}>\n\
             1 lseek(5<{a}>, 0, SEEK_END) = 3\n\
             1 write(5<{a}>, \"{new}\", 3 <unfinished ...>\n\
             2 fsync(5<{a}> <unfinished ...>\n\
             1 <... write resumed>)             = 2\n\
             2 <... fsync resumed>)             = 0\n\
             2 pwritev(5<{a}>, [{{iov_base=\"{new}\", iov_len=3}}, {{iov_base=\"{new}\", iov_len=3}}], 2, 9) = 6\n\
             2 rename(\"{a}\", \"{b}\") = 0\n\
             2 unlink(\"{cwd}\") = -1 ENOENT\n",
            cwd = hex("/r"),
        );
        let root = Path::new("/r");
        let notes = Trace::new(root, [("/r/a".into(), 3)].into_iter()).notes(&text);
        let mut found = Vec::new();
        let mut rest = notes.as_slice();
        while let Some(note) = super::super::Note::take(&mut rest) {
            let text = String::from_utf8_lossy(note.bytes).into_owned();
            found.push((note.kind as char, note.position, text));
        }
        let note = |kind, position, text: &str| (kind, position, text.to_owned());
        let expected = [
            note('O', 0, "/r/a"),
            note('B', 3, ""),
            note('W', 3, "ne"),
            note('S', 5, ""),
            note('W', 9, "newnew"),
            note('R', 0, "/r/a\0/r/b"),
        ];
        assert_eq!(found, expected);
    }
}

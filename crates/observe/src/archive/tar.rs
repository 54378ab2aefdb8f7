//! Files in one: the "ustar" interchange format (POSIX.1-2017, `pax`), as far as plain files need it.
//!
//! A file is a block that says what it is called and how long it is, then its bytes, filled up to whole blocks; two blocks of
//! zeros are the end.

use super::ArchiveError;

const BLOCK: usize = 512;
/// Where its fields are in a header, and how long they are.
const NAME: (usize, usize) = (0, 100);
const MODE: (usize, usize) = (100, 8);
const OWNER: (usize, usize) = (108, 8);
const GROUP: (usize, usize) = (116, 8);
const SIZE: (usize, usize) = (124, 12);
const TIME: (usize, usize) = (136, 12);
const SUM: (usize, usize) = (148, 8);
const KIND: usize = 156;
const MAGIC: (usize, usize) = (257, 8);

/// Puts a file behind what there is. `seconds`: when it was changed last, since 1970.
pub(super) fn put(archive: &mut Vec<u8>, name: &str, bytes: &[u8], seconds: u64) {
    let mut header = [0; BLOCK];
    set(&mut header, NAME, name.as_bytes());
    set(&mut header, MODE, b"0000600\0");
    set(&mut header, OWNER, b"0000000\0");
    set(&mut header, GROUP, b"0000000\0");
    set(&mut header, SIZE, format!("{:011o}\0", bytes.len()).as_bytes());
    set(&mut header, TIME, format!("{seconds:011o}\0").as_bytes());
    header[KIND] = b'0';
    set(&mut header, MAGIC, b"ustar\x0000");
    let sum = format!("{:06o}\0 ", sum(&header));
    set(&mut header, SUM, sum.as_bytes());
    archive.extend_from_slice(&header);
    archive.extend_from_slice(bytes);
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
}

/// That was the last one.
pub(super) fn end(archive: &mut Vec<u8>) {
    archive.resize(archive.len() + 2 * BLOCK, 0);
}

/// Plain files, by the last part of their names; other things are left out.
pub(super) fn files(mut rest: &[u8]) -> Result<Vec<(String, &[u8])>, ArchiveError> {
    let mut files = Vec::new();
    loop {
        let (header, behind) = rest.split_at_checked(BLOCK).ok_or(ArchiveError::CutOff)?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(files);
        }
        if number(field(header, SUM)) != Some(u64::from(sum(header))) {
            return Err(ArchiveError::NotOne);
        }
        let size = number(field(header, SIZE)).and_then(|size| usize::try_from(size).ok());
        let size = size.ok_or(ArchiveError::NotOne)?;
        let bytes = behind.get(..size).ok_or(ArchiveError::CutOff)?;
        let kind = header.get(KIND).copied().unwrap_or_default();
        if matches!(kind, b'0' | 0) {
            let name = String::from_utf8_lossy(until_zero(field(header, NAME))).into_owned();
            let name = name.rsplit('/').next().unwrap_or_default().to_owned();
            files.push((name, bytes));
        }
        rest = behind.get(size.next_multiple_of(BLOCK)..).ok_or(ArchiveError::CutOff)?;
    }
}

fn set(header: &mut [u8; BLOCK], (at, length): (usize, usize), bytes: &[u8]) {
    for (to, from) in header.iter_mut().skip(at).take(length).zip(bytes) {
        *to = *from;
    }
}

fn field(header: &[u8], (at, length): (usize, usize)) -> &[u8] {
    header.get(at..at + length).unwrap_or_default()
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The sum of a header's bytes, with blanks where it will stand.
fn sum(header: &[u8]) -> u32 {
    let is_sum = |at: usize| (SUM.0..SUM.0 + SUM.1).contains(&at);
    let bytes = header.iter().enumerate();
    bytes.map(|(at, byte)| if is_sum(at) { u32::from(b' ') } else { u32::from(*byte) }).sum()
}

/// Octal digits, with blanks around them.
fn number(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(until_zero(bytes)).ok()?;
    u64::from_str_radix(text.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_header_is_as_tar_writes_it() {
        let mut archive = Vec::new();
        put(&mut archive, "d/a", b"hello", 8);
        end(&mut archive);
        assert_eq!(archive.len(), 4 * BLOCK);
        assert_eq!(&archive[..4], b"d/a\0");
        assert_eq!(&archive[124..148], b"00000000005\x0000000000010\0");
        assert_eq!(&archive[148..156], format!("{:06o}\0 ", sum(&archive[..BLOCK])).as_bytes());
        assert_eq!(&archive[257..265], b"ustar\x0000");
        assert_eq!(files(&archive).unwrap(), [("a".to_owned(), &b"hello"[..])]);
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let mut archive = Vec::new();
        put(&mut archive, "a", &[7; 600], 8);
        for length in [0, 1, 511, 512, 1000, 1536] {
            assert!(matches!(files(&archive[..length]), Err(ArchiveError::CutOff)), "{length}");
        }
        end(&mut archive);
        assert_eq!(files(&archive).unwrap().len(), 1);
        archive[0] ^= 1;
        assert!(matches!(files(&archive), Err(ArchiveError::NotOne)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = files(&bytes);
        }

        #[test]
        fn what_is_put_in_comes_out(all in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1500), 0..4)) {
            let mut archive = Vec::new();
            for (number, bytes) in all.iter().enumerate() {
                put(&mut archive, &number.to_string(), bytes, 1 << 31);
            }
            end(&mut archive);
            let found: Vec<_> = files(&archive).unwrap().into_iter().map(|(_, bytes)| bytes.to_vec()).collect();
            prop_assert_eq!(found, all);
        }
    }
}

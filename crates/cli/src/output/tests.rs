use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use super::*;

/// A place to write to that a test can read.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written in a format.
pub(crate) fn written(format: Format, write: impl FnOnce(&mut Output)) -> String {
    let shared = Shared::default();
    write(&mut Output::new(format, Box::new(shared.clone())));
    String::from_utf8(shared.0.lock().clone()).unwrap()
}

#[derive(Serialize)]
struct Ship {
    name: &'static str,
    tons: u32,
}

impl Row for Ship {
    const COLUMNS: &'static [&'static str] = &["NAME", "TONS"];

    fn cells(&self) -> Vec<String> {
        vec![self.name.to_owned(), self.tons.to_string()]
    }
}

const FLEET: [Ship; 2] =
    [Ship { name: "Batavia", tons: 1200 }, Ship { name: "a\x1b[31m\n", tons: 5 }];

#[test]
fn a_table_has_aligned_columns_and_nothing_that_a_terminal_obeys() {
    let text = written(Format::Table, |output| output.rows(&FLEET).unwrap());
    assert_eq!(text, "NAME           TONS\nBatavia        1200\na\\u{1b}[31m\\n  5\n");
    let none = written(Format::Table, |output| output.rows::<Ship>(&[]).unwrap());
    assert_eq!(none, "NAME  TONS\n");
}

#[test]
fn json_is_one_array_on_one_line() {
    let text = written(Format::Json, |output| output.rows(&FLEET).unwrap());
    assert_eq!(
        text,
        "[{\"name\":\"Batavia\",\"tons\":1200},{\"name\":\"a\\u001b[31m\\n\",\"tons\":5}]\n"
    );
    assert_eq!(written(Format::Json, |output| output.rows::<Ship>(&[]).unwrap()), "[]\n");
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for format in [Format::Table, Format::Json] {
        let error = Output::new(format, Box::new(Gone)).rows(&FLEET).unwrap_err();
        let error = crate::CliError::from(error);
        assert!(error.is_silent() && error.exit_code() == 0, "{format:?}: {error:?}");
    }
    let full = crate::CliError::from(io::Error::from(io::ErrorKind::StorageFull));
    assert!(!full.is_silent() && full.exit_code() == 1);
}

#[test]
fn base64_is_that_of_the_rfc() {
    // RFC 4648 section 10.
    for (plain, coded) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(base64(plain.as_bytes()), coded);
    }
    assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    assert_eq!(text_or_base64("é".as_bytes()), Ok("é"));
    assert_eq!(text_or_base64(&[0xff]), Err("/w==".to_owned()));
}

#[test]
fn times_are_written_as_the_rfc_says() {
    assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(time(951_782_400_000), "2000-02-29T00:00:00.000Z");
    assert_eq!(time(1_709_251_199_999), "2024-02-29T23:59:59.999Z");
    assert_eq!(time(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    assert_eq!(time(-2), "1969-12-31T23:59:59.998Z");
    assert_eq!(time(-1), "-");
    assert!(time(i64::MAX).ends_with('Z') && time(i64::MIN).ends_with('Z'));
}

#[test]
fn a_day_follows_a_day() {
    let mut last = date(-1_000_000);
    for day in -999_999..1_000_000 {
        let this = date(day);
        let (year, month, number) = last;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let wanted = match (month, number) {
            (12, 31) => (year + 1, 1, 1),
            (_, number) if number == length => (year, month + 1, 1),
            _ => (year, month, number + 1),
        };
        assert_eq!(this, wanted, "after {last:?}");
        last = this;
    }
}

#[test]
fn sizes_have_the_unit_that_fits() {
    assert_eq!(size(-1), "-");
    assert_eq!(size(1023), "1023 B");
    assert_eq!(size(1536), "1.5 KiB");
    assert_eq!(size(3 << 30), "3.0 GiB");
    assert_eq!(size(i64::MAX), "8388608.0 TiB");
}

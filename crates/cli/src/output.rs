//! Writing results: tables for people, JSON for programs.

use std::io::{self, BufWriter, Write};

use comfy_table::{Table, presets};
use serde::Serialize;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// JSON for programs; where results are a stream, one object a line.
    Json,
}

/// Something that is one row of a table, and one JSON object.
pub(crate) trait Row: Serialize {
    /// Names of the columns.
    const COLUMNS: &'static [&'static str];

    /// The cells, as many as columns.
    fn cells(&self) -> Vec<String>;
}

/// Where results go: standard output, and nothing else goes there.
pub(crate) struct Output {
    format: Format,
    to: Box<dyn Write>,
}

impl Output {
    /// To standard output.
    pub(crate) fn stdout(format: Format) -> Self {
        Self::new(format, Box::new(BufWriter::new(io::stdout())))
    }

    /// To anywhere.
    pub(crate) fn new(format: Format, to: Box<dyn Write>) -> Self {
        Self { format, to }
    }

    /// Whether JSON is wanted.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Writes rows: a table with its heading, or one JSON array.
    pub(crate) fn rows<R: Row>(&mut self, rows: &[R]) -> io::Result<()> {
        match self.format {
            Format::Json => self.json(&rows),
            Format::Table => {
                let mut table = Table::new();
                table.load_style(presets::NOTHING).set_header(R::COLUMNS);
                table.add_rows(rows.iter().map(|row| {
                    row.cells().into_iter().map(|cell| printable(&cell)).collect::<Vec<_>>()
                }));
                for line in table.lines() {
                    let line = line.strip_prefix(' ').unwrap_or(&line); // the first column's padding
                    writeln!(self.to, "{}", line.trim_end())?;
                }
                Ok(())
            }
        }
    }

    /// Writes one JSON value on a line of its own.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.to, value).map_err(io::Error::from)?;
        self.to.write_all(b"\n")
    }

    /// Writes a line of text.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.to, "{}", text.as_ref())
    }

    /// Writes bytes and the end of the line.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)?;
        self.to.write_all(b"\n")
    }

    /// Sends what is buffered on its way.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Text from others, safe for a terminal: control characters are escaped.
pub(crate) fn printable(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 8), |mut out, c| {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

/// Bytes as text where they are UTF-8, else as base64 (RFC 4648 section 4).
pub(crate) fn text_or_base64(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| base64(bytes))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| char::from(DIGITS[(bits & 63) as usize]);
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        out.push(digit(bits >> 18));
        out.push(digit(bits >> 12));
        out.push(if chunk.len() > 1 { digit(bits >> 6) } else { '=' });
        out.push(if chunk.len() > 2 { digit(bits) } else { '=' });
    }
    out
}

/// A time in milliseconds since the epoch as RFC 3339 in UTC; -1, which means none, as a dash.
pub(crate) fn time(millis: i64) -> String {
    if millis == -1 {
        return "-".to_owned();
    }
    let (days, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let (year, month, day) = date(days);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, milli) = (rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// The Gregorian date of a day counted from 1970-01-01. The year is taken to begin in March, so
/// that the day that some years lack comes last; 400 years have 146,097 days.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // from March
    let day = day - (153 * month + 2) / 5 + 1;
    let year = year + era * 400 + i64::from(month >= 10);
    (year, if month < 10 { month + 3 } else { month - 9 }, day)
}

/// A number of bytes for people.
pub(crate) fn size(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    if bytes < 0 {
        return "-".to_owned();
    }
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
pub(crate) mod tests;

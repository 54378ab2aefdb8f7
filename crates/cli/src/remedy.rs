//! `entrepot remedy`.

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use crate::client::management::Management;
use crate::output::{Output, Row, printable, time};
use crate::{CliError, Connect};

/// `entrepot remedy`
#[derive(Debug, Args)]
pub struct Remedy {
    /// The HTTP door, where it is not on port 8080 of the server
    #[arg(long, global = true, value_name = "HOST:PORT", env = "ENTREPOT_HTTP_SERVER")]
    http: Option<String>,
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what the broker would do about incidents, and what was done, the newest first
    List,
    /// Have the broker do what it suggests
    Apply {
        /// Number of the remedy
        number: u64,
    },
    /// Put back what was before a remedy
    Undo {
        /// Number of the remedy
        number: u64,
    },
}

/// All of them, as the broker says it.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    /// The setting `observe.remedies`.
    mode: String,
    remedies: Vec<Entry>,
}

/// One, as the broker says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    number: u64,
    rule: String,
    about: String,
    text: String,
    state: String,
    /// Milliseconds since 1970: when it became what it is.
    at: i64,
    /// Absent: nobody did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// Absent: it did not fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl Row for Entry {
    const COLUMNS: &'static [&'static str] =
        &["NUMBER", "TIME", "RULE", "ABOUT", "STATE", "BY", "REMEDY", "ERROR"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.number.to_string(),
            time(self.at),
            self.rule.clone(),
            self.about.clone(),
            self.state.clone(),
            self.by.clone().unwrap_or_default(),
            self.text.clone(),
            self.why.clone().unwrap_or_default(),
        ]
    }
}

impl Remedy {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let door = self.connect.http(self.http.as_deref())?;
        let mut output = self.connect.output();
        let done = match self.action {
            Action::List => list(&door, &mut output),
            Action::Apply { number } => act(&door, number, "apply", &mut output),
            Action::Undo { number } => act(&door, number, "undo", &mut output),
        };
        // What came of it is told where it failed, too.
        output.flush()?;
        done
    }
}

fn list(door: &Management, output: &mut Output) -> Result<(), CliError> {
    let report: Report = read(door.get("v1/remedies", "remedies")?)?;
    if output.is_json() {
        return Ok(output.json(&report)?);
    }
    output.line(format!("mode: {} (observe.remedies)", printable(&report.mode)))?;
    if report.remedies.is_empty() {
        return Ok(output.line("nothing is suggested, and nothing was done")?);
    }
    Ok(output.rows(&report.remedies)?)
}

/// Has the broker do one, or undo it, and tells what came of that.
fn act(door: &Management, number: u64, verb: &str, output: &mut Output) -> Result<(), CliError> {
    let answer = door.send("POST", &format!("v1/remedies/{number}/{verb}"), "{}")?;
    answer.refused(&format!("remedy {number}")).map_or(Ok(()), Err)?;
    let entry: Entry = read(answer.body)?;
    if output.is_json() {
        output.json(&entry)?;
    } else {
        output.line(told(&entry))?;
    }
    // It may be refused only when it is tried; the request as such went well.
    let wanted = if verb == "apply" { "applied" } else { "undone" };
    if entry.state == wanted {
        return Ok(());
    }
    let what = match &entry.why {
        Some(why) => format!("remedy {number} failed: {}", printable(why)),
        None => format!("remedy {number} is {}", printable(&entry.state)),
    };
    Err(CliError::new(what))
}

fn read<T: for<'de> Deserialize<'de>>(json: serde_json::Value) -> Result<T, CliError> {
    let read = serde_json::from_value(json);
    read.map_err(|error| CliError::new(format!("what the broker says cannot be read: {error}")))
}

/// A remedy in one line.
fn told(entry: &Entry) -> String {
    let Entry { number, rule, about, text, state, at, .. } = entry;
    let mut line = format!("{number} {state} {}", time(*at));
    line.extend(entry.by.as_ref().map(|by| format!(" by {by}")));
    line.push_str(&format!("  {rule} {about}: {text}"));
    printable(&line)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    use clap::FromArgMatches;
    use serde_json::{Value, json};

    use super::*;
    use crate::client::security::Security;
    use crate::output::Format;
    use crate::output::tests::written;

    /// A door that answers one request so, and says what was asked.
    fn door(status: u16, body: &Value) -> (Management, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer = format!("HTTP/1.0 {status} X\r\n\r\n{body}");
        let asked = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap().lines().next().unwrap().to_owned()
        });
        (Management::new(address, Duration::from_secs(20), Security::default()), asked)
    }

    fn remedy(state: &str, more: &Value) -> Value {
        let mut all = json!({
            "number": 7, "rule": "E408", "about": "group/g", "text": "retention.ms from 1 to 2",
            "state": state, "at": 1_700_000_000_000_i64,
        });
        all.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        all
    }

    #[test]
    fn they_are_listed_with_the_mode() {
        let failed = remedy("failed", &json!({ "by": "me\n", "why": "no topic" }));
        let all =
            json!({ "mode": "suggest", "remedies": [remedy("suggested", &json!({})), failed] });
        let (at, asked) = door(200, &all);
        let text = written(Format::Table, |output| list(&at, output).unwrap());
        let expected = "\
mode: suggest (observe.remedies)
NUMBER  TIME                      RULE  ABOUT    STATE      BY    REMEDY                    ERROR
7       2023-11-14T22:13:20.000Z  E408  group/g  suggested        retention.ms from 1 to 2
7       2023-11-14T22:13:20.000Z  E408  group/g  failed     me\\n  retention.ms from 1 to 2  no topic
";
        assert_eq!(text, expected);
        assert_eq!(asked.join().unwrap(), "GET /api/v1/remedies HTTP/1.0");
        let (at, _) = door(200, &all);
        let text = written(Format::Json, |output| list(&at, output).unwrap());
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), all, "as the broker says it");
        let (at, _) = door(200, &json!({ "mode": "observe", "remedies": [] }));
        let text = written(Format::Table, |output| list(&at, output).unwrap());
        assert!(
            text.starts_with("mode: observe") && text.ends_with("nothing was done\n"),
            "{text}"
        );
    }

    #[test]
    fn what_came_of_one_is_told_and_one_that_failed_is_a_failure() {
        let done = |verb: &str, format: Format, body: &Value| {
            let (at, asked) = door(200, body);
            let mut result = Ok(());
            let text = written(format, |output| result = act(&at, 7, verb, output));
            (asked.join().unwrap(), text, result.map_err(|error| error.to_string()))
        };
        let line = |state: &str, by: &str| {
            format!(
                "7 {state} 2023-11-14T22:13:20.000Z{by}  E408 group/g: retention.ms from 1 to 2\n"
            )
        };
        let by = json!({ "by": "me" });
        let (asked, text, result) = done("apply", Format::Table, &remedy("applied", &by));
        assert_eq!(asked, "POST /api/v1/remedies/7/apply HTTP/1.0");
        assert_eq!((text, result), (line("applied", " by me"), Ok(())));
        let (asked, text, result) = done("undo", Format::Table, &remedy("undone", &json!({})));
        assert_eq!(asked, "POST /api/v1/remedies/7/undo HTTP/1.0");
        assert_eq!((text, result), (line("undone", ""), Ok(())));
        let failed = remedy("failed", &json!({ "by": "me", "why": "no topic" }));
        let (_, text, result) = done("apply", Format::Json, &failed);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), failed);
        assert_eq!(result, Err("remedy 7 failed: no topic".to_owned()));
        let (_, _, result) = done("undo", Format::Table, &remedy("applied", &json!({})));
        assert_eq!(result, Err("remedy 7 is applied".to_owned()), "it is not undone");
    }

    #[test]
    fn the_door_may_be_said_behind_the_number() {
        let command = Remedy::augment_args(clap::Command::new("remedy"));
        let read = |args: &[&str]| {
            let matches = command.clone().try_get_matches_from(args)?;
            Remedy::from_arg_matches(&matches)
        };
        let remedy = read(&["remedy", "undo", "7", "--http", "h:1", "-o", "json"]).unwrap();
        assert_eq!(remedy.http.as_deref(), Some("h:1"));
        assert!(matches!(remedy.action, Action::Undo { number: 7 }));
        assert!(read(&["remedy", "apply"]).is_err() && read(&["remedy", "apply", "-1"]).is_err());
    }

    #[test]
    fn a_refusal_says_why() {
        for (status, wanted) in
            [(404, "remedy 7: there is none"), (409, "remedy 7: it is applied already (HTTP 409)")]
        {
            let (at, _) = door(status, &json!({ "detail": "it is applied already" }));
            let mut error = None;
            let text = written(Format::Table, |output| error = act(&at, 7, "apply", output).err());
            assert_eq!((text.as_str(), error.unwrap().to_string().as_str()), ("", wanted));
        }
    }
}

//! `entrepot doctor`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use broker::observe::archive::Snapshot;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::output::{Output, size, time};
use crate::{CliError, Connect, exit};

/// `entrepot doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// The HTTP door, where it is not on port 8080 of the server
    #[arg(long, value_name = "HOST:PORT", env = "ENTREPOT_HTTP_SERVER")]
    http: Option<String>,
    /// Write all that the broker knows of itself into an archive (.tar.gz), to be diagnosed elsewhere
    ///
    /// That is its state with the names of topics, groups, queues and clients and their addresses, metrics with an hour of
    /// history, events and the configuration; no messages, no passwords, no keys.
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    bundle: Option<PathBuf>,
    /// Diagnose such an archive instead of a broker
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Serialize, Deserialize)]
struct Report {
    incidents: Vec<Incident>,
}

/// Something that is wrong, as the broker says it.
#[derive(Debug, Serialize, Deserialize)]
struct Incident {
    rule: String,
    severity: String,
    title: String,
    about: String,
    cause: String,
    evidence: Vec<String>,
    /// Rules of other incidents of which it comes.
    #[serde(default)]
    because_of: Vec<String>,
    remedy: String,
    /// Milliseconds since 1970.
    since: i64,
}

impl Doctor {
    pub(crate) fn run(self) -> Result<(), CliError> {
        if let Some(file) = &self.bundle {
            return self.write(file);
        }
        let mut output = self.connect.output();
        let report = match &self.from {
            Some(file) => archived(file, &mut output)?,
            None => self.ask()?,
        };
        if output.is_json() {
            output.json(&report)?;
        } else {
            show(&report, &mut output)?;
        }
        output.flush()?;
        match report.incidents.len() {
            0 => Ok(()),
            1 => Err(CliError::new("one thing is wrong").code(exit::UNHEALTHY)),
            count => Err(CliError::new(format!("{count} things are wrong")).code(exit::UNHEALTHY)),
        }
    }

    fn ask(&self) -> Result<Report, CliError> {
        let unhealthy = |error: CliError| error.code(exit::UNHEALTHY);
        let door = self.connect.http(self.http.as_deref())?;
        let answer = door.get("v1/diagnosis", "the diagnosis").map_err(unhealthy)?;
        read(answer)
    }

    /// Has the broker make an archive, and puts it into a new file.
    fn write(&self, path: &Path) -> Result<(), CliError> {
        let door = self.connect.http(self.http.as_deref())?;
        // Asked first: nothing is left behind of a broker that does not answer.
        let archive = door.download("v1/diagnosis/bundle", "the archive")?;
        if path.as_os_str() == "-" {
            io::stdout().write_all(&archive)?;
            return Ok(());
        }
        let failed = |error: io::Error| {
            let hint = "choose a file that is not there yet";
            CliError::new(format!("cannot write {}: {error}", path.display())).hint(hint)
        };
        // Names and addresses in it are not everybody's.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        file.and_then(|mut file| file.write_all(&archive)).map_err(failed)?;
        let bytes = i64::try_from(archive.len()).unwrap_or(i64::MAX);
        let mut output = self.connect.output();
        let (path, bytes) = (path.display(), size(bytes));
        output.line(format!("wrote {path} ({bytes}): entrepot doctor --from {path}"))?;
        output.flush()?;
        Ok(())
    }
}

fn read(json: serde_json::Value) -> Result<Report, CliError> {
    let read = serde_json::from_value(json);
    read.map_err(|error| CliError::new(format!("the diagnosis cannot be read: {error}")))
}

/// What is wrong with a broker of which there is an archive, and which one that is.
fn archived(path: &Path, output: &mut Output) -> Result<Report, CliError> {
    let failed = |why: String| CliError::new(format!("{}: {why}", path.display()));
    let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
    let snapshot = Snapshot::read(&bytes).map_err(|error| failed(error.to_string()))?;
    if !output.is_json() {
        let about = &snapshot.about;
        let (broker, version) = (&about.broker, &about.version);
        output.line(format!("{broker}, version {version}, as it was {}", time(about.now)))?;
        if snapshot.unknown_series > 0 {
            let unknown = snapshot.unknown_series;
            output
                .line(format!("{unknown} series are of metrics that this version does not know"))?;
        }
        output.line("")?;
    }
    let incidents = serde_json::to_value(snapshot.diagnose());
    let incidents = incidents.map_err(|error| failed(error.to_string()))?;
    read(serde_json::json!({ "incidents": incidents }))
}

fn show(report: &Report, output: &mut Output) -> io::Result<()> {
    if report.incidents.is_empty() {
        return output.line("nothing is wrong");
    }
    for (number, incident) in report.incidents.iter().enumerate() {
        if number > 0 {
            output.line("")?;
        }
        let Incident { rule, severity, title, about, cause, evidence, remedy, .. } = incident;
        let because_of = incident.because_of.join(", ");
        output.line(format!("{severity} {rule}  {about}: {title}"))?;
        for line in evidence {
            output.line(format!("  seen      {line}"))?;
        }
        if !because_of.is_empty() {
            output.line(format!("  because   of {because_of}, most likely"))?;
        }
        output.line(format!("  cause     {cause}"))?;
        output.line(format!("  to do     {remedy}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_broker_says_is_read() {
        let json = serde_json::json!({ "incidents": [{
            "rule": "W401", "severity": "warning", "title": "a group has stopped consuming",
            "about": "group/g", "cause": "It hangs.", "evidence": ["5 messages wait"],
            "remedy": "Look.", "since": 1,
        }] });
        let report = read(json).unwrap();
        assert_eq!(report.incidents[0].evidence, ["5 messages wait"]);
    }
}

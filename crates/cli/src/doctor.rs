//! `entrepot doctor`.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::output::Output;
use crate::{CliError, Connect, exit};

/// `entrepot doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// The HTTP door, where it is not on port 8080 of the server
    #[arg(long, value_name = "HOST:PORT", env = "ENTREPOT_HTTP_SERVER")]
    http: Option<String>,
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
    remedy: String,
    /// Milliseconds since 1970.
    since: i64,
}

impl Doctor {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let unhealthy = |error: CliError| error.code(exit::UNHEALTHY);
        let door = self.connect.http(self.http.as_deref())?;
        let answer = door.get("v1/diagnosis", "the diagnosis").map_err(unhealthy)?;
        let report: Report = serde_json::from_value(answer)
            .map_err(|error| CliError::new(format!("the diagnosis cannot be read: {error}")))?;
        let mut output = self.connect.output();
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
}

fn show(report: &Report, output: &mut Output) -> std::io::Result<()> {
    if report.incidents.is_empty() {
        return output.line("nothing is wrong");
    }
    for (number, incident) in report.incidents.iter().enumerate() {
        if number > 0 {
            output.line("")?;
        }
        let Incident { rule, severity, title, about, cause, evidence, remedy, .. } = incident;
        output.line(format!("{severity} {rule}  {about}: {title}"))?;
        for line in evidence {
            output.line(format!("  seen      {line}"))?;
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
        let report: Report = serde_json::from_value(json).unwrap();
        assert_eq!(report.incidents[0].evidence, ["5 messages wait"]);
    }
}

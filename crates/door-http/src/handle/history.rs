//! What metrics were.

use broker::access::Operation;
use broker::observe::{Key, Kind, Part, families};
use serde_json::{Value as Json, json};

use crate::ask::Ask;
use crate::problem::Problem;
use crate::{Outcome, told};

/// Points of an answer, of all series together.
const POINTS_MAX: usize = 200_000;

/// `/api/v1/history`.
pub(crate) async fn show(ask: &Ask) -> Outcome {
    ask.check_cluster(Operation::Describe)?;
    let name = ask.query("family").unwrap_or_default();
    let family = families::all().find(|family| family.name == name);
    let family =
        family.ok_or_else(|| Problem::not_found(format!("there is no metric '{name}'")))?;
    let part = part(ask.query("part"), matches!(family.kind, Kind::Histogram(_)))?;
    let seconds = ask.number("seconds", 1..=3600)?.unwrap_or(300);
    let step = ask.number("step", 1..=3600)?.unwrap_or(1);
    let labels: Option<Vec<&str>> = ask.query("labels").map(|labels| labels.split(',').collect());
    let is_wanted = |key: &Key| {
        let own = key.labels.iter().map(AsRef::as_ref);
        key.part == part && labels.as_ref().is_none_or(|wanted| own.eq(wanted.iter().copied()))
    };
    let history = &ask.broker().observe().history;
    let mut left = POINTS_MAX;
    let mut series: Vec<Json> = Vec::new();
    for key in history.keys(family.name).into_iter().filter(is_wanted) {
        let points = history.recent(&key, seconds).into_iter();
        let points = points.filter(|point| point.tick % step == 0).take(left);
        let points: Vec<_> = points.map(|point| json!([point.tick, point.value])).collect();
        left -= points.len();
        let labels: Vec<&str> = key.labels.iter().map(AsRef::as_ref).collect();
        series.push(json!({ "labels": labels, "points": points }));
    }
    Ok(told(&json!({
        "now": history.now(),
        "family": family.name,
        "label_names": family.labels,
        "unit": family.unit.word(),
        "series": series,
    })))
}

fn part(said: Option<&str>, is_histogram: bool) -> Result<Part, Problem> {
    match (said, is_histogram) {
        (None, false) => Ok(Part::Value),
        (None | Some("count"), true) => Ok(Part::Count),
        (Some("sum"), true) => Ok(Part::Sum),
        (Some("median"), true) => Ok(Part::Median),
        (Some("p99"), true) => Ok(Part::P99),
        (Some("max"), true) => Ok(Part::Max),
        (Some(_), true) => Err(Problem::invalid("part must be count, sum, median, p99 or max")),
        (Some(_), false) => Err(Problem::invalid("only a histogram has parts")),
    }
}

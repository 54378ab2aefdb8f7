//! Metrics.

use std::sync::Arc;

use broker::access::Operation;
use broker::observe::{Family, Format, Gathered, families, render};
use door::http::header;

use crate::ask::Ask;
use crate::problem::Problem;
use crate::{Outcome, text};

/// `/metrics`.
pub(crate) async fn all(ask: &Ask) -> Outcome {
    if !ask.is_open {
        ask.check_cluster(Operation::Describe)?;
    }
    show(ask, |family| !family.is_detail, |_| {}).await
}

/// `/metrics/detailed`.
pub(crate) async fn detailed(ask: &Ask) -> Outcome {
    ask.check_cluster(Operation::Describe)?;
    let names = ask.query("family").unwrap_or_default().split(',');
    let names: Vec<String> = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    for name in &names {
        if !families::all().any(|family| family.name.starts_with(name)) {
            return Err(Problem::not_found(format!("no metric's name begins with '{name}'")));
        }
    }
    let wanted = move |family: &Family| {
        names.is_empty() || names.iter().any(|name| family.name.starts_with(name))
    };
    let of = ["topic", "group"].map(|label| (label, ask.query(label).map(str::to_owned)));
    let keep = move |gathered: &mut Gathered| {
        for (label, value) in &of {
            let at = gathered.family.labels.iter().position(|known| known == label);
            let (Some(at), Some(value)) = (at, value) else { continue };
            let same =
                |labels: &Vec<Arc<str>>| labels.get(at).is_some_and(|known| **known == **value);
            gathered.series.retain(|labels, _| same(labels));
        }
    };
    show(ask, wanted, keep).await
}

async fn show(
    ask: &Ask,
    wanted: impl Fn(&Family) -> bool + Send + 'static,
    keep: impl Fn(&mut Gathered) + Send + 'static,
) -> Outcome {
    let format = Format::accepted(ask.field(header::ACCEPT));
    let observe = Arc::clone(ask.broker().observe());
    // Some of it asks the operating system, and with many topics it is long.
    let work = move || {
        let mut all = observe.registry.gather(&wanted);
        all.iter_mut().for_each(keep);
        all.retain(|gathered| !gathered.series.is_empty());
        render(&all, format)
    };
    let shown = tokio::task::spawn_blocking(work).await;
    let shown = shown.map_err(|error| Problem::unavailable(error.to_string()))?;
    Ok(text(format.content_type(), shown))
}

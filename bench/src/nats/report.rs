//! The results on the screen.

use std::collections::BTreeMap;

use super::load::Figures;
use crate::statistics::Ratio;

/// By load and figure, then by broker, one value a run.
pub(crate) type Samples = BTreeMap<(String, &'static str), BTreeMap<&'static str, Vec<f64>>>;

pub(crate) fn note(samples: &mut Samples, load: &str, peer: &'static str, figures: &Figures) {
    for (figure, value) in figures {
        let place = samples.entry((load.to_owned(), figure)).or_default();
        place.entry(peer).or_default().push(*value);
    }
}

pub(crate) fn print<'a>(
    samples: &Samples,
    what: impl Fn(&str) -> &'a str,
    ratio: impl Fn(&[f64], &[f64]) -> Option<Ratio>,
) {
    println!("| load | figure | Entrepot | nats-server | ratio | control |");
    println!("|---|---|---|---|---|---|");
    for ((load, figure), sides) in samples {
        let side = |name: &str| sides.get(name).map_or(&[][..], Vec::as_slice);
        let shown = |name: &str| match side(name) {
            [] => "-".to_owned(),
            values => format!("{:.3}", tests::median(values)),
        };
        let interval = |other: &str| match ratio(side("entrepot"), side(other)) {
            Some(Ratio { median, low, high }) => format!("**{median:.3}** [{low:.3}, {high:.3}]"),
            None => "-".to_owned(),
        };
        println!(
            "| `{load}`: {} | {} | {} | {} | {} | {} |",
            what(load),
            figure.replace('_', " ").replace(" per ", "/"),
            shown("entrepot"),
            shown("nats-server"),
            interval("nats-server"),
            interval("control")
        );
    }
}

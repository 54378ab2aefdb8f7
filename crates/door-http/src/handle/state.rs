//! What there is.

use std::collections::HashSet;

use broker::access::Operation;
use broker::observe::state::{Graph, NodeKind, Scope, Sort};

use crate::ask::Ask;
use crate::problem::Problem;
use crate::{Outcome, told};

/// Kinds that are not shown unless they are asked for: there may be very many.
const MANY: [NodeKind; 5] = [
    NodeKind::Connection,
    NodeKind::Partition,
    NodeKind::Member,
    NodeKind::Exchange,
    NodeKind::Setting,
];

/// `/api/v1/state`.
pub(crate) async fn show(ask: &Ask) -> Outcome {
    ask.check_cluster(Operation::Describe)?;
    let kinds = match ask.query("kinds") {
        None => NodeKind::ALL.into_iter().filter(|kind| !MANY.contains(kind)).collect(),
        Some(words) => words.split(',').map(kind).collect::<Result<Vec<_>, _>>()?,
    };
    let graph = ask.broker().state(&scope(ask, kinds)?);
    Ok(told(&serde_json::to_value(graph).unwrap_or_default()))
}

fn kind(word: &str) -> Result<NodeKind, Problem> {
    NodeKind::parse(word).ok_or_else(|| {
        let all = NodeKind::ALL.map(NodeKind::word).join(", ");
        Problem::invalid(format!("'{word}' is no kind; there are: {all}"))
    })
}

/// What of these kinds is asked for.
fn scope(ask: &Ask, kinds: Vec<NodeKind>) -> Result<Scope, Problem> {
    Ok(Scope {
        kinds: Some(kinds),
        name: ask.query("name").map(str::to_owned),
        text: ask.query("text").map(str::to_owned),
        sort: sort(ask)?,
        offset: ask.number("offset", 0..=1_000_000_000)?.unwrap_or(0),
        limit: ask.number("limit", 1..=Scope::LIMIT_MAX)?.unwrap_or(Scope::LIMIT),
    })
}

/// The order that is asked for.
fn sort(ask: &Ask) -> Result<Option<Sort>, Problem> {
    let descending = match ask.query("order") {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(Problem::invalid("order must be asc or desc")),
    };
    let fact = ask.query("sort").map(str::to_owned);
    Ok(fact.map(|fact| Sort { fact, descending }))
}

/// Things of one kind, as far as who asks may know of them: of what they may not, not even the number.
pub(super) fn list(ask: &Ask, kind: NodeKind, may: impl Fn(&str) -> bool) -> Outcome {
    let wanted = scope(ask, vec![kind])?;
    let is_free = ask.actor.is_free();
    let asked = match is_free {
        true => wanted.clone(),
        // Pages are of what they may know of.
        false => Scope { offset: 0, limit: Scope::LIMIT_MAX, ..wanted.clone() },
    };
    let mut graph = ask.broker().state(&asked);
    if !is_free {
        graph.nodes.retain(|node| may(&node.id.name));
        let total = graph.nodes.len();
        graph.nodes = graph.nodes.into_iter().skip(wanted.offset).take(wanted.limit).collect();
        let shown: HashSet<_> = graph.nodes.iter().map(|node| &node.id).collect();
        let edges = graph.edges.iter().filter(|edge| shown.contains(&edge.from)).cloned().collect();
        graph = Graph { edges, totals: [(kind, total)].into(), nodes: graph.nodes };
    } else {
        graph.totals.retain(|known, _| *known == kind);
        // None is a number, too.
        graph.totals.entry(kind).or_default();
    }
    Ok(told(&serde_json::to_value(graph).unwrap_or_default()))
}

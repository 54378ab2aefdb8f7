//! Lists: sorted, cut into pages and to the columns that are wanted, as RabbitMQ does it.

use std::cmp::Ordering;

use door::http::Query;
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value as Json, json};

use super::refusal::Refusal;
use super::{Outcome, told};

/// Items on a page, if the request does not say.
const SIZE: usize = 100;
/// Items on a page at most.
const SIZE_MAX: usize = 500;
/// Memory that a pattern of names may take, in bytes.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// Answers with a list. `items` are in their order; `name` is what pages are filtered by; `show` is called for no more of
/// them than the answer needs.
pub(super) fn reply<T>(
    query: &Query,
    items: &[T],
    name: impl Fn(&T) -> String,
    show: impl Fn(&T) -> Json,
) -> Outcome {
    let columns = Columns::of(query);
    let Some(page) = Page::of(query)? else {
        let all: Vec<&T> = items.iter().collect();
        let shown: Vec<Json> = match sorted(query, &all, show) {
            Ok(all) => all,
            Err(show) => all.into_iter().map(show).collect(),
        };
        return Ok(told(&columns.cut(Json::Array(shown))));
    };
    let kept: Vec<&T> = items.iter().filter(|item| page.keeps(&name(item))).collect();
    let range = page.range(kept.len())?;
    let shown: Vec<Json> = match sorted(query, &kept, show) {
        Ok(all) => all.into_iter().skip(range.start).take(range.len()).collect(),
        Err(show) => kept.get(range).unwrap_or_default().iter().copied().map(show).collect(),
    };
    Ok(told(&json!({
        "total_count": items.len(),
        "item_count": shown.len(),
        "filtered_count": kept.len(),
        "page": page.number,
        "page_size": page.size,
        "page_count": kept.len().div_ceil(page.size),
        "items": columns.cut(Json::Array(shown)),
    })))
}

/// Answers with one thing, in the columns that are wanted.
pub(super) fn one(query: &Query, item: Json) -> Outcome {
    Ok(told(&Columns::of(query).cut(item)))
}

/// All of them in the order that is asked for; as it was given, if none is.
fn sorted<T, S: Fn(&T) -> Json>(query: &Query, items: &[&T], show: S) -> Result<Vec<Json>, S> {
    let wanted = query.get("sort").filter(|sort| !sort.is_empty());
    let is_reverse = query.is("sort_reverse");
    if wanted.is_none() && !is_reverse {
        return Err(show);
    }
    let mut all: Vec<Json> = items.iter().map(|item| show(item)).collect();
    if let Some(column) = wanted {
        let path: Vec<&str> = column.split('.').collect();
        all.sort_by(|a, b| compare(at(a, &path), at(b, &path)));
    }
    if is_reverse {
        all.reverse();
    }
    Ok(all)
}

/// What stands in a column such as `owner.name`.
fn at<'a>(json: &'a Json, path: &[&str]) -> Option<&'a Json> {
    path.iter().try_fold(json, |json, name| json.get(name))
}

/// Numbers before texts before all else. What is not there counts as 0.
fn compare(a: Option<&Json>, b: Option<&Json>) -> Ordering {
    let zero = Json::from(0);
    let (a, b) = (a.unwrap_or(&zero), b.unwrap_or(&zero));
    let rank = |json: &Json| match json {
        Json::Number(_) => 0,
        Json::Bool(_) | Json::Null => 1,
        Json::String(_) => 2,
        Json::Array(_) | Json::Object(_) => 3,
    };
    let same = match (a, b) {
        (Json::Number(a), Json::Number(b)) => {
            let number = |number: &serde_json::Number| number.as_f64().unwrap_or_default();
            number(a).total_cmp(&number(b))
        }
        (Json::String(a), Json::String(b)) => a.cmp(b),
        (Json::Bool(a), Json::Bool(b)) => a.cmp(b),
        _ => Ordering::Equal,
    };
    rank(a).cmp(&rank(b)).then(same)
}

/// A part of a list.
#[derive(Debug)]
struct Page {
    number: usize,
    size: usize,
    name: Option<Name>,
}

/// Whose names are wanted.
#[derive(Debug)]
enum Name {
    /// Those with this in them, in small letters.
    With(String),
    Like(Regex),
}

impl Page {
    fn of(query: &Query) -> Result<Option<Self>, Refusal> {
        let number = |name: &str| query.get(name).map(str::parse::<usize>).transpose();
        let invalid = |_| {
            let (page, size) = (query.get("page"), query.get("page_size"));
            let reason =
                format!("Invalid pagination parameters: page number {page:?}, page size {size:?}");
            Refusal::page("invalid_pagination_parameters", reason)
        };
        let Some(page) = number("page").map_err(|_| invalid(()))? else { return Ok(None) };
        let size = number("page_size").map_err(|_| invalid(()))?.unwrap_or(SIZE);
        if page == 0 || !(1..=SIZE_MAX).contains(&size) {
            return Err(invalid(()));
        }
        let name = query.get("name").filter(|name| !name.is_empty());
        let name = match name {
            None => None,
            Some(name) if query.is("use_regex") => Some(Name::Like(pattern(name)?)),
            Some(name) => Some(Name::With(name.to_lowercase())),
        };
        Ok(Some(Self { number: page, size, name }))
    }

    fn keeps(&self, name: &str) -> bool {
        match &self.name {
            None => true,
            Some(Name::With(part)) => name.to_lowercase().contains(part),
            Some(Name::Like(pattern)) => pattern.is_match(name),
        }
    }

    /// Which of so many are on it.
    fn range(&self, count: usize) -> Result<std::ops::Range<usize>, Refusal> {
        let start = (self.number - 1).saturating_mul(self.size);
        if start > count {
            let Self { number, size, .. } = self;
            let reason =
                format!("Page out of range, page: {number} page size: {size}, len: {count}");
            return Err(Refusal::page("page_out_of_range", reason));
        }
        Ok(start..start.saturating_add(self.size).min(count))
    }
}

fn pattern(text: &str) -> Result<Regex, Refusal> {
    let pattern =
        RegexBuilder::new(text).case_insensitive(true).size_limit(PATTERN_BYTES_MAX).build();
    pattern.map_err(|error| Refusal::bad(format!("name is no regular expression: {error}")))
}

/// The columns that are wanted, each with those within it.
#[derive(Debug)]
struct Columns<'a>(Option<Vec<Vec<&'a str>>>);

impl<'a> Columns<'a> {
    fn of(query: &'a Query) -> Self {
        let wanted = query.get("columns").filter(|columns| !columns.is_empty());
        let path = |column: &'a str| column.split('.').collect();
        Self(wanted.map(|columns| columns.split(',').map(path).collect()))
    }

    fn cut(&self, json: Json) -> Json {
        match &self.0 {
            None => json,
            Some(paths) => {
                let paths: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
                cut(json, &paths)
            }
        }
    }
}

fn cut(json: Json, paths: &[&[&str]]) -> Json {
    match json {
        Json::Array(items) => Json::Array(items.into_iter().map(|item| cut(item, paths)).collect()),
        Json::Object(map) => {
            let mut kept = Map::new();
            for (name, value) in map {
                let within = paths.iter().filter_map(|path| match path {
                    [first, rest @ ..] if *first == name => Some(rest),
                    _ => None,
                });
                let within: Vec<&[&str]> = within.collect();
                if within.is_empty() {
                    continue;
                }
                let is_whole = within.iter().any(|rest| rest.is_empty());
                kept.insert(name, if is_whole { value } else { cut(value, &within) });
            }
            Json::Object(kept)
        }
        other => other,
    }
}

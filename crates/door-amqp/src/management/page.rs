//! Lists: sorted, cut into pages and to the columns that are wanted, as RabbitMQ does it; sent as they are made.

use std::cmp::Ordering;

use bytes::Bytes;
use door::http::{Answer, Query, Reply, StatusCode, pieces};
use regex::{Regex, RegexBuilder};
use regex_syntax::ast::parse::Parser;
use serde_json::{Map, Value as Json, json};

use super::refusal::Refusal;
use super::{Outcome, told};

/// Items on a page, if the request does not say.
const SIZE: usize = 100;
/// Items on a page at most.
const SIZE_MAX: usize = 500;
/// Memory that a pattern of names may take, in bytes.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a list that are made before they are sent.
const PIECE_BYTES: usize = 64 * 1024;

/// Answers with a list. `items` are in their order; `name` is what pages are filtered by; `show` is called for one item after
/// the other, as far as the client takes what was shown: however long the list is, no more than some pieces of it are there.
pub(super) async fn reply<T, S>(
    query: &Query,
    mut items: Vec<T>,
    name: impl Fn(&T) -> String,
    show: S,
) -> Outcome
where
    T: Send + 'static,
    S: Fn(&T) -> Json + Send + 'static,
{
    let (page, total) = (Page::of(query)?, items.len());
    let Some(page) = page else {
        let items = sorted(query, items, &show).await;
        return Ok(Text::new((items, show), Columns::of(query), ("[".into(), "]")).into_reply());
    };
    items.retain(|item| page.keeps(&name(item)));
    let (filtered, range) = (items.len(), page.range(items.len())?);
    let mut items = sorted(query, items, &show).await;
    items.truncate(range.end);
    items.drain(..range.start);
    let head = json!({
        "total_count": total,
        "item_count": items.len(),
        "filtered_count": filtered,
        "page": page.number,
        "page_size": page.size,
        "page_count": filtered.div_ceil(page.size),
    });
    // The list comes last.
    let head = head.to_string();
    let head = format!("{},\"items\":[", head.trim_end_matches('}'));
    Ok(Text::new((items, show), Columns::of(query), (head, "]}")).into_reply())
}

/// What pages are filtered by, where items are shown already.
pub(super) fn by(field: &'static str) -> impl Fn(&Json) -> String {
    move |item| item[field].as_str().unwrap_or_default().to_owned()
}

/// Answers with one thing, in the columns that are wanted.
pub(super) fn one(query: &Query, item: Json) -> Outcome {
    Ok(told(&Columns::of(query).cut(item)))
}

/// A list on its way into text.
struct Text<T, S> {
    items: std::vec::IntoIter<T>,
    show: S,
    columns: Columns,
    text: String,
    is_first: bool,
    /// What ends it, if it did not end yet.
    tail: Option<&'static str>,
}

impl<T, S> Text<T, S>
where
    T: Send + 'static,
    S: Fn(&T) -> Json + Send + 'static,
{
    fn new(
        (items, show): (Vec<T>, S),
        columns: Columns,
        (text, tail): (String, &'static str),
    ) -> Self {
        let items = items.into_iter();
        Self { items, show, columns, text, is_first: true, tail: Some(tail) }
    }

    /// The next piece; `None`: there was all of it.
    fn piece(&mut self) -> Option<Bytes> {
        self.tail?;
        while self.text.len() < PIECE_BYTES {
            let Some(item) = self.items.next() else {
                self.text.push_str(self.tail.take().unwrap_or_default());
                break;
            };
            if !std::mem::replace(&mut self.is_first, false) {
                self.text.push(',');
            }
            self.text.push_str(&self.columns.cut((self.show)(&item)).to_string());
        }
        Some(Bytes::from(std::mem::take(&mut self.text)))
    }

    /// All at once, if it is short.
    fn into_reply(mut self) -> Reply {
        let first = Answer::json(StatusCode::OK, self.piece().unwrap_or_default());
        if self.tail.is_none() {
            return first.into();
        }
        let (sender, receiver) = pieces();
        tokio::spawn(async move {
            while let Some(piece) = self.piece() {
                if sender.send(piece).await.is_err() {
                    // The client is gone.
                    return;
                }
            }
        });
        Reply::Stream(first, receiver)
    }
}

/// All of them in the order that is asked for; as it was given, if none is. Of what is shown only the column is kept that this
/// goes by.
async fn sorted<T>(query: &Query, mut items: Vec<T>, show: impl Fn(&T) -> Json) -> Vec<T> {
    if let Some(column) = query.get("sort").filter(|sort| !sort.is_empty()) {
        let path: Vec<&str> = column.split('.').collect();
        let mut keyed = Vec::with_capacity(items.len());
        for item in items {
            let key = at(&show(&item), &path).map(|key| match key {
                // Such are equal to each other.
                Json::Array(_) | Json::Object(_) => Json::Array(Vec::new()),
                key => key.clone(),
            });
            keyed.push((key, item));
            // There may be many; others want their turn.
            tokio::task::coop::consume_budget().await;
        }
        keyed.sort_by(|(a, _), (b, _)| compare(a.as_ref(), b.as_ref()));
        items = keyed.into_iter().map(|(_, item)| item).collect();
    }
    if query.is("sort_reverse") {
        items.reverse();
    }
    items
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
    let refused = |error: String| Refusal::bad(format!("name is no regular expression: {error}"));
    // As it is: parentheses that do not match are to have no meaning below.
    Parser::new().parse(text).map_err(|error| refused(error.to_string()))?;
    // From the beginning on: what is not bound to one may take many megabytes, which no limit bounds.
    let mut pattern = RegexBuilder::new(&format!(r"\A(?s:.)*?(?:{text})"));
    let pattern = pattern.case_insensitive(true).size_limit(PATTERN_BYTES_MAX).build();
    pattern.map_err(|error| refused(error.to_string()))
}

/// The columns that are wanted, each with those within it.
#[derive(Debug)]
struct Columns(Option<Vec<Vec<String>>>);

impl Columns {
    fn of(query: &Query) -> Self {
        let wanted = query.get("columns").filter(|columns| !columns.is_empty());
        let path = |column: &str| column.split('.').map(str::to_owned).collect();
        Self(wanted.map(|columns| columns.split(',').map(path).collect()))
    }

    fn cut(&self, json: Json) -> Json {
        match &self.0 {
            None => json,
            Some(paths) => {
                let paths: Vec<&[String]> = paths.iter().map(Vec::as_slice).collect();
                cut(json, &paths)
            }
        }
    }
}

fn cut(json: Json, paths: &[&[String]]) -> Json {
    match json {
        Json::Array(items) => Json::Array(items.into_iter().map(|item| cut(item, paths)).collect()),
        Json::Object(map) => {
            let mut kept = Map::new();
            for (name, value) in map {
                let within = paths.iter().filter_map(|path| match path {
                    [first, rest @ ..] if *first == name => Some(rest),
                    _ => None,
                });
                let within: Vec<&[String]> = within.collect();
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

//! A configuration before it is understood: tables, lists and scalars, each
//! with the place it was set. Layers are merged here, so that a problem found
//! later, and `merit config print --origin`, can name file and line.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is the default.
    BuiltIn,
    /// In the template of this vendor.
    Vendor(Arc<str>),
    /// In a file, at line and column (from 1).
    File(Arc<str>, u32, u32),
    /// In this environment variable.
    Environment(Arc<str>),
    /// By a command-line flag, for this key.
    Flag(Arc<str>),
}

impl Origin {
    /// Name, line and column for a [`Problem`].
    pub(super) fn place(&self) -> (String, Option<u32>, Option<u32>) {
        match self {
            Origin::File(file, line, column) => (file.to_string(), Some(*line), Some(*column)),
            Origin::BuiltIn => (String::new(), None, None),
            Origin::Vendor(_) | Origin::Environment(_) | Origin::Flag(_) => (self.to_string(), None, None),
        }
    }
}

/// `merit.toml:12`, `MERIT__SERVER__LISTEN`, `vendor deepseek`, `default`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::BuiltIn => f.write_str("default"),
            Origin::Vendor(vendor) => write!(f, "vendor {vendor}"),
            Origin::File(file, line, _) => write!(f, "{file}:{line}"),
            Origin::Environment(variable) => f.write_str(variable),
            Origin::Flag(key) => write!(f, "flag {key}"),
        }
    }
}

/// A step towards a value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// The way to a value. Names of providers may contain dots, so it is not one
/// string.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Path(Vec<Step>);

impl Path {
    /// To a key of the table here.
    pub(super) fn key(&self, key: &str) -> Path {
        self.step(Step::Key(key.to_owned()))
    }

    /// To an item of the list here.
    pub(super) fn index(&self, index: usize) -> Path {
        self.step(Step::Index(index))
    }

    fn step(&self, step: Step) -> Path {
        Path(self.0.iter().cloned().chain([step]).collect())
    }

    /// Whether it leads to `outer` or into it.
    pub(super) fn is_within(&self, outer: &Path) -> bool {
        self.0.starts_with(&outer.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    f.write_str(if position == 0 { "" } else { "." })?;
                    let bare = !key.is_empty()
                        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
                    if bare { f.write_str(key)? } else { write!(f, "{key:?}")? }
                }
            }
        }
        Ok(())
    }
}

/// A value and where it was set.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// What was set.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Scalar(Json),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

impl Default for Node {
    fn default() -> Self {
        Node { origin: Origin::BuiltIn, value: Value::Table(BTreeMap::new()) }
    }
}

impl Node {
    /// A value set as a whole in one place.
    pub(super) fn from_json(json: &Json, origin: &Origin) -> Node {
        let value = match json {
            Json::Array(items) => {
                Value::List(items.iter().map(|item| Node::from_json(item, origin)).collect())
            }
            Json::Object(entries) => Value::Table(
                entries.iter().map(|(key, value)| (key.clone(), Node::from_json(value, origin))).collect(),
            ),
            scalar => Value::Scalar(scalar.clone()),
        };
        Node { origin: origin.clone(), value }
    }

    /// The values alone.
    pub(super) fn to_json(&self) -> Json {
        match &self.value {
            Value::Scalar(scalar) => scalar.clone(),
            Value::List(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Table(entries) => {
                Json::Object(entries.iter().map(|(key, node)| (key.clone(), node.to_json())).collect())
            }
        }
    }

    /// The table here; nothing where there is none.
    pub(super) fn table(&self) -> Option<&BTreeMap<String, Node>> {
        match &self.value {
            Value::Table(entries) => Some(entries),
            Value::Scalar(_) | Value::List(_) => None,
        }
    }

    /// The value of a key here.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.table()?.get(key)
    }

    /// The text here.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => scalar.as_str(),
            Value::List(_) | Value::Table(_) => None,
        }
    }

    /// The table here, to be changed.
    pub(super) fn table_mut(&mut self) -> Option<&mut BTreeMap<String, Node>> {
        match &mut self.value {
            Value::Table(entries) => Some(entries),
            Value::Scalar(_) | Value::List(_) => None,
        }
    }

    fn find(&self, step: &Step) -> Option<&Node> {
        match (&self.value, step) {
            (Value::Table(entries), Step::Key(key)) => entries.get(key),
            (Value::List(items), Step::Index(index)) => items.get(*index),
            _ => None,
        }
    }

    /// What is at a path.
    pub(super) fn at(&self, path: &Path) -> Option<&Node> {
        path.0.iter().try_fold(self, Node::find)
    }

    /// Where the value at a path was set, or the nearest table around it.
    pub(super) fn nearest(&self, path: &Path) -> &Origin {
        let mut node = self;
        let mut nearest = &self.origin;
        for step in &path.0 {
            let Some(next) = node.find(step) else { break };
            node = next;
            if node.origin != Origin::BuiltIn {
                nearest = &node.origin;
            }
        }
        nearest
    }

    /// Puts a later layer over this one: tables merge, all else is replaced.
    pub(super) fn overlay(&mut self, later: Node) {
        match (&mut self.value, later.value) {
            // `{ env = … }` over `{ file = … }` means the one, not both.
            (Value::Table(below), Value::Table(above)) if !is_reference(&above) => {
                for (key, node) in above {
                    match below.get_mut(&key) {
                        Some(lower) => lower.overlay(node),
                        None => {
                            below.insert(key, node);
                        }
                    }
                }
                if later.origin != Origin::BuiltIn {
                    self.origin = later.origin;
                }
            }
            (_, value) => *self = Node { origin: later.origin, value },
        }
    }

    /// Joins another file of the same layer: lists add up, as lists of tables do
    /// within a file; setting anything else twice is a problem, as it is there.
    pub(super) fn join(&mut self, other: Node, path: &Path, found: &mut Vec<Problem>) {
        match (&mut self.value, other.value) {
            (Value::Table(mine), Value::Table(others)) => {
                for (key, node) in others {
                    let path = path.key(&key);
                    match mine.get_mut(&key) {
                        Some(own) => own.join(node, &path, found),
                        None => {
                            mine.insert(key, node);
                        }
                    }
                }
            }
            (Value::List(mine), Value::List(others)) => mine.extend(others),
            _ => {
                let problem =
                    Problem::at(&other.origin, path.to_string(), format!("already set at {}", self.origin));
                found.push(problem.advise("keep one of the two"));
            }
        }
    }
}

/// Whether a table is a reference to a secret.
fn is_reference(table: &BTreeMap<String, Node>) -> bool {
    !table.is_empty() && table.keys().all(|key| key == "env" || key == "file")
}

/// Reads TOML. Whatever can be read beside broken syntax is kept, so that all
/// problems come at once.
pub(super) fn parse(file: &Arc<str>, text: &str, found: &mut Vec<Problem>) -> Node {
    let lines = Lines::new(file, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = lines.origin(error.span().map_or(0, |span| span.start));
        let message = error.message().trim().replace('\n', ", ");
        found.push(Problem::at(&at, String::new(), message).advise("see https://toml.io for the syntax"));
    }
    let origin = lines.origin(0);
    Node { origin: Origin::BuiltIn, value: Value::Table(read_table(table.get_ref(), &lines)) }
        .or_origin(origin)
}

impl Node {
    /// An empty file still is a place.
    fn or_origin(self, origin: Origin) -> Node {
        if self.table().is_some_and(BTreeMap::is_empty) { Node { origin, ..self } } else { self }
    }
}

fn read_table(table: &DeTable<'_>, lines: &Lines<'_>) -> BTreeMap<String, Node> {
    table
        .iter()
        .map(|(key, value)| {
            let origin = lines.origin(key.span().start);
            (key.get_ref().to_string(), Node { origin, value: read_value(value.get_ref(), lines) })
        })
        .collect()
}

fn read_value(value: &DeValue<'_>, lines: &Lines<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Scalar(Json::String(text.to_string())),
        DeValue::Boolean(truth) => Value::Scalar(Json::Bool(*truth)),
        DeValue::Integer(integer) => {
            let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
            Value::Scalar(number.map_or_else(|| Json::String(integer.to_string()), Json::from))
        }
        DeValue::Float(float) => {
            // `inf` and `nan` are no JSON; no setting may be either, so that the
            // text, which is the wrong type, is what is complained of.
            let number = float.as_str().parse().ok().and_then(serde_json::Number::from_f64);
            Value::Scalar(number.map_or_else(|| Json::String(float.to_string()), Json::Number))
        }
        DeValue::Datetime(time) => Value::Scalar(Json::String(time.to_string())),
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(|item| Node {
                    origin: lines.origin(item.span().start),
                    value: read_value(item.get_ref(), lines),
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(read_table(table, lines)),
    }
}

/// Turns byte offsets into lines and columns.
struct Lines<'t> {
    file: &'t Arc<str>,
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(file: &'t Arc<str>, text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Lines { file, text, starts }
    }

    fn origin(&self, offset: usize) -> Origin {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or_default();
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Origin::File(Arc::clone(self.file), count(line), count(column))
    }
}

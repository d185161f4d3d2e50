//! Where settings come from: files and what they include, the environment and
//! the command line, laid over each other. The last that sets a key wins.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use super::environment::Environment;
use super::problem::Problem;
use super::shape;
use super::tree::{self, Node, Origin, Path, Value};

/// Variables that set a key begin with this; `__` stands between the parts of
/// the key: `MERIT__SERVER__LISTEN` is `server.listen`.
const PREFIX: &str = "MERIT__";

/// No configuration is larger (4 MiB); what is larger is another file.
const LARGEST: u64 = 4 << 20;

/// No key has more parts.
const DEEPEST: usize = 16;

/// Where the configuration comes from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Places that are looked at first; the first of these files that exists is
    /// a layer.
    pub usual: Vec<PathBuf>,
    /// Layers that are in no file: their names and texts.
    pub inline: Vec<(String, String)>,
    /// Files given on the command line, each a layer.
    pub files: Vec<PathBuf>,
    /// The environment.
    pub environment: Environment,
    /// Keys set by flags, dotted, with their values.
    pub flags: Vec<(String, String)>,
    /// Whether literal secrets are errors.
    pub strict: bool,
}

impl Sources {
    /// `./merit.toml` or else `/etc/merit/merit.toml`, and the environment.
    #[must_use]
    pub fn usual(environment: &Environment) -> Self {
        Sources {
            usual: vec![PathBuf::from("merit.toml"), PathBuf::from("/etc/merit/merit.toml")],
            environment: environment.clone(),
            ..Sources::default()
        }
    }

    /// Reads all layers.
    pub(super) fn gather(&self) -> Gathered {
        let mut gathered = Gathered { files: self.usual.clone(), ..Gathered::default() };
        for (name, text) in &self.inline {
            let layer = tree::parse(&name.as_str().into(), text, &mut gathered.problems);
            gathered.tree.overlay(layer);
        }
        let usual = self.usual.iter().find(|file| file.exists());
        for file in usual.into_iter().chain(&self.files) {
            let mut read = BTreeSet::new();
            let layer = gathered.layer(file, &mut read);
            gathered.tree.overlay(layer);
        }
        for (name, value) in self.environment.iter() {
            // Empty is unset: compose files pass on what the host does not have.
            if let Some(keys) = name.strip_prefix(PREFIX).filter(|_| !value.is_empty()) {
                gathered.set(keys.split("__"), value, &Origin::Environment(name.into()));
            }
        }
        for (key, value) in &self.flags {
            gathered.set(key.split('.'), value, &Origin::Flag(key.as_str().into()));
        }
        gathered
    }
}

/// All layers as one.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) tree: Node,
    pub(super) files: Vec<PathBuf>,
    pub(super) problems: Vec<Problem>,
}

impl Gathered {
    /// A file with all it includes. A file is read once, however often it is
    /// named.
    fn layer(&mut self, file: &FilePath, read: &mut BTreeSet<PathBuf>) -> Node {
        if !read.insert(file.canonicalize().unwrap_or_else(|_| file.to_owned())) {
            return Node::default();
        }
        if !self.files.iter().any(|known| known == file) {
            self.files.push(file.to_owned());
        }
        let name: Arc<str> = file.to_string_lossy().into();
        let text = match text(file) {
            Ok(text) => text,
            Err(error) => {
                let nowhere =
                    Problem::at(&Origin::BuiltIn, String::new(), format!("cannot be read: {error}"));
                let problem = Problem { file: name.to_string(), ..nowhere };
                self.problems.push(problem.advise("check its path, permissions and encoding (UTF-8)"));
                return Node::default();
            }
        };
        let mut layer = tree::parse(&name, &text, &mut self.problems);
        for included in self.included(file, &layer) {
            let other = self.layer(&included, read);
            layer.join(other, &Path::default(), &mut self.problems);
        }
        layer
    }

    /// The files that a file includes, in the order of their names.
    fn included(&mut self, file: &FilePath, layer: &Node) -> Vec<PathBuf> {
        let Some(Value::List(patterns)) = layer.get("include").map(|node| &node.value) else {
            return Vec::new();
        };
        let base = file.parent().unwrap_or(FilePath::new(""));
        let mut all = Vec::new();
        for node in patterns {
            let Some(pattern) = node.text() else { continue };
            let pattern = base.join(pattern);
            let name =
                pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let folder = pattern.parent().unwrap_or(FilePath::new("")).to_owned();
            if folder.to_string_lossy().contains('*') {
                let problem =
                    Problem::at(&node.origin, "include".to_owned(), "only the name of a file may have a *");
                self.problems.push(problem.advise("include each folder by itself"));
                continue;
            }
            if !name.contains('*') {
                all.push(pattern);
                continue;
            }
            let here = if folder.as_os_str().is_empty() { FilePath::new(".") } else { &folder };
            // A file that appears there later is a change.
            self.files.push(here.to_owned());
            let entries = std::fs::read_dir(here).into_iter().flatten().flatten();
            let mut matching: Vec<PathBuf> = entries
                .filter(|entry| matches(&name, &entry.file_name().to_string_lossy()))
                .map(|entry| folder.join(entry.file_name()))
                .filter(|path| path.is_file() && path != file)
                .collect();
            matching.sort();
            all.extend(matching);
        }
        all
    }

    /// Sets one key from a text. Variables are written in capitals and without
    /// hyphens, so names that exist already are found without regard to these.
    fn set<'k>(&mut self, keys: impl Iterator<Item = &'k str>, text: &str, origin: &Origin) {
        let mut here = Some(&self.tree);
        let mut path = Vec::new();
        for key in keys.take(DEEPEST) {
            let key = key.to_lowercase();
            let alike = |known: &&String| known.to_lowercase().replace('-', "_") == key.replace('-', "_");
            let known = here.and_then(Node::table).and_then(|table| table.keys().find(alike));
            let key = known.cloned().unwrap_or(key);
            here = here.and_then(|node| node.get(&key));
            path.push(key);
        }
        let node = Node::from_json(&shape::coerce(&path, text), origin);
        let layer = path.into_iter().rev().fold(node, |inner, key| Node {
            origin: origin.clone(),
            value: Value::Table([(key, inner)].into()),
        });
        self.tree.overlay(layer);
    }
}

fn text(file: &FilePath) -> std::io::Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(file)?.take(LARGEST + 1).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read > LARGEST) {
        return Err(std::io::Error::other("larger than 4 MiB"));
    }
    Ok(text)
}

/// Whether a file's name fits a pattern in which `*` stands for any characters.
/// Hidden files are editors' leftovers and Kubernetes' links: never meant.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut tail) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = rest.split('*').collect();
    let Some((last, middle)) = parts.split_last() else { return true };
    for part in middle {
        let Some(at) = tail.find(part) else { return false };
        tail = tail.get(at + part.len()..).unwrap_or_default();
    }
    tail.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, name) in
            [("*.toml", "a.toml"), ("*", "a"), ("a*b*c", "axbyc"), ("a*b*c", "abc"), ("x", "x")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("*.toml", "a.toml~"), ("*.toml", ".a.toml"), ("a*b*c", "acb"), ("ab*b", "ab"), ("x", "y")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}

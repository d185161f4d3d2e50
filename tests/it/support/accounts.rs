//! A store with accounts, made before a gateway starts on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use merit::accounts::{Counter, Pepper};
use merit::store::queue::Gauges;
use merit::store::sqlite::{Reader, Sqlite};
use merit::store::{Account, Budget, Database, Id, Level, Mode, Plan, Store, Terms, Window};
use merit::units::NanoUsd;

use super::Fallible;

/// The secret of all digests here.
const PEPPER: &str = "a-pepper-for-accounts";

/// A store's file in a folder of its own.
#[derive(Debug)]
pub(crate) struct Books {
    folder: tempfile::TempDir,
}

/// An open store: nobody else may write to it meanwhile.
#[derive(Debug)]
pub(crate) struct Open {
    counter: Arc<Counter>,
    runtime: tokio::runtime::Runtime,
    writer: std::thread::JoinHandle<()>,
}

impl Books {
    pub(crate) fn new() -> Fallible<Books> {
        Ok(Books { folder: tempfile::tempdir()? })
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("books.db")
    }

    /// Configuration of a gateway on this store, where everybody needs a key.
    pub(crate) fn config(&self) -> String {
        config(&self.file())
    }

    /// Opens it, as long as no gateway runs on it.
    pub(crate) fn open(&self) -> Fallible<Open> {
        let mut database = Sqlite::open(&self.file())?;
        let snapshot = database.recover()?;
        let append = prometheus::Histogram::with_opts(prometheus::HistogramOpts::new("a", "a"))?;
        let gauges = Gauges { up: prometheus::IntGauge::new("u", "u")?, append };
        let (store, writer) = Store::start(database, gauges)?;
        let counter = Counter::new(store, snapshot, Pepper::from_text(PEPPER), self.file());
        Ok(Open { counter, runtime: tokio::runtime::Builder::new_current_thread().build()?, writer })
    }

    /// Looks into it, also while a gateway runs on it.
    pub(crate) fn reader(&self) -> Fallible<Reader> {
        Ok(Reader::open(&self.file())?)
    }
}

/// The same for a file anywhere.
pub(crate) fn config(file: &Path) -> String {
    format!("[auth]\nmode = \"keys\"\npepper = \"{PEPPER}\"\n[store]\nurl = \"sqlite:{}\"\n", file.display())
}

impl Open {
    pub(crate) fn customer(&self, name: &str, terms: Terms) -> Fallible<Account> {
        Ok(self.runtime.block_on(self.counter.create("story", Level::Customer, None, name, terms))?)
    }

    /// A key of that customer: its account and its text.
    pub(crate) fn key(&self, customer: Id, name: &str, terms: Terms) -> Fallible<(Account, String)> {
        let made = self.runtime.block_on(self.counter.create_key("story", Some(customer), name, terms))?;
        Ok((made.0, made.1.expose().to_owned()))
    }

    pub(crate) fn plan(&self, plan: Plan) -> Fallible<Plan> {
        Ok(self.runtime.block_on(self.counter.save_plan("story", plan))?)
    }

    /// A budget in nano-USD that never begins anew.
    pub(crate) fn budget(&self, account: Id, nano: i64, mode: Mode) -> Fallible<Budget> {
        let limit = NanoUsd::new(nano);
        let budget = Budget { id: 0, account, version: 0, limit, window: Window::Total, mode, shadow: false };
        Ok(self.runtime.block_on(self.counter.save_budget("story", budget))?)
    }

    /// Everything is on the disk, and somebody else may write.
    pub(crate) fn close(self) -> Fallible<()> {
        self.runtime.block_on(self.counter.store.close())?;
        drop((self.counter, self.runtime));
        self.writer.join().map_err(|_| "the writer panicked".into())
    }
}

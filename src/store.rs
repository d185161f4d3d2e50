//! Where accounts and the ledger live.
//!
//! All that is written goes through one queue to one thread, which commits
//! whatever has queued in one transaction: one sync of the disk serves thousands
//! of records (*group commit*), and no request waits for it. What must be durable
//! before something else may happen, a slice of a budget, is awaited by whoever
//! needs it. Reading has connections of its own and disturbs no writer.
//!
//! The interface is narrow on purpose: a [`Database`] applies a batch of
//! [`Write`]s or answers a question, and knows nothing of queues, budgets or
//! requests. SQLite is the one there is; a server would be another.

pub mod entry;
pub mod queue;
pub mod question;
pub mod rows;
pub mod sqlite;

use std::fmt;
use std::path::PathBuf;

pub use entry::{Entry, Kind, Line};
pub use question::{Group, Standing, Totals, UsageFilter};
pub use queue::Store;
pub use rows::{Account, Budget, Id, KeyDigest, Level, Mode, Plan, Spend, Terms, Window};

use crate::units::Usage;

/// Something to be written.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// An attempt is about to be sent: if the process dies, this is what the next
    /// start settles.
    Open(Box<Entry>),
    /// What an attempt under way has consumed so far.
    Checkpoint {
        /// The request.
        request: uuid::Uuid,
        /// The attempt.
        attempt: u16,
        /// Consumed so far, estimated.
        usage: Usage,
    },
    /// An attempt ended: one record of the ledger, and it is open no more.
    Settle(Box<Entry>),
    /// An attempt was never sent after all.
    Void {
        /// The request.
        request: uuid::Uuid,
        /// The attempt.
        attempt: u16,
    },
    /// So much of a budget may be spent in all, in the window that began at
    /// `line.start`. Durable before anybody spends it.
    Grant {
        /// The budget and its window.
        line: Line,
        /// In all, not in addition.
        granted: crate::units::NanoUsd,
    },
    /// The operator changes something.
    Change(Box<Change>),
    /// The oldest records of requests that arrived before then are deleted, a few
    /// of them; what they add up to stays.
    Prune {
        /// Milliseconds since 1970.
        before: u64,
        /// Most records deleted.
        most: u32,
    },
    /// Nothing: answered when all before it is durable.
    Flush,
}

/// A change by the operator, with who made it for the audit log.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Who.
    pub actor: String,
    /// When (milliseconds since 1970).
    pub at: u64,
    /// What.
    pub row: Row,
}

/// A row as it is to be. Id 0 makes a new one; otherwise the row's version must
/// be the stored one, or the change is refused ([`StoreError::Conflict`]).
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// An organisation, customer or key, with the digests that open it: those of
    /// the same account that are not listed are forgotten.
    Account(Account, Option<Vec<KeyDigest>>),
    /// A plan.
    Plan(Plan),
    /// A budget.
    Budget(Budget),
    /// A budget that is no more.
    NoBudget(Id),
    /// Money paid in: the budget's limit grows by it.
    Credit {
        /// The budget.
        budget: Id,
        /// How much.
        amount: crate::units::NanoUsd,
        /// What for.
        note: String,
    },
    /// What a crash has set aside in one window is given back.
    Forgive(Line),
}

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is durable.
    Done,
    /// The row's id and version now.
    Row(Id, i64),
    /// So many records were deleted.
    Deleted(u32),
}

/// What became of each write of a batch, in its order.
pub type Answers = Vec<Result<Written, StoreError>>;

/// Everything that is kept in memory of a store, read at the start.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// All accounts, ended ones included.
    pub accounts: Vec<Account>,
    /// All digests.
    pub digests: Vec<KeyDigest>,
    /// All plans.
    pub plans: Vec<Plan>,
    /// All budgets.
    pub budgets: Vec<Budget>,
    /// How budgets stand in their latest windows.
    pub spend: Vec<Spend>,
}

/// What a database must be able to do. One process writes to it at a time.
pub trait Database: Send + fmt::Debug + 'static {
    /// Applies `writes` in one transaction, durable when this returns. Each has an
    /// answer of its own; a refused one leaves the others in force.
    ///
    /// # Errors
    /// When nothing was applied.
    fn commit(&mut self, writes: &[Write]) -> Result<Answers, StoreError>;

    /// Settles what a crash has left open, and gives all that is kept in memory.
    ///
    /// # Errors
    /// When it cannot be read or written.
    fn recover(&mut self) -> Result<Snapshot, StoreError>;

    /// Gives back what was granted and not spent. Nothing may be under way.
    ///
    /// # Errors
    /// When it cannot be written.
    fn close(&mut self) -> Result<(), StoreError>;
}

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The disk is full.
    Full,
    /// Another process writes to it.
    Locked(PathBuf),
    /// It was written by a later version of Merit.
    Newer {
        /// The schema found.
        found: i64,
        /// The latest that is understood.
        known: i64,
    },
    /// It cannot be reached, read or written.
    Unavailable(String),
    /// Somebody else has changed the row meanwhile.
    Conflict,
    /// There is no such row.
    NotFound,
    /// There is one of that name already.
    Exists,
    /// What is asked for makes no sense; says why.
    Invalid(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Full => f.write_str("the disk is full"),
            StoreError::Locked(path) => write!(f, "{} is in use by another process", path.display()),
            StoreError::Newer { found, known } => {
                write!(f, "written by a later version (schema {found}, known are 1 to {known})")
            }
            StoreError::Conflict => f.write_str("it was changed meanwhile"),
            StoreError::NotFound => f.write_str("there is no such thing"),
            StoreError::Exists => f.write_str("there is one of that name already"),
            StoreError::Unavailable(why) | StoreError::Invalid(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for StoreError {}

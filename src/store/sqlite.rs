//! The embedded store: one SQLite file beside its write-ahead log.
//!
//! `synchronous = FULL`: what is committed survives a power failure. One
//! connection writes, and only one process: a lock on a file beside the database
//! says so, because a second gateway would spend the same slices again. Readers
//! open connections of their own, read only.

mod apply;
mod change;
mod ledger;
mod names;
mod prune;
mod reader;
mod recover;
mod rollup;
mod schema;
mod verify;

#[cfg(test)]
mod tests;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{Answers, Database, Snapshot, StoreError, Write};
use names::Documents;

pub use reader::{Audited, Found, Reader};
pub use verify::Verified;

/// How long a statement waits for another process that reads or copies.
const BUSY: Duration = Duration::from_secs(5);

/// The one writer of a SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    documents: Documents,
    path: PathBuf,
    /// Held as long as this lives.
    _lock: File,
}

impl Sqlite {
    /// Opens the file, or makes it with the folders it needs, and brings its
    /// schema up to date.
    ///
    /// # Errors
    /// When it cannot be opened, is in use, or is from a later version.
    pub fn open(path: &Path) -> Result<Sqlite, StoreError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| unavailable(path, &error))?;
        }
        let lock = lock(path)?;
        let connection = Connection::open(path).map_err(|error| told(&error))?;
        private(path).map_err(|error| unavailable(path, &error))?;
        connection.busy_timeout(BUSY).map_err(|error| told(&error))?;
        schema::prepare(&connection)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Sqlite { connection, documents: Documents::default(), path: path.to_owned(), _lock: lock })
    }

    /// Another connection, for reading.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Reader::open(&self.path)
    }

    /// Lets the file grow to so many pages of 4 KiB and no further; for tests of
    /// what happens when the disk is full.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        self.connection.pragma_update(None, "max_page_count", pages).map_err(|error| told(&error))
    }
}

impl Database for Sqlite {
    fn commit(&mut self, writes: &[Write]) -> Result<Answers, StoreError> {
        apply::batch(&mut self.connection, &mut self.documents, writes)
    }

    fn recover(&mut self) -> Result<Snapshot, StoreError> {
        recover::recover(&mut self.connection, &mut self.documents)?;
        reader::snapshot(&self.connection)
    }

    fn close(&mut self) -> Result<(), StoreError> {
        recover::give_back(&self.connection)
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let beside = path.with_extension("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&beside);
    let file = file.map_err(|error| unavailable(&beside, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(unavailable(&beside, &error)),
    }
}

/// Digests and amounts are nobody else's business.
fn private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}

fn read_only(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| told(&error))?;
    connection.busy_timeout(BUSY).map_err(|error| told(&error))?;
    Ok(connection)
}

fn unavailable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

/// What SQLite says, in our terms. Its texts quote no values.
fn told(error: &rusqlite::Error) -> StoreError {
    let details = error.sqlite_error();
    if details.is_some_and(|details| details.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY) {
        return StoreError::NotFound;
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::ConstraintViolation) => StoreError::Exists,
        _ => StoreError::Unavailable(error.to_string()),
    }
}

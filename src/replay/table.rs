//! Reading tables of comma-separated values, plain or compressed with gzip.
//!
//! A file that is not what it should be is refused with the one place where it
//! is not: guessing at a benchmark's input would make every figure doubtful.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use csv::StringRecord;
use flate2::bufread::MultiGzDecoder;

/// The two bytes that every gzip file begins with (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What is wrong with an input file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; the header is line 1.
    pub row: Option<u64>,
    /// The column's name.
    pub column: Option<String>,
    /// What is wrong there.
    pub message: String,
}

impl Problem {
    /// Something is wrong with the whole of `file`.
    #[must_use]
    pub fn of(file: &Path, message: impl Into<String>) -> Self {
        Problem { file: file.to_owned(), row: None, column: None, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(row) = self.row {
            write!(f, ": row {row}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ": column {column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Problem {}

/// The bytes of `file`, decompressed if need be.
pub(super) fn opened(file: &Path) -> Result<Box<dyn Read>, Problem> {
    let unreadable = |error: std::io::Error| Problem::of(file, error.to_string());
    let mut buffered = BufReader::new(File::open(file).map_err(unreadable)?);
    let start = buffered.fill_buf().map_err(unreadable)?;
    Ok(if start.starts_with(&GZIP) { Box::new(MultiGzDecoder::new(buffered)) } else { Box::new(buffered) })
}

/// What is wrong when reading goes on no further.
pub(super) fn damage(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the compressed file ends too early: it is truncated".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

/// A table that is read row by row.
pub struct Table {
    file: PathBuf,
    reader: csv::Reader<Box<dyn Read>>,
    header: StringRecord,
    record: StringRecord,
    row: u64,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("file", &self.file).field("row", &self.row).finish_non_exhaustive()
    }
}

/// A column of a [`Table`].
#[derive(Debug, Clone)]
pub struct Column {
    name: String,
    index: usize,
}

impl Table {
    /// Opens `file` and reads its header.
    ///
    /// # Errors
    /// When there is no such file, or it is empty or damaged.
    pub fn open(file: &Path) -> Result<Table, Problem> {
        let mut table = Table {
            file: file.to_owned(),
            reader: csv::ReaderBuilder::new().from_reader(opened(file)?),
            header: StringRecord::new(),
            record: StringRecord::new(),
            row: 1,
        };
        let header = table.reader.headers().cloned();
        table.header = header.map_err(|error| table.damaged(&error))?;
        if table.header.is_empty() {
            return Err(Problem::of(file, "empty: a header row is needed"));
        }
        Ok(table)
    }

    /// The column called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn column(&self, name: &str) -> Result<Column, Problem> {
        let index = self.header.iter().position(|column| column.trim() == name).ok_or_else(|| Problem {
            column: Some(name.to_owned()),
            ..Problem::of(&self.file, "there is no such column")
        })?;
        Ok(Column { name: name.to_owned(), index })
    }

    /// Goes on to the next row; `false` after the last.
    ///
    /// # Errors
    /// When the file is damaged or the row is short.
    pub fn advance(&mut self) -> Result<bool, Problem> {
        self.row += 1;
        let mut record = std::mem::take(&mut self.record);
        let read = self.reader.read_record(&mut record);
        self.record = record;
        read.map_err(|error| self.damaged(&error))
    }

    /// The text in `column` of this row; empty when there is nothing.
    #[must_use]
    pub fn text(&self, column: &Column) -> &str {
        self.record.get(column.index).unwrap_or_default().trim()
    }

    /// The number in `column`, which may be empty.
    ///
    /// # Errors
    /// When it is not a finite number.
    pub fn number(&self, column: &Column) -> Result<Option<f64>, Problem> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            Ok(_) => Err(self.wrong(column, format!("{text} is not a finite number"))),
            Err(_) => Err(self.wrong(column, format!("\"{text}\" is not a number"))),
        }
    }

    /// The number in `column`, which must be there and not be negative.
    ///
    /// # Errors
    /// When it is missing, negative or not finite.
    pub fn amount(&self, column: &Column) -> Result<f64, Problem> {
        match self.number(column)? {
            Some(number) if number >= 0.0 => Ok(number),
            Some(number) => Err(self.wrong(column, format!("{number} is negative"))),
            None => Err(self.wrong(column, "missing")),
        }
    }

    /// Something is wrong in `column` of this row.
    #[must_use]
    pub fn wrong(&self, column: &Column, message: impl Into<String>) -> Problem {
        Problem {
            row: Some(self.row),
            column: Some(column.name.clone()),
            ..Problem::of(&self.file, message.into())
        }
    }

    fn damaged(&self, error: &csv::Error) -> Problem {
        let message = match error.kind() {
            csv::ErrorKind::Io(error) => damage(error),
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("{len} fields, but the header has {expected_len}")
            }
            _ => error.to_string(),
        };
        Problem { row: Some(self.row), ..Problem::of(&self.file, message) }
    }
}

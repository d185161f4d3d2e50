//! Prompts, and how well and at what price models answered them.

use std::collections::HashMap;
use std::path::Path;

use super::super::grid::{Each, Grid};
use super::super::table::{Column, Problem, Table};
use crate::request::class;

/// Columns that may name the class of a prompt.
const LABELS: [&str; 2] = ["category", "class"];
/// Fewer prompts cannot be divided into ones to learn from and ones to test on.
const FEWEST: usize = 10;

/// Everything that was recorded.
#[derive(Debug)]
pub struct Data {
    /// The prompts' texts.
    pub texts: Each<String>,
    /// The class that each text is taken for: what our rule knows of it.
    pub told: Each<u8>,
    /// The class that somebody gave each prompt, and how many there are; `None`
    /// when the file has no such column. Our rule never sees it.
    pub labels: Option<(Each<usize>, usize)>,
    /// The models.
    pub models: Each<Model>,
    /// By prompt and model.
    pub outcomes: Grid<Outcome>,
    /// Prompts that were left out because not all models had answered them.
    pub left_out: usize,
}

/// One model.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// USD for a million input tokens.
    pub input: f64,
    /// USD for a million output tokens.
    pub output: f64,
}

/// One model's answer to one prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcome {
    /// How good it was, 0..1.
    pub score: f64,
    /// Tokens of the prompt.
    pub input_tokens: f64,
    /// Tokens of the answer.
    pub output_tokens: f64,
    /// What it cost (USD).
    pub cost: f64,
}

impl Data {
    /// The number of prompts.
    #[must_use]
    pub fn prompts(&self) -> usize {
        self.texts.iter().len()
    }

    /// The class of a prompt as rules see it that may read labels, and how many
    /// classes there are. Without labels it is what the text is taken for.
    #[must_use]
    pub fn labelled(&self, prompt: usize) -> usize {
        match &self.labels {
            Some((labels, _)) => labels[prompt],
            None => usize::from(self.told[prompt]),
        }
    }

    /// How many classes [`Data::labelled`] tells apart.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.labels.as_ref().map_or(class::CLASSES, |(_, count)| *count)
    }
}

/// Reads the three files.
///
/// # Errors
/// The first thing that is wrong: see [`Table`]; also names that are given twice,
/// outcomes of unknown prompts or models, scores beyond 0..1, and too little data.
pub fn read(prompts: &Path, outcomes: &Path, models: &Path) -> Result<Data, Problem> {
    let (models, numbers) = read_models(models)?;
    let mut prompts = read_prompts(prompts)?;
    let rows = read_outcomes(outcomes, &prompts, &numbers)?;
    let whole: Vec<usize> = (0..prompts.texts.len())
        .filter(|prompt| rows.get(*prompt).is_some_and(|row| row.iter().all(Option::is_some)))
        .collect();
    if whole.len() < FEWEST {
        let message =
            format!("only {} prompts have an outcome of every model: {FEWEST} are needed", whole.len());
        return Err(Problem::of(outcomes, message));
    }
    let mut grid = Grid::new(Outcome::default(), whole.len(), models.len());
    for (number, prompt) in whole.iter().enumerate() {
        let row = rows.get(*prompt).into_iter().flatten().flatten();
        row.enumerate().for_each(|(model, outcome)| grid[(number, model)] = *outcome);
    }
    let texts: Each<String> =
        whole.iter().filter_map(|prompt| prompts.texts.get_mut(*prompt).map(std::mem::take)).collect();
    let labels = (!prompts.labels.is_empty()).then(|| {
        let mut names: HashMap<&String, usize> = HashMap::new();
        let of = whole.iter().filter_map(|prompt| prompts.labels.get(*prompt));
        let labels: Each<usize> = of
            .map(|label| {
                let next = names.len();
                *names.entry(label).or_insert(next)
            })
            .collect();
        (labels, names.len())
    });
    let told = texts.iter().map(|text| class::of_text(text)).collect();
    let left_out = prompts.texts.len() - whole.len();
    Ok(Data { texts, told, labels, models: models.into_iter().collect(), outcomes: grid, left_out })
}

/// Numbers by name.
type Numbers = HashMap<String, usize>;

fn read_models(file: &Path) -> Result<(Vec<Model>, Numbers), Problem> {
    let mut table = Table::open(file)?;
    let (number, name) = (table.column("m")?, table.column("model")?);
    let (input, output) = (table.column("usd_per_mtok_in")?, table.column("usd_per_mtok_out")?);
    let (mut models, mut numbers) = (Vec::new(), Numbers::new());
    while table.advance()? {
        fresh(&table, &number, &mut numbers)?;
        models.push(Model {
            name: table.text(&name).to_owned(),
            input: table.amount(&input)?,
            output: table.amount(&output)?,
        });
    }
    if models.is_empty() {
        return Err(Problem::of(file, "no model in it"));
    }
    Ok((models, numbers))
}

/// Gives the name in `column` of this row the next number.
fn fresh(table: &Table, column: &Column, numbers: &mut Numbers) -> Result<(), Problem> {
    let (name, next) = (table.text(column), numbers.len());
    if name.is_empty() {
        return Err(table.wrong(column, "missing"));
    }
    match numbers.insert(name.to_owned(), next) {
        None => Ok(()),
        Some(_) => Err(table.wrong(column, format!("{name} is given twice"))),
    }
}

struct Prompts {
    texts: Vec<String>,
    labels: Vec<String>,
    numbers: Numbers,
}

fn read_prompts(file: &Path) -> Result<Prompts, Problem> {
    let mut table = Table::open(file)?;
    let (number, text) = (table.column("p")?, table.column("text")?);
    let label = LABELS.iter().find_map(|name| table.column(name).ok());
    let mut prompts = Prompts { texts: Vec::new(), labels: Vec::new(), numbers: Numbers::new() };
    while table.advance()? {
        fresh(&table, &number, &mut prompts.numbers)?;
        prompts.texts.push(table.text(&text).to_owned());
        if let Some(label) = &label {
            prompts.labels.push(table.text(label).to_owned());
        }
    }
    Ok(prompts)
}

/// By prompt and model.
type Rows = Vec<Vec<Option<Outcome>>>;

fn read_outcomes(file: &Path, prompts: &Prompts, models: &Numbers) -> Result<Rows, Problem> {
    let mut table = Table::open(file)?;
    let (prompt, model) = (table.column("p")?, table.column("m")?);
    let (correct, cost) = (table.column("correct")?, table.column("cost_usd")?);
    let (input, output) = (table.column("in_tok")?, table.column("out_tok")?);
    let mut rows: Rows = vec![vec![None; models.len()]; prompts.texts.len()];
    while table.advance()? {
        let place = |column: &Column, numbers: &Numbers, what: &str| {
            let name = table.text(column);
            let unknown = || table.wrong(column, format!("there is no {what} \"{name}\""));
            numbers.get(name).copied().ok_or_else(unknown)
        };
        let (row, at) = (place(&prompt, &prompts.numbers, "prompt")?, place(&model, models, "model")?);
        let score = table.amount(&correct)?;
        if score > 1.0 {
            return Err(table.wrong(&correct, format!("{score} is not within 0 and 1")));
        }
        let outcome = Outcome {
            score,
            input_tokens: table.amount(&input)?,
            output_tokens: table.amount(&output)?,
            cost: table.amount(&cost)?,
        };
        let cell = rows.get_mut(row).and_then(|row| row.get_mut(at));
        if cell.and_then(|cell| cell.replace(outcome)).is_some() {
            return Err(table.wrong(&model, "this model's outcome for the prompt is given twice"));
        }
    }
    Ok(rows)
}

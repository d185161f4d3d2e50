use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::data::read;
use super::*;

const MODELS: &str = "m,model,usd_per_mtok_in,usd_per_mtok_out\n0,coder,1,4\n1,lawyer,1,4\n2,small,0.1,0.2\n";

/// Prompts of two kinds: `coder` is good at one, `lawyer` at the other, `small` at
/// neither, and it is cheap.
fn files(count: usize) -> (String, String) {
    let mut prompts = "p,category,text\n".to_owned();
    let mut outcomes = "p,m,correct,in_tok,out_tok,cost_usd\n".to_owned();
    for number in 0..count {
        let law = number % 2 == 1;
        let text = match law {
            true => "The defendant was charged with burglary. May the court admit the confession?",
            false => "Write a Python function that sorts a list of numbers.",
        };
        let _ = writeln!(prompts, "{number},{},{text} {number}", if law { "law" } else { "code" });
        for model in 0..3_usize {
            let good = model < 2 && law == (model == 1);
            let cost = if model == 2 { 0.00002 } else { 0.0005 };
            let correct = u8::from(good || number % 5 == model);
            let _ = writeln!(outcomes, "{number},{model},{correct},100,100,{cost}");
        }
    }
    (prompts, outcomes)
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn data(prompts: &str, outcomes: &str, models: &str) -> Result<Data, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = |name, text| file(folder.path(), name, text);
    read(&file("p.csv", prompts), &file("o.csv", outcomes), &file("m.csv", models))
        .map_err(|problem| problem.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

#[test]
fn the_class_that_is_read_routes_as_well_as_the_one_that_is_given() {
    let (prompts, outcomes) = files(200);
    let figures = offline::replay(&data(&prompts, &outcomes, MODELS).unwrap(), 0, |_| {});
    let of = |name: &str| figures.iter().find(|figures| figures.policy == name).unwrap();
    assert!(of("merit").accuracy_pct > 99.0, "{:?}", of("merit"));
    assert!((of("merit").aiq.unwrap() - of("class labels").aiq.unwrap()).abs() < 0.5);
    assert!(of("best single").accuracy_pct < 75.0);
    assert!(of("merit").saving_at_best_single_pct.unwrap() > 20.0);
    assert!(of("prompt oracle").aiq.unwrap() >= of("merit").aiq.unwrap());
}

#[test]
fn labels_are_not_needed_and_not_read() {
    let (prompts, outcomes) = files(100);
    let unlabelled = prompts.replace("category", "other");
    let wrong = prompts.replace(",law,", ",code,");
    let merit = |prompts: &str| {
        let figures = offline::replay(&data(prompts, &outcomes, MODELS).unwrap(), 0, |_| {});
        figures.into_iter().find(|figures| figures.policy == "merit").unwrap()
    };
    assert_eq!(merit(&prompts), merit(&unlabelled));
    assert_eq!(merit(&prompts), merit(&wrong));
}

#[test]
fn bad_files_are_refused_with_row_and_column() {
    let (prompts, outcomes) = files(20);
    let complaint = |from: (&str, &str), at: usize| {
        let mut all = [prompts.clone(), outcomes.clone(), MODELS.to_owned()];
        all[at] = all[at].replacen(from.0, from.1, 1);
        data(&all[0], &all[1], &all[2]).unwrap_err()
    };
    assert_eq!(complaint(("text", "words"), 0), "p.csv: column text: there is no such column");
    assert_eq!(complaint(("\n1,", "\n0,"), 0), "p.csv: row 3: column p: 0 is given twice");
    assert_eq!(complaint(("0.0005", "NaN"), 1), "o.csv: row 2: column cost_usd: NaN is not a finite number");
    assert_eq!(complaint(("0,0,1", "0,0,2"), 1), "o.csv: row 2: column correct: 2 is not within 0 and 1");
    assert_eq!(complaint(("0,0,1", "0,9,1"), 1), "o.csv: row 2: column m: there is no model \"9\"");
    assert_eq!(
        complaint(("\n0,1,", "\n0,0,"), 1),
        "o.csv: row 3: column m: this model's outcome for the prompt is given twice"
    );
    assert_eq!(complaint((",1,4", ",-1,4"), 2), "m.csv: row 2: column usd_per_mtok_in: -1 is negative");
    assert_eq!(
        data(&prompts, &outcomes, "m,model,usd_per_mtok_in,usd_per_mtok_out\n").unwrap_err(),
        "m.csv: no model in it"
    );
    assert!(data("p,text\n", &outcomes, MODELS).unwrap_err().contains("there is no prompt"));
}

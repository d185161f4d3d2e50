//! Every provider × everything that a chat can ask for, through the real program:
//! what is promised in `docs/providers.md` is what was seen here, and nothing else.

mod cells;
mod errors;
mod stage;
mod table;
mod targets;

use std::io::Write as _;

use crate::support::Fallible;

#[test]
fn every_provider_does_what_is_written_of_it() -> Fallible<()> {
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for target in targets::all() {
        let stage = target.start()?;
        let seen = cells::ALL.map(|(column, cell)| {
            cell(&stage).unwrap_or_else(|why| {
                wrong.push(format!("{} × {column}: {why}", target.name));
                cells::Mark::Wrong
            })
        });
        rows.push((target.name, seen));
    }
    let table = table::written(&rows);
    // Past the test's own output, which is not shown when all is well.
    writeln!(std::io::stderr(), "\n{table}")?;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(table::documented()?, table, "docs/providers.md says something else");
    Ok(())
}

//! Writes the example reports as HTML and JSON: `cargo run --example write_reports -- FOLDER`.

use std::path::PathBuf;

use carnot_report::{example, html, json};

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/reports".into()));
    std::fs::create_dir_all(&folder)?;
    let reports = [
        ("check", example::check()),
        ("healthy", example::healthy()),
        ("hostile", example::hostile()),
        ("watched", example::watched()),
        ("predict", example::predict()),
        ("ensemble", example::ensemble()),
        ("load", example::load()),
        ("border", example::border()),
    ];
    for (name, report) in reports {
        std::fs::write(folder.join(format!("{name}.html")), html::render(&report))?;
        std::fs::write(folder.join(format!("{name}.json")), json::to_string(&report))?;
    }
    Ok(())
}

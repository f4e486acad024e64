//! Reports: the plots of a run or of a sweep, as one HTML file that needs nothing else and as SVG files for a paper.
//!
//! The plots are drawn by a small module of our own (`svg`, `chart`) instead of a plotting crate: what they must do is
//! little (lines, dots, error bars, a shaded time, a logarithmic axis), and what matters is that they read well in black and
//! white, for the colour-blind, and in fonts that a journal accepts, which means real text, dash patterns and markers.

mod axis;
mod chart;
mod data;
mod html;
mod layout;
mod plots;
mod svg;
mod sweep;
mod topology;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::outcome::OutcomeError;

pub use axis::{Axis, Scale};
pub use chart::{Chart, Marker, Series, Stroke};
pub use data::RunData;
pub use html::{bytes, duration};

/// A plot: its file name without the ending, what it shows, and its SVG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plot {
    /// The name of its file.
    pub name: String,
    /// What it shows, in a sentence or two.
    pub caption: String,
    /// The picture.
    pub svg: String,
}

/// Writes the report of a run or of a sweep into its folder: `report.html` and `plots/*.svg`. Returns the HTML file's path.
///
/// # Errors
/// [`OutcomeError`] where the folder is neither, or cannot be read or written.
pub fn report(folder: &Path) -> Result<PathBuf, OutcomeError> {
    let (html, plots) = if folder.join(crate::sweep::SWEEP).exists() { sweep::report(folder)? } else { run(folder)? };
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| OutcomeError::File { path, source }
    };
    let pictures = folder.join("plots");
    fs::create_dir_all(&pictures).map_err(failed(&pictures))?;
    for plot in &plots {
        let path = pictures.join(format!("{}.svg", plot.name));
        fs::write(&path, &plot.svg).map_err(failed(&path))?;
    }
    let path = folder.join("report.html");
    let partial = folder.join(".report.html.partial");
    fs::write(&partial, html).map_err(failed(&partial))?;
    fs::rename(&partial, &path).map_err(failed(&path))?;
    Ok(path)
}

fn run(folder: &Path) -> Result<(String, Vec<Plot>), OutcomeError> {
    let data = RunData::read(folder)?;
    let plots = plots::all(&data);
    Ok((html::run(&data, &plots), plots))
}
